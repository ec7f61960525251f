use std::sync::OnceLock;

use super::*;
use crate::postgres::analysis::Strings;

fn statement(text: &str) -> Arc<Statement> {
    Statement::new(text.as_bytes(), Vec::new(), Strings::default())
}

fn text(names: &Names, name: &str) -> Option<String> {
    names.statement(name.as_bytes()).map(|(statement, _)| statement.text.clone())
}

#[test]
fn what_is_sent_counts_at_once_and_what_fails_not_at_all() {
    let mut names = Names::default();
    let first = names.prepared(b"s", statement("SELECT 1"));
    names.sent(&first);
    names.done(&first);
    let second = names.prepared(b"s", statement("SELECT 2"));
    names.sent(&second);
    assert_eq!(text(&names, "s").as_deref(), Some("SELECT 2"));
    // Upstream failed: what it never did is forgotten, what it still owes counts.
    let third = names.prepared(b"t", statement("SELECT 3"));
    names.sent(&third);
    names.again([&third].into_iter());
    assert_eq!(text(&names, "s").as_deref(), Some("SELECT 1"));
    assert_eq!(text(&names, "t").as_deref(), Some("SELECT 3"));
}

#[test]
fn portals_end_with_their_transaction() {
    let mut names = Names::default();
    let portal = |text| {
        Arc::new(Portal { statement: statement(text), parameters: Vec::new(), doubtful: false, doubts: 0, columns: OnceLock::new() })
    };
    let old = Act::Portal(b"p".to_vec(), portal("SELECT 1"));
    names.sent(&old);
    names.done(&old);
    let next = Act::Portal(b"q".to_vec(), portal("SELECT 2"));
    names.sent(&next);
    names.transaction_ended([&next].into_iter());
    assert!(names.portal(b"p").is_none());
    assert_eq!(names.portal(b"q").unwrap().statement.text, "SELECT 2");
}

#[test]
fn code_that_cannot_be_seen_puts_older_names_in_doubt() {
    let mut names = Names::default();
    let old = names.prepared(b"old", statement("SELECT 1"));
    names.sent(&old);
    names.doubt(false);
    assert!(!names.statement(b"old").unwrap().1);
    names.doubt(true);
    let new = names.prepared(b"new", statement("SELECT 2"));
    names.sent(&new);
    assert!(names.statement(b"old").unwrap().1);
    assert!(!names.statement(b"new").unwrap().1);
}

#[test]
fn texts_take_so_many_bytes_and_no_more() {
    let mut names = Names::default();
    let text = format!("SELECT '{}'", "x".repeat((4 << 20) - 9));
    for at in 0..16 {
        assert!(names.has_room(), "{at}");
        names.sent(&names.prepared(format!("s{at}").as_bytes(), statement(&text)));
    }
    assert!(!names.has_room());
    // One that is made anew takes the place of the old one.
    names.sent(&names.prepared(b"s0", statement("SELECT 1")));
    assert!(names.has_room());
    names.sent(&names.prepared(b"s0", statement(&text)));
    assert!(!names.has_room());
    names.sent(&Act::CloseStatement(b"s1".to_vec()));
    assert!(names.has_room());
}
