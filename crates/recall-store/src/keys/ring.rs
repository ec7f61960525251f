//! `DIR/keyring`: the wrapped keys as a file, and how a root key is replaced without a moment at which a crash loses both.
//!
//! Order of a replacement: the new root key under `FILE.new`, synced; the keyring wrapped under it, renamed into place; the old root
//! key file overwritten and synced; `FILE.new` renamed over it. Whichever step a crash follows, the root key that the keyring names
//! lies in `FILE` or in `FILE.new`. Whoever reads looks in both and changes neither; whoever holds the folder's lock finishes the work.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recall_log::note;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::SetInfo;
use super::root::{RootKey, RootKeyError, RootKeyId, RootSource};
use crate::durable;
use crate::seal::{self, SealError};
use crate::seams::{Faults, Random, Step, guarded};
use crate::secret::Key32;

const FORMAT: &str = "recall.keyring/1";
/// A set takes some 200 bytes and there is one a month and class; more than this is no keyring.
const MAX_BYTES: u64 = 16 << 20;

/// Why the keyring could not be read or written.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// The root key given is another one.
    #[error(
        "the root key is wrong: the keyring wants the root key {wanted}, and {given} was given; name the right one with --root-key-file"
    )]
    WrongRoot {
        /// The id in the keyring.
        wanted: RootKeyId,
        /// The id of the key that was given.
        given: RootKeyId,
    },
    /// There is none, or it can't be read.
    #[error("the keyring wants the root key {wanted}: {cause}")]
    NoRoot {
        /// The id in the keyring.
        wanted: RootKeyId,
        /// What is wrong with the source.
        cause: RootKeyError,
    },
    /// The root key could not be made or replaced.
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// The keyring's text is not what it should be.
    #[error("the keyring {path} is damaged ({what}); restore it from a copy", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: String,
    },
    /// An origin that a signed note can't carry.
    #[error("the origin can't be used as the name of a log: {0}")]
    Origin(String),
    /// A key could not be wrapped.
    #[error("a key could not be wrapped: {0}")]
    Wrap(#[from] SealError),
    /// The folder's lock is not held.
    #[error("the trail was opened for reading, so that its keys can't be changed")]
    ReadOnly,
    /// An earlier write failed with its outcome unknown.
    #[error("the state of the keyring on disk is unknown after a failed write; restart to go on")]
    Doubtful,
    /// The operating system refused.
    #[error("the keyring could not be read or written: {0}; check the disk and its permissions")]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    root_key_id: String,
    origin: String,
    vkey: String,
    keys: Vec<FileKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKey {
    id: u64,
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    epoch: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    class: String,
    wrapped: String,
}

#[derive(Clone)]
pub(super) struct Single {
    pub id: u64,
    pub key: Key32,
}

#[derive(Clone)]
pub(super) struct Set {
    pub info: SetInfo,
    pub key: Key32,
}

/// The keys, unwrapped.
#[derive(Clone)]
pub(super) struct Keyring {
    pub root: RootKey,
    pub origin: String,
    pub vkey: String,
    pub trail: Single,
    pub signing: Single,
    pub sets: Vec<Set>,
    /// It is unknown which root key the file is wrapped under.
    pub doubtful: bool,
}

fn vkey(origin: &str, seed: &Key32) -> Result<String, KeyringError> {
    let signer = note::Signer::new(origin, seed.as_bytes()).map_err(|error| KeyringError::Origin(error.to_string()))?;
    Ok(signer.verifier().vkey())
}

fn aad(id: u64, kind: &str, epoch: &str, class: &str) -> Vec<u8> {
    let mut aad = b"recall/keyring/v1\0".to_vec();
    aad.extend_from_slice(&id.to_be_bytes());
    aad.extend_from_slice(kind.as_bytes());
    aad.push(0);
    aad.extend_from_slice(epoch.as_bytes());
    aad.push(0);
    aad.extend_from_slice(class.as_bytes());
    aad
}

impl Keyring {
    pub(super) fn new(root: RootKey, origin: &str, random: &dyn Random) -> Result<Self, KeyringError> {
        let signing = Single { id: 2, key: Key32::random(random) };
        let trail = Single { id: 1, key: Key32::random(random) };
        Ok(Self { root, origin: origin.to_owned(), vkey: vkey(origin, &signing.key)?, trail, signing, sets: Vec::new(), doubtful: false })
    }

    pub(super) fn add_set(&mut self, info: SetInfo, random: &dyn Random) {
        self.sets.push(Set { info, key: Key32::random(random) });
    }

    pub(super) fn drop_set(&mut self, id: u64) {
        self.sets.retain(|set| set.info.id != id);
    }

    pub(super) fn new_identity(&mut self, origin: &str, random: &dyn Random) -> Result<(), KeyringError> {
        let key = Key32::random(random);
        self.vkey = vkey(origin, &key)?;
        self.origin = origin.to_owned();
        self.signing.key = key;
        Ok(())
    }

    pub(super) fn load(path: &Path, root: RootKey) -> Result<Self, KeyringError> {
        let file = read(path)?;
        let wanted = wanted(path, &file)?;
        if root.id() != wanted {
            return Err(KeyringError::WrongRoot { wanted, given: root.id() });
        }
        let damaged = |what: &str| KeyringError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let (mut trail, mut signing, mut sets) = (None, None, Vec::new());
        for entry in file.keys {
            let key = unwrap(&root, &entry).ok_or_else(|| damaged(&format!("key {}", entry.id)))?;
            match entry.kind.as_str() {
                "trail" if trail.is_none() => trail = Some(Single { id: entry.id, key }),
                "signing" if signing.is_none() => signing = Some(Single { id: entry.id, key }),
                "set" => sets.push(Set { info: SetInfo { id: entry.id, epoch: entry.epoch, class: entry.class }, key }),
                _ => return Err(damaged("a key of a kind that is unknown or there twice")),
            }
        }
        let trail = trail.ok_or_else(|| damaged("no trail key"))?;
        let signing = signing.ok_or_else(|| damaged("no signing key"))?;
        if vkey(&file.origin, &signing.key)? != file.vkey {
            return Err(damaged("origin and public key do not belong to the signing key"));
        }
        sets.sort_by_key(|set| set.info.id);
        Ok(Self { root, origin: file.origin, vkey: file.vkey, trail, signing, sets, doubtful: false })
    }

    pub(super) fn save(&self, path: &Path, random: &dyn Random, faults: &dyn Faults) -> Result<(), KeyringError> {
        if self.doubtful {
            return Err(KeyringError::Doubtful);
        }
        let mut keys = vec![
            self.wrap(self.trail.id, "trail", "", "", &self.trail.key, random)?,
            self.wrap(self.signing.id, "signing", "", "", &self.signing.key, random)?,
        ];
        for Set { info, key } in &self.sets {
            keys.push(self.wrap(info.id, "set", &info.epoch, &info.class, key, random)?);
        }
        let file = File {
            format: FORMAT.to_owned(),
            root_key_id: self.root.id().to_string(),
            origin: self.origin.clone(),
            vkey: self.vkey.clone(),
            keys,
        };
        let mut text = serde_json::to_vec_pretty(&file).map_err(io::Error::from)?;
        text.push(b'\n');
        guarded(faults, Step::KeyringWrite, || durable::replace(path, &text))?;
        Ok(())
    }

    fn wrap(&self, id: u64, kind: &str, epoch: &str, class: &str, key: &Key32, random: &dyn Random) -> Result<FileKey, KeyringError> {
        let wrapped = seal::seal(self.root.key(), random, &aad(id, kind, epoch, class), key.as_bytes())?;
        Ok(FileKey { id, kind: kind.to_owned(), epoch: epoch.to_owned(), class: class.to_owned(), wrapped: STANDARD.encode(wrapped) })
    }
}

fn unwrap(root: &RootKey, entry: &FileKey) -> Option<Key32> {
    let wrapped = STANDARD.decode(&entry.wrapped).ok()?;
    let plain = Zeroizing::new(seal::open(root.key(), &aad(entry.id, &entry.kind, &entry.epoch, &entry.class), &wrapped).ok()?);
    Key32::from_slice(&plain)
}

fn read(path: &Path) -> Result<File, KeyringError> {
    let damaged = |what: String| KeyringError::Damaged { path: path.to_owned(), what };
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(damaged("too long".to_owned()));
    }
    let text = fs::read(path)?;
    // serde_json's message holds a position and a field name; the file holds no plain secret.
    let file: File = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match file.format.as_str() {
        FORMAT => Ok(file),
        _ => Err(damaged(format!("format is not {FORMAT}"))),
    }
}

