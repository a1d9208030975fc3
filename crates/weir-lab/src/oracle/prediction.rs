//! N* from the law of threads: at which fleet size some server is refused a thread, and by which formula.
//!
//! Used by the judges and shown in the summary and the report. It knows limits and laws only, never a recording.

use crate::series::{ArmSetup, Role};

/// Where the first refusal must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// The first size at which some server is refused; `None` when threads do not grow with the fleet.
    pub n_star: Option<u64>,
    /// What is counted: `front ends in one cell`, `front ends on one cache server`, `cache servers`.
    pub counts: &'static str,
    /// The formula with its numbers.
    pub formula: String,
}

impl Prediction {
    /// The prediction for an arm with `cache_servers` cache servers.
    ///
    /// A server has B + k(M-1) + cF threads: M members in its mesh, F front ends served. The first size with more than
    /// L is floor((L-B)/k)+2 members of a mesh, or floor((L-B-k(M-1))/c)+1 front ends served.
    pub fn of(setup: &ArmSetup, cache_servers: u64) -> Self {
        let law = setup.law;
        let limit = setup.limit;
        let mesh = law.per_peer * cache_servers.saturating_sub(1);
        let room = limit.saturating_sub(law.base + mesh);
        if let Some(served) = room.checked_div(law.per_client) {
            let n_star = served + 1;
            let formula = format!(
                "floor((L - B - k(K-1)) / c) + 1 = floor(({limit} - {} - {mesh}) / {}) + 1 = {n_star}, with K = \
                 {cache_servers} cache servers",
                law.base, law.per_client
            );
            return Self { n_star: Some(n_star), counts: "front ends on one cache server", formula };
        }
        let counts = if law.role == Role::Cache { "cache servers" } else { "front ends in one cell" };
        if law.per_peer == 0 {
            let formula = format!("threads do not grow with the fleet: {} for any size", law.base);
            return Self { n_star: None, counts, formula };
        }
        let n_star = limit.saturating_sub(law.base) / law.per_peer + 2;
        let formula = format!(
            "floor((L - B) / k) + 2 = floor(({limit} - {}) / {}) + 2 = {n_star}",
            law.base, law.per_peer
        );
        Self { n_star: Some(n_star), counts, formula }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::synthetic::Recipe;

    /// The law itself, by trial: the first size whose threads exceed the limit.
    fn by_trial(limit: u64, threads: impl Fn(u64) -> u64) -> u64 {
        (1..).find(|n| threads(*n) > limit).unwrap()
    }

    #[test]
    fn the_formula_agrees_with_counting_up_to_the_limit() {
        let mut setup = Recipe::shared().play().setup;
        for base in [1, 9, 20] {
            for k in 1..4 {
                for limit in base..90 {
                    setup.limit = limit;
                    setup.law.base = base;
                    setup.law.per_peer = k;
                    let expected = by_trial(limit, |n| base + k * (n - 1));
                    assert_eq!(Prediction::of(&setup, 0).n_star, Some(expected), "L {limit} B {base} k {k}");
                }
            }
        }
    }

    #[test]
    fn a_cache_server_is_refused_by_the_front_ends_it_serves() {
        let mut setup = Recipe::cache_fleet().play().setup;
        for per_client in 1..3 {
            for limit in 12..90 {
                setup.limit = limit;
                setup.law.per_client = per_client;
                let expected = by_trial(limit, |f| 9 + 2 + per_client * f);
                assert_eq!(Prediction::of(&setup, 3).n_star, Some(expected), "L {limit} c {per_client}");
            }
        }
    }

    #[test]
    fn threads_that_do_not_grow_have_no_n_star() {
        let mut setup = Recipe::shared().play().setup;
        setup.law.per_peer = 0;
        assert_eq!(Prediction::of(&setup, 0).n_star, None);
    }
}
