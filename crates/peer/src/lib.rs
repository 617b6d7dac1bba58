//! Handing a task from one agent to another, for the authors of agents.
//!
//! Who gives makes three calls: [`Instance::greet`] shakes hands,
//! [`Meeting::offer`] derives the child delegation, signs the offer, records it
//! and delivers it, and [`Handed::answered`] (or [`Handed::returned`]) waits.
//! Who takes makes two: [`Taker::next`] gives a verified offer, and
//! [`Received::accept`] or [`Received::reject`] answers it; the delegation is
//! given out only after the acceptance stands in the ledger.
//! `examples/handoff.rs` has both sides in one file.
//!
//! What a peer says is data: a verified offer is nothing but words of somebody
//! who is known, with a delegation beside them that permits what it permits.
//! Nothing here acts on them.
//!
//! The rules are `bailiwick_core::peer`'s; this crate carries their messages, and
//! bounds what strangers may use up. Clock and randomness come from the
//! caller, by [`Host`].
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

mod anchors;
mod authority;
mod child;
mod error;
mod giver;
mod instance;
mod messages;
mod mutual;
mod taker;
mod transport;

pub use anchors::{Foreign, read_anchors};
pub use authority::{Authority, Graded, HandoffView, Returned, Stands};
pub use error::{PeerError, Who};
pub use giver::{Context, Handed, Meeting, Proposal};
pub use instance::{Credentials, Instance, Keys};
pub use mutual::{Mutual, serve_mutual};
pub use taker::{Limits, Received, Taken, Taker};
pub use transport::{Answer, Exchange, Loopback, Transport};

use bailiwick_core::time::Timestamp;

/// The machine: its clock and its entropy.
pub trait Host: Send + Sync {
    /// The time, UTC.
    fn now(&self) -> Timestamp;
    /// Fills `out` with random bytes; `false` when the source gave nothing.
    fn fill(&self, out: &mut [u8]) -> bool;
}

/// The one thing that both sides must be able to do.
pub const CAPABILITY: &str = "handoff.1";

fn random<const N: usize>(host: &dyn Host) -> Result<[u8; N], PeerError> {
    let mut bytes = [0; N];
    if host.fill(&mut bytes) { Ok(bytes) } else { Err(PeerError::NoEntropy) }
}
