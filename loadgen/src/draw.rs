//! Draws from what is not evenly spread: keys by Zipf's law, tenants and operations by weight.
//!
//! Built once, drawn from for each request or record; seeded by the caller.

use rand::RngExt;
use weir_core::entropy::Rng;

use crate::config::Skew;

/// A draw by weight.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Running sums of the weights, the last one the whole.
    sums: Vec<f64>,
}

impl Weighted {
    /// A draw over `weights`, of which at least one is above zero and none below.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                assert!(weight >= 0.0, "a weight of {weight}");
                sum += weight;
                sum
            })
            .collect();
        assert!(sum > 0.0 && sum.is_finite(), "weights sum up to {sum}");
        Self { sums }
    }

    /// An index, as often as its weight says.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let whole = *self.sums.last().expect("there is a weight above zero");
        let at = rng.random::<f64>() * whole;
        self.sums.partition_point(|&sum| sum <= at).min(self.sums.len() - 1)
    }
}

/// A draw of keys from 0.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Each as often as any other.
    Uniform(u32),
    /// By a table.
    Skewed(Weighted),
}

impl Keys {
    /// A draw of `count` keys.
    pub fn new(count: u32, skew: Skew) -> Self {
        match skew {
            Skew::Uniform => Self::Uniform(count),
            Skew::Zipf { exponent } => {
                Self::Skewed(Weighted::new((1..=count).map(|rank| f64::from(rank).powf(-exponent))))
            }
        }
    }

    /// The next key.
    pub fn draw(&self, rng: &mut Rng) -> u32 {
        match self {
            Self::Uniform(count) => rng.random_range(0..*count),
            Self::Skewed(weighted) => weighted.draw(rng) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::entropy::seeded;

    use super::*;

    fn counts(keys: &Keys, of: usize) -> Vec<f64> {
        let mut rng = seeded(1, "draw");
        let mut counts = vec![0.0; of];
        for _ in 0..100_000 {
            counts[keys.draw(&mut rng) as usize] += 1.0;
        }
        counts
    }

    #[test]
    fn zipf_draws_the_kth_key_as_often_as_its_law_says() {
        let counts = counts(&Keys::new(100, Skew::Zipf { exponent: 1.0 }), 100);
        for rank in [2usize, 5, 10] {
            let ratio = counts[0] / counts[rank - 1];
            assert!((ratio / rank as f64 - 1.0).abs() < 0.1, "rank {rank}: {ratio}");
        }
    }

    #[test]
    fn uniform_draws_all_alike() {
        let counts = counts(&Keys::new(10, Skew::Uniform), 10);
        assert!(counts.iter().all(|count| (9_500.0..10_500.0).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn() {
        let weighted = Weighted::new([0.0, 1.0, 0.0, 3.0, 0.0]);
        let mut rng = seeded(2, "draw");
        let mut counts = [0u32; 5];
        for _ in 0..10_000 {
            counts[weighted.draw(&mut rng)] += 1;
        }
        assert_eq!((counts[0], counts[2], counts[4]), (0, 0, 0));
        assert!((2_300..2_700).contains(&counts[1]), "{counts:?}");
    }
}
