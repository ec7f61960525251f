#![allow(clippy::unwrap_used)]
use super::{Host, Upstream};

fn parsed(text: &str) -> (String, Host, u16, String) {
    let Upstream { role, host, port, database } = Upstream::try_from(text.to_owned()).unwrap();
    (role, host, port, database)
}

fn name(text: &str) -> Host {
    Host::Name(text.into())
}

#[test]
fn the_forms_of_a_server_are_read() {
    let loopback = Host::Address("127.0.0.1".parse().unwrap());
    let expected = ("app_role".to_owned(), loopback.clone(), 5432, "hospital".to_owned());
    assert_eq!(parsed("postgres://app_role@127.0.0.1:5432/hospital"), expected);
    assert_eq!(parsed("postgresql://app_role@127.0.0.1/hospital"), expected);
    assert_eq!(parsed("postgres://a@db-1.example.ORG:65535/b"), ("a".into(), name("db-1.example.org"), 65_535, "b".into()));
    assert_eq!(parsed("postgres://a@[::1]:1/b"), ("a".into(), Host::Address("::1".parse().unwrap()), 1, "b".into()));
    assert_eq!(parsed("postgres://a@[2001:db8::7]/b").2, 5432);
    let encoded = parsed("postgres://a%40b%3A%2Fc%25@h/d%2fe%20%C3%A4");
    assert_eq!((encoded.0.as_str(), encoded.3.as_str()), ("a@b:/c%", "d/e ä"));
    assert_eq!(parsed(&format!("postgres://{}@h/{}", "r".repeat(63), "d".repeat(63))).0.len(), 63);
}

#[test]
fn a_password_is_refused_with_the_place_it_belongs_to() {
    for text in [
        "postgres://app:hunter2@127.0.0.1:5432/hospital",
        "postgres://app:@127.0.0.1/hospital",
        "postgres://app:hun/ter2@127.0.0.1/hospital",
        "postgres://app:hun@ter2@127.0.0.1/hospital",
        "postgres://:hunter2@127.0.0.1/hospital",
        "postgres://app:hunter2@127.0.0.1",
        "postgres://app:hun?ter2#@127.0.0.1/hospital",
    ] {
        let error = Upstream::try_from(text.to_owned()).unwrap_err();
        assert!(error.contains("upstream_password_file") && !error.contains("hun") && !error.contains("app"), "{error}");
    }
}

#[test]
fn anything_else_is_refused_and_not_repeated() {
    for text in [
        "",
        "postgres://",
        "postgres:/a@h/b",
        "Postgres://a@h/b",
        "mysql://a@h/b",
        "host=h user=hunter2",
        "postgres://h/b",
        "postgres://@h/b",
        "postgres://a@/b",
        "postgres://a@:5432/b",
        "postgres://a@h",
        "postgres://a@h/",
        "postgres://a@h/b/c",
        "postgres://a@b@h/c",
        "postgres://a@h/b?sslmode=disable",
        "postgres://a@h/b#c",
        "postgres://a@h:/b",
        "postgres://a@h:0/b",
        "postgres://a@h:65536/b",
        "postgres://a@h:+1/b",
        "postgres://a@h:5432x/b",
        "postgres://a@h:5432:1/b",
        "postgres://a@h1,h2/b",
        "postgres://a@h:1,h2:2/b",
        "postgres://a@%2Fvar%2Frun/b",
        "postgres://a@/b?host=/var/run",
        "postgres://a@h%2Ee/b",
        "postgres://a@::1/b",
        "postgres://a@[::1/b",
        "postgres://a@[::1]5432/b",
        "postgres://a@[127.0.0.1]/b",
        "postgres://a@[fe80::1%25eth0]/b",
        "postgres://a@127.1/b",
        "postgres://a@256.0.0.1/b",
        "postgres://a@1/b",
        "postgres://a@h..e/b",
        "postgres://a@-h/b",
        "postgres://a@h.-e/b",
        "postgres://a@h e/b",
        "postgres://a@hé/b",
        "postgres://a%@h/b",
        "postgres://a%4@h/b",
        "postgres://a%zz@h/b",
        "postgres://a%+1@h/b",
        "postgres://a%00@h/b",
        "postgres://a@h/b%0A",
        "postgres://a@h/%ff",
        "postgres://a b@h/c",
        " postgres://a@h/b",
        "postgres://a@h/b ",
        "postgres://a@h/[b]",
    ] {
        let error = Upstream::try_from(text.to_owned()).unwrap_err();
        assert!(error.starts_with("upstream: ") && !error.contains("hunter2"), "{text}: {error}");
    }
    for (role, database, host) in
        [("r".repeat(64), "d".into(), "h".into()), ("r".into(), "d".repeat(64), "h".into()), ("r".into(), "d".into(), "h".repeat(254))]
    {
        let text: String = format!("postgres://{role}@{host}/{database}");
        assert!(Upstream::try_from(text).is_err());
    }
}
