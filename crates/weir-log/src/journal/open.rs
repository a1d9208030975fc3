//! Opening: recovery, then the little that must be mended on disk, then the threads.
//!
//! The only place that joins a recovered state to a running journal.

use std::{
    collections::BTreeMap,
    io::IoSlice,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use weir_core::{
    clock::Clock,
    entropy,
    threads::{JoinHandle, Threads},
};
use weir_sync::{CommitGate, commit_gate::GateLimits};

use super::{
    Journal, JournalConfig, RecoveryReport, Shared,
    active::{Active, Beginning},
    commit::{self, Committer, Start},
    recover::{FolderFacts, Recovered, Tail, Trust, recover},
    rests::Rests,
    rewrite::{Rewriter, Wishes},
};
use crate::{
    disk::{read_exact_at, write_all_at},
    error::{OpenError, StorageError, WriteError},
    facade::{Mutex, RwLock, bounded},
    metrics::Counters,
    segment::{
        Segment, SegmentSequence, beginning_before,
        footer::FooterAt,
        layout::{Layout, REQUESTS_MAX, Recycled, Spares},
        scan::Torn,
        uncovered_before,
    },
    shard::Shard,
    snapshot::Snapshot,
};

/// Zeros written at a time over what is torn.
const WIPE_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a tail that are written again at a time.
const AGAIN_CHUNK_BYTES: usize = 1 << 20;

pub(super) fn open(
    mut config: JournalConfig,
    threads: &Threads,
    clock: Clock,
) -> Result<(Journal, RecoveryReport), OpenError> {
    config.check()?;
    let begun = clock.now();
    let folder_error = |operation, source| StorageError { operation, path: config.folder.clone(), source };
    config.disk.create_folder(&config.folder).map_err(|source| folder_error("make", source))?;
    let lock = config.disk.lock_folder(&config.folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::WouldBlock => OpenError::InUse(config.folder.clone()),
        _ => folder_error("lock", source).into(),
    })?;
    let names = config.disk.list(&config.folder).map_err(|source| folder_error("list", source))?;
    let mut recovered = recover(&config, &names, Trust::Footers)?;
    if let Some(refusal) = recovered.refusal.take() {
        return Err(refusal);
    }
    let facts = recovered.folder.unwrap_or_else(|| FolderFacts {
        key: u32::from_le_bytes(entropy::secret()),
        segment_bytes: config.segment_bytes,
    });
    config.segment_bytes = facts.segment_bytes;
    config.check()?;
    let spares = Arc::new(Spares::adopt(config.layout_config(), &names));
    let Recovered { mut segments, covered, shards, first_segment, tail, mut report, .. } = recovered;
    let last = segments.last().cloned();
    let active = match tail.zip(last) {
        Some((Tail { synced_to, end, footer, torn }, last)) => {
            wipe(&last, torn)?;
            write_again(&last, synced_to, end)?;
            go_on(&config, last, end, footer, &shards)?
        }
        None => {
            let (sequence, snapshot) = (SegmentSequence(1), snapshot_of(&shards, first_segment));
            let now = clock.wall();
            let beginning = Beginning { sequence, key: facts.key, previous_end: 0, now, snapshot };
            // Who starts waits for this: zeros can come when there is time for them.
            let spare = spares.lay_out().map_err(WriteError::no_segment)?;
            let active = Active::begin(&config, spare, beginning)?;
            segments.push(Arc::clone(&active.segment));
            active
        }
    };
    let needed_from = beginning_before(first_segment, &segments);
    let (covered, left) = part_covered(covered, needed_from, &segments, &report);
    let kept = keep_from(needed_from, segments, covered, &config, &spares)?;
    let (requests, wanted) = bounded(REQUESTS_MAX);
    let rewrites = Wishes { waiting: None, requests: requests.clone() };
    let shared = Arc::new(Shared {
        gate: CommitGate::new(GateLimits { items: config.queue_items_max, bytes: config.queue_bytes_max }),
        body_bytes_max: config.body_bytes_max(),
        shards: RwLock::new(shards.into_iter().map(|shard| (shard.key, Arc::new(shard))).collect()),
        segments: RwLock::new(kept),
        spares: Arc::clone(&spares),
        covered: Mutex::new(left),
        rests: Rests::default(),
        names: Mutex::new(()),
        rewrites: Mutex::new(rewrites),
        stopped: OnceLock::new(),
        full: AtomicBool::new(false),
        flushing: AtomicBool::new(false),
        counters: Counters::default(),
        clock,
        _lock: lock,
        config,
    });
    let rewriter = Rewriter::new(Arc::clone(&shared), facts.key);
    let layout = Layout::start(spares, threads, clock, (requests, wanted), rewriter)?;
    let start = Start { shared: Arc::clone(&shared), layout, active, key: facts.key, first_segment };
    let writer = Arc::new(Mutex::new(Some(Committer::new(start))));
    let workers = start_workers(&shared, &writer, threads)?;
    report.took = clock.now().since(begun);
    tell(&report);
    Ok((Journal { shared, writer, workers: Mutex::new(Some(workers)) }, report))
}

