//! The reserve: room kept for records of reads, of administration and of erasure when the disk is full (`docs/format.md` section 9).
//!
//! It must not know what is written into the room that it gives up.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use crate::durable;
use crate::seams::{Faults, Step, guarded};

#[cfg(test)]
mod tests;

/// The size of the reserve unless said otherwise.
pub const DEFAULT_BYTES: u64 = 8 << 20;
/// Room beyond the reserve that there must be before ingest goes on.
pub const MARGIN_BYTES: u64 = 16 << 20;

/// Bytes that are written to find out whether there is room.
const PROBE_BYTES: usize = 1 << 16;

/// Is there no room in a folder, or no quota? SQLite calls a full disk by another name where only the sync, or the quota, finds it.
pub fn is_full(folder: &Path, faults: &dyn Faults) -> bool {
    let path = durable::temporary(&folder.join("probe"));
    let probed = guarded(faults, Step::RoomProbe, || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&[1; PROBE_BYTES])?;
        file.sync_all()
    });
    // What can't be removed is written over by the next.
    let _ = durable::remove(&path);
    probed.is_err_and(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// `DIR/reserve`.
#[derive(Clone)]
pub struct Reserve {
    path: PathBuf,
    size_bytes: u64,
}

impl Reserve {
    /// The reserve of a folder. Nothing is made yet.
    pub fn new(folder: &Path, size_bytes: u64) -> Self {
        Self { path: folder.join("reserve"), size_bytes }
    }

    /// Is it there, whole?
    pub fn is_there(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.size_bytes)
    }

    /// Makes it, if it is not there.
    pub fn make(&self, faults: &dyn Faults) -> io::Result<()> {
        if self.is_there() {
            return Ok(());
        }
        guarded(faults, Step::ReserveWrite, || {
            let temporary = durable::temporary(&self.path);
            durable::remove(&temporary)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            let filled = match fallocate(&file, FallocateFlags::empty(), 0, self.size_bytes) {
                Err(Errno::OPNOTSUPP) => {
                    io::copy(&mut io::Read::take(io::repeat(0), self.size_bytes), &mut file).and_then(|_| file.flush())
                }
                other => other.map_err(io::Error::from),
            };
            if let Err(error) = filled.and_then(|()| file.sync_all()) {
                durable::remove(&temporary)?;
                return Err(error);
            }
            durable::rename(&temporary, &self.path)
        })
    }

    /// Gives its room to others. False if it was given up before.
    pub fn give_up(&self) -> io::Result<bool> {
        if !self.path.exists() {
            return Ok(false);
        }
        durable::remove(&self.path)?;
        durable::sync_parent(&self.path)?;
        Ok(true)
    }

    /// Is a commit of this size small enough to be let in on the reserve, whoever sent it? A larger one would leave too little to the others.
    pub fn is_worth(&self, size_bytes: usize) -> bool {
        u64::try_from(size_bytes).is_ok_and(|size_bytes| size_bytes <= self.size_bytes / 8)
    }

    /// Is there room for a new reserve and the margin beside it?
    pub fn has_room(&self) -> bool {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let free = statvfs(folder).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
        free >= self.size_bytes.saturating_add(MARGIN_BYTES)
    }
}
