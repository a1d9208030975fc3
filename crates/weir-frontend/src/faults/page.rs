//! `/faults` of the admin listener: `GET` lists the rules with how often each was met and the seed, `PUT` puts the TOML of its
//! body in their place, `DELETE` takes them away. There is no `POST`: a page of any site may send one without asking first.

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use weir_wire::http::{
    admin::AdminPage,
    server::{ResponseBody, full, text_response},
};

use super::{FaultPlan, Faults, plan::PLAN_BYTES_MAX};

/// What errors call a plan that was sent.
const SENT: &str = "the rules sent";

impl AdminPage for Faults {
    fn path(&self) -> &'static str {
        "/faults"
    }

    fn answer(&self, method: &Method, body: &Bytes) -> Response<ResponseBody> {
        match *method {
            Method::GET => self.list(),
            Method::PUT => {
                if body.len() > PLAN_BYTES_MAX {
                    return text_response(StatusCode::PAYLOAD_TOO_LARGE, "the rules are at most 1 MiB\n");
                }
                let plan = match std::str::from_utf8(body) {
                    Ok(text) => FaultPlan::parse(text, SENT).map_err(|error| error.to_string()),
                    Err(_) => Err(format!("{SENT}: they are no UTF-8")),
                };
                match plan {
                    Ok(plan) => {
                        self.replace(plan);
                        self.list()
                    }
                    Err(told) => text_response(StatusCode::BAD_REQUEST, format!("{told}\n")),
                }
            }
            Method::DELETE => {
                self.clear();
                self.list()
            }
            _ => text_response(StatusCode::METHOD_NOT_ALLOWED, "there is GET, PUT and DELETE\n"),
        }
    }
}

impl Faults {
    fn list(&self) -> Response<ResponseBody> {
        let (plan, counts) = match self.counts() {
            Some((plan, counts)) => (Some(plan), counts),
            None => (None, Vec::new()),
        };
        let rules = plan.iter().flat_map(|plan| &plan.rules).zip(counts).map(|(rule, count)| {
            let mut shown = serde_json::to_value(rule).expect("a rule is a table of plain values");
            if let Value::Object(keys) = &mut shown {
                keys.retain(|_, value| !is_unset(value));
                keys.insert("calls_meant".to_owned(), json!(count.meant));
                keys.insert("hits".to_owned(), json!(count.hits));
            }
            shown
        });
        let listed =
            json!({ "seed": plan.as_ref().map(|plan| plan.seed), "rules": rules.collect::<Vec<_>>() });
        let mut response = Response::new(full(format!("{listed:#}\n")));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

/// A key that says no more than an absent one.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Bool(true) | Value::String(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use weir_core::clock::Clock;

    use super::*;

    async fn ask(faults: &Faults, method: Method, body: &'static str) -> (u16, String) {
        let response = faults.answer(&method, &Bytes::from_static(body.as_bytes()));
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn rules_are_replaced_listed_and_taken_away() {
        let faults = Faults::new(Clock::new());
        assert_eq!(
            ask(&faults, Method::GET, "").await,
            (200, "{\n  \"rules\": [],\n  \"seed\": null\n}\n".into())
        );
        let rules = "seed = 9\n[[rule]]\nname = \"slow\"\nlatency = \"1ms\"\nprobability = 0.0\n";
        let (status, text) = ask(&faults, Method::PUT, rules).await;
        let listed: Value = serde_json::from_str(&text).unwrap();
        let rule = json!({"name": "slow", "latency": "1ms", "probability": 0.0, "calls_meant": 0, "hits": 0});
        assert_eq!((status, listed), (200, json!({"seed": 9, "rules": [rule]})));
        let (status, told) = ask(&faults, Method::PUT, "[[rule]]\nlatnecy = \"1ms\"").await;
        assert_eq!(status, 400);
        assert!(told.starts_with("the rules sent:2: unknown field `latnecy`"), "{told}");
        assert!(ask(&faults, Method::GET, "").await.1.contains("slow"), "a mistake changes nothing");
        assert!(!ask(&faults, Method::DELETE, "").await.1.contains("slow"));
        assert_eq!(ask(&faults, Method::POST, rules).await.0, 405, "any page may send one");
    }
}
