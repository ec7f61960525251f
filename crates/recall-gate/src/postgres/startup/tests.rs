use super::*;

fn packet(version: i32, words: &[&str]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    words.iter().for_each(|word| wire::write_text(&mut body, word.as_bytes()));
    body.push(0);
    body
}

fn start(words: &[&str]) -> Result<Startup, StartupError> {
    match First::read(&packet(3 << 16, words))? {
        First::Start(startup) => Ok(startup),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_first_packet_is_told_apart() {
    assert_eq!(First::read(&SSL.to_be_bytes()), Ok(First::Tls));
    assert_eq!(First::read(&GSSENC.to_be_bytes()), Ok(First::Gssenc));
    let cancel = [&CANCEL.to_be_bytes()[..], &[0, 0, 0, 7], &[0, 0, 0, 9]].concat();
    assert_eq!(First::read(&cancel), Ok(First::Cancel(Key { process: 7, secret: 9 })));
    assert_eq!(First::read(&packet(2 << 16, &["user", "a"])), Err(StartupError::Version));
    assert_eq!(First::read(&packet(4 << 16, &["user", "a"])), Err(StartupError::Version));
    for bad in [&[][..], &[0, 0], &cancel[..8], &[&cancel[..], &[0]].concat(), &[&SSL.to_be_bytes()[..], &[1]].concat()] {
        assert!(matches!(First::read(bad), Err(StartupError::Wire(_))), "{bad:?}");
    }
}

#[test]
fn the_database_is_the_user_where_none_is_said() {
    let startup = start(&["user", "nurse", "application_name", "psql"]).unwrap();
    assert_eq!((startup.user.as_str(), startup.database.as_str()), ("nurse", "nurse"));
    assert_eq!(startup.setting("application_name"), Some("psql"));
    assert!(!startup.newer);
}

#[test]
fn newer_versions_and_unknown_options_are_negotiated() {
    let First::Start(startup) = First::read(&packet((3 << 16) | 2, &["user", "a", "_pq_.x", "1"])).unwrap() else { panic!() };
    let mut out = Vec::new();
    negotiate(&mut out, &startup);
    assert_eq!(out, [&b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0"[..]].concat());
    let mut out = Vec::new();
    negotiate(&mut out, &start(&["user", "a"]).unwrap());
    assert!(out.is_empty());
}

#[test]
fn nobody_becomes_another_role_by_a_setting() {
    for words in [
        &["user", "a", "role", "postgres"][..],
        &["user", "a", "ROLE", "postgres"],
        &["user", "a", "session_authorization", "postgres"],
        &["user", "a", "options", "-c role=postgres"],
        &["user", "a", "options", "-crole=postgres"],
        &["user", "a", "options", "--role=postgres"],
        &["user", "a", "options", "--session-authorization=postgres"],
        &["user", "a", "options", "-c x=1 -c Role=postgres"],
        &["user", "a", "options", "-c rol\\e=postgres"],
        &["user", "a", "options", "-c local_preload_libraries=x"],
        &["user", "a", "client_encoding", "SJIS"],
        &["user", "a", "options", "-c client_encoding=latin1"],
        &["user", "a", "options", "-c standard_conforming_strings=off"],
        &["user", "a", "options", "-d 5"],
        &["user", "a", "options", "-c"],
        &["user", "a", "options", "-c role"],
        &["user", "a", "ro le", "x"],
    ] {
        assert_eq!(start(words), Err(StartupError::Setting), "{words:?}");
    }
    let good = start(&["user", "a", "options", "-c geqo=off --statement-timeout=5\\ s"]).unwrap();
    assert_eq!((good.setting("geqo"), good.setting("statement_timeout")), (Some("off"), Some("5 s")));
}

#[test]
fn replication_is_refused_in_every_form() {
    for value in ["true", "on", "yes", "1", "database", "TRUE", ""] {
        assert_eq!(start(&["user", "a", "replication", value]), Err(StartupError::Replication), "{value}");
    }
    assert!(start(&["user", "a", "replication", "false"]).is_ok());
}

#[test]
fn what_is_no_startup_message_is_refused() {
    assert_eq!(start(&[]), Err(StartupError::User));
    assert_eq!(start(&["database", "x"]), Err(StartupError::User));
    let mut cut = packet(3 << 16, &["user", "nurse"]);
    cut.truncate(cut.len() - 1);
    assert!(matches!(First::read(&cut), Err(StartupError::Wire(_))));
    let mut long = packet(3 << 16, &["user", "nurse"]);
    long.push(0);
    assert!(matches!(First::read(&long), Err(StartupError::Wire(_))));
    let mut bad = (3_i32 << 16).to_be_bytes().to_vec();
    bad.extend_from_slice(b"user\0\xFF\0\0");
    assert_eq!(First::read(&bad), Err(StartupError::Encoding));
}

#[test]
fn upstream_is_asked_as_the_role_and_for_the_rest_as_the_client_asked() {
    let mut out = Vec::new();
    start(&["user", "nurse", "database", "hospital", "TimeZone", "UTC"]).unwrap().write(&mut out, "app_role");
    assert_eq!(&out[8..], b"user\0app_role\0database\0hospital\0client_encoding\0UTF8\0timezone\0UTC\0\0");
}
