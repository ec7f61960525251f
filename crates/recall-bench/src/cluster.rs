//! A PostgreSQL server of one's own in a folder: made, started, connected to as its owner, and stopped when dropped.
//!
//! It listens on loopback for roles that have a password, and on a socket in its folder for its owner. It must not know what it is for.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::stopwatch::Stopwatch;
use crate::stuck::Stuck;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes and starts a cluster in `folder`, with settings as `name=value`; `None` where PostgreSQL is not installed.
    pub fn start(folder: &Path, settings: &[&str]) -> Result<Option<Self>, Stuck> {
        let Some(programs) = programs() else { return Ok(None) };
        let data = std::path::absolute(folder.join("postgres")).map_err(|e| Stuck::io("the cluster's folder", &e))?;
        fs::create_dir(&data).map_err(|e| Stuck::io("the cluster's folder", &e))?;
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(&data))?;
            // The server's account must be able to reach its folder.
            run(Command::new("chmod").arg("a+x").arg(folder))?;
        }
        let port = free_port().map_err(|e| Stuck::io("a free port", &e))?;
        let mut cluster = Self { programs, data, port, server: None };
        run(cluster
            .program("initdb")
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&cluster.data))?;
        let log = File::create(cluster.log()).map_err(|e| Stuck::io("the cluster's log", &e))?;
        let errors = log.try_clone().map_err(|e| Stuck::io("the cluster's log", &e))?;
        let mut server = cluster.program("postgres");
        server.arg("-D").arg(&cluster.data).arg("-k").arg(&cluster.data);
        server.args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]);
        server.args(settings.iter().flat_map(|setting| ["-c", setting]));
        let child = server.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        cluster.server = Some(child.map_err(|e| Stuck::io("starting PostgreSQL", &e))?);
        cluster.wait_until_ready()?;
        Ok(Some(cluster))
    }

    fn wait_until_ready(&mut self) -> Result<(), Stuck> {
        let waited = Stopwatch::start();
        while let Err(refused) = self.connect("postgres") {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
            if ended.is_some() || waited.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(Stuck(format!("{refused}; {}", log.lines().last().unwrap_or("its log is empty"))));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A program of the server's, as the account that may run it.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program).current_dir(&self.data);
        command
    }

    /// A client program, which sees no settings of whoever started this process.
    #[must_use]
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command
    }

    /// Connects to a database as the cluster's owner.
    pub fn connect(&self, database: &str) -> Result<Client, Stuck> {
        Client::configure()
            .host_path(&self.data)
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .connect(NoTls)
            .map_err(Stuck::at("connecting to PostgreSQL"))
    }

    /// Name and version.
    pub fn version(&self) -> Result<String, Stuck> {
        let row = self.connect("postgres")?.query_one("SHOW server_version", &[]).map_err(Stuck::at("PostgreSQL's version"))?;
        let version: String = row.get(0);
        Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The file of its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data.join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(server) = &mut self.server else { return };
        // Its folder goes next, so it need not tidy up. It may have stopped by itself: Ctrl-C reaches it as well.
        if let Some(pid) = rustix::process::Pid::from_raw(server.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let _ = server.wait();
    }
}

fn run(command: &mut Command) -> Result<(), Stuck> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| Stuck::io(&name, &e))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(Stuck(format!("{name} ended with {}: {}", output.status, said.trim()))) }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Where initdb and postgres are.
fn programs() -> Option<PathBuf> {
    let configured =
        Command::new("pg_config").arg("--bindir").output().ok().map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    configured
        .into_iter()
        .chain(debian)
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}
