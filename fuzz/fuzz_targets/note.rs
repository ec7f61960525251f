#![no_main]
//! Signed notes and keys: any bytes end in a verdict, and nothing unsigned passes.

use libfuzzer_sys::fuzz_target;
use recall_log::note::{Verifier, open};

const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fuzz_target!(|bytes: &[u8]| {
    let verifier = Verifier::parse(VKEY).expect("the published key");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Verifier::parse(text);
    }
    if let Ok(opened) = open(bytes, &[verifier]) {
        assert!(bytes.starts_with(opened.text.as_bytes()));
    }
});
