//! The PostgreSQL gateway (frontend/backend protocol 3.0): a listener, and for each connection the way from its first packet to its end.
//!
//! `login` lets a client in, `upstream` opens the other side, `session` decides what passes and when, `pump` moves the bytes, `analysis` says
//! what a statement touches, `catalog` what is protected, `evidence` whose data came back, `events` how all that is recorded.

pub mod analysis;
mod cancel;
pub mod catalog;
pub mod events;
mod evidence;
mod knowledge;
pub mod login;
mod names;
mod outbox;
mod pump;
mod reply;
pub mod scram;
mod session;
pub mod startup;
mod statement;
mod talk;
pub mod tls;
pub mod upstream;
mod values;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use cancel::Cancels;
use catalog::{Catalog, CatalogError, ColumnName, Mark};
use events::About;
use knowledge::Knowledge;
use login::{Admitted, Came, Door, Refused};
use reply::{Complaint, sqlstate};
use session::Session;
use startup::{Key, Startup};
use upstream::{Target, UpstreamError};

use crate::record::{RecordError, Recorder};
use crate::seams::Seams;

/// Connections at once, those that have not signed in included.
pub const SESSIONS: usize = 10_000;
/// How often the catalog of what is protected is read.
const CATALOG: Duration = Duration::from_secs(5);
/// How long reading it may take.
const LOAD: Duration = Duration::from_secs(30);
/// How long after a change of definitions it is read again.
const SETTLE: Duration = Duration::from_millis(50);
/// How long sessions may take to end when the gateway stops.
const STOP: Duration = Duration::from_secs(5);

/// A gateway: one database behind one address.
pub struct Gateway {
    door: Door,
    target: Target,
    /// The role that the gateway itself asks as.
    role: String,
    protected: Vec<(ColumnName, Mark)>,
    recorder: Arc<dyn Recorder>,
    seams: Seams,
    cancels: Arc<Cancels>,
    knowledge: Arc<Knowledge>,
    room: Arc<Semaphore>,
}

impl Gateway {
    /// A gateway whose upstream, if it answers already, has all columns that `protected` names; where it does not, each session asks again.
    /// `role` is the role that the catalog is asked as.
    pub async fn new(
        door: Door,
        target: Target,
        role: String,
        protected: Vec<(ColumnName, Mark)>,
        recorder: Arc<dyn Recorder>,
    ) -> Result<Arc<Self>, CatalogError> {
        let seams = door.seams.clone();
        let gateway = Self {
            door,
            target,
            role,
            protected,
            recorder,
            seams,
            cancels: Arc::default(),
            knowledge: Arc::default(),
            room: Arc::new(Semaphore::new(SESSIONS)),
        };
        match gateway.load_catalog().await {
            Err(CatalogError::Upstream(error)) => {
                tracing::warn!(gateway = gateway.door.gateway, %error, "upstream does not answer yet, and nobody is let in until it does");
            }
            loaded => drop(loaded?),
        }
        Ok(Arc::new(gateway))
    }

