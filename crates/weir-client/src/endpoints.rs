//! Which endpoints there are, and which of them is next: a fixed list, or the control plane's, asked again in time.
//!
//! Shared by the clients of a process. A control plane that does not answer changes nothing: the last list stays in
//! use, since a stale endpoint is better than none.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use weir_core::{clock::Monotonic, id::TenantName};
use weir_wire::control::{Control, ControlError, ControlReply, ControlRequest};

use crate::{endpoint::Endpoint, error::CallError};

/// A list of endpoints, taken in turn.
pub struct Endpoints {
    source: Source,
    state: Mutex<State>,
}

enum Source {
    Fixed,
    Control { control: Control, tenant: Option<TenantName>, every: Duration },
}

#[derive(Default)]
struct State {
    list: Vec<Endpoint>,
    next: usize,
    /// When the control plane was last asked, whatever it said.
    asked: Option<Monotonic>,
}

impl Endpoints {
    /// These, for good.
    pub fn fixed(list: Vec<Endpoint>) -> Self {
        Self { source: Source::Fixed, state: Mutex::new(State { list, ..State::default() }) }
    }

    /// Those that the control plane names for `tenant`, asked again once a list is older than `every`.
    pub fn from_control(control: Control, tenant: Option<TenantName>, every: Duration) -> Self {
        Self { source: Source::Control { control, tenant, every }, state: Mutex::default() }
    }

    /// The next endpoint in turn.
    pub async fn next(&self, now: Monotonic) -> Result<Endpoint, CallError> {
        if let Source::Control { control, tenant, every } = &self.source
            && self.is_due(now, *every)
        {
            match ask(control, tenant.clone()).await {
                Ok(list) => self.state.lock().list = list,
                Err(error) if self.state.lock().list.is_empty() => return Err(CallError::Endpoints(error)),
                Err(error) => tracing::warn!(%error, "endpoints not refreshed"),
            }
        }
        let mut state = self.state.lock();
        let turn = state.next;
        state.next = turn.wrapping_add(1);
        let count = state.list.len();
        state.list.get(turn % count.max(1)).cloned().ok_or(CallError::NoEndpoint)
    }

    /// Should this caller ask? Only one does, unless nothing is known yet.
    fn is_due(&self, now: Monotonic, every: Duration) -> bool {
        let mut state = self.state.lock();
        let due = state.list.is_empty() || state.asked.is_none_or(|asked| now.since(asked) >= every);
        if due {
            state.asked = Some(now);
        }
        due
    }
}

async fn ask(control: &Control, tenant: Option<TenantName>) -> Result<Vec<Endpoint>, ControlError> {
    match control.call(ControlRequest::Endpoints { tenant }).await? {
        ControlReply::Endpoints { urls, .. } => urls
            .iter()
            .map(|url| url.parse())
            .collect::<Result<_, _>>()
            .map_err(|error: crate::EndpointError| ControlError::Invalid(error.to_string())),
        _ => Err(ControlError::Invalid("the control plane answered another question".into())),
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("list", &self.state.lock().list).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_wire::control::{ControlFuture, ControlService};

    use super::*;

    /// Answers from a script, and fails when it is at its end.
    struct Scripted(Mutex<Vec<Vec<&'static str>>>);

    impl ControlService for Scripted {
        fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
            assert_eq!(request, ControlRequest::Endpoints { tenant: Some(TenantName::new("t")) });
            let mut script = self.0.lock();
            let reply = if script.is_empty() {
                Err(ControlError::Unavailable("gone".into()))
            } else {
                let urls = script.remove(0).into_iter().map(str::to_owned).collect();
                Ok(ControlReply::Endpoints { version: 1, urls })
            };
            Box::pin(std::future::ready(reply))
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_list_is_asked_again_when_it_is_old_and_kept_when_nobody_answers() {
        let script = vec![vec!["http://127.0.0.1:1", "http://127.0.0.2:1"], vec!["http://127.0.0.3:1"]];
        let control: Control = Arc::new(Scripted(Mutex::new(script)));
        let every = Duration::from_secs(5);
        let endpoints = Endpoints::from_control(control, Some(TenantName::new("t")), every);
        let at = |secs| Monotonic::ZERO + Duration::from_secs(secs);
        let mut seen = Vec::new();
        for secs in [0, 1, 2, 5, 6, 10, 20] {
            seen.push(endpoints.next(at(secs)).await.unwrap().address().ip().to_string());
        }
        assert_eq!(
            seen,
            ["127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3", "127.0.0.3", "127.0.0.3", "127.0.0.3"]
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_any_list_the_caller_is_told_why() {
        let control: Control = Arc::new(Scripted(Mutex::default()));
        let endpoints = Endpoints::from_control(control, Some(TenantName::new("t")), Duration::ZERO);
        assert!(matches!(endpoints.next(Monotonic::ZERO).await, Err(CallError::Endpoints(_))));
        assert!(matches!(Endpoints::fixed(vec![]).next(Monotonic::ZERO).await, Err(CallError::NoEndpoint)));
    }
}
