//! Empties the workers' queue: merges windows, writes the files, sums up the run.
//!
//! One thread of its own, so that a slow disk never delays a start. Windows of all workers are put together by number
//! and written in order. When a file cannot be written the run is stopped: measurements that nobody will see are not
//! worth taking, and an acknowledged record that is not written down would go unchecked.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};
use weir_core::clock::Monotonic;
use weir_sync::{BoundedQueue, Shutdown};

use crate::{
    acks::{ACK_BYTES, end_mark},
    engine::Part,
    meter::{WindowPart, histogram},
    windows::Naming,
};

/// Which files a run writes.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// A JSON line for each window ([`crate::windows`]).
    pub windows: Option<PathBuf>,
    /// The records that were acknowledged ([`crate::acks`]).
    pub acks: Option<PathBuf>,
    /// Latencies from intended start as an HDR interval log, a line for each window and operation.
    pub hdr: Option<PathBuf>,
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", .path.display())]
pub struct RecordError {
    /// What was done.
    pub operation: &'static str,
    /// To which file.
    pub path: PathBuf,
    /// What came of it.
    pub source: io::Error,
}

/// The run, summed up.
#[derive(Debug, Clone)]
pub struct Totals {
    /// All windows together; its index means nothing.
    pub whole: WindowPart,
    /// When the last call had ended.
    pub end: Monotonic,
}

/// The recorder of one run.
#[derive(Debug)]
pub struct Recorder {
    naming: Naming,
    windows: Option<Output>,
    acks: Option<Output>,
    /// Entries written to `acks`.
    acks_written: u64,
    hdr: Option<Output>,
    /// How many windows each worker has sent; all of them once it has ended.
    sent: Vec<u64>,
    /// Windows that some worker has not sent yet, by number.
    partial: BTreeMap<u64, WindowPart>,
    written: u64,
    totals: Totals,
}

#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    fn create(path: &Path) -> Result<Self, RecordError> {
        let file = File::create(path).map_err(|source| RecordError {
            operation: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        self.file.write_all(bytes).map_err(|source| RecordError {
            operation: "write to",
            path: self.path.clone(),
            source,
        })
    }
}

impl Recorder {
    /// Creates the files, `ack_header` at the head of the acknowledged records.
    pub fn create(
        naming: Naming,
        workers: usize,
        files: &Files,
        ack_header: &[u8],
    ) -> Result<Self, RecordError> {
        let create = |path: &Option<PathBuf>| path.as_deref().map(Output::create).transpose();
        let mut recorder = Self {
            naming,
            windows: create(&files.windows)?,
            acks: create(&files.acks)?,
            acks_written: 0,
            hdr: create(&files.hdr)?,
            sent: vec![0; workers],
            partial: BTreeMap::new(),
            written: 0,
            totals: Totals { whole: WindowPart::new(0), end: Monotonic::ZERO },
        };
        if let Some(acks) = &mut recorder.acks {
            acks.write(ack_header)?;
        }
        if let Some(hdr) = &mut recorder.hdr {
            hdr.write(hdr_header(recorder.naming.wall_start_ms).as_bytes())?;
        }
        Ok(recorder)
    }

    /// Records until each worker has ended. On an error the run is stopped and the queue closed.
    pub fn run(mut self, parts: &BoundedQueue<Part>, stop: &Shutdown) -> Result<Totals, RecordError> {
        let outcome = self.empty(parts);
        if outcome.is_err() {
            stop.begin();
            parts.close();
        }
        outcome.map(|()| self.totals)
    }

