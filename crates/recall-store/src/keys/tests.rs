#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::seams::{NoFaults, Step};
use crate::testing::Seeded;
use crate::trail::tests::support::{Failing, When};

struct Ring {
    place: tempfile::TempDir,
    random: Arc<dyn Random>,
    faults: Arc<Failing>,
}

impl Ring {
    fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap(), random: Arc::new(Seeded::new(3)), faults: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("keyring")
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root.key")
    }

    fn source(&self) -> RootSource {
        RootSource::File(self.root())
    }

    fn create(&self) -> Keys {
        let root = RootKey::generate(&*self.random);
        root.write_new(&self.root()).unwrap();
        Keys::create(&self.path(), &root, "log.example/trail", Arc::clone(&self.random), self.faults.clone()).unwrap()
    }

    fn load(&self) -> Result<Keys, KeyringError> {
        let root = Keys::settle_root(&self.path(), &self.source())?;
        Keys::load(&self.path(), &root, Arc::clone(&self.random), self.faults.clone())
    }

    /// The files beside the keyring, by name.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.place.path()).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
        files.sort();
        files
    }
}

fn set(id: u64, epoch: &str) -> SetInfo {
    SetInfo { id, epoch: epoch.to_owned(), class: STANDARD_CLASS.to_owned() }
}

/// All that a keyring gives, so that two can be compared.
fn fingerprint(keys: &Keys) -> Vec<[u8; 32]> {
    let mut all = vec![*keys.signing_seed().as_bytes(), *keys.trail(TrailKey::Token).as_bytes()];
    for info in keys.sets() {
        all.push(*keys.public(info.id, PublicKey::Batch(9)).unwrap().as_bytes());
    }
    all
}

