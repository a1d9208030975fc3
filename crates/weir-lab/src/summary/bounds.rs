//! Which numbers of an arm's summary a scenario may bound, by name.
//!
//! Asked when a scenario is opened, so that a typing error is told before a run and not after it. The tests hold it
//! against a summary: it must name every number there, and nothing else.

use crate::series::ConsumerKind;

/// Numbers of the arm itself.
const PLAIN: [&str; 24] = [
    "base_threads",
    "headroom_alarm.committed_seconds",
    "headroom_alarm.headroom_min",
    "headroom_alarm.running_seconds",
    "headroom_alarm.warning_seconds",
    "host_stalled_seconds_max",
    "host_stalls",
    "integrity.acknowledged",
    "integrity.damaged",
    "integrity.duplicated",
    "integrity.found",
    "integrity.lost",
    "integrity.reordered",
    "limit",
    "observed_n_star",
    "peer_threads_peak",
    "predicted_n_star",
    "recorded_ratio",
    "refusals",
    "seconds_to_first_error",
    "seconds_to_recover",
    "servers_peak",
    "tenants_affected_ratio",
    "threads_per_peer",
];
/// Numbers for each stage.
const BY_STAGE: [&str; 6] =
    ["late_dispatches_ratio", "late_starts_ratio", "p50_ms", "p99_ms", "p999_ms", "success_ratio"];
/// The stages.
const STAGES: [&str; 4] = ["baseline", "cliff", "recovery", "throughout"];
/// Numbers of every consumer.
const OF_CONSUMER: [&str; 6] =
    ["blocked_max", "buffer_capacity", "buffer_fill_max", "dropped", "seconds_to_full", "spilled"];

/// All names, with the consumers of the scenario.
pub(crate) fn numbers<'a>(consumers: impl Iterator<Item = (&'a str, ConsumerKind)>) -> Vec<String> {
    let mut names: Vec<String> = PLAIN.iter().map(|name| (*name).to_owned()).collect();
    names.extend(BY_STAGE.iter().flat_map(|name| by_stage(name)));
    for (consumer, kind) in consumers {
        let of = |name: &str| format!("consumers.{consumer}.{name}");
        names.extend(OF_CONSUMER.map(of));
        match kind {
            ConsumerKind::AuthCache => names.extend(by_stage(&of("sign_in_success_ratio"))),
            ConsumerKind::MetricsBuffer => names.extend(by_stage(&of("alarms_insufficient_data_max"))),
            ConsumerKind::EventBus => {
                names.extend(["backlog_at_end", "lag_seconds_max", "seconds_to_drain"].map(of));
            }
        }
    }
    names
}

fn by_stage(name: &str) -> [String; 4] {
    STAGES.map(|stage| format!("{name}.{stage}"))
}
