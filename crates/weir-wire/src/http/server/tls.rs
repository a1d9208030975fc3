//! What a listener shows to clients of https, and how it shakes hands with them.
//!
//! Read once, at the start, from files of the user's or of `weir serve`'s own making. It offers HTTP/2 and HTTP/1.1 and
//! insists on neither: what a client then speaks is told by its first bytes, as on a plain port, for some begin with
//! HTTP/2 and have not asked. It must never fall back to a connection without encryption.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

/// Certificates with their key. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate to show.
    #[error("read the certificate from {}: {detail}", .path.display())]
    Certificate {
        /// From which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no key to prove it with.
    #[error("read the private key from {}: {detail}", .path.display())]
    Key {
        /// From which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// They do not belong together, or are of a kind that is not spoken.
    #[error("serve the certificate of {} with the key of {}: {detail}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
        /// What is wrong with them.
        detail: String,
    },
}

impl Tls {
    /// The certificate of one PEM file, followed there by those that vouch for it, and its private key of another.
    ///
    /// # Errors
    /// When one cannot be read, holds nothing of its kind, or the two do not belong together.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let refused = |detail: String| TlsError::Certificate { path: certificate.to_owned(), detail };
        let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| refused(error.to_string()))?;
        let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))?;
        if chain.is_empty() {
            return Err(refused("no certificate in it".to_owned()));
        }
        let proof = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsError::Key { path: key.to_owned(), detail: error.to_string() })?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, proof);
        let mut config = config.map_err(|error| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            detail: error.to_string(),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands over `stream`. Whoever calls it bounds the time.
    pub(super) async fn accept<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
