//! Calls of the services on the stream as a workload: sign-ins, metric data, events.
//!
//! The same engine and the same books as for Kinesis itself, so that a sign-in that hangs is timed from when it was
//! meant to start. Each service counts as a tenant.

use std::io::Write;

use rand::RngExt;
use serde::Deserialize;
use weir_client::Endpoint;
use weir_core::{
    clock::WallMs,
    entropy::{Rng, seeded},
};
use weir_wire::kinesis::encoding::Encoding;

use crate::{
    answer_code::error_code,
    config::{ServiceKind, ServiceLoad},
    draw::Weighted,
    workload::{
        Answer, Choice, Code, OperationIndex, Prepared, RequestBuffer, TenantIndex, Verdict, Workload,
    },
};

/// The code of an event that the service did not take although it answered.
const NOT_TAKEN: &str = "not-taken";

/// The names that calls are counted by, in the order of [`ServiceKind::operation`].
pub const OPERATIONS: &[&str] = &["SignIn", "PutMetricData", "PutEvents"];

impl ServiceKind {
    const fn operation(self) -> OperationIndex {
        OperationIndex(self as u8)
    }

    /// Where it listens for them.
    pub const fn path(self) -> &'static str {
        match self {
            Self::SignIn => "/sign-in",
            Self::PutMetricData => "/put-metric-data",
            Self::PutEvents => "/put-events",
        }
    }
}

/// The workload of one worker.
#[derive(Debug)]
pub struct ServiceWorkload {
    load: ServiceLoad,
    names: Vec<String>,
    draw: Weighted,
    rng: Rng,
}

impl ServiceWorkload {
    /// The workload of worker `worker`.
    pub fn new(load: ServiceLoad, worker: usize) -> Self {
        let rng = seeded(load.seed, &format!("service {worker}"));
        let names = load.services.iter().map(|service| service.name.clone()).collect();
        let draw = Weighted::new(load.services.iter().map(|service| service.weight));
        Self { load, names, draw, rng }
    }
}

impl Workload for ServiceWorkload {
    type Ticket = ServiceKind;

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn tenants(&self) -> &[String] {
        &self.names
    }

    fn choose(&mut self) -> Choice {
        let subject = self.rng.random_range(0..self.load.subjects);
        let service = self.draw.draw(&mut self.rng);
        Choice {
            tenant: TenantIndex(u16::try_from(service).expect("services are bounded")),
            operation: self.load.services[service].kind.operation(),
            detail: subject,
        }
    }

    fn prepare(
        &mut self,
        choice: Choice,
        endpoint: &Endpoint,
        now: WallMs,
        request: &mut RequestBuffer,
    ) -> Prepared<ServiceKind> {
        let subject = choice.detail;
        let kind = self.load.services[usize::from(choice.tenant.0)].kind;
        let body = &mut request.own;
        body.clear();
        match kind {
            ServiceKind::SignIn => write!(body, r#"{{"user":"user-{subject}"}}"#),
            ServiceKind::PutMetricData => {
                let value: f64 = self.rng.random_range(0.0..100.0);
                write!(body, r#"{{"metrics":[{{"name":"metric-{subject}","value":{value:.3}}}]}}"#)
            }
            ServiceKind::PutEvents => write!(
                body,
                r#"{{"events":[{{"source":"source-{subject}","kind":"task-state-change","time_ms":{}}}]}}"#,
                now.0
            ),
        }
        .expect("writing to memory does not fail");
        let RequestBuffer { head, own, .. } = request;
        head.clear();
        write!(
            head,
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            kind.path(),
            endpoint.host(),
            own.len()
        )
        .expect("writing to memory does not fail");
        Prepared { operation: choice.operation, ticket: kind }
    }

    fn judge<'a>(&mut self, kind: ServiceKind, answer: Answer<'a>) -> Verdict<'a> {
        let code = match answer.status {
            // The event bus answers for each event, as `PutRecords` does.
            200 if kind == ServiceKind::PutEvents && !all_taken(answer.body) => Code::Error(NOT_TAKEN),
            200 => Code::Success,
            _ => Code::Error(error_code(&answer, Encoding::Json)),
        };
        Verdict { records: u64::from(code == Code::Success), code, bytes: 0 }
    }
}

#[derive(Deserialize)]
struct PutEventsAnswer {
    failed: u64,
}

fn all_taken(body: &[u8]) -> bool {
    serde_json::from_slice::<PutEventsAnswer>(body).is_ok_and(|answer| answer.failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServiceTarget;

    #[test]
    fn every_services_body_is_json_with_its_length_in_the_head() {
        for kind in [ServiceKind::SignIn, ServiceKind::PutMetricData, ServiceKind::PutEvents] {
            let services = vec![ServiceTarget { name: "s".into(), kind, weight: 1.0 }];
            let mut workload = ServiceWorkload::new(ServiceLoad { services, subjects: 5, seed: 1 }, 0);
            let mut request = RequestBuffer::default();
            let choice = workload.choose();
            assert_eq!(
                OPERATIONS[usize::from(choice.operation.0)].to_lowercase(),
                kind.path()[1..].replace('-', "")
            );
            let endpoint = "http://127.0.0.1:1".parse().unwrap();
            workload.prepare(choice, &endpoint, WallMs(5), &mut request);
            serde_json::from_slice::<serde_json::Value>(request.body()).unwrap();
            let head = String::from_utf8(request.head.clone()).unwrap();
            assert!(head.starts_with(&format!("POST {} HTTP/1.1\r\n", kind.path())), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", request.body().len())), "{head}");
        }
    }

    #[test]
    fn an_event_that_was_not_taken_is_an_error_although_the_answer_is_200() {
        let services = vec![ServiceTarget { name: "s".into(), kind: ServiceKind::PutEvents, weight: 1.0 }];
        let mut workload = ServiceWorkload::new(ServiceLoad { services, subjects: 5, seed: 1 }, 0);
        let mut judge = |body: &'static str| {
            workload.judge(
                ServiceKind::PutEvents,
                Answer { status: 200, body: body.as_bytes(), sent_ms: 0, at_ms: 0 },
            )
        };
        let taken = judge(r#"{"failed":0,"events":[{"event_id":"1"}]}"#);
        assert_eq!((taken.code, taken.records), (Code::Success, 1));
        for body in [r#"{"failed":1,"events":[{"error":"ServiceUnavailable"}]}"#, "{}", ""] {
            let lost = judge(body);
            assert_eq!((lost.code, lost.records), (Code::Error(NOT_TAKEN), 0), "{body}");
        }
    }
}
