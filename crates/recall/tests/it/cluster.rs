//! A PostgreSQL server of the tests' own, in a temporary folder, with a small hospital; and its real clients.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The password of the role that people work as upstream.
pub const APP_PASSWORD: &str = "upstream secret of the app";

/// Three patients with visits, a view, and partitions.
const HOSPITAL: &str = "
CREATE ROLE app_role LOGIN PASSWORD 'upstream secret of the app';
CREATE DATABASE hospital;
\\c hospital
CREATE TABLE patients (id text PRIMARY KEY, name text NOT NULL, ssn text, born date);
INSERT INTO patients VALUES
  ('MRN-1', 'Ada Arbuthnot', '123-45-6789', '1951-02-03'),
  ('MRN-2', 'Bertram Bloom', '987-65-4321', '1962-03-04'),
  ('MRN-3', 'Cleo Carmichael', NULL, '2001-12-31');
CREATE TABLE visits (patient_id text NOT NULL, at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE visits_new (note text, patient_id text NOT NULL, at timestamptz NOT NULL);
ALTER TABLE visits ATTACH PARTITION visits_new FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO visits VALUES ('MRN-1', '2025-05-05 10:00+00', 'cough'), ('MRN-2', '2026-06-06 11:00+00', 'fracture');
CREATE VIEW people AS SELECT id AS who, upper(name) AS called FROM patients;
CREATE VIEW everybody AS SELECT who FROM people;
CREATE TABLE scratch (n integer PRIMARY KEY, t text);
GRANT ALL ON ALL TABLES IN SCHEMA public TO app_role;
GRANT ALL ON SCHEMA public TO app_role;
";

/// A running cluster, stopped when dropped.
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    pub port: u16,
}

impl Cluster {
    /// Starts one; `None` where PostgreSQL is not installed, unless everything must be there.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("RECALL_TEST_COMPLETE").is_none(), "PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { folder, programs, port };
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(cluster.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            fs::create_dir(cluster.data()).unwrap();
            run(Command::new("chown").arg("postgres").arg(cluster.data()));
        }
        let data = cluster.data();
        run(cluster
            .server("initdb")
            .args([
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&data));
        let options = format!("-c listen_addresses=127.0.0.1 -c port={port} -c fsync=off -c log_line_prefix=%a\\| -k {}", data.display());
        run(cluster
            .server("pg_ctl")
            .args(["start", "--wait", "--silent", "-o", &options, "-l"])
            .arg(data.join("log"))
            .arg("-D")
            .arg(&data));
        let made = cluster.as_owner().args(["-v", "ON_ERROR_STOP=1", "-q"]).args(["-c", "SELECT 1"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let script = cluster.folder.path().join("hospital.sql");
        fs::write(&script, HOSPITAL).unwrap();
        run(cluster.as_owner().args(["-v", "ON_ERROR_STOP=1", "-q", "-f"]).arg(script));
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// What the server has logged; each line begins with the name of the application.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("log")).unwrap()
    }

    /// A program of the server's, as the account that may run it.
    fn server(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program).current_dir(self.data());
        command
    }

    /// A client program, without settings of the environment.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        for name in ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS", "PGSSLMODE", "PGSERVICE"] {
            command.env_remove(name);
        }
        command.env("PGCONNECT_TIMEOUT", "20").env("PSQLRC", "/dev/null").env("LC_ALL", "C");
        command
    }

    /// psql as the owner of the cluster, over its socket.
    pub fn as_owner(&self) -> Command {
        let mut command = self.client("psql");
        command.args(["-X", "-U", "postgres", "-p", &self.port.to_string(), "-h"]).arg(self.data());
        command
    }

    /// psql as the upstream role, straight.
    pub fn direct(&self) -> Command {
        let mut command = self.client("psql");
        command.args(["-X", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "app_role", "-d", "hospital"]);
        command.env("PGPASSWORD", APP_PASSWORD);
        command
    }

    /// psql through a gateway.
    pub fn through(&self, address: &str, user: &str, secret: &str) -> Command {
        let mut command = self.client("psql");
        command.args(["-X", "-U", user, "-d", "hospital"]);
        at(&mut command, address, secret);
        command
    }

    /// The password file of the upstream role.
    pub fn password_file(&self) -> PathBuf {
        let file = self.folder.path().join("app_role");
        fs::write(&file, APP_PASSWORD).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }
}

/// Where a client connects and with which secret.
pub fn at(command: &mut Command, address: &str, secret: &str) {
    let (host, port) = address.rsplit_once(':').unwrap();
    command.args(["-h", host, "-p", port]).env("PGPASSWORD", secret);
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.server("pg_ctl").args(["stop", "--mode=immediate", "--silent", "-D"]).arg(self.data()).output();
    }
}

/// The newest PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max_by_key(|bin| version(bin))
}

fn version(bin: &Path) -> u32 {
    bin.parent().and_then(Path::file_name).and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).unwrap_or(0)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
