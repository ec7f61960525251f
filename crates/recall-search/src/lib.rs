//! The question: a query bar and read-only SQL over one table, `events`.
//!
//! A [`view::View`] pins one moment of the trail for one reader; what the reader may not see is absent from it, and so no expression can
//! look through it. This crate must not know how events arrive, who is asking, or HTTP.

mod access;
mod columns;
pub mod compile;
mod counting;
mod cursor;
mod derive;
pub mod engine;
mod exec;
mod functions;
pub mod query;
mod question;
mod reading;
mod table;
#[cfg(test)]
mod testing;
mod turns;
mod values;
pub mod view;
