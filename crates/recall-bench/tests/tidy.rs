//! Style and architecture that no compiler keeps: sizes, headers, names, who may link what, paths that documents name.
//!
//! Each check reads the tree and gives a list of complaints, so that a run shows all of them at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Files of the repository below a folder whose names end so, with their text; build output and fuzzing's findings are left out.
fn files(below: &str, endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let path = entry.path();
            if path.is_dir() {
                if !["target", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let shown = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((shown, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "nothing to check below {below}");
    found.sort();
    found
}

fn rust() -> Vec<(String, String)> {
    let mut found = files("crates", &[".rs"]);
    found.extend(files("fuzz", &[".rs"]));
    found
}

fn complain(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut complaints = Vec::new();
    for (path, text) in rust() {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            complaints.push(format!("{path} has {lines} lines, at most {FILE_LINES}"));
        }
        // A file of unit tests owns what its parent owns.
        let headed = path.ends_with("/tests.rs") || text.trim_start_matches("#![no_main]").trim_start().starts_with("//!");
        if !headed {
            complaints.push(format!("{path} does not begin with a //! header"));
        }
    }
    complain("a file owns one idea and says which", complaints);
}

#[test]
fn functions_fit_a_screen() {
    let mut complaints = Vec::new();
    for (path, text) in rust() {
        complaints.extend(
            long_functions(&text).into_iter().map(|(name, lines)| format!("{path}: {name} has {lines} lines, at most {FUNCTION_LINES}")),
        );
    }
    complain("a function fits a screen", complaints);
}

/// Functions longer than the limit. A function ends at the line that closes it at its own indentation, as rustfmt writes it.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let mut long = Vec::new();
    let mut open: Option<(String, String, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        if open.is_none()
            && let Some(name) = function_name(code)
            && !code.trim_end().ends_with(['}', ';'])
        {
            open = Some((name, format!("{indent}}}"), number));
        } else if let Some((name, end, start)) = &open
            && line.trim_end() == end.as_str()
        {
            let lines = number - start + 1;
            if lines > FUNCTION_LINES {
                long.push((name.clone(), lines));
            }
            open = None;
        }
    }
    long
}

fn function_name(code: &str) -> Option<String> {
    let before = code.split("fn ").next()?;
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    if !code.contains("fn ") || !before.split_whitespace().all(|word| qualifiers.contains(&word)) {
        return None;
    }
    let after = &code[before.len() + 3..];
    Some(after.split(['(', '<']).next()?.trim().to_owned())
}

#[test]
fn the_rule_for_functions_sees_long_ones_and_only_those() {
    let body = |lines: usize| format!("    pub(super) async fn a<T>(x: u8) {{\n{}    }}\nfn b() {{}}\n", "        x;\n".repeat(lines - 2));
    assert_eq!(long_functions(&body(FUNCTION_LINES)), []);
    assert_eq!(long_functions(&body(FUNCTION_LINES + 1)), [("a".to_owned(), FUNCTION_LINES + 1)]);
}

#[test]
fn names_say_something() {
    let complaints = rust().into_iter().map(|(path, _)| path).filter(|path| {
        let name = path.rsplit('/').next().unwrap();
        ["mod.rs", "utils.rs", "util.rs", "helpers.rs", "common.rs", "misc.rs"].contains(&name)
    });
    complain("no mod.rs, and no file for what has no place", complaints.collect());
}

#[test]
fn nothing_is_left_unfinished() {
    let marks =
        [["to", "do!("].concat(), ["unimple", "mented!("].concat(), ["db", "g!("].concat(), ["FIX", "ME"].concat(), ["TO", "DO"].concat()];
    let mut complaints = Vec::new();
    for (path, text) in rust() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                complaints.push(format!("{path}:{}", number + 1));
            }
        }
    }
    complain("what is not done is not here", complaints);
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    let roots = ["/ro", "/ho", "/wo"].iter().zip(["ot/", "me/", "rk/"]).map(|(a, b)| [*a, b].concat()).collect::<Vec<_>>();
    let mut texts = rust();
    for (below, endings) in [("docs", &[".md", ".json"][..]), ("scripts", &[".sh", ".py"]), ("packaging", &["e"]), ("crates", &[".toml"])] {
        texts.extend(files(below, endings));
    }
    for name in ["README.md", "ARCHITECTURE.md", "Cargo.toml", "demo", "test", ".ci/run"] {
        texts.push((name.into(), fs::read_to_string(root().join(name)).unwrap()));
    }
    let mut complaints = Vec::new();
    for (path, text) in texts {
        for (number, line) in text.lines().enumerate() {
            if roots.iter().any(|place| line.contains(place.as_str())) {
                complaints.push(format!("{path}:{}", number + 1));
            }
        }
    }
    complain("no path of one machine", complaints);
}

