//! Which endpoints each tenant's requests may go to, at one moment.
//!
//! Fixed for the run, or refreshed from the control plane by [`follow`]. The engine takes the newest; it must never
//! guess an endpoint that was not given.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;
use weir_client::Endpoint;
use weir_core::id::TenantName;
use weir_wire::control::{Control, ControlReply, ControlRequest};

/// The endpoints, and by tenant which of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    /// Each endpoint once.
    pub endpoints: Vec<Endpoint>,
    /// For each tenant, indexes into `endpoints`. May be empty: then its starts end with an error.
    pub routes: Vec<Vec<usize>>,
}

/// A tenant's endpoints could not be learned.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// The control plane did not say.
    #[error("ask for the endpoints of the tenants: {0}")]
    Control(#[from] weir_wire::control::ControlError),
    /// It named something that is no endpoint.
    #[error("endpoints of the tenants: {0}")]
    Endpoint(#[from] weir_client::EndpointError),
    /// It answered another question.
    #[error("endpoints of the tenants: the control plane answered another question")]
    Answer,
}

impl Targets {
    /// Every tenant goes to every endpoint.
    pub fn shared(endpoints: Vec<Endpoint>, tenants: usize) -> Self {
        let all: Vec<usize> = (0..endpoints.len()).collect();
        Self { routes: vec![all; tenants], endpoints }
    }

    /// `routes[i]` are the endpoints of tenant `i`.
    pub fn by_tenant(routes: Vec<Vec<Endpoint>>) -> Self {
        let mut index = BTreeMap::new();
        let mut targets = Self::default();
        for route in routes {
            let route = route.into_iter().map(|endpoint| {
                *index.entry(endpoint.clone()).or_insert_with(|| {
                    targets.endpoints.push(endpoint);
                    targets.endpoints.len() - 1
                })
            });
            targets.routes.push(route.collect());
        }
        targets
    }
}

/// Asks the control plane where each tenant's requests go now: one question for all of them, so that a busy control
/// plane makes the answer no older than one.
pub async fn ask(control: &Control, tenants: &[String]) -> Result<Targets, TargetsError> {
    let asked = tenants.iter().map(|tenant| TenantName::new(tenant.as_str())).collect();
    let reply = control.call(ControlRequest::Routes { tenants: asked }).await?;
    let ControlReply::Routes { cells, tenants: cell_of } = reply else { return Err(TargetsError::Answer) };
    if cell_of.len() != tenants.len() {
        return Err(TargetsError::Answer);
    }
    let parse = |urls: Vec<String>| urls.iter().map(|url| url.parse()).collect::<Result<Vec<Endpoint>, _>>();
    let cells = cells.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let route = |cell: usize| cells.get(cell).cloned().ok_or(TargetsError::Answer);
    Ok(Targets::by_tenant(cell_of.into_iter().map(route).collect::<Result<_, _>>()?))
}

/// Keeps `publish` up to date until the task is dropped. A control plane that does not answer changes nothing: the
/// last list stays, as a client's would.
pub async fn follow(
    control: Control,
    tenants: Vec<String>,
    every: Duration,
    publish: watch::Sender<Arc<Targets>>,
) {
    loop {
        tokio::time::sleep(every).await;
        match ask(&control, &tenants).await {
            Ok(targets) => {
                publish.send_if_modified(|current| {
                    let changed = **current != targets;
                    if changed {
                        *current = Arc::new(targets);
                    }
                    changed
                });
            }
            Err(error) => tracing::warn!(%error, "endpoints not refreshed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_wire::control::{ControlFuture, ControlService};

    use super::*;

    /// Gives this answer to whoever asks for the routes of two tenants.
    struct Answers(ControlReply);

    impl ControlService for Answers {
        fn call(&self, request: ControlRequest) -> ControlFuture<'_> {
            let tenants = ["a", "b"].map(TenantName::new).to_vec();
            assert_eq!(request, ControlRequest::Routes { tenants });
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    async fn asked(reply: ControlReply) -> Result<Targets, TargetsError> {
        ask(&(Arc::new(Answers(reply)) as Control), &["a".to_owned(), "b".to_owned()]).await
    }

    #[tokio::test]
    async fn one_answer_routes_all_tenants() {
        let cells = vec![vec!["http://127.0.0.1:1".to_owned()], vec!["http://127.0.0.2:1".to_owned()]];
        let routed = async |tenants: &[usize]| {
            asked(ControlReply::Routes { cells: cells.clone(), tenants: tenants.to_vec() }).await
        };
        assert_eq!(routed(&[1, 0]).await.unwrap().routes, [[0], [1]]);
        assert_eq!(routed(&[1, 1]).await.unwrap().routes, [[0], [0]]);
        for wrong in [&[0][..], &[0, 2], &[0, 1, 1]] {
            assert!(matches!(routed(wrong).await, Err(TargetsError::Answer)), "{wrong:?}");
        }
        assert!(matches!(asked(ControlReply::Done).await, Err(TargetsError::Answer)));
        let nonsense = ControlReply::Routes { cells: vec![vec!["nowhere".to_owned()]], tenants: vec![0, 0] };
        assert!(matches!(asked(nonsense).await, Err(TargetsError::Endpoint(_))));
    }

    #[test]
    fn tenants_of_one_cell_share_its_endpoints() {
        let (a, b) =
            ("http://127.0.0.1:1".parse::<Endpoint>().unwrap(), "http://127.0.0.2:1".parse().unwrap());
        let targets = Targets::by_tenant(vec![vec![a.clone(), b], vec![a], vec![]]);
        assert_eq!(targets.endpoints.len(), 2);
        assert_eq!(targets.routes, [vec![0, 1], vec![0], vec![]]);
    }
}
