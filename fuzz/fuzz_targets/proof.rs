#![no_main]
//! Receipts: what is taken is written back as it was, and none verifies under a key that did not sign it.

use libfuzzer_sys::fuzz_target;
use recall_log::note::Verifier;
use recall_log::proof::Receipt;

const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fuzz_target!(|bytes: &[u8]| {
    let Ok(receipt) = Receipt::parse(bytes) else { return };
    let again = receipt.to_text();
    assert!(Receipt::parse(again.as_bytes()).is_ok_and(|receipt| receipt.to_text() == again));
    let verifier = Verifier::parse(VKEY).expect("the published key");
    assert!(receipt.verify(&verifier, &[]).is_err());
});
