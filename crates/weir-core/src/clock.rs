//! Time as a value: the only place of Weir's servers that asks the machine what time it is.
//!
//! State machines take a [`Monotonic`] as an argument; the shells around them ask a [`Clock`]. The simulator drives
//! the same state machines with numbers of its own.

use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Time since some fixed start, in nanoseconds; never goes backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The start of time.
    pub const ZERO: Self = Self(0);

    /// Nanoseconds since the start.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, rest: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Monotonic {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Wall-clock time in milliseconds since 1970: what Kinesis shows as arrival and creation times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallMs(pub u64);

impl WallMs {
    /// Whole seconds since 1970.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}

/// Reads the machine's clocks. Cheap to copy; every copy shares one start.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock for everybody else")]
    #[expect(clippy::new_without_default, reason = "starting a clock is an act, not a default")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since this clock's start.
    pub fn now(&self) -> Monotonic {
        Monotonic(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The standard library's form of `at`, for timed waits.
    pub fn instant(&self, at: Monotonic) -> Instant {
        self.start + Duration::from_nanos(at.0)
    }

    /// Wall-clock time. It may jump; only what is shown to clients may depend on it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock for everybody else")]
    pub fn wall(&self) -> WallMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
