//! Prepared statements and portals by name, as the client may refer to them before upstream has answered.
//!
//! The server drops everything between an error and the next Sync, so what the client sent since is known only once it is answered: `sent` is
//! what holds if all goes well, `held` what upstream has confirmed. It must not know what a statement says.

use std::collections::HashMap;
use std::sync::Arc;

use super::statement::{Portal, Statement};

/// The most statements, and the most portals, of one session.
pub const MOST: usize = 65_536;
/// Bytes of their texts and values.
pub const MOST_BYTES: usize = 64 << 20;

/// A change of names.
#[derive(Clone)]
pub enum Act {
    /// A statement is made, or made anew where it has no name.
    Statement(Vec<u8>, Known),
    /// A portal is made.
    Portal(Vec<u8>, Arc<Portal>),
    /// A statement goes.
    CloseStatement(Vec<u8>),
    /// A portal goes.
    ClosePortal(Vec<u8>),
    /// All portals go: their transaction has ended.
    AllPortals,
}

/// A prepared statement, and how often code that can't be seen had run before it was prepared.
#[derive(Clone)]
pub struct Known {
    /// The statement.
    pub statement: Arc<Statement>,
    doubts: u64,
}

#[derive(Clone, Default)]
struct Set {
    statements: HashMap<Vec<u8>, Known>,
    portals: HashMap<Vec<u8>, Arc<Portal>>,
    size_bytes: usize,
}

impl Set {
    fn apply(&mut self, act: &Act) {
        match act {
            Act::Statement(name, known) => {
                self.size_bytes = self.size_bytes.saturating_add(known.statement.text.len());
                let old = self.statements.insert(name.clone(), known.clone());
                self.dropped(old.map(|old| old.statement.text.len()));
            }
            Act::Portal(name, portal) => {
                self.size_bytes = self.size_bytes.saturating_add(portal.size_bytes());
                let old = self.portals.insert(name.clone(), Arc::clone(portal));
                self.dropped(old.map(|old| old.size_bytes()));
            }
            Act::CloseStatement(name) => {
                let old = self.statements.remove(name);
                self.dropped(old.map(|old| old.statement.text.len()));
            }
            Act::ClosePortal(name) => {
                let old = self.portals.remove(name);
                self.dropped(old.map(|old| old.size_bytes()));
            }
            Act::AllPortals => {
                let sizes = std::mem::take(&mut self.portals).into_values().map(|portal| portal.size_bytes());
                self.dropped(sizes);
            }
        }
    }

    fn dropped(&mut self, sizes: impl IntoIterator<Item = usize>) {
        self.size_bytes = sizes.into_iter().fold(self.size_bytes, usize::saturating_sub);
    }
}

/// The names of a session.
#[derive(Default)]
pub struct Names {
    sent: Set,
    held: Set,
    doubts: u64,
}

impl Names {
    /// The statement that a message sent now would mean, and whether that is in doubt.
    pub fn statement(&self, name: &[u8]) -> Option<(Arc<Statement>, bool)> {
        self.sent.statements.get(name).map(|known| (Arc::clone(&known.statement), known.doubts < self.doubts))
    }

    /// A statement that is prepared now.
    pub fn prepared(&self, name: &[u8], statement: Arc<Statement>) -> Act {
        Act::Statement(name.to_vec(), Known { statement, doubts: self.doubts })
    }

    /// How often code that can't be seen has run.
    pub fn doubts(&self) -> u64 {
        self.doubts
    }

    /// Code ran that can't be seen, and may have prepared other statements under names that are known.
    pub fn doubt(&mut self, opaque: bool) {
        self.doubts = self.doubts.saturating_add(u64::from(opaque));
    }

    /// The portal that a message sent now would mean.
    pub fn portal(&self, name: &[u8]) -> Option<Arc<Portal>> {
        self.sent.portals.get(name).cloned()
    }

    /// Is there room for one more of each?
    pub fn has_room(&self) -> bool {
        self.sent.statements.len() < MOST && self.sent.portals.len() < MOST && self.sent.size_bytes < MOST_BYTES
    }

    /// The client sent this.
    pub fn sent(&mut self, act: &Act) {
        self.sent.apply(act);
    }

    /// Upstream has done it.
    pub fn done(&mut self, act: &Act) {
        self.held.apply(act);
    }

    /// Upstream dropped what was sent: what holds is what it confirmed, and what it still owes.
    pub fn again<'a>(&mut self, owed: impl Iterator<Item = &'a Act>) {
        self.sent = self.held.clone();
        owed.for_each(|act| self.sent.apply(act));
    }

    /// A transaction has ended, and its portals with it.
    pub fn transaction_ended<'a>(&mut self, owed: impl Iterator<Item = &'a Act>) {
        if !self.held.portals.is_empty() || !self.sent.portals.is_empty() {
            self.held.apply(&Act::AllPortals);
            self.sent.apply(&Act::AllPortals);
            owed.filter(|act| matches!(act, Act::Portal(..) | Act::ClosePortal(_) | Act::AllPortals)).for_each(|act| self.sent.apply(act));
        }
    }
}

#[cfg(test)]
mod tests;
