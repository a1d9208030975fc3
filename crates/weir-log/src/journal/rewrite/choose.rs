//! Which segments are worth rewriting. Pure: sizes in, a group out.
//!
//! The rule is one line: a group of neighbours is rewritten when the file that takes its place is at most half as long as
//! what the group holds. What follows from it:
//!
//! **Write amplification is at most 2.** Let *held* be the bytes in use of all sealed segments. The committer's writing adds
//! to it what it writes. A rewriting of n bytes takes at least 2n away and adds n: *held* falls by n at least. It is never
//! negative, so all bytes that were ever rewritten are at most those that the committer wrote.
//!
//! **Space is at most twice what is kept**, beside the segments that are never looked at: a segment alone is a group, so
//! when nothing is left to be chosen each one keeps more than half of what it holds, with the index and snapshots that a
//! rewriting would write counted as kept.
//!
//! **Files stay few.** A leftover (a rewritten file of half a segment at most) is taken along when a neighbour is due and
//! the new file is at least [`GROWTH`] times as long: so a byte is not copied again for every segment that comes to an end
//! behind it, but each time that its file has doubled. Leftovers that follow one another are each longer than all after
//! them together, or the oldest would have been taken along; and of a leftover and a full segment that were not taken
//! together because they would keep too much, both hold half a segment between them. With two periods there are therefore at
//! most log2(segment / shortest file) + 1 files, 14 in the product, between two that hold a quarter of a segment or more.
//! With each further period files may be smaller by the share that it keeps.

use std::ops::Range;

use crate::segment::SegmentSequence;

/// How many times as long as a leftover a file must be that takes it along.
const GROWTH: u64 = 2;

/// Segments of one group: what lets go of the old files is one slice of work, and they are all open meanwhile.
pub(super) const GROUP_SEGMENTS_MAX: usize = 64;

/// A sealed segment, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) sequence: SegmentSequence,
    /// The first segment that it stands for.
    pub(super) covers_from: SegmentSequence,
    /// Bytes up to the end of its footer.
    pub(super) used_bytes: u64,
    /// Bytes that a rewriting would copy of it, their entries in the footer included.
    pub(super) kept_bytes: u64,
}

/// What files of a folder have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes that a rewritten file has even when it keeps no frame.
    pub(super) empty_bytes: u64,
    /// Bytes of a segment.
    pub(super) segment_bytes: u64,
}

impl Candidate {
    /// Is half of it gone?
    fn is_due(&self) -> bool {
        self.kept_bytes * 2 <= self.used_bytes
    }

    /// Is it so small that it is better taken along?
    fn is_leftover(&self, sizes: Sizes) -> bool {
        self.used_bytes * 2 <= sizes.segment_bytes
    }
}

/// May files that hold `used_bytes` be rewritten into one of `new_bytes`?
pub(super) fn is_worth_it(new_bytes: u64, used_bytes: u64, sizes: Sizes) -> bool {
    new_bytes * 2 <= used_bytes && new_bytes < sizes.segment_bytes
}

/// The oldest group of neighbours that is worth rewriting, as large as it can be and may. `candidates` are in order.
pub(super) fn choose(candidates: &[Candidate], sizes: Sizes) -> Option<Range<usize>> {
    (0..candidates.len()).find_map(|start| {
        let end = last_of_group(&candidates[start..], sizes)?;
        Some(start..start + end + 1)
    })
}

