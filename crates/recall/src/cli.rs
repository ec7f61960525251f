//! The command line: names, flags and help. Knows no command's work. Names are those of the published contract.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;

/// An audit trail for health information: durable, encrypted, searchable, provable.
#[derive(Parser)]
#[command(name = "recall", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// Machine output: one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  recall init --data ./trail                              make a trail; prints a one-time token
  recall serve --data ./trail                             serve it on 127.0.0.1:7080
  RECALL_TOKEN=ONE_TIME recall token create --role administrator    the first token, which makes the others
  recall ingest events.ndjson --token-file feed.token     send events
  recall search 'action:chart.* time>-7d'                 ask, with RECALL_TOKEN set
  recall verify --data ./trail                            check all of it, offline

A token on the command line is seen by everybody on the machine: set RECALL_TOKEN, or name a file with --token-file.

Exit codes: 0 done and true; 1 the check failed; 2 the request is wrong; 3 the trail or a service could not be reached.";

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Make keys, catalog and the first administrator's one-time token
    #[command(after_help = "Example:\n  recall init --data ./trail --root-key-file /secure/trail.key")]
    Init(Init),
    /// Run the server
    #[command(after_help = "Examples:\n  recall serve --data ./trail\n  recall serve --config recall.toml")]
    Serve(Serve),
    /// Send events from a file or standard input; a broken import resumes where it stopped
    #[command(after_help = "Examples:\n  recall ingest events.ndjson\n  cat events.ndjson | recall ingest -")]
    Ingest(Ingest),
    /// Search with the query language
    #[command(
        after_help = "Examples:\n  recall search 'actor.id:jdoe -outcome:success time>-7d'\n  recall search 'patient:MRN-1001' --format csv > answer.csv"
    )]
    Search(Search),
    /// Ask with read-only SQL over the table `events`
    #[command(after_help = "Example:\n  recall sql 'SELECT action, count(*) FROM events GROUP BY action'")]
    Sql(Sql),
    /// Show one event
    #[command(after_help = "Examples:\n  recall show 0192f0c1-…\n  recall show 41")]
    Show(Show),
    /// Get the receipt of one event: a .tlog-proof that stands alone
    #[command(after_help = "Examples:\n  recall receipt 41 > event.tlog-proof\n  recall receipt 41 --disclose > event.tlog-proof")]
    Receipt(Receipt),
    /// Verify a folder, a served log or a receipt
    #[command(
        after_help = "Examples:\n  recall verify --data ./trail\n  recall verify --url http://127.0.0.1:7080 --public-key VKEY\n  recall verify --receipt event.tlog-proof --public-key VKEY"
    )]
    Verify(Verify),
    /// Create, list and revoke tokens
    #[command(subcommand)]
    Token(Token),
    /// People who sign in at a gateway
    #[command(subcommand)]
    User(User),
    /// List, rotate, shred and export keys
    #[command(subcommand)]
    Keys(Keys),
    /// The register of sources
    #[command(subcommand)]
    Source(Source),
    /// Look for what is wrong with a trail's surroundings, and say what to do
    #[command(after_help = "Example:\n  recall doctor --data ./trail")]
    Doctor(Folder),
    /// Work on the configuration file
    #[command(subcommand)]
    Config(Config),
    /// Copy a trail while it runs or rests
    #[command(after_help = "Example:\n  recall backup /backup/2026-11-24 --data ./trail")]
    Backup(Backup),
    /// Put a backup in place and verify it
    #[command(
        after_help = "Example:\n  recall restore /backup/2026-11-24 --data ./trail --keyring keyring.json --checkpoint /elsewhere/trail.anchor"
    )]
    Restore(Restore),
    /// Go on with a restored copy: a new origin and signing key, the old checkpoint named in its first event
    #[command(after_help = "Example:\n  recall recover --data ./trail")]
    Recover(Recover),
    /// Place the anchor, the second copy of the last checkpoint, where it is missing and you know that the trail is whole
    #[command(after_help = "Example:\n  recall anchor --data ./trail --anchor-file /other-disk/trail.anchor")]
    Anchor(Folder),
}

/// A trail's folder and the key to it.
#[derive(Args, Clone, Default)]
pub struct Folder {
    /// The trail's folder
    #[arg(long, value_name = "DIR", env = "RECALL_DATA")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub beside: Beside,
}

/// What lies beside a folder, as flags say. For the root key the parser does not read the environment: a flag goes
/// before any variable, and only two flags exclude each other.
#[derive(Args, Clone, Default)]
pub struct Beside {
    /// With a folder: the root key's file [env: RECALL_ROOT_KEY_FILE] [default: DIR.key]
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,
    /// With a folder: a command whose standard output is the root key's line [env: RECALL_ROOT_KEY_COMMAND]
    #[arg(long, value_name = "COMMAND", conflicts_with = "root_key_file")]
    pub root_key_command: Option<String>,
    /// The second copy of the last checkpoint; best on another disk [default: DIR.anchor]
    #[arg(long, value_name = "FILE", env = "RECALL_ANCHOR_FILE")]
    pub anchor_file: Option<PathBuf>,
}

