//! `EnableEnhancedMonitoring`: asks the control plane, and tells what was enabled before and is now.

use weir_wire::{control::StreamChange, kinesis::enable_enhanced_monitoring::EnableEnhancedMonitoringInput};

use super::{Call, monitoring};
use crate::{answer::Answer, error::RequestError, lookup::selector};

pub(super) async fn run(call: &Call<'_>) -> Result<Answer, RequestError> {
    let input: EnableEnhancedMonitoringInput<'_> = call.input()?;
    let stream = call.stream(selector!(input))?;
    let metrics = monitoring::named(input.shard_level_metrics.as_ref());
    monitoring::change(call, stream, StreamChange::EnableMonitoring { metrics }).await
}
