#![allow(clippy::unwrap_used)]
use recall_log::time::Timestamp;
use recall_store::seams::SystemRandom;

use super::{Presented, Shown, Stored, create};
use crate::identity::Role;

const LATER: Timestamp = Timestamp::from_micros(3_000_000);
const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn made(expires_at: Timestamp) -> (String, Shown, Stored) {
    create(&SystemRandom, Some("feed".into()), Role::Ingest, vec!["urn:a".into()], NOW, expires_at)
}

#[test]
fn a_token_is_known_by_its_secret_alone() {
    let (id, shown, stored) = made(LATER);
    let presented = Presented::parse(shown.as_str()).unwrap();
    assert_eq!(presented.id, id);
    let identity = presented.identify(&stored, NOW).unwrap();
    assert_eq!((identity.role, identity.token_id.as_str(), identity.sources), (Role::Ingest, id.as_str(), vec!["urn:a".to_owned()]));
    let (_, _, other) = made(LATER);
    assert!(presented.identify(&other, NOW).is_none());
}

#[test]
fn a_token_ends_when_it_expires_or_is_revoked() {
    let end = Timestamp::from_micros(2_000_000);
    let (_, shown, mut stored) = made(end);
    let presented = Presented::parse(shown.as_str()).unwrap();
    assert!(presented.identify(&stored, Timestamp::from_micros(1_999_999)).is_some());
    assert!(presented.identify(&stored, end).is_none());
    stored.revoked_at = Some(0);
    assert!(presented.identify(&stored, NOW).is_none());
}

#[test]
fn what_is_stored_gives_no_token_away_and_comes_back() {
    let (_, shown, stored) = made(LATER);
    let bytes = stored.write();
    let secret = shown.as_str().rsplit('_').next().unwrap();
    assert!(!String::from_utf8(bytes.clone()).unwrap().contains(secret));
    assert!(Presented::parse(shown.as_str()).unwrap().identify(&Stored::read(&bytes).unwrap(), NOW).is_some());
}

#[test]
fn other_texts_are_no_tokens() {
    let (_, shown, _) = made(LATER);
    let good = shown.as_str();
    for bad in [
        "",
        "rcl_",
        "rcl_0123456789ab",
        "rcl_0123456789ab_",
        "Bearer x",
        &good[1..],
        &good[..good.len() - 1],
        &format!("{good}A"),
        &good.to_uppercase(),
        &good.replacen('_', "-", 2),
        "rcl_é",
    ] {
        assert!(Presented::parse(bad).is_none(), "{bad}");
    }
}