#[test]
fn keys_are_the_same_after_loading_and_differ_by_purpose_and_subject() {
    let ring = Ring::new();
    let keys = Arc::new(ring.create());
    keys.add_set(set(3, "2026-11")).unwrap();
    keys.add_set(set(4, "2026-12")).unwrap();
    let loaded = Arc::new(ring.load().unwrap());
    assert_eq!(fingerprint(&keys), fingerprint(&loaded));
    assert_eq!((loaded.origin(), loaded.vkey()), (keys.origin(), keys.vkey()));
    assert_eq!((loaded.set_for("2026-12", STANDARD_CLASS), loaded.set_for("2027-01", STANDARD_CLASS)), (Some(4), None));

    let phi = loaded.phi_access();
    let mut all: Vec<[u8; 32]> = Vec::new();
    for id in [3, 4] {
        for subject in [0, 1] {
            for key in [PublicKey::Batch(subject), PublicKey::Segment(subject), PublicKey::Postings(subject)] {
                all.push(*loaded.public(id, key).unwrap().as_bytes());
            }
            all.push(*phi.key(id, PhiKey::Batch(subject)).unwrap().as_bytes());
            all.push(*phi.key(id, PhiKey::Segment(subject)).unwrap().as_bytes());
        }
    }
    all.extend(
        [TrailKey::Token, TrailKey::Dedupe, TrailKey::Catalog, TrailKey::Runs, TrailKey::Cursor].map(|key| *loaded.trail(key).as_bytes()),
    );
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn a_rotation_changes_the_root_key_and_nothing_else() {
    let ring = Ring::new();
    let keys = ring.create();
    keys.add_set(set(3, "2026-11")).unwrap();
    let (before, old) = (fingerprint(&keys), fs::read_to_string(ring.root()).unwrap());
    let id = keys.rotate_root(&ring.source()).unwrap();
    assert_ne!(old, fs::read_to_string(ring.root()).unwrap());
    assert_eq!(RootKey::from_file(&ring.root()).unwrap().id(), id);
    assert_eq!(fingerprint(&ring.load().unwrap()), before);
    assert!(!ring.place.path().join("root.key.new").exists());
}

#[test]
fn a_rotation_cut_short_anywhere_leaves_a_keyring_that_opens() {
    for step in [Step::KeyringWrite, Step::RootKeyWrite] {
        for when in [When::Before, When::After] {
            let ring = Ring::new();
            let keys = ring.create();
            keys.add_set(set(3, "2026-11")).unwrap();
            let before = fingerprint(&keys);
            ring.faults.fail(step, when, 0, 1);
            keys.rotate_root(&ring.source()).unwrap_err();
            assert_eq!(fingerprint(&ring.load().unwrap()), before, "{step:?} {when:?}");
            // And without a restart: what is saved next opens as well, and so does another try.
            keys.add_set(set(4, "2026-12")).unwrap();
            assert_eq!(fingerprint(&ring.load().unwrap()), fingerprint(&keys), "{step:?} {when:?}");
            keys.rotate_root(&ring.source()).unwrap();
            assert_eq!(fingerprint(&ring.load().unwrap()), fingerprint(&keys), "{step:?} {when:?}");
        }
    }
}

#[test]
fn a_crash_between_overwriting_the_old_root_key_and_the_new_name_is_mended() {
    let ring = Ring::new();
    let keys = ring.create();
    let before = fingerprint(&keys);
    ring.faults.fail(Step::RootKeyWrite, When::Before, 0, 1);
    keys.rotate_root(&ring.source()).unwrap_err();
    fs::write(ring.root(), "0".repeat(62)).unwrap();
    assert_eq!(fingerprint(&ring.load().unwrap()), before);
    assert_eq!(fingerprint(&ring.load().unwrap()), before);
}

/// Does something before each step.
struct Meddling(Box<dyn Fn(Step) + Send + Sync>);

impl Faults for Meddling {
    fn before(&self, step: Step) -> std::io::Result<()> {
        (self.0)(step);
        Ok(())
    }

    fn after(&self, _: Step) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_finds_the_root_key_at_each_step_of_a_rotation_and_changes_nothing() {
    for step in [Step::KeyringWrite, Step::RootKeyWrite] {
        for when in [When::Before, When::After] {
            let ring = Ring::new();
            let keys = ring.create();
            ring.faults.fail(step, when, 0, 1);
            keys.rotate_root(&ring.source()).unwrap_err();
            let before = ring.files();
            let root = Keys::find_root(&ring.path(), &ring.source()).unwrap();
            Keys::load(&ring.path(), &root, Arc::clone(&ring.random), ring.faults.clone()).unwrap();
            assert_eq!(ring.files(), before, "{step:?} {when:?}");
        }
    }
}

#[test]
fn a_rotation_survives_whoever_reads_or_removes_the_new_root_key_meanwhile() {
    for meddle_at in [Step::KeyringWrite, Step::RootKeyWrite] {
        let ring = Ring::new();
        let before = fingerprint(&ring.create());
        let (keyring, source, new) = (ring.path(), ring.source(), ring.place.path().join("root.key.new"));
        let meddling = Meddling(Box::new(move |step| {
            if step == meddle_at {
                Keys::find_root(&keyring, &source).unwrap();
                fs::remove_file(&new).unwrap();
            }
        }));
        let root = Keys::find_root(&ring.path(), &ring.source()).unwrap();
        let keys = Keys::load(&ring.path(), &root, Arc::clone(&ring.random), Arc::new(meddling)).unwrap();
        keys.rotate_root(&ring.source()).unwrap();
        assert_eq!(fingerprint(&ring.load().unwrap()), before, "{meddle_at:?}");
    }
}

#[test]
fn an_older_keyring_with_the_same_root_key_file_destroys_no_new_root_key() {
    let ring = Ring::new();
    let keys = ring.create();
    let export = ring.place.path().join("export");
    fs::copy(ring.path(), &export).unwrap();
    ring.faults.fail(Step::RootKeyWrite, When::Before, 0, 1);
    keys.rotate_root(&ring.source()).unwrap_err();
    // The copy opens for reading and for writing, and even its own rotation takes the new root key instead of destroying it.
    let root = Keys::settle_root(&export, &ring.source()).unwrap();
    let copy = Keys::load(&export, &root, Arc::clone(&ring.random), ring.faults.clone()).unwrap();
    assert_eq!(fingerprint(&ring.load().unwrap()), fingerprint(&keys));
    drop(copy);
}

#[test]
fn a_root_key_left_unused_by_a_rotation_is_taken_by_the_next() {
    let ring = Ring::new();
    let keys = ring.create();
    let new = ring.place.path().join("root.key.new");
    ring.faults.fail(Step::KeyringWrite, When::Before, 0, 1);
    keys.rotate_root(&ring.source()).unwrap_err();
    let left = RootKey::from_file(&new).unwrap().id();
    assert_eq!(keys.rotate_root(&ring.source()).unwrap(), left);
    fs::write(&new, "recall-root-key-1 tor").unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    keys.rotate_root(&ring.source()).unwrap();
    assert_eq!(fingerprint(&ring.load().unwrap()), fingerprint(&keys));
}

#[test]
fn a_dropped_set_is_gone_at_once_and_from_the_file() {
    let ring = Ring::new();
    let keys = ring.create();
    keys.add_set(set(3, "2026-11")).unwrap();
    keys.add_set(set(4, "2026-12")).unwrap();
    ring.faults.fail(Step::KeyringWrite, When::Before, 0, 1);
    keys.drop_sets(&[3], &ring.source()).unwrap_err();
    assert_eq!(keys.public(3, PublicKey::Batch(0)).err(), Some(SetGone(3)));
    keys.drop_sets(&[3], &ring.source()).unwrap();
    let loaded = ring.load().unwrap();
    assert_eq!(loaded.sets(), [set(4, "2026-12")]);
}

#[test]
fn a_new_identity_keeps_all_other_keys() {
    let ring = Ring::new();
    let keys = ring.create();
    keys.add_set(set(3, "2026-11")).unwrap();
    let (before, vkey) = (fingerprint(&keys), keys.vkey());
    keys.new_identity("log.example/trail/2").unwrap();
    let loaded = ring.load().unwrap();
    assert_eq!(fingerprint(&loaded)[1..], before[1..]);
    assert_ne!(fingerprint(&loaded)[0], before[0]);
    assert!(loaded.vkey() != vkey && loaded.vkey().starts_with("log.example/trail/2+"));
}

#[test]
fn whatever_is_changed_in_the_keyring_is_noticed() {
    let ring = Ring::new();
    ring.create().add_set(set(3, "2026-11")).unwrap();
    let text = fs::read_to_string(ring.path()).unwrap();
    let swaps = [
        ("2026-11", "2026-12"),
        ("\"id\": 3", "\"id\": 5"),
        ("\"kind\": \"trail\"", "\"kind\": \"signing\""),
        ("standard", "standerd"),
        ("recall.keyring/1", "recall.keyring/2"),
        ("\"origin\": \"log", "\"origin\": \"lug"),
        ("\"keys\"", "\"keyz\""),
        ("\"kind\": \"set\"", "\"kind\": \"other\""),
    ];
    for (from, to) in swaps {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(ring.path(), changed).unwrap();
        assert!(matches!(ring.load(), Err(KeyringError::Damaged { .. })), "{from}");
    }
    fs::write(ring.path(), &text[..text.len() / 2]).unwrap();
    assert!(matches!(ring.load(), Err(KeyringError::Damaged { .. })));
    fs::write(ring.path(), text).unwrap();
    ring.load().unwrap();
}

#[test]
fn root_key_files_that_others_may_touch_or_that_are_none_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("key");
    RootKey::generate(&Seeded::new(1)).write_new(&path).unwrap();
    for mode in [0o604, 0o640, 0o620, 0o601, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(RootKey::from_file(&path), Err(RootKeyError::Open { .. })), "{mode:o}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        RootKey::from_file(&path).unwrap();
    }
    let link = place.path().join("link");
    symlink(&path, &link).unwrap();
    RootKey::from_file(&link).unwrap();
    assert!(matches!(RootKey::from_file(place.path()), Err(RootKeyError::NotAFile(_))));
    assert!(matches!(RootKey::from_file(&place.path().join("none")), Err(RootKeyError::Absent(_))));
    assert!(RootKey::generate(&Seeded::new(2)).write_new(&path).is_err(), "overwritten");
}

#[test]
fn a_credential_may_be_read_by_the_group_that_a_list_shows_as_but_only_roots() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("key");
    RootKey::generate(&Seeded::new(1)).write_new(&path).unwrap();
    let credential = RootSource::Credential(path.clone());
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o400, 0o600] {
        set(mode);
        credential.load().unwrap();
    }
    for mode in [0o444, 0o460, 0o450, 0o404] {
        set(mode);
        assert!(matches!(credential.load(), Err(RootKeyError::Open { .. })), "{mode:o}");
    }
    set(0o440);
    let roots = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&path).unwrap()) == 0;
    assert_eq!(credential.load().is_ok(), roots);
    assert!(RootSource::File(path).load().is_err());
}

