//! MD5 (RFC 1321) of sixteen short texts at once, one in each element of the processor's vectors.
//!
//! [`HashKey::of_partition_keys`](super::HashKey::of_partition_keys) calls it. One digest is a chain of 64 steps that
//! wait for one another; sixteen chains side by side take as long as four. It knows texts of a single block only, and must
//! never be asked for others.

use wide::u32x16;

/// Texts that are digested at once: four vectors on every x86-64. While one waits for its last step, three others go on.
pub(super) const AT_ONCE: usize = 16;

/// Bytes of the longest text whose padding still fits its block.
pub(super) const TEXT_BYTES_MAX: usize = BLOCK_WORDS * 4 - 1 - size_of::<u64>();

/// One word of each text.
type Words = u32x16;

const BLOCK_WORDS: usize = 16;

/// The word of a block that holds the text's length in bits; the one after it is zero for texts so short.
const LENGTH_WORD: usize = BLOCK_WORDS - 2;

const INITIAL_STATE: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// How far each step rotates its sum: by round, then by the step's place in its group of four.
const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// 2^32 times the sine of 1, 2, 3, …, without sign and fraction.
#[rustfmt::skip]
const SINE_TABLE: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The digests of texts of at most [`TEXT_BYTES_MAX`] bytes.
pub(super) fn digests(texts: [&str; AT_ONCE]) -> [[u8; 16]; AT_ONCE] {
    let state = compress(&words(texts)).map(Words::to_array);
    std::array::from_fn(|at| {
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(&state) {
            *bytes = word[at].to_le_bytes();
        }
        digest
    })
}

/// Each text as its only block: the text, a bit, zeros, its length; word by word, the texts side by side.
fn words(texts: [&str; AT_ONCE]) -> [Words; BLOCK_WORDS] {
    let mut words = [[0; AT_ONCE]; BLOCK_WORDS];
    for (at, text) in texts.iter().map(|text| text.as_bytes()).enumerate() {
        assert!(text.len() <= TEXT_BYTES_MAX, "a text of one block");
        let (whole, rest) = text.as_chunks::<4>();
        for (word, bytes) in words.iter_mut().zip(whole) {
            word[at] = u32::from_le_bytes(*bytes);
        }
        words[whole.len()][at] = rest.iter().rev().fold(0x80, |word, byte| word << 8 | u32::from(*byte));
        words[LENGTH_WORD][at] = text.len() as u32 * 8;
    }
    words.map(Words::new)
}

/// The four rounds over one block: which word each of a round's steps takes, and what it mixes into its sum. A sum takes the
/// previous step's result last, since that is what it waits for.
fn compress(words: &[Words; BLOCK_WORDS]) -> [Words; 4] {
    let start = INITIAL_STATE.map(Words::splat);
    let state = round::<0>(start, words, |at| at, |sum, b, c, d| sum + (d ^ (b & (c ^ d))));
    let state = round::<1>(state, words, |at| 5 * at + 1, |sum, b, c, d| sum + (c & !d) + (b & d));
    let state = round::<2>(state, words, |at| 3 * at + 5, |sum, b, c, d| sum + (b ^ (c ^ d)));
    let state = round::<3>(state, words, |at| 7 * at, |sum, b, c, d| sum + (c ^ (b | !d)));
    std::array::from_fn(|at| start[at] + state[at])
}

/// One round, four steps a turn: too much for the compiler to unroll. Of all sixty-four steps in one piece it makes a row of
/// instructions for each vector, one row behind the other, which takes almost twice as long: `routing`'s `MD5 alone` tells.
fn round<const ROUND: usize>(
    [mut a, mut b, mut c, mut d]: [Words; 4],
    words: &[Words; BLOCK_WORDS],
    word_of: impl Fn(usize) -> usize,
    mix: impl Fn(Words, Words, Words, Words) -> Words,
) -> [Words; 4] {
    let (fours, _) = SINE_TABLE.as_chunks::<4>();
    for (four, sines) in fours[4 * ROUND..][..4].iter().enumerate() {
        for (at, (sine, rotation)) in sines.iter().zip(ROTATIONS[ROUND]).enumerate() {
            let word = words[word_of(4 * four + at) % BLOCK_WORDS];
            let sum = mix(a + (Words::splat(*sine) + word), b, c, d);
            (a, b, c, d) = (d, b + (sum << rotation | sum >> (32 - rotation)), b, c);
        }
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use md5::{Digest, Md5};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_digest_is_that_of_its_text(texts in prop::array::uniform16("[ -~]{0,55}|[à-ÿ]{0,27}")) {
            let digests = digests(texts.each_ref().map(String::as_str));
            let others = texts.each_ref().map(|text| <[u8; 16]>::from(Md5::digest(text.as_bytes())));
            prop_assert_eq!(digests, others);
        }
    }

    #[test]
    fn every_length_that_fits_a_block_is_padded_right() {
        let longest = "x".repeat(TEXT_BYTES_MAX);
        for bytes in 0..=TEXT_BYTES_MAX {
            let text = &longest[..bytes];
            assert_eq!(
                digests([text; AT_ONCE]),
                [<[u8; 16]>::from(Md5::digest(text)); AT_ONCE],
                "{bytes} bytes"
            );
        }
    }
}
