//! `recall config check`.

use serde_json::json;

use crate::cli::Config as Command;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;

/// Parses the file; says that it is good, or what is wrong with it.
pub fn run(command: &Command, as_json: bool) -> Result<(), Failure> {
    let Command::Check(options) = command;
    let config = Config::read(&options.config)?;
    for gateway in &config.gateway.postgres {
        gateway.check_files()?;
    }
    if as_json {
        let gateways: Vec<_> = config.gateway.postgres.iter().map(|gateway| gateway.name.as_str()).collect();
        return output::json(&json!({"file": options.config.display().to_string(), "good": true, "gateways": gateways}));
    }
    let data = config.trail.data.map_or_else(|| "not set: give --data".into(), |data| data.display().to_string());
    let listen = config.server.listen.map_or_else(|| crate::commands::serve::DEFAULT_LISTEN.into(), |listen| listen.to_string());
    output::line(&format!("{} is a good configuration: trail {data}, listening on {listen}", options.config.display()))?;
    for gateway in config.gateway.postgres {
        output::line(&format!("gateway {} listening on {}", gateway.name.as_str(), gateway.listen))?;
    }
    Ok(())
}
