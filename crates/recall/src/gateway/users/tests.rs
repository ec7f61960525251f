#![allow(clippy::unwrap_used)]
use recall_log::time::Timestamp;
use recall_store::seams::SystemRandom;

use super::{KEPT, LIVING, Roles, User, row_name};
use crate::gateway::secret::Keys;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const END: Timestamp = Timestamp::from_micros(2_000_000);
const LATER: Timestamp = Timestamp::from_micros(3_000_000);

fn roles(role: &str) -> Roles {
    Roles { role: role.into(), upstream_role: "reporting".into() }
}

fn user() -> User {
    User::new(&SystemRandom, "hospital".into(), "Nora Quimby".into(), roles("nurse"), NOW)
}

fn living(user: &User, now: Timestamp) -> Vec<&str> {
    user.living(now).map(|secret| secret.id.as_str()).collect()
}

#[test]
fn a_secret_works_until_the_moment_it_expires() {
    let mut user = user();
    let (id, shown) = user.add_secret(&SystemRandom, NOW, END).unwrap();
    assert_eq!(living(&user, Timestamp::from_micros(1_999_999)), [id.as_str()]);
    assert!(living(&user, END).is_empty());
    let kept = user.secrets[0].keys.as_ref().unwrap();
    let keys = Keys::of(shown.as_str().as_bytes(), &user.salt, user.iterations);
    assert!(kept.stored_key == keys.stored_key && kept.server_key == keys.server_key);
}

#[test]
fn several_secrets_live_at_once_each_to_its_own_end() {
    let mut user = user();
    let salt = user.salt;
    let (first, _) = user.add_secret(&SystemRandom, NOW, END).unwrap();
    let (second, _) = user.add_secret(&SystemRandom, NOW, LATER).unwrap();
    assert_eq!(living(&user, NOW), [first.as_str(), second.as_str()]);
    assert_eq!(living(&user, END), [second.as_str()]);
    assert_eq!(user.revoke(&second, NOW), Some(true));
    assert_eq!(user.revoke(&second, NOW), Some(false));
    assert_eq!(user.revoke("000000000000x", NOW), None);
    assert_eq!(living(&user, NOW), [first.as_str()]);
    assert!(user.secrets[1].keys.is_none(), "what was revoked is not kept");
    assert_eq!(user.salt, salt);
}

#[test]
fn no_more_than_eight_live_and_the_oldest_that_ended_are_forgotten() {
    let mut user = user();
    for _ in 0..LIVING {
        user.add_secret(&SystemRandom, NOW, LATER).unwrap();
    }
    assert!(user.add_secret(&SystemRandom, NOW, LATER).is_none());
    let first = user.secrets[0].id.clone();
    user.revoke(&first, NOW).unwrap();
    user.add_secret(&SystemRandom, NOW, LATER).unwrap();
    for _ in 0..2 * KEPT {
        let living = living(&user, NOW)[0].to_owned();
        user.revoke(&living, NOW).unwrap();
        user.add_secret(&SystemRandom, NOW, LATER).unwrap();
        assert!(user.secrets.len() <= KEPT && user.living(NOW).count() == LIVING);
    }
    assert!(user.secrets.iter().all(|secret| secret.id != first));
}

#[test]
fn a_user_who_is_removed_has_no_secret_until_made_again() {
    let mut user = user();
    let salt = user.salt;
    user.add_secret(&SystemRandom, NOW, LATER).unwrap();
    user.add_secret(&SystemRandom, NOW, END).unwrap();
    assert!(user.remove(NOW));
    assert!(!user.remove(END), "once");
    assert_eq!((user.removed_at, user.living(NOW).count()), (Some(NOW.micros()), 0));
    let (id, _) = user.add_secret(&SystemRandom, NOW, LATER).unwrap();
    assert_eq!((living(&user, NOW), user.removed_at, user.salt), (vec![id.as_str()], None, salt));
}

#[test]
fn a_user_comes_back_as_kept_and_nothing_else_does() {
    let mut user = user();
    let (_, shown) = user.add_secret(&SystemRandom, NOW, LATER).unwrap();
    user.set_roles(roles("physician"));
    let bytes = user.write();
    let back = User::read(&bytes).unwrap();
    assert_eq!((back.write() == bytes, back.roles(), living(&back, NOW).len()), (true, roles("physician"), 1));
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains(shown.as_str()));
    for bad in [
        &b""[..],
        b"{}",
        &bytes[..bytes.len() - 1],
        text.replace("\"iterations\":4096", "\"iterations\":0").as_bytes(),
        text.replace("\"salt\":\"", "\"salt\":\"AAAA").as_bytes(),
        text.replacen('{', "{\"admin\":true,", 1).as_bytes(),
    ] {
        assert!(User::read(bad).is_none());
    }
}

#[test]
fn no_two_users_share_a_row() {
    assert_ne!(row_name("a", "b/c"), row_name("a", "b-c"));
    assert!(!super::super::is_name("a/b") && !super::super::is_name("") && !super::super::is_name("Ä") && !super::super::is_name("A"));
    assert!(super::super::is_name(&"a".repeat(64)) && !super::super::is_name(&"a".repeat(65)) && super::super::is_name("ward-7"));
}
