//! lifion-kinesis: polling, its state in a DynamoDB of moto's.

use weir_tests::{client, moto::Moto, server::Server};

fn walk(mode: &str) {
    let (server, state) = (Server::start(), Moto::start());
    server.stream(&format!("lifion-{mode}"), 2);
    client::run(client::node("lifion_walk.cjs").args([&server.url(), state.url(), mode]));
}

#[test]
fn lifion_works_unmodified_polling() {
    walk("polling");
}
