//! Whether the authority behind something that stays open (a stream, a
//! session, a call under way) still stands.

use bailiwick_core::accountable::Ended;
use bailiwick_core::time::Timestamp;

use crate::gateway::Inner;
use crate::ports::Recheck;

/// How often what stays open is asked again.
pub(crate) const CHECK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// What a second look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// All of it stands.
    Stands,
    /// Something of it was taken back or stopped.
    Ended(Ended),
    /// Nobody can say, or not freshly enough.
    Unknown,
}

impl Inner {
    /// Looks again at what a chain rests on.
    pub(crate) fn stand(&self, recheck: &Recheck, now: Timestamp) -> Stand {
        let Ok(standing) = self.ports.registry.standing(&recheck.question()) else {
            return Stand::Unknown;
        };
        if let Some(ended) = standing.ended(now) {
            return Stand::Ended(ended);
        }
        match self.ports.catalogue.server(&recheck.server) {
            Ok(Some(server)) if !server.revoked => {}
            Ok(_) => return Stand::Ended(Ended::TakenBack("tool_server".to_owned())),
            Err(_) => return Stand::Unknown,
        }
        if standing.is_fresh(now, self.config.staleness_seconds.0) {
            Stand::Stands
        } else {
            Stand::Unknown
        }
    }
}
