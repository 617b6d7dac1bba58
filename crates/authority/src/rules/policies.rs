//! The organisation's policy: what is in force, and what is tried beside it.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::Alias;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_policy::Bundle;
use bailiwick_store::{Place, Policy, Row};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// What publishing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The bundle that counts for the place now, if any.
    pub digest: Option<Digest>,
    /// The one that counted before, if any.
    pub before: Option<Digest>,
}

impl Published {
    /// Whether anything changed: the same bundle twice is written once.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.digest != self.before
    }
}

const fn kind(place: Place) -> Kind {
    match place {
        Place::Enforced => Kind::PolicyPublished,
        Place::Candidate => Kind::PolicyCandidate,
    }
}

/// Publishes a whole bundle for a place, instead of the one before.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn publish(
    moment: &Moment<'_>,
    installation: &Installation,
    place: Place,
    bundle: &Bundle,
    current: Option<&Policy>,
) -> Result<Plan<Published>, Refusal> {
    let digest = Some(bundle.digest());
    let before = current.and_then(|current| current.digest);
    if before == digest {
        return Ok(Plan::nothing(Published { digest, before }));
    }
    let document = bundle.to_json();
    let row = Policy { place, digest, document: document.canonical(), published: moment.now() };
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let step = Step::new(moment, &installation.org, kind(place))?
        .with("digest", bundle.digest())
        .with("before", before)
        .with("files", count(bundle.files().len()))
        .with("policies", count(bundle.policies().len()))
        .commit(moment, "document", document)?
        .row(Row::Policy(row));
    Ok(Plan::one(step, Published { digest, before }))
}

/// Ends the candidate.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn clear(
    moment: &Moment<'_>,
    installation: &Installation,
    current: Option<&Policy>,
) -> Result<Plan<Published>, Refusal> {
    let before = current.and_then(|current| current.digest);
    let published = Published { digest: None, before };
    if !published.changed() {
        return Ok(Plan::nothing(published));
    }
    let place = Place::Candidate;
    let row = Policy { place, digest: None, document: String::new(), published: moment.now() };
    let step = Step::new(moment, &installation.org, kind(place))?
        .with("digest", Json::Null)
        .with("before", before)
        .row(Row::Policy(row));
    Ok(Plan::one(step, published))
}

/// That what was retained with past decisions was read, to make them again
/// under a bundle.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn replayed(
    moment: &Moment<'_>,
    installation: &Installation,
    digest: Digest,
    by: &Alias,
) -> Result<Plan<()>, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::PlaintextRead)?
        .with("by", "person")
        .with("session_of", by)
        .with("replay", digest);
    Ok(Plan::one(step, ()))
}

/// A bundle from its row. What the row says is not believed: the digest is
/// made again of what was read.
///
/// # Errors
/// [`Refusal::PolicyInvalid`], without problems where the text is whole and of
/// another digest.
pub fn read(row: &Policy) -> Result<Option<Bundle>, Refusal> {
    let Some(digest) = row.digest else { return Ok(None) };
    let bundle = Bundle::from_document(&row.document).map_err(Refusal::PolicyInvalid)?;
    if bundle.digest() != digest {
        return Err(Refusal::PolicyInvalid(Vec::new()));
    }
    Ok(Some(bundle))
}
