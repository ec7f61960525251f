#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use recall_store::trail::{CommitError, SubmitError};

use recall_store::trail::{InitOptions, Trail};
use serde_json::json;
use tokio::sync::oneshot;

use crate::commands::serve::Running;
use crate::folder::Place;
use crate::http::problem::Problem;
use crate::record::Record;
use crate::router::Door;

#[test]
fn a_server_that_stops_says_when_to_come_back() {
    for problem in [Problem::from(SubmitError::Closed), CommitError::Closed.into(), SubmitError::Busy.into()] {
        assert!(problem.into_response().headers().contains_key("retry-after"));
    }
    // Trying again opens no copy.
    assert!(!Problem::from(SubmitError::ReadOnly("a copy".into())).into_response().headers().contains_key("retry-after"));
}

#[test]
fn long_work_goes_on_alone_though_whoever_asked_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&folder.path().join("trail"), None, None).unwrap();
    Trail::init(&InitOptions::new(&place.data, place.root.clone(), "recall.invalid/test")).unwrap();
    let trail = crate::commands::serve::open_trail(&place, None).unwrap();
    let running = Running::around(trail, Door::Machine).unwrap();
    let app = Arc::clone(running.app());
    let record = || Record::new(json!({"type": "service", "id": "test"}), "test.work", "E", json!({"type": "test"}));
    running.block_on(async {
        let (begun, begins) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let work = async move {
            let _ = begun.send(());
            let _ = released.await;
            Err::<(), _>(Problem::internal("it failed"))
        };
        let for_first = Arc::clone(&app);
        let first = tokio::spawn(async move { for_first.long_work(record, work).await });
        begins.await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let second = app.long_work(record, async { Ok(()) }).await.unwrap_err();
        assert_eq!(second.into_response().status(), StatusCode::CONFLICT);
        let before = app.trail.size();
        release.send(()).unwrap();
        let _one = app.long_work.acquire().await.unwrap();
        assert_eq!(app.trail.size(), before + 1, "that it failed is recorded");
    });
    drop(app);
    running.close().unwrap();
}
