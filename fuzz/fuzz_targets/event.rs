#![no_main]
//! The event: whatever bytes come, parsing ends in an event or an error; what was taken can be written, committed to and read back.

use libfuzzer_sys::fuzz_target;
use recall_log::entry::{Admission, Parts, commit};
use recall_log::event::Event;
use recall_log::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = Event::parse(bytes) else { return };
    let received_at = Timestamp::from_micros(1_790_812_800_000_000);
    let admission = Admission { source: "urn:fuzz", id: "0192f0c1-0000-7000-8000-000000000000", received_at };
    let Ok(parts) = Parts::write(&event, &admission) else { return };
    let entry = commit(&parts.public, &parts.phi, &[1; 16], &[2; 16]);
    assert_eq!(entry[0], 1);
    let merged = recall_log::entry::merge(&parts.public, Some(&parts.phi)).expect("what was written can be merged");
    assert_eq!(recall_log::canonical::canonicalize(&merged).expect("a merged event is JSON"), merged, "and canonical already");
});
