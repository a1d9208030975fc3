//! Thousands of seeded schedules: a seed draws a journal, what is asked of it, and everything that goes wrong with its
//! disk, its process and its power; a model says what must be there after that.
//!
//! Some thousands are part of all tests. The long form is
//! `WEIR_SCHEDULES=100000 cargo test --release -p weir-log --lib schedules -- --nocapture`, and `WEIR_SCHEDULES_SEED=N` is
//! the first seed; a failure prints the command that runs its seed alone. A seed draws the same calls, the same faults and
//! the same losses each time; what the journal's own threads do at the same moment is the kernel's.

mod calls;
mod looks;
mod model;
mod tally;
mod world;

use std::{env, path::Path};

use self::{tally::Tally, world::World};
use super::*;

/// Schedules of the run that is part of all tests.
const SCHEDULES: u64 = 3_000;
/// Who runs them: half of the time a schedule waits for a thread of its journal.
const WORKERS: u64 = 3;

#[test]
fn whatever_goes_wrong_what_was_acknowledged_is_there_and_nothing_is_that_was_not_written() {
    let number =
        |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (count, first) = (number("WEIR_SCHEDULES", SCHEDULES), number("WEIR_SCHEDULES_SEED", 1));
    let threads = Threads::new();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let mine = (first..first + count).filter(move |seed| seed % WORKERS == worker);
            threads.spawn(format!("schedules-{worker}"), move || mine.map(run).collect::<Tally>()).unwrap()
        })
        .collect();
    let tallies: Vec<_> = workers.into_iter().map(std::thread::JoinHandle::join).collect();
    let tally: Tally = tallies.into_iter().map(|tally| tally.expect("a seed failed, named above")).collect();
    let seen = format!("{count} schedules from seed {first} on: {tally:?}");
    eprintln!("{seen}");
    if count >= SCHEDULES {
        assert!(tally.least() >= count / 100, "too little went wrong to say much: {seen}");
    }
}

/// Names the seed when it fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {seed} failed; alone: WEIR_SCHEDULES=1 WEIR_SCHEDULES_SEED={seed} \
                 cargo test -p weir-log --lib schedules -- --nocapture",
                seed = self.0
            );
        }
    }
}

fn run(seed: u64) -> Tally {
    let mut world = World::new(seed);
    let _named = Named(seed); // told before the world is taken down, which a journal that hangs would prevent
    world.run();
    world.tally
}
