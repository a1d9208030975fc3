//! Time on the CPU: what a routine costs, whatever else the machine does meanwhile.
//!
//! For benches that one thread does alone and without waiting. Whoever waits for a disk or for another thread is
//! measured by the wall clock instead: waiting is what such a bench is about.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use nix::time::ClockId;

/// The CPU time of the measuring thread. Numbers read as with [`WallTime`]; a rate is one a second of CPU.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("Linux counts every thread's CPU time");
        Duration::from(now)
    }

    fn end(&self, begun: Duration) -> Duration {
        self.start() - begun
    }

    fn add(&self, left: &Duration, right: &Duration) -> Duration {
        *left + *right
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};

    use super::*;

    #[test]
    fn waiting_costs_no_cpu_time_and_working_does() {
        let (_kept, never) = sync_channel::<()>(0);
        let begun = CpuTime.start();
        let waited = never.recv_timeout(Duration::from_millis(50));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout));
        let waiting = CpuTime.end(begun);
        assert!(waiting < Duration::from_millis(50), "{waiting:?}");
        let mut turns = 0u64;
        let working = loop {
            turns = std::hint::black_box(turns + 1);
            let working = CpuTime.end(begun);
            if working > waiting {
                break working;
            }
        };
        assert!(working > waiting, "after {turns} turns");
    }
}
