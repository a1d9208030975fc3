//! Group commit: appends to the journal that are acknowledged once they are on disk, with 1, 8 and 64 of them waiting at
//! a time, of 1 KiB and of 512 KiB.
//!
//! One thread keeps that many appends in flight, as a node's own thread does for its callers. The baseline puts each
//! append on disk by itself: one write and one fdatasync into a file that was laid out before, with no numbering, no
//! checksum and no index. Runs on the disk that holds cargo's target folder; what was acknowledged is read back.

use std::{
    fs::File,
    num::NonZeroU32,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use tempfile::TempDir;
use weir_benches::{BASELINE, Size, records, run, shards};
use weir_core::{
    batch::Batch,
    clock::Clock,
    id::ShardKey,
    limits::{KIB, MIB, SEGMENT_BYTES},
    threads::Threads,
};
use weir_log::{Append, AppendError, AppendOutcome, Durability, Journal, JournalConfig};

/// How long a case is measured: the largest round takes a tenth of a second.
const MEASURED: Duration = Duration::from_secs(4);

fn main() {
    run::run(group_commit);
}

fn group_commit(criterion: &mut Criterion, size: Size) {
    for (data_bytes, said) in [(KIB, "1KiB"), (512 * KIB, "512KiB")] {
        let batch = records::batch_of(&records::records(1, data_bytes));
        for in_flight in [1, 8, 64] {
            let work = format!("{in_flight} x {said}");
            let mut group = criterion.benchmark_group("group_commit");
            // A round is long: a few in each sample, the same number in all.
            group.sampling_mode(SamplingMode::Flat).measurement_time(MEASURED);
            group.throughput(Throughput::Bytes((in_flight * data_bytes) as u64));
            let mut journal = None;
            group.bench_function(BenchmarkId::new("weir", &work), |bencher| {
                let bench = journal.get_or_insert_with(|| JournalBench::new(size, batch.clone(), in_flight));
                bencher.iter_custom(|rounds| bench.append(rounds));
            });
            if let Some(bench) = journal {
                bench.finish(&work);
            }
            let mut file = None;
            group.bench_function(
                BenchmarkId::new(format!("{BASELINE} one fdatasync each"), &work),
                |bencher| {
                    let bench = file.get_or_insert_with(|| FileBench::new(size, &batch));
                    bencher.iter_custom(|rounds| bench.append(rounds * in_flight as u64));
                },
            );
            if let Some(bench) = file {
                bench.finish();
            }
            group.finish();
        }
    }
}

/// A folder on the disk of cargo's target folder, which `/tmp` need not be.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo makes its folder for temporary files")
}

/// A journal of one shard, and one thread that appends to it.
struct JournalBench {
    folder: TempDir,
    segment_bytes: u64,
    journal: Journal,
    shard: ShardKey,
    batch: Batch,
    in_flight: usize,
    /// The index that the next append must get.
    next: u64,
    /// Syncs that opening took.
    syncs_before: u64,
    answer: SyncSender<Result<AppendOutcome, AppendError>>,
    answers: Receiver<Result<AppendOutcome, AppendError>>,
}

impl JournalBench {
    fn new(size: Size, batch: Batch, in_flight: usize) -> Self {
        let folder = folder();
        let segment_bytes = size.pick(2 * MIB as u64, SEGMENT_BYTES);
        let journal = open(folder.path(), segment_bytes);
        let shard = shards::key(0);
        let owned = shards::owned(0, NonZeroU32::MIN);
        let (opened, heard) = sync_channel(1);
        journal.open_shard(owned, move |outcome| opened.send(outcome).expect("it is awaited"));
        heard.recv().expect("every call is answered").expect("a fresh journal opens a shard");
        let (answer, answers) = sync_channel(in_flight);
        let syncs_before = journal.metrics().syncs;
        Self {
            folder,
            segment_bytes,
            journal,
            shard,
            batch,
            in_flight,
            next: 0,
            syncs_before,
            answer,
            answers,
        }
    }

