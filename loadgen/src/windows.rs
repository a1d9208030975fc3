//! The windows file: one JSON line for each window of the run, written as the run goes.
//!
//! The recorder writes it, the lab reads it, also while it grows. A call belongs to the window that it was *meant* to
//! start in, so that a stall shows where it began; a window is written once all its calls have ended, in order,
//! without gaps. `wall_ms` is the wall clock at the start of the run plus `start_ms`: it does not jump within a run.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};
use serde::{Deserialize, Serialize};

use crate::meter::{Cell, WindowPart};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowLine {
    /// Windows count from 0.
    pub window: u64,
    /// Start of the window, milliseconds since the start of the run.
    pub start_ms: u64,
    /// The same on the wall clock, milliseconds since 1970.
    pub wall_ms: u64,
    /// Length, milliseconds.
    pub length_ms: u64,
    /// Calls meant to start in the window.
    pub offered: u64,
    /// Of those, the ones that succeeded.
    pub succeeded: u64,
    /// Of those, the ones sent more than a millisecond late, or never.
    pub late_starts: u64,
    /// Of those, the ones that the generator itself came to late; the rest had no free connection.
    pub late_dispatches: u64,
    /// Records acknowledged or brought.
    pub records: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// How the calls ended.
    pub outcomes: Vec<OutcomeLine>,
    /// How long they took.
    pub latencies: Vec<LatencyLine>,
}

/// Calls of one tenant and operation that ended the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeLine {
    /// The tenant.
    pub tenant: String,
    /// The operation.
    pub operation: String,
    /// The error's code; none: success.
    pub code: Option<String>,
    /// How many.
    pub count: u64,
}

/// What a histogram tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyKind {
    /// From intended start to the whole answer, of calls that succeeded.
    Latency,
    /// From the first byte sent to the whole answer, of calls that succeeded.
    Service,
    /// From intended start to the end, of calls that failed.
    Failed,
}

/// A histogram of microseconds. Empty ones are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyLine {
    /// The tenant.
    pub tenant: String,
    /// The operation.
    pub operation: String,
    /// What it tells.
    pub kind: LatencyKind,
    /// Values in it.
    pub count: u64,
    /// HdrHistogram V2 with zlib, in base64, as HdrHistogram's own tools write it.
    pub hdr: String,
}

impl LatencyLine {
    /// The histogram.
    pub fn histogram(&self) -> Result<Histogram<u64>, String> {
        let bytes = base64_simd::STANDARD.decode_to_vec(&self.hdr).map_err(|error| error.to_string())?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
    }
}

/// What a window's numbers mean.
#[derive(Debug, Clone)]
pub struct Naming {
    /// By tenant number.
    pub tenants: Vec<String>,
    /// By operation number.
    pub operations: &'static [&'static str],
    /// Length of a window, milliseconds.
    pub window_ms: u64,
    /// The wall clock at the start of the run.
    pub wall_start_ms: u64,
}

impl Naming {
    /// The line of a whole window.
    pub fn line(&self, window: &WindowPart) -> WindowLine {
        let start_ms = window.index * self.window_ms;
        let mut line = WindowLine {
            window: window.index,
            start_ms,
            wall_ms: self.wall_start_ms + start_ms,
            length_ms: self.window_ms,
            offered: window.offered,
            succeeded: 0,
            late_starts: window.late_starts,
            late_dispatches: window.late_dispatches,
            records: window.records,
            bytes: window.bytes,
            outcomes: Vec::new(),
            latencies: Vec::new(),
        };
        let mut serializer = V2DeflateSerializer::new();
        for (key, cell) in &window.cells {
            let tenant = &self.tenants[usize::from(key.tenant.0)];
            let operation = self.operations[usize::from(key.operation.0)];
            for code in &cell.codes {
                line.succeeded += if code.code.is_none() { code.count } else { 0 };
                line.outcomes.push(OutcomeLine {
                    tenant: tenant.clone(),
                    operation: operation.to_owned(),
                    code: code.code.as_deref().map(str::to_owned),
                    count: code.count,
                });
            }
            for (kind, histogram) in histograms(cell) {
                line.latencies.push(LatencyLine {
                    tenant: tenant.clone(),
                    operation: operation.to_owned(),
                    kind,
                    count: histogram.len(),
                    hdr: encode(&mut serializer, histogram),
                });
            }
        }
        line
    }
}

