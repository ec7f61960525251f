//! How a request's body becomes events in the trail: decode, split, encode in parallel, submit once, answer in order.
//!
//! Nothing is submitted before the body has ended, so that a sender that goes away leaves nothing behind. Limits: `docs/format.md` section 11.

pub mod answer;
pub mod decode;
pub mod encode;
pub mod limits;
pub mod receive;
pub mod split;
