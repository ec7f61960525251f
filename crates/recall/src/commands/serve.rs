//! `recall serve`: opens the trail, answers requests until told to stop, closes the trail. And the same application without a server,
//! for client commands that work on a folder.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusBuilder;
use recall_log::time::Timestamp;
use recall_search::engine::{Engine, Limits};
use recall_store::catalog::{Kind, RowChange};
use recall_store::keys::{RootSource, TrailKey};
use recall_store::seams::{SystemClock, SystemRandom};
use recall_store::trail::{Class, OpenError, Submission, Trail};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::{App, Shared};
use crate::cli::{Folder, LogFormat, Serve};
use crate::config::gateway::Postgres;
use crate::config::{Config, require_loopback};
use crate::failure::Failure;
use crate::folder::{Place, require_own, root_file, root_source};
use crate::gateway::open::{self, Open};
use crate::http::authenticate::record_counted;
use crate::http::server;
use crate::idempotency::Kept;
use crate::identity::Identity;
use crate::integrity::Schedule;
use crate::record::Record;
use crate::router::{Door, router};
use crate::{logging, output};

/// Where the server listens if nothing else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7080";
/// Hours between two verifications if nothing else is said.
const VERIFY_EVERY_HOURS: u32 = 24;
/// How often old idempotency keys are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// Old idempotency keys removed in one transaction.
const TIDY_ROWS: usize = 10_000;
/// Bounds of the buckets that requests are counted in, by how long they took, seconds.
const SECONDS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
/// Threads for work that blocks.
const BLOCKING_THREADS: usize = 64;

/// The application in this process.
pub struct Running {
    runtime: Runtime,
    app: Shared,
    /// The whole interface.
    pub router: Router,
}

impl Running {
    /// Opens a folder for the machine's own administrator.
    pub fn local(folder: &Folder) -> Result<Self, Failure> {
        Self::around(open_trail(&Place::of(folder)?, None)?, Door::Machine)
    }

    /// The application around a trail that is open.
    pub fn around(trail: Trail, door: Door) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(|error| Failure::unreachable(format!("threads could not be started: {error}")))?;
        let recorder =
            PrometheusBuilder::new().set_buckets(&SECONDS).map_err(|error| Failure::unreachable(error.to_string()))?.build_recorder();
        let metrics = recorder.handle();
        if door == Door::Token {
            // A second recorder in one process would be a second server in it.
            let _ = metrics::set_global_recorder(recorder);
        }
        let engine = Engine::new(Limits::default(), &trail.keys().trail(TrailKey::Cursor))
            .map_err(|error| Failure::unreachable(error.to_string()))?;
        let app = App::new(trail, engine, Arc::new(SystemClock), Arc::new(SystemRandom), metrics, door);
        if let (true, Some(reason)) = (app.unrecorded, app.trail.read_only()) {
            output::note(&format!("recall: the trail is read-only: {reason}"));
            output::note("recall: what you read in it now is NOT RECORDED in it");
        }
        let router = router(&app, door);
        let running = Self { runtime, app, router };
        running.name_recovery()?;
        running.name_damage()?;
        Ok(running)
    }

    /// A recovery is named by the first event after it, also where a crash came between.
    fn name_recovery(&self) -> Result<(), Failure> {
        let trail = &self.app.trail;
        let (Some(left_behind), None) = (trail.recovered_from(), trail.read_only()) else { return Ok(()) };
        let target = serde_json::json!({"type": "recall:log", "id": trail.keys().origin()});
        let record = Record::new(Identity::machine().actor(), "recall.recover", "U", target).stating(&left_behind);
        // What was erased after the copy was made is recorded by this event, whose rule and approvers only the original knows.
        let elsewhere: Vec<String> =
            trail.erasures().iter().filter(|erasure| erasure.by == trail.size()).map(|erasure| erasure.key_set.to_string()).collect();
        let record =
            if elsewhere.is_empty() { record } else { record.with(serde_json::json!({"key_sets_erased_elsewhere": elsewhere.join(" ")})) };
        let recorded = self.block_on(self.app.record(record, vec![Trail::recovery_named()]));
        recorded.map(drop).map_err(|problem| Failure::unreachable(problem.detail()))
    }

    /// What was found damaged in the catalog is repaired, and then only this event tells of it.
    fn name_damage(&self) -> Result<(), Failure> {
        let trail = &self.app.trail;
        let (Some(found), None) = (trail.damage_found(), trail.read_only()) else { return Ok(()) };
        output::note(&format!("recall: damage was found, and what could not be read was dropped: {found}"));
        let target = serde_json::json!({"type": "recall:log", "id": trail.keys().origin()});
        let record = Record::new(Identity::machine().actor(), "recall.damage", "U", target).stating(&found);
        let recorded = self.block_on(self.app.record(record, vec![Trail::damage_named()]));
        recorded.map(drop).map_err(|problem| Failure::unreachable(problem.detail()))
    }

    /// What its requests share.
    pub fn app(&self) -> &Shared {
        &self.app
    }

    /// Runs a future to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets the trail finish what it has begun, and lets go of the folder.
    pub fn close(self) -> Result<(), Failure> {
        let Self { runtime, app, router } = self;
        drop(router);
        app.trail.close();
        runtime.shutdown_timeout(Duration::from_secs(5));
        Ok(())
    }
}

