//! Envelopes from uids: every server runs under a uid that nobody else has, so that RLIMIT_NPROC counts it alone.
//!
//! For root where no control group can be made (real root itself is not bound by RLIMIT_NPROC). A lab claims a block of
//! uids for its life, so that two labs on one host do not share one; that they do all the same is seen by the probe, whose
//! first uid then has more threads than its own.

use std::{collections::BTreeSet, fs, path::Path};

use parking_lot::Mutex;

use super::{EnvelopeError, EnvelopeKind, claim::Claim, run_name::namespace};

/// Uids in one lab's block: servers of all arms that run at once.
const BLOCK_UIDS: u32 = 4_096;
/// Blocks in the range.
const BLOCKS: u32 = 16;
/// Above the uids that distributions, containers and systemd give out, below 2^31, which old tools read as negative.
const RANGE_START: u32 = 2_000_000_000;

/// A block of uids claimed for this lab.
#[derive(Debug)]
pub(super) struct Block {
    first: u32,
    taken: Mutex<BTreeSet<u32>>,
    _claim: Claim,
}

impl Block {
    /// Claims a block that the current user namespace maps.
    pub(super) fn claim(root: &Path) -> Result<Self, EnvelopeError> {
        let refuse = |reason: String| EnvelopeError::NoController {
            kind: EnvelopeKind::Uid,
            controller: "a uid of its own",
            reason,
        };
        if !nix::unistd::geteuid().is_root() {
            return Err(refuse("only root may become another user".into()));
        }
        let path = root.join("proc/self/uid_map");
        let map = fs::read_to_string(&path).map_err(|source| EnvelopeError::io("read", &path, source))?;
        let start =
            range_start(&map).ok_or_else(|| refuse("this user namespace maps too few uids".into()))?;
        // Containers have networks of their own, where a claim is not seen, and often the host's uids.
        let first = (namespace("net") % u64::from(BLOCKS)) as u32;
        let claim = Claim::first_free_from(first, "uids", BLOCKS)
            .map_err(|source| EnvelopeError::io("claim a block of uids in", &path, source))?
            .ok_or_else(|| refuse(format!("{BLOCKS} labs run already")))?;
        let first = start + claim.number() * BLOCK_UIDS;
        Ok(Self { first, taken: Mutex::default(), _claim: claim })
    }

    /// Takes a uid that no server has; given back with [`Block::give_back`].
    pub(super) fn take(&self) -> Result<u32, EnvelopeError> {
        let mut taken = self.taken.lock();
        let free = (self.first..self.first + BLOCK_UIDS).find(|uid| !taken.contains(uid));
        let uid = free.ok_or(EnvelopeError::UidsExhausted { uids: BLOCK_UIDS })?;
        taken.insert(uid);
        Ok(uid)
    }

    pub(super) fn give_back(&self, uid: u32) {
        self.taken.lock().remove(&uid);
    }
}

/// Where the range starts: at its usual place, else at the top of the largest extent that the namespace maps.
fn range_start(uid_map: &str) -> Option<u32> {
    let size = u64::from(BLOCKS * BLOCK_UIDS);
    let extents = uid_map.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
        let (inside, _outside, count) = (fields.next()??, fields.next()??, fields.next()??);
        Some((inside, inside + count))
    });
    let extents: Vec<_> = extents.collect();
    let usual = u64::from(RANGE_START);
    if extents.iter().any(|&(from, to)| from <= usual && usual + size <= to) {
        return Some(RANGE_START);
    }
    let (from, to) = extents.into_iter().max_by_key(|(from, to)| to - from)?;
    // Half at most: the lower uids of a container are its people's.
    (to - from >= 2 * size).then(|| u32::try_from(to - size).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_lies_inside_what_the_namespace_maps() {
        assert_eq!(range_start("         0          0 4294967295\n"), Some(RANGE_START));
        assert_eq!(range_start("0 100000 262144\n"), Some(262_144 - BLOCKS * BLOCK_UIDS));
        assert_eq!(range_start("0 1000 1\n"), None);
        assert_eq!(range_start(""), None);
    }
}
