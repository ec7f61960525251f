//! `recall receipt`: a .tlog-proof that stands alone.

use axum::http::StatusCode;
use serde_json::json;

use crate::cli::{By, Receipt};
use crate::client::{Client, encode, path};
use crate::failure::Failure;
use crate::{folder, output};

/// Fetches the receipt and writes it out.
pub fn run(options: &Receipt, as_json: bool) -> Result<(), Failure> {
    if let Some(file) = options.output.as_ref().filter(|file| file.exists()) {
        // Asked for first: a disclosure that nobody got would be in the trail.
        return Err(Failure::wrong(format!("{} exists: name a file that does not", file.display())));
    }
    let client = Client::open(&options.target)?;
    let pairs = [("disclose", options.disclose.then_some("true")), ("by", options.by.map(By::name))];
    let answer = client.get(&path(&format!("/v1/events/{}/proof", encode(&options.event)), &pairs))?;
    client.close()?;
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Err(Failure::check("there is no such event, or its content is erased"));
    }
    let answer = answer.success()?;
    match &options.output {
        Some(file) => {
            // With --disclose it holds health information: for its owner's eyes.
            folder::write_new(file, &answer.body)?;
            if as_json { output::json(&json!({"file": file.display().to_string()})) } else { Ok(()) }
        }
        None if as_json => output::json(&json!({"receipt": String::from_utf8_lossy(&answer.body)})),
        None => output::bytes(&answer.body),
    }
}
