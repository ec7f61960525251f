//! Files that hold a secret alone: read only where nobody but their owner may read them, and wiped from memory after use.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::cli::variable;
use crate::failure::Failure;

/// Longest password, bytes.
const PASSWORD_BYTES: usize = 1_024;
/// Longest file of a private key, bytes.
pub const PRIVATE_KEY_BYTES: usize = 64 << 10;

/// The password in a file: all of it but one line end behind it.
pub fn password(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = read(path, PASSWORD_BYTES + 2)?;
    let length = bytes.strip_suffix(b"\n").map_or(bytes.len(), |line| line.strip_suffix(b"\r").unwrap_or(line).len());
    bytes.truncate(length);
    if bytes.is_empty() || bytes.len() > PASSWORD_BYTES || bytes.iter().any(|byte| b"\0\n\r".contains(byte)) {
        return Err(Failure::wrong(format!("{}: a password is one line of 1 to {PASSWORD_BYTES} bytes", path.display())));
    }
    Ok(bytes)
}

/// A file of at most so many bytes.
pub fn read(path: &Path, most_bytes: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::wrong(format!("{} cannot be read: {error}", path.display()));
    // A pipe without a writer would be waited for.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::wrong(format!("{} is no file: name the file that holds the secret", path.display())));
    }
    let mode = metadata.mode() & 0o777;
    if mode & refused(path, &metadata) != 0 {
        return Err(Failure::wrong(format!("{} is open to others (mode {mode:o}): run chmod 600 on it", path.display())));
    }
    // All of it at once: a buffer that grew would leave parts of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most_bytes.saturating_add(2)));
    file.take(u64::try_from(most_bytes).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most_bytes {
        return Err(Failure::wrong(format!("{} is larger than {most_bytes} bytes: this is another file", path.display())));
    }
    Ok(bytes)
}

/// The permission bits that are refused. What systemd hands to a service belongs to root and lets the service in as a group.
fn refused(path: &Path, metadata: &Metadata) -> u32 {
    let handed_in = variable("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.parent() == Some(Path::new(&folder)));
    if handed_in && metadata.uid() == 0 { 0o037 } else { 0o077 }
}

#[cfg(test)]
mod tests;
