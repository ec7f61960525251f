//! The demo: a synthetic hospital sends a month of events to a real server, and every promise of Recall is tried on it.
//!
//! It sees Recall only as anybody outside does: through the binary `recall`, over HTTP, and with psql through the gateway. Each line that claims something was checked
//! against what the hospital knows it sent; one claim that does not hold makes the exit code 1.

mod api;
mod database;
mod evidence;
mod folder;
mod gateway;
mod proofs;
mod questions;
mod tamper;
mod tell;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use recall_bench::hospital::{Hospital, Size};
use recall_bench::process::{Recall, Server};
use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;

use crate::api::Api;
use crate::database::{Database, GATEWAY};
use crate::folder::Folder;
use crate::gateway::Person;
use crate::tell::Tell;

/// A hospital's month through a real Recall server, with every claim checked.
#[derive(Parser)]
#[command(name = "recall-demo")]
struct Options {
    /// Exit when all is shown, instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
    /// Keep the trail in this new folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Events the hospital sends
    #[arg(long, value_name = "N", default_value_t = 120_000, value_parser = clap::value_parser!(u64).range(20_000..=50_000_000))]
    events: u64,
    /// The binary to drive [default: recall, beside this one]
    #[arg(long, value_name = "FILE")]
    recall: Option<PathBuf>,
}

/// Tokens for the three parts that the demo plays.
pub struct Tokens {
    /// Manages; sees no patient.
    pub administrator: String,
    /// Sends events.
    pub ingest: String,
    /// Reads everything, and is recorded.
    pub officer: String,
}

fn main() -> ExitCode {
    let mut tell = Tell::new();
    match run(&Options::parse(), &mut tell) {
        Ok(()) if tell.failures() == 0 => ExitCode::SUCCESS,
        Ok(()) => {
            tell.line(&format!("\n{} claim(s) did not hold; they are marked with ✗ above.", tell.failures()));
            ExitCode::FAILURE
        }
        Err(stuck) => {
            tell.line(&format!("\nThe demo cannot go on: {stuck}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, tell: &mut Tell) -> Result<(), Stuck> {
    let recall = Recall::find(options.recall.clone())?;
    let folder = Folder::new(options.data.clone())?;
    let hospital = Hospital::new(Size::demo(options.events));

    tell.heading("A hospital's database");
    let database = Database::start(&folder, &hospital, tell)?;

    tell.heading("A trail, and a gateway in front of the database");
    let (server, tokens) = begin(&recall, &folder, &database, tell)?;
    let api = Api::new(server.url());

    tell.heading("A month of a hospital, over HTTP");
    let sent = traffic::send(&api, &tokens, &hospital, tell)?;

    tell.heading("Recalling it");
    questions::ask(&api, &tokens, &hospital, &sent, tell)?;

    tell.heading("At the database, through the gateway");
    let evening = gateway::sessions(&recall, &server, &tokens, &hospital, &database, tell)?;

    tell.heading("Recalling that");
    evidence::ask(&api, &tokens.officer, &hospital, &evening, &database, &folder, tell)?;

    tell.heading("Proving it");
    let vkey = proofs::show(&recall, &server, &tokens, &folder, &sent, tell)?;

    tell.heading("What the disk knows");
    tamper::grep(&folder, &hospital, tell)?;
    tell.line("  Stopping the server to copy its folder, then tampering with copies:");
    let listen = server.address();
    server.stop()?;
    tamper::copies(&recall, &folder, &vkey, tell)?;
    let restarted = Stopwatch::start();
    let server = Server::start(&recall, folder.data(), &folder.log(), Some(listen), Some(database.config()))?;
    tell.line(&format!("  Serving again on the untouched folder after {}.", restarted));
    questions::still_there(&api, &tokens, &sent, tell)?;

    if !options.once && tell.failures() == 0 {
        stay(&recall, &server, &tokens, &hospital, &evening.nurse.person, tell)?;
    }
    server.stop()
}

/// Makes the trail, serves it and makes the tokens.
fn begin(recall: &Recall, folder: &Folder, database: &Database, tell: &mut Tell) -> Result<(Server, Tokens), Stuck> {
    let started = Stopwatch::start();
    let one_time = recall.init(folder.data())?;
    let server = Server::start(recall, folder.data(), &folder.log(), None, Some(database.config()))?;
    tell.line(&format!("  recall init and recall serve: ready at {} after {}.", server.url(), started));
    tell.line(&format!("  Data: {}; root key beside it: {}.", folder.data().display(), folder.root_key().display()));
    tell.line(&format!("  The gateway takes PostgreSQL clients on {}.", server.gateway(GATEWAY)?));
    let token = |with: &str, role, name| {
        recall.token(&["--url", server.url(), "--token", with, "--role", role, "--name", name, "--expires", "24h"])
    };
    let administrator = token(&one_time, "administrator", "demo-administrator")?;
    let ingest = token(&administrator, "ingest", "demo-feeds")?;
    let officer = token(&administrator, "privacy-officer", "demo-officer")?;
    tell.line("  Three tokens: an administrator (sees no patient), a feed (only writes), a privacy officer (reads).");
    let again = token(&one_time, "administrator", "somebody-else").is_err();
    tell.check(again, "the one-time token of `recall init` works once only");
    Ok((server, Tokens { administrator, ingest, officer }))
}

/// Says what to try, and waits for Ctrl-C.
fn stay(recall: &Recall, server: &Server, tokens: &Tokens, hospital: &Hospital, user: &Person<'_>, tell: &mut Tell) -> Result<(), Stuck> {
    let stories = hospital.stories();
    let nurse = hospital.staff().get(stories.snoop as usize).map_or("", |staff| staff.id.as_str());
    let binary = recall.path().display();
    tell.heading("Yours to try, until Ctrl-C");
    tell.line(&format!("  URL      {}", server.url()));
    tell.line(&format!(
        "  Sign in  {}/v1/events?q=break_glass:true   with the header   Authorization: Bearer {}",
        server.url(),
        tokens.officer
    ));
    tell.line("           (a page to sign in comes with the web interface; the token works for 24 hours)");
    tell.line(&format!("\n  export RECALL_URL={} RECALL_TOKEN={}", server.url(), tokens.officer));
    tell.line(&format!("  {binary} search 'patient:{} actor.id:{nurse}'", hospital.patient(stories.vip).mrn));
    tell.line(&format!("  {binary} sql 'SELECT actor, count(*) AS charts FROM events WHERE action = '\\''chart.viewed'\\'' GROUP BY actor ORDER BY charts DESC LIMIT 10'"));
    tell.line(&format!("  {binary} verify --url {}", server.url()));
    let gateway = server.gateway(GATEWAY)?;
    let (host, port, name) = (gateway.ip(), gateway.port(), &user.staff.id);
    tell.line("\n  At the database as the nurse, and what is on record of it:");
    tell.line(&format!("  PGPASSWORD={} psql -h {host} -p {port} -U {name} {GATEWAY}", user.secret));
    tell.line(&format!("  {binary} search 'actor.id:{name} source:urn:recall:gateway:{GATEWAY}'"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| Stuck::io("a runtime to wait in", &e))?;
    runtime.block_on(tokio::signal::ctrl_c()).map_err(|e| Stuck::io("Ctrl-C", &e))?;
    tell.line("\n  Stopping.");
    Ok(())
}
