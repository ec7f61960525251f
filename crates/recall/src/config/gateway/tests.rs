#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Durability, Mode};
use crate::config::Config;

const LEAST: &str =
    "[[gateway.postgres]]\nname = \"hospital\"\nlisten = \"127.0.0.1:6432\"\nupstream = \"postgres://app@127.0.0.1/hospital\"\n";

const ALL: &str = r#"
[[gateway.postgres]]
name = "hospital"
listen = "127.0.0.1:6432"
upstream = "postgres://app_role@127.0.0.1:5432/hospital"
upstream_password_file = "secrets/app_role"
upstream_roles = { reporting = "secrets/reporting", "Ward 7" = "/secrets/ward" }
upstream_ca_file = "ca.pem"
tls_cert_file = "gateway.pem"
tls_key_file = "gateway.key"
durability = "relaxed"
subjects = ["patients.id", "public.encounters.patient_id"]
phi = { "patients.ssn" = "ssn", "clinic.notes.body" = "notes" }

[[gateway.postgres.mask]]
columns = ["patients.ssn"]
mode = "partial"
except_roles = ["physician"]

[[gateway.postgres.mask]]
columns = ["clinic.notes.body", "patients.id"]
mode = "token"

[[gateway.postgres]]
name = "clinic"
listen = "[::1]:6433"
upstream = "postgres://app@[::1]/clinic"
"#;

#[test]
fn all_keys_of_a_gateway_are_read() {
    let mut config = Config::parse(ALL).unwrap();
    config.gateway.resolve(Path::new("/etc/recall"));
    let [hospital, clinic] = &config.gateway.postgres[..] else { panic!("two gateways") };
    assert_eq!((hospital.name.as_str(), hospital.listen.port(), hospital.upstream.role.as_str()), ("hospital", 6432, "app_role"));
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().unwrap().to_str().unwrap().to_owned();
    assert_eq!(path(&hospital.upstream_password_file), "/etc/recall/secrets/app_role");
    assert_eq!(
        (path(&hospital.upstream_ca_file), path(&hospital.tls_cert_file)),
        ("/etc/recall/ca.pem".into(), "/etc/recall/gateway.pem".into())
    );
    assert_eq!(path(&hospital.tls_key_file), "/etc/recall/gateway.key");
    let roles: Vec<(&str, &str)> = hospital.upstream_roles.iter().map(|(role, file)| (role.as_str(), file.to_str().unwrap())).collect();
    assert_eq!(roles, [("Ward 7", "/secrets/ward"), ("reporting", "/etc/recall/secrets/reporting")]);
    assert_eq!((hospital.durability, clinic.durability), (Durability::Relaxed, Durability::Strict));
    let subject = &hospital.subjects[1];
    assert_eq!((subject.schema.as_deref(), subject.table.as_str(), subject.column.as_str()), (Some("public"), "encounters", "patient_id"));
    assert_eq!(hospital.subjects[0].schema, None);
    let phi: Vec<(&str, &str)> = hospital.phi.iter().map(|(column, category)| (column.column.as_str(), category.as_str())).collect();
    assert_eq!(phi, [("ssn", "ssn"), ("body", "notes")]);
    let [first, second] = &hospital.mask[..] else { panic!("two rules") };
    assert_eq!((first.mode, first.except_roles[0].as_str(), first.columns.len()), (Mode::Partial, "physician", 1));
    assert_eq!((second.mode, second.except_roles.len(), second.columns.len()), (Mode::Token, 0, 2));
    assert!(clinic.mask.is_empty() && clinic.phi.is_empty() && clinic.upstream_password_file.is_none());
}

