//! The hospital is the same each time, in order, valid, and its stories are in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;

use super::{Actor, Hospital, Relation, Size};

fn month(size: Size) -> (Hospital, Vec<(Vec<u8>, super::Facts)>) {
    let hospital = Hospital::new(size);
    let mut events = Vec::new();
    let mut stream = hospital.events();
    let mut body = Vec::new();
    while let Some(facts) = stream.next_into(&mut body) {
        events.push((std::mem::take(&mut body), facts));
    }
    (hospital, events)
}

#[test]
fn same_seed_same_bytes_and_another_seed_others() {
    let (_, one) = month(Size::demo(3_000));
    let (_, two) = month(Size::demo(3_000));
    let (_, other) = month(Size { seed: 7, ..Size::demo(3_000) });
    assert!(one.iter().zip(&two).all(|(a, b)| a.0 == b.0));
    assert!(one.iter().zip(&other).any(|(a, b)| a.0 != b.0));
}

#[test]
fn every_event_is_one_that_recall_takes() {
    let (_, events) = month(Size::demo(5_000));
    assert_eq!(events.len(), 5_000);
    let mut actions = HashSet::new();
    for (body, facts) in &events {
        let event = recall_log::event::Event::parse(body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(body)));
        assert_eq!(event.action, facts.action);
        assert_eq!(event.seq, Some(facts.seq));
        assert_eq!(event.time.micros(), facts.time_us);
        actions.insert(facts.action);
    }
    assert!(actions.len() >= 14, "{actions:?}");
}

#[test]
fn bodies_are_of_realistic_size() {
    let (_, events) = month(Size::demo(20_000));
    let mean = events.iter().map(|(body, _)| body.len()).sum::<usize>() / events.len();
    assert!((500..=720).contains(&mean), "{mean} bytes an event");
}

#[test]
fn times_never_fall_and_ids_never_repeat() {
    let (_, events) = month(Size::demo(20_000));
    assert!(events.windows(2).all(|pair| pair[0].1.time_us <= pair[1].1.time_us));
    let ids: HashSet<String> =
        events.iter().map(|(body, _)| serde_json::from_slice::<serde_json::Value>(body).unwrap()["id"].to_string()).collect();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn sequences_have_one_gap_and_it_is_the_planted_one() {
    let (hospital, events) = month(Size::demo(20_000));
    let mut last = std::collections::HashMap::new();
    let mut missing = Vec::new();
    for (_, facts) in &events {
        let before = last.insert(facts.source, facts.seq).unwrap_or(0);
        if facts.seq != before + 1 {
            missing.push((facts.source, facts.seq - before - 1));
        }
    }
    assert_eq!(missing, [("urn:lab:main", hospital.stories().lost_events)]);
}

#[test]
fn stories_happen_as_planned() {
    let (hospital, events) = month(Size::demo(20_000));
    let stories = hospital.stories();
    let count = |test: &dyn Fn(&super::Facts) -> bool| events.iter().filter(|(_, facts)| test(facts)).count() as u64;
    let untied = |facts: &super::Facts| match facts.actor {
        Actor::Staff(staff) => facts.patients.clone().any(|patient| hospital.relation(staff, patient) == Relation::None),
        Actor::Patient(_) | Actor::Service | Actor::Agent(_) => false,
    };
    assert_eq!(count(&|f| f.actor == Actor::Staff(stories.snoop) && untied(f)), stories.snoop_views);
    assert_eq!(count(&|f| f.action == "data.exported"), stories.export_files);
    assert_eq!(count(&|f| f.break_glass), stories.break_glass_views);
    assert!(stories.exported.contains(&stories.vip));
    let strangers = count(&|f| untied(f));
    assert_eq!(strangers, stories.snoop_views + stories.export_files + stories.break_glass_views, "all else is explained by a care team");
}

#[test]
fn a_large_hospital_costs_no_more_than_a_small_one() {
    let hospital = Hospital::new(Size::bench(1_000));
    assert_eq!(hospital.staff().len(), 5_000);
    let mrns: HashSet<String> = (0..1_000_000).step_by(997).map(|n| hospital.patient(n).mrn).collect();
    assert_eq!(mrns.len(), 1_000_000_usize.div_ceil(997));
    let mut body = Vec::new();
    assert!(hospital.events().next_into(&mut body).is_some());
}

#[test]
fn a_pool_never_gives_the_same_event_twice() {
    let hospital = Hospital::new(Size::demo(2_000));
    let pool = super::Pool::render(&hospital, 4, 100);
    let (mut ids, mut numbers) = (HashSet::new(), HashSet::new());
    let mut body = Vec::new();
    for number in 0..12 {
        pool.body(number, &mut body);
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event = recall_log::event::Event::parse(line).unwrap();
            assert!(ids.insert(event.id.unwrap().into_owned()));
            assert!(numbers.insert((event.source.unwrap().into_owned(), event.seq.unwrap())));
        }
    }
    assert_eq!(ids.len(), 1_200);
}

#[test]
fn a_pool_keeps_sequences_without_gaps_over_its_rounds() {
    let hospital = Hospital::new(Size::demo(2_000));
    let pool = super::Pool::render(&hospital, 4, 100);
    let mut last: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    let mut body = Vec::new();
    for number in 0..12 {
        pool.body(number, &mut body);
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event = recall_log::event::Event::parse(line).unwrap();
            let seq = event.seq.unwrap();
            let before = last.insert(event.source.unwrap().into_owned(), seq);
            assert!(before.is_none_or(|before| seq == before + 1));
        }
    }
}

#[test]
fn the_database_has_every_patient_once_and_encounters_of_theirs_alone() {
    let hospital = Hospital::new(Size::demo(1));
    let tables = hospital.tables();
    let patients: Vec<Vec<&str>> = tables.patients.lines().map(|row| row.split('\t').collect()).collect();
    let numbers: HashSet<&str> = patients.iter().map(|row| row[0]).collect();
    assert_eq!((patients.len(), numbers.len()), (5_000, 5_000));
    assert!(patients.iter().all(|row| row.len() == 4 && row[2].len() == 11 && row[2].starts_with('9')));
    let vip = hospital.patient(hospital.stories().vip);
    assert!(patients.iter().any(|row| row[0] == vip.mrn && row[1] == "Leonore Falkenrath" && row[3] == "1968-04-17"));

    let encounters: Vec<Vec<&str>> = tables.encounters.lines().map(|row| row.split('\t').collect()).collect();
    assert!((9_000..11_000).contains(&encounters.len()), "{}", encounters.len());
    assert!(encounters.iter().all(|row| row.len() == 4 && numbers.contains(row[0]) && row[2].starts_with("2026-10-")));
    let nurse = &hospital.staff()[hospital.care_team(0)[0] as usize];
    let ward = super::DEPARTMENTS[nurse.department];
    assert!(encounters.iter().filter(|row| row[0] == hospital.patient(0).mrn).all(|row| row[1] == ward), "not where her nurse works");
    assert_eq!(tables, Hospital::new(Size::demo(2)).tables());
    assert_ne!(tables, Hospital::new(Size { seed: 7, ..Size::demo(1) }).tables());
}
