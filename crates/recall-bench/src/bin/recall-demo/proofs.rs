//! Receipts, and verification of the served log.

use std::fs;

use recall_bench::hospital::Facts;
use recall_bench::process::{Recall, Server, succeeded};
use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;

use crate::Tokens;
use crate::folder::Folder;
use crate::tell::Tell;
use crate::traffic::Sent;

/// Proves one event alone, then the whole served log. Gives the log's public key.
pub fn show(recall: &Recall, server: &Server, tokens: &Tokens, folder: &Folder, sent: &Sent, tell: &mut Tell) -> Result<String, Stuck> {
    let vkey = succeeded("recall keys public", &recall.run(&["keys", "public", "--url", server.url(), "--token", &tokens.officer])?)?;
    let vkey = vkey.trim().to_owned();
    tell.line(&format!("  The log's public key, to be kept by whoever may want to check:\n    {vkey}"));
    receipt(recall, server, tokens, folder, &vkey, sent, tell)?;
    let started = Stopwatch::start();
    let output = recall.run(&["verify", "--url", server.url(), "--public-key", &vkey])?;
    tell.check(output.status.success(), &format!("recall verify --url: every entry, tile and the signed root agree ({})", started));
    quote(&output.stdout, 3, tell);
    Ok(vkey)
}

fn receipt(
    recall: &Recall,
    server: &Server,
    tokens: &Tokens,
    folder: &Folder,
    vkey: &str,
    sent: &Sent,
    tell: &mut Tell,
) -> Result<(), Stuck> {
    let is_look = |facts: &Facts| facts.break_glass;
    let place = sent.facts.iter().position(is_look).and_then(|place| sent.indexes.get(place)).copied().unwrap_or(0);
    let file = folder.scratch("event.tlog-proof");
    let index = place.to_string();
    let started = Stopwatch::start();
    let arguments =
        ["receipt", &index, "--disclose", "--url", server.url(), "--token", &tokens.officer, "--output", &file.to_string_lossy()];
    succeeded("recall receipt", &recall.run(&arguments)?)?;
    let bytes = fs::read(&file).map_err(|e| Stuck::io("the receipt", &e))?;
    tell.line(&format!("  recall receipt {index} --disclose: {} bytes that stand alone, in {}", bytes.len(), started));
    let verify = |path: &std::path::Path| recall.run(&["verify", "--receipt", &path.to_string_lossy(), "--public-key", vkey]);
    let output = verify(&file)?;
    tell.check(output.status.success(), "recall verify --receipt, offline: the broken glass is proven");
    quote(&output.stdout, 3, tell);

    let forged = folder.scratch("forged.tlog-proof");
    fs::write(&forged, forge(&bytes)).map_err(|e| Stuck::io("the forged receipt", &e))?;
    let output = verify(&forged)?;
    tell.check(output.status.code() == Some(1), "the same receipt under another index: refused");
    Ok(())
}

/// The receipt with the last digit of its index changed.
fn forge(receipt: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(receipt);
    let forged: Vec<String> = text
        .split('\n')
        .map(|line| match line.strip_prefix("index ").and_then(|index| index.parse::<u64>().ok()) {
            Some(index) => format!("index {}", index ^ 1),
            None => line.to_owned(),
        })
        .collect();
    forged.join("\n").into_bytes()
}

/// The first lines of what a command said.
pub fn quote(said: &[u8], lines: usize, tell: &Tell) {
    for line in String::from_utf8_lossy(said).lines().filter(|line| !line.trim().is_empty()).take(lines) {
        tell.line(&format!("    | {line}"));
    }
}