/// A variable of the environment, if it is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whom a client command asks: a server, or a folder that no server holds.
#[derive(Args, Clone, Default)]
pub struct Target {
    /// The server [default: http://127.0.0.1:7080]
    #[arg(long, value_name = "URL", env = "RECALL_URL")]
    pub url: Option<String>,
    /// The token to show; seen by all who may list processes, so rather set RECALL_TOKEN [env: RECALL_TOKEN]
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file that holds the token [env: RECALL_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Work on this folder instead, as the machine's own administrator; goes before --url
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub beside: Beside,
}

#[derive(Args)]
pub struct Init {
    #[command(flatten)]
    pub folder: Folder,
    /// The log's name: a URL without scheme, for ever part of every checkpoint [default: recall.invalid/ and 16 random digits]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
}

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    pub folder: Folder,
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "RECALL_CONFIG")]
    pub config: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:7080]
    #[arg(long, value_name = "ADDR", env = "RECALL_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// How log lines look
    #[arg(long, env = "RECALL_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Args)]
pub struct Ingest {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the file holds
    #[arg(long, default_value = "ndjson")]
    pub format: IngestFormat,
    /// Events a request
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub batch: u32,
    /// Where the import's offset is kept until it is done [default: FILE.recall-import]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub target: Target,
}

/// What a file of events holds.
#[derive(Clone, Copy, ValueEnum)]
pub enum IngestFormat {
    /// One recall.event/1 a line
    Ndjson,
}

#[derive(Args)]
pub struct Search {
    /// The question; an empty one asks for all
    #[arg(value_name = "QUERY", default_value = "")]
    pub query: String,
    /// From this time on: RFC 3339, or relative (-7d)
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// At most so many events [default: 50 in a table; csv and ndjson page until all are there]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// How the answer looks
    #[arg(long, default_value = "table")]
    pub format: SearchFormat,
    /// Exit with 1 if nothing matched
    #[arg(long)]
    pub require: bool,
    #[command(flatten)]
    pub target: Target,
}

/// How an answer looks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SearchFormat {
    /// For eyes
    Table,
    /// One event a line
    Ndjson,
    /// Comma-separated values
    Csv,
}

#[derive(Args)]
pub struct Sql {
    /// One SELECT over the table `events`
    #[arg(value_name = "SQL")]
    pub sql: String,
    #[command(flatten)]
    pub target: Target,
}

/// What names an event.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Its id
    Id,
    /// Its index
    Index,
}

impl By {
    /// As the query string says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Index => "index",
        }
    }
}

#[derive(Args)]
pub struct Show {
    /// The event's id, or its index
    #[arg(value_name = "ID|INDEX")]
    pub event: String,
    /// What it is, where an id looks like an index [default: an id; if no event has it, an index]
    #[arg(long)]
    pub by: Option<By>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct Receipt {
    /// The event's id, or its index
    #[arg(value_name = "ID|INDEX")]
    pub event: String,
    /// What it is, where an id looks like an index [default: an id; if no event has it, an index]
    #[arg(long)]
    pub by: Option<By>,
    /// Put the event's content into the receipt; recorded as a disclosure
    #[arg(long)]
    pub disclose: bool,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    pub folder: Folder,
    /// The served log to verify
    #[arg(long, value_name = "URL", conflicts_with = "receipt")]
    pub url: Option<String>,
    /// The receipt to verify
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// The log's public key, obtained from somebody you trust
    #[arg(long, value_name = "VKEY", env = "RECALL_PUBLIC_KEY")]
    pub public_key: Option<String>,
}

#[derive(Subcommand)]
pub enum Token {
    /// Make a token; it is printed alone, once
    #[command(
        after_help = "Examples:\n  recall token create --role ingest --source urn:ehr:prod --expires 24h\n  recall token create --role auditor --data ./trail"
    )]
    Create(TokenCreate),
    /// List tokens, without their secrets
    List(TargetOnly),
    /// End a token now
    Revoke(TokenRevoke),
}

#[derive(Args)]
pub struct TokenCreate {
    /// ingest, administrator, privacy-officer, auditor, engineer, service-owner or patient
    #[arg(long)]
    pub role: String,
    /// Whose it is; recorded as the actor of what is done with it
    #[arg(long)]
    pub name: Option<String>,
    /// How long it works: 30m, 24h, 90d [default: 90d for ingest, 7d for others]
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<String>,
    /// For ingest: the sources it may send for; the first stands in where an event names none [default: any]
    #[arg(long = "source", value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// For ingest: it may send for any source, and that is meant
    #[arg(long, conflicts_with = "sources")]
    pub any_source: bool,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct TokenRevoke {
    /// The token's id, as `token list` shows it
    pub id: String,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct TargetOnly {
    #[command(flatten)]
    pub target: Target,
}

#[derive(Subcommand)]
pub enum User {
    /// Make a user, or a further secret for one; the secret is printed alone, once
    #[command(
        after_help = "Example:\n  recall user add 'Nora Quimby' --role nurse --gateway hospital --upstream-role reporting --expires 90d"
    )]
    Add(UserAdd),
    /// List users, without their secrets
    List(TargetOnly),
    /// End all secrets of a user now, or one of them
    #[command(after_help = "Example:\n  recall user remove 'Nora Quimby' --gateway hospital")]
    Remove(UserRemove),
}

