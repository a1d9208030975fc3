//! Calls of the services on the stream as a workload: sign-ins, metric data, events.
//!
//! The same engine and the same books as for Kinesis itself, so that a sign-in that hangs is timed from when it was
//! meant to start. One tenant, one operation.

use std::io::Write;

use rand::RngExt;
use weir_client::Endpoint;
use weir_core::{
    clock::WallMs,
    entropy::{Rng, seeded},
};

use crate::{
    answer_code::error_code,
    config::{ServiceKind, ServiceLoad},
    workload::{
        Answer, Choice, Code, OperationIndex, Prepared, RequestBuffer, TenantIndex, Verdict, Workload,
    },
};

impl ServiceKind {
    /// The name that its calls are counted by.
    pub const fn operation(self) -> &'static [&'static str] {
        match self {
            Self::SignIn => &["SignIn"],
            Self::PutMetricData => &["PutMetricData"],
            Self::PutEvents => &["PutEvents"],
        }
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
    rng: Rng,
}

impl ServiceWorkload {
    /// The workload of worker `worker`.
    pub fn new(load: ServiceLoad, worker: usize) -> Self {
        let rng = seeded(load.seed, &format!("service {worker}"));
        Self { load, names: service_tenants(), rng }
    }
}

/// Services know one caller.
pub fn service_tenants() -> Vec<String> {
    vec!["default".into()]
}

impl Workload for ServiceWorkload {
    type Ticket = ();

    fn operations(&self) -> &'static [&'static str] {
        self.load.kind.operation()
    }

    fn tenants(&self) -> &[String] {
        &self.names
    }

    fn choose(&mut self) -> Choice {
        let subject = self.rng.random_range(0..self.load.subjects);
        Choice { tenant: TenantIndex(0), operation: OperationIndex(0), detail: subject }
    }

    fn prepare(
        &mut self,
        choice: Choice,
        endpoint: &Endpoint,
        now: WallMs,
        request: &mut RequestBuffer,
    ) -> Prepared<()> {
        let subject = choice.detail;
        let body = &mut request.own;
        body.clear();
        match self.load.kind {
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
            self.load.kind.path(),
            endpoint.host(),
            own.len()
        )
        .expect("writing to memory does not fail");
        Prepared { operation: OperationIndex(0), ticket: () }
    }

    fn judge<'a>(&mut self, (): (), answer: Answer<'a>) -> Verdict<'a> {
        if answer.status == 200 {
            Verdict { code: Code::Success, records: 1, bytes: 0 }
        } else {
            Verdict { code: Code::Error(error_code(&answer)), records: 0, bytes: 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_services_body_is_json_with_its_length_in_the_head() {
        for kind in [ServiceKind::SignIn, ServiceKind::PutMetricData, ServiceKind::PutEvents] {
            let mut workload = ServiceWorkload::new(ServiceLoad { kind, subjects: 5, seed: 1 }, 0);
            let mut request = RequestBuffer::default();
            let choice = workload.choose();
            let endpoint = "http://127.0.0.1:1".parse().unwrap();
            workload.prepare(choice, &endpoint, WallMs(5), &mut request);
            serde_json::from_slice::<serde_json::Value>(request.body()).unwrap();
            let head = String::from_utf8(request.head.clone()).unwrap();
            assert!(head.starts_with(&format!("POST {} HTTP/1.1\r\n", kind.path())), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", request.body().len())), "{head}");
        }
    }
}
