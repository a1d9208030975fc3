//! The SDKs of JavaScript, Rust and Java: each in its own program, over both ports where it speaks TLS.

use weir_tests::{client, server::Server};

fn with_both_ports() -> Server {
    Server::start_with(&["--tls-self-signed", "--tls-listen", "127.0.0.1:0"])
}

#[test]
fn the_javascript_sdk_works_unmodified() {
    let server = with_both_ports();
    client::run(client::node("sdk_v3_walk.cjs").arg(server.url()));
    let mut trusting = client::node("sdk_v3_walk.cjs");
    trusting.env("NODE_EXTRA_CA_CERTS", server.data().join("tls/authority.pem"));
    client::run(trusting.arg(server.secure_url()));
}

#[test]
fn the_rust_sdk_works_unmodified() {
    let server = Server::start();
    client::run(client::rust().arg(server.url()));
}

#[test]
fn the_java_sdk_works_unmodified() {
    let server = with_both_ports();
    client::run(client::java("SdkWalk.java").args([&server.url(), &server.secure_url()]));
}
