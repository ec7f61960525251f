//! What the demo says. Every claim goes through [`Tell::check`], which counts those that do not hold.

use std::io::{self, IsTerminal, Write};

use recall_bench::stopwatch::grouped;

/// `1 row`, `1,271 rows`.
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// The narrator.
pub struct Tell {
    failures: u32,
    colour: bool,
}

impl Tell {
    pub fn new() -> Self {
        Self { failures: 0, colour: io::stdout().is_terminal() }
    }

    /// Claims that did not hold so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// One line as it is.
    pub fn line(&self, text: &str) {
        // Nobody is left to tell if standard output is closed.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// The title of a part.
    pub fn heading(&self, text: &str) {
        if self.colour { self.line(&format!("\n\x1b[1m{text}\x1b[0m")) } else { self.line(&format!("\n{text}")) }
    }

    /// A claim, with whether it holds.
    pub fn check(&mut self, holds: bool, claim: &str) {
        if !holds {
            self.failures += 1;
        }
        self.line(&format!("  {} {claim}", if holds { "✓" } else { "✗" }));
    }

    /// A claim that two values agree; says both where they don't.
    pub fn equal<T: PartialEq + std::fmt::Display>(&mut self, answer: T, truth: T, claim: &str) {
        if answer == truth { self.check(true, claim) } else { self.check(false, &format!("{claim} (answer {answer}, truth {truth})")) }
    }
}
