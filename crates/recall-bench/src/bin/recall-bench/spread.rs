//! Percentiles of many times, and the spread of several runs.

use std::time::Duration;

use recall_bench::stopwatch::Readable;

/// Of many times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Percentiles {
    pub p50: Duration,
    pub p99: Duration,
    pub worst: Duration,
}

impl Percentiles {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |permille: usize| times.get((times.len().saturating_sub(1)) * permille / 1_000).copied().unwrap_or_default();
        Self { p50: at(500), p99: at(990), worst: at(1_000) }
    }

    /// Three cells of a table.
    pub fn cells(&self) -> [String; 3] {
        [self.p50, self.p99, self.worst].map(|time| Readable(time).to_string())
    }
}

/// Least, middle and greatest of several runs' figures, with separators of thousands.
pub fn runs(mut figures: Vec<f64>) -> [String; 3] {
    figures.sort_by(f64::total_cmp);
    let at = |place: usize| figures.get(place).map_or(String::new(), |figure| recall_bench::stopwatch::grouped(*figure as u64));
    [at(0), at(figures.len() / 2), at(figures.len().saturating_sub(1))]
}