    fn empty(&mut self, parts: &BoundedQueue<Part>) -> Result<(), RecordError> {
        let mut running = self.sent.len();
        let mut all_whole = true;
        while running > 0 {
            match parts.pop().expect("closed by the recorder alone, when it fails") {
                Part::Window { worker, window } => {
                    assert_eq!(
                        window.index, self.sent[worker],
                        "a worker's windows come in order, without gaps"
                    );
                    self.sent[worker] += 1;
                    self.totals.whole.merge(&window);
                    self.partial
                        .entry(window.index)
                        .and_modify(|whole| whole.merge(&window))
                        .or_insert(*window);
                }
                Part::Acks(bytes) => {
                    assert_eq!(bytes.len() % ACK_BYTES, 0, "entries come whole");
                    if let Some(acks) = &mut self.acks {
                        acks.write(&bytes)?;
                        self.acks_written += (bytes.len() / ACK_BYTES) as u64;
                    }
                }
                Part::Done { worker, end, whole } => {
                    all_whole &= whole;
                    self.sent[worker] = u64::MAX;
                    self.totals.end = self.totals.end.max(end);
                    running -= 1;
                }
            }
            self.write_whole_windows()?;
        }
        assert!(self.partial.is_empty(), "every window is whole when all workers have ended");
        // Without its mark the file says that something is missing: what a worker that panicked had not handed out yet.
        if let Some(acks) = self.acks.as_mut().filter(|_| all_whole) {
            acks.write(&end_mark(self.acks_written))?;
        }
        Ok(())
    }

    fn write_whole_windows(&mut self) -> Result<(), RecordError> {
        let whole = self.sent.iter().copied().min().unwrap_or(0);
        while let Some(first) = self.partial.first_entry().filter(|first| *first.key() < whole) {
            let window = first.remove();
            assert_eq!(window.index, self.written, "windows are written in order, without gaps");
            self.written += 1;
            self.write_window(&window)?;
        }
        Ok(())
    }

    fn write_window(&mut self, window: &WindowPart) -> Result<(), RecordError> {
        if let Some(windows) = &mut self.windows {
            let mut line = serde_json::to_vec(&self.naming.line(window)).expect("a line is JSON");
            line.push(b'\n');
            windows.write(&line)?;
        }
        if let Some(hdr) = &mut self.hdr {
            hdr.write(&hdr_lines(&self.naming, window))?;
        }
        Ok(())
    }
}

