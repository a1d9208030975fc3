//! Unit tests of the token bucket: exact waits, a model over many random steps, and real threads.

use super::{NANOS_PER_SECOND, NEVER, PER_SECOND_MAX, TokenBucket, TokenRate};
use crate::facade::thread;

/// An epoch clock in 2020, so that large absolute times are tested as well.
const EPOCH: u64 = 1_606_300_000 * NANOS_PER_SECOND;

/// Steps of Marsaglia's xorshift: enough for test inputs, and the seed in the source makes each run the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn bucket(per_second: u64, burst: u64) -> TokenBucket {
    TokenBucket::new(TokenRate { per_second, burst })
}

#[test]
fn a_new_bucket_is_full_and_gives_its_burst_at_once() {
    for start in [0, EPOCH] {
        let bucket = bucket(10, 5);
        assert_eq!(bucket.available(start), 5);
        assert_eq!(bucket.try_take(start, 5), Ok(()));
        assert_eq!(bucket.available(start), 0);
    }
}

#[test]
fn the_told_wait_is_exact_to_the_nanosecond() {
    let bucket = bucket(3, 1);
    assert_eq!(bucket.try_take(EPOCH, 1), Ok(()));
    let wait = bucket.try_take(EPOCH, 1).unwrap_err();
    assert_eq!(wait, NANOS_PER_SECOND.div_ceil(3));
    assert!(bucket.try_take(EPOCH + wait - 1, 1).is_err());
    assert_eq!(bucket.try_take(EPOCH + wait, 1), Ok(()));
}

#[test]
fn more_than_the_burst_is_never_given() {
    let bucket = bucket(10, 5);
    assert_eq!(bucket.try_take(EPOCH, 6), Err(NEVER));
    assert_eq!(bucket.available(EPOCH), 5);
}

#[test]
fn nothing_can_always_be_taken() {
    let bucket = bucket(1, 1);
    assert_eq!(bucket.try_take(0, 1), Ok(()));
    assert_eq!(bucket.try_take(0, 0), Ok(()));
}

#[test]
fn a_clock_that_goes_back_gives_nothing_away_and_recovers() {
    let bucket = bucket(1_000, 10);
    assert_eq!(bucket.try_take(EPOCH, 10), Ok(()));
    let hour_back = EPOCH - 3_600 * NANOS_PER_SECOND;
    assert!(bucket.try_take(hour_back, 1).is_err());
    assert_eq!(bucket.available(hour_back), 0);
    assert_eq!(bucket.available(EPOCH + NANOS_PER_SECOND), 10);
}

#[test]
fn tokens_given_back_can_be_taken_again_but_never_exceed_the_burst() {
    let bucket = bucket(1, 5);
    assert_eq!(bucket.try_take(EPOCH, 5), Ok(()));
    bucket.give_back(2);
    assert_eq!(bucket.available(EPOCH), 2);
    bucket.give_back(1_000);
    assert_eq!(bucket.available(EPOCH), 5);
    assert_eq!(bucket.try_take(EPOCH, 5), Ok(()));
    assert!(bucket.try_take(EPOCH, 1).is_err());
}

#[test]
fn the_extremes_of_rate_and_clock_do_not_overflow() {
    let fast = bucket(PER_SECOND_MAX, u64::MAX);
    assert_eq!(fast.try_take(EPOCH, 1_000), Ok(()));
    assert_eq!(fast.try_take(u64::MAX, 1), Err(NEVER), "the count has no room for it, so it is refused");
    let slow = bucket(1, u64::MAX);
    assert_eq!(slow.try_take(0, u64::MAX), Ok(()));
    for n in [1, u64::MAX] {
        assert!(slow.try_take(0, n).is_err(), "the burst is spent");
    }
}

/// The bound itself: over any stretch of time between two grants, what was given is at most the burst and what
/// the stretch earned, rounded up to a token.
#[test]
fn no_stretch_of_time_ever_gets_more_than_burst_and_rate() {
    let mut random = Random(0x5eed_2020_1125);
    for _ in 0..200 {
        let rate = TokenRate { per_second: 1 + random.below(5_000_000), burst: 1 + random.below(50) };
        let bucket = TokenBucket::new(rate);
        let mut now = EPOCH + random.below(NANOS_PER_SECOND);
        let mut grants: Vec<(u64, u64)> = Vec::new();
        for _ in 0..100 {
            now += random.below(3 * rate.burst * NANOS_PER_SECOND / rate.per_second);
            let n = random.below(rate.burst + 2);
            match bucket.try_take(now, n) {
                Ok(()) => grants.push((now, n)),
                Err(NEVER) => assert!(n > rate.burst),
                Err(wait) => {
                    assert!(wait > 0 && bucket.try_take(now + wait - 1, n).is_err(), "told to wait too long");
                    now += wait;
                    assert_eq!(bucket.try_take(now, n), Ok(()), "told to wait too short");
                    grants.push((now, n));
                }
            }
        }
        for (first, (from, _)) in grants.iter().enumerate() {
            let mut given = 0;
            for (to, n) in &grants[first..] {
                given += n;
                let earned = u128::from(rate.per_second) * u128::from(to - from);
                let earned = earned.div_ceil(u128::from(NANOS_PER_SECOND));
                assert!(
                    u128::from(given) <= u128::from(rate.burst) + earned,
                    "{rate:?}: {given} in {} ns",
                    to - from
                );
            }
        }
    }
}

/// Against a bucket that is kept in exact fractions of a token, with give-backs and a clock that jumps about.
#[test]
fn the_bucket_agrees_with_exact_arithmetic_over_many_random_steps() {
    let mut random = Random(0xc0de);
    for _ in 0..200 {
        let rate = TokenRate { per_second: 1 + random.below(2_000), burst: 1 + random.below(20) };
        let bucket = TokenBucket::new(rate);
        let earned = |now: u64| u128::from(rate.per_second) * u128::from(now) / u128::from(NANOS_PER_SECOND);
        let mut now = EPOCH;
        let mut full_at: u128 = 0;
        for _ in 0..200 {
            now = if random.below(10) == 0 {
                now - random.below(1_000_000)
            } else {
                now + random.below(2_000_000)
            };
            let n = random.below(rate.burst + 1);
            if random.below(8) == 0 {
                bucket.give_back(n);
                full_at -= u128::from(n).min(full_at);
            } else {
                let after = full_at.max(earned(now)) + u128::from(n);
                let fits = after <= earned(now) + u128::from(rate.burst);
                assert_eq!(bucket.try_take(now, n).is_ok(), fits, "{rate:?}");
                full_at = if fits { after } else { full_at };
            }
            let left = u128::from(rate.burst).saturating_sub(full_at.saturating_sub(earned(now)));
            assert_eq!(u128::from(bucket.available(now)), left);
        }
    }
}

#[test]
fn many_threads_share_one_burst_exactly() {
    let bucket = bucket(1, 10_000);
    let granted: u64 = thread::scope(|scope| {
        let takers =
            [(); 4].map(|()| scope.spawn(|| (0..9_000).filter(|_| bucket.try_take(0, 1).is_ok()).count()));
        takers.map(|taker| taker.join().unwrap() as u64).iter().sum()
    });
    assert_eq!(granted, 10_000);
    assert_eq!(bucket.available(0), 0);
}

#[test]
#[should_panic(expected = "the rate is out of range")]
fn a_rate_of_zero_is_refused() {
    let _ = bucket(0, 1);
}

#[test]
#[should_panic(expected = "nothing could ever be taken")]
fn a_burst_of_zero_is_refused() {
    let _ = bucket(1, 0);
}
