//! Where a verifier finds a log: a folder, or a server. Both give files by their C2SP path.

use std::io::ErrorKind;
use std::path::PathBuf;

use recall_log::tile::{SourceError, TilePath, TileSource};
use ureq::Agent;

use crate::client;
use crate::failure::Failure;

/// The largest file of a log: an entry bundle of 256 entries of 64 KiB.
const FILE_BYTES: u64 = 32 << 20;

/// A folder that holds `checkpoint` and `tile/`.
pub struct FolderLog(pub PathBuf);

impl TileSource for FolderLog {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match std::fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(SourceError(format!("{path} cannot be read: {error}"))),
        }
    }
}

impl FolderLog {
    /// All partial tiles and bundles that lie there, of whatever size.
    pub fn partials(&self) -> Vec<TilePath> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.join("tile")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(tile) = path.strip_prefix(&self.0).ok().and_then(|path| TilePath::parse(path.to_str()?).ok()) {
                    found.extend((!tile.is_full()).then_some(tile));
                }
            }
        }
        found
    }
}

/// A log that is served over HTTP.
pub struct ServedLog {
    agent: Agent,
    base: String,
}

impl ServedLog {
    /// The log below `url`.
    pub fn new(url: &str) -> Result<Self, Failure> {
        Ok(Self { agent: client::agent(), base: client::base_url(url)? })
    }
}

impl TileSource for ServedLog {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let url = format!("{}/{path}", self.base);
        let failed = |error: ureq::Error| SourceError(format!("{url} cannot be fetched: {error}"));
        let mut response = self.agent.get(&url).call().map_err(failed)?;
        match response.status().as_u16() {
            200 => response.body_mut().with_config().limit(FILE_BYTES).read_to_vec().map(Some).map_err(failed),
            404 => Ok(None),
            status => Err(SourceError(format!("{url} was answered with status {status}"))),
        }
    }
}
