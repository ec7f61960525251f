//! A large trail by the fast path: the store's own encoder and committer in this process, without HTTP.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use recall_bench::hospital::{Hospital, Size};
use recall_bench::stopwatch::{Stopwatch, grouped};
use recall_bench::stuck::Stuck;
use recall_log::entry::Admission;
use recall_log::event::Event;
use recall_store::batch::{Batch, Encoder};
use recall_store::trail::{Class, Status, Submission, SubmitError, Trail};

use crate::report::Report;
use crate::trail;

/// Events in a batch.
const BATCH: usize = 5_000;
/// Bodies and submissions that may wait at once.
const AHEAD: usize = 16;

#[derive(Args)]
pub struct Options {
    /// The folder to make
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Events
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    events: u64,
    /// Threads that encode
    #[arg(long, value_name = "N", default_value_t = 2)]
    encoders: usize,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let started = Stopwatch::start();
    fill(&options.data, &Hospital::new(Size::bench(options.events)), options.encoders, |done| {
        if done % 1_000_000 < BATCH as u64 {
            report.say(&format!("{} events after {started}", grouped(done)));
        }
    })?;
    let rate = options.events as f64 / started.elapsed().as_secs_f64();
    report.table(
        "A trail made",
        &["", "events", "time", "events/s"],
        &[vec![options.data.display().to_string(), grouped(options.events), started.to_string(), grouped(rate as u64)]],
    );
    Ok(())
}

/// Makes a trail in `data` that holds the hospital's month, published and compacted as far as it goes by itself.
pub fn fill(data: &Path, hospital: &Hospital, encoders: usize, mut progress: impl FnMut(u64)) -> Result<(), Stuck> {
    trail::init(data)?;
    let trail = trail::open(data)?;
    let (give_body, bodies) = sync_channel::<Vec<Vec<u8>>>(AHEAD);
    let (give_result, results) = sync_channel::<Result<u64, Stuck>>(AHEAD);
    let bodies = Arc::new(Mutex::new(bodies));
    thread::scope(|scope| {
        scope.spawn(move || render(hospital, &give_body));
        for _ in 0..encoders.max(1) {
            let (give_result, bodies, trail) = (give_result.clone(), Arc::clone(&bodies), &trail);
            scope.spawn(move || encode(trail, &bodies, &give_result));
        }
        // With the encoders gone, nobody holds the ends of the channels, and whoever waits on them stops too.
        drop((give_result, bodies));
        let mut done = 0;
        for result in results {
            done += result?;
            progress(done);
        }
        Ok(())
    })?;
    trail.wait_published(hospital.size().events, Duration::from_secs(600)).map_err(Stuck::at("publishing"))?;
    trail.close();
    Ok(())
}

fn render(hospital: &Hospital, give: &SyncSender<Vec<Vec<u8>>>) {
    let mut stream = hospital.events();
    loop {
        let mut bodies = Vec::with_capacity(BATCH);
        let mut body = Vec::with_capacity(768);
        while bodies.len() < BATCH && stream.next_into(&mut body).is_some() {
            bodies.push(std::mem::replace(&mut body, Vec::with_capacity(768)));
        }
        if bodies.is_empty() || give.send(bodies).is_err() {
            return;
        }
    }
}

fn encode(trail: &Trail, bodies: &Mutex<Receiver<Vec<Vec<u8>>>>, give: &SyncSender<Result<u64, Stuck>>) {
    let encoder = trail.encoder();
    let now = trail.clock().now();
    loop {
        let next = bodies.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(bodies) = next else { return };
        let result = batch(&encoder, now, &bodies).and_then(|batch| submit(trail, &encoder, now, batch, &bodies));
        if give.send(result).is_err() {
            return;
        }
    }
}

fn batch(encoder: &Encoder, now: recall_log::time::Timestamp, bodies: &[Vec<u8>]) -> Result<Batch, Stuck> {
    let mut builder = encoder.batch().map_err(Stuck::at("a batch"))?;
    for body in bodies {
        let event = Event::parse(body).map_err(Stuck::at("an event of the hospital"))?;
        let (source, id) = (event.source.clone().unwrap_or_default(), event.id.clone().unwrap_or_default());
        builder.push(&event, &Admission { source: &source, id: &id, received_at: now }).map_err(Stuck::at("a batch"))?;
    }
    builder.finish().map_err(Stuck::at("a batch"))
}

/// Commits; waits and encodes again when the committer has enough waiting, since a submission that is refused is gone.
fn submit(trail: &Trail, encoder: &Encoder, now: recall_log::time::Timestamp, first: Batch, bodies: &[Vec<u8>]) -> Result<u64, Stuck> {
    let mut next = Some(first);
    loop {
        let ready = match next.take() {
            Some(batch) => batch,
            None => batch(encoder, now, bodies)?,
        };
        match trail.submit_and_wait(Submission::events(vec![ready], Class::Ingest)) {
            Ok(Ok(outcomes)) if outcomes.iter().all(|outcome| outcome.status == Status::Stored) => return Ok(outcomes.len() as u64),
            Ok(Ok(_)) => return Err(Stuck("an event of the hospital was there before".into())),
            Ok(Err(error)) => return Err(Stuck(error.to_string())),
            Err(SubmitError::Busy) => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(Stuck(error.to_string())),
        }
    }
}
