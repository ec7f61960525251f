//! Which query a client may end: each session has a secret of the gateway's own, which stands for that of upstream.
//!
//! It must not know sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time;

use super::events::About;
use super::startup::Key;
use crate::seams::Seams;

/// Sessions whose queries can be cancelled.
#[derive(Default)]
pub struct Cancels(Mutex<HashMap<u32, Held>>);

struct Held {
    secret: u32,
    found: Found,
}

/// A session that is to be cancelled.
#[derive(Clone)]
pub struct Found {
    /// What upstream knows it by.
    pub upstream: Key,
    /// Whose it is.
    pub about: Arc<About>,
}

/// A session that can be cancelled, until this is dropped.
pub struct Registered {
    key: Key,
    cancels: Arc<Cancels>,
}

impl Registered {
    /// What the client is given.
    pub fn key(&self) -> Key {
        self.key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key.process);
    }
}

impl Cancels {
    /// Gives a session whose upstream has this key one of the gateway's own. Its number is upstream's where that is free: clients compare it with
    /// `pg_backend_pid()` and with the sender of a notification.
    pub fn register(cancels: &Arc<Self>, upstream: Key, about: &Arc<About>, seams: &Seams) -> Registered {
        let secret = u32::from_be_bytes(seams.bytes());
        let mut held = cancels.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut process = upstream.process;
        while process == 0 || held.contains_key(&process) {
            // Clients take the number for a positive one.
            process = u32::from_be_bytes(seams.bytes()) >> 1;
        }
        held.insert(process, Held { secret, found: Found { upstream, about: Arc::clone(about) } });
        Registered { key: Key { process, secret }, cancels: Arc::clone(cancels) }
    }

    /// A session, for whoever knows its secret.
    pub fn find(&self, key: Key) -> Option<Found> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = held.get(&key.process)?;
        constant_time::verify_slices_are_equal(&session.secret.to_be_bytes(), &key.secret.to_be_bytes())
            .ok()
            .map(|()| session.found.clone())
    }
}

#[cfg(test)]
mod tests;