    /// Takes connections until `stop` says true, then ends sessions.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: watch::Receiver<bool>) {
        let mut sessions = JoinSet::new();
        let keeper = Arc::clone(&self);
        let keeper = tokio::spawn(async move { keeper.keep_knowledge().await });
        let stopping = stopped(stop.clone());
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                taken = listener.accept() => match taken {
                    Ok((stream, peer)) => {
                        let (gateway, stop) = (Arc::clone(&self), stop.clone());
                        sessions.spawn(async move { gateway.connection(stream, peer, stop).await });
                    }
                    Err(error) => {
                        tracing::warn!(gateway = self.door.gateway, %error, "a connection could not be taken");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                () = &mut stopping => break,
            }
        }
        drop(listener);
        keeper.abort();
        let ended = async { while sessions.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP, ended).await.is_err() {
            tracing::warn!(gateway = self.door.gateway, "some sessions did not end in time");
        }
    }

    async fn connection(&self, mut stream: TcpStream, peer: SocketAddr, stop: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let Ok(_room) = Arc::clone(&self.room).try_acquire_owned() else {
            let mut message = Vec::new();
            let complaint = Complaint {
                severity: "FATAL",
                code: sqlstate::TOO_MANY,
                message: "the gateway has no room for another connection",
                hint: "",
            };
            reply::error(&mut message, complaint);
            let _ = stream.try_write(&message);
            let _ = stream.shutdown().await;
            return;
        };
        match self.door.admit(Box::new(stream)).await {
            Came::Nobody => {}
            Came::Cancel(key) => self.cancel(key, peer).await,
            Came::Refused(talk, refused) => self.refuse(talk, &refused, peer).await,
            Came::In(admitted) => self.session(*admitted, peer, stop).await,
        }
    }

    async fn session(&self, admitted: Admitted, peer: SocketAddr, stop: watch::Receiver<bool>) {
        let Admitted { mut talk, startup, person, method } = admitted;
        let about = Arc::new(About {
            gateway: self.door.gateway.clone(),
            person: person.name,
            role: person.role,
            auth_method: method,
            upstream_role: person.upstream_role,
            database: self.target.database.clone(),
            session_id: self.seams.id(),
            address: peer.ip().to_string(),
            application: shown(startup.setting("application_name").unwrap_or_default()),
        });
        let begun = match self.begin(&about, &startup).await {
            Ok(begun) => begun,
            Err((code, reason)) => {
                let refused = Refused { user: about.person.clone(), database: startup.database, code, reason };
                self.refuse(talk, &refused, peer).await;
                return;
            }
        };
        let Begun { mut session, upstream, registered: _registered } = begun;
        // A client may send on without waiting for the end of its login.
        session.client.tail().extend(talk.inbox.take());
        if let Err(over) = session.take_client() {
            session.end(&over);
            let _ = tokio::time::timeout(STOP, talk.send(&session.farewell())).await;
            return;
        }
        let over = pump::Streams::new(talk.stream, upstream).run(session, stop).await;
        tracing::debug!(session = about.session_id, reason = %over, "a gateway session ended");
    }

    /// Opens the other side of a session.
    async fn begin(&self, about: &Arc<About>, startup: &Startup) -> Result<Begun, (&'static str, String)> {
        let unreachable = |error: UpstreamError| {
            tracing::warn!(gateway = self.door.gateway, role = about.upstream_role, %error, "upstream did not let a session in");
            (sqlstate::UNREACHABLE, "the gateway could not sign in to the server behind it".to_owned())
        };
        if !self.knowledge.now().1 {
            self.load_catalog().await.map_err(|error| {
                tracing::warn!(gateway = self.door.gateway, %error, "the upstream's catalog could not be read");
                (sqlstate::UNREACHABLE, "the gateway could not read the catalog of the server behind it".to_owned())
            })?;
        }
        let mut upstream = self.target.connect(&about.upstream_role, startup, &self.seams).await.map_err(unreachable)?;
        let registered = upstream.key.map(|key| Cancels::register(&self.cancels, key, about, &self.seams));
        let mut told = Vec::new();
        wire::write(&mut told, b'R', |out| out.extend_from_slice(&0_u32.to_be_bytes()));
        told.extend_from_slice(&upstream.begun);
        if let Some(registered) = &registered {
            wire::write(&mut told, b'K', |out| {
                out.extend_from_slice(&registered.key().process.to_be_bytes());
                out.extend_from_slice(&registered.key().secret.to_be_bytes());
            });
        }
        wire::write(&mut told, b'Z', |out| out.push(b'I'));
        let mut session =
            Session::begin(Arc::clone(about), self.seams.clone(), Arc::clone(&self.knowledge), Arc::clone(&self.recorder), &told)
                .map_err(|over| (sqlstate::RECORD, over.to_string()))?;
        session.upstream.tail().extend(upstream.talk.inbox.take());
        Ok(Begun { session, upstream: upstream.talk.stream, registered })
    }

    /// Somebody is not let in: that is recorded, and then they are told. What they gave as a name is cut to what an event takes.
    async fn refuse(&self, mut talk: talk::Talk, refused: &Refused, peer: SocketAddr) {
        let about = About {
            gateway: self.door.gateway.clone(),
            person: shown(&refused.user),
            role: String::new(),
            auth_method: "",
            upstream_role: String::new(),
            database: shown(&refused.database),
            session_id: String::new(),
            address: peer.ip().to_string(),
            application: String::new(),
        };
        if self.record(&about.refused(self.seams.now(), refused.code, &refused.reason)).await.is_err() {
            tracing::warn!(gateway = self.door.gateway, code = refused.code, "a refused login could not be recorded");
        }
        let mut message = Vec::new();
        reply::error(&mut message, Complaint { severity: "FATAL", code: refused.code, message: &refused.reason, hint: "" });
        let _ = tokio::time::timeout(STOP, talk.send(&message)).await;
    }

    async fn record(&self, event: &recall_log::event::Event<'_>) -> Result<(), RecordError> {
        let (sender, receiver) = oneshot::channel();
        self.recorder.record(std::slice::from_ref(event), Box::new(move |result| drop(sender.send(result))))?;
        receiver.await.map_err(|_| RecordError::Unavailable("it is closing".to_owned()))?
    }

    /// Ends what another session is doing, once that is on record. The server answers nothing to it, whether the key was right or not.
    async fn cancel(&self, key: Key, peer: SocketAddr) {
        let Some(found) = self.cancels.find(key) else { return };
        if self.record(&found.about.cancel(self.seams.now(), &peer.ip().to_string())).await.is_err() {
            tracing::warn!(gateway = self.door.gateway, "a query was not cancelled, because that could not be recorded");
            return;
        }
        if let Err(error) = self.target.cancel(found.upstream).await {
            tracing::warn!(gateway = self.door.gateway, %error, "a query could not be cancelled");
        }
    }

    /// Reads the upstream's catalog again every few seconds, and when definitions have changed.
    async fn keep_knowledge(&self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(CATALOG) => {}
                // A statement that is on its way has run a moment later; what it changes later still the next reading finds.
                () = self.knowledge.wait() => tokio::time::sleep(SETTLE).await,
            }
            if let Err(error) = self.load_catalog().await {
                self.knowledge.lost();
                tracing::warn!(gateway = self.door.gateway, %error, "the upstream's catalog could not be read");
            }
        }
    }

    async fn load_catalog(&self) -> Result<(), CatalogError> {
        let changes = self.knowledge.changes();
        let startup = Startup { database: self.target.database.clone(), ..Startup::default() };
        let mut upstream = self.target.connect(&self.role, &startup, &self.seams).await?;
        let loading = tokio::time::timeout(LOAD, Catalog::load(&mut upstream, &self.protected));
        let catalog = loading.await.map_err(|_| CatalogError::Upstream(UpstreamError::Slow))??;
        self.knowledge.read(catalog, changes);
        Ok(())
    }
}

/// What a client said of itself, as much as the server would keep.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(63).collect()
}

/// Waits until `stop` says true, or whoever could say so is gone.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A session that is open on both sides.
struct Begun {
    session: Session,
    upstream: Box<dyn talk::Stream>,
    registered: Option<cancel::Registered>,
}
