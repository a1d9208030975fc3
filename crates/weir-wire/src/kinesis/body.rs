//! The memory that an answer is written into, and what becomes of it when the answer has gone out.
//!
//! The encodings write here; the connection sends it and lets it go. Base64 is written over zeros or over what stood there
//! before, for its codec takes no memory that was never written. To a reader who catches up zeros cost as much as the checksum
//! of what is read, so large memory goes to the next answer on the thread that lets go of it. A body must never show a byte
//! that was not written for it.

use std::{
    cell::RefCell,
    mem,
    ops::{Deref, Range},
};

use bytes::Bytes;
use weir_core::limits::{KIB, MIB};

/// Bodies that a thread keeps: it writes one at a time, and one may still be on its way.
const KEPT: usize = 2;
/// Bytes of the smallest body that is kept: a smaller one is soon zeroed.
const KEPT_BYTES_MIN: usize = 64 * KIB;
/// Bytes of the largest body that is kept: a page of a thousand records of a kibibyte is one.
const KEPT_BYTES_MAX: usize = 2 * MIB;
/// Bodies that are kept have a multiple of so many bytes: one fits where another was a little larger or smaller.
const STEP_BYTES: usize = 64 * KIB;
/// Bytes of a body that begins without room.
const FIRST_BYTES: usize = 64;

thread_local! {
    /// Memory of bodies that this thread let go of, the last one at the end.
    static LEFT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A body that grows; what is written of it is read as a slice.
#[derive(Debug, Default)]
pub struct Body {
    /// All of it may be written to.
    room: Vec<u8>,
    /// Bytes of it that are the body.
    written: usize,
}

impl Body {
    /// An empty body with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let room = if bytes < KEPT_BYTES_MIN {
            vec![0; bytes]
        } else {
            let bytes = bytes.next_multiple_of(STEP_BYTES);
            left(bytes).unwrap_or_else(|| vec![0; bytes])
        };
        Self { room, written: 0 }
    }

    /// Bytes that it takes in memory, written or not.
    pub fn capacity(&self) -> usize {
        self.room.capacity()
    }

    /// The next `bytes`, all of which the caller writes.
    #[inline]
    pub(super) fn next(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.written;
        let end = start + bytes;
        if end > self.room.len() {
            self.grow(end);
        }
        self.written = end;
        &mut self.room[start..end]
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.room.resize(bytes.max(2 * self.room.len()).max(FIRST_BYTES), 0);
    }

    /// Appends a byte.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.next(1)[0] = byte;
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.next(bytes.len()).copy_from_slice(bytes);
    }

    /// Appends a copy of a part of what is written, and gives the copy.
    #[inline]
    pub(super) fn again(&mut self, part: Range<usize>) -> &mut [u8] {
        let start = self.written;
        self.next(part.len());
        let (before, copy) = self.room[..self.written].split_at_mut(start);
        copy.copy_from_slice(&before[part]);
        copy
    }

    /// Moves all that is written from `from` on, so that it begins at `to`; what lies between is the caller's to write.
    pub(super) fn move_end(&mut self, from: usize, to: usize) {
        let end = self.written;
        self.next(to.saturating_sub(from));
        self.room.copy_within(from..end, to);
        self.written = end - from + to;
    }

    /// What is written, to be changed.
    pub(super) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.room[..self.written]
    }

    /// Will its memory be kept when it is let go of?
    fn is_kept(&self) -> bool {
        (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&self.room.len())
    }
}

/// Memory of at least so many bytes, and not of much more, that this thread let go of.
fn left(bytes: usize) -> Option<Vec<u8>> {
    LEFT.with_borrow_mut(|left| {
        let at = left.iter().rposition(|room| (bytes..=2 * bytes).contains(&room.len()))?;
        Some(left.remove(at))
    })
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.is_kept() {
            return;
        }
        let room = mem::take(&mut self.room);
        // Where the thread ends, nothing is kept any more.
        let _ = LEFT.try_with(|left| {
            let mut left = left.borrow_mut();
            if left.len() == KEPT {
                left.remove(0);
            }
            left.push(room);
        });
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room[..self.written]
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Write for Body {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.extend(text.as_bytes());
        Ok(())
    }
}

impl From<Body> for Vec<u8> {
    /// The body in memory that is not given to another.
    fn from(mut body: Body) -> Self {
        let mut bytes = mem::take(&mut body.room);
        bytes.truncate(body.written);
        bytes
    }
}

