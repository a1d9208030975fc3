//! The endpoints of one tenant, in the order in which its calls go to them.
//!
//! A worker keeps one for each tenant and makes it anew when the endpoint list changes. Each list is shuffled: taken in turn
//! from its head, the first of it would get all calls of a fleet whose list changes faster than a turn lasts, and callers
//! would meet the servers that were restarted first.

use rand::seq::SliceRandom;
use weir_core::entropy::Rng;

/// Endpoints, each taken once before any is taken again.
#[derive(Debug)]
pub(super) struct Route<T> {
    endpoints: Vec<T>,
    next: usize,
}

impl<T> Route<T> {
    /// In an order drawn from `rng`.
    pub(super) fn new(endpoints: impl IntoIterator<Item = T>, rng: &mut Rng) -> Self {
        let mut endpoints: Vec<T> = endpoints.into_iter().collect();
        endpoints.shuffle(rng);
        Self { endpoints, next: 0 }
    }

    /// Where the next call goes; `None` when there is no endpoint.
    pub(super) fn next(&mut self) -> Option<&T> {
        let taken = self.next;
        self.next = (taken + 1) % self.endpoints.len().max(1);
        self.endpoints.get(taken)
    }
}

#[cfg(test)]
mod tests {
    use weir_core::entropy::seeded;

    use super::*;

    #[test]
    fn each_endpoint_has_its_turn_before_any_has_a_second() {
        let mut route = Route::new(0..7, &mut seeded(1, "route"));
        let mut first: Vec<i32> = (0..7).map(|_| *route.next().unwrap()).collect();
        let second: Vec<i32> = (0..7).map(|_| *route.next().unwrap()).collect();
        assert_eq!(first, second);
        first.sort_unstable();
        assert_eq!(first, (0..7).collect::<Vec<_>>());
        assert_eq!(Route::<u8>::new([], &mut seeded(1, "route")).next(), None);
    }

    #[test]
    fn a_list_that_changes_all_the_time_favours_nobody() {
        let mut rng = seeded(2, "route");
        let mut calls = [0u32; 100];
        for _ in 0..5_000 {
            let mut route = Route::new(0..100usize, &mut rng);
            for _ in 0..4 {
                calls[*route.next().unwrap()] += 1;
            }
        }
        // 200 each on average; five standard deviations of a binomial are 70.
        assert!(calls.iter().all(|count| (130..270).contains(count)), "{calls:?}");
    }
}
