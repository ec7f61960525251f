#![no_main]
//! Stored parts, which a verifier reads from a disk that anybody may have written to: any bytes end in facets, a merged event or an error.
//! The PHI part follows the public one after a newline, which canonical JSON never holds.

use libfuzzer_sys::fuzz_target;
use recall_log::entry::{Facets, merge, received_at_span};

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (public, phi) = (&bytes[..middle], bytes.get(middle + 1..).unwrap_or_default());
    let _ = Facets::read(public, Some(phi));
    if let Ok(span) = received_at_span(public) {
        assert!(span.start < span.end && span.end <= public.len());
    }
    if let Ok(merged) = merge(public, Some(phi)) {
        assert!(std::str::from_utf8(&merged).is_ok());
    }
});
