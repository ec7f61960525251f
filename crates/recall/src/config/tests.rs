#![allow(clippy::unwrap_used)]
use super::Config;

#[test]
fn an_empty_file_is_a_configuration() {
    assert!(Config::parse("").unwrap().trail.data.is_none());
}

#[test]
fn all_keys_are_read() {
    let config = Config::parse(
        "[server]\nlisten = \"127.0.0.1:7080\"\nverify_every_hours = 6\n[trail]\ndata = \"./trail\"\nroot_key_file = \"/k\"\nanchor_file = \"/a\"\nsegment_events = 4096\n[log]\nformat = \"json\"\n",
    )
    .unwrap();
    assert_eq!(config.server.listen.unwrap().port(), 7080);
    assert_eq!(config.trail.segment_events, Some(4096));
    assert_eq!(config.trail.anchor_file.unwrap().to_str(), Some("/a"));
    assert_eq!(config.trail.root_key_file.unwrap().to_str(), Some("/k"));
}

#[test]
fn unknown_keys_are_named_with_their_line() {
    let problem = Config::parse("[server]\nlisten = \"127.0.0.1:1\"\nlisen = 1\n").unwrap_err();
    assert!(problem.contains("line 3") && problem.contains("lisen"), "{problem}");
    assert!(Config::parse("[sever]\n").unwrap_err().contains("sever"));
    assert!(Config::parse("[trail]\nroot_key = \"secret-thing\"\n").is_err());
}

#[test]
fn bad_values_are_refused() {
    for text in [
        "[server]\nlisten = \"somewhere\"",
        "[server]\nlisten = \"0.0.0.0:7080\"",
        "[server]\nlisten = \"[::]:7080\"",
        "[server]\nverify_every_hours = 0",
        "[server]\nverify_every_hours = -1",
        "[trail]\nroot_key_file = \"/k\"\nroot_key_command = \"c\"",
        "[trail]\nsegment_events = 63",
        "[trail]\nsegment_events = 262145",
        "[log]\nformat = \"xml\"",
        "[server",
        "listen = 1",
    ] {
        assert!(Config::parse(text).is_err(), "{text}");
    }
}

#[test]
fn both_ends_of_the_size_of_a_segment_are_taken() {
    for events in [64, 262_144] {
        assert!(Config::parse(&format!("[trail]\nsegment_events = {events}")).is_ok(), "{events}");
    }
}
