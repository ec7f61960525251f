//! The answer to servers older than SCRAM, which ask for an MD5 of the password (`AuthenticationMD5Password`).
//!
//! Whoever listens can guess passwords from it, so that it is for upstream connections only. PostgreSQL's manual, "Start-up".

use ::md5::{Digest, Md5};
use zeroize::Zeroizing;

/// What `PasswordMessage` carries: `md5` and MD5(MD5(password, user), salt) in hexadecimal.
pub fn response(user: &[u8], password: &[u8], salt: [u8; 4]) -> String {
    let inner = hex_of([password, user]);
    format!("md5{}", *hex_of([inner.as_bytes(), &salt]))
}

fn hex_of(parts: [&[u8]; 2]) -> Zeroizing<String> {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    let hash: Zeroizing<[u8; 16]> = Zeroizing::new(hash.finalize().into());
    Zeroizing::new(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
