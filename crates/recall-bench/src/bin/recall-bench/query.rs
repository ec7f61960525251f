//! Questions, warm: in the engine of this process, and over HTTP to the server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use recall_bench::hospital::{Hospital, Size};
use recall_bench::process::Recall;
use recall_bench::stopwatch::{Stopwatch, grouped};
use recall_bench::stuck::Stuck;
use recall_search::engine::{Engine, Limits, SearchRequest};
use recall_search::view::{FindId, Meter, View};
use recall_store::secret::Key32;
use recall_store::trail::Trail;

use crate::Place;
use crate::load::{Served, agent};
use crate::report::Report;
use crate::spread::Percentiles;
use crate::trail;

#[derive(Args)]
pub struct Options {
    /// A trail that `make` made; opened alone, so no server may hold it
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// How often each question is asked, each time about somebody else
    #[arg(long, value_name = "N", default_value_t = 200)]
    rounds: usize,
    #[command(flatten)]
    place: Place,
}

/// One kind of question, asked about a different person each time.
pub struct Question {
    pub name: &'static str,
    pub texts: Vec<String>,
    pub sql: bool,
    pub limit: usize,
}

/// The questions of a hospital.
pub struct Questions(Vec<Question>);

impl Questions {
    pub fn of(hospital: &Hospital) -> Self {
        let people = 64;
        let patients = (0..people).map(|n| format!("patient:{}", hospital.patient(n * 15_013 + 7).mrn)).collect();
        let staff = hospital.staff();
        let users = staff.iter().step_by((staff.len() / people as usize).max(1)).map(|staff| format!("actor.id:{}", staff.id)).collect();
        let question = |name, texts, sql, limit| Question { name, texts, sql, limit };
        Self(vec![
            question("one patient's events", patients, false, 100),
            question("latest 100 of one user", users, false, 100),
            question("newest 100 of all", vec![String::new()], false, 100),
            question("count by action (SQL)", vec!["SELECT action, count(*) FROM events GROUP BY action".into()], true, 0),
        ])
    }

    pub fn all(self) -> Vec<Question> {
        self.0
    }
}

/// What a question took, and how many rows it gave at the least and at the most.
pub struct Asked {
    times: Percentiles,
    rows: (usize, usize),
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let recall = Recall::find(options.place.recall.clone())?;
    let scratch = options.place.folder()?;
    let started = Stopwatch::start();
    let trail = trail::open(&options.data)?;
    let opened = started.to_string();
    let size = trail.size();
    let hospital = Hospital::new(Size::bench(size));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| Stuck::io("a runtime", &e))?;
    let mut rows = Vec::new();
    for question in Questions::of(&hospital).all() {
        let asked = in_engine(&trail, &runtime, &question, options.rounds)?;
        rows.push(row("engine", &question, &asked));
    }
    let parts = trail.snapshot().parts().len();
    trail.close();
    drop(trail);

    let served = Served::over(&recall, &options.data, scratch.path())?;
    for question in Questions::of(&hospital).all() {
        let asked = http(&served, &question, options.rounds)?;
        rows.push(row("HTTP", &question, &asked));
    }
    let memory = served.server.peak_memory_bytes()?;
    served.server.stop()?;
    let title = format!("Questions over {} events, warm, {} rounds each", grouped(size), options.rounds);
    report.table(&title, &["", "p50", "p99", "worst", "rows"], &rows);
    report.note(&format!("\nOpened in {opened} ({parts} segments and fresh batches); the server's peak memory: {} MiB.", memory >> 20));
    Ok(())
}

fn row(place: &str, question: &Question, asked: &Asked) -> Vec<String> {
    let (least, most) = asked.rows;
    let rows = if least == most { grouped(least as u64) } else { format!("{} to {}", grouped(least as u64), grouped(most as u64)) };
    let [p50, p99, worst] = asked.times.cells();
    vec![format!("{}, {place}", question.name), p50, p99, worst, rows]
}

/// Asks each text of a question in turn, `rounds` times in all, after asking each once to warm up.
fn measure(question: &Question, rounds: usize, mut ask: impl FnMut(&str) -> Result<usize, Stuck>) -> Result<Asked, Stuck> {
    for text in &question.texts {
        ask(text)?;
    }
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    let mut found = (usize::MAX, 0);
    for text in question.texts.iter().cycle().take(rounds) {
        let started = Stopwatch::start();
        let rows = ask(text)?;
        times.push(started.elapsed());
        found = (found.0.min(rows), found.1.max(rows));
    }
    Ok(Asked { times: Percentiles::of(times), rows: found })
}

fn in_engine(trail: &Trail, runtime: &tokio::runtime::Runtime, question: &Question, rounds: usize) -> Result<Asked, Stuck> {
    let engine = Engine::new(Limits::default(), &Key32::from_bytes([7; 32])).map_err(Stuck::at("the engine"))?;
    let find_id: FindId = Arc::new(|_| Ok(Some(Vec::new())));
    let now = trail.clock().now();
    measure(question, rounds, |text| {
        let view = View {
            snapshot: trail.snapshot(),
            phi: Some(trail.phi_access()),
            tokens: trail.encoder().tokens().clone(),
            find_id: Arc::clone(&find_id),
            meter: Meter::default(),
        };
        if question.sql {
            return runtime.block_on(engine.sql(&view, text)).map(|answer| answer.rows.len()).map_err(Stuck::at("SQL"));
        }
        let request = SearchRequest {
            query: text.to_owned(),
            from: None,
            to: None,
            limit: question.limit,
            cursor: None,
            now,
            log: "recall.invalid/bench".into(),
        };
        runtime.block_on(engine.search(&view, &request)).map(|page| page.events.len()).map_err(Stuck::at("a search"))
    })
}

/// Asks over one kept connection.
pub fn http(served: &Served, question: &Question, rounds: usize) -> Result<Asked, Stuck> {
    let agent = agent();
    let authorization = format!("Bearer {}", served.auditor);
    let url = served.server.url();
    measure(question, rounds, |text| {
        let answer = if question.sql {
            agent.post(format!("{url}/v1/sql")).header("authorization", &authorization).send_json(serde_json::json!({ "sql": text }))
        } else {
            let request = agent.get(format!("{url}/v1/events")).query("q", text).query("limit", question.limit.to_string());
            request.header("authorization", &authorization).call()
        };
        let mut answer = answer.map_err(Stuck::at("a question"))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(Stuck::at("an answer"))?;
        if status != 200 {
            return Err(Stuck(format!("a question was answered {status}: {}", String::from_utf8_lossy(&body))));
        }
        let body: serde_json::Value = serde_json::from_slice(&body).map_err(Stuck::at("an answer"))?;
        let rows = body.get(if question.sql { "rows" } else { "events" });
        Ok(rows.and_then(serde_json::Value::as_array).map_or(0, Vec::len))
    })
}
