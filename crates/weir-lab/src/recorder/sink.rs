//! Where an arm's records go: to the result's folder at once, and into memory for the judge.
//!
//! The arm's thread (phases, events) and the recorder's thread (samples) share one; whoever comes second waits for a line to
//! be buffered, never for a disk: only [`Sink::flush`] writes.

use parking_lot::Mutex;
use weir_core::clock::{Clock, Monotonic};

use crate::series::{
    ArmSeries, ArmSetup, At, Record,
    store::{ResultFolder, SeriesWriter, StoreError},
};

/// The clock of an arm: milliseconds since its zero. Arms that run at the same time share the zero.
#[derive(Debug, Clone, Copy)]
pub struct ArmClock {
    clock: Clock,
    zero: Monotonic,
}

impl ArmClock {
    /// Counts from now.
    pub fn start(clock: Clock) -> Self {
        Self { clock, zero: clock.now() }
    }

    /// Now.
    pub fn at(&self) -> At {
        let millis = self.clock.now().since(self.zero).as_millis();
        At(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// The machine's clock.
    pub fn machine(&self) -> Clock {
        self.clock
    }

    /// The wall clock at zero, milliseconds since 1970: for rows of other processes.
    pub fn wall_zero_ms(&self) -> u64 {
        self.clock.wall().0.saturating_sub(self.at().0)
    }
}

/// One arm's records.
#[derive(Debug)]
pub struct Sink {
    clock: ArmClock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: SeriesWriter,
    series: ArmSeries,
    failed: Option<StoreError>,
}

impl Sink {
    /// Starts an arm's files.
    pub fn create(folder: &ResultFolder, setup: ArmSetup, clock: ArmClock) -> Result<Self, StoreError> {
        let writer = folder.write_arm(&setup)?;
        let inner = Inner { writer, series: ArmSeries::new(setup), failed: None };
        Ok(Self { clock, inner: Mutex::new(inner) })
    }

    /// The arm's clock.
    pub fn clock(&self) -> ArmClock {
        self.clock
    }

    /// Takes a record. A failure to store it is told by the next [`Sink::flush`].
    pub fn push(&self, record: Record) {
        let mut inner = self.inner.lock();
        if let Err(error) = inner.writer.write(&record) {
            inner.failed.get_or_insert(error);
        }
        inner.series.push(record);
    }

    /// Brings what was written to the file system.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        match inner.failed.take() {
            Some(error) => Err(error),
            None => inner.writer.flush(),
        }
    }

    /// Looks at the series so far.
    pub fn look<T>(&self, look: impl FnOnce(&ArmSeries) -> T) -> T {
        look(&self.inner.lock().series)
    }
}
