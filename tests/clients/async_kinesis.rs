//! async-kinesis: producer and consumer, plain and with aggregation.

use weir_tests::{client, server::Server};

#[test]
fn async_kinesis_works_unmodified() {
    let server = Server::start();
    client::run(client::python_async("async_kinesis_walk.py").arg(server.url()));
}