/// Opens the trail of a place. `segment_events`: how many fresh events make a segment, where that was configured.
pub fn open_trail(place: &Place, segment_events: Option<u64>) -> Result<Trail, Failure> {
    require_own(&place.data)?;
    let mut options = place.options();
    if let Some(events) = segment_events {
        options.compaction.segment_events = events;
        // What is joined in memory must not outgrow what it is to become.
        options.compaction.join_events = options.compaction.join_events.min(u32::try_from(events).unwrap_or(u32::MAX));
    }
    Trail::open(options).map_err(|error| match error {
        OpenError::Absent(_) | OpenError::Keyring(_) => Failure::wrong(error.to_string()),
        _ => Failure::unreachable(error.to_string()),
    })
}

struct Settings {
    place: Place,
    listen: SocketAddr,
    log_format: LogFormat,
    verify_every: Duration,
    segment_events: Option<u64>,
    gateways: Vec<Postgres>,
}

/// File, then environment, then flags.
fn settings(options: &Serve) -> Result<Settings, Failure> {
    let config = options.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let data = options.folder.data.clone().or(config.trail.data);
    let data = data.ok_or_else(|| Failure::wrong("which trail? name its folder with --data DIR, or in a file with --config FILE"))?;
    let configured = config.trail.root_key_file.map(root_file).or(config.trail.root_key_command.map(RootSource::Command));
    let anchor = options.folder.beside.anchor_file.clone().or(config.trail.anchor_file);
    let place = Place::new(&data, root_source(&options.folder.beside)?.or(configured), anchor)?;
    let listen = match options.listen.or(config.server.listen) {
        Some(listen) => listen,
        None => DEFAULT_LISTEN.parse().map_err(|_| Failure::wrong("name an address with --listen"))?,
    };
    require_loopback(listen).map_err(Failure::wrong)?;
    let hours = config.server.verify_every_hours.unwrap_or(VERIFY_EVERY_HOURS);
    Ok(Settings {
        place,
        listen,
        log_format: options.log_format.or(config.log.format).unwrap_or(LogFormat::Text),
        verify_every: Duration::from_secs(3_600 * u64::from(hours)),
        segment_events: config.trail.segment_events,
        gateways: config.gateway.postgres,
    })
}

