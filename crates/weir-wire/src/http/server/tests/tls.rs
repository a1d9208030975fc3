//! The same port behind TLS: what is agreed on in the handshake, what is spoken then, and who never shakes hands.

use std::path::Path;

use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::{super::tls::TlsError, *};

/// A server, and what its clients believe.
pub(super) struct Secure {
    pub(super) server: Server,
    roots: RootCertStore,
}

impl Secure {
    fn start(bounds: Bounds) -> Self {
        Self::open(bounds, Arc::new(Measure), ServeThreads::one())
    }

    pub(super) fn open(bounds: Bounds, handler: Arc<dyn Handler>, threads: ServeThreads) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = Tls::of_files(&certificate, &key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self { server: Server::open(bounds, handler, Some(tls), threads), roots }
    }

    /// A client that offers `protocols`.
    pub(super) async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|&name| name.into()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = self.server.connect().await;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

async fn status_over_http2(stream: TlsStream<TcpStream>) -> StatusCode {
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await; // its end is seen by who uses the client
    });
    let request = Request::post("https://localhost/").body(()).unwrap();
    client.send_request(request, true).unwrap().0.await.unwrap().status()
}

#[tokio::test]
async fn what_the_handshake_agreed_on_is_spoken_and_a_bare_preface_as_well() {
    let secure = Secure::start(patient());
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some(&b"h2"[..])), (&["h2"], Some(b"h2")), (&[], None)]
    {
        let stream = secure.connect(offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        assert_eq!(status_over_http2(stream).await, StatusCode::OK);
    }
    for (offered, agreed) in [(&["http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
        let mut stream = secure.connect(offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        stream.write_all(GOOD).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap(); // an error, were the end not said
        assert!(answer.ends_with("5 bytes"), "{answer}");
    }
}

#[tokio::test]
async fn who_never_shakes_hands_and_who_shakes_them_wrongly_is_closed() {
    let secure = Secure::start(Bounds { handshake_timeout: Duration::from_millis(50), ..patient() });
    let silent = secure.server.connect().await;
    assert_eq!(read_to_end(silent).await, "");
    let answer = secure.server.exchange(GOOD).await;
    assert!(!answer.contains("HTTP"), "nothing is said in the clear: {answer}");
}

#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_up_the_end() {
    let secure = Secure::start(patient());
    let hanging = secure.server.connect().await;
    secure.server.stop.begin();
    secure.server.task.await.unwrap();
    drop(hanging);
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("other.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    std::fs::write(path("note.pem"), "a note").unwrap();
    let refused = |certificate: &str, key: &str| {
        let (certificate, key): (&Path, &Path) = (&path(certificate), &path(key));
        Tls::of_files(certificate, key).unwrap_err()
    };
    for wrong in ["note.pem", "nowhere.pem", "key.pem"] {
        let error = refused(wrong, "key.pem");
        assert!(
            matches!(error, TlsError::Certificate { .. }) && error.to_string().contains(wrong),
            "{error}"
        );
    }
    for wrong in ["note.pem", "nowhere.pem", "cert.pem"] {
        let error = refused("cert.pem", wrong);
        assert!(matches!(error, TlsError::Key { .. }) && error.to_string().contains(wrong), "{error}");
    }
    let error = refused("cert.pem", "other.pem");
    assert!(matches!(error, TlsError::Pair { .. }), "{error}");
}
