//! The hospital's database: a PostgreSQL server of the demo's own, its tables, and the configuration of the gateway in front.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use recall_bench::cluster::Cluster;
use recall_bench::hospital::{Hospital, Tables};
use recall_bench::stopwatch::{Stopwatch, grouped};
use recall_bench::stuck::Stuck;

use crate::folder::Folder;
use crate::tell::Tell;

/// The gateway's name.
pub const GATEWAY: &str = "hospital";
/// The role that everybody works as upstream. Its password guards made-up patients on loopback, for as long as the demo runs.
pub const ROLE: &str = "app_role";
const PASSWORD: &str = "upstream secret of the demo";

const TABLES: &str = "
CREATE ROLE app_role LOGIN PASSWORD 'upstream secret of the demo';
CREATE TABLE patients (id text PRIMARY KEY, name text NOT NULL, ssn text NOT NULL, born date NOT NULL);
CREATE TABLE encounters (patient_id text NOT NULL REFERENCES patients, ward text NOT NULL, time timestamptz NOT NULL, note text NOT NULL);
GRANT SELECT ON patients, encounters TO app_role;
";

/// The running server.
pub struct Database {
    cluster: Cluster,
    config: PathBuf,
}

impl Database {
    /// Makes and fills it, and writes the gateway's configuration.
    pub fn start(folder: &Folder, hospital: &Hospital, tell: &Tell) -> Result<Self, Stuck> {
        let started = Stopwatch::start();
        // Every statement that reaches the server is in its log, so that the demo can tell which do.
        let settings = ["fsync=off", "log_statement=all", "timezone=UTC"];
        let cluster = Cluster::start(&folder.new_scratch("hospital")?, &settings)?
            .ok_or_else(|| Stuck("PostgreSQL is not installed: start ./demo, which installs it, or apt-get install postgresql".into()))?;
        let tables = hospital.tables();
        load(&cluster, &tables)?;
        let config = configure(folder, &cluster)?;
        tell.line(&format!(
            "  {} on {}: {} patients, {} encounters, made in {started}.",
            cluster.version()?,
            cluster.address(),
            rows(&tables.patients),
            rows(&tables.encounters)
        ));
        tell.line(&format!("  Its gateway, in {}:", config.display()));
        for line in fs::read_to_string(&config).unwrap_or_default().lines() {
            tell.line(&format!("    | {line}"));
        }
        Ok(Self { cluster, config })
    }

    /// The configuration file of the gateway.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// psql on the database itself.
    pub fn straight(&self) -> Command {
        self.psql(self.cluster.address(), ROLE, PASSWORD)
    }

    /// psql, connected there as somebody.
    pub fn psql(&self, address: SocketAddr, user: &str, secret: &str) -> Command {
        let mut command = self.cluster.client("psql");
        command.args(["--no-psqlrc", "-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", user, "-d", GATEWAY]);
        command.env("PGPASSWORD", secret).env("PGCONNECT_TIMEOUT", "20");
        command
    }

    /// What the server has logged: every statement it was sent.
    pub fn log(&self) -> Result<String, Stuck> {
        let log = fs::read(self.cluster.log()).map_err(|e| Stuck::io("PostgreSQL's log", &e))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}

fn rows(table: &str) -> String {
    grouped(table.lines().count() as u64)
}

fn load(cluster: &Cluster, tables: &Tables) -> Result<(), Stuck> {
    let failed = Stuck::at("the hospital's database");
    cluster.connect("postgres")?.batch_execute("CREATE DATABASE hospital").map_err(&failed)?;
    let mut client = cluster.connect(GATEWAY)?;
    client.batch_execute(TABLES).map_err(&failed)?;
    for (table, rows) in [("patients", &tables.patients), ("encounters", &tables.encounters)] {
        let mut writer = client.copy_in(&format!("COPY {table} FROM STDIN")).map_err(&failed)?;
        writer.write_all(rows.as_bytes()).map_err(|e| Stuck::io("COPY", &e))?;
        writer.finish().map_err(&failed)?;
    }
    client.batch_execute("ANALYZE").map_err(&failed)
}

fn configure(folder: &Folder, cluster: &Cluster) -> Result<PathBuf, Stuck> {
    let failed = |e: std::io::Error| Stuck::io("the gateway's configuration", &e);
    let password = folder.scratch("app_role");
    fs::write(&password, PASSWORD).map_err(failed)?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let config = folder.scratch("gateway.toml");
    let text = format!(
        "[[gateway.postgres]]\nname = \"{GATEWAY}\"\nlisten = \"127.0.0.1:0\"\nupstream = \"postgres://{ROLE}@{}/hospital\"\n\
         upstream_password_file = {password:?}\nsubjects = [\"patients.id\", \"encounters.patient_id\"]\nphi = {{ \"patients.ssn\" = \"ssn\" }}\n",
        cluster.address()
    );
    fs::write(&config, text).map_err(failed)?;
    Ok(config)
}
