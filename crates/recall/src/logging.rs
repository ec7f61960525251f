//! Log lines of the server, on standard error. No line holds content of events, identifiers of patients, tokens or keys: what is logged
//! is named field by field where it is logged. `RECALL_LOG` sets levels, as in `info,recall_store=debug`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Starts logging. It is called once, by `serve`.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("RECALL_LOG").unwrap_or_else(|_| EnvFilter::new("info,datafusion=error,sqlparser=error"));
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).with_env_filter(filter);
    // A second start would only say that logging has started.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