/// Starts the threads of the committer. When one is refused, the other ends.
fn start_workers(
    shared: &Arc<Shared>,
    writer: &Arc<commit::Writer>,
    threads: &Threads,
) -> Result<[JoinHandle<()>; 2], OpenError> {
    let gate = DrainGate(Arc::clone(shared));
    let of_both = || (Arc::clone(shared), Arc::clone(writer));
    let ahead = of_both();
    let ahead = threads.spawn("weir-ahead", move || commit::run_ahead(&ahead.0, &ahead.1))?;
    let commit = of_both();
    let commit = threads.spawn("weir-commit", move || {
        let _gate = gate;
        commit::run(&commit.0, &commit.1);
    });
    match commit {
        Ok(commit) => Ok([commit, ahead]),
        Err(refused) => {
            let _ = ahead.join(); // the gate is closed: it ends, and lets go of the folder
            Err(refused.into())
        }
    }
}

/// Writing goes on in `last`, after its footer if it has one: a crash may have come before its trailer. What was found
/// may be in the kernel only, its name as well; it is synced before anybody reads it or is told that it was on disk.
fn go_on(
    config: &JournalConfig,
    last: Arc<Segment>,
    end: u32,
    footer: Option<FooterAt>,
    shards: &[Shard],
) -> Result<Active, StorageError> {
    last.sync(config)?;
    config.sync_names()?;
    let (runs, entries) = indexed_in(shards, last.sequence);
    let active = Active::found(last, end, footer.map(|footer| footer.end), runs, entries);
    if let Some(footer) = footer {
        active.point_at_footer(config, footer.offset)?;
    }
    Ok(active)
}

/// Writes the tail once more as it was found. A sync that failed in the life before may have left pages of it in memory
/// that the kernel takes for clean: they are read, no later sync brings them to the disk, and a loss of power would take
/// them from under records that were acknowledged behind them.
fn write_again(segment: &Segment, from: u32, end: u32) -> Result<(), StorageError> {
    let mut offset = from as usize;
    let mut chunk = vec![0; AGAIN_CHUNK_BYTES.min((end as usize).saturating_sub(offset))];
    while offset < end as usize {
        let chunk = &mut chunk[..AGAIN_CHUNK_BYTES.min(end as usize - offset)];
        let file = segment.file.as_ref();
        read_exact_at(file, offset as u64, chunk)
            .map_err(|source| segment.error("read the tail of", source))?;
        write_all_at(file, offset as u64, &mut [IoSlice::new(chunk)])
            .map_err(|source| segment.error("write again the tail of", source))?;
        offset += chunk.len();
    }
    Ok(())
}

