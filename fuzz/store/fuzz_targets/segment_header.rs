#![no_main]
//! What the catalog holds of a segment: any bytes end in a row or an error.

use libfuzzer_sys::fuzz_target;
use recall_store::segment::SegmentRow;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(row) = SegmentRow::decode(bytes) {
        assert!(SegmentRow::decode(&row.encode()).is_ok());
    }
});
