//! One window of one worker, and how the parts of all workers become the whole.
//!
//! Made by the meter, merged by the recorder. Histograms are added bucket by bucket, so that the merge of parts is
//! exactly what one worker would have recorded.

use std::{collections::BTreeMap, sync::Arc};

use hdrhistogram::Histogram;

use super::histogram;
use crate::workload::{OperationIndex, TenantIndex};

/// Calls of one operation of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    /// Whose.
    pub tenant: TenantIndex,
    /// What.
    pub operation: OperationIndex,
}

/// How many calls ended with one code; `None` is success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeCount {
    /// The code.
    pub code: Option<Arc<str>>,
    /// How many.
    pub count: u64,
}

/// What became of the calls of one operation of one tenant. Times are in microseconds.
#[derive(Debug, Clone)]
pub struct Cell {
    /// By code, in order of first appearance.
    pub codes: Vec<CodeCount>,
    /// From intended start to the whole answer, of the calls that succeeded.
    pub latency: Histogram<u64>,
    /// From the first byte sent to the whole answer, of the calls that succeeded.
    pub service: Histogram<u64>,
    /// From intended start to the end, of the calls that failed.
    pub failed: Histogram<u64>,
}

impl Default for Cell {
    fn default() -> Self {
        Self { codes: Vec::new(), latency: histogram(), service: histogram(), failed: histogram() }
    }
}

impl Cell {
    /// One more call ended with `code`.
    pub fn count(&mut self, code: Option<Arc<str>>) {
        self.add(code, 1);
    }

    fn add(&mut self, code: Option<Arc<str>>, count: u64) {
        match self.codes.iter_mut().find(|known| known.code == code) {
            Some(known) => known.count += count,
            None => self.codes.push(CodeCount { code, count }),
        }
    }

    /// Adds what another worker or window saw.
    pub fn merge(&mut self, other: &Self) {
        for code in &other.codes {
            self.add(code.code.clone(), code.count);
        }
        self.latency.add(&other.latency).expect("histograms grow");
        self.service.add(&other.service).expect("histograms grow");
        self.failed.add(&other.failed).expect("histograms grow");
    }
}

/// What was meant to start in one window, as one worker (or, merged, all of them) saw it.
#[derive(Debug, Clone)]
pub struct WindowPart {
    /// Windows count from 0 at the start of the run.
    pub index: u64,
    /// Starts meant for this window.
    pub offered: u64,
    /// Of those, not ended yet.
    pub outstanding: u64,
    /// Of those, sent more than [`super::LATE_AFTER`] after they were meant to be, or never.
    pub late_starts: u64,
    /// Of those, late because the generator itself was: it came to them late. The rest had no free connection.
    pub late_dispatches: u64,
    /// Records acknowledged or brought.
    pub records: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// By tenant and operation.
    pub cells: BTreeMap<CellKey, Cell>,
}

impl WindowPart {
    /// A window in which nothing has happened.
    pub fn new(index: u64) -> Self {
        Self {
            index,
            offered: 0,
            outstanding: 0,
            late_starts: 0,
            late_dispatches: 0,
            records: 0,
            bytes: 0,
            cells: BTreeMap::new(),
        }
    }

    /// Adds another worker's part of this window, or another window to a total.
    pub fn merge(&mut self, other: &Self) {
        self.offered += other.offered;
        self.outstanding += other.outstanding;
        self.late_starts += other.late_starts;
        self.late_dispatches += other.late_dispatches;
        self.records += other.records;
        self.bytes += other.bytes;
        for (key, cell) in &other.cells {
            self.cells.entry(*key).or_default().merge(cell);
        }
    }

    /// Calls that ended, by code.
    pub fn codes(&self) -> Vec<CodeCount> {
        let mut all = Cell::default();
        for cell in self.cells.values() {
            for code in &cell.codes {
                all.add(code.code.clone(), code.count);
            }
        }
        all.codes
    }
}
