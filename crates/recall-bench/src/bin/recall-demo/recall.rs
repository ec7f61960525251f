//! The binary `recall` as a subprocess.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use recall_bench::stopwatch::Stopwatch;

use crate::folder::Folder;
use crate::stuck::Stuck;

/// How long a server may take to be ready or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the binary is.
pub struct Recall {
    path: PathBuf,
}

impl Recall {
    /// The given binary, or `recall` beside this one.
    pub fn find(path: Option<PathBuf>) -> Result<Self, Stuck> {
        let beside = || std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("recall")));
        let path = path.or_else(beside).unwrap_or_else(|| "recall".into());
        if path.is_file() { Ok(Self { path }) } else { Err(Stuck(format!("{} is not there: cargo build -p recall", path.display()))) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Output, Stuck> {
        self.command().args(arguments).stdin(Stdio::null()).output().map_err(|e| Stuck::io("starting recall", &e))
    }

    /// A command whose surroundings are the demo's alone.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RECALL_")) {
            command.env_remove(name);
        }
        command
    }

    /// `recall init`; gives the one-time token.
    pub fn init(&self, folder: &Folder) -> Result<String, Stuck> {
        let output = self.run(&["init".as_ref(), "--data".as_ref(), folder.data().as_os_str()])?;
        let text = succeeded("recall init", &output)?;
        text.split_whitespace().find(|word| word.starts_with("rcl_")).map(str::to_owned).ok_or_else(|| Stuck("recall init printed no token".into()))
    }

    /// `recall token create`; gives the token.
    pub fn token(&self, url: &str, with: &str, arguments: &[&str]) -> Result<String, Stuck> {
        let output = self.run(&[&["token", "create", "--url", url, "--token", with], arguments].concat())?;
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
pub struct Server {
    child: Child,
    address: SocketAddr,
    url: String,
}

impl Server {
    /// Starts the server and waits until it is ready. Without an address: 127.0.0.1:7080 if it is free, else any free port.
    pub fn start(recall: &Recall, folder: &Folder, listen: Option<SocketAddr>) -> Result<Self, Stuck> {
        let address = match listen {
            Some(address) => address,
            None => free_address().map_err(|e| Stuck::io("a free port", &e))?,
        };
        let log_path = folder.scratch("server.log");
        let log = File::options().create(true).append(true).open(&log_path).map_err(|e| Stuck::io("the server's log file", &e))?;
        let child = recall
            .command()
            .args(["serve".as_ref(), "--data".as_ref(), folder.data().as_os_str()])
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| Stuck::io("starting recall serve", &e))?;
        let mut server = Self { child, address, url: format!("http://{address}") };
        let ready = format!("{}/readyz", server.url);
        let started = Stopwatch::start();
        while ureq::get(&ready).call().is_err() {
            let ended = server.child.try_wait().map_err(|e| Stuck::io("watching recall serve", &e))?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&log_path).unwrap_or_default();
                return Err(Stuck(format!("recall serve did not become ready: {}", log.lines().last().unwrap_or("it said nothing"))));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn address(&self) -> SocketAddr {
        self.address
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
        // A server that was stopped is gone; one that was not must not outlive the demo.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 7080)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    listener.local_addr()
}
