//! The https port beside the plain one: believed by who trusts its authority, also after a restart, and by nobody else.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use weir_tests::{
    process::output,
    semantics::{says, says_same},
    server::Server,
    weir,
};

const SELF_SIGNED: [&str; 3] = ["--tls-self-signed", "--tls-listen", "127.0.0.1:0"];

/// A short load over https that believes who is vouched for by `trust`; its report.
fn load(server: &Server, trust: &Path) -> Value {
    load_from(&server.secure_url(), trust)
}

fn load_from(endpoint: &str, trust: &Path) -> Value {
    let mut command = Command::new(weir());
    command.args([
        "load",
        "--json",
        "--stream",
        "s",
        "--rate",
        "50/s",
        "--duration",
        "400ms",
        "--batch",
        "1",
    ]);
    command.arg("--endpoint").arg(endpoint).arg("--ca").arg(trust);
    let ended = output(&mut command, Duration::from_secs(60));
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| json!(String::from_utf8_lossy(&ended.stderr)))
}

fn authority(server: &Server) -> PathBuf {
    server.data().join("tls/authority.pem")
}

#[test]
fn a_self_made_certificate_is_believed_before_and_after_a_restart() {
    says("the certificate of `--tls-self-signed`", "is for `localhost`, `127.0.0.1` and");
    let mut server = Server::start_with(&SELF_SIGNED);
    server.stream("s", 1);
    let trust = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(authority(&server), trust.path()).unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let endpoint = format!("https://{name}:{}", server.secure_address().port());
        let report = load_from(&endpoint, trust.path());
        assert!(report["records"].as_u64() > Some(0) && report["errors"] == json!({}), "{report}");
        server.stop_and_restart();
    }
    assert!(!server.read_all("s", "shardId-000000000000").is_empty(), "the two ports are one service");
}

#[test]
fn another_servers_authority_vouches_for_nobody_here() {
    says(
        "the certificate of `--tls-self-signed`",
        "of an authority of its own, which clients must be told to trust",
    );
    let (server, other) = (Server::start_with(&SELF_SIGNED), Server::start_with(&SELF_SIGNED));
    server.stream("s", 1);
    let report = load(&server, &authority(&other));
    assert!(report.to_string().contains("tls") && report["records"].as_u64().unwrap_or(0) == 0, "{report}");
}

#[test]
fn a_certificate_of_ones_own_is_served() {
    says_same("(`--tls-cert` with `--tls-key`, or `--tls-self-signed`; `--tls-listen`)");
    let maker = Server::start_with(&SELF_SIGNED);
    let file = |name: &str| maker.data().join("tls").join(name).into_os_string().into_string().unwrap();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    let own = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-listen", "127.0.0.1:0"];
    let server = Server::start_with(&own);
    server.stream("s", 1);
    let report = load(&server, &authority(&maker));
    assert!(report["records"].as_u64() > Some(0) && report["errors"] == json!({}), "{report}");
}
