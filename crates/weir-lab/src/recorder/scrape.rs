//! Asks servers for `/metrics`, many at once, each bounded in time.
//!
//! Connections are kept between rounds: a fleet is asked each window, on the cores that it serves with. A server that
//! does not answer gives `None`: that is itself a finding, and never a zero.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};
use weir_wire::http::client::{self, Answer, CallError, Kept};

/// Scrapes under way at one time. More would only wait for the two cores that serve them.
const SCRAPES_MAX: usize = 16;

/// Scrapes the same servers round after round, each on a connection of its own.
#[derive(Debug, Default)]
pub(super) struct Scraper {
    /// One for each server of the last round.
    kept: HashMap<SocketAddr, Kept>,
}

impl Scraper {
    /// The texts of all `/metrics`, in the order of `servers`. Connections to others are closed.
    pub(super) async fn scrape_all(
        &mut self,
        servers: &[SocketAddr],
        timeout: Duration,
    ) -> Vec<Option<String>> {
        let mut before = std::mem::take(&mut self.kept);
        let asks = servers.iter().map(|&address| {
            let mut kept = before.remove(&address).unwrap_or_else(|| Kept::new(address));
            async move {
                let text = text(kept.get("/metrics", timeout).await);
                (kept, text)
            }
        });
        let answers = ask_all(asks).await;
        let mut texts = Vec::with_capacity(servers.len());
        for (&address, answer) in servers.iter().zip(answers) {
            let (kept, text) = answer.unzip();
            self.kept.extend(kept.map(|kept| (address, kept)));
            texts.push(text.flatten());
        }
        texts
    }
}

/// As [`Scraper::scrape_all`], for a single look: no connection outlives it.
pub(super) async fn scrape_once(servers: &[SocketAddr], timeout: Duration) -> Vec<Option<String>> {
    let asks =
        servers.iter().map(|&address| async move { text(client::get(address, "/metrics", timeout).await) });
    ask_all(asks).await.into_iter().map(Option::flatten).collect()
}

/// What came of all `asks`, in their order, [`SCRAPES_MAX`] at a time; `None` of one that panicked.
async fn ask_all<F>(asks: impl Iterator<Item = F>) -> Vec<Option<F::Output>>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(SCRAPES_MAX));
    let mut tasks = JoinSet::new();
    let mut answers = Vec::new();
    for (index, ask) in asks.enumerate() {
        let room = Arc::clone(&room);
        answers.push(None);
        tasks.spawn(async move {
            let _turn = room.acquire_owned().await.expect("this semaphore is never closed");
            (index, ask.await)
        });
    }
    while let Some(joined) = tasks.join_next().await {
        if let Ok((index, answer)) = joined {
            answers[index] = Some(answer);
        }
    }
    answers
}

fn text(answer: Result<Answer, CallError>) -> Option<String> {
    let answer = answer.ok().filter(|answer| answer.status.is_success())?;
    String::from_utf8(answer.body.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A server that says which of its connections it is asked on.
    async fn server(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for number in 1.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        request.push(byte);
                        if request.ends_with(b"\r\n\r\n") {
                            let answer =
                                format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{name}{number}");
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn connections_are_kept_for_servers_that_stay_and_no_others() {
        let (a, b) = (server("a").await, server("b").await);
        let nobody = {
            let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap()
        };
        let mut scraper = Scraper::default();
        let mut round = async |servers: &[SocketAddr]| -> Vec<String> {
            let texts = scraper.scrape_all(servers, Duration::from_secs(30)).await;
            texts.into_iter().map(|text| text.unwrap_or_else(|| "-".to_owned())).collect()
        };
        assert_eq!(round(&[a, nobody, b]).await, ["a1", "-", "b1"]);
        assert_eq!(round(&[b, a]).await, ["b1", "a1"]);
        assert_eq!(round(&[a]).await, ["a1"]);
        assert_eq!(round(&[a, b]).await, ["a1", "b2"]);
        assert_eq!(scrape_once(&[a], Duration::from_secs(30)).await, [Some("a2".to_owned())]);
    }
}