fn histograms(cell: &Cell) -> impl Iterator<Item = (LatencyKind, &Histogram<u64>)> {
    let all = [
        (LatencyKind::Latency, &cell.latency),
        (LatencyKind::Service, &cell.service),
        (LatencyKind::Failed, &cell.failed),
    ];
    all.into_iter().filter(|(_, histogram)| !histogram.is_empty())
}

fn encode(serializer: &mut V2DeflateSerializer, histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    serializer.serialize(histogram, &mut bytes).expect("writing to memory does not fail");
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// Reads a windows file, again and again while it grows.
#[derive(Debug)]
pub struct WindowReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
}

/// A windows file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WindowReadError {
    /// The file.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was done.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// A line.
    #[error("{} at byte {offset}: {detail}", .path.display())]
    Line {
        /// In which file.
        path: PathBuf,
        /// Where the line starts.
        offset: u64,
        /// What is wrong with it.
        detail: String,
    },
}

impl WindowReader {
    /// Opens the file at its start.
    pub fn open(path: &Path) -> Result<Self, WindowReadError> {
        let file = File::open(path).map_err(|source| WindowReadError::File {
            operation: "open",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), offset: 0 })
    }

    /// The next whole line; `None` while there is none. A line that is still being written is left for later.
    pub fn read(&mut self) -> Result<Option<WindowLine>, WindowReadError> {
        let failed = |operation, source| WindowReadError::File { operation, path: self.path.clone(), source };
        let mut line = String::new();
        let count = self.file.read_line(&mut line).map_err(|source| failed("read", source))?;
        if !line.ends_with('\n') {
            self.file.seek(SeekFrom::Start(self.offset)).map_err(|source| failed("seek", source))?;
            return Ok(None);
        }
        let parsed = serde_json::from_str(&line).map_err(|error| WindowReadError::Line {
            path: self.path.clone(),
            offset: self.offset,
            detail: error.to_string(),
        })?;
        self.offset += count as u64;
        Ok(Some(parsed))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{
        meter::CellKey,
        workload::{OperationIndex, TenantIndex},
    };

    fn sample() -> (Naming, WindowPart) {
        let naming = Naming {
            tenants: vec!["a".into(), "b".into()],
            operations: &["PutRecord", "GetRecords"],
            window_ms: 500,
            wall_start_ms: 1_000_000,
        };
        let mut window = WindowPart::new(3);
        window.offered = 3;
        let cell =
            window.cells.entry(CellKey { tenant: TenantIndex(1), operation: OperationIndex(0) }).or_default();
        cell.count(None);
        cell.count(None);
        cell.count(Some("timeout".into()));
        cell.latency.record_n(1_234, 2).unwrap();
        cell.failed.record(2_000_000).unwrap();
        (naming, window)
    }

    #[test]
    fn a_line_reads_back_with_its_histograms() {
        let (naming, window) = sample();
        let line = naming.line(&window);
        let text = serde_json::to_string(&line).unwrap();
        let again: WindowLine = serde_json::from_str(&text).unwrap();
        assert_eq!(again, line);
        assert_eq!((again.start_ms, again.wall_ms, again.succeeded), (1_500, 1_001_500, 2));
        let kinds: Vec<_> = again.latencies.iter().map(|latency| latency.kind).collect();
        assert_eq!(kinds, [LatencyKind::Latency, LatencyKind::Failed], "empty histograms are left out");
        let histogram = again.latencies[0].histogram().unwrap();
        assert_eq!((histogram.len(), histogram.max()), (2, 1_234));
    }

    #[test]
    fn a_line_that_is_still_being_written_is_read_when_it_is_whole() {
        let (naming, window) = sample();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows.ndjson");
        let text = format!("{}\n", serde_json::to_string(&naming.line(&window)).unwrap());
        let (first, second) = text.split_at(40);
        let mut file = File::create(&path).unwrap();
        let mut reader = WindowReader::open(&path).unwrap();
        assert_eq!(reader.read().unwrap(), None);
        file.write_all(first.as_bytes()).unwrap();
        assert_eq!(reader.read().unwrap(), None);
        file.write_all(second.as_bytes()).unwrap();
        assert_eq!(reader.read().unwrap().unwrap().window, 3);
        assert_eq!(reader.read().unwrap(), None);
    }
}
