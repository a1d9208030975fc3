//! Which endpoints there are, and which of them is next: a fixed list, or the control plane's, asked again in time.
//!
//! Shared by the clients of a runtime. A control plane that does not answer changes nothing: the last list stays in
//! use, since a stale endpoint is better than none. Nor does a slow one hold up calls: it is asked beside them, as long as
//! the list is not far too old.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use weir_core::{clock::Monotonic, id::TenantName};
use weir_wire::control::{Control, ControlError, ControlReply, ControlRequest};

use crate::{endpoint::Endpoint, error::CallError};

/// A list that is older than so many of its periods is not called by before the control plane was asked.
const OLD_PERIODS: u32 = 4;

/// A list of endpoints, taken in turn.
pub struct Endpoints {
    source: Source,
    state: Arc<Mutex<State>>,
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
    /// When the list was asked for.
    of: Monotonic,
}

/// Is the control plane to be asked now?
enum Due {
    No,
    /// Beside the call, which goes by the list of before.
    Beside,
    /// Before the call.
    Before,
}

impl Endpoints {
    /// These, for good.
    pub fn fixed(list: Vec<Endpoint>) -> Self {
        Self { source: Source::Fixed, state: Arc::new(Mutex::new(State { list, ..State::default() })) }
    }

    /// Those that the control plane names for `tenant`, asked again once a list is older than `every`.
    pub fn from_control(control: Control, tenant: Option<TenantName>, every: Duration) -> Self {
        Self { source: Source::Control { control, tenant, every }, state: Arc::default() }
    }

    /// The next endpoint in turn.
    pub async fn next(&self, now: Monotonic) -> Result<Endpoint, CallError> {
        if let Source::Control { control, tenant, every } = &self.source {
            match self.due(now, *every) {
                Due::No => {}
                Due::Beside => {
                    let (control, tenant) = (Arc::clone(control), tenant.clone());
                    let state = Arc::clone(&self.state);
                    // One a period, each bounded in time by the control plane's client.
                    tokio::spawn(async move {
                        if let Err(error) = refresh(&control, tenant, &state, now).await {
                            tracing::warn!(%error, "endpoints not refreshed");
                        }
                    });
                }
                Due::Before => match refresh(control, tenant.clone(), &self.state, now).await {
                    Err(error) if self.state.lock().list.is_empty() => {
                        return Err(CallError::Endpoints(error));
                    }
                    Err(error) => tracing::warn!(%error, "endpoints not refreshed"),
                    Ok(()) => {}
                },
            }
        }
        let mut state = self.state.lock();
        let turn = state.next;
        state.next = turn.wrapping_add(1);
        let count = state.list.len();
        state.list.get(turn % count.max(1)).cloned().ok_or(CallError::NoEndpoint)
    }

    /// Should this caller ask? Only one does, unless nothing is known yet.
    fn due(&self, now: Monotonic, every: Duration) -> Due {
        let mut state = self.state.lock();
        let unknown = state.list.is_empty();
        if !unknown && state.asked.is_some_and(|asked| now.since(asked) < every) {
            return Due::No;
        }
        state.asked = Some(now);
        if unknown || now.since(state.of) > every * OLD_PERIODS { Due::Before } else { Due::Beside }
    }
}

/// Asks for the list and keeps it, unless one that was asked for later is here already.
async fn refresh(
    control: &Control,
    tenant: Option<TenantName>,
    state: &Mutex<State>,
    now: Monotonic,
) -> Result<(), ControlError> {
    let list = ask(control, tenant).await?;
    let mut state = state.lock();
    if state.of <= now {
        (state.list, state.of) = (list, now);
    }
    Ok(())
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
        for secs in [0, 1, 2, 5, 6, 10, 20, 60] {
            let endpoint = endpoints.next(at(secs)).await.unwrap();
            seen.push(endpoint.address().ip().to_string());
            tokio::task::yield_now().await; // what is asked beside the call is answered
        }
        // The call at 5 s does not wait for the list that it asks for.
        assert_eq!(seen, [1, 2, 1, 2, 3, 3, 3, 3].map(|host| format!("127.0.0.{host}")));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_list_that_is_far_too_old_is_not_called_by() {
        let script = vec![vec!["http://127.0.0.1:1"], vec!["http://127.0.0.2:1"]];
        let control: Control = Arc::new(Scripted(Mutex::new(script)));
        let endpoints = Endpoints::from_control(control, Some(TenantName::new("t")), Duration::from_secs(5));
        let mut seen = Vec::new();
        for secs in [0, 21] {
            let endpoint = endpoints.next(Monotonic::ZERO + Duration::from_secs(secs)).await.unwrap();
            seen.push(endpoint.address().ip().to_string());
        }
        assert_eq!(seen, ["127.0.0.1", "127.0.0.2"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_any_list_the_caller_is_told_why() {
        let control: Control = Arc::new(Scripted(Mutex::default()));
        let endpoints = Endpoints::from_control(control, Some(TenantName::new("t")), Duration::ZERO);
        assert!(matches!(endpoints.next(Monotonic::ZERO).await, Err(CallError::Endpoints(_))));
        assert!(matches!(Endpoints::fixed(vec![]).next(Monotonic::ZERO).await, Err(CallError::NoEndpoint)));
    }
}