fn hdr_header(wall_start_ms: u64) -> String {
    let seconds = wall_start_ms as f64 / 1e3;
    format!(
        "#[Histogram log format version 1.3]\n#[StartTime: {seconds:.3} (seconds since epoch)]\n\
         #[values: microseconds from intended start]\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

/// Lines of an HDR interval log: one for each operation, over all tenants.
fn hdr_lines(naming: &Naming, window: &WindowPart) -> Vec<u8> {
    let mut by_operation: BTreeMap<&str, Histogram<u64>> = BTreeMap::new();
    for (key, cell) in &window.cells {
        let operation = naming.operations[usize::from(key.operation.0)];
        let sum = by_operation.entry(operation).or_insert_with(histogram);
        sum.add(&cell.latency).expect("histograms grow");
    }
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .begin_log_with(&mut text, &mut serializer)
        .expect("writing to memory does not fail");
    let start = std::time::Duration::from_millis(window.index * naming.window_ms);
    let length = std::time::Duration::from_millis(naming.window_ms);
    for (operation, histogram) in by_operation.iter().filter(|(_, histogram)| !histogram.is_empty()) {
        log.write_histogram(histogram, start, length, Tag::new(operation))
            .expect("writing to memory does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_sync::Overflow;

    use super::*;
    use crate::{
        acks::{Ack, AckReader, AckTarget, header},
        payload::RecordId,
        windows::WindowReader,
    };

    fn window(index: u64, offered: u64) -> Part {
        let mut window = WindowPart::new(index);
        window.offered = offered;
        Part::Window { worker: 0, window: Box::new(window) }
    }

    fn of_worker(worker: usize, part: Part) -> Part {
        match part {
            Part::Window { window, .. } => Part::Window { worker, window },
            other => other,
        }
    }

    fn naming() -> Naming {
        Naming { tenants: vec![], operations: &[], window_ms: 500, wall_start_ms: 0 }
    }

    #[test]
    fn windows_of_workers_that_run_apart_are_put_together_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { windows: Some(folder.path().join("w")), ..Files::default() };
        let recorder = Recorder::create(naming(), 2, &files, b"").unwrap();
        let parts = Arc::new(BoundedQueue::new(16, Overflow::Block));
        for part in [
            window(0, 1),
            window(1, 1),
            window(2, 1),
            of_worker(1, window(0, 10)),
            Part::Done { worker: 0, end: Monotonic(5), whole: true },
            of_worker(1, window(1, 10)),
            Part::Done { worker: 1, end: Monotonic(3), whole: true },
        ] {
            let _ = parts.push(part);
        }
        let totals = recorder.run(&parts, &Shutdown::new()).unwrap();
        assert_eq!((totals.whole.offered, totals.end), (23, Monotonic(5)));
        let mut reader = WindowReader::open(&folder.path().join("w")).unwrap();
        let read: Vec<_> =
            std::iter::from_fn(|| reader.read().unwrap()).map(|w| (w.window, w.offered)).collect();
        assert_eq!(read, [(0, 11), (1, 11), (2, 1)]);
    }

    #[test]
    fn acknowledgements_are_ended_only_when_every_worker_handed_out_all_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        let files = Files { acks: Some(path.clone()), ..Files::default() };
        let header = header(&[AckTarget { tenant: "t".into(), stream: "s".into() }]);
        let id = RecordId { run: 1, number: 1 };
        let ack = Ack { target: 0, shard: 0, id, checksum: 0, sent_ms: 1, acked_ms: 2, sequence_number: "7" };
        for whole in [true, false] {
            let recorder = Recorder::create(naming(), 2, &files, &header).unwrap();
            let parts = BoundedQueue::new(16, Overflow::Block);
            let mut entry = Vec::new();
            assert!(ack.encode(&mut entry));
            for part in [
                Part::Acks(entry.repeat(2)),
                Part::Done { worker: 0, end: Monotonic(5), whole: true },
                Part::Acks(entry),
                Part::Done { worker: 1, end: Monotonic(5), whole },
            ] {
                let _ = parts.push(part);
            }
            recorder.run(&parts, &Shutdown::new()).unwrap();
            let read: Result<Vec<_>, _> = AckReader::open(&path).unwrap().collect();
            assert_eq!(read.ok().map(|acks| acks.len()), whole.then_some(3));
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_stops_the_run() {
        let files = Files { acks: Some("/dev/full".into()), ..Files::default() };
        let error = Recorder::create(naming(), 1, &files, b"header").unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");

        let recorder = Recorder::create(naming(), 1, &files, b"").unwrap();
        let parts = BoundedQueue::new(16, Overflow::Block);
        let stop = Shutdown::new();
        let _ = parts.push(Part::Acks(vec![1; ACK_BYTES]));
        assert!(recorder.run(&parts, &stop).is_err());
        assert!(stop.is_begun() && parts.is_closed());
    }

    #[test]
    fn the_hdr_log_is_read_by_the_librarys_own_reader() {
        use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
        let naming = Naming { tenants: vec!["t".into()], operations: &["PutRecord"], ..naming() };
        let mut part = WindowPart::new(4);
        let key = crate::meter::CellKey {
            tenant: crate::workload::TenantIndex(0),
            operation: crate::workload::OperationIndex(0),
        };
        part.cells.entry(key).or_default().latency.record(1_500).unwrap();
        let mut text = hdr_header(1_000).into_bytes();
        text.extend(hdr_lines(&naming, &part));
        let entries: Vec<_> = IntervalLogIterator::new(&text).collect::<Result<_, _>>().unwrap();
        let found = entries.iter().any(|entry| {
            matches!(entry, LogEntry::Interval(line)
                if line.tag().is_some_and(|tag| tag.as_str() == "PutRecord")
                    && line.start_timestamp() == std::time::Duration::from_secs(2))
        });
        assert!(found, "{}", String::from_utf8_lossy(&text));
    }
}
