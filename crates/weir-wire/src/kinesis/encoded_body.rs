//! The memory that an answer is encoded into, and what becomes of it when the answer has gone out.
//!
//! The encodings write here; the connection sends it and lets it go. Base64 is written over zeros or over what stood there
//! before, for its codec takes no memory that was never written. To a reader who catches up zeros cost as much as the checksum
//! of what is read, so memory of 64 KiB to 1 MiB goes to the next answer on the thread that lets go of it. A body must never
//! show a byte that was not written for it: who claims room writes all of it, and of the codec the tests hold that.

use std::{
    cell::RefCell,
    fmt, mem,
    ops::{Deref, DerefMut, Range},
};

use bytes::Bytes;
use weir_core::limits::{HTTP_ANSWER_RECYCLED_BYTES_MAX, HTTP_ANSWERS_RECYCLED_MAX, KIB};

/// Bytes of the smallest memory that is kept: less is soon zeroed.
const RECYCLED_BYTES_MIN: usize = 64 * KIB;
/// Large bodies begin with a multiple of so many bytes, or with up to so many more: one fits where another was a little larger
/// or smaller, and none begins with over 128 KiB more than it asked for.
const STEP_BYTES: usize = 64 * KIB;

thread_local! {
    /// Memory of bodies that this thread let go of, the last one at the end.
    static RECYCLED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A body that grows at its end; what is written of it is a slice.
#[derive(Default)]
pub struct EncodedBody {
    /// What is written, and behind it bytes that may be written over.
    memory: Vec<u8>,
    /// Bytes that are written.
    written: usize,
}

impl EncodedBody {
    /// An empty body with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let memory = if bytes < RECYCLED_BYTES_MIN {
            Vec::with_capacity(bytes)
        } else {
            let bytes = bytes.next_multiple_of(STEP_BYTES);
            recycled(bytes).unwrap_or_else(|| Vec::with_capacity(bytes))
        };
        Self { memory, written: 0 }
    }

    /// Bytes that it takes in memory, written or not.
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Appends so many bytes, all of which the caller writes.
    #[inline]
    pub(super) fn claim(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.written;
        let end = start + bytes;
        if end > self.memory.len() {
            self.memory.resize(end, 0);
        }
        self.written = end;
        let claimed = &mut self.memory[start..end];
        if cfg!(debug_assertions) {
            claimed.fill(u8::MAX); // in no text: one that is not written fails every test that reads it
        }
        claimed
    }

    /// Appends a byte.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        match self.memory.get_mut(self.written) {
            Some(place) => *place = byte,
            None => self.memory.push(byte),
        }
        self.written += 1;
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.written + bytes.len();
        match self.memory.get_mut(self.written..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => {
                self.memory.truncate(self.written);
                self.memory.extend_from_slice(bytes);
            }
        }
        self.written = end;
    }

    /// Appends a copy of a part of what is written, and gives the copy.
    #[inline]
    pub(super) fn extend_from_within(&mut self, part: Range<usize>) -> &mut [u8] {
        let start = self.written;
        let end = start + part.len();
        let (before, behind) = self.memory.split_at_mut(start);
        match behind.get_mut(..part.len()) {
            Some(room) => room.copy_from_slice(&before[part]),
            None => {
                self.memory.truncate(start);
                self.memory.extend_from_within(part);
            }
        }
        self.written = end;
        &mut self.memory[start..end]
    }

    /// Takes back what is written behind the first `bytes`.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.written = self.written.min(bytes);
    }

    /// Is its memory kept when it is let go of?
    fn is_recycled(&self) -> bool {
        (RECYCLED_BYTES_MIN..=HTTP_ANSWER_RECYCLED_BYTES_MAX).contains(&self.capacity())
    }
}

/// Memory of at least so many bytes, and of few more, that this thread let go of.
fn recycled(bytes: usize) -> Option<Vec<u8>> {
    let take = |kept: &RefCell<Vec<Vec<u8>>>| {
        let mut kept = kept.borrow_mut();
        let at = kept.iter().rposition(|memory| (bytes..=bytes + STEP_BYTES).contains(&memory.capacity()))?;
        Some(kept.remove(at))
    };
    RECYCLED.try_with(take).ok()? // where the thread ends, nothing is kept any more
}

impl Drop for EncodedBody {
    fn drop(&mut self) {
        if !self.is_recycled() {
            return;
        }
        let memory = mem::take(&mut self.memory);
        let _ = RECYCLED.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() == HTTP_ANSWERS_RECYCLED_MAX {
                kept.remove(0);
            }
            kept.push(memory);
        });
    }
}

impl Deref for EncodedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.written]
    }
}

impl DerefMut for EncodedBody {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.written]
    }
}