#[test]
fn a_rotation_through_a_symbolic_link_replaces_the_file_behind_it() {
    let ring = Ring::new();
    let keys = ring.create();
    let link = ring.place.path().join("link");
    symlink(ring.root(), &link).unwrap();
    keys.rotate_root(&RootSource::File(link.clone())).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    ring.load().unwrap();
}

#[test]
fn only_the_one_line_is_a_root_key() {
    let line = RootKey::generate(&Seeded::new(1)).to_line();
    let good = line.trim_end();
    for text in [good.to_owned(), format!("{good}\n"), format!("{good}\r\n")] {
        assert_eq!(RootKey::parse(&text, "x").unwrap().to_line(), line);
    }
    let short = good[..good.len() - 4].to_owned();
    let bad = [
        String::new(),
        "\n".to_owned(),
        format!(" {good}"),
        format!("{good}\n\n"),
        format!("{good} "),
        short,
        good.replace("-1 ", "-2 "),
        format!("{good}AAAA"),
    ];
    for text in bad {
        let error = RootKey::parse(&text, "the place").err().unwrap();
        assert!(error.to_string().contains("the place"), "{text:?}");
    }
}

#[test]
fn a_command_gives_the_key_or_its_failure_and_never_its_text() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("key");
    let root = RootKey::generate(&Seeded::new(1));
    root.write_new(&path).unwrap();
    let source = RootSource::Command(format!("cat {}", path.display()));
    assert_eq!(source.load().unwrap().id(), root.id());
    assert!(!source.to_string().contains("cat"));
    assert!(matches!(RootSource::Command("exit 3".to_owned()).load(), Err(RootKeyError::Command(_))));
    let error = RootSource::Command("echo hunter2".to_owned()).load().err().unwrap();
    assert!(!error.to_string().contains("hunter2"));
    let ring = Ring::new();
    let keys = ring.create();
    assert!(matches!(keys.rotate_root(&source), Err(KeyringError::Root(RootKeyError::NotReplaceable))));
}

