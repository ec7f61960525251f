#![allow(clippy::unwrap_used)]
use super::target;

#[test]
fn no_way_of_naming_it_puts_a_backup_into_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let (trail, other) = (folder.path().join("trail"), folder.path().join("other"));
    std::fs::create_dir_all(trail.join("log")).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(&trail, folder.path().join("link")).unwrap();
    for inside in ["trail", "trail/b", "trail/log/b", "other/../trail/b", "other/../trail/log/../b", "link/b", "absent/b", "other/.."] {
        assert!(target(&folder.path().join(inside), &trail).is_err(), "{inside}");
    }
    assert!(target(std::path::Path::new("relative"), &trail).is_err());
    assert_eq!(target(&folder.path().join("link/../other/b"), &trail).unwrap(), other.canonicalize().unwrap().join("b"));
    assert!(target(&folder.path().join("trail-b"), &trail).is_ok(), "only its name begins alike");
}
