#![no_main]
//! Checkpoints: what is taken is written back byte for byte.

use libfuzzer_sys::fuzz_target;
use recall_log::checkpoint::Checkpoint;

fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_text(), text);
    }
});
