//! Random and mutated requests of every operation against a real `weir serve`: no panic, no hang, no answer of the 5xx kind,
//! and every answer one that a client can read.
//!
//! A seeded run of 20,000 requests is part of all tests. The long form is
//! `WEIR_MUTATED=1000000 cargo test --release -p weir-tests --test mutated -- --nocapture`, and `WEIR_MUTATED_SEED=N` draws
//! others; a failure prints its seed, its number and its bytes. `cargo xtask fuzz` covers the decoders from inside.
#![expect(clippy::print_stdout, reason = "a long run tells its figures")]

#[path = "mutated/connection.rs"]
mod connection;
#[path = "mutated/model.rs"]
mod model;
#[path = "mutated/request.rs"]
mod request;
#[path = "mutated/value.rs"]
mod value;

use std::{collections::BTreeMap, env, fs, net::SocketAddr, thread};

use rand::{SeedableRng, rngs::StdRng};
use weir_tests::server::Server;

use self::{
    connection::{Connection, Reply},
    model::{Model, Seen},
    request::Request,
};

/// Requests of the run that is part of all tests.
const REQUESTS: usize = 20_000;
/// Clients at once.
const CLIENTS: u64 = 4;

/// What came of a part of the run.
#[derive(Debug, Default)]
struct Tally {
    statuses: BTreeMap<u16, usize>,
    codes: BTreeMap<String, usize>,
    served: BTreeMap<String, usize>,
    closed: usize,
}

#[test]
fn no_request_breaks_the_server() {
    let number =
        |name: &str, default: usize| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (requests, seed) = (number("WEIR_MUTATED", REQUESTS), number("WEIR_MUTATED_SEED", 1) as u64);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging_to(&log, &["--shard-limits", "off"]);
    let address = server.address();
    for name in model::NAMES {
        server.stream(name, 2);
    }
    let outcomes: Vec<Result<Tally, String>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let seed = seed.wrapping_mul(1_000).wrapping_add(client);
                scope.spawn(move || run(address, seed, requests / CLIENTS as usize))
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client ends")).collect()
    });
    let log = fs::read_to_string(&log).unwrap();
    let trouble =
        |line: &&str| ["panicked", "failed", "ERROR", "WARN"].iter().any(|word| line.contains(word));
    let trouble: Vec<&str> = log.lines().filter(trouble).take(20).collect();
    let tallies: Result<Vec<Tally>, String> = outcomes.into_iter().collect();
    let tallies = tallies.unwrap_or_else(|wrong| panic!("{wrong}\nthe server's log: {trouble:#?}"));
    assert!(!log.contains("panicked"), "{trouble:#?}");
    assert!(!server.process().has_ended(), "the server is the one that was started");
    server.ok("ListStreams", &serde_json::json!({}));
    report(&tallies, requests);
}

/// Sends `count` requests that `seed` draws, and looks at every answer.
fn run(address: SocketAddr, seed: u64, count: usize) -> Result<Tally, String> {
    let (model, mut rng) = (Model::read(), StdRng::seed_from_u64(seed));
    let (mut connection, mut seen, mut tally) = (Connection::new(address), Seen::default(), Tally::default());
    for number in 0..count {
        let request = Request::draw(&model, &seen, &mut rng);
        let reply = connection.exchange(&request.bytes, request.is_torn);
        let wrong = match &reply {
            Reply::Answer(answer) => answer.what_is_wrong(),
            Reply::Closed if request.is_framed => Some("no answer came".to_owned()),
            Reply::Closed => None,
            Reply::Silence => Some("no answer came in time".to_owned()),
        };
        if let Some(wrong) = wrong {
            return Err(format!(
                "{wrong}\nseed {seed}, request {number} ({}): {}\n{reply:?}",
                request.operation,
                request.bytes.escape_ascii()
            ));
        }
        match reply {
            Reply::Answer(answer) => {
                *tally.statuses.entry(answer.status).or_default() += 1;
                if let Some(code) = answer.code() {
                    *tally.codes.entry(code).or_default() += 1;
                }
                if answer.status == 200 {
                    *tally.served.entry(request.operation).or_default() += 1;
                    seen.take(&answer.body, &mut rng);
                }
            }
            Reply::Closed | Reply::Silence => tally.closed += 1,
        }
    }
    Ok(tally)
}

/// Mutation must not be all: enough requests get through that states behind the decoders are met.
fn report(tallies: &[Tally], requests: usize) {
    let mut all = Tally::default();
    for tally in tallies {
        tally.statuses.iter().for_each(|(status, count)| *all.statuses.entry(*status).or_default() += count);
        tally.codes.iter().for_each(|(code, count)| *all.codes.entry(code.clone()).or_default() += count);
        tally.served.iter().for_each(|(name, count)| *all.served.entry(name.clone()).or_default() += count);
        all.closed += tally.closed;
    }
    println!("{requests} requests; by status: {:?}; closed without an answer: {}", all.statuses, all.closed);
    println!("by error: {:?}", all.codes);
    println!("served: {:?}", all.served);
    assert!(all.statuses[&200] > requests / 20, "too few requests got through to say much");
    assert!(all.statuses[&400] > requests / 10, "too few requests were wrong to say much");
}
