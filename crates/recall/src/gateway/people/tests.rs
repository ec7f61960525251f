#![allow(clippy::unwrap_used)]
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use metrics_exporter_prometheus::PrometheusBuilder;
use recall_log::time::Timestamp;
use recall_search::engine::{Engine, Limits};
use recall_store::catalog::{Kind, RowChange};
use recall_store::keys::TrailKey;
use recall_store::seams::{Clock, SystemRandom};
use recall_store::trail::{Class, InitOptions, Submission, Trail};

use super::{Person, Unreadable};
use crate::app::{App, Shared};
use crate::folder::Place;
use crate::gateway::secret::Keys;
use crate::gateway::users::{Roles, User, row_name};
use crate::router::Door;

/// A clock that stands where it is put.
struct Steered(AtomicI64);

impl Clock for Steered {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

const NOW: i64 = 1_780_000_000_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn keep(app: &App, name: &str, value: Vec<u8>) {
    let rows = vec![RowChange::put(Kind::User, row_name("hospital", name), value)];
    app.trail.submit_and_wait(Submission { batches: Vec::new(), rows, expect: Vec::new(), class: Class::Duty }).unwrap().unwrap();
}

fn working(person: &Person) -> Vec<[u8; 32]> {
    person.secrets.iter().map(|keys| keys.stored_key).collect()
}

#[test]
fn a_login_sees_the_secrets_that_work_at_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&folder.path().join("trail"), None, None).unwrap();
    Trail::init(&InitOptions::new(&place.data, place.root.clone(), "recall.invalid/test")).unwrap();
    let trail = crate::commands::serve::open_trail(&place, None).unwrap();
    let engine = Engine::new(Limits::default(), &trail.keys().trail(TrailKey::Cursor)).unwrap();
    let clock = Arc::new(Steered(AtomicI64::new(NOW)));
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let app: Shared = App::new(trail, engine, clock.clone(), Arc::new(SystemRandom), metrics, Door::Machine);

    let roles = Roles { role: "nurse".into(), upstream_role: "reporting".into() };
    let mut user = User::new(&SystemRandom, "hospital".into(), "nora".into(), roles.clone(), at(NOW));
    let (_, short) = user.add_secret(&SystemRandom, at(NOW), at(NOW + 1_000)).unwrap();
    let (_, long) = user.add_secret(&SystemRandom, at(NOW), at(NOW + 2_000)).unwrap();
    keep(&app, "nora", user.write());

    assert!(app.person("hospital", "nobody").unwrap().is_none() && app.person("clinic", "nora").unwrap().is_none());
    let person = app.person("hospital", "nora").unwrap().unwrap();
    let [short, long] = [short, long].map(|shown| Keys::of(shown.as_str().as_bytes(), &person.salt, person.iterations).stored_key);
    assert_eq!((person.name.as_str(), &person.roles, working(&person)), ("nora", &roles, vec![short, long]));

    for (micros, works) in [(999, vec![short, long]), (1_000, vec![long]), (1_999, vec![long]), (2_000, vec![])] {
        clock.0.store(NOW + micros, Ordering::SeqCst);
        assert_eq!(working(&app.person("hospital", "nora").unwrap().unwrap()), works, "{micros}");
    }
    clock.0.store(NOW, Ordering::SeqCst);
    user.remove(at(NOW));
    keep(&app, "nora", user.write());
    let removed = app.person("hospital", "nora").unwrap().unwrap();
    assert_eq!((working(&removed), removed.salt), (vec![], person.salt), "the salt does not tell that the user is removed");
    keep(&app, "nora", b"{}".to_vec());
    assert_eq!(app.person("hospital", "nora").err(), Some(Unreadable));
    app.trail.close();
}
