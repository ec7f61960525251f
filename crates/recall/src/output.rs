//! What a command writes: answers on standard output, failures as one line on standard error, progress on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Writes bytes to standard output as they are.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::unreachable(format!("standard output could not be written: {error}")))
}

/// Writes one line to standard output.
pub fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes a JSON document to standard output, on one line.
pub fn json(value: &Value) -> Result<(), Failure> {
    line(&value.to_string())
}

/// Writes a table for eyes. On a terminal it keeps to the terminal's width.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    }
    line(&table.to_string())
}

/// Text that cannot steer a terminal: control characters are shown as replacement characters.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Says something on standard error that is not a failure.
pub fn note(text: &str) {
    // Nothing is left to tell it to if standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A bar over `total` steps (bytes with `in_bytes`), or a spinner where the total is unknown; hidden unless standard error is a terminal.
pub fn progress(total: Option<u64>, in_bytes: bool, what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    let template = match (total.is_some(), in_bytes) {
        (true, true) => "{msg} {bar:30} {bytes}/{total_bytes} {eta}",
        (true, false) => "{msg} {bar:30} {human_pos}/{human_len} {eta}",
        (false, _) => "{msg} {spinner} {human_pos}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Prints help or the version.
pub fn help(text: &str) -> ExitCode {
    match bytes(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.code()),
    }
}

/// Prints a failure as one line (JSON with `--json`) and gives its exit code.
pub fn failed(failure: &Failure, as_json: bool) -> ExitCode {
    let code = failure.code();
    let message = failure.to_string().replace('\n', " ");
    if as_json {
        note(&json!({"error": message, "exit_code": code}).to_string());
    } else {
        note(&format!("recall: {message}"));
    }
    ExitCode::from(code)
}
