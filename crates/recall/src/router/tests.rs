#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use serde_json::Value;

use super::routes;

#[test]
fn openapi_names_exactly_the_routes() {
    let document: Value = serde_json::from_str(include_str!("../../assets/openapi.json")).unwrap();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    let served: BTreeSet<(String, String)> = routes()
        .iter()
        .flat_map(|route| route.acts.iter().map(|act| (route.path.replace("{*path}", "{path}"), act.method.to_owned())))
        .collect();
    assert_eq!(documented, served);
}

#[test]
fn openapi_says_which_paths_need_no_token() {
    let document: Value = serde_json::from_str(include_str!("../../assets/openapi.json")).unwrap();
    for route in routes() {
        for act in route.acts {
            let operation = &document["paths"][route.path.replace("{*path}", "{path}")][act.method];
            assert_eq!(operation["security"] == serde_json::json!([]), route.open, "{}", route.path);
        }
    }
}

#[test]
fn what_asks_for_no_permission_asks_for_the_right_to_read_itself() {
    let unasked = routes().into_iter().filter(|route| !route.open).flat_map(|route| route.acts).filter(|act| act.needs.is_none());
    let actions: Vec<&str> = unasked.map(|act| act.action).collect();
    assert_eq!(actions, ["recall.search", "recall.view", "recall.proof", "recall.sql"]);
}

#[test]
fn what_changes_or_reads_events_is_never_open() {
    for route in routes().iter().filter(|route| route.open) {
        assert!(matches!(route.acts, [act] if act.method == "get"), "{}", route.path);
        assert!(!route.path.starts_with("/v1/") || route.path == "/v1/keys/public", "{}", route.path);
    }
}
