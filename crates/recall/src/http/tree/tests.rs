#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn only_what_the_published_tree_holds_is_shown() {
    let shown = |path: &str, size| is_published(TilePath::parse(path).unwrap(), size);
    assert!(shown("tile/0/000.p/100", 100) && !shown("tile/0/000.p/100", 99));
    assert!(shown("tile/0/000.p/100", 300));
    assert!(shown("tile/0/000", 256) && !shown("tile/0/000", 255));
    assert!(shown("tile/entries/001.p/4", 260) && !shown("tile/entries/001.p/5", 260));
    assert!(shown("tile/1/000.p/1", 256) && !shown("tile/1/000.p/1", 255) && !shown("tile/1/000.p/2", 256));
    assert!(!shown("tile/63/000.p/1", u64::MAX));
}