#[test]
fn paths_in_documents_exist() {
    let mut documents = files("docs", &[".md"]);
    for name in ["README.md", "ARCHITECTURE.md"] {
        documents.push((name.into(), fs::read_to_string(root().join(name)).unwrap()));
    }
    let mut complaints = Vec::new();
    for (document, text) in documents {
        for path in paths_named(&text) {
            if !path_exists(&path) {
                complaints.push(format!("{document} names {path}"));
            }
        }
    }
    complain("documents name what exists", complaints);
}

/// Words in backquotes, and targets of links, that look like files of this repository.
fn paths_named(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let starts = ["crates/", "docs/", "scripts/", "packaging/", "fuzz/", "recall/", "recall-"];
    quoted
        .chain(linked)
        .map(|word| word.trim_start_matches("../").trim_start_matches("./"))
        .filter(|word| !word.contains(|c: char| c.is_whitespace() || "*{<…$".contains(c)))
        .filter(|word| word.contains('/') && starts.iter().any(|start| word.starts_with(start)))
        .map(|word| word.split('#').next().unwrap().trim_end_matches('/').to_owned())
        .collect()
}

/// A path as documents write it: from the root, from `crates/`, or with a crate's `src` left out.
fn path_exists(path: &str) -> bool {
    let root = root();
    let (krate, rest) = path.split_once('/').unwrap_or((path, ""));
    root.join(path).exists() || root.join("crates").join(path).exists() || root.join("crates").join(krate).join("src").join(rest).exists()
}

#[test]
fn the_rule_for_paths_sees_what_it_should() {
    let text = "see `docs/format.md` and [it](docs/decisions/0001-x.md#why), not `a/b` nor `crates/*/src` nor `cargo test`";
    assert_eq!(paths_named(text), ["docs/format.md", "docs/decisions/0001-x.md"]);
    assert!(path_exists("recall-bench/hospital.rs") && !path_exists("recall-bench/nowhere.rs"));
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let mut complaints = Vec::new();
    let mut heading = false;
    for line in section.lines() {
        if line.starts_with('#') {
            heading = true;
        } else if line.trim().is_empty() {
            heading = false;
        } else if !line.contains("path = \"crates/") && !heading && !line.contains(" # ") {
            complaints.push(line.to_owned());
        }
    }
    complain("a dependency's reason stands beside it, or above its group", complaints);
}

#[test]
fn crates_see_only_what_they_may() {
    const ENGINES: &[&str] = &["datafusion", "rusqlite", "sqlx", "postgres"];
    const EDGE: &[&str] = &["axum", "hyper", "tower", "tower-http", "clap", "ureq"];
    const RUNTIMES: &[&str] = &["tokio", "futures", "async-trait"];
    let forbidden: [(&str, Vec<&str>); 4] = [
        (
            "recall-log",
            [ENGINES, EDGE, RUNTIMES, &["arrow", "parquet", "rustix", "rand", "tempfile", "recall-store", "recall-search", "recall"]]
                .concat(),
        ),
        ("recall-store", [EDGE, RUNTIMES, &["datafusion", "postgres", "recall-search", "recall"]].concat()),
        ("recall-search", [EDGE, &["rusqlite", "postgres", "recall"]].concat()),
        ("recall", vec!["datafusion", "rusqlite", "parquet", "postgres", "recall-bench"]),
    ];
    let mut complaints = Vec::new();
    for (name, forbidden) in forbidden {
        let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let listed = manifest.get("dependencies").and_then(toml::Value::as_table).unwrap();
        complaints.extend(forbidden.iter().filter(|other| listed.contains_key(**other)).map(|other| format!("{name} depends on {other}")));
    }
    complain("a crate must be unable to see what is not its own", complaints);
}

#[test]
fn the_demo_sees_recall_only_from_outside() {
    let inside = ["recall_log", "recall_store", "recall_search"];
    let complaints = files("crates/recall-bench/src/bin/recall-demo", &[".rs"])
        .into_iter()
        .filter(|(_, text)| inside.iter().any(|name| text.contains(name)))
        .map(|(path, _)| path);
    complain("the demo drives the binary and HTTP", complaints.collect());
}
