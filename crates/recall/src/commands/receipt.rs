//! `recall receipt`: a .tlog-proof that stands alone.

use crate::cli::Receipt;
use crate::client::{Client, encode, path};
use crate::failure::Failure;
use crate::output;

/// Fetches the receipt and writes it out.
pub fn run(options: &Receipt, as_json: bool) -> Result<(), Failure> {
    let client = Client::open(&options.target)?;
    let disclose = options.disclose.then_some("true");
    let answer = client.get(&path(&format!("/v1/events/{}/proof", encode(&options.event)), &[("disclose", disclose)]))?.success()?;
    client.close()?;
    match &options.output {
        Some(file) => std::fs::write(file, &answer.body)
            .map_err(|error| Failure::unreachable(format!("{} cannot be written: {error}", file.display()))),
        None if as_json => output::json(&serde_json::json!({"receipt": String::from_utf8_lossy(&answer.body)})),
        None => output::bytes(&answer.body),
    }
}
