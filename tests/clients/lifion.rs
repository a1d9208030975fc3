//! lifion-kinesis: polling, its state in a DynamoDB of moto's.

use weir_tests::{client, moto::Moto, server::Server};

#[test]
fn lifion_works_unmodified() {
    let (server, state) = (Server::start(), Moto::start());
    server.stream("lifion", 2);
    client::run(client::node("lifion_walk.cjs").args([&server.url(), state.url()]));
}
