//! Whether to try again, and when: a pure decision over the error and the attempt.
//!
//! Clients ask it after each failure. It never retries without a bound, never without a pause, and never repeats a
//! write that may have happened unless the caller has said that duplicates are welcome.

use std::time::Duration;

use weir_core::effect::Effect;

use crate::error::CallError;

/// How calls are retried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts of one call, the first one included. At least 1.
    pub attempts_max: u32,
    /// The mean pause before the second attempt is half of this; it doubles with each further one.
    pub pause: Duration,
    /// No pause is longer.
    pub pause_max: Duration,
    /// What to do with a write that may have happened.
    pub unknown_writes: UnknownWrites,
}

/// What to do with a write that failed after it may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownWrites {
    /// Repeat it: at least once, as the AWS SDKs do.
    Repeat,
    /// Tell the caller: at most once.
    Report,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Try again after the pause.
    Again {
        /// How long to wait before.
        after: Duration,
    },
    /// Hand the error to the caller.
    GiveUp,
}

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// How many were made, this one included.
    pub number: u32,
    /// Does the call change anything?
    pub writes: bool,
    /// What came of it.
    pub error: &'a CallError,
}

impl RetryPolicy {
    /// One attempt, no retries.
    pub const NEVER: Self = Self {
        attempts_max: 1,
        pause: Duration::ZERO,
        pause_max: Duration::ZERO,
        unknown_writes: UnknownWrites::Report,
    };

    /// As the AWS SDKs retry: three attempts, pauses from 100 ms, at least once.
    pub const SDK: Self = Self {
        attempts_max: 3,
        pause: Duration::from_millis(100),
        pause_max: Duration::from_secs(20),
        unknown_writes: UnknownWrites::Repeat,
    };

    /// Decides. `jitter` is a random number from 0 up to 1: clients that failed together must not return together.
    pub fn decide(&self, attempt: Attempt<'_>, jitter: f64) -> RetryDecision {
        let may_repeat = !attempt.writes
            || attempt.error.effect() == Effect::None
            || self.unknown_writes == UnknownWrites::Repeat;
        if attempt.number >= self.attempts_max || !may_help(attempt.error) || !may_repeat {
            return RetryDecision::GiveUp;
        }
        let doubled = self.pause.saturating_mul(1u32.checked_shl(attempt.number - 1).unwrap_or(u32::MAX));
        RetryDecision::Again { after: doubled.min(self.pause_max).mul_f64(jitter.clamp(0.0, 1.0)) }
    }
}

/// Could another attempt end differently?
fn may_help(error: &CallError) -> bool {
    match error {
        CallError::NoEndpoint
        | CallError::Endpoints(_)
        | CallError::Connect { .. }
        | CallError::ClosedBefore { .. }
        | CallError::Broken { .. }
        | CallError::Timeout { .. } => true,
        CallError::Service { status, code, .. } => *status >= 500 || is_passing(code),
        CallError::Encode(_) | CallError::Answer { .. } => false,
    }
}

/// Is this code of the service one that passes by itself? Also for the records of a `PutRecords`.
pub fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "ThrottlingException"
            | "RequestTimeoutException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "InternalFailure"
            | "InternalFailureException"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn service(status: u16, code: &str) -> CallError {
        CallError::Service { status, code: code.into(), message: None }
    }

    fn timeout() -> CallError {
        let endpoint = "http://127.0.0.1:1".parse().unwrap();
        CallError::Timeout { endpoint, timeout: Duration::from_secs(1) }
    }

    fn decide(policy: RetryPolicy, number: u32, writes: bool, error: &CallError) -> RetryDecision {
        policy.decide(Attempt { number, writes, error }, 1.0)
    }

    #[test]
    fn a_write_that_may_have_happened_is_repeated_only_where_duplicates_are_welcome() {
        let careful = RetryPolicy { unknown_writes: UnknownWrites::Report, ..RetryPolicy::SDK };
        assert_eq!(decide(careful, 1, true, &timeout()), RetryDecision::GiveUp);
        assert_ne!(decide(RetryPolicy::SDK, 1, true, &timeout()), RetryDecision::GiveUp);
        assert_ne!(decide(careful, 1, false, &timeout()), RetryDecision::GiveUp, "a read may be repeated");
        let throttled = service(400, "ProvisionedThroughputExceededException");
        assert_ne!(decide(careful, 1, true, &throttled), RetryDecision::GiveUp, "nothing happened");
    }

    #[test]
    fn what_will_not_pass_is_not_retried() {
        for error in [service(400, "ResourceNotFoundException"), service(400, "ValidationException")] {
            assert_eq!(decide(RetryPolicy::SDK, 1, false, &error), RetryDecision::GiveUp);
        }
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        let policy = RetryPolicy { attempts_max: 100, pause_max: Duration::from_secs(1), ..RetryPolicy::SDK };
        let after = |number| match decide(policy, number, false, &timeout()) {
            RetryDecision::Again { after } => after.as_millis(),
            RetryDecision::GiveUp => panic!("gave up at {number}"),
        };
        assert_eq!([1, 2, 3, 4, 5, 60].map(after), [100, 200, 400, 800, 1_000, 1_000]);
    }

    proptest! {
        #[test]
        fn attempts_are_bounded_and_jitter_only_shortens(number in 1..1_000u32, max in 1..50u32, jitter in 0.0..1.0f64) {
            let policy = RetryPolicy { attempts_max: max, ..RetryPolicy::SDK };
            match policy.decide(Attempt { number, writes: false, error: &timeout() }, jitter) {
                RetryDecision::Again { after } => {
                    prop_assert!(number < max);
                    prop_assert!(after <= policy.pause_max);
                }
                RetryDecision::GiveUp => prop_assert!(number >= max),
            }
        }
    }
}
