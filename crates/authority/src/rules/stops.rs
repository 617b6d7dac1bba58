//! The stop button, and what it takes to resume.

use bailiwick_core::approval::{Grade, Signed};
use bailiwick_core::ids::{Alias, EntryId, StopId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::stop::{MAX_RESUME_SECONDS, StopTarget};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Resumption, Row, Stop, StoppedBy};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Characters of the reason of a stop at most.
pub const MAX_REASON_CHARS: usize = 500;
/// The reason, and its code, of a task that the gateway stopped because it asked
/// people too often.
pub const FLOOD: &str = "approval-flood";

/// Whether nothing of it is stopped.
///
/// # Errors
/// [`Refusal::Stopped`].
pub fn stands(stopped: Option<&StopTarget>) -> Result<(), Refusal> {
    match stopped {
        None => Ok(()),
        Some(target) => Err(Refusal::Stopped { what: target.to_string() }),
    }
}

/// Stops something. That whoever does it may is known.
///
/// # Errors
/// [`Refusal::StopReason`], [`Refusal::NoEntropy`].
pub fn stop(
    moment: &Moment<'_>,
    installation: &Installation,
    target: &StopTarget,
    about: Subjects,
    reason: &str,
    by: Option<&Alias>,
) -> Result<Plan<StopId>, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        return Err(Refusal::StopReason { max: MAX_REASON_CHARS });
    }
    let disclosure = Disclosure { salt: moment.random()?, value: reason.into() };
    let row = Stop {
        id: StopId::mint(moment.now(), moment.random()?),
        target: target.clone(),
        by: if by.is_some() { StoppedBy::Person } else { StoppedBy::Operator },
        principal: by.cloned(),
        reason: disclosure.commitment(),
        stopped: moment.now(),
        resumed: None,
        resumed_by: None,
    };
    let id = row.id.clone();
    let mut step = Step::new(moment, &installation.org, Kind::Stopped)?.about(|s| *s = about);
    step.event.body = body(&row);
    step.event.disclosures.push(("reason".to_owned(), disclosure));
    Ok(Plan::one(step.with_some("session_of", by).row(Row::Stop(row)), id))
}

fn body(row: &Stop) -> Object {
    Object::new().with("stop", &row.id).with("target", &row.target).with("by", row.by.as_str())
}

/// A gateway stops the task of a call that asked people once too often: the
/// entry that it makes, and the row. `because` is the call that asked.
#[must_use]
pub fn flooded(
    because: &Event,
    target: StopTarget,
    (entry, stop): ([u8; 10], [u8; 10]),
    salt: [u8; 32],
) -> (Event, Row) {
    let disclosure = Disclosure { salt, value: FLOOD.into() };
    let row = Stop {
        id: StopId::mint(because.time, stop),
        target,
        by: StoppedBy::Gateway,
        principal: None,
        reason: disclosure.commitment(),
        stopped: because.time,
        resumed: None,
        resumed_by: None,
    };
    let event = Event {
        id: EntryId::mint(because.time, entry),
        org: because.org.clone(),
        time: because.time,
        kind: Kind::Stopped,
        subjects: Subjects {
            action: None,
            tool: None,
            decision: None,
            reason: Some(FLOOD.to_owned()),
            ..because.subjects.clone()
        },
        body: body(&row),
        disclosures: vec![("reason".to_owned(), disclosure)],
    };
    (event, Row::Stop(row))
}

/// How many different people must sign that a stop ends, where `able` people may
/// sign now: everything takes two where there are two, so that whoever stopped it
/// is not the only one who resumes it.
#[must_use]
pub fn needed(target: &StopTarget, able: usize) -> usize {
    match target {
        StopTarget::Everything => able.clamp(1, 2),
        _ => 1,
    }
}

/// What an owner signs with, that their signature holds is known.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// Who.
    pub owner: &'a Alias,
    /// How it is signed.
    pub grade: Grade,
    /// The id of the credential that signed.
    pub credential: &'a str,
    /// The signature.
    pub signed: &'a Signed,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// How far a stop is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many must sign.
    pub needed: usize,
    /// How many signed.
    pub signed: usize,
}

impl Progress {
    /// Whether it has ended.
    #[must_use]
    pub const fn ends(self) -> bool {
        self.signed >= self.needed
    }
}

/// Takes an owner's signature that a stop ends. `others` are different people
/// whose signatures count now, `able` all who may sign.
///
/// # Errors
/// [`Refusal::StopEnded`], [`Refusal::ResumptionTime`].
pub fn resume(
    moment: &Moment<'_>,
    installation: &Installation,
    stop: &Stop,
    about: Subjects,
    signing: &Signing<'_>,
    (others, able): (usize, usize),
) -> Result<Plan<Progress>, Refusal> {
    if stop.resumed.is_some() {
        return Err(Refusal::StopEnded);
    }
    check_time(signing.expires, moment.now())?;
    let progress =
        Progress { needed: needed(&stop.target, able), signed: others.saturating_add(1) };
    let ends = progress.ends();
    let kind = if ends { Kind::Resumed } else { Kind::ResumeSigned };
    let signed = Resumption {
        stop: stop.id.clone(),
        principal: signing.owner.clone(),
        credential: signing.credential.to_owned(),
        grade: signing.grade.as_str().to_owned(),
        signed: moment.now(),
        expires: signing.expires,
    };
    let step = Step::new(moment, &installation.org, kind)?
        .about(|s| *s = about)
        .with("stop", &stop.id)
        .with("target", &stop.target)
        .with("reason_digest", stop.reason)
        .with("session_of", signing.owner)
        .with("grade", signing.grade.as_str())
        .with("credential", signing.credential)
        .with("expires", signing.expires.seconds())
        .commit(moment, "signed", signing.signed.to_text())?
        .row(Row::Resumption { signed, ends });
    Ok(Plan::one(step, progress))
}

/// A signature counts for a while only: nobody keeps one for later.
fn check_time(expires: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if expires <= now || expires > now.plus_seconds(MAX_RESUME_SECONDS) {
        return Err(Refusal::ResumptionTime { max: MAX_RESUME_SECONDS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_takes_two_people_where_there_are_two() {
        let agent: StopTarget = "agent:a".parse().unwrap();
        for (able, everything) in [(0, 1), (1, 1), (2, 2), (9, 2)] {
            assert_eq!(needed(&StopTarget::Everything, able), everything);
            assert_eq!(needed(&agent, able), 1);
        }
    }

    #[test]
    fn a_resumption_counts_from_now_on_and_not_for_long() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let at = |seconds| check_time(now.plus_seconds(seconds), now).is_ok();
        assert!(at(1) && at(MAX_RESUME_SECONDS));
        assert!(!at(0) && !at(-1) && !at(MAX_RESUME_SECONDS + 1));
    }
}
