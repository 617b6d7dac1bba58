//! The organisation's policy in force.

use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_policy::{Bundle, Policies};
use bailiwick_store::{MAX_RESULTS, Place, Policy, Stored};

use super::Authority;
use crate::refusal::Refusal;
use crate::rules::policies::{Published, clear, publish, read};

impl Authority {
    /// Publishes a bundle for a place: to decide from now on, or to be tried.
    ///
    /// # Errors
    /// [`Refusal::Store`], [`Refusal::NoEntropy`].
    pub fn policy_publish(&self, place: Place, bundle: Bundle) -> Result<Published, Refusal> {
        self.commit(move |cx, tx, moment| {
            let current = tx.policy(place)?;
            publish(moment, &cx.installation, place, &bundle, current.as_deref())
        })
    }

    /// Ends the candidate.
    ///
    /// # Errors
    /// [`Refusal::Store`], [`Refusal::NoEntropy`].
    pub fn policy_clear_candidate(&self) -> Result<Published, Refusal> {
        self.commit(|cx, tx, moment| {
            let current = tx.policy(Place::Candidate)?;
            clear(moment, &cx.installation, current.as_deref())
        })
    }

    /// What is published for both places.
    ///
    /// # Errors
    /// [`Refusal::Store`]; [`Refusal::PolicyInvalid`] when what was published
    /// does not read any more.
    pub fn policies(&self) -> Result<Policies, Refusal> {
        let (enforced, candidate) =
            self.read(|view| Ok((view.policy(Place::Enforced)?, view.policy(Place::Candidate)?)))?;
        let of = |row: Option<Stored<Policy>>| -> Result<Option<Arc<Bundle>>, Refusal> {
            Ok(row.map(|row| read(&row)).transpose()?.flatten().map(Arc::new))
        };
        Ok(Policies { enforced: of(enforced)?, candidate: of(candidate)? })
    }

    /// A bundle that was published at any time, by its digest.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Store`], [`Refusal::PolicyInvalid`].
    pub fn policy_of(&self, digest: &Digest) -> Result<Bundle, Refusal> {
        let digest = *digest;
        let row = self.read(|view| view.policy_by_digest(&digest))?;
        let bundle = row.map(|row| read(&row)).transpose()?.flatten();
        bundle.ok_or_else(|| Refusal::unknown("policy", digest))
    }

    /// Publications, newest first, without their texts.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn policy_history(&self) -> Result<Vec<Stored<Policy>>, Refusal> {
        self.read(|view| view.policies(MAX_RESULTS))
    }
}
