//! `postgres://role@host:port/database`: which server a gateway stands before. The few forms of a connection URI that a gateway needs
//! (PostgreSQL's manual, "Connection URIs"; RFC 3986), read strictly. A password has no place in it, and no error repeats any of it.

use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;

/// The port where none is said.
const PORT: u16 = 5_432;
/// Longest role and database, bytes: what PostgreSQL keeps of a name.
const IDENTIFIER_BYTES: usize = 63;
/// Longest name of a host, bytes.
const HOST_BYTES: usize = 253;

/// A server, a database in it, and who the gateway is there.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(try_from = "String")]
pub struct Upstream {
    pub role: String,
    pub host: Host,
    pub port: u16,
    pub database: String,
}

/// Where a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Host {
    Address(IpAddr),
    Name(String),
}

impl TryFrom<String> for Upstream {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|problem| format!("upstream: {problem}"))
    }
}

impl Upstream {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or("write postgres://role@host:port/database")?;
        if rest.rsplit_once('@').is_some_and(|(before, _)| before.contains(':')) {
            return Err("a password has no place here: put it into a file of mode 0600 and name that in upstream_password_file");
        }
        if rest.contains(['?', '#']) {
            return Err("parameters are not taken: write postgres://role@host:port/database and nothing behind it");
        }
        let (authority, database) = rest.split_once('/').ok_or("name the database: postgres://role@host:port/database")?;
        let (role, place) = authority.split_once('@').ok_or("name the role: postgres://role@host:port/database")?;
        let (host, port) = place_of(place)?;
        Ok(Self {
            role: identifier(role).ok_or("the role is 1 to 63 bytes of UTF-8, percent-encoded where it is not plain")?,
            host,
            port,
            database: identifier(database).ok_or("the database is 1 to 63 bytes of UTF-8, percent-encoded where it is not plain")?,
        })
    }
}

fn place_of(place: &str) -> Result<(Host, u16), &'static str> {
    const HOST: &str = "the host is a name, an IPv4 address, or an IPv6 address in brackets";
    if place.is_empty() || place.starts_with(['%', ':']) {
        return Err("name the host: Unix sockets are not supported");
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']').ok_or(HOST)?;
            (Host::Address(IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| HOST)?)), port)
        }
        None => {
            let (name, port) = place.split_at(place.find(':').unwrap_or(place.len()));
            (host_of(name).ok_or(HOST)?, port)
        }
    };
    const NUMBER: &str = "the port is a number from 1 to 65535";
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| NUMBER)?,
        _ => return Err(NUMBER),
    };
    if port == 0 { Err(NUMBER) } else { Ok((host, port)) }
}

fn host_of(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address));
    }
    let plain = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an address, and this one is none (RFC 3986 section 3.2.2).
    let number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (text.len() <= HOST_BYTES && !number && text.split('.').all(plain)).then(|| Host::Name(text.to_ascii_lowercase()))
}

/// A percent-encoded name. What would mean something else in a URI is taken only in that form.
fn identifier(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next())? << 4 | digit(bytes.next())?
            }
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) || !byte.is_ascii() => byte,
            _ => return None,
        });
    }
    let name = String::from_utf8(out).ok()?;
    ((1..=IDENTIFIER_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests;
