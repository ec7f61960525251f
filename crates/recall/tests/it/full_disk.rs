//! A disk that is full: events are refused with 507, reads go on while the reserve takes their records, and room makes it work again.

use std::path::Path;
use std::process::Command;

use super::harness::{Trail, lines};

/// A small file system; gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this user may not mount.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a server that a failed test left may still hold it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_refuses_events_and_goes_on_reading() {
    let Some(disk) = Disk::new() else {
        assert!(std::env::var_os("RECALL_TEST_COMPLETE").is_none(), "this user may not mount a file system");
        eprintln!("skipped: this user may not mount a file system");
        return;
    };
    let trail = Trail::below(disk.path());
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 100)).ok();
    server.get("/v1/events/a-99/proof", &auditor);
    let filler = disk.path().join("filler");
    let mut block = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut block, &[1; 4096]).is_ok() {}
    drop(block);
    // What is left of the last pages may take some more.
    let mut refused = None;
    for request in 0..500 {
        let reply = server.ingest(&ingest, &lines(&format!("f{request}"), 0, 1_000));
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let problem = refused.expect("the disk is full, and events go in").problem(507);
    assert!(problem.contains("full"), "{problem}");
    for _ in 0..20 {
        assert_eq!(server.get("/v1/events?q=patient:MRN-1&limit=1", &auditor).status, 200, "reads go on");
    }
    assert!(server.get("/readyz", "").problem(503).contains("full"));
    // Each reading leaves its question in the record, until nothing is left to keep it in.
    let mut refused = None;
    for number in 0..20_000 {
        let words: String = (0..250).map(|word| format!("w{:x}%20", (number * 251 + word) * 2_654_435_761_usize)).collect();
        let reply = server.get(&format!("/v1/events?q={words}&limit=1"), &auditor);
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let problem = refused.expect("the reserve never ends").problem(507);
    assert!(problem.contains("full"), "{problem}");
    std::fs::remove_file(filler).unwrap();
    let mut tries = 0;
    while server.ingest(&ingest, &lines("again", 0, 1)).status != 200 {
        tries += 1;
        assert!(tries < 100_000, "there is room, and events are refused");
    }
    assert_eq!(server.get("/readyz", "").status, 200);
    assert_eq!(server.stop(), Some(0));
}
