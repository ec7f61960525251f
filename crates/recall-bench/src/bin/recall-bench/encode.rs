//! What one core spends on turning a sender's bytes into an encoded batch, stage by stage: no HTTP, no committer, no disk.
//!
//! Processor time, not time on the wall, so that figures hold beside other work.

use std::hint::black_box;

use clap::Args;
use recall_bench::hospital::{Hospital, Pool, Size};
use recall_bench::stuck::Stuck;
use recall_log::entry::{Admission, Facets, Parts, commit};
use recall_log::event::Event;
use recall_log::merkle::leaf_hash;
use recall_log::time::Timestamp;

use crate::ingest::BATCH;
use crate::report::Report;
use crate::{Place, trail};

/// Bodies that are gone through again and again; few, so that they stay in the processor's caches as a request's do.
const BODIES: usize = 2;
/// 2026-11-18, when the server received all of it.
const RECEIVED_AT: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

#[derive(Args)]
pub struct Options {
    /// Events that go through each stage
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events: usize,
    #[command(flatten)]
    place: Place,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let bodies = bodies();
    let lines: Vec<&[u8]> = bodies.iter().flat_map(|body| body.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty()).collect();
    let events = lines.iter().map(|line| Event::parse(line)).collect::<Result<Vec<_>, _>>().map_err(Stuck::at("an event"))?;
    let parts = events.iter().map(|event| Parts::write(event, &admission(event))).collect::<Result<Vec<_>, _>>();
    let parts = parts.map_err(Stuck::at("an event"))?;
    let folder = options.place.folder()?;
    let data = folder.path().join("trail");
    trail::init(&data)?;
    let trail = trail::open(&data)?;
    let encoder = trail.encoder();

    let rounds = (options.events / lines.len().max(1)).max(1);
    let per_event = |stage: &mut dyn FnMut() -> Result<(), Stuck>| -> Result<String, Stuck> {
        stage()?;
        let before = processor_time_ns()?;
        for _ in 0..rounds {
            stage()?;
        }
        Ok(format!("{:.0}", (processor_time_ns()? - before) as f64 / (rounds * lines.len()) as f64))
    };
    let parse = per_event(&mut || {
        lines.iter().for_each(|line| drop(black_box(Event::parse(line))));
        Ok(())
    })?;
    let mut room = Parts::default();
    let write = per_event(&mut || {
        events.iter().for_each(|event| drop(black_box(room.rewrite(event, &admission(event)))));
        Ok(())
    })?;
    let facets = per_event(&mut || {
        events.iter().for_each(|event| drop(black_box(Facets::of(event, &admission(event)))));
        Ok(())
    })?;
    let salts = ([1; 16], [2; 16]);
    let hash = |parts: &Parts| {
        black_box(leaf_hash(&commit(&parts.public, &parts.phi, &salts.0, &salts.1)));
    };
    let committed = per_event(&mut || {
        parts.iter().for_each(hash);
        Ok(())
    })?;
    let whole = per_event(&mut || {
        for lines in lines.chunks(BATCH) {
            let mut batch = encoder.batch().map_err(Stuck::at("a batch"))?;
            for line in lines {
                let event = Event::parse(line).map_err(Stuck::at("an event"))?;
                batch.push(&event, &admission(&event)).map_err(Stuck::at("an event"))?;
            }
            black_box(batch.finish().map_err(Stuck::at("a batch"))?);
        }
        Ok(())
    })?;
    trail.close();
    let stages = [
        ("parse and validate", parse),
        ("canonical parts", write),
        ("facets", facets),
        ("commitment and leaf", committed),
        ("all, with identities, tokens, columns, compression", whole),
    ];
    report.table(
        &format!("Encoding in batches of {BATCH}, one thread"),
        &["stage", "ns an event"],
        &stages.map(|(stage, time)| vec![stage.to_owned(), time]),
    );
    Ok(())
}

fn bodies() -> Vec<Vec<u8>> {
    let pool = Pool::render(&Hospital::new(Size::bench(1_000_000)), BODIES, BATCH);
    (0..BODIES as u64)
        .map(|number| {
            let mut body = Vec::new();
            pool.body(number, &mut body);
            body
        })
        .collect()
}

fn admission<'a>(event: &'a Event<'_>) -> Admission<'a> {
    Admission { source: event.source.as_deref().unwrap_or("s"), id: event.id.as_deref().unwrap_or("i"), received_at: RECEIVED_AT }
}

/// What this thread has used of a processor so far.
fn processor_time_ns() -> Result<u64, Stuck> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").map_err(|e| Stuck::io("the thread's processor time", &e))?;
    text.split(' ').next().unwrap_or_default().parse().map_err(Stuck::at("the thread's processor time"))
}
