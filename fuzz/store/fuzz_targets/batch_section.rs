#![no_main]
//! Sections of a batch: any bytes end in parts and salts or an error, and take no more memory than the compressed frame says and a batch may.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| {
    let (count, packed) = input;
    recall_store::batch::read_section(count, packed);
});