/// Serves until SIGTERM or SIGINT.
pub fn run(options: &Serve, as_json: bool) -> Result<(), Failure> {
    let settings = settings(options)?;
    logging::start(settings.log_format);
    let running = Running::around(open_trail(&settings.place, settings.segment_events)?, Door::Token)?;
    let app = Arc::clone(&running.app);
    if let Some(reason) = app.trail.not_ready() {
        output::note(&format!("recall: {reason}"));
    }
    for damage in app.trail.degraded() {
        output::note(&format!("recall: {damage}"));
    }
    let schedule = Schedule::start(Arc::clone(&app), settings.verify_every, running.runtime.handle().clone());
    let served = running.block_on(serve(&app, running.router.clone(), &settings, as_json));
    schedule.stop();
    drop(app);
    let closed = running.close();
    served.and(closed)?;
    tracing::info!("stopped");
    Ok(())
}

async fn serve(app: &Shared, router: Router, settings: &Settings, as_json: bool) -> Result<(), Failure> {
    let listen = settings.listen;
    let taken = |error: std::io::Error| {
        Failure::unreachable(format!("{listen} cannot be listened on: {error}; choose another address with --listen"))
    };
    let listener = TcpListener::bind(listen).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    let no_signals = |error: std::io::Error| Failure::unreachable(format!("signals cannot be waited for: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let gateways = open_gateways(app, &settings.gateways).await?;
    let url = format!("http://{address}");
    tracing::info!(%address, events = app.trail.size(), "listening");
    if as_json {
        let gateways: serde_json::Map<String, serde_json::Value> =
            gateways.iter().map(|gateway| (gateway.name.clone(), gateway.address.to_string().into())).collect();
        output::json(&serde_json::json!({"url": url, "gateways": gateways}))?;
    } else {
        for gateway in &gateways {
            output::line(&format!("gateway {} takes PostgreSQL clients on {}", gateway.name, gateway.address))?;
        }
        output::line(&format!("recall is ready on {url}"))?;
    }
    let chores = tokio::spawn(chores(Arc::clone(app)));
    let (end_gateways, ended) = watch::channel(false);
    let gateways: JoinSet<()> = gateways.into_iter().map(|gateway| gateway.serve(ended.clone())).collect();
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests under way are finished");
    };
    if !server::serve(listener, router, stop).await {
        tracing::warn!("some requests did not finish in time and were ended");
    }
    let _ = end_gateways.send(true);
    gateways.join_all().await;
    chores.abort();
    record_counted(app, app.refused.take_counted(Timestamp::from_micros(i64::MAX))).await;
    Ok(())
}

/// All gateways, or none: whoever configures one counts on what passes it being recorded.
async fn open_gateways(app: &Shared, configured: &[Postgres]) -> Result<Vec<Open>, Failure> {
    let mut gateways = Vec::with_capacity(configured.len());
    for config in configured {
        gateways.push(open::open(app, config).await?);
    }
    Ok(gateways)
}

/// Small regular work: refused attempts that were counted are recorded, what metrics gathered is put together, idempotency keys that ended
/// are removed.
async fn chores(app: Shared) {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    loop {
        tokio::select! {
            _ = each_second.tick() => {
                // Otherwise each request's time stays in memory until somebody asks for the metrics.
                app.metrics.run_upkeep();
                record_counted(&app, app.refused.take_counted(app.clock.now())).await;
            }
            _ = tidy.tick() => remove_old_keys(&app).await,
        }
    }
}

/// Removes all that ended, so many in one transaction.
async fn remove_old_keys(app: &Shared) {
    let now = app.clock.now();
    let ended = app.trail.rows(Kind::Idempotency).into_iter().filter(|(_, bytes)| !Kept::read(bytes).is_some_and(|kept| kept.counts(now)));
    let rows: Vec<RowChange> = ended.map(|(name, _)| RowChange::remove(Kind::Idempotency, name)).collect();
    for rows in rows.chunks(TIDY_ROWS) {
        let submission = Submission { batches: Vec::new(), rows: rows.to_vec(), expect: Vec::new(), class: Class::Duty };
        if let Err(problem) = app.commit(submission).await {
            tracing::warn!(reason = problem.detail(), "old idempotency keys could not be removed");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
