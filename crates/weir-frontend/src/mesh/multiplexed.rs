//! A lane as a task on the fleet thread: all peers share a fixed number of threads.
//!
//! What it says and when is the same as on a thread of its own; only the waiting differs. It also serves the lane of a
//! front end to its cache server.

use std::sync::Arc;

use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use weir_core::clock::Clock;

use super::{
    driver::Driver,
    mailbox::{Bell, Mailbox},
};
use crate::fleet::FleetEvent;

/// Serves the lane until it is told to stop or the fleet is gone.
pub(super) async fn run(
    mut driver: Driver<TcpStream>,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    events: mpsc::Sender<FleetEvent>,
) {
    let Bell::Task(bell) = mailbox.bell() else { unreachable!("made for a task") };
    loop {
        let mail = mailbox.take();
        if mail.orders.stop {
            return;
        }
        driver.turn(mail);
        while let Some(report) = driver.next_report() {
            if events.send(report).await.is_err() {
                return;
            }
        }
        let wake = driver.next_wake().map(|at| Instant::from_std(clock.instant(at)));
        let (readable, writable) = tokio::select! {
            () = bell.notified() => (false, false),
            () = sleep_until(wake) => (false, false),
            readiness = readiness(driver.socket()) => readiness,
        };
        if writable {
            driver.on_writable();
        }
        if readable {
            driver.on_readable();
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits until the socket can be read, or written if that is of interest.
async fn readiness(socket: Option<(&TcpStream, bool)>) -> (bool, bool) {
    let Some((socket, writes)) = socket else { return std::future::pending().await };
    tokio::select! {
        readable = socket.readable() => (readable.is_ok(), readable.is_err()),
        writable = socket.writable(), if writes => (false, writable.is_ok()),
    }
}
