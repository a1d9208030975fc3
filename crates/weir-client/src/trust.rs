//! Whose certificates are believed at https endpoints.
//!
//! Made once, before the first connection, and shared by all of them. It must never believe a certificate because
//! nothing better is there: no certificate to trust is an error that says how to mend it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

/// Certificates to believe. Cheap to clone.
#[derive(Clone)]
pub struct Trust {
    connector: TlsConnector,
    roots: usize,
}

/// There is nothing to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The host has no certificates, or none that read.
    #[error("this host keeps no certificates to trust{detail}: name a file of them (PEM)")]
    Host {
        /// What was met, with a colon in front; empty when nothing was.
        detail: String,
    },
    /// A file has none.
    #[error("read certificates to trust from {}: {detail}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

impl Trust {
    /// The certificates that this host trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    ///
    /// # Errors
    /// When there are none.
    pub fn of_host() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some hosts keep certificates of odd forms among the good ones: those are not trusted, and no reason to stop.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let detail = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TrustError::Host { detail });
        }
        Ok(Self::in_roots(roots))
    }

    /// The certificates in a PEM file, and no others.
    ///
    /// # Errors
    /// When it cannot be read, or any part of it, or holds none.
    pub fn of_file(path: &Path) -> Result<Self, TrustError> {
        let failed = |detail: String| TrustError::File { path: path.to_owned(), detail };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("no certificate in it".to_owned()));
        }
        Ok(Self::in_roots(roots))
    }

    fn in_roots(roots: RootCertStore) -> Self {
        let count = roots.len();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Said aloud, or a server that speaks HTTP/2 as well might begin with that.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { connector: TlsConnector::from(Arc::new(config)), roots: count }
    }

    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.connector
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("roots", &self.roots).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(Trust::of_file(&path).unwrap_err().to_string().contains("ca.pem"));
        for text in ["", "a note", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = Trust::of_file(&path).unwrap_err().to_string();
            assert!(error.contains("ca.pem"), "{error}");
        }
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert_eq!(Trust::of_file(&path).unwrap().roots, 1);
    }
}
