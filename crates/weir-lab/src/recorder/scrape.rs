//! Asks servers for `/metrics`, many at once, each bounded in time.
//!
//! A server that does not answer gives `None`: that is itself a finding, and never a zero.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};
use weir_wire::http::client;

/// Scrapes under way at one time. More would only wait for the two cores that serve them.
const SCRAPES_MAX: usize = 16;

/// The texts of all `/metrics`, in the order of `servers`.
pub(super) async fn scrape_all(servers: &[SocketAddr], timeout: Duration) -> Vec<Option<String>> {
    let room = Arc::new(Semaphore::new(SCRAPES_MAX));
    let mut tasks = JoinSet::new();
    for (index, &address) in servers.iter().enumerate() {
        let room = Arc::clone(&room);
        tasks.spawn(async move {
            let _turn = room.acquire_owned().await.expect("this semaphore is never closed");
            (index, scrape(address, timeout).await)
        });
    }
    let mut texts = vec![None; servers.len()];
    while let Some(joined) = tasks.join_next().await {
        if let Ok((index, text)) = joined {
            texts[index] = text;
        }
    }
    texts
}

async fn scrape(address: SocketAddr, timeout: Duration) -> Option<String> {
    let answer = client::get(address, "/metrics", timeout).await.ok()?;
    if !answer.status.is_success() {
        return None;
    }
    String::from_utf8(answer.body.to_vec()).ok()
}
