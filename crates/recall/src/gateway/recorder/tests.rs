#![allow(clippy::unwrap_used)]
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use recall_gate::record::{Done, RecordError, Recorder};
use recall_log::event::Event;
use recall_log::merkle::Hash;
use recall_store::trail::{CommitError, InitOptions, Outcome, Status, SubmitError, Trail};
use tempfile::TempDir;

use super::{BATCH_EVENTS, GatewayRecorder, durable, not_taken};
use crate::cli::Folder;
use crate::commands::serve::Running;
use crate::folder::Place;

fn running() -> (TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let flags = Folder { data: Some(folder.path().join("trail")), ..Folder::default() };
    let place = Place::of(&flags).unwrap();
    Trail::init(&InitOptions::new(&place.data, place.root, "recall.invalid/test")).unwrap();
    (folder, Running::local(&flags).unwrap())
}

const EVENT: &[u8] = br#"{"time": "2026-11-20T10:00:00Z", "action": "db.request", "op": "Q", "outcome": {"status": "success"},
    "actor": {"type": "user", "id": "nora"}, "targets": [{"type": "db:table", "id": "patients"}]}"#;

/// Answers come through the channel; it is closed once `done` is gone.
fn done() -> (Done, Receiver<Result<(), RecordError>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| sender.send(result).unwrap()), receiver)
}

#[test]
fn records_are_events_of_the_gateways_own_source_and_are_answered_once() {
    let (_folder, running) = running();
    let recorder = GatewayRecorder::new(Arc::clone(running.app()), "hospital");
    let before = running.app().trail.size();
    let event = Event::parse(EVENT).unwrap();
    for count in [1, 2, BATCH_EVENTS + 1, 0] {
        let (done, answers) = done();
        recorder.record(&vec![event.clone(); count], done).unwrap();
        assert_eq!(answers.iter().collect::<Vec<_>>(), [Ok(())]);
    }
    let events = 3 + BATCH_EVENTS as u64 + 1;
    assert_eq!(running.app().trail.size(), before + events);
    let sources = running.app().trail.sources();
    let (_, source) = sources.iter().find(|(name, _)| name == "urn:recall:gateway:hospital").unwrap();
    assert_eq!((source.events, source.seq_last, source.missing()), (events, None, 0));
    drop(recorder);
    running.close().unwrap();
}

#[test]
fn what_is_not_taken_is_not_answered_and_leaves_nothing() {
    let (_folder, running) = running();
    let recorder = GatewayRecorder::new(Arc::clone(running.app()), "hospital");
    let before = running.app().trail.size();
    let good = Event::parse(EVENT).unwrap();
    let mut bad = good.clone();
    bad.request.statement = Some("SELECT 'Featherstone' ".repeat(1 << 16).into());
    let (first, answers) = done();
    let error = recorder.record(&[good.clone(), bad], first).unwrap_err();
    assert!(matches!(&error, RecordError::Unavailable(reason) if !reason.contains("Featherstone")), "{error}");
    assert_eq!(answers.iter().count(), 0);
    assert_eq!(running.app().trail.size(), before);
    running.app().trail.close();
    let (second, answers) = done();
    assert!(matches!(recorder.record(&[good], second), Err(RecordError::Unavailable(_))));
    assert_eq!(answers.iter().count(), 0);
    drop(recorder);
    running.close().unwrap();
}

#[test]
fn only_events_that_are_stored_count_and_no_reason_names_a_place() {
    let outcome = |status| Outcome { index: 7, leaf_hash: Hash::default(), status };
    assert_eq!(durable(Ok(vec![outcome(Status::Stored)]), 1), Ok(()));
    assert!(durable(Ok(vec![outcome(Status::Stored)]), 2).is_err());
    assert!(durable(Ok(Vec::new()), 1).is_err());
    for status in [Status::Duplicate, Status::Conflict, Status::Erased] {
        assert!(durable(Ok(vec![outcome(Status::Stored), outcome(status)]), 2).is_err(), "{status:?}");
    }
    assert_eq!(durable(Err(CommitError::DiskFull), 1), Err(RecordError::DiskFull));
    assert_eq!(not_taken(SubmitError::Busy), RecordError::Busy);
    let place = || "/secret/place".to_owned();
    for error in [CommitError::Failed(place()), CommitError::Repeats(place()), CommitError::Unknown(place()), CommitError::Closed] {
        let error = durable(Err(error), 1).unwrap_err();
        assert!(matches!(error, RecordError::Unavailable(_)) && !error.to_string().contains("place"), "{error}");
    }
    let error = not_taken(SubmitError::ReadOnly(place()));
    assert!(matches!(error, RecordError::Unavailable(_)) && !error.to_string().contains("place"), "{error}");
}
