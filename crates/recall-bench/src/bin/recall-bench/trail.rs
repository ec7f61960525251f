//! A trail opened in this process, without a server.

use std::path::Path;

use recall_bench::stuck::Stuck;
use recall_store::keys::RootSource;
use recall_store::trail::{InitOptions, OpenOptions, Trail};

/// The root key beside a folder.
pub fn root(data: &Path) -> RootSource {
    let mut name = data.as_os_str().to_owned();
    name.push(".key");
    RootSource::File(name.into())
}

/// Makes a trail in a new folder.
pub fn init(data: &Path) -> Result<(), Stuck> {
    Trail::init(&InitOptions::new(data, root(data), "recall.invalid/bench")).map_err(Stuck::at("making a trail"))
}

/// Opens the trail in a folder.
pub fn open(data: &Path) -> Result<Trail, Stuck> {
    Trail::open(OpenOptions::new(data, root(data))).map_err(Stuck::at("opening the trail"))
}
