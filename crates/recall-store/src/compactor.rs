//! The compactor: one thread that turns fresh batches into segments, and small segments into larger ones (`docs/format.md` sections 5, 6, 8).
//!
//! It also joins small batches in memory, so that a query never has thousands of parts to visit. Merges wait until nobody commits, unless
//! too many have gathered. It takes only batches whose entries are in the signed tree. It must not know who queries.

mod choice;
#[cfg(test)]
mod tests;
mod work;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::batch::Encoder;
use crate::catalog::Rows;
use crate::committer::Handle;
use crate::dedupe::{Dedupe, RUN};
use crate::durable;
use crate::encrypted::file_path;
use crate::keys::Keys;
use crate::publisher::Publication;
use crate::seams::Faults;
use crate::segment::{EVENTS, POSTINGS};
use crate::snapshot::Snapshots;
use work::Work;

/// When what is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fresh events that make a segment.
    pub segment_events: u64,
    /// Bytes of memory that fresh events take at which they make one, however few they are.
    pub segment_bytes: u64,
    /// Batches in memory are joined when so many of about one size follow one another…
    pub join_parts: usize,
    /// …into one of at most so many events.
    pub join_events: u32,
    /// Neighbours of one tier that are merged into one of the next.
    pub merge_width: usize,
    /// Segments waiting for a merge beyond which it no longer waits for an idle moment.
    pub merge_backlog: usize,
    /// zstd level of segments made of batches, and of merged ones.
    pub zstd_levels: (i32, i32),
    /// How often it looks for work.
    pub interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_events: 262_144,
            segment_bytes: 160 << 20,
            join_parts: 8,
            join_events: 8_192,
            merge_width: 8,
            merge_backlog: 16,
            zstd_levels: (1, 3),
            interval: Duration::from_millis(100),
        }
    }
}

/// What the compactor works with.
pub struct Wiring {
    /// The trail's folder.
    pub folder: PathBuf,
    /// Its keys.
    pub keys: Arc<Keys>,
    /// Makes what tells repeats.
    pub encoder: Encoder,
    /// What readers see.
    pub snapshots: Arc<Snapshots>,
    /// The index of repeats.
    pub dedupe: Arc<Dedupe>,
    /// What is in the signed tree.
    pub publication: Arc<Publication>,
    /// The catalog's rows.
    pub rows: Rows,
    /// The way to the catalog.
    pub handle: Handle,
    /// Failure, in tests.
    pub faults: Arc<dyn Faults>,
}

/// After a failure it waits this long: most often the disk is full.
const RETRY: Duration = Duration::from_secs(5);

/// Asked to flush key sets and then to pause; answers through the channel.
type Flush = (Vec<u64>, SyncSender<Result<Paused, String>>);

/// While it lives, the compactor neither reads nor changes anything.
pub struct Paused {
    _until_dropped: SyncSender<()>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Requests>,
    wake: Condvar,
    stop: AtomicBool,
}

#[derive(Default)]
struct Requests {
    waiting: Vec<Flush>,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of all who wait when the thread ends, however it ends.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut requests = self.0.lock();
        requests.ended = true;
        requests.waiting.clear();
    }
}

/// The running compactor.
pub struct Compactor {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Compactor {
    /// Starts the thread.
    pub fn start(wiring: Wiring, options: Options) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("compactor".to_owned()).spawn(move || run(&own, Work::new(wiring, options)))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Turns every batch of the key sets into segments, however small, and waits for it; nothing is compacted as long as the answer lives. The
    /// batches are all in the signed tree.
    pub fn flush(&self, key_sets: Vec<u64>) -> Result<Paused, String> {
        let (sender, receiver) = sync_channel(1);
        {
            let mut requests = self.shared.lock();
            requests.waiting.push((key_sets, sender));
            if requests.ended {
                requests.waiting.clear();
            }
        }
        self.shared.wake.notify_all();
        receiver.recv().unwrap_or_else(|_| Err("the compactor has ended; start the trail again".to_owned()))
    }

    /// Has the thread ended, by `stop` or by a mistake in here?
    pub fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// Ends the thread; work under way is given up. Calling it again does nothing.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // After a panic there is nothing more to wait for.
            let _ = thread.join();
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, mut work: Work) {
    let _end = End(shared);
    if let Err(error) = work.prepare() {
        tracing::warn!(%error, "not all filters of seen ids could be built; ingest is slower for it");
    }
    let mut pause = Duration::ZERO;
    while !shared.stop.load(Ordering::Relaxed) {
        let requests = {
            let idle = |requests: &mut Requests| requests.waiting.is_empty() && !shared.stop.load(Ordering::Relaxed);
            let (mut requests, _) = shared.wake.wait_timeout_while(shared.lock(), pause, idle).unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut requests.waiting)
        };
        for (key_sets, answer) in requests {
            let (until_dropped, pause) = sync_channel(0);
            let flushed = key_sets.into_iter().try_for_each(|key_set| work.flush(key_set, &shared.stop));
            // Whoever asked may have gone, and with them what is waited for.
            let _ = answer.send(flushed.map(|()| Paused { _until_dropped: until_dropped }).map_err(|error| error.to_string()));
            let _ = pause.recv();
        }
        pause = match work.step(&shared.stop) {
            Ok(true) => Duration::ZERO,
            Ok(false) => work.interval(),
            Err(error) => {
                if !shared.stop.load(Ordering::Relaxed) {
                    tracing::warn!(%error, "compaction failed; it is tried again");
                }
                RETRY
            }
        };
    }
}

/// Removes what a crash left in `DIR/segments` and `DIR/dedupe`: files that no catalog row names, and temporary ones.
pub fn remove_leftovers(folder: &Path, segment_ids: &[u64], run_ids: &[u64]) -> std::io::Result<()> {
    let names = |folder: &Path, ids: &[u64], extensions: &[&str]| -> HashSet<PathBuf> {
        ids.iter().flat_map(|id| extensions.iter().map(|extension| file_path(folder, *id, extension)).collect::<Vec<_>>()).collect()
    };
    let (segments, runs) = (folder.join(SEGMENTS), folder.join(DEDUPE));
    for (folder, named, extensions) in [
        (&segments, names(&segments, segment_ids, &[EVENTS, POSTINGS]), &[EVENTS, POSTINGS][..]),
        (&runs, names(&runs, run_ids, &[RUN]), &[RUN][..]),
    ] {
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if is_ours(&path, extensions) && !named.contains(&path) {
                durable::remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Only names that this crate gives are removed: whatever else somebody put there is theirs.
fn is_ours(path: &Path, extensions: &[&str]) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let name = name.strip_suffix(".tmp").unwrap_or(name);
    let Some((id, extension)) = name.split_once('.') else { return false };
    extensions.contains(&extension) && id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The folder of segments in the trail's folder.
pub(crate) const SEGMENTS: &str = "segments";
/// The folder of dedupe runs in the trail's folder.
pub(crate) const DEDUPE: &str = "dedupe";
