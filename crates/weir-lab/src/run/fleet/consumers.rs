//! How the services on the streams are started: what `weir node consumer` is told.
//!
//! Pure. Each service acts for one of the tenants, on that tenant's stream; alarms and rules match what the load generator
//! sends to it.

use std::path::Path;

use super::tenants::{REGION, TenantAccess};
use crate::{
    scenario::plan::{ConsumerPlan, Plan},
    series::ConsumerKind,
};

/// Metrics that a metrics buffer is sent and watches: few, so that each has data in every period.
pub(in crate::run) const METRICS: u32 = 5;
/// Users and sources of the other services' calls.
pub(in crate::run) const SUBJECTS: u32 = 100;
/// Between two reads of a shard without news: two reads a second leave room for others within Kinesis's five.
const READ_PAUSE: &str = "500ms";
/// An alarm looks at this many periods of this length.
const ALARM_PERIOD: &str = "1s";
const ALARM_PERIODS: &str = "3";

/// The flags of `weir node consumer` behind its place.
pub(super) fn flags(consumer: &ConsumerPlan, plan: &Plan, tenant: &TenantAccess, data: &Path) -> Vec<String> {
    let credential = &tenant.credential;
    let kind = match consumer.service {
        ConsumerKind::AuthCache => "auth-cache",
        ConsumerKind::MetricsBuffer => "metrics-buffer",
        ConsumerKind::EventBus => "event-bus",
    };
    let timeout = format!("{}ms", plan.load.timeout.as_millis());
    let mut flags: Vec<String> = [
        ("--kind", kind),
        ("--tenant", credential.tenant.as_str()),
        ("--stream", &tenant.stream),
        ("--access-key", &credential.access_key),
        ("--secret-key", &credential.secret_key),
        ("--region", REGION.as_str()),
        ("--policy", &consumer.policy),
        ("--buffer", &consumer.buffer.to_string()),
        ("--data", &data.display().to_string()),
        ("--attempt-timeout", &timeout),
        ("--read-pause", READ_PAUSE),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()])
    .collect();
    let mut add = |flag: &str, value: String| flags.extend([flag.to_owned(), value]);
    match consumer.service {
        ConsumerKind::AuthCache => add("--sign-in-timeout", timeout),
        ConsumerKind::MetricsBuffer => {
            for metric in 0..METRICS {
                // Values are below 100: an alarm that is not OK has no data.
                add("--alarm", format!("metric-{metric}>1000"));
            }
            add("--period", ALARM_PERIOD.to_owned());
            add("--evaluation-periods", ALARM_PERIODS.to_owned());
        }
        ConsumerKind::EventBus => {
            add("--rule", "task-states:kind=task-state-change".to_owned());
            add("--deliveries", format!("{}/s", consumer.deliveries));
        }
    }
    flags
}
