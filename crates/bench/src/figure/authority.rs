//! The authority: exchanges of tokens, how fast a revocation bites, whether
//! either grows with what is on record, and SVIDs.

use std::path::Path;

mod agents;
mod exchange;
mod fill;
mod inbox;
mod inside;
mod revocation;
mod scale;
mod svid;
mod table;

pub(crate) use exchange::report as exchange;
pub(crate) use inbox::report as inbox;
pub(crate) use revocation::report as revocation;
pub(crate) use scale::report as scale;
pub(crate) use svid::report as svid;

use crate::Failure;
use crate::installation::{Installation, beside, started};
use crate::server::echo::PATH;
use bailiwick_testkit::Daemon;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Requests of each side in one round.
    pub(crate) requests: u32,
}

/// An installation that serves, with the tool server behind it.
struct Stage {
    installed: Installation,
    _echo: Daemon,
}

impl Stage {
    fn set_up(folder: &Path) -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let program = beside(&own)?;
        let (echo, upstream) = started(&own, folder, &["serve-echo"])?;
        let upstream = format!("http://{upstream}{PATH}");
        Ok(Self { installed: Installation::set_up(&program, folder, &upstream)?, _echo: echo })
    }
}
