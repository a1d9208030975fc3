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
    #[error("endpoints of tenant {tenant}: {source}")]
    Control {
        /// Whose.
        tenant: String,
        /// What it said instead.
        source: weir_wire::control::ControlError,
    },
    /// It said something that is no endpoint, or answered another question.
    #[error("endpoints of tenant {tenant}: {detail}")]
    Answer {
        /// Whose.
        tenant: String,
        /// What is wrong.
        detail: String,
    },
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

/// Asks the control plane where each tenant's requests go now.
pub async fn ask(control: &Control, tenants: &[String]) -> Result<Targets, TargetsError> {
    let mut routes = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let request = ControlRequest::Endpoints { tenant: Some(TenantName::new(tenant.as_str())) };
        let reply = control
            .call(request)
            .await
            .map_err(|source| TargetsError::Control { tenant: tenant.clone(), source })?;
        let answer = |detail: String| TargetsError::Answer { tenant: tenant.clone(), detail };
        let ControlReply::Endpoints { urls, .. } = reply else {
            return Err(answer("the control plane answered another question".into()));
        };
        let endpoints: Result<Vec<Endpoint>, _> = urls.iter().map(|url| url.parse()).collect();
        routes.push(endpoints.map_err(|error: weir_client::EndpointError| answer(error.to_string()))?);
    }
    Ok(Targets::by_tenant(routes))
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
    use super::*;

    #[test]
    fn tenants_of_one_cell_share_its_endpoints() {
        let (a, b) =
            ("http://127.0.0.1:1".parse::<Endpoint>().unwrap(), "http://127.0.0.2:1".parse().unwrap());
        let targets = Targets::by_tenant(vec![vec![a.clone(), b], vec![a], vec![]]);
        assert_eq!(targets.endpoints.len(), 2);
        assert_eq!(targets.routes, [vec![0, 1], vec![0], vec![]]);
    }
}
