//! Counts and times what one worker's requests became, by the window of their *intended* start.
//!
//! The engine tells it of every start and of every end; it hands out whole windows in order, each once everything that
//! was meant to start in it has ended. It must never lose a start: what was offered equals what ended, by code.

mod window;

use std::{collections::VecDeque, time::Duration};

use hdrhistogram::Histogram;
use weir_core::clock::Monotonic;

pub use self::window::{Cell, CellKey, CodeCount, WindowPart};
use crate::workload::{Code, OperationIndex, TenantIndex};

/// A start that is sent this long after it was meant to be is late. One millisecond is far above a timer's error here
/// and far below what anybody calls a slow answer.
pub const LATE_AFTER: Duration = Duration::from_millis(1);
/// Significant decimal digits of latencies.
pub const LATENCY_DIGITS: u8 = 3;
/// Different error codes kept apart by one worker. Kinesis has about 30; a server that makes up more is summed up.
const CODES_MAX: usize = 128;
/// The code of errors beyond [`CODES_MAX`].
const OTHER_CODE: &str = "other";
/// Longest code kept, in bytes.
const CODE_BYTES_MAX: usize = 80;

/// An empty histogram of microseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(LATENCY_DIGITS).expect("three digits are within the library's one to five")
}

/// How and when one start ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// When it was meant to start.
    pub intended: Monotonic,
    /// When its first byte was sent; `None` when it never was.
    pub sent: Option<Monotonic>,
    /// When its answer was whole, or when it was given up.
    pub done: Monotonic,
    /// Whose it was.
    pub tenant: TenantIndex,
    /// What it was.
    pub operation: OperationIndex,
    /// How it ended.
    pub code: Code<'a>,
    /// Records acknowledged or brought.
    pub records: u64,
    /// Bytes of their payload.
    pub bytes: u64,
}

/// One worker's books.
#[derive(Debug)]
pub struct Meter {
    start: Monotonic,
    window_nanos: u64,
    /// Windows that are not handed out yet, in order and without gaps.
    open: VecDeque<WindowPart>,
    /// The index of the first open window.
    first: u64,
    codes: Vec<std::sync::Arc<str>>,
}

impl Meter {
    /// Books that start at `start`, in windows of `window`.
    ///
    /// # Panics
    /// When `window` is zero; the configuration checks it.
    pub fn new(start: Monotonic, window: Duration) -> Self {
        let window_nanos = u64::try_from(window.as_nanos()).expect("a window is shorter than 500 years");
        assert!(window_nanos > 0, "a window has a length");
        Self { start, window_nanos, open: VecDeque::new(), first: 0, codes: Vec::new() }
    }

    /// A start is due. `late_dispatch`: the generator itself came to it late.
    pub fn offered(&mut self, intended: Monotonic, late_dispatch: bool) {
        let window = self.window_of(intended);
        window.offered += 1;
        window.outstanding += 1;
        window.late_dispatches += u64::from(late_dispatch);
    }

    /// A start has ended, one way or another.
    pub fn ended(&mut self, ended: &Ended<'_>) {
        let key = CellKey { tenant: ended.tenant, operation: ended.operation };
        let code = match ended.code {
            Code::Success => None,
            Code::Error(code) => Some(self.intern(code)),
        };
        let micros =
            |from: Monotonic| u64::try_from(ended.done.since(from).as_micros()).unwrap_or(u64::MAX).max(1);
        // Never sent, or sent late: both are late starts.
        let late = ended.sent.is_none_or(|sent| sent.since(ended.intended) > LATE_AFTER);
        let window = self.window_of(ended.intended);
        assert!(window.outstanding > 0, "a start ended that was never offered, or ended twice");
        window.outstanding -= 1;
        window.late_starts += u64::from(late);
        window.records += ended.records;
        window.bytes += ended.bytes;
        let cell = window.cells.entry(key).or_default();
        if code.is_none() {
            cell.latency.record(micros(ended.intended)).expect("histograms grow");
            if let Some(sent) = ended.sent {
                cell.service.record(micros(sent)).expect("histograms grow");
            }
        } else {
            cell.failed.record(micros(ended.intended)).expect("histograms grow");
        }
        cell.count(code);
    }

    /// The windows that are complete at `now`: over, and everything meant to start in them has ended.
    pub fn complete(&mut self, now: Monotonic) -> impl Iterator<Item = WindowPart> + '_ {
        let over = now.since(self.start).as_nanos() as u64 / self.window_nanos;
        // A window in which nothing was offered is reported too: silence is data.
        while self.first + (self.open.len() as u64) < over {
            self.open.push_back(WindowPart::new(self.first + self.open.len() as u64));
        }
        let mut ready = 0;
        while self.first + ready < over && self.open[ready as usize].outstanding == 0 {
            ready += 1;
        }
        self.first += ready;
        self.open.drain(..ready as usize)
    }

    /// The moment at which the first window that is not handed out ends.
    pub fn next_end(&self, now: Monotonic) -> Monotonic {
        let over = now.since(self.start).as_nanos() as u64 / self.window_nanos;
        self.start + Duration::from_nanos((over + 1) * self.window_nanos)
    }

    /// Everything that is left, at the end of the run.
    ///
    /// # Panics
    /// When a start has not ended: the engine ends all of them, however the run ends.
    pub fn finish(&mut self) -> impl Iterator<Item = WindowPart> + '_ {
        assert!(self.open.iter().all(|window| window.outstanding == 0), "starts are left without an end");
        self.first += self.open.len() as u64;
        self.open.drain(..)
    }

    fn window_of(&mut self, intended: Monotonic) -> &mut WindowPart {
        let index = intended.since(self.start).as_nanos() as u64 / self.window_nanos;
        assert!(index >= self.first, "window {index} was handed out already; {} is next", self.first);
        while self.first + (self.open.len() as u64) <= index {
            self.open.push_back(WindowPart::new(self.first + self.open.len() as u64));
        }
        &mut self.open[(index - self.first) as usize]
    }

    fn intern(&mut self, code: &str) -> std::sync::Arc<str> {
        let code = if code.len() <= CODE_BYTES_MAX { code } else { OTHER_CODE };
        if let Some(known) = self.codes.iter().find(|known| &***known == code) {
            return known.clone();
        }
        let code = if self.codes.len() < CODES_MAX { code } else { OTHER_CODE };
        let code: std::sync::Arc<str> = code.into();
        self.codes.push(code.clone());
        code
    }
}

#[cfg(test)]
mod tests;