fn wanted(path: &Path, file: &File) -> Result<RootKeyId, KeyringError> {
    let what = || KeyringError::Damaged { path: path.to_owned(), what: "root_key_id".to_owned() };
    RootKeyId::parse(&file.root_key_id).ok_or_else(what)
}

/// The id of the root key that the keyring at `path` is wrapped under.
pub fn root_id_wanted(path: &Path) -> Result<RootKeyId, KeyringError> {
    wanted(path, &read(path)?)
}

fn new_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// See `Keys::find_root`.
pub(super) fn find_root(keyring: &Path, source: &RootSource) -> Result<RootKey, KeyringError> {
    find(keyring, source).map(|(root, _)| root)
}

/// The root key that fits, and the file that it lies in if that is `FILE.new`.
fn find(keyring: &Path, source: &RootSource) -> Result<(RootKey, Option<PathBuf>), KeyringError> {
    let wanted = root_id_wanted(keyring)?;
    let found = source.load();
    if let Ok(root) = &found
        && root.id() == wanted
    {
        return Ok((root.clone(), None));
    }
    if let RootSource::File(path) = source {
        let new = new_name(&fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
        if let Ok(root) = RootKey::from_file(&new)
            && root.id() == wanted
        {
            return Ok((root, Some(new)));
        }
    }
    match found {
        Ok(root) => Err(KeyringError::WrongRoot { wanted, given: root.id() }),
        Err(cause) => Err(KeyringError::NoRoot { wanted, cause }),
    }
}

/// See `Keys::settle_root`. A `FILE.new` that does not fit stays: it may be the only root key of another trail that is given the same file, and
/// the next replacement takes it.
pub(super) fn settle_root(keyring: &Path, source: &RootSource) -> Result<RootKey, KeyringError> {
    let (root, new) = find(keyring, source)?;
    if let (Some(new), RootSource::File(path)) = (new, source) {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        promote(&root, &new, &path)?;
    }
    Ok(root)
}

/// Makes `next.root` another root key, and that one the trail's: see the head of this file.
pub(super) fn replace_root(
    next: &mut Keyring,
    keyring: &Path,
    source: &RootSource,
    random: &dyn Random,
    faults: &dyn Faults,
) -> Result<(), KeyringError> {
    let RootSource::File(path) = source else { return Err(RootKeyError::NotReplaceable.into()) };
    // An earlier replacement that failed half-way is finished first: its `FILE.new` may be the only copy of the key that counts.
    settle_root(keyring, source)?;
    check_replaceable(source)?;
    let path = fs::canonicalize(path)?;
    let new = new_name(&path);
    next.root = new_root(&new, random)?;
    next.save(keyring, random, faults)?;
    guarded(faults, Step::RootKeyWrite, || promote(&next.root, &new, &path))
}

/// See `Keys::check_replaceable`.
pub(super) fn check_replaceable(source: &RootSource) -> Result<(), KeyringError> {
    let RootSource::File(given) = source else { return Err(RootKeyError::NotReplaceable.into()) };
    let fixed = |cause: io::Error| RootKeyError::Fixed { path: given.clone(), cause };
    let path = fs::canonicalize(given).map_err(fixed)?;
    let new = new_name(&path);
    match RootKey::from_file(&new) {
        Ok(_) | Err(RootKeyError::Format(_)) => {}
        Err(RootKeyError::Absent(_)) => {
            OpenOptions::new().write(true).create_new(true).open(&new).map_err(fixed)?;
            fs::remove_file(&new).map_err(fixed)?;
        }
        Err(error) => return Err(error.into()),
    }
    // It is overwritten in place before its name goes to the new one.
    OpenOptions::new().write(true).open(&path).map_err(fixed)?;
    Ok(())
}

/// A root key that lies in `new`. One that an earlier replacement left there is taken, so that none is ever destroyed unused.
fn new_root(new: &Path, random: &dyn Random) -> Result<RootKey, KeyringError> {
    match RootKey::from_file(new) {
        Ok(root) => return Ok(root),
        Err(RootKeyError::Absent(_)) => {}
        // Torn by a crash before it was synced, so that it wraps nothing.
        Err(RootKeyError::Format(_)) => wipe(new)?,
        Err(error) => return Err(error.into()),
    }
    let root = RootKey::generate(random);
    root.write_new(new)?;
    Ok(root)
}

/// Overwrites the old root key and puts `new` in its place, having seen that it holds `root`.
fn promote(root: &RootKey, new: &Path, path: &Path) -> Result<(), KeyringError> {
    let holds = |file: &Path| matches!(RootKey::from_file(file), Ok(found) if found.id() == root.id());
    if !holds(new) {
        // Somebody meddled with it, and this is the only copy.
        durable::replace(new, root.to_line().as_bytes())?;
    }
    if !holds(new) {
        return Err(RootKeyError::Meddled(new.to_owned()).into());
    }
    let file = OpenOptions::new().write(true).open(new)?;
    durable::take_after(&file, path)?;
    file.sync_all()?;
    drop(file);
    overwrite(path)?;
    durable::rename(new, path)?;
    Ok(())
}

/// Overwrites a root key in place, as far as the disk lets a program do that.
fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(4096);
    file.write_all(&vec![b'0'; length])?;
    file.sync_all()
}

fn wipe(path: &Path) -> io::Result<()> {
    overwrite(path)?;
    durable::remove(path)
}
