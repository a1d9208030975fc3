//! A rate limit: a burst at once, and a rate after it, exact to the token.
//!
//! Throttling by tenant and by shard uses it. Time comes in as nanoseconds, so that the simulator can replace it; it may
//! go back, or differ by a little between threads, and then the bucket gives less, never more. It must never give more
//! than `burst + rate * t` in any time `t`, whoever asks at once.

use std::fmt;

use crate::facade::atomic::{AtomicU64, Ordering};

/// The wait that [`TokenBucket::try_take`] tells when no wait helps: more was asked for than the burst.
pub const NEVER: u64 = u64::MAX;

/// The highest rate. With it, the tokens earned by the last nanosecond of a `u64` clock are just `u64::MAX`, so
/// that no clock value can overflow the count.
pub const PER_SECOND_MAX: u64 = NANOS_PER_SECOND;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A rate and the burst on top of it, in tokens (records, bytes, calls).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRate {
    /// Tokens earned each second, 1 to [`PER_SECOND_MAX`].
    pub per_second: u64,
    /// Tokens that can be saved up, at least 1.
    pub burst: u64,
}

/// A token bucket in one atomic word, after the generic cell rate algorithm (GCRA), counted in tokens and not in time.
///
/// `earned(now) = floor(rate * now)` counts all tokens that the clock has ever earned. `spent` is the earned count at
/// which the bucket will be full again. A take of `n` moves `spent` to `max(spent, earned) + n` and is allowed up to
/// `earned + burst`. Benefit: no rounding error adds up, however odd the rate. Price: one 128-bit division a take.
pub struct TokenBucket {
    rate: TokenRate,
    spent: AtomicU64,
}

impl TokenBucket {
    /// Makes a full bucket.
    ///
    /// # Panics
    /// When the rate or the burst is out of its range.
    pub fn new(rate: TokenRate) -> Self {
        assert!((1..=PER_SECOND_MAX).contains(&rate.per_second), "{rate:?}: the rate is out of range");
        assert!(rate.burst >= 1, "{rate:?}: nothing could ever be taken");
        Self { rate, spent: AtomicU64::new(0) }
    }

    /// Takes `n` tokens at `now_nanos`, all or none. Never waits.
    ///
    /// # Errors
    /// The nanoseconds after which this would work if nobody else took any; [`NEVER`] when `n` is more than the burst.
    pub fn try_take(&self, now_nanos: u64, n: u64) -> Result<(), u64> {
        if n > self.rate.burst {
            return Err(NEVER);
        }
        let earned = self.earned(now_nanos);
        let mut spent = self.spent.load(Ordering::Relaxed);
        loop {
            // Past the end of the count lies no time that a clock of 64 bits can tell.
            let Some(after) = spent.max(earned).checked_add(n) else { return Err(NEVER) };
            if after > earned.saturating_add(self.rate.burst) {
                return Err(self.nanos_until_earned(after - self.rate.burst).saturating_sub(now_nanos));
            }
            if cfg!(loom_broken = "token_bucket_takes_by_store") {
                self.spent.store(after, Ordering::Relaxed);
                return Ok(());
            }
            match self.spent.compare_exchange_weak(spent, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(changed) => spent = changed,
            }
        }
    }

    /// Returns `n` tokens that were taken and not used. Time that has passed may have filled the bucket already: then
    /// they are gone. Giving back more than was taken fills it to the burst, not above.
    pub fn give_back(&self, n: u64) {
        let mut spent = self.spent.load(Ordering::Relaxed);
        loop {
            let after = spent.saturating_sub(n);
            if cfg!(loom_broken = "token_bucket_gives_back_by_store") {
                self.spent.store(after, Ordering::Relaxed);
                return;
            }
            match self.spent.compare_exchange_weak(spent, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => spent = changed,
            }
        }
    }

    /// Tokens that could be taken at `now_nanos`.
    pub fn available(&self, now_nanos: u64) -> u64 {
        let earned = self.earned(now_nanos);
        let ahead = self.spent.load(Ordering::Relaxed).saturating_sub(earned);
        self.rate.burst.saturating_sub(ahead)
    }

    /// The rate and the burst.
    pub fn rate(&self) -> TokenRate {
        self.rate
    }

    fn earned(&self, now_nanos: u64) -> u64 {
        let earned = u128::from(self.rate.per_second) * u128::from(now_nanos) / u128::from(NANOS_PER_SECOND);
        u64::try_from(earned).expect("the highest rate fills a u64 at the last nanosecond, not before")
    }

    /// The first nanosecond at which `tokens` are earned.
    fn nanos_until_earned(&self, tokens: u64) -> u64 {
        let nanos =
            (u128::from(tokens) * u128::from(NANOS_PER_SECOND)).div_ceil(u128::from(self.rate.per_second));
        u64::try_from(nanos).unwrap_or(NEVER)
    }
}

impl fmt::Debug for TokenBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBucket").field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(all(not(loom), test))]
mod tests;
