//! What the store takes from outside: time, randomness, and (in tests) failure.
//!
//! Nothing else in this crate reads a clock or draws random bytes. `Faults` stands around every step of a commit that touches the
//! disk (`docs/format.md` section 8), so that tests can make each one fail, or fail after it has persisted.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use recall_log::time::Timestamp;

/// Wall-clock time. It may jump; nothing here relies on its order.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Cryptographically secure random bytes.
pub trait Random: Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The generator of the cryptographic library, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            // Without randomness no salt and no nonce is safe, and there is nobody to report to who could do without them.
            std::process::abort();
        }
    }
}

/// A step that touches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The keyring is replaced.
    KeyringWrite,
    /// The root key file is replaced (shredding, rotation).
    RootKeyWrite,
    /// A catalog transaction that holds batches or rows (step 4: the promise).
    CatalogWrite,
    /// The catalog's log is merged into its file and emptied, after a write whose sync was reported as failed, and at every start.
    CatalogSettle,
    /// The catalog is opened anew after a failure.
    CatalogReopen,
    /// Tiles and bundles are written (step 6).
    TileWrite,
    /// They are synced as a group (step 6).
    TileSync,
    /// The signed checkpoint goes into the catalog (step 7).
    CheckpointCatalog,
    /// `DIR.anchor` is replaced (step 8).
    AnchorWrite,
    /// `log/checkpoint` is replaced (step 9).
    CheckpointPublish,
    /// The files of a segment are written.
    SegmentWrite,
    /// The files of a dedupe run are written.
    DedupeWrite,
    /// The catalog transaction that puts a segment in place of batches or smaller segments.
    SegmentSwap,
    /// The reserve is made.
    ReserveWrite,
    /// A few bytes are written to find out whether the disk is full.
    RoomProbe,
}

impl Step {
    /// Every step, for tests that go through all of them.
    pub const ALL: [Self; 15] = [
        Self::KeyringWrite,
        Self::RootKeyWrite,
        Self::CatalogWrite,
        Self::CatalogSettle,
        Self::CatalogReopen,
        Self::TileWrite,
        Self::TileSync,
        Self::CheckpointCatalog,
        Self::AnchorWrite,
        Self::CheckpointPublish,
        Self::SegmentWrite,
        Self::DedupeWrite,
        Self::SegmentSwap,
        Self::ReserveWrite,
        Self::RoomProbe,
    ];
}

/// Failure on demand. An error from `before` means 'failed'; one from `after`, 'failed, but it persisted'.
pub trait Faults: Send + Sync {
    /// Asked before the step is done.
    fn before(&self, step: Step) -> io::Result<()>;
    /// Asked once the step is durable.
    fn after(&self, step: Step) -> io::Result<()>;
}

/// Nothing fails on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }

    fn after(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

/// Does `work` between the two questions to `faults`.
pub fn guarded<T, E: From<io::Error>>(faults: &dyn Faults, step: Step, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    faults.before(step)?;
    let done = work()?;
    faults.after(step)?;
    Ok(done)
}
