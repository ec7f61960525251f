//! The binary `recall` as a subprocess: single commands, and a server that is waited for and stopped.
//!
//! It must not know what is asked of the server.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::stopwatch::Stopwatch;
use crate::stuck::Stuck;

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the binary is.
#[derive(Clone, Debug)]
pub struct Recall {
    path: PathBuf,
}

impl Recall {
    /// The given binary, or `recall` beside this one.
    pub fn find(path: Option<PathBuf>) -> Result<Self, Stuck> {
        let beside = || std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("recall")));
        let path = path.or_else(beside).unwrap_or_else(|| "recall".into());
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        let absent = || Stuck(format!("{} is not there: cargo build{profile} -p recall -p recall-bench", path.display()));
        if path.is_file() { Ok(Self { path }) } else { Err(absent()) }
    }

    /// The binary's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, Stuck> {
        self.command().args(arguments).stdin(Stdio::null()).output().map_err(|e| Stuck::io("starting recall", &e))
    }

    /// A command that sees no `RECALL_*` of whoever started this process.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RECALL_")) {
            command.env_remove(name);
        }
        command
    }

    /// `recall init`; gives the one-time token.
    pub fn init(&self, data: &Path) -> Result<String, Stuck> {
        let output = self.run(&[OsStr::new("init"), OsStr::new("--data"), data.as_os_str()])?;
        let text = succeeded("recall init", &output)?;
        text.split_whitespace()
            .find(|word| word.starts_with("rcl_"))
            .map(str::to_owned)
            .ok_or_else(|| Stuck("recall init printed no token".into()))
    }

    /// `recall token create` with these arguments; gives the token.
    pub fn token(&self, arguments: &[&str]) -> Result<String, Stuck> {
        let output = self.run(&[&["token", "create"], arguments].concat())?;
        Ok(succeeded("recall token create", &output)?.trim().to_owned())
    }
}

/// The standard output of a command that has to succeed.
pub fn succeeded(what: &str, output: &Output) -> Result<String, Stuck> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Stuck(format!("{what} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

/// A running `recall serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    url: String,
    gateways: Vec<(String, SocketAddr)>,
}

impl Server {
    /// Starts a server over `data`, its log appended to `log`, and waits until it is ready. Without an address: 127.0.0.1:7080 if it
    /// is free, else any free port.
    pub fn start(recall: &Recall, data: &Path, log: &Path, listen: Option<SocketAddr>, config: Option<&Path>) -> Result<Self, Stuck> {
        let address = match listen {
            Some(address) => address,
            None => free_address().map_err(|e| Stuck::io("a free port", &e))?,
        };
        let file = File::options().create(true).append(true).open(log).map_err(|e| Stuck::io("the server's log file", &e))?;
        let said = log.with_extension("out");
        let output = File::create(&said).map_err(|e| Stuck::io("the file of what the server prints", &e))?;
        let child = recall
            .command()
            .args([OsStr::new("serve"), OsStr::new("--data"), data.as_os_str()])
            .args(["--listen", &address.to_string()])
            .args(config.map(|file| [OsStr::new("--config"), file.as_os_str()]).into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(file)
            .spawn()
            .map_err(|e| Stuck::io("starting recall serve", &e))?;
        let mut server = Self { child, address, url: format!("http://{address}"), gateways: Vec::new() };
        server.wait_until_ready(log)?;
        // It says where it listens before it answers.
        server.gateways = gateways(&std::fs::read_to_string(&said).map_err(|e| Stuck::io("what the server prints", &e))?);
        Ok(server)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<(), Stuck> {
        let ready = format!("{}/readyz", self.url);
        let waited = Stopwatch::start();
        while ureq::get(&ready).call().is_err() {
            let ended = self.child.try_wait().map_err(|e| Stuck::io("watching recall serve", &e))?;
            if ended.is_some() || waited.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                return Err(Stuck(format!("recall serve did not become ready: {}", log.lines().last().unwrap_or("it said nothing"))));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a gateway of its configuration takes clients.
    pub fn gateway(&self, name: &str) -> Result<SocketAddr, Stuck> {
        let found = self.gateways.iter().find(|(gateway, _)| gateway == name);
        found.map(|(_, address)| *address).ok_or_else(|| Stuck(format!("recall serve did not say where the gateway {name} listens")))
    }

    /// The most memory it has held so far, from `/proc`, in bytes.
    pub fn peak_memory_bytes(&self) -> Result<u64, Stuck> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).map_err(|e| Stuck::io("the server's status", &e))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().map_err(Stuck::at("VmHWM"))?;
        Ok(kib * 1024)
    }

    /// Asks the server to stop and waits until it has.
    pub fn stop(mut self) -> Result<(), Stuck> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have stopped by itself: Ctrl-C reaches it as well.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let status = self.child.wait().map_err(|e| Stuck::io("stopping recall serve", &e))?;
        if status.success() { Ok(()) } else { Err(Stuck(format!("recall serve ended with {status}"))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that was stopped is gone; one that was not must not outlive whoever started it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The gateways that a starting server names, a line each.
fn gateways(said: &str) -> Vec<(String, SocketAddr)> {
    let gateway = |line: &str| {
        let (name, address) = line.strip_prefix("gateway ")?.split_once(" takes PostgreSQL clients on ")?;
        Some((name.to_owned(), address.parse().ok()?))
    };
    said.lines().filter_map(gateway).collect()
}

fn free_address() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 7080)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    listener.local_addr()
}
