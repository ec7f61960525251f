#![allow(clippy::unwrap_used)]
use recall_store::catalog::{Kind, RowChange};
use recall_store::trail::{Class, InitOptions, Submission, Trail};
use serde_json::json;

use crate::cli::{Folder, Target};
use crate::client::Client;
use crate::commands::serve::Running;
use crate::folder::Place;
use crate::gateway::users::{USERS, row_name};

#[test]
fn no_more_than_ten_thousand_users_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let flags = Folder { data: Some(folder.path().join("trail")), ..Folder::default() };
    let place = Place::of(&flags).unwrap();
    Trail::init(&InitOptions::new(&place.data, place.root, "recall.invalid/test")).unwrap();
    let running = Running::local(&flags).unwrap();
    let rows = (1..USERS).map(|number| RowChange::put(Kind::User, row_name("old", &number.to_string()), *b"{}")).collect();
    let submission = Submission { batches: Vec::new(), rows, expect: Vec::new(), class: Class::Duty };
    running.block_on(running.app().commit(submission)).unwrap();
    running.close().unwrap();
    let client = Client::open(&Target { data: flags.data, ..Target::default() }).unwrap();
    let make = |name: &str| {
        let body = json!({"gateway": "new", "name": name, "role": "nurse", "upstream_role": "reporting"});
        client.post_json("/v1/users", &body).unwrap().status.as_u16()
    };
    assert_eq!((make("a"), make("b"), make("a")), (200, 422, 200));
    client.close().unwrap();
}
