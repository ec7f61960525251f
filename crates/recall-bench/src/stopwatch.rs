//! Time that passed, for eyes and tables: the one place of this crate that looks at the machine's clock.

use std::fmt;
use std::time::{Duration, Instant};

/// Running since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "demo and benchmarks tell how long things took; nothing depends on it")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl fmt::Display for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Readable(self.elapsed()).fmt(f)
    }
}

/// A duration for eyes: microseconds, milliseconds or seconds, to two or three digits.
#[derive(Clone, Copy, Debug)]
pub struct Readable(pub Duration);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_secs_f64() * 1e6;
        let text = match us {
            us if us < 1e3 => format!("{us:.0} µs"),
            us if us < 1e4 => format!("{:.1} ms", us / 1e3),
            us if us < 1e6 => format!("{:.0} ms", us / 1e3),
            us => format!("{:.1} s", us / 1e6),
        };
        f.pad(&text)
    }
}

/// A number with separators of thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
