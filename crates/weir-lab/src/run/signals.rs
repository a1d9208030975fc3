//! Ctrl-C and SIGTERM, turned into the run's own "we stop now".
//!
//! A thread of its own, because the lab's other threads wait for children, sockets and files. It ends with the run.

use std::{io, thread::JoinHandle};

use tokio::signal::unix::{SignalKind, signal};
use weir_core::threads::Threads;
use weir_sync::Shutdown;

/// Listens until dropped.
#[derive(Debug)]
pub(super) struct Signals {
    done: Shutdown,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Signals {
    /// Begins `stop` at the first SIGINT, SIGTERM or SIGHUP.
    pub(super) fn listen(stop: Shutdown, threads: &Threads) -> io::Result<Self> {
        let done = Shutdown::new();
        let ended = done.clone();
        let (ready, listening) = std::sync::mpsc::sync_channel(1);
        let thread = threads.spawn("signals", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut interrupt = signal(SignalKind::interrupt())?;
                let mut terminate = signal(SignalKind::terminate())?;
                let mut hang_up = signal(SignalKind::hangup())?;
                // The receiver waits for exactly this.
                let _ = ready.send(());
                tokio::select! {
                    _ = interrupt.recv() => stop.begin(),
                    _ = terminate.recv() => stop.begin(),
                    _ = hang_up.recv() => stop.begin(),
                    () = ended.wait_async() => {}
                }
                Ok(())
            })
        });
        let thread = thread.map_err(|refused| refused.source)?;
        // An error before it listens closes the channel; it is told at the join.
        let _ = listening.recv();
        Ok(Self { done, thread: Some(thread) })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.done.begin();
        if let Some(thread) = self.thread.take()
            && let Ok(Err(error)) = thread.join()
        {
            tracing::warn!(%error, "signals were not listened to");
        }
    }
}
