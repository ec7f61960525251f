//! The binary's side of the gateways: who may sign in at one, and where its records go. `recall-gate` speaks the protocols, and knows neither.

pub mod open;
pub mod people;
pub mod recorder;
pub mod secret;
pub mod users;

/// Longest name of a gateway, bytes.
pub const NAME_BYTES: usize = 64;

/// Whether it may be a gateway's name: it stands in sources, in paths and in the names of rows.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
