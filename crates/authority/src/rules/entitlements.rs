//! Entitlements: what principals may do and grant at most.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ledger::Kind;
use bailiwick_policy::Entitlements;
use bailiwick_store::{self as store, Row};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// What publishing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version that is in force now.
    pub digest: Digest,
    /// Whether anything changed: the same document twice is written once.
    pub changed: bool,
}

/// Puts a document in force, in place of the one before. `entitlements` is what
/// the text `document` says.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn publish(
    moment: &Moment<'_>,
    installation: &Installation,
    entitlements: &Entitlements,
    document: &str,
    current: Option<&store::Entitlements>,
) -> Result<Plan<Published>, Refusal> {
    let digest = entitlements.digest();
    if current.is_some_and(|c| c.digest == digest) {
        return Ok(Plan::nothing(Published { digest, changed: false }));
    }
    let row =
        store::Entitlements { digest, document: document.to_owned(), published: moment.now() };
    let step = Step::new(moment, &installation.org, Kind::EntitlementsPublished)?
        .with("digest", digest)
        .commit(moment, "document", entitlements.to_json())?
        .row(Row::Entitlements(row));
    Ok(Plan::one(step, Published { digest, changed: true }))
}