impl From<Body> for Bytes {
    fn from(body: Body) -> Self {
        if body.is_kept() { Self::from_owner(body) } else { Vec::from(body).into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// What may be done to a body; places are parts of a thousand of what is written by then.
    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Extend(Vec<u8>),
        Again(usize, usize),
        Move { from: usize, by: isize },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let place = 0..=1_000_usize;
        vec(
            prop_oneof![
                any::<u8>().prop_map(Step::Push),
                vec(any::<u8>(), 0..300).prop_map(Step::Extend),
                (place.clone(), place.clone())
                    .prop_map(|(start, end)| Step::Again(start.min(end), start.max(end))),
                (place, -3..=3_isize).prop_map(|(from, by)| Step::Move { from, by }),
            ],
            0..40,
        )
    }

    /// Does it to a body, and to a vector by hand.
    fn apply(step: &Step, body: &mut Body, model: &mut Vec<u8>) {
        let at = |place: usize| model.len() * place / 1_000;
        match step {
            Step::Push(byte) => {
                body.push(*byte);
                model.push(*byte);
            }
            Step::Extend(bytes) => {
                body.extend(bytes);
                model.extend(bytes);
            }
            Step::Again(start, end) => {
                let part = at(*start)..at(*end);
                let copy = body.again(part.clone()).to_vec();
                assert_eq!(copy, model[part.clone()]);
                model.extend_from_within(part);
            }
            Step::Move { from, by } => {
                let from = at(*from);
                let to = from.saturating_add_signed(*by);
                body.move_end(from, to);
                let gap = to.saturating_sub(from);
                body.written_mut()[to - gap..to].fill(b'-');
                model.splice(to.min(from)..from, std::iter::repeat_n(b'-', gap));
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_is_what_was_written_whatever_its_memory_held_before(
            before in vec(any::<u8>(), 0..2_000), room in 0..200_000_usize, steps in steps(),
        ) {
            let mut earlier = Body::with_capacity(room);
            earlier.extend(&before);
            drop(earlier);
            let mut body = Body::with_capacity(room);
            let mut model = Vec::new();
            prop_assert!(body.is_empty());
            for step in &steps {
                apply(step, &mut body, &mut model);
                prop_assert_eq!(&*body, &*model);
            }
            prop_assert!(body.capacity() >= room);
            prop_assert_eq!(Vec::from(body), model);
        }
    }

    /// Where a new body of so many bytes lies.
    fn place_of(bytes: usize) -> (Body, usize) {
        let body = Body::with_capacity(bytes);
        let place = body.room.as_ptr() as usize;
        (body, place)
    }

    #[test]
    fn the_memory_of_a_large_body_goes_to_the_next_that_is_about_as_large() {
        LEFT.take(); // whatever other tests have left of this thread's
        let (body, first) = place_of(700_000);
        let sent = Bytes::from(body);
        let (other, second) = place_of(700_000);
        assert_ne!(first, second, "one is still on its way");
        drop((sent, other));
        assert_eq!(LEFT.with_borrow(Vec::len), 2);
        assert_eq!(place_of(690_000).1, second, "the one that was let go of last");
        let both = [place_of(700_000), place_of(700_000)];
        assert_eq!(both.each_ref().map(|(_, place)| *place), [second, first]);
        drop(both);
        let (_small, place) = place_of(100_000);
        assert!(place != first && place != second, "it would take seven times what it has");
    }

    #[test]
    fn a_thread_keeps_few_bodies_and_neither_small_nor_huge_ones() {
        LEFT.take();
        for bytes in [0, KEPT_BYTES_MIN - 1, KEPT_BYTES_MAX + 1] {
            drop(Bytes::from(Body::with_capacity(bytes)));
        }
        assert!(LEFT.with_borrow(Vec::is_empty));
        drop([KEPT_BYTES_MIN, KEPT_BYTES_MAX, KEPT_BYTES_MAX].map(Body::with_capacity));
        let kept: Vec<_> = LEFT.take().iter().map(Vec::len).collect();
        assert_eq!(kept, [KEPT_BYTES_MAX; KEPT]);
        drop(Vec::from(Body::with_capacity(KEPT_BYTES_MAX)));
        assert!(LEFT.with_borrow(Vec::is_empty), "its memory is the caller's");
    }
}
