#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

// All of these belong to one slot, the last of them at the table's end.
fields!(Crowd { A = "a", B = "aaaaaaaaa", C = "abbbbbbba", D = "acccccccccccccccca" });

#[test]
fn names_of_one_slot_are_told_apart() {
    for (place, (_, name)) in Crowd::ALL.iter().enumerate() {
        let (_, known, found) = find::<Crowd>(name).unwrap();
        assert_eq!((known, found), (*name, place));
    }
    for name in ["", "b", "aa", "axxxxxxxa", "\u{0}", "é", "a\0"] {
        assert!(find::<Crowd>(name).is_none(), "{name}");
    }
}
