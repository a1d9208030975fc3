//! The https port of `weir serve`: its flags, and the certificate that it makes for itself.
//!
//! A certificate made here is vouched for by an authority that is made with it and whose key is thrown away at once: who
//! trusts that authority trusts this one server and nothing that could ever be made later. Both stay in the data folder,
//! so that clients set up once still believe the server after a restart.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use weir_core::durable::{self, FileError};
use weir_wire::http::server::tls::{Tls, TlsError};

use crate::exit::Failure;

/// The port of https when no address is given.
const PORT_DEFAULT: u16 = 4568;
/// Names and addresses that clients on this host reach the server by.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The folder of a self-made certificate, in the data folder.
const FOLDER: &str = "tls";
/// Everybody may read a certificate; its key is its owner's.
const PUBLIC_MODE: u32 = 0o644;
const SECRET_MODE: u32 = 0o600;

/// Flags about https.
#[derive(Debug, Args)]
pub(super) struct TlsArgs {
    /// Where to listen for https [default: port 4568 of the address of --listen]; needs a certificate.
    #[arg(long, value_name = "ADDRESS")]
    tls_listen: Option<SocketAddr>,
    /// Serve https with the certificate of this PEM file, followed there by those that vouch for it.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Serve https with a certificate for this host that is made once and kept in the data folder.
    #[arg(long)]
    tls_self_signed: bool,
}

/// An https port that is asked for.
#[derive(Debug)]
pub(super) struct SecurePort {
    pub(super) listen: SocketAddr,
    certificate: Certificate,
}

/// Whose certificate it shows.
#[derive(Debug)]
enum Certificate {
    Given { certificate: PathBuf, key: PathBuf },
    SelfMade,
}

/// What an https port needs to be opened.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) tls: Tls,
    /// What a client must trust to believe the server.
    pub(super) trust: PathBuf,
}

/// The flags do not go together.
#[derive(Debug, thiserror::Error)]
enum FlagsError {
    #[error("--tls-cert and --tls-key go together: give both")]
    Half,
    #[error(
        "--tls-self-signed makes a certificate: leave out --tls-cert and --tls-key, or --tls-self-signed"
    )]
    Both,
    #[error("--tls-listen needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed")]
    None,
}

/// The certificate could not be made or kept.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("make a certificate: {0}")]
    Made(#[from] rcgen::Error),
    #[error(transparent)]
    Kept(#[from] FileError),
}

impl TlsArgs {
    /// The port that the flags ask for, if they do, beside the one at `plain`.
    pub(super) fn port(&self, plain: SocketAddr) -> Result<Option<SecurePort>, Failure> {
        let Self { tls_listen, tls_cert, tls_key, tls_self_signed } = self;
        let certificate = match (tls_cert, tls_key, tls_self_signed) {
            (Some(certificate), Some(key), false) => {
                Certificate::Given { certificate: certificate.clone(), key: key.clone() }
            }
            (None, None, true) => Certificate::SelfMade,
            (None, None, false) if tls_listen.is_none() => return Ok(None),
            (None, None, false) => return Err(Failure::usage(FlagsError::None)),
            (_, _, true) => return Err(Failure::usage(FlagsError::Both)),
            (_, _, false) => return Err(Failure::usage(FlagsError::Half)),
        };
        let listen = tls_listen.unwrap_or_else(|| SocketAddr::new(plain.ip(), PORT_DEFAULT));
        Ok(Some(SecurePort { listen, certificate }))
    }
}

impl SecurePort {
    /// Reads the certificate; one of our own is made once and kept in `data`, which must be nobody else's by now: of two
    /// servers that begin on one folder, the one that gives up would else leave the other a certificate it does not show.
    pub(super) fn secure(&self, data: &Path) -> Result<Secured, Failure> {
        let (trust, certificate, key) = match &self.certificate {
            Certificate::Given { certificate, key } => {
                (certificate.clone(), certificate.clone(), key.clone())
            }
            Certificate::SelfMade => {
                let files = Files::of(data);
                files.make_once().map_err(not_made)?;
                (files.authority, files.certificate, files.key)
            }
        };
        let tls = Tls::of_files(&certificate, &key).map_err(not_usable)?;
        Ok(Secured { tls, trust })
    }
}

fn not_usable(error: TlsError) -> Failure {
    Failure::usage(error)
}

fn not_made(error: MakeError) -> Failure {
    match error {
        MakeError::Kept(error) => Failure::folder(error),
        MakeError::Made(_) => error.into(),
    }
}

/// Where a self-made certificate is kept.
struct Files {
    folder: PathBuf,
    /// What clients are to trust.
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(data: &Path) -> Self {
        let folder = data.join(FOLDER);
        Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            folder,
        }
    }

    /// Makes what is not there yet. The authority is written last: with it, all are whole.
    fn make_once(&self) -> Result<(), MakeError> {
        if self.authority.exists() {
            return Ok(());
        }
        let made = Made::new()?;
        durable::create_folder(&self.folder)?;
        durable::replace(&self.key, made.key.as_bytes(), SECRET_MODE)?;
        durable::replace(&self.certificate, made.certificate.as_bytes(), PUBLIC_MODE)?;
        durable::replace(&self.authority, made.authority.as_bytes(), PUBLIC_MODE)?;
        Ok(())
    }
}

/// A certificate for this host, all in PEM.
struct Made {
    authority: String,
    certificate: String,
    key: String,
}

impl Made {
    fn new() -> Result<Self, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "weir serve, one server's own authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = authority.self_signed(&authority_key)?;

        let key = KeyPair::generate()?;
        let mut certificate = CertificateParams::new(LOCAL_NAMES.map(str::to_owned))?;
        certificate.distinguished_name.push(DnType::CommonName, "weir serve");
        certificate.use_authority_key_identifier_extension = true;
        certificate.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = certificate.signed_by(&key, &Issuer::new(authority, authority_key))?;
        Ok(Self { authority: root.pem(), certificate: leaf.pem(), key: key.serialize_pem() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_its_owners() {
        let data = tempfile::tempdir().unwrap();
        let files = Files::of(data.path());
        files.make_once().unwrap();
        let made = std::fs::read(&files.authority).unwrap();
        assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, SECRET_MODE);
        Tls::of_files(&files.certificate, &files.key).unwrap();
        files.make_once().unwrap();
        assert_eq!(std::fs::read(&files.authority).unwrap(), made);
    }

    #[test]
    fn what_a_crash_left_half_made_is_made_anew() {
        let data = tempfile::tempdir().unwrap();
        let files = Files::of(data.path());
        files.make_once().unwrap();
        std::fs::remove_file(&files.authority).unwrap();
        let left = std::fs::read(&files.key).unwrap();
        files.make_once().unwrap();
        assert_ne!(std::fs::read(&files.key).unwrap(), left);
        Tls::of_files(&files.certificate, &files.key).unwrap();
    }
}
