//! A look into a journal's folder that changes nothing in it, for people who want to know what is there and what is broken.
//!
//! Recovery's own eyes: what a survey calls damaged, an opening calls damaged or refuses to write behind. A journal that is being written may
//! be surveyed, too; its newest records may then look like a torn tail, and a segment that is dropped meanwhile
//! like one that was cut short.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use weir_core::clock::WallMs;

use super::{
    Durability, JournalConfig, RecoveryReport, ShardStatus,
    recover::{Recovered, SegmentRead, Trust, recover},
};
use crate::{
    disk::{Disk, ReadOnlyDisk},
    error::{OpenError, StorageError},
    segment::{beginning_before, layout::is_spare},
};

/// Looks at a folder in which names come and go meanwhile.
const LOOKS_MAX: u32 = 5;

/// How closely a survey looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Footers are believed, as an opening believes them: the rest is read.
    Footers,
    /// Every frame of every segment is read and its checksum compared.
    Frames,
}

/// What is in a journal's folder.
#[derive(Debug)]
pub struct Survey {
    /// Bytes of a segment; none where there is none.
    pub segment_bytes: Option<u64>,
    /// The segments, in order.
    pub segments: Vec<SegmentSurvey>,
    /// Files of a segment's length that are nobody's yet.
    pub spares: usize,
    /// Files that are left of segments which a rewritten one stands for, too: an opening removes them.
    pub covered: usize,
    /// The shards, in order.
    pub shards: Vec<ShardStatus>,
    /// What an opening would have to say.
    pub report: RecoveryReport,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSurvey {
    /// Its file.
    pub path: PathBuf,
    /// Its number.
    pub number: u64,
    /// When it was begun; none: its head does not read.
    pub begun: Option<WallMs>,
    /// Bytes from the file's start to the end of its last frame.
    pub used_bytes: u64,
    /// Its footer reads.
    pub has_footer: bool,
    /// It was read frame by frame, in whole or in part.
    pub was_scanned: bool,
    /// What it is kept for.
    pub kept_for: KeptFor,
    /// How many segments it stands for, itself the last, if it was rewritten.
    pub stands_for: Option<u32>,
}

/// What a segment is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptFor {
    /// Its records.
    Records,
    /// Its records are no longer kept. It is the newest that tells what shards there were, or lies between that one and the
    /// first whose records are kept. An opening that can write what that one lacks lets go of it.
    Shards,
    /// Nothing: an opening lets go of it.
    Nothing,
}

impl Survey {
    /// Surveys the journal in `folder`.
    ///
    /// # Errors
    /// [`OpenError`], where nothing can be told of what is there: no head of a segment reads, or the disk refuses.
    pub fn of(folder: &Path, depth: Depth) -> Result<Self, OpenError> {
        Self::on(Arc::new(ReadOnlyDisk), folder, depth)
    }

    /// Surveys the journal in `folder` of a disk. It asks for nothing that would change it.
    pub(super) fn on(disk: Arc<dyn Disk>, folder: &Path, depth: Depth) -> Result<Self, OpenError> {
        let config = JournalConfig { disk, ..JournalConfig::new(folder, Durability::Os) };
        let trust = match depth {
            Depth::Footers => Trust::Footers,
            Depth::Frames => Trust::Frames,
        };
        let list = || {
            let list = config.disk.list(folder);
            list.map_err(|source| StorageError { operation: "list", path: folder.to_owned(), source })
        };
        let mut looks = 1;
        let (names, recovered) = loop {
            let names = list()?;
            match recover(&config, &names, trust) {
                // Its server let go of a segment meanwhile.
                Err(OpenError::Storage(error))
                    if error.source.kind() == io::ErrorKind::NotFound && looks < LOOKS_MAX =>
                {
                    looks += 1;
                }
                recovered => break (names, recovered?),
            }
        };
        let Recovered { segments, covered, shards, folder: facts, first_segment, report, read, .. } =
            recovered;
        let needed_from = beginning_before(first_segment, &segments);
        let kept_for = |sequence| match sequence {
            _ if sequence >= first_segment => KeptFor::Records,
            _ if sequence >= needed_from => KeptFor::Shards,
            _ => KeptFor::Nothing,
        };
        let surveyed = segments.iter().zip(read).map(|(segment, read)| {
            let SegmentRead { begun, used_bytes, has_footer, was_scanned, stands_for } = read;
            SegmentSurvey {
                path: segment.path.clone(),
                number: segment.sequence.0,
                begun,
                used_bytes,
                has_footer,
                was_scanned,
                kept_for: kept_for(segment.sequence),
                stands_for,
            }
        });
        Ok(Self {
            segment_bytes: facts.map(|facts| facts.segment_bytes),
            segments: surveyed.collect(),
            spares: names.iter().filter(|name| is_spare(name)).count(),
            covered: covered.len(),
            shards: shards.iter().map(|shard| ShardStatus::of(folder, &shard.state.lock())).collect(),
            report,
        })
    }

    /// Is everything there that was acknowledged, and in order?
    pub fn is_whole(&self) -> bool {
        self.report.damage.is_empty() && self.shards.iter().all(|shard| shard.damage.is_none())
    }
}
