//! Randomness as a value: seeded generators for whatever must be repeatable, one door to the kernel's for secrets.
//!
//! State machines and load generators take an [`Rng`] made from a seed; only incarnations, secrets and request ids
//! come from [`secret`].

use rand::{SeedableRng, TryRng, rngs::StdRng, rngs::SysRng};

/// The generator of everything that a seed must reproduce.
pub type Rng = StdRng;

/// A generator for `purpose` under `seed`: two purposes under one seed do not share a sequence.
pub fn seeded(seed: u64, purpose: &str) -> Rng {
    // FNV-1a over the purpose keeps the streams of numbers apart without a second seed to carry around.
    let tag = purpose
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    StdRng::seed_from_u64(seed ^ tag)
}

/// `N` bytes from the kernel, for secrets and ids.
pub fn secret<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("getrandom(2) answers on every kernel that Weir runs on");
    bytes
}

/// A random number from the kernel, for incarnations and ids.
pub fn secret_u64() -> u64 {
    u64::from_le_bytes(secret())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn a_seed_and_a_purpose_repeat_and_differ_from_another_purpose() {
        let draw = |purpose| -> u64 { seeded(7, purpose).random() };
        assert_eq!(draw("arrivals"), draw("arrivals"));
        assert_ne!(draw("arrivals"), draw("keys"));
    }
}
