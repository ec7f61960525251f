//! TLS of both connections: to clients with the gateway's own certificate, to upstream servers with full verification.
//!
//! Owns the files that say who is who, and the hash that binds SCRAM to a certificate ([`end_point`]). It must not know the messages that
//! ask for TLS (`SSLRequest`), nor sockets. PostgreSQL's manual, "SSL Session Encryption"; RFC 5929 section 4.

pub mod end_point;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::Digest;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use zeroize::Zeroizing;

use end_point::EndPointError;

/// What both sides agree to speak inside TLS. A client that begins with TLS at once must name it; one that asks first may.
pub const ALPN: &[u8] = b"postgresql";
/// Largest file of certificates or of a key, in bytes.
pub const FILE_BYTES: u64 = 1 << 20;

/// Why TLS cannot be set up. Says what to do.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Others than its owner may read or change the key.
    #[error("others than its owner have access to the key {path} (mode {mode:04o}): run chmod 600 on it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file is no plain file or has more than [`FILE_BYTES`].
    #[error("{path} is no file of at most {FILE_BYTES} bytes")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// A file has none of what it is named for, or is broken.
    #[error("{path} has no {wanted} in PEM form")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The own certificate cannot be bound to.
    #[error("{path}: {reason}")]
    EndPoint {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: EndPointError,
    },
    /// Certificate and key do not fit each other, or the library refuses them.
    #[error("{path} cannot be used: {reason}")]
    Unusable {
        /// The file of certificates.
        path: PathBuf,
        /// Why.
        reason: rustls::Error,
    },
    /// Nobody is trusted.
    #[error("TLS to the upstream needs somebody to trust: name the PEM file with the certificate of its authority as ca_file")]
    NoRoots,
    /// What the certificate would have to name is no name.
    #[error("the upstream's host is neither a DNS name nor an IP address, so that no certificate can name it")]
    HostName,
    /// The library lacks what it was built with.
    #[error("TLS cannot be set up: {0}")]
    Library(rustls::Error),
}

/// The gateway's own side: what clients see.
pub struct ServerTls {
    config: Arc<ServerConfig>,
    end_point: Digest,
}

impl ServerTls {
    /// Reads a chain of certificates, the own first, and its key.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate_file)?;
        let end_point = chain.first().map_or(Err(EndPointError::NotX509), |own| end_point::hash(own));
        let end_point = end_point.map_err(|reason| TlsError::EndPoint { path: certificate_file.into(), reason })?;
        let key = private_key(key_file)?;
        let mut config = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|reason| TlsError::Unusable { path: certificate_file.into(), reason })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // PostgreSQL's clients never resume a session.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), end_point })
    }

    /// Accepts connections. After a direct one, its ALPN protocol must be [`ALPN`]: without it, somebody may be passing on bytes that a
    /// client meant for another service.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// What clients' channels are bound to.
    pub fn end_point(&self) -> &[u8] {
        self.end_point.as_ref()
    }
}

/// The side of upstream servers: only those are spoken to that show a certificate for their name from a trusted authority.
pub struct UpstreamTls {
    config: Arc<ClientConfig>,
}

impl UpstreamTls {
    /// Reads the certificates of the trusted authorities.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let path = ca_file.ok_or(TlsError::NoRoots)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|reason| TlsError::Unusable { path: path.into(), reason })?;
        }
        let mut config = ClientConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    /// Makes connections; each is given the name that the certificate must have, see [`server_name`].
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

/// The name that an upstream's certificate must have.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName)
}

/// What the own channel to an upstream is bound to; `None` where its certificate defines no hash. It does without binding then: the
/// certificate was verified all the same.
pub fn upstream_end_point(connection: &ClientConnection) -> Option<Digest> {
    end_point::hash(connection.peer_certificates()?.first()?).ok()
}

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, false)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| TlsError::NotPem { path: path.into(), wanted: "certificate" })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, true)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NotPem { path: path.into(), wanted: "unencrypted private key" })
}

fn read(path: &Path, secret: bool) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |reason| TlsError::Unreadable { path: path.into(), reason };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() || metadata.len() > FILE_BYTES {
        return Err(TlsError::NotAFile { path: path.into() });
    }
    if secret && mode & 0o077 != 0 {
        return Err(TlsError::Exposed { path: path.into(), mode });
    }
    // Room for all of it at once: what a growing vector leaves behind is not wiped.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(FILE_BYTES).unwrap_or_default()));
    file.take(FILE_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
