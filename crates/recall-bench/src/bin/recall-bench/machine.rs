//! What was measured on: processor, memory, kernel, date, versions; and what one sync of this disk takes.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;

use crate::spread::Percentiles;

/// One line about machine and build.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([':', ' ', '\t']).to_owned()))
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let date = Command::new("date")
        .arg("--utc")
        .arg("+%Y-%m-%d %H:%M UTC")
        .output()
        .map_or(String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let build = if cfg!(debug_assertions) { "development build (figures mean nothing)" } else { "release build" };
    format!(
        "{processor}, {cores} cores, {} GiB, Linux {}; {date}; recall {}, {build}",
        memory >> 20,
        kernel.trim(),
        env!("CARGO_PKG_VERSION")
    )
}

/// How long it takes to append 4 KiB to a file in this folder and sync it.
pub fn sync_time(folder: &Path, rounds: usize) -> Result<Percentiles, Stuck> {
    let path = folder.join("sync-probe");
    let failed = |e: std::io::Error| Stuck::io("the sync probe", &e);
    let mut file = File::create(&path).map_err(failed)?;
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Stopwatch::start();
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).map_err(failed)?;
        times.push(started.elapsed());
    }
    fs::remove_file(path).map_err(failed)?;
    Ok(Percentiles::of(times))
}
