//! The process: arguments in, exit code out. Exit codes: 0 done and true; 1 the check failed; 2 the request is wrong; 3 the
//! trail or a service could not be reached.

mod app;
mod cli;
mod client;
mod commands;
mod config;
mod duration;
mod failure;
mod folder;
mod gateway;
mod http;
mod idempotency;
mod identity;
mod ingest;
mod integrity;
mod logging;
mod output;
mod record;
mod router;
mod run;
mod tile_source;
mod tokens;

use std::process::ExitCode;

fn main() -> ExitCode {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A damaged file makes the reader of segments panic page by page, and its error says all there is to say.
        if !recall_store::reads_guarded() {
            usual(panic);
        }
    }));
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(cli::Stop::Help(text)) => return output::help(&text),
        Err(cli::Stop::Wrong(failure, json)) => return output::failed(&failure, json),
    };
    let json = arguments.json;
    match run::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::failed(&failure, json),
    }
}
