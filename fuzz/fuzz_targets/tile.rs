#![no_main]
//! Paths of tiles, and entry bundles: what is taken is written back as it was.

use libfuzzer_sys::fuzz_target;
use recall_log::tile::{TilePath, entries, push_entry};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(path) = TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text, "each file has one path");
    }
    let Some((width, bundle)) = bytes.split_first() else { return };
    if let Ok(found) = entries(bundle, u16::from(*width), true) {
        let mut again = Vec::new();
        for entry in found {
            push_entry(&mut again, entry).expect("an entry that was read is short enough");
        }
        assert_eq!(again, bundle);
    }
});