/// Where the largest group ends that begins with the first candidate.
fn last_of_group(candidates: &[Candidate], sizes: Sizes) -> Option<usize> {
    let (mut used_bytes, mut new_bytes, mut leftover_bytes) = (0, sizes.empty_bytes, 0);
    let mut last = None;
    let mut expected = candidates[0].covers_from;
    for (at, candidate) in candidates.iter().enumerate().take(GROUP_SEGMENTS_MAX) {
        used_bytes += candidate.used_bytes;
        new_bytes += candidate.kept_bytes;
        let belongs = candidate.is_due() || candidate.is_leftover(sizes);
        if !candidate.is_due() {
            leftover_bytes = candidate.used_bytes.max(leftover_bytes);
        }
        if candidate.covers_from != expected || !belongs || new_bytes >= sizes.segment_bytes {
            break;
        }
        if is_worth_it(new_bytes, used_bytes, sizes) && new_bytes >= GROWTH * leftover_bytes {
            last = Some(at);
        }
        expected = candidate.sequence.next();
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZES: Sizes = Sizes { empty_bytes: 10, segment_bytes: 1_000 };

    fn candidates(sizes: &[(u64, u64)]) -> Vec<Candidate> {
        let numbered = sizes.iter().zip(1..);
        let candidate = |(&(used_bytes, kept_bytes), number)| {
            let sequence = SegmentSequence(number);
            Candidate { sequence, covers_from: sequence, used_bytes, kept_bytes }
        };
        numbered.map(candidate).collect()
    }

    fn chosen(sizes: &[(u64, u64)]) -> Option<Range<usize>> {
        choose(&candidates(sizes), SIZES)
    }

    #[test]
    fn a_group_is_chosen_when_half_of_it_goes_and_the_rest_fits_one_segment() {
        assert_eq!(chosen(&[(1_000, 490)]), Some(0..1));
        assert_eq!(chosen(&[(1_000, 491)]), None);
        assert_eq!(chosen(&[(1_000, 900), (1_000, 100), (1_000, 100), (1_000, 900)]), Some(1..3));
        assert_eq!(chosen(&[(1_000, 400), (1_000, 400), (1_000, 400)]), Some(0..2), "three do not fit");
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_leftover_is_taken_along_when_its_file_doubles() {
        assert_eq!(chosen(&[(200, 190), (1_000, 200)]), Some(0..2));
        assert_eq!(chosen(&[(200, 190), (1_000, 199)]), Some(1..2));
        assert_eq!(chosen(&[(200, 190), (100, 90), (1_000, 120)]), Some(0..3));
        assert_eq!(chosen(&[(200, 190), (200, 190)]), None, "nothing would be freed");
        assert_eq!(chosen(&[(600, 590), (1_000, 100)]), Some(1..2), "it is no leftover");
        assert_eq!(
            chosen(&[(400, 390), (1_000, 400)]),
            Some(1..2),
            "together they would cost more than they free"
        );
    }

    #[test]
    fn a_group_has_no_more_segments_than_one_slice_lets_go_of() {
        let many = vec![(1_000, 1); 3 * GROUP_SEGMENTS_MAX];
        assert_eq!(chosen(&many), Some(0..GROUP_SEGMENTS_MAX));
    }

    #[test]
    fn a_missing_segment_is_never_covered() {
        let mut candidates = candidates(&[(1_000, 10), (1_000, 10), (1_000, 10)]);
        candidates[2].sequence = SegmentSequence(4);
        candidates[2].covers_from = SegmentSequence(4);
        assert_eq!(choose(&candidates, SIZES), Some(0..2));
        candidates[2].covers_from = SegmentSequence(3);
        assert_eq!(choose(&candidates, SIZES), Some(0..3), "it stands for the third");
    }

    /// A long log of two streams, one of which keeps a share of each segment for ever, tidied as it grows.
    fn grow(shares: &[u64]) -> (Vec<Candidate>, u64, u64) {
        let (mut files, mut appended, mut rewritten) = (Vec::<Candidate>::new(), 0, 0);
        for (number, &share) in shares.iter().enumerate() {
            let sequence = SegmentSequence(number as u64 + 1);
            files.push(Candidate { sequence, covers_from: sequence, used_bytes: 1_000, kept_bytes: share });
            appended += 1_000;
            while let Some(group) = choose(&files, SIZES) {
                let members = &files[group.clone()];
                let kept_bytes = members.iter().map(|member| member.kept_bytes).sum::<u64>();
                let used_bytes = SIZES.empty_bytes + kept_bytes;
                rewritten += used_bytes;
                let (covers_from, sequence) = (members[0].covers_from, members[members.len() - 1].sequence);
                files.splice(group, [Candidate { sequence, covers_from, used_bytes, kept_bytes }]);
            }
        }
        (files, appended, rewritten)
    }

    proptest! {
        #[test]
        fn no_more_is_rewritten_than_was_appended_and_more_than_half_of_each_file_is_kept(
            shares in prop::collection::vec(0..=980u64, 1..200),
        ) {
            let (files, appended, rewritten) = grow(&shares);
            prop_assert!(rewritten <= appended, "{} of {}", rewritten, appended);
            for file in &files {
                prop_assert!((file.kept_bytes + SIZES.empty_bytes) * 2 > file.used_bytes, "{:?}", file);
            }
        }

        #[test]
        fn between_two_files_of_a_quarter_are_few_smaller_ones(shares in prop::collection::vec(0..=490u64, 1..300)) {
            let (files, ..) = grow(&shares);
            let is_small = |file: &Candidate| file.used_bytes * 4 < SIZES.segment_bytes;
            let few = (SIZES.segment_bytes / SIZES.empty_bytes).ilog2() as usize + 1;
            for small in files.chunk_by(|left, right| is_small(left) == is_small(right)) {
                prop_assert!(!is_small(&small[0]) || small.len() <= few, "{:?}", small);
            }
        }
    }

    #[test]
    fn a_small_share_for_ever_costs_little_more_than_itself() {
        let (files, appended, rewritten) = grow(&[20; 400]);
        let most = 4 * (20 * 400) / 1_000 + 7;
        assert!(files.len() <= most, "{} files", files.len());
        assert!(rewritten * 100 <= appended * 15, "{rewritten} of {appended}");
    }
}