impl AsRef<[u8]> for EncodedBody {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Write for EncodedBody {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for EncodedBody {
    /// Says how large it is: what it holds is the client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedBody").field("written", &self.written).finish_non_exhaustive()
    }
}

impl From<EncodedBody> for Vec<u8> {
    /// The body in memory that is not given to another.
    fn from(mut body: EncodedBody) -> Self {
        let mut bytes = mem::take(&mut body.memory);
        bytes.truncate(body.written);
        bytes
    }
}

impl From<EncodedBody> for Bytes {
    fn from(body: EncodedBody) -> Self {
        if body.is_recycled() { Self::from_owner(body) } else { Vec::from(body).into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// What may be done to a body; places are thousandths of what is written by then.
    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Claim(usize),
        Slice(Vec<u8>),
        Within(usize, usize),
        Truncate(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let place = 0..=1_000_usize;
        let two = (place.clone(), place.clone()).prop_map(|(one, other)| (one.min(other), one.max(other)));
        vec(
            prop_oneof![
                any::<u8>().prop_map(Step::Push),
                (0..30_000_usize).prop_map(Step::Claim),
                vec(any::<u8>(), 0..300).prop_map(Step::Slice),
                two.prop_map(|(start, end)| Step::Within(start, end)),
                place.prop_map(Step::Truncate),
            ],
            0..40,
        )
    }

    /// Does it to a body, and to a vector.
    fn apply(step: &Step, body: &mut EncodedBody, model: &mut Vec<u8>) {
        let at = |place: usize| model.len() * place / 1_000;
        match step {
            Step::Push(byte) => {
                body.push(*byte);
                model.push(*byte);
            }
            Step::Claim(bytes) => {
                body.claim(*bytes).fill(b'c');
                model.resize(model.len() + bytes, b'c');
            }
            Step::Slice(bytes) => {
                body.extend_from_slice(bytes);
                model.extend(bytes);
            }
            Step::Within(start, end) => {
                let part = at(*start)..at(*end);
                assert_eq!(body.extend_from_within(part.clone()), &model[part.clone()]);
                model.extend_from_within(part);
            }
            Step::Truncate(bytes) => {
                let bytes = at(*bytes);
                body.truncate(bytes);
                model.truncate(bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_is_what_was_written_whatever_its_memory_held_before(
            before in 0..100_000_usize, capacity in 0..200_000_usize, steps in steps(),
        ) {
            RECYCLED.take();
            let mut earlier = EncodedBody::with_capacity(capacity);
            earlier.claim(before.min(capacity)).fill(b'!');
            drop(earlier);
            let mut body = EncodedBody::with_capacity(capacity);
            let mut model = Vec::new();
            prop_assert!(body.is_empty() && body.capacity() >= capacity);
            for step in &steps {
                apply(step, &mut body, &mut model);
                prop_assert_eq!(&*body, &*model);
            }
            prop_assert_eq!(Vec::from(body), model);
        }
    }

    /// A body and where it lies.
    fn placed(bytes: usize) -> (EncodedBody, usize) {
        let body = EncodedBody::with_capacity(bytes);
        let place = body.memory.as_ptr() as usize;
        (body, place)
    }

    #[test]
    fn the_memory_of_a_large_body_goes_to_the_next_that_is_about_as_large() {
        RECYCLED.take(); // whatever other tests have left of this thread's
        let (body, first) = placed(700_000);
        let sent = Bytes::from(body);
        assert!(RECYCLED.with_borrow(Vec::is_empty), "it is still on its way");
        let (other, second) = placed(700_000);
        drop((sent, other));
        assert_eq!(RECYCLED.with_borrow(Vec::len), 2);
        assert_eq!(placed(690_000).1, second, "the one that was let go of last");
        let both = [placed(700_000), placed(700_000)];
        assert_eq!(both.each_ref().map(|(_, place)| *place), [second, first]);
        drop(both);
        let (smaller, place) = placed(500_000);
        assert!(place != first && place != second);
        assert!(smaller.capacity() <= 500_000 + 2 * STEP_BYTES, "no more than was reserved for it");
    }

    #[test]
    fn a_thread_keeps_few_bodies_and_neither_small_nor_huge_ones() {
        RECYCLED.take();
        for bytes in [0, RECYCLED_BYTES_MIN - 1, HTTP_ANSWER_RECYCLED_BYTES_MAX + 1] {
            drop(Bytes::from(EncodedBody::with_capacity(bytes)));
        }
        assert!(RECYCLED.with_borrow(Vec::is_empty));
        drop(
            [RECYCLED_BYTES_MIN, HTTP_ANSWER_RECYCLED_BYTES_MAX, HTTP_ANSWER_RECYCLED_BYTES_MAX]
                .map(EncodedBody::with_capacity),
        );
        let kept: Vec<_> = RECYCLED.take().iter().map(Vec::capacity).collect();
        assert_eq!(kept, [HTTP_ANSWER_RECYCLED_BYTES_MAX; HTTP_ANSWERS_RECYCLED_MAX]);
        drop(Vec::from(EncodedBody::with_capacity(HTTP_ANSWER_RECYCLED_BYTES_MAX)));
        assert!(RECYCLED.with_borrow(Vec::is_empty), "its memory is the caller's");
    }

    #[test]
    fn what_a_body_and_those_before_it_hold_is_not_printed() {
        let mut body = EncodedBody::with_capacity(RECYCLED_BYTES_MIN);
        body.claim(1_000).fill(77);
        drop(body);
        let mut body = EncodedBody::with_capacity(RECYCLED_BYTES_MIN);
        body.push(78);
        let printed = format!("{body:?}");
        assert!(!printed.contains("77") && !printed.contains("78"), "{printed}");
    }
}
