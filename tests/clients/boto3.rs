//! boto3, and records in the KPL's format through it.

use weir_tests::{client, server::Server};

#[test]
fn boto3_works_unmodified() {
    let server = Server::start_with(&["--shard-limits", "off"]);
    client::run(client::python("boto3_walk.py").arg(server.url()));
}

#[test]
fn boto3_subscribes_to_a_shard_unmodified() {
    let server = Server::start();
    client::run(client::python("boto3_subscribe.py").arg(server.url()));
}

#[test]
fn boto3_calls_every_operation_that_its_model_names() {
    let server = Server::start();
    client::run(client::python("boto3_operations.py").arg(server.url()));
}

#[test]
fn boto3_believes_a_self_signed_server_whose_authority_it_was_given() {
    let server = Server::start_with(&["--tls-self-signed", "--tls-listen", "127.0.0.1:0"]);
    let mut trusting = client::python("boto3_walk.py");
    trusting.env("AWS_CA_BUNDLE", server.data().join("tls/authority.pem"));
    client::run(trusting.arg(server.secure_url()));
}

#[test]
fn aggregated_records_of_the_kpl_go_in_and_come_out_whole() {
    let server = Server::start();
    client::run(client::python("aggregation_walk.py").arg(server.url()));
}

#[test]
fn signatures_are_verified_when_credentials_are_configured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("credentials");
    let text = "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\naccount_id = 123456789012\n";
    std::fs::write(&file, text).expect("write the credentials");
    let server = Server::start_with(&["--credentials", file.to_str().expect("UTF-8")]);
    client::run(client::python("boto3_signatures.py").arg(server.url()));
}
