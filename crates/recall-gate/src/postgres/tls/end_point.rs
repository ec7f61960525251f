//! The hash of a server's certificate that both sides of SCRAM-SHA-256-PLUS compute: the channel binding `tls-server-end-point`.
//!
//! Knows which hash function a signature algorithm stands for, and nothing of connections. RFC 5929 section 4.1.

use aws_lc_rs::digest::{self, Algorithm, Digest};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5912::{
    ECDSA_WITH_SHA_224, ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, MD_5_WITH_RSA_ENCRYPTION, SHA_1_WITH_RSA_ENCRYPTION,
    SHA_224_WITH_RSA_ENCRYPTION, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
};

/// RFC 3279 section 2.2.3.
const ECDSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");

/// Why a certificate has no such hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EndPointError {
    /// It cannot be read.
    #[error("the certificate is not X.509")]
    NotX509,
    /// Its signature algorithm has no hash function of its own (Ed25519), or clients do not agree which (RSASSA-PSS).
    #[error(
        "the certificate's signature algorithm defines no hash for channel binding (tls-server-end-point), so that clients could not \
         connect: use a certificate signed with ECDSA P-256 and SHA-256"
    )]
    NoHash,
}

/// The hash of a certificate in DER.
pub fn hash(certificate: &[u8]) -> Result<Digest, EndPointError> {
    let parsed = Certificate::from_der(certificate).map_err(|_| EndPointError::NotX509)?;
    let algorithm = algorithm(parsed.signature_algorithm().oid).ok_or(EndPointError::NoHash)?;
    Ok(digest::digest(algorithm, certificate))
}

/// The hash function that goes with a signature algorithm: its own, but SHA-256 where that is MD5 or SHA-1.
fn algorithm(signature: ObjectIdentifier) -> Option<&'static Algorithm> {
    match signature {
        MD_5_WITH_RSA_ENCRYPTION | SHA_1_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_1 => Some(&digest::SHA256),
        SHA_224_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_224 => Some(&digest::SHA224),
        SHA_256_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_256 => Some(&digest::SHA256),
        SHA_384_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_384 => Some(&digest::SHA384),
        SHA_512_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_512 => Some(&digest::SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
