//! The action itself: its tool, its digest, the decision and the outcome.

use bailiwick_core::crypto::{Digest, from_base64url, sha256};
use bailiwick_core::denial::Reason;
use bailiwick_core::ids::{ActionId, ToolId, pinned_as};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_policy::decide::PolicyDecision;

use super::delegation::{Presented, Redone};
use super::receipts::Opened;
use super::{Case, agree, policy};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use crate::verdict::{Decision, Enforcement, Outcome, Recomputed};

const OUTCOMES: [&str; 5] = ["ok", "error", "timeout", "not_executed", "unknown"];

/// The pin of the tool, as recorded before the decision. `None` for resources,
/// which have no definition, and for denials that did not come to the pin.
pub(super) fn tool<'a>(case: &Case<'a>, presented: &Presented) -> Result<Option<&'a str>, Failure> {
    const CHECK: Check = Check::Tool;
    let decided = case.decided;
    let pin = match decided.body("pin") {
        None | Some(Json::Null) => {
            let allowed = decided.entry.subjects.decision.as_deref() == Some("allow");
            let resource =
                ToolId::parse(&presented.tool).is_ok_and(|id| id.operation() == "resources/read");
            ensure(resource || !allowed, CHECK, || {
                "the call was allowed without a pin of the tool".to_owned()
            })?;
            return Ok(None);
        }
        Some(pin) => pin.as_str().ok_or_else(|| Failure::new(CHECK, "`body.pin` is malformed"))?,
    };
    let id = pinned_as(&presented.tool);
    let id = id.as_str();
    let of = case.receipts.one(CHECK, Kind::ToolPinned, Subject::Tool, id)?;
    agree(CHECK, of.text(CHECK, "tool")? == id, "the pinned tool")?;
    agree(CHECK, of.text(CHECK, "digest")? == pin, "the tool's pin")?;
    agree(
        CHECK,
        of.text(CHECK, "server")? == decided.text(CHECK, "server")?,
        "the pinned tool's server",
    )?;
    ensure(of.index < decided.index, CHECK, || {
        "the tool was pinned after the decision".to_owned()
    })?;
    Ok(Some(pin))
}

/// The action digest over its preimage, whose members are what was verified.
pub(super) fn digest(
    case: &Case<'_>,
    presented: &Presented,
    redone: &Redone,
    pin: Option<&str>,
) -> Result<Digest, Failure> {
    const CHECK: Check = Check::Action;
    let decided = case.decided;
    let preimage = decided.value_object(CHECK, "action")?;
    let digest = sha256(Json::from(preimage.clone()).canonical().as_bytes());
    agree(CHECK, decided.digest(CHECK, "action_digest")? == digest, "the action digest")?;
    let salted = preimage
        .member("salt")
        .and_then(Json::as_str)
        .and_then(from_base64url)
        .is_some_and(|salt| salt.len() == 32);
    ensure(salted, CHECK, || "the action's `salt` is not 32 bytes".to_owned())?;
    let leaf = redone.hops.last().ok_or_else(|| Failure::new(CHECK, "there is no hop"))?;
    let server = ToolId::parse(&presented.tool).ok();
    let server = server.as_ref().map(ToolId::server);
    // A server that was not catalogued is named in the disclosed tool only.
    let stated = decided.body("server").filter(|s| **s != Json::Null);
    let stated = stated.map_or(Ok(server), |_| decided.text(CHECK, "server").map(Some))?;
    agree(CHECK, server == stated && server.is_some(), "the decision's tool server")?;
    let expected: [(&str, Json); 11] = [
        ("v", 1u64.into()),
        ("server", server.into()),
        ("tool", presented.tool.as_str().into()),
        ("pin", pin.into()),
        ("arguments", presented.arguments.clone().into()),
        ("principal", (&redone.authority.principal).into()),
        ("root", redone.chain.root_hash().into()),
        ("leaf", redone.chain.leaf_hash().into()),
        ("instance", (&leaf.instance).into()),
        ("task", (&redone.authority.task).into()),
        ("audience", decided.text(CHECK, "audience")?.into()),
    ];
    for (name, value) in &expected {
        let same = preimage.member(name) == Some(value);
        agree(CHECK, same, format_args!("the action's `{name}`"))?;
    }
    // A member more would be signed and approved without being verified.
    agree(
        CHECK,
        preimage.len() == expected.len().saturating_add(1),
        "the action's set of members",
    )?;
    Ok(digest)
}

/// Reasons that only scope and arguments give: they are reached again, or the
/// record is wrong. An inadmissible number is not among them, because the
/// canonical form does not always keep it.
const OF_SCOPE: [Reason; 4] = [
    Reason::ToolNotDelegated,
    Reason::ArgumentNotDelegated,
    Reason::ArgumentMissing,
    Reason::ArgumentUnnamed,
];

/// Who makes the call, as the decision says.
pub(super) fn enforcement(decided: &Opened) -> Result<Enforcement, Failure> {
    const CHECK: Check = Check::Decision;
    Enforcement::parse(decided.text(CHECK, "enforcement")?)
        .ok_or_else(|| Failure::new(CHECK, "the decision's enforcement is none that is known"))
}

