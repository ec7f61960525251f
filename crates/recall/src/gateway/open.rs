//! From a gateway's configuration to a gateway that listens: passwords and certificates are read, upstream is asked once, and all of it is in
//! order before anybody is served.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use recall_gate::postgres::Gateway;
use recall_gate::postgres::catalog::{ColumnName, Mark};
use recall_gate::postgres::login::{Door, Found, People, Person};
use recall_gate::postgres::scram::{Secret, Secrets};
use recall_gate::postgres::tls::{ServerTls, UpstreamTls};
use recall_gate::postgres::upstream::Target;
use recall_gate::seams::Seams;
use recall_store::keys::TrailKey;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::recorder::GatewayRecorder;
use super::secret::ITERATIONS;
use crate::app::Shared;
use crate::config::gateway::{Column, Postgres};
use crate::config::secret_file;
use crate::config::upstream::Host;
use crate::failure::Failure;

/// A gateway that listens.
pub struct Open {
    /// Its name.
    pub name: String,
    /// Where clients come.
    pub address: SocketAddr,
    gateway: Arc<Gateway>,
    listener: TcpListener,
}

impl Open {
    /// Serves until `stop` says true, and until sessions have ended.
    pub async fn serve(self, stop: watch::Receiver<bool>) {
        self.gateway.serve(self.listener, stop).await;
    }
}

/// Opens a gateway. What is wrong is said of it by name.
pub async fn open(app: &Shared, config: &Postgres) -> Result<Open, Failure> {
    let name = config.name.as_str().to_owned();
    let of_it = |problem: String| format!("gateway {name}: {problem}");
    let tls = match (&config.tls_cert_file, &config.tls_key_file) {
        (Some(certificate), Some(key)) => {
            Some(ServerTls::load(certificate, key).map_err(|error| Failure::wrong(of_it(error.to_string())))?)
        }
        _ => None,
    };
    let people: Arc<dyn People> = Arc::new(Users { app: Arc::clone(app) });
    let clock = Arc::clone(&app.clock);
    let random = Arc::clone(&app.random);
    let seams = Seams::new(move || clock.now(), move |out| random.fill(out));
    let door = Door { gateway: name.clone(), database: config.upstream.database.clone(), tls, people, seams };
    let recorder = Arc::new(GatewayRecorder::new(Arc::clone(app), &name));
    let role = config.upstream.role.clone();
    let gateway = Gateway::new(door, target(config)?, role, protected(config), recorder)
        .await
        .map_err(|error| Failure::unreachable(of_it(error.to_string())))?;
    let taken = |error: std::io::Error| Failure::unreachable(of_it(format!("{} cannot be listened on: {error}", config.listen)));
    let listener = TcpListener::bind(config.listen).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok(Open { name, address, gateway, listener })
}

fn target(config: &Postgres) -> Result<Target, Failure> {
    let host = match &config.upstream.host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.clone(),
    };
    let tls = match &config.upstream_ca_file {
        Some(file) => Some(UpstreamTls::load(Some(file)).map_err(|error| Failure::wrong(error.to_string()))?),
        None if Target::is_loopback(&host) => None,
        None => {
            let name = config.name.as_str();
            return Err(Failure::wrong(format!(
                "gateway {name}: upstream is beyond loopback: name the authority of its certificate in upstream_ca_file"
            )));
        }
    };
    let mut passwords = HashMap::new();
    if let Some(file) = &config.upstream_password_file {
        passwords.insert(config.upstream.role.clone(), secret_file::password(file)?);
    }
    for (role, file) in &config.upstream_roles {
        passwords.insert(role.as_str().to_owned(), secret_file::password(file)?);
    }
    Ok(Target { host, port: config.upstream.port, database: config.upstream.database.clone(), tls, passwords })
}

fn protected(config: &Postgres) -> Vec<(ColumnName, Mark)> {
    let name = |column: &Column| ColumnName {
        schema: column.schema.clone().unwrap_or_else(|| "public".to_owned()),
        table: column.table.clone(),
        column: column.column.clone(),
    };
    let subjects = config.subjects.iter().map(|column| (name(column), Mark::Subject));
    let categories = config.phi.iter().map(|(column, category)| (name(column), Mark::Category(category.as_str().into())));
    subjects.chain(categories).collect()
}

/// The gateway's users, as the trail has them at this moment.
struct Users {
    app: Shared,
}

impl People for Users {
    fn find(&self, gateway: &str, name: &str) -> Found {
        match self.app.person(gateway, name) {
            Ok(Some(person)) => {
                let keys = person.secrets.iter().map(|keys| Secret { stored_key: keys.stored_key, server_key: keys.server_key });
                Found {
                    secrets: Secrets { salt: person.salt.to_vec(), iterations: person.iterations, keys: keys.collect() },
                    person: Some(Person { name: person.name, role: person.roles.role, upstream_role: person.roles.upstream_role }),
                }
            }
            found => {
                if found.is_err() {
                    tracing::error!(gateway, "a gateway user's row cannot be read, and nobody is let in on it: see recall doctor");
                }
                Found { person: None, secrets: self.nobody(gateway, name) }
            }
        }
    }
}

impl Users {
    /// What a name that nobody has is asked for: always the same, so that it can't be told from one that somebody has.
    fn nobody(&self, gateway: &str, name: &str) -> Secrets {
        let key = self.app.trail.keys().trail(TrailKey::Nobody);
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        let tag = hmac::sign(&key, format!("{gateway}/{name}").as_bytes());
        let mut derived = [0; 32];
        derived.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Secrets::of_nobody(&derived, ITERATIONS)
    }
}
