//! The peer plane: how two agents prove to each other who they are.
//!
//! Delegation says what an agent may do; nothing here adds to that. A peer that
//! is known authorises nothing by being known.

pub mod claim;
pub mod domain;
pub mod handoff;
pub mod handshake;
mod party;
pub mod record;
pub mod returned;
mod wire;

pub use party::{Anchor, Binding, Channel, Own, Peer};
