//! `recall init`: keys, catalog, and the first administrator's one-time token.

use std::sync::Arc;

use recall_store::catalog::{Kind, RowChange};
use recall_store::keys::RootSource;
use recall_store::seams::{Clock, Random, SystemClock, SystemRandom};
use recall_store::trail::{InitOptions, Trail};
use serde_json::json;

use crate::cli::Init;
use crate::commands::serve::Running;
use crate::failure::Failure;
use crate::folder::Place;
use crate::http::tokens::after;
use crate::identity::{Identity, Role};
use crate::record::Record;
use crate::{output, tokens};

/// How long the one-time token works, seconds.
const FIRST_EXPIRES_S: u64 = 86_400;

/// Makes the trail.
pub fn run(options: &Init, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(&options.folder)?;
    let origin = options.origin.clone().unwrap_or_else(new_origin);
    let making = InitOptions { anchor: Some(place.anchor.clone()), ..InitOptions::new(&place.data, place.root.clone(), origin) };
    Trail::init(&making).map_err(|error| Failure::wrong(error.to_string()))?;
    let running = Running::local(&options.folder)?;
    let token = first_token(&running)?;
    let vkey = running.app().trail.keys().vkey();
    running.close()?;
    let data = place.data.display().to_string();
    let root_key_file = match &place.root {
        RootSource::File(file) | RootSource::Credential(file) => Some(file.display().to_string()),
        RootSource::Command(_) => None,
    };
    if as_json {
        return output::json(&json!({"data": data, "root_key_file": root_key_file, "vkey": vkey, "token": token.as_str()}));
    }
    output::line(&format!("trail            {data}"))?;
    if let Some(file) = &root_key_file {
        output::line(&format!("root key         {file}"))?;
        output::note(
            "warning: whoever has folder and root key reads everything; keep the root key on another disk or in a key service, and keep a copy: without it nothing can be read",
        );
    }
    output::line(&format!("public key       {vkey}"))?;
    output::line(&format!("one-time token   {}", token.as_str()))?;
    output::note(&format!(
        "the one-time token makes the first administrator's token and works for 24 hours; later: recall token create --role administrator --data {data}"
    ));
    output::line(&format!("\nnext: recall serve --data {data}\n      RECALL_TOKEN=ONE_TIME_TOKEN recall token create --role administrator"))
}

/// A name that is nobody's: `.invalid` is reserved (RFC 2606), and the digits tell trails apart.
pub fn new_origin() -> String {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    format!("recall.invalid/{:016x}", u64::from_be_bytes(bytes))
}

/// The one-time token, recorded as the trail's first event.
fn first_token(running: &Running) -> Result<tokens::Shown, Failure> {
    let now = SystemClock.now();
    let (id, shown, stored) = tokens::create(&SystemRandom, None, Role::FirstAdministrator, Vec::new(), now, after(now, FIRST_EXPIRES_S));
    let row = RowChange::put(Kind::Token, id.clone(), stored.write());
    let record =
        Record::new(Identity::machine().actor(), "recall.init", "C", json!({"type": "recall:trail"})).with(json!({"token_id": id}));
    let app = Arc::clone(running.app());
    running.block_on(async move { app.record(record, vec![row]).await }).map_err(|problem| Failure::unreachable(problem.detail()))?;
    Ok(shown)
}