#[test]
fn key_ids_are_sixteen_lower_case_hex_digits() {
    let id = RootKey::generate(&Seeded::new(1)).id();
    assert_eq!(RootKeyId::parse(&id.to_string()), Some(id));
    for bad in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdeg"] {
        assert_eq!(RootKeyId::parse(bad), None, "{bad}");
    }
    assert!(
        Keys::create(
            Path::new("/nowhere/k"),
            &RootKey::generate(&Seeded::new(1)),
            "bad origin",
            Arc::new(Seeded::new(1)),
            Arc::new(NoFaults)
        )
        .is_err()
    );
}

#[test]
fn what_replaces_a_file_takes_its_owner_and_permissions() {
    use std::os::unix::fs::{MetadataExt, chown};
    let ring = Ring::new();
    let keys = ring.create();
    // Only root may give files away.
    let given = chown(ring.path(), Some(4321), Some(4321)).and_then(|()| chown(ring.root(), Some(4321), Some(4321))).is_ok();
    fs::set_permissions(ring.path(), fs::Permissions::from_mode(0o640)).unwrap();
    keys.add_set(set(3, "2026-11")).unwrap();
    keys.rotate_root(&ring.source()).unwrap();
    let (keyring, root) = (fs::metadata(ring.path()).unwrap(), fs::metadata(ring.root()).unwrap());
    assert_eq!((keyring.mode() & 0o777, root.mode() & 0o777), (0o640, 0o600));
    let owner = if given { 4321 } else { fs::metadata(ring.place.path()).unwrap().uid() };
    assert_eq!((keyring.uid(), root.uid()), (owner, owner));
}
