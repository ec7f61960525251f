//! Keys of signed notes: `name+hash+base64` for verifiers, an Ed25519 seed for signers.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// What a key signs, by its type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 0x01: the text.
    Ed25519 = 1,
    /// 0x04: the text of a checkpoint and the time (cosignature/v1).
    Cosignature = 4,
}

/// A public key that verifies notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    kind: KeyKind,
    key: [u8; 32],
}

/// Not a public key of a log or witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key: {0}; `recall keys public` prints one, like example.com/log+530d903a+AekyeR…")]
pub struct VerifierError(&'static str);

/// A signature does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

impl Verifier {
    fn new(name: &str, kind: KeyKind, key: [u8; 32]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(name.as_bytes());
        context.update(&[b'\n', kind as u8]);
        context.update(&key);
        let id = context.finish().as_ref().first_chunk().copied().unwrap_or_default();
        Self { name: name.to_owned(), id, kind, key }
    }

    /// Parses `name+hash+base64(type || key)`.
    pub fn parse(vkey: &str) -> Result<Self, VerifierError> {
        let mut fields = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(VerifierError("it has no three fields"));
        };
        if !is_name(name) {
            return Err(VerifierError("the name is empty or has a space"));
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| VerifierError("the key is not base64"))?;
        let (kind, key) = bytes.split_first().ok_or(VerifierError("the key is empty"))?;
        let kind = match kind {
            1 => KeyKind::Ed25519,
            4 => KeyKind::Cosignature,
            _ => return Err(VerifierError("the type of key is neither Ed25519 nor cosignature/v1")),
        };
        let verifier = Self::new(name, kind, key.try_into().map_err(|_| VerifierError("the key is not 32 bytes long"))?);
        if verifier.id_hex() == id { Ok(verifier) } else { Err(VerifierError("the hash does not fit name and key")) }
    }

    /// The key as text, which [`Verifier::parse`] reads.
    pub fn vkey(&self) -> String {
        let mut typed = vec![self.kind as u8];
        typed.extend_from_slice(&self.key);
        format!("{}+{}+{}", self.name, self.id_hex(), STANDARD.encode(typed))
    }

    /// The name: of a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The short hash that tells keys of one name apart.
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What it signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    fn id_hex(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Result<(), Forged> {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        match self.kind {
            KeyKind::Ed25519 => key.verify(text.as_bytes(), signature).map_err(|_| Forged),
            KeyKind::Cosignature => {
                let (time, signature) = signature.split_first_chunk().ok_or(Forged)?;
                let time = u64::from_be_bytes(*time);
                if i64::try_from(time).is_err() {
                    return Err(Forged);
                }
                key.verify(format!("cosignature/v1\ntime {time}\n{text}").as_bytes(), signature).map_err(|_| Forged)
            }
        }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.vkey())
    }
}

/// Signs notes with an Ed25519 key. It has no `Debug`, and the key can't be taken out.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

/// A note can't be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The name is no key name.
    #[error("the name of a key is empty, or has a space or a plus; use a URL without its scheme, like example.com/log")]
    Name,
    /// The library refuses the key.
    #[error("the signing key is not usable; make a new one")]
    Key,
    /// The text can't be signed.
    #[error("only text without control characters that ends with a newline can be signed")]
    Text,
}

impl Signer {
    /// From a name, which for a log is its origin, and the 32 bytes of an Ed25519 seed, which the caller wipes.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, SignError> {
        if !is_name(name) {
            return Err(SignError::Name);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignError::Key)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| SignError::Key)?;
        Ok(Self { pair, verifier: Verifier::new(name, KeyKind::Ed25519, key) })
    }

    /// The public half.
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The note: the text, an empty line, the signature.
    pub fn sign(&self, text: &str) -> Result<String, SignError> {
        if !text.ends_with('\n') || text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(SignError::Text);
        }
        let mut signature = self.verifier.id.to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        Ok(format!("{text}\n— {} {}\n", self.verifier.name, STANDARD.encode(signature)))
    }
}

/// Whether a text can name a key.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|character: char| character.is_whitespace() || character.is_control() || character == '+')
}
