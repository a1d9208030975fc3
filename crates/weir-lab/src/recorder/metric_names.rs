//! Which metric of which role fills which field of the series.
//!
//! The names are those of docs/METRICS.md. A metric that a server does not have leaves its field empty.

use super::open_metrics::Metrics;
use crate::{
    scenario::plan::ConsumerPlan,
    series::{Alarms, At, ConsumerSample, Role, ServerMetrics},
};

/// What a server of a role says of itself.
pub(super) fn server(role: Role, metrics: &Metrics<'_>) -> ServerMetrics {
    match role {
        Role::Frontend | Role::Cache => front_end(metrics),
        Role::Backend => node(metrics),
        Role::Control | Role::Consumer => ServerMetrics { ready: true, ..ServerMetrics::default() },
    }
}

/// B, as front ends and cache servers state it.
pub(super) fn base_threads(metrics: &Metrics<'_>) -> Option<u64> {
    metrics.count("weir_frontend_base_threads")
}

fn front_end(metrics: &Metrics<'_>) -> ServerMetrics {
    let requests = "weir_frontend_requests_total";
    // A front end shows an operation and an outcome from their first request on; a cache server takes none.
    let none_yet = metrics.get("weir_frontend_requests_in_flight").map(|_| 0);
    ServerMetrics {
        // A map was published once; however old it is, the server calls itself ready.
        ready: metrics.get("weir_frontend_shard_map_age_seconds").is_some(),
        known_members: metrics.count("weir_frontend_known_members"),
        peers_connected: metrics.count("weir_frontend_peers_connected"),
        peer_threads: metrics.count("weir_frontend_peer_threads"),
        clients_connected: metrics.count("weir_frontend_subscribers_connected"),
        refusals: metrics.count("weir_frontend_spawn_refused_total"),
        // A gauge that stays at zero until there was a refusal.
        refused_at_members: metrics.count("weir_frontend_refused_at_members").filter(|&members| members > 0),
        map_age_seconds: metrics.get("weir_frontend_shard_map_age_seconds"),
        map_completeness: metrics.get("weir_frontend_shard_map_complete_ratio"),
        map_generation: metrics.count("weir_frontend_shard_map_generation"),
        builds_failed: metrics.count("weir_frontend_builds_failed_total"),
        requests: metrics.count(requests).or(none_yet),
        errors: metrics.count_where(requests, "code", |code| code != "OK").or(none_yet),
        append_queue: None,
    }
}

fn node(metrics: &Metrics<'_>) -> ServerMetrics {
    let answers = "weir_node_answers_total";
    ServerMetrics {
        ready: metrics.get("weir_node_shards").is_some(),
        requests: metrics.count(answers),
        errors: metrics.count_where(answers, "outcome", |outcome| outcome != "Done"),
        append_queue: metrics.count("weir_node_queue_writes"),
        ..ServerMetrics::default()
    }
}

/// What a consumer says of itself.
pub(super) fn consumer(at: At, plan: &ConsumerPlan, metrics: &Metrics<'_>) -> ConsumerSample {
    let count = |name: &str| metrics.count(name);
    let alarms = |state: &str| metrics.count_where("weir_metrics_alarms", "state", |found| found == state);
    let millis = |name: &str| metrics.get(name).map(|seconds| seconds * 1e3);
    ConsumerSample {
        at,
        consumer: plan.name.clone(),
        service: plan.service,
        policy: plan.policy.clone(),
        buffer_fill: count("weir_consumer_buffer_entries").unwrap_or(0),
        buffer_capacity: plan.buffer,
        dropped: count("weir_consumer_buffer_dropped_total").unwrap_or(0),
        spilled: count("weir_consumer_buffer_spilled_total").unwrap_or(0),
        blocked: count("weir_consumer_workers_blocked").unwrap_or(0),
        sign_ins_ok: count("weir_auth_sign_ins_ok_total"),
        sign_ins_failed: count("weir_auth_sign_ins_failed_total"),
        sign_in_p50_ms: millis("weir_auth_sign_in_p50_seconds"),
        sign_in_p99_ms: millis("weir_auth_sign_in_p99_seconds"),
        alarms: alarms("ok").map(|ok| Alarms {
            ok,
            alarm: alarms("alarm").unwrap_or(0),
            insufficient_data: alarms("insufficient_data").unwrap_or(0),
        }),
        lag_seconds: metrics.get("weir_bus_lag_seconds"),
        backlog: count("weir_bus_backlog_entries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_end_that_nobody_called_has_no_requests_and_a_cache_server_takes_none() {
        let requests = |role, text| {
            let metrics = server(role, &Metrics::parse(text));
            (metrics.requests, metrics.errors)
        };
        let idle = "weir_frontend_requests_in_flight 0\n";
        assert_eq!(requests(Role::Frontend, idle), (Some(0), Some(0)));
        let called = "weir_frontend_requests_in_flight 0\n\
            weir_frontend_requests_total{operation=\"PutRecord\",code=\"OK\"} 3\n\
            weir_frontend_requests_total{operation=\"PutRecord\",code=\"InternalFailure\"} 1\n";
        assert_eq!(requests(Role::Frontend, called), (Some(4), Some(1)));
        assert_eq!(requests(Role::Cache, "weir_frontend_known_members 3\n"), (None, None));
    }
}
