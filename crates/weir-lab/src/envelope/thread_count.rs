//! Spawns threads until the kernel refuses one: how an envelope is proved, not trusted.
//!
//! Run in a process of its own by the hidden `weir __count-threads`; the probe starts that inside the envelope to be
//! proved. It bounds itself by `max`, so that outside any envelope it ends too.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use weir_core::{limits::PEER_THREAD_STACK_BYTES, threads::Threads};

/// How far a process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadCount {
    /// Threads that ran at once, the main thread among them.
    pub threads: u32,
    /// The error number with which the kernel refused the next one; `None` when `max` was reached first.
    pub errno: Option<i32>,
}

/// The flags of the hidden `weir __count-threads`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct CountThreadsArgs {
    /// Give up at so many threads.
    #[arg(long)]
    pub max: u32,
}

/// Spawns parked threads until the kernel refuses one or this process has `max` of them, then lets them all go.
/// Call it from a process with one thread.
pub fn count_threads(max: u32) -> ThreadCount {
    let threads = Threads::new();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let mut handles = Vec::new();
    let mut errno = None;
    while errno.is_none() && (handles.len() as u32) + 1 < max {
        let gate = Arc::clone(&gate);
        let parked = move || {
            let (open, opened) = &*gate;
            let mut open = open.lock();
            opened.wait_while(&mut open, |open| !*open);
        };
        match threads.spawn_small("counted", PEER_THREAD_STACK_BYTES, parked) {
            Ok(handle) => handles.push(handle),
            Err(refused) => errno = Some(refused.source.raw_os_error().unwrap_or(0)),
        }
    }
    let count = ThreadCount { threads: handles.len() as u32 + 1, errno };
    *gate.0.lock() = true;
    gate.1.notify_all();
    for handle in handles {
        handle.join().expect("a parked thread cannot panic");
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_refusal_the_count_ends_at_its_bound() {
        assert_eq!(count_threads(5), ThreadCount { threads: 5, errno: None });
    }
}
