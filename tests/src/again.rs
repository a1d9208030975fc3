//! Calls that are made again and again until their answers say what a test waits for.
//!
//! Used where a server can only be asked. Each has a bound, and panics at it.

use std::{thread, time::Duration};

use crate::http::Answer;

/// Calls after which one that is never refused is given up.
const REFUSED_CALLS_MAX: u32 = 5_000;
/// Looks after which a status that never comes is given up, and the pause between two.
const LOOKS_MAX: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(20);

/// Calls until one is refused, as fast as they go: a rate is used up, a lifetime is over. How many were served before, and
/// the refusal.
///
/// # Panics
/// When none is refused.
pub fn until_refused(call: impl Fn() -> Answer) -> (u32, Answer) {
    (0..REFUSED_CALLS_MAX)
        .find_map(|served| Some((served, call())).filter(|(_, answer)| answer.status != 200))
        .expect("it is never refused")
}

/// The statuses that are seen, in order, until one is `last`.
///
/// # Panics
/// When that never comes.
pub fn seen_until(last: &str, status: impl Fn() -> String) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..LOOKS_MAX {
        let status = status();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        if seen.last().is_some_and(|status| status == last) {
            return seen;
        }
        thread::park_timeout(PAUSE);
    }
    panic!("never {last}: {seen:?}");
}
