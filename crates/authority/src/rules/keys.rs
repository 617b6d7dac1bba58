//! Replacing keys: one entry for each, and what ends with a key that was
//! compromised.

use bailiwick_core::json::Object;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Delegation, Row, Stored, Subject};

use crate::host::Moment;
use crate::installation::Installation;
use crate::keyring::{AnyKey, Purpose};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::identities::LIFETIME_SECONDS;

/// The reason of a root that ends because its issuer's key was compromised.
pub const COMPROMISED: &str = "issuer-key-compromised";

/// Seconds for which entries of a former maker are still accepted, and those of
/// its successor already: a process that runs takes the new key up within one,
/// and an entry bears the time at which its call came.
pub const MAKER_OVERLAP_SECONDS: i64 = 60;

/// Seconds for which a former snapshot key is accepted: gateways that were away
/// learn of the new one in the meantime.
const SNAPSHOT_OVERLAP_SECONDS: i64 = 86_400;

/// Seconds for which a former SVID key stays in the bundle: its last SVID, issued by a
/// process that had not taken the new key up yet, has ended by then.
const SVID_OVERLAP_SECONDS: i64 = LIFETIME_SECONDS + 60;

/// Why a key is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// In good order: what it signed holds until it has ended by itself.
    Rotated,
    /// Somebody else may have it since this time.
    Compromised {
        /// Since when.
        since: Timestamp,
    },
}

/// A key and the one that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What for.
    pub purpose: Purpose,
    /// The key that goes.
    pub old: AnyKey,
    /// The key that comes; none when a former key is given up.
    pub new: Option<AnyKey>,
    /// Why.
    pub why: Why,
}

/// Until when what the old key signed is accepted, exclusive.
///
/// An issuer's key stays an anchor until the last root under it has ended. One
/// that was compromised stops at once: roots and identity tokens from the time
/// on since when it was, entries from now on, because those that are in the
/// log already are held by the log.
#[must_use]
pub fn accepted_until(change: &Change, max_root_seconds: i64, now: Timestamp) -> Timestamp {
    match (change.why, change.purpose) {
        (_, Purpose::AuthorityMaker | Purpose::GatewayMaker) => {
            now.plus_seconds(MAKER_OVERLAP_SECONDS)
        }
        (Why::Compromised { since }, _) => since,
        (Why::Rotated, Purpose::Issuer | Purpose::Identity) => {
            now.plus_seconds(max_root_seconds.saturating_add(1))
        }
        (Why::Rotated, Purpose::Svid) => now.plus_seconds(SVID_OVERLAP_SECONDS),
        (Why::Rotated, Purpose::Snapshot) => now.plus_seconds(SNAPSHOT_OVERLAP_SECONDS),
    }
}

/// Records that a key is replaced or given up; gives until when the old one is
/// accepted.
///
/// # Errors
/// [`Refusal::SinceInFuture`], [`Refusal::NoEntropy`].
pub fn change(
    moment: &Moment<'_>,
    installation: &Installation,
    change: &Change,
) -> Result<Plan<Timestamp>, Refusal> {
    let now = moment.now();
    if matches!(change.why, Why::Compromised { since } if since > now) {
        return Err(Refusal::SinceInFuture);
    }
    let until = accepted_until(change, installation.max_root_seconds, now);
    let reason = match change.why {
        Why::Rotated => "rotated",
        Why::Compromised { .. } => "compromised",
    };
    let mut step = Step::new(moment, &installation.org, Kind::KeyChanged)?
        .about(|s| s.reason = Some(reason.to_owned()))
        .with("purpose", change.purpose.as_str())
        .with("old", change.old.kid())
        .with("accepted_until", until.seconds());
    if let Some(new) = &change.new {
        step = step.with("new", Object::new().with("kid", new.kid()).with("jwk", new.to_jwk()));
    }
    if let Why::Compromised { since } = change.why {
        step = step.with("since", since.seconds());
    }
    Ok(Plan::one(step, until))
}

/// Revokes roots that were issued under a compromised key.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn revoke_roots(
    moment: &Moment<'_>,
    installation: &Installation,
    roots: &[Stored<Delegation>],
) -> Result<Plan<()>, Refusal> {
    let mut plan = Plan::nothing(());
    for root in roots {
        let step = Step::new(moment, &installation.org, Kind::Revoked)?
            .about(|s| {
                s.reason = Some(COMPROMISED.to_owned());
                s.delegation = Some(root.root.to_string());
                s.grant = Some(root.grant.to_string());
                s.task = Some(root.task.to_string());
                s.agent = Some(root.agent.to_string());
            })
            .with("by", "operator")
            .row(Row::Revocation {
                subject: Subject::Delegation { token: root.root },
                reason: COMPROMISED.to_owned(),
            });
        plan.steps.push(step);
    }
    Ok(plan)
}
