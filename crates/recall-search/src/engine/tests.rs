#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use recall_store::compactor;
use serde_json::Value;

use super::*;
use crate::testing::{Clinic, LOG, engine, event, indexes, request};
use crate::view::{Damaged, View};

const SIZE: u64 = 600;

/// A clinic with segments of some hundred events, and the files of one in the middle.
fn clinic() -> (Clinic, PathBuf, PathBuf) {
    let options = compactor::Options { segment_events: 100, join_events: 64, merge_width: 1_000, ..compactor::Options::default() };
    let clinic = Clinic::with(options);
    let events: Vec<Value> = (0..SIZE).map(event).collect();
    events.chunks(50).for_each(|events| drop(clinic.store(events)));
    clinic.trail.wait_published(SIZE, Duration::from_secs(60)).unwrap();
    let segments = clinic.settle(|segments, fresh| segments.len() >= 3 && fresh <= 100);
    let id = format!("{:016x}", segments[1].row().id);
    let folder = clinic.trail.folder().join("segments");
    (clinic, folder.join(format!("{id}.events")), folder.join(format!("{id}.postings")))
}

fn covered(damaged: &[Damaged]) -> BTreeSet<u64> {
    damaged.iter().flat_map(|range| range.first..=range.last).collect()
}

async fn all_pages(engine: &Engine, view: &View, query: &str) -> (BTreeSet<u64>, SearchPage) {
    let mut found = BTreeSet::new();
    let mut next = SearchRequest { limit: 1_000, ..request(query) };
    loop {
        let page = engine.search(view, &next).await.unwrap();
        found.extend(indexes(&page.events));
        next.cursor = page.next_cursor.clone();
        if next.cursor.is_none() {
            return (found, page);
        }
    }
}

fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 0x20;
    changed
}

#[tokio::test]
async fn what_is_whole_is_served_and_what_is_damaged_is_named() {
    let (clinic, events, _) = clinic();
    let engine = engine(Limits::default());
    let whole: BTreeSet<u64> = (0..SIZE).collect();
    let kept = fs::read(&events).unwrap();
    let mut hurt = 0;
    for at in (0..kept.len()).step_by(kept.len() / 60) {
        fs::write(&events, flip(&kept, at)).unwrap();
        let (found, page) = all_pages(&engine, &clinic.view(), "").await;
        let missing = covered(&page.damaged);
        assert_eq!(whole.difference(&missing).copied().collect::<BTreeSet<_>>(), found, "byte {at}");
        assert_eq!(page.count_capped, !missing.is_empty());
        hurt += usize::from(!missing.is_empty());
        for range in &page.damaged {
            assert!(range.what.contains(events.to_str().unwrap()), "{}", range.what);
        }

        let answer =
            engine.sql(&clinic.view(), "SELECT action, count(*) FROM events WHERE event LIKE '%schema%' GROUP BY action").await.unwrap();
        let counted: u64 = answer.rows.iter().map(|row| row[1].as_u64().unwrap()).sum();
        assert_eq!(counted + covered(&answer.damaged).len() as u64, SIZE, "byte {at}");
    }
    assert!(hurt > 20, "{hurt}");
    fs::write(&events, &kept).unwrap();
    assert_eq!(all_pages(&engine, &clinic.view(), "").await.0, whole);
}

#[tokio::test]
async fn a_damaged_event_is_refused_by_name() {
    let (clinic, events, _) = clinic();
    let engine = engine(Limits::default());
    let kept = fs::read(&events).unwrap();
    fs::write(&events, &kept[..8]).unwrap();
    let (_, page) = all_pages(&engine, &clinic.view(), "").await;
    let index = page.damaged[0].first;
    for view in [clinic.view(), clinic.public_view()] {
        let error = engine.event_at(&view, index, LOG).await.err();
        assert!(matches!(&error, Some(WorkError::Damaged { what, .. }) if what.contains(events.to_str().unwrap())), "{error:?}");
    }
    let id = event(index)["id"].as_str().unwrap().to_owned();
    let error = engine.events_by_id(&clinic.view(), &id, LOG).await.err();
    assert!(matches!(error, Some(WorkError::Damaged { .. })), "{error:?}");
    assert!(engine.event_at(&clinic.view(), page.damaged[0].last + 1, LOG).await.unwrap().is_some());
    // Nothing but the damaged segment was lost.
    assert_eq!(page.damaged.len(), 1);
    assert!(page.damaged[0].last - page.damaged[0].first < 250);
}

#[tokio::test]
async fn without_postings_the_filters_find_the_same() {
    let (clinic, _, postings) = clinic();
    let engine = engine(Limits::default());
    let queries = ["patient:P10", "actor:jdoe", "session:s7", "patient:P10 actor:jroe"];
    let mut wanted = Vec::new();
    for query in queries {
        wanted.push(all_pages(&engine, &clinic.view(), query).await.0);
    }
    let kept = fs::read(&postings).unwrap();
    fs::write(&postings, vec![0; kept.len()]).unwrap();
    for (query, wanted) in queries.into_iter().zip(wanted) {
        let (found, page) = all_pages(&engine, &clinic.view(), query).await;
        assert_eq!((found, page.damaged), (wanted, Vec::new()), "{query}");
    }
}

#[tokio::test]
async fn damage_tells_a_reader_without_phi_nothing_of_patients() {
    let (clinic, events, _) = clinic();
    let engine = engine(Limits::default());
    let kept = fs::read(&events).unwrap();
    fs::write(&events, &kept[..8]).unwrap();
    let ask = async |condition: &str| {
        let answer = engine.sql(&clinic.public_view(), &format!("SELECT index FROM events WHERE {condition}")).await.unwrap();
        (answer.rows.len(), answer.damaged)
    };
    // Conditions on patients are refused; an actor's id may be a patient's all the same.
    assert_eq!(ask("actor = 'P10'").await, ask("actor = 'nobody'").await);
    let named = ask("actor = 'jdoe'").await.1;
    assert_eq!(named.len(), 1);
    assert!(named[0].last - named[0].first > 40, "{named:?}");
}
