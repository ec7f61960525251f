//! One match over the commands.

use crate::cli::{Cli, Command};
use crate::commands::{
    anchor, backup, config, doctor, ingest, init, keys, receipt, recover, restore, search, serve, show, source, sql, token, user, verify,
};
use crate::failure::Failure;

/// Does what the arguments ask for.
pub fn run(arguments: Cli) -> Result<(), Failure> {
    let json = arguments.json;
    match arguments.command {
        Command::Init(options) => init::run(&options, json),
        Command::Serve(options) => serve::run(&options, json),
        Command::Ingest(options) => ingest::run(&options, json),
        Command::Search(options) => search::run(&options, json),
        Command::Sql(options) => sql::run(&options, json),
        Command::Show(options) => show::run(&options, json),
        Command::Receipt(options) => receipt::run(&options, json),
        Command::Verify(options) => verify::run(&options, json),
        Command::Token(command) => token::run(&command, json),
        Command::User(command) => user::run(&command, json),
        Command::Keys(command) => keys::run(&command, json),
        Command::Source(command) => source::run(&command, json),
        Command::Doctor(folder) => doctor::run(&folder, json),
        Command::Config(command) => config::run(&command, json),
        Command::Backup(options) => backup::run(&options, json),
        Command::Restore(options) => restore::run(&options, json),
        Command::Recover(options) => recover::run(&options, json),
        Command::Anchor(folder) => anchor::run(&folder, json),
    }
}
