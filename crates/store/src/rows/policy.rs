//! The organisation's policy.

use bailiwick_core::crypto::Digest;
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// What a bundle is published for.
    Place {
        /// To decide.
        Enforced = "enforced",
        /// To be evaluated beside the one that decides.
        Candidate = "candidate",
    }
}

/// One publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What for.
    pub place: Place,
    /// The bundle's digest; none: there is no candidate any more.
    pub digest: Option<Digest>,
    /// The bundle's document; empty without one.
    pub document: String,
    /// When.
    pub published: Timestamp,
}
