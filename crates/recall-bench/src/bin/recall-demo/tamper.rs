//! What lies on the disk: nothing readable, and nothing that can be changed unnoticed.

use std::fs;
use std::path::Path;
use std::process::Command;

use recall_bench::hospital::Hospital;
use recall_bench::process::Recall;
use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;

use crate::folder::Folder;
use crate::proofs::quote;
use crate::tell::Tell;

/// Looks for names, numbers, accounts and statements in every file of the folder, while the server runs.
pub fn grep(folder: &Folder, hospital: &Hospital, tell: &mut Tell) -> Result<(), Stuck> {
    let stories = hospital.stories();
    let vip = hospital.patient(stories.vip);
    let nurse = hospital.staff().get(stories.snoop as usize).map_or(String::new(), |staff| staff.id.clone());
    let surname = vip.name.split(' ').next_back().unwrap_or_default().to_owned();
    for (what, needle) in [
        ("the patient's name", surname),
        ("her record number", vip.mrn),
        ("the nurse's account", nurse),
        ("a statement", "insurance_no".to_owned()),
        ("a description", "allergies unknown".to_owned()),
    ] {
        let found = files_with(folder.data(), &needle)?;
        tell.check(found.is_empty(), &format!("grep -r '{needle}' over the data folder finds nothing ({what})"));
    }
    let known = files_with(folder.data(), "recall.keyring/1")?;
    tell.check(!known.is_empty(), "and grep does find what is meant to be readable: the keyring's format");
    Ok(())
}

/// The files that hold a text, as `grep` finds them.
fn files_with(folder: &Path, needle: &str) -> Result<String, Stuck> {
    let output = Command::new("grep")
        .args(["--recursive", "--text", "--files-with-matches", "--fixed-strings", "-e", needle])
        .arg(folder)
        .output()
        .map_err(|e| Stuck::io("starting grep", &e))?;
    // 0: found, 1: not found, 2: a file could not be read, such as one that the server just replaced.
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Verifies an untouched copy, then copies in which one byte was changed.
pub fn copies(recall: &Recall, folder: &Folder, vkey: &str, tell: &mut Tell) -> Result<(), Stuck> {
    let whole = folder.copy("whole")?;
    let started = Stopwatch::start();
    let output = verify(recall, &whole, vkey)?;
    tell.check(output.status.success(), &format!("an untouched copy verifies, every event's bytes included ({})", started));
    quote(&output.stdout, 2, tell);
    if !output.status.success() {
        quote(&output.stderr, 2, tell);
    }
    fs::remove_dir_all(&whole).map_err(|e| Stuck::io("removing the copy", &e))?;

    let event = event_file(folder.data())?;
    // A segment is named by its file, a batch in the catalog by the index of its first event.
    let place = event.strip_prefix("segments/").unwrap_or("the batch at index ");
    for (what, file, names) in [
        ("one byte of the stored events", event.as_str(), place),
        ("one byte of a tile", "log/tile/0/000", "tile/0/000"),
        ("one byte of an entry", "log/tile/entries/001", "tile/entries/001"),
    ] {
        let copy = folder.copy("tampered")?;
        flip_the_middle(&copy.join(file))?;
        let output = verify(recall, &copy, vkey)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let found: Vec<&str> = said.lines().filter(|line| line.starts_with("FOUND")).collect();
        let named = found.iter().any(|line| line.contains(names));
        tell.check(
            output.status.code() == Some(1) && named,
            &format!("{what} changed ({file}): recall verify exits with 1 and names the place"),
        );
        quote(found.join("\n").as_bytes(), 2, tell);
        fs::remove_dir_all(&copy).map_err(|e| Stuck::io("removing the copy", &e))?;
    }
    Ok(())
}

fn verify(recall: &Recall, copy: &Path, vkey: &str) -> Result<std::process::Output, Stuck> {
    recall.run(&["verify", "--data", &copy.to_string_lossy(), "--public-key", vkey])
}

/// Where events' bytes lie: a segment if there is one, else the catalog, whose pages are nearly all sealed batches.
fn event_file(data: &Path) -> Result<String, Stuck> {
    let entries = fs::read_dir(data.join("segments")).map_err(|e| Stuck::io("the folder of segments", &e))?;
    let mut segments: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with(".events")).collect();
    segments.sort();
    Ok(segments.first().map_or("catalog.sqlite".to_owned(), |name| format!("segments/{name}")))
}

fn flip_the_middle(file: &Path) -> Result<(), Stuck> {
    let failed = |e: std::io::Error| Stuck::io(&format!("changing {}", file.display()), &e);
    let mut bytes = fs::read(file).map_err(failed)?;
    // A little past the middle: inside an entry of a bundle, not on the length before it.
    let middle = bytes.len() / 2 + 7;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    fs::write(file, bytes).map_err(failed)
}