/// Covered files that can go, and those that stay where they are: when something is damaged, they may be the only whole copy as
/// long as what stands for them is kept.
fn part_covered(
    covered: Vec<Arc<Segment>>,
    first: SegmentSequence,
    segments: &[Arc<Segment>],
    report: &RecoveryReport,
) -> (Vec<Arc<Segment>>, Vec<Arc<Segment>>) {
    if report.damage.is_empty() {
        return (covered, Vec::new());
    }
    let covered_to = uncovered_before(first, segments);
    let (going, left): (Vec<_>, Vec<_>) =
        covered.into_iter().partition(|segment| segment.sequence < covered_to);
    for segment in &left {
        tracing::warn!(path = %segment.path.display(), "a file that a rewritten segment covers is left: the log is damaged");
    }
    (going, left)
}

/// Lets go of segments that a crash kept from being dropped, `covered` ones among them.
fn keep_from(
    first: SegmentSequence,
    segments: Vec<Arc<Segment>>,
    covered: Vec<Arc<Segment>>,
    config: &JournalConfig,
    spares: &Spares,
) -> Result<BTreeMap<SegmentSequence, Arc<Segment>>, StorageError> {
    let (mut kept, mut dropped): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.sequence >= first);
    dropped.extend(covered);
    // What is covered goes before what stands for it: alone, it would be taken for what the log begins with.
    dropped.sort_unstable_by_key(|segment| segment.sequence);
    if !dropped.is_empty() {
        let Recycled { left, gone } = spares.recycle(dropped);
        kept.extend(left);
        config.sync_names()?;
        spares.leaving.take(gone);
    }
    Ok(kept.into_iter().map(|segment| (segment.sequence, segment)).collect())
}

/// Closes the gate when the committer ends, however it ends, and answers whoever still waits.
struct DrainGate(Arc<Shared>);

impl Drop for DrainGate {
    fn drop(&mut self) {
        self.0.gate.close();
        let mut rest = Vec::new();
        while !self.0.gate.take(usize::MAX, &mut rest).closed {}
        drop(rest); // each answers that its owner is gone
    }
}

/// Zeros over what was torn off, to be synced with the rest: a whole frame in there would follow the next one written as
/// if it belonged there.
fn wipe(segment: &Segment, torn: Option<Torn>) -> Result<(), StorageError> {
    let Some(torn) = torn else { return Ok(()) };
    let zeros = [0; WIPE_CHUNK_BYTES];
    let mut left = torn.bytes as usize;
    let mut offset = u64::from(torn.offset);
    while left > 0 {
        let chunk = left.min(zeros.len());
        write_all_at(segment.file.as_ref(), offset, &mut [IoSlice::new(&zeros[..chunk])])
            .map_err(|source| segment.error("wipe the torn tail of", source))?;
        left -= chunk;
        offset += chunk as u64;
    }
    Ok(())
}

/// Runs and entries that the footer of `segment` will have.
fn indexed_in(shards: &[Shard], segment: SegmentSequence) -> (usize, usize) {
    let mut counts = (0, 0);
    for shard in shards {
        for run in shard.state.lock().runs.in_segment(segment) {
            counts.0 += 1;
            counts.1 += run.entries.len();
        }
    }
    counts
}

fn snapshot_of(shards: &[Shard], first_segment: SegmentSequence) -> Snapshot {
    Snapshot { first_segment, shards: shards.iter().map(|shard| shard.state.lock().snapshot()).collect() }
}

fn tell(report: &RecoveryReport) {
    let RecoveryReport { segments, shards, records, took, .. } = report;
    tracing::info!(segments, shards, records, ?took, "journal open");
    if let Some(torn) = &report.torn_tail {
        let (path, offset, bytes) = (torn.path.display(), torn.offset, torn.bytes);
        tracing::warn!(%path, offset, bytes, "cut a torn tail: a write that was cut off before its acknowledgement, or the newest, damaged since");
    }
    for damage in &report.damage_not_kept {
        let (path, offset, kind) = (damage.path.display(), damage.offset, damage.kind);
        tracing::warn!(%path, offset, ?kind, "a segment that is no longer kept does not read; no record is lost by it");
    }
    for damage in &report.damage {
        let (path, offset, kind) = (damage.path.display(), damage.offset, damage.kind);
        tracing::error!(%path, offset, ?kind, shards = damage.shards.len(), "the log is damaged");
    }
}
