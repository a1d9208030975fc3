//! Whole runs over TLS, against a server with a certificate that the test made: is it spoken, and is it checked?

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
};

use crate::{
    run::{Kept, keeping},
    server::{Handler, OK, Reply, Server},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use weir_core::{clock::Clock, threads::Threads};
use weir_loadgen::{
    config::{LoadConfig, LoadOptions, ServiceKind},
    report::LoadReport,
    run::run,
};
use weir_sync::Shutdown;

/// A server at a name, and the file that makes it believed.
struct Secure {
    server: Server,
    ca: PathBuf,
    _folder: tempfile::TempDir,
}

impl Secure {
    fn start(name: &str, handler: Handler) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let server = Server::start_tls(TlsAcceptor::from(Arc::new(config)), handler);
        Self { server, ca, _folder: folder }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.server.address.port())
    }
}

/// Sign-ins, which need no more of an answer than that there is one.
fn pings(url: String, ca: PathBuf) -> LoadOptions {
    LoadOptions {
        endpoints: vec![url],
        ca: Some(ca),
        service: Some(ServiceKind::SignIn),
        rate: Some("50/s".parse().unwrap()),
        duration: Some("400ms".parse().unwrap()),
        ..LoadOptions::default()
    }
}

fn load(options: LoadOptions) -> LoadReport {
    let config = LoadConfig::try_from(options).unwrap();
    run(&config, &Threads::new(), Clock::new(), &Shutdown::new()).unwrap()
}

/// Connections that come first and are never made, while the only starts that there are wait for them: each of those is
/// served by one of them all the same, and ends as it would have without.
#[test]
fn starts_that_wait_for_connections_that_are_never_made_are_told_so() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); // takes connections and says no word of TLS
    let other = Secure::start("localhost", Box::new(|_| Reply::Answer(OK)));
    let url = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let report = load(LoadOptions {
        service: None,
        stream: Some("s".into()),
        unsigned: true,
        connections: Some(2),
        timeout: Some("200ms".parse().unwrap()),
        duration: Some("100ms".parse().unwrap()),
        ..pings(url, other.ca.clone())
    });
    assert_eq!((report.offered, report.succeeded), (5, 0), "{report}");
    let with = |code| report.errors.get(code).copied().unwrap_or(0);
    assert_eq!(with("timeout") + with("overdue"), 5, "{:?}", report.errors);
}

#[test]
fn records_are_put_and_read_over_tls_under_the_name_that_was_given() {
    let (kept, heads) = (Kept::default(), Arc::<Mutex<Vec<String>>>::default());
    let (mut keep, seen) = (keeping(kept.clone()), heads.clone());
    let secure = Secure::start(
        "localhost",
        Box::new(move |request| {
            seen.lock().unwrap().push(request.head.clone());
            keep(request)
        }),
    );
    let report = load(LoadOptions {
        endpoints: vec![secure.url()],
        ca: Some(secure.ca.clone()),
        stream: Some("s".into()),
        access_key: Some("ASIA".into()),
        secret_key: Some("secret".into()),
        session_token: Some("a-token".into()),
        rate: Some("50/s".parse().unwrap()),
        duration: Some("600ms".parse().unwrap()),
        // Bodies of many TLS records each.
        batch: Some(200),
        mix: [("PutRecords", 1.0), ("GetRecords", 1.0)]
            .map(|(name, weight)| (name.to_owned(), weight))
            .into(),
        ..LoadOptions::default()
    });

    assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["partial-failure"], "{report}");
    assert_eq!(report.records, kept.lock().unwrap().len() as u64);
    assert!(report.operations["GetRecords"].succeeded > 0);
    let (heads, port) = (heads.lock().unwrap(), secure.server.address.port());
    assert!(heads.iter().any(|head| head.contains("ListShards")), "the client asked over TLS as well");
    for head in heads.iter() {
        assert!(head.contains(&format!("host: localhost:{port}\r\n")), "{head}");
        assert!(head.contains("x-amz-security-token: a-token\r\n"), "{head}");
    }
}

#[test]
fn a_connection_that_was_secured_once_is_kept() {
    let secure = Secure::start("localhost", Box::new(|_| Reply::Answer(OK)));
    let report = load(LoadOptions { connections: Some(1), ..pings(secure.url(), secure.ca.clone()) });
    assert_eq!((report.offered, report.succeeded), (20, 20), "{report}");
    assert_eq!(secure.server.connections.load(Ordering::Relaxed), 1);
}

#[test]
fn a_server_that_is_not_believed_is_an_error_of_its_own_and_is_sent_nothing() {
    let here = Secure::start("localhost", Box::new(|_| Reply::Answer(OK)));
    let named_otherwise = Secure::start("elsewhere.example", Box::new(|_| Reply::Answer(OK)));
    for (secure, ca) in [(&named_otherwise, &named_otherwise.ca), (&here, &named_otherwise.ca)] {
        let report = load(pings(secure.url(), ca.clone()));
        assert_eq!(report.errors, [("tls".to_owned(), 20)].into());
        assert_eq!(secure.server.requests.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_server_that_never_shakes_hands_is_given_up_in_time() {
    let plain = Server::start(Box::new(|_| Reply::Answer(OK)));
    let secure = Secure::start("localhost", Box::new(|_| Reply::Answer(OK)));
    let url = format!("https://localhost:{}", plain.address.port());
    let options = LoadOptions { timeout: Some("200ms".parse().unwrap()), ..pings(url, secure.ca.clone()) };
    let report = load(options);
    assert_eq!(report.succeeded, 0);
    assert!(report.errors["timeout"] > 0, "{:?}", report.errors);
}

#[test]
fn a_file_without_certificates_is_found_before_the_load_begins() {
    let options = pings("https://localhost:1".into(), "/nowhere/ca.pem".into());
    let error = LoadConfig::try_from(options).unwrap_err().to_string();
    assert!(error.contains("--ca") && error.contains("/nowhere/ca.pem"), "{error}");
}
