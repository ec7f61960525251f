#![allow(clippy::unwrap_used)]
use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use super::{PASSWORD_BYTES, password, read};

#[test]
fn a_password_is_all_of_its_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app_role");
    let keep = |text: &[u8]| {
        write(&file, text).unwrap();
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        password(&file)
    };
    for (text, expected) in [(&b"pa ss"[..], &b"pa ss"[..]), (b"pass\n", b"pass"), (b"pass\r\n", b"pass"), (b" \xff\n", b" \xff")] {
        assert_eq!(keep(text).unwrap().as_slice(), expected);
    }
    let longest = vec![b'a'; PASSWORD_BYTES];
    assert_eq!(keep(&longest).unwrap().len(), PASSWORD_BYTES);
    assert_eq!(keep(&[&longest[..], b"\r\n"].concat()).unwrap().len(), PASSWORD_BYTES);
    for bad in [&b""[..], b"\n", b"pa\nss", b"pass\n\n", b"pa\0ss", &[&longest[..], b"a"].concat(), &[&longest[..], b"aaaa"].concat()] {
        let error = keep(bad).unwrap_err().to_string();
        assert!(error.contains("app_role") && !error.contains("ss:") && !error.contains("aaa"), "{error}");
    }
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    write(&file, "secret").unwrap();
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false), (0o602, false), (0o644, false)] {
        set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(&file, 6).is_ok(), good, "{mode:o}");
    }
    set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(read(&file, 5).is_err());
    assert!(read(folder.path(), 6).unwrap_err().to_string().contains("no file"));
    assert!(read(&folder.path().join("absent"), 6).is_err());
}
