//! Erasing texts beside the ledger (DESIGN rule 7): what was committed to goes,
//! every entry and proof stays, and an entry says which texts went.

use bailiwick_core::ids::EntryId;
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_store::{Principal, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Entries that one entry lists at most: their ids fit well below its limit.
pub const MAX_ENTRIES: u32 = 512;

/// A principal whose texts go has no authority left: what stands would lose
/// its proof.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::StillActive`].
pub fn of_principal<'p>(
    name: &str,
    found: Option<&'p Principal>,
) -> Result<&'p Principal, Refusal> {
    let principal = found.ok_or_else(|| Refusal::unknown("principal", name))?;
    if principal.status == Status::Active {
        return Err(Refusal::StillActive { name: name.to_owned() });
    }
    Ok(principal)
}

/// Erases the texts of `entries`; about whom is in `subjects`.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn erase(
    moment: &Moment<'_>,
    installation: &Installation,
    subjects: Subjects,
    entries: Vec<EntryId>,
) -> Result<Plan<u64>, Refusal> {
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    if entries.is_empty() {
        return Ok(Plan::nothing(0));
    }
    let mut step = Step::new(moment, &installation.org, Kind::PlaintextErased)?
        .about(|s| *s = subjects)
        .with("by", "operator");
    step.erases = entries;
    Ok(Plan::one(step, count))
}
