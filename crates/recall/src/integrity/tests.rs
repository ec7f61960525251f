#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicBool, Ordering};

use recall_log::tile::TileSource;

use super::{FolderLog, Stoppable};

#[test]
fn a_stop_ends_the_walk_over_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("checkpoint"), "note").unwrap();
    let stopping = AtomicBool::new(false);
    let log = Stoppable { log: FolderLog(folder.path().to_owned()), stopping: &stopping };
    assert_eq!(log.read("checkpoint").unwrap().unwrap(), b"note");
    stopping.store(true, Ordering::Relaxed);
    assert!(log.read("checkpoint").is_err());
}