    /// Appends `rounds` times as many as are in flight, and waits for all. What earlier calls wrote is dropped before,
    /// so that the disk does not fill: the journal then writes into segments that it has used before, as it does in a
    /// node whose retention has come round.
    fn append(&mut self, rounds: u64) -> Duration {
        let clock = Clock::new();
        let (kept, heard) = sync_channel(1);
        self.journal.retain(
            |_| Duration::ZERO,
            clock.wall(),
            move |outcome| kept.send(outcome).expect("it is awaited"),
        );
        heard.recv().expect("every call is answered").expect("old segments can be dropped");

        let appends = rounds * self.in_flight as u64;
        let begun = clock.now();
        let mut sent = 0;
        while sent < appends.min(self.in_flight as u64) {
            self.send();
            sent += 1;
        }
        for _ in 0..appends {
            let outcome = self.answers.recv().expect("every append is answered").expect("the disk takes it");
            assert_eq!(outcome.first, self.next, "answers come in the order of the log");
            self.next += 1;
            if sent < appends {
                self.send();
                sent += 1;
            }
        }
        clock.now().since(begun)
    }

    fn send(&self) {
        let answer = self.answer.clone();
        self.journal.append(Append::new(self.shard, self.batch.clone(), move |outcome| {
            answer.send(outcome).expect("as much room as appends in flight");
        }));
    }

    /// Reads back what was acknowledged and is still kept, from a journal that is opened again.
    fn finish(self, work: &str) {
        let metrics = self.journal.metrics();
        let syncs = metrics.syncs - self.syncs_before;
        assert!(syncs > 0 && metrics.appends == self.next, "acknowledged without a sync: {metrics:?}");
        eprintln!("{work}: {:.1} appends a sync", metrics.appends as f64 / syncs as f64);
        drop(self.journal);
        let journal = open(self.folder.path(), self.segment_bytes);
        let status = &journal.shards()[0];
        assert_eq!(status.tip, self.next, "acknowledged records are missing");
        let mut from = status.oldest;
        while from < status.tip {
            let read =
                journal.read(self.shard, from, 1_000, 4 * MIB).expect("what was acknowledged is readable");
            assert_eq!(read.batches.first().map(|stored| stored.first), Some(from));
            assert!(read.batches.iter().all(|stored| stored.batch == self.batch), "read back otherwise");
            from = read.batches.last().expect("a read below the tip returns a batch").end();
        }
    }
}

fn open(folder: &Path, segment_bytes: u64) -> Journal {
    let config =
        JournalConfig { segment_bytes, ..JournalConfig::new(folder.join("journal"), Durability::Fsync) };
    let (journal, report) = Journal::open(config, &Threads::new(), Clock::new()).expect("the journal opens");
    assert!(report.damage.is_empty(), "{report:?}");
    journal
}

/// A file of the length of a segment, written over and over.
struct FileBench<'a> {
    _folder: TempDir,
    file: File,
    file_bytes: u64,
    body: &'a [u8],
    at: u64,
}

impl<'a> FileBench<'a> {
    fn new(size: Size, batch: &'a Batch) -> Self {
        let folder = folder();
        let file_bytes = size.pick(2 * MIB as u64, SEGMENT_BYTES);
        let options = File::options().read(true).write(true).create_new(true).to_owned();
        let file = options.open(folder.path().join("laid-out")).expect("a fresh file");
        let zeros = vec![0; MIB];
        for at in 0..file_bytes / MIB as u64 {
            file.write_all_at(&zeros, at * MIB as u64).expect("the disk has room");
        }
        file.sync_all().expect("the disk takes it");
        Self { _folder: folder, file, file_bytes, body: batch.body(), at: 0 }
    }

    fn append(&mut self, appends: u64) -> Duration {
        let clock = Clock::new();
        let begun = clock.now();
        for _ in 0..appends {
            if self.at + self.body.len() as u64 > self.file_bytes {
                self.at = 0;
            }
            self.file.write_all_at(self.body, self.at).expect("the disk has room");
            self.file.sync_data().expect("the disk takes it");
            self.at += self.body.len() as u64;
        }
        clock.now().since(begun)
    }

    /// The last append is there.
    fn finish(self) {
        let mut last = vec![0; self.body.len()];
        self.file.read_exact_at(&mut last, self.at - self.body.len() as u64).expect("it was written");
        assert_eq!(last, self.body);
    }
}
