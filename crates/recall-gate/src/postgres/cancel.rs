//! Which query a client may end: each session has a number and a secret of the gateway's own, which stand for those of upstream.
//!
//! It must not know sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time;

use super::startup::Key;
use crate::seams::Seams;

/// Sessions whose queries can be cancelled.
#[derive(Default)]
pub struct Cancels(Mutex<HashMap<u32, (u32, Key)>>);

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
    /// Gives a session whose upstream has this key one of the gateway's own.
    pub fn register(cancels: &Arc<Self>, upstream: Key, seams: &Seams) -> Registered {
        let secret = u32::from_be_bytes(seams.bytes());
        let mut held = cancels.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Clients take the number for a positive one.
            let process = u32::from_be_bytes(seams.bytes()) >> 1;
            if process != 0 && !held.contains_key(&process) {
                held.insert(process, (secret, upstream));
                return Registered { key: Key { process, secret }, cancels: Arc::clone(cancels) };
            }
        }
    }

    /// The upstream's key of a session, for whoever knows its secret.
    pub fn find(&self, key: Key) -> Option<Key> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (secret, upstream) = held.get(&key.process)?;
        constant_time::verify_slices_are_equal(&secret.to_be_bytes(), &key.secret.to_be_bytes()).ok().map(|()| *upstream)
    }
}

#[cfg(test)]
mod tests;
