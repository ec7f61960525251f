#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use recall_store::seal::Mac;
use recall_store::secret::Key32;

use super::{Cursor, Cursors};

fn cursors(byte: u8) -> Cursors {
    Cursors(Mac::new(&Key32::from_bytes([byte; 32])))
}

const CURSOR: Cursor = Cursor { before: u64::MAX, count: 10_000, count_capped: true, now: i64::MIN };

#[test]
fn a_cursor_comes_back() {
    let text = cursors(1).write(CURSOR, &[b"q", b""]);
    assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    assert_eq!(cursors(1).read(&text, &[b"q", b""]), Some(CURSOR));
}

#[test]
fn another_question_or_key_refuses_it() {
    let text = cursors(1).write(CURSOR, &[b"q", b""]);
    assert_eq!(cursors(2).read(&text, &[b"q", b""]), None);
    assert_eq!(cursors(1).read(&text, &[b"p", b""]), None);
    assert_eq!(cursors(1).read(&text, &[b"", b"q"]), None);
    assert_eq!(cursors(1).read(&text, &[b"q"]), None);
}

#[test]
fn each_changed_character_refuses_it() {
    let text = cursors(1).write(CURSOR, &[b"q"]);
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(cursors(1).read(std::str::from_utf8(&changed).unwrap(), &[b"q"]), None, "{at}");
    }
    for length in 0..text.len() {
        assert_eq!(cursors(1).read(&text[..length], &[b"q"]), None);
    }
    assert_eq!(cursors(1).read(&format!("{text}AAAA"), &[b"q"]), None);
    assert_eq!(cursors(1).read(&"A".repeat(1_000_000), &[b"q"]), None);
}
