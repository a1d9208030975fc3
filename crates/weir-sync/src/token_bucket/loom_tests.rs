//! Models of the token bucket: never more than burst and rate allow, whoever asks at once.

use super::{NANOS_PER_SECOND, TokenBucket, TokenRate};
use crate::facade::{Arc, check_model, thread};

fn shared(per_second: u64, burst: u64) -> Arc<TokenBucket> {
    Arc::new(TokenBucket::new(TokenRate { per_second, burst }))
}

#[test]
fn two_takers_never_get_more_than_the_burst() {
    check_model(|| {
        let bucket = shared(1, 3);
        let takers = [(); 2].map(|()| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.try_take(0, 2).is_ok())
        });
        let granted = takers.map(|taker| taker.join().unwrap()).iter().filter(|granted| **granted).count();
        assert_eq!(granted, 1, "two of three tokens fit once");
        assert_eq!(bucket.available(0), 1);
    });
}

#[test]
fn takers_whose_clocks_differ_never_get_more_than_burst_and_rate() {
    check_model(|| {
        let bucket = shared(1, 1);
        let takers = [0, NANOS_PER_SECOND].map(|now| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || u64::from(bucket.try_take(now, 1).is_ok()))
        });
        let mut granted: u64 = takers.map(|taker| taker.join().unwrap()).iter().sum();
        granted += u64::from(bucket.try_take(NANOS_PER_SECOND, 1).is_ok());
        assert!((1..=2).contains(&granted), "{granted} tokens in a second with a burst of 1 and 1 a second");
        assert!(bucket.try_take(NANOS_PER_SECOND, 1).is_err());
    });
}

#[test]
fn no_token_that_comes_back_is_lost_to_a_take() {
    check_model(|| {
        let bucket = shared(1, 3);
        assert_eq!(bucket.try_take(0, 2), Ok(()));
        let taker = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.try_take(0, 1))
        };
        bucket.give_back(2);
        assert_eq!(taker.join().unwrap(), Ok(()));
        assert_eq!(bucket.available(0), 2);
    });
}
