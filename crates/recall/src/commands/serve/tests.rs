#![allow(clippy::unwrap_used)]
use recall_store::catalog::{Kind, RowChange};
use recall_store::trail::{Class, InitOptions, Submission, Trail};

use super::{Running, TIDY_ROWS, remove_old_keys};
use crate::folder::Place;
use crate::idempotency::Kept;

#[test]
fn all_keys_that_ended_are_removed_however_many() {
    let folder = tempfile::tempdir().unwrap();
    let flags = crate::cli::Folder { data: Some(folder.path().join("trail")), ..Default::default() };
    let place = Place::of(&flags).unwrap();
    Trail::init(&InitOptions::new(&place.data, place.root, "recall.invalid/test")).unwrap();
    let running = Running::local(&flags).unwrap();
    let app = running.app();
    let kept = |at| Kept { body: [0; 32], at, size: 0 }.write();
    let mut rows: Vec<RowChange> =
        (0..2 * TIDY_ROWS + 1).map(|number| RowChange::put(Kind::Idempotency, format!("old {number}"), kept(0))).collect();
    rows.push(RowChange::put(Kind::Idempotency, "new".to_owned(), kept(app.clock.now().micros())));
    let submission = Submission { batches: Vec::new(), rows, expect: Vec::new(), class: Class::Duty };
    running.block_on(app.commit(submission)).unwrap();
    running.block_on(remove_old_keys(app));
    let left: Vec<String> = app.trail.rows(Kind::Idempotency).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["new"]);
    running.close().unwrap();
}
