//! How sign-ins end and how long they take, those that have not ended included.
//!
//! A worker that waits for room would otherwise look idle: nothing ends, so nothing is slow and nothing fails. Workers
//! note begin and end, a scrape looks. It holds a bounded number of the latest.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use weir_core::clock::Monotonic;

use crate::service::WorkerIndex;

/// Ended sign-ins that are looked back at.
const LATEST_MAX: usize = 4_096;
/// How far they are looked back at.
const WINDOW: Duration = Duration::from_secs(5);

/// The sign-ins of all workers.
#[derive(Debug)]
pub(super) struct SignInTimes {
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When each worker's sign-in began. It handles one at a time.
    under_way: Vec<Option<Monotonic>>,
    /// When the latest ended, and how long each took.
    latest: VecDeque<(Monotonic, Duration)>,
    ok: u64,
    failed: u64,
}

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInOutcome {
    /// In time.
    Ok,
    /// Too late, or not at all.
    Failed,
}

/// What a scrape sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignIns {
    /// Ended in time, since the start.
    pub(super) ok: u64,
    /// Ended in another way or overdue now.
    pub(super) failed: u64,
    /// Under way for longer than the timeout.
    pub(super) overdue: u64,
    /// Of the last seconds and of those under way; `None` without any.
    pub(super) quantiles: Option<Quantiles>,
}

/// Two percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl SignInTimes {
    /// A sign-in that takes longer than `timeout` has failed.
    pub(super) fn new(workers: usize, timeout: Duration) -> Self {
        let state = State { under_way: vec![None; workers], latest: VecDeque::new(), ok: 0, failed: 0 };
        Self { timeout, state: Mutex::new(state) }
    }

    /// `worker` begins one.
    pub(super) fn begin(&self, worker: WorkerIndex, now: Monotonic) {
        let begun = self.state.lock().under_way[worker.0].replace(now);
        assert_eq!(begun, None, "a worker handles one sign-in at a time");
    }

    /// Its worker has an answer, or (`gave_up`) will never have one.
    pub(super) fn end(&self, worker: WorkerIndex, now: Monotonic, gave_up: bool) -> SignInOutcome {
        let mut state = self.state.lock();
        let begun = state.under_way[worker.0].take().expect("a sign-in begins before it ends");
        let took = now.since(begun);
        if state.latest.len() == LATEST_MAX {
            state.latest.pop_front();
        }
        state.latest.push_back((now, took));
        if gave_up || took > self.timeout {
            state.failed += 1;
            SignInOutcome::Failed
        } else {
            state.ok += 1;
            SignInOutcome::Ok
        }
    }

    /// An overdue sign-in has failed now, not when its worker gets out: by then nobody looks any more.
    pub(super) fn look(&self, now: Monotonic) -> SignIns {
        let state = self.state.lock();
        let ages = || state.under_way.iter().flatten().map(|begun| now.since(*begun));
        let overdue = ages().filter(|age| *age > self.timeout).count() as u64;
        let recent = state.latest.iter().rev().take_while(|(at, _)| now.since(*at) <= WINDOW);
        let times: Vec<Duration> = recent.map(|(_, took)| *took).chain(ages()).collect();
        let (ok, failed) = (state.ok, state.failed + overdue);
        drop(state);
        SignIns { ok, failed, overdue, quantiles: quantiles(times) }
    }
}

fn quantiles(mut times: Vec<Duration>) -> Option<Quantiles> {
    times.sort_unstable();
    // The nearest rank: the smallest value that this share of all is not above.
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Quantiles { p50: at(50)?, p99: at(99)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_sign_in_that_does_not_end_fails_while_it_lasts_and_only_once() {
        let times = SignInTimes::new(2, Duration::from_millis(500));
        assert_eq!(times.look(at(1)).quantiles, None);
        times.begin(WorkerIndex(0), at(10));
        for millis in 10..20 {
            times.begin(WorkerIndex(1), at(millis));
            assert_eq!(times.end(WorkerIndex(1), at(millis + 1), false), SignInOutcome::Ok);
        }
        assert_eq!((times.look(at(510)).failed, times.look(at(511)).failed), (0, 1));
        let stuck = times.look(at(1_010));
        let quantiles = stuck.quantiles.unwrap();
        assert_eq!((stuck.ok, quantiles.p50.as_millis(), quantiles.p99.as_millis()), (10, 1, 1_000));
        assert_eq!(times.end(WorkerIndex(0), at(1_010), false), SignInOutcome::Failed);
        let after = times.look(at(9_000));
        assert_eq!((after.failed, after.overdue), (1, 0));
        assert_eq!(after.quantiles, None, "what is long over is forgotten");
    }

    #[test]
    fn a_sign_in_that_was_given_up_has_failed_however_quick_that_was() {
        let times = SignInTimes::new(1, Duration::from_secs(1));
        times.begin(WorkerIndex(0), at(0));
        assert_eq!(times.end(WorkerIndex(0), at(1), true), SignInOutcome::Failed);
    }
}
