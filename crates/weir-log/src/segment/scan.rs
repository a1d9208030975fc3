//! Reads a segment frame by frame where no footer vouches for it, and judges what does not read.
//!
//! Pure: bytes in, findings out; recovery acts on them. The judgement that matters is torn or damaged. A torn tail is
//! what a crash leaves of writes that were never acknowledged, and is cut; the newest group of a log that was not closed looks
//! like one when it is damaged, for nothing behind it proves it. A damaged place lies before something that was written after
//! it had been synced, and must never be passed over in silence.

use weir_core::checksum::crc32c;

use crate::frame::{FRAME_HEADER_BYTES, FrameHeader};

/// What is known about where the frames end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The next segment's head says so.
    At(u32),
    /// This is the last segment: the end is to be found. Frames cannot pass this offset.
    Before(u32),
}

/// Something found, in order of offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A whole frame with right checksums.
    Frame(u32, FrameHeader),
    /// Bytes that were synced once and are no frame now.
    Damage(Damaged),
}

/// A place that was synced once and does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged {
    pub(crate) offset: u32,
    /// The header, when it is only the body that does not read.
    pub(crate) header: Option<FrameHeader>,
}

/// A segment's frames and what is between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) findings: Vec<Finding>,
    /// The offset after the last frame: where the next one goes.
    pub(crate) end: u32,
    /// What is left of writes that were cut off, after `end`.
    pub(crate) torn: Option<Torn>,
}

/// The remains of writes that were not acknowledged: to be overwritten with zeros before `end` is written to, or a
/// whole frame among them would follow the next one as if it belonged there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

enum Reading {
    Whole(FrameHeader),
    BadBody(FrameHeader),
    Nothing,
}

/// Scans `bytes` (the file from its start, perhaps cut short) from offset `from` on. `fresh` says that the file held
/// zeros before, so that any other byte behind the end was written by this segment.
pub(crate) fn scan(bytes: &[u8], salt: u32, from: u32, end: End, fresh: bool) -> Scan {
    let limit = match end {
        End::At(offset) | End::Before(offset) => bytes.len().min(offset as usize),
    };
    let bytes = &bytes[..limit];
    let mut scan = Scan { findings: Vec::new(), end: from, torn: None };
    let mut later = Later::default();
    loop {
        let offset = scan.end;
        if end == End::At(offset) {
            return scan;
        }
        let (header, resume) = match read(bytes, salt, offset) {
            Reading::Whole(header) => {
                scan.findings.push(Finding::Frame(offset, header));
                scan.end = after(offset, &header);
                continue;
            }
            Reading::BadBody(header) => (Some(header), after(offset, &header)),
            Reading::Nothing => (None, offset.saturating_add(1)),
        };
        let next = later.look(bytes, salt, resume);
        let synced_since = next.is_some_and(|next| next.synced_to_max > offset);
        match end {
            End::Before(_) if !synced_since => {
                let ghosts_end = next.and_then(|_| later.end());
                scan.torn = torn(bytes, offset, header, ghosts_end, fresh);
                return scan;
            }
            End::Before(_) | End::At(_) => {
                scan.findings.push(Finding::Damage(Damaged { offset, header }));
                scan.end = match (header, next, end) {
                    (Some(_), ..) => resume,
                    (None, Some(next), _) => next.offset,
                    (None, None, End::At(known)) => known,
                    (None, None, End::Before(_)) => unreachable!("without later frames it is a torn tail"),
                };
            }
        }
    }
}

fn after(offset: u32, header: &FrameHeader) -> u32 {
    offset.saturating_add(u32::try_from(header.frame_bytes()).unwrap_or(u32::MAX))
}

fn read(bytes: &[u8], salt: u32, offset: u32) -> Reading {
    let Some(rest) = bytes.get(offset as usize..) else { return Reading::Nothing };
    let Some(header) = FrameHeader::decode(rest, salt, offset) else { return Reading::Nothing };
    match rest.get(FRAME_HEADER_BYTES..header.frame_bytes()) {
        Some(body) if crc32c(body) == header.body_crc => Reading::Whole(header),
        Some(_) | None => Reading::BadBody(header),
    }
}

/// The proven headers behind a place that does not read. They serve the next such place, too, where the way to it is the same:
/// looked for anew at each, thousands of places would take hours.
#[derive(Debug, Default)]
struct Later {
    found: Vec<Proven>,
}

/// A header behind such a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proven {
    offset: u32,
    /// The offset after its frame.
    end: u32,
    /// The greatest `synced_to` of this header and those behind it.
    synced_to_max: u32,
}

impl Later {
    /// The first proven header at or after `from`. It costs little as long as `from` rises from call to call.
    fn look(&mut self, bytes: &[u8], salt: u32, from: u32) -> Option<Proven> {
        let next = self.found.partition_point(|proven| proven.offset < from);
        // A walk from behind a frame that was found meets the same headers; one from within it may take its data for one.
        let is_on_the_way = next.checked_sub(1).is_some_and(|before| self.found[before].end <= from);
        if is_on_the_way {
            return self.found.get(next).copied();
        }
        self.found = headers_from(bytes, salt, from);
        self.found.first().copied()
    }

    /// The offset after the last of them.
    fn end(&self) -> Option<u32> {
        self.found.last().map(|last| last.end)
    }
}

/// Every proven header at or after `from`, hopping over each one's body: what a record's data looks like is never
/// asked.
fn headers_from(bytes: &[u8], salt: u32, from: u32) -> Vec<Proven> {
    let mut found: Vec<Proven> = Vec::new();
    let mut at = from as usize;
    while let Some(candidate) = FrameHeader::next_candidate(bytes, at) {
        let offset = u32::try_from(candidate).expect("segments are shorter");
        match FrameHeader::decode(&bytes[candidate..], salt, offset) {
            Some(header) => {
                let (end, synced_to_max) = (after(offset, &header), header.synced_to);
                found.push(Proven { offset, end, synced_to_max });
                at = candidate + header.frame_bytes();
            }
            None => at = candidate + 1,
        }
    }
    let mut greatest = 0;
    for proven in found.iter_mut().rev() {
        greatest = greatest.max(proven.synced_to_max);
        proven.synced_to_max = greatest;
    }
    found
}

fn torn(
    bytes: &[u8],
    offset: u32,
    header: Option<FrameHeader>,
    ghosts_end: Option<u32>,
    fresh: bool,
) -> Option<Torn> {
    let own_end = header.map(|header| after(offset, &header));
    let written_end = if fresh { last_nonzero(bytes, offset as usize) } else { None };
    let end = own_end.max(ghosts_end).max(written_end)?;
    let end = end.min(u32::try_from(bytes.len()).expect("segments are shorter"));
    Some(Torn { offset, bytes: end.checked_sub(offset).filter(|&bytes| bytes > 0)? })
}

/// The offset after the last byte from `from` on that is not zero.
fn last_nonzero(bytes: &[u8], from: usize) -> Option<u32> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let rest = bytes.get(from..)?;
    let block = rest.chunks(ZEROS.len()).rposition(|chunk| *chunk != ZEROS[..chunk.len()])?;
    let start = from + block * ZEROS.len();
    let chunk = &bytes[start..bytes.len().min(start + ZEROS.len())];
    let last = chunk.iter().rposition(|&byte| byte != 0)?;
    u32::try_from(start + last + 1).ok()
}

#[cfg(test)]
mod tests;
