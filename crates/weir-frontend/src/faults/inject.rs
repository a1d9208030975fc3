//! Does to a call what the rules have decided, and says so in the log and the metrics: never in the answer.

use std::{cell::OnceCell, time::Duration};

use weir_core::{clock::WallMs, effect::Effect as MayHaveHappened};
use weir_wire::kinesis::{
    limits::{Limit, Scope},
    operation::Operation,
};

use super::decide::{Cut, Decision, Facts, Outcome};
use crate::{answer::Answer, call_target::CallTarget, error::RequestError, operations::Call};

/// By how much an iterator is too old that a rule has made too old.
const EXPIRED_BY: Duration = Duration::from_secs(1);

/// Asks the rules about a call.
pub(crate) fn decide(call: &Call<'_>) -> Decision {
    let (target, common) = (OnceCell::new(), call.common);
    let decision = common.faults.decide(|wants_target| {
        let target = wants_target.then(|| target.get_or_init(|| CallTarget::with_data(call)));
        Facts {
            operation: call.operation,
            account: call.caller().account,
            stream: target.and_then(|target| target.stream.as_ref()),
            shard: target.and_then(|target| target.shard.as_deref()),
        }
    });
    for (rule, effect) in &decision.marks {
        tracing::info!(operation = call.operation.name(), rule, effect = effect.name(), "fault injected");
        common.metrics.injected(*effect);
    }
    decision
}

/// Holds the call up, and ends it if it is to end before it does anything.
pub(crate) async fn suffer(call: &Call<'_>) -> Result<(), RequestError> {
    let Decision { latency, outcome, .. } = &call.decision;
    if !latency.is_zero() {
        tokio::time::sleep(*latency).await;
    }
    let Some(outcome) = outcome else { return Ok(()) };
    let (account, operation) = (call.caller().account, call.operation);
    Err(match outcome {
        Outcome::Cut(Cut::AfterEffect) => return Ok(()),
        Outcome::Cut(Cut::BeforeEffect) => RequestError::ConnectionCut(MayHaveHappened::None),
        Outcome::Error(code, message) => RequestError::Injected { code: *code, message: message.clone() },
        Outcome::Throttle => {
            let target = CallTarget::with_data(call);
            let scope = throttled_scope(operation, &target);
            RequestError::CallThrottled { account, operation, scope, target }
        }
        Outcome::ExpireIterator => {
            let now = call.wall();
            let lifetime = call.config.sealer.lifetime();
            let age_ms = u64::try_from((lifetime + EXPIRED_BY).as_millis()).unwrap_or(u64::MAX);
            RequestError::IteratorExpired { issued: WallMs(now.0.saturating_sub(age_ms)), now, lifetime }
        }
    })
}

/// Ends a call without an answer that was to do all it does.
pub(crate) fn conclude(
    decision: &Decision,
    outcome: Result<Answer, RequestError>,
) -> Result<Answer, RequestError> {
    match decision.outcome {
        Some(Outcome::Cut(Cut::AfterEffect)) => Err(RequestError::ConnectionCut(MayHaveHappened::Unknown)),
        _ => outcome,
    }
}

/// Of what the rate is one that is said to be exceeded.
fn throttled_scope(operation: Operation, target: &CallTarget) -> Scope {
    match Limit::Calls(operation).description() {
        Some(described) if described.scope != Scope::Shard || target.shard.is_some() => described.scope,
        None if target.shard.is_some() => Scope::Shard,
        Some(_) | None => Scope::Stream,
    }
}