#[derive(Args)]
pub struct UserAdd {
    /// The user's name, by which the trail knows the person
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The role that policies see, any name; it grants nothing on the trail
    #[arg(long)]
    pub role: String,
    /// The gateway; it need not be configured yet
    #[arg(long, requires = "upstream_role")]
    pub gateway: Option<String>,
    /// Who the person is to the upstream server
    #[arg(long, value_name = "PGROLE", requires = "gateway")]
    pub upstream_role: Option<String>,
    /// How long the secret works: 30m, 24h, 90d [default: 90d]
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<String>,
    /// The user exists with another role or upstream role: change them, for all of the user's secrets
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct UserRemove {
    /// The user's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The gateway
    #[arg(long)]
    pub gateway: String,
    /// End only this secret, as `user list --json` names it
    #[arg(long, value_name = "ID")]
    pub secret: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Subcommand)]
pub enum Keys {
    /// List keys, without their bytes
    List(TargetOnly),
    /// Print the log's public key (vkey) alone
    Public(TargetOnly),
    /// Make a new root key and wrap all keys under it
    RotateRoot(TargetOnly),
    /// Destroy the keys of one epoch, and with them its events' content, for ever
    #[command(
        after_help = "Example:\n  recall keys shred --epoch 2020-11 --rule 'six years' --approver 'J. Doe' --approver 'R. Roe' --yes"
    )]
    Shred(Shred),
    /// Copy the keyring (wrapped keys) to a file; backups do not hold it
    Export(KeysExport),
}

#[derive(Args)]
pub struct Shred {
    /// The epoch: year and month
    #[arg(long, value_name = "YYYY-MM")]
    pub epoch: String,
    /// The retention class
    #[arg(long, default_value = "standard")]
    pub class: String,
    /// The rule that asks for it
    #[arg(long)]
    pub rule: String,
    /// Who approved it; may stand more than once
    #[arg(long = "approver", value_name = "NAME", required = true)]
    pub approvers: Vec<String>,
    /// Needed, because nothing brings the events back
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct KeysExport {
    /// The file to write; it must not exist
    pub file: PathBuf,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Subcommand)]
pub enum Source {
    /// List sources: last heard, gaps, clock skew, silence
    List(TargetOnly),
    /// Say that a source is expected to be heard from
    #[command(after_help = "Example:\n  recall source expect urn:ehr:prod --every 15m")]
    Expect(SourceExpect),
}

#[derive(Args)]
pub struct SourceExpect {
    /// The source
    pub source: String,
    /// At least this often: 30s, 15m, 24h; `never` ends the expectation
    #[arg(long, value_name = "DURATION")]
    pub every: String,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Subcommand)]
pub enum Config {
    /// Parse the file and say what is wrong with it
    #[command(after_help = "Example:\n  recall config check --config recall.toml")]
    Check(ConfigCheck),
}

#[derive(Args)]
pub struct ConfigCheck {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "RECALL_CONFIG", default_value = "recall.toml")]
    pub config: PathBuf,
}

#[derive(Args)]
pub struct Backup {
    /// The folder to make
    pub to: PathBuf,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Args)]
pub struct Restore {
    /// The backup's folder
    pub from: PathBuf,
    /// The keyring that belongs to it, from `recall keys export`
    #[arg(long, value_name = "FILE")]
    pub keyring: PathBuf,
    /// The last checkpoint that is known, such as the original's anchor: without it the copy is read-only until `recall recover`
    #[arg(long, value_name = "FILE", alias = "anchor")]
    pub checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub folder: Folder,
}

#[derive(Args)]
pub struct Recover {
    #[command(flatten)]
    pub folder: Folder,
    /// The log's new name: a URL without scheme [default: recall.invalid/ and 16 random digits]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
}

/// Why there is no command to run.
pub enum Stop {
    /// Help or version was asked for: its text.
    Help(String),
    /// The arguments are wrong; whether they ask for machine output all the same.
    Wrong(Failure, bool),
}

/// Reads the arguments of the process.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    Cli::try_parse_from(arguments)
        .map_err(|error| if error.use_stderr() { Stop::Wrong(one_line(&error), json) } else { Stop::Help(help(&error)) })
}

/// The help text, in colour only on a terminal.
fn help(error: &clap::Error) -> String {
    let text = error.render();
    if std::io::stdout().is_terminal() { text.ansi().to_string() } else { text.to_string() }
}

/// The first paragraph of clap's message as one line; the rest is in `--help`.
fn one_line(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let paragraph: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = paragraph.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    if matches!(error.kind(), clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
        return Failure::wrong("no command was given: see recall --help");
    }
    Failure::wrong(format!("{message}; see --help"))
}