#[test]
fn bad_gateways_are_refused() {
    Config::parse(LEAST).unwrap();
    let with = |line: &str| format!("{LEAST}{line}\n");
    let without = |key: &str| LEAST.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
    let instead = |from: &str, to: &str| LEAST.replace(from, to);
    for text in [
        without("name"),
        without("listen"),
        without("upstream"),
        instead("\"hospital\"", "\"\""),
        instead("\"hospital\"", "\"Hospital\""),
        instead("\"hospital\"", "\"a/b\""),
        instead("\"hospital\"", &format!("\"{}\"", "a".repeat(65))),
        instead("127.0.0.1:6432", "0.0.0.0:6432"),
        instead("127.0.0.1:6432", "[::]:6432"),
        instead("127.0.0.1:6432", "192.0.2.1:6432"),
        instead("127.0.0.1:6432", "localhost:6432"),
        instead("127.0.0.1:6432", "127.0.0.1"),
        instead("[[gateway.postgres]]", "[gateway.postgres]"),
        instead("[[gateway.postgres]]", "[[gateway.postgre]]"),
        with("password = \"x\""),
        with("upstream_password = \"x\""),
        with("tls_cert_file = \"c\""),
        with("tls_key_file = \"k\""),
        with("durability = \"lax\""),
        with("durability = \"Strict\""),
        with("subjects = [\"id\"]"),
        with("subjects = [\"a.b.c.d\"]"),
        with("subjects = [\"patients.\"]"),
        with("subjects = [\".id\"]"),
        with("subjects = [\"patients. id\"]"),
        with("subjects = ['\"Patients\".id']"),
        with("subjects = [\"pa\\ttients.id\"]"),
        with(&format!("subjects = [\"a.{}\"]", "b".repeat(64))),
        with("subjects = \"patients.id\""),
        with("phi = { patients = \"ssn\" }"),
        with("phi = { \"patients.ssn\" = \"\" }"),
        with("phi = { \"patients.ssn\" = \"S S N\" }"),
        with("phi = { \"patients.ssn\" = 1 }"),
        with("phi = [\"patients.ssn\"]"),
        with("upstream_roles = { \"\" = \"f\" }"),
        with("upstream_roles = { app = \"f\" }"),
        with(&format!("upstream_roles = {{ {} = \"f\" }}", "r".repeat(64))),
        with("upstream_roles = [\"reporting\"]"),
        with("[[gateway.postgres.mask]]\nmode = \"drop\""),
        with("[[gateway.postgres.mask]]\ncolumns = []\nmode = \"drop\""),
        with("[[gateway.postgres.mask]]\ncolumns = [\"a.b\"]"),
        with("[[gateway.postgres.mask]]\ncolumns = [\"a\"]\nmode = \"drop\""),
        with("[[gateway.postgres.mask]]\ncolumns = [\"a.b\"]\nmode = \"hide\""),
        with("[[gateway.postgres.mask]]\ncolumns = [\"a.b\"]\nmode = \"drop\"\nexcept_roles = [\"a b\"]"),
        with("[[gateway.postgres.mask]]\ncolumns = [\"a.b\"]\nmode = \"drop\"\nroles = [\"a\"]"),
        format!("{LEAST}{}", instead("6432", "6433")),
        format!("{LEAST}{}", instead("\"hospital\"\nlisten", "\"clinic\"\nlisten")),
    ] {
        assert!(Config::parse(&text).is_err(), "{text}");
    }
    let problem = Config::parse(&with("durabilty = \"strict\"")).unwrap_err();
    assert!(problem.contains("line 5") && problem.contains("durabilty"), "{problem}");
    let problem = Config::parse(&instead("postgres://app@", "postgres://app:hunter2@")).unwrap_err();
    assert!(problem.contains("line 4") && problem.contains("upstream_password_file") && !problem.contains("hunter2"), "{problem}");
}

#[test]
fn what_beside_loopback_listens_has_tls_and_each_mode_is_read() {
    let tls = "tls_cert_file = \"c\"\ntls_key_file = \"k\"\n";
    Config::parse(&format!("{}{tls}", LEAST.replace("127.0.0.1:6432", "0.0.0.0:6432"))).unwrap();
    Config::parse(&format!("{LEAST}{}", LEAST.replace("6432", "6433").replace("\"hospital\"\nlisten", "\"clinic\"\nlisten"))).unwrap();
    for (word, mode) in [("drop", Mode::Drop), ("partial", Mode::Partial), ("token", Mode::Token), ("fixed", Mode::Fixed)] {
        let text = format!("{LEAST}[[gateway.postgres.mask]]\ncolumns = [\"a.b\"]\nmode = \"{word}\"\n");
        assert_eq!(Config::parse(&text).unwrap().gateway.postgres[0].mask[0].mode, mode);
    }
}

#[test]
fn a_file_that_asks_for_masking_is_refused() {
    let offered = |text: &str| Config::parse(text).unwrap().gateway.require_offered();
    assert_eq!(offered(LEAST), Ok(()));
    let problem = offered(ALL).unwrap_err();
    assert!(problem.contains("hospital") && problem.contains("masking"), "{problem}");
    assert!(offered(&format!("{LEAST}durability = \"relaxed\"\n")).unwrap_err().contains("relaxed"));
    assert_eq!(offered(&format!("{LEAST}durability = \"strict\"\n")), Ok(()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recall.toml");
    std::fs::write(&file, ALL).unwrap();
    assert!(Config::read(&file).unwrap_err().to_string().contains("masking"));
    std::fs::write(&file, LEAST).unwrap();
    Config::read(&file).unwrap();
}

#[test]
fn the_files_that_it_names_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str, mode: u32| {
        std::fs::write(folder.path().join(name), "pass\n").unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let text = format!(
        "{LEAST}upstream_password_file = \"app\"\nupstream_roles = {{ reporting = \"reporting\" }}\ntls_cert_file = \"cert\"\ntls_key_file = \"key\"\nupstream_ca_file = \"ca\"\n"
    );
    let mut config = Config::parse(&text).unwrap();
    config.gateway.resolve(folder.path());
    let gateway = &config.gateway.postgres[0];
    for secret in ["app", "reporting", "key"] {
        keep(secret, 0o600);
    }
    for public in ["cert", "ca"] {
        keep(public, 0o644);
    }
    gateway.check_files().unwrap();
    for secret in ["app", "reporting", "key"] {
        keep(secret, 0o640);
        assert!(gateway.check_files().unwrap_err().to_string().contains(secret));
        keep(secret, 0o600);
    }
    for name in ["app", "reporting", "key", "cert", "ca"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
        assert!(gateway.check_files().unwrap_err().to_string().contains(name));
        keep(name, 0o600);
    }
}