/// The decision against what was verified again.
pub(super) fn decision(
    case: &Case<'_>,
    presented: &Presented,
    redone: &Redone,
    grant_signed: bool,
    approved: bool,
) -> Result<Decision, Failure> {
    const CHECK: Check = Check::Decision;
    let decided = case.decided;
    agree(
        CHECK,
        decided.text(CHECK, "guarantee")? == redone.guarantee.as_str(),
        "the decision's guarantee",
    )?;
    let proved = presented.form.assurance().as_str();
    agree(CHECK, decided.text(CHECK, "assurance")? == proved, "the decision's assurance")?;
    agree(
        CHECK,
        decided.integer(CHECK, "staleness_ms")? == redone.staleness_ms,
        "the decision's staleness",
    )?;
    let asked = policy::asked(case, presented, redone, grant_signed)?;
    let recomputed = match verdict(case)? {
        Recorded::Allow => match &redone.result {
            Ok(()) => match asked {
                None => Recomputed::Agrees,
                Some(PolicyDecision::Allow(_)) if !approved => Recomputed::WithPolicy,
                // People were asked, and they approved it.
                Some(PolicyDecision::ApprovalRequired(_)) if approved => Recomputed::WithPolicy,
                Some(other) => return Err(policy::contradicts("allowed", &other)),
            },
            Err(denial) => {
                let found =
                    format!("it was allowed, but verification says `{}`", denial.reason.code());
                return Err(Failure::new(CHECK, found));
            }
        },
        Recorded::Ask => match asked.filter(|_| redone.result.is_ok()) {
            None => Recomputed::RecordedOnly,
            Some(PolicyDecision::ApprovalRequired(_)) => Recomputed::WithPolicy,
            Some(other) => return Err(policy::contradicts("held for approval", &other)),
        },
        Recorded::Deny(reason) => match &redone.result {
            Err(denial) if denial.reason == reason => Recomputed::Agrees,
            _ if OF_SCOPE.contains(&reason) => {
                let again = redone.result.as_ref().err().map_or("allowed", |d| d.reason.code());
                let found = format!("it says `{}`, but verification says `{again}`", reason.code());
                return Err(Failure::new(CHECK, found));
            }
            // Only what a rule settled was denied by the rules: other denials
            // of this stage come before them.
            Ok(()) if decided.body("rule").is_some() => match asked {
                None => Recomputed::RecordedOnly,
                Some(PolicyDecision::Deny(found)) if found.denial_code == reason.code() => {
                    Recomputed::WithPolicy
                }
                Some(other) => return Err(policy::contradicts(reason.code(), &other)),
            },
            _ => Recomputed::RecordedOnly,
        },
    };
    Ok(Decision { policy: policy::named(case)?, ..stated(case, recomputed) })
}

/// A decision entry's word.
pub(super) enum Recorded {
    Allow,
    Ask,
    Deny(Reason),
}

/// Reads decision and reason.
pub(super) fn verdict(case: &Case<'_>) -> Result<Recorded, Failure> {
    let subjects = &case.decided.entry.subjects;
    let reason = subjects.reason.as_deref();
    match (subjects.decision.as_deref(), reason, reason.and_then(Reason::parse)) {
        (Some("allow"), None, _) => Ok(Recorded::Allow),
        (Some("approval_required"), ..) => Ok(Recorded::Ask),
        (Some("deny"), _, Some(reason)) => Ok(Recorded::Deny(reason)),
        _ => Err(Failure::new(Check::Decision, "decision and reason are none that are known")),
    }
}

pub(super) fn stated(case: &Case<'_>, recomputed: Recomputed) -> Decision {
    let entry = &case.decided.entry;
    Decision {
        decision: entry.subjects.decision.clone().unwrap_or_default(),
        reason: entry.subjects.reason.clone(),
        at: entry.time,
        entry: entry.id.clone(),
        maker: entry.maker.clone(),
        policy: None,
        recomputed,
    }
}

/// The outcome entry, if the bundle has one.
pub(super) fn outcome(case: &Case<'_>, action: &ActionId) -> Result<Option<Outcome>, Failure> {
    const CHECK: Check = Check::Outcome;
    let decided = case.decided;
    let Some(of) = case.receipts.only(CHECK, Kind::ActionCompleted)? else {
        return Ok(None);
    };
    agree(CHECK, of.subject(CHECK, Subject::Action)? == action.as_str(), "the outcome's action")?;
    agree(
        CHECK,
        of.text(CHECK, "decided")? == decided.id().as_str(),
        "the decision that the outcome names",
    )?;
    for subject in [
        Subject::Principal,
        Subject::Agent,
        Subject::Instance,
        Subject::Task,
        Subject::Delegation,
        Subject::Tool,
    ] {
        let same = subject.of_entry(&of.entry) == subject.of_entry(&decided.entry);
        agree(CHECK, same, format_args!("the outcome's {}", subject.as_str()))?;
    }
    ensure(decided.index < of.index, CHECK, || {
        "the outcome is in the log before its decision".to_owned()
    })?;
    let outcome = of
        .entry
        .subjects
        .reason
        .as_deref()
        .filter(|o| OUTCOMES.contains(o))
        .ok_or_else(|| Failure::new(CHECK, "the outcome is none that is known"))?;
    let allowed = decided.entry.subjects.decision.as_deref() == Some("allow");
    ensure(allowed || outcome == "not_executed", CHECK, || {
        "a call that was not allowed has an outcome".to_owned()
    })?;
    Ok(Some(Outcome { outcome: outcome.to_owned(), at: of.entry.time, entry: of.entry.id.clone() }))
}
