//! Verification of a bundle: offline and pure, check by check, stopping at
//! the first that does not hold.
//!
//! Nothing in the bundle is believed because it is there. Keys come from the
//! trust file and from entries that are proved to be in the log; the agent of
//! every hop comes from its enrolment; chain, proof and scope are verified
//! again by the same front door that the gateway used. What only the gateway
//! could know (that nothing was revoked, what policy said) is its record, and
//! the verdict says so.

use bailiwick_core::accountable::Hop;
use bailiwick_core::crypto::sha256;
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::ids::HandoffId;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::SignedCheckpoint;

use crate::bundle::Bundle;
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use crate::trust::Trust;
use crate::verdict::{Accountability, Proven, Verdict};

mod action;
mod agreement;
mod approval;
mod authority;
mod delegation;
pub(crate) mod log;
mod peers;
mod policy;
pub(crate) mod receipts;
mod refused;

use receipts::{Opened, Receipts};

/// Verifies the bytes of a bundle under `trust`; `kept` are checkpoints of the
/// same log that the verifier holds from elsewhere.
#[must_use]
pub fn verify(bundle: &[u8], trust: &Trust, kept: &[SignedCheckpoint]) -> Verdict {
    verify_with(bundle, trust, kept, &[])
}

/// The same; `policies` were got beside the bundle, which does not carry very
/// large ones. One is asked if the decision names its digest.
#[must_use]
pub fn verify_with(
    bundle: &[u8],
    trust: &Trust,
    kept: &[SignedCheckpoint],
    policies: &[bailiwick_policy::Bundle],
) -> Verdict {
    let mut passed = Vec::new();
    let result = run(bundle, trust, (kept, policies), &mut passed);
    Verdict { trust: trust.fingerprint(), passed, result }
}

/// One accountable action under verification.
struct Case<'a> {
    receipts: &'a Receipts,
    trust: &'a Trust,
    policies: &'a [bailiwick_policy::Bundle],
    decided: &'a Opened,
}

fn run(
    bytes: &[u8],
    trust: &Trust,
    (kept, policies): (&[SignedCheckpoint], &[bailiwick_policy::Bundle]),
    passed: &mut Vec<Check>,
) -> Result<Proven, Failure> {
    let bundle = Bundle::parse(bytes).map_err(|e| Failure::new(Check::Bundle, e.to_string()))?;
    passed.push(Check::Bundle);
    let entries = receipts::open(&bundle.receipts, trust)?;
    passed.push(Check::Makers);
    let located = receipts::locate(&bundle.receipts, entries, trust)?;
    passed.push(Check::Inclusion);
    let receipts = receipts::disclose(&bundle.disclosures, located)?;
    passed.push(Check::Disclosures);

    let decided = receipts.one(
        Check::Decision,
        Kind::ActionDecided,
        Subject::Action,
        bundle.action.as_str(),
    )?;
    let case = Case { receipts: &receipts, trust, policies, decided };
    let (decision, authority) = if is_refusal(decided) {
        let decision = refused::decision(&case)?;
        passed.push(Check::Decision);
        (decision, None)
    } else {
        let (decision, authority) = accountable(&case, passed)?;
        (decision, Some(authority))
    };
    let outcome = action::outcome(&case, &bundle.action)?;
    passed.push(Check::Outcome);
    let log = log::state(&receipts.checkpoint, trust, kept)?;
    passed.push(Check::Witnesses);
    Ok(Proven { action: bundle.action, decision, authority, outcome, log })
}

/// Whether the gateway refused a caller before it knew who that was: then
/// nothing claimed was written as a fact.
fn is_refusal(decided: &Opened) -> bool {
    let subjects = &decided.entry.subjects;
    subjects.decision.as_deref() == Some("deny")
        && subjects.principal.is_none()
        && subjects.delegation.is_none()
}

fn accountable(
    case: &Case<'_>,
    passed: &mut Vec<Check>,
) -> Result<(crate::verdict::Decision, Accountability), Failure> {
    let decided = case.decided;
    let alias = decided.subject(Check::Principal, Subject::Principal)?;
    let principal = authority::principal(case.receipts, alias)?;
    passed.push(Check::Principal);
    let grant = authority::grant(case, &principal)?;
    passed.push(Check::Grant);
    let presented = delegation::Presented::read(decided)?;
    let hops = authority::hops(case, &presented)?;
    passed.push(Check::Enrolment);
    passed.push(Check::Peers);
    let redone = delegation::redo(case, &presented, &grant, &hops)?;
    passed.push(Check::Delegation);
    delegation::scope(&redone, &grant)?;
    passed.push(Check::Scope);
    agreement::check(case, &principal, &grant, &hops, &redone)?;
    passed.push(Check::Agreement);
    let pin = action::tool(case, &presented)?;
    passed.push(Check::Tool);
    let action_digest = action::digest(case, &presented, &redone, pin)?;
    passed.push(Check::Action);
    let call = approval::Call {
        action: action_digest,
        root: redone.chain.root_hash(),
        tool: &presented.tool,
        pin,
        arguments: &presented.arguments,
        principal: &principal.id,
    };
    let approval = approval::check(case, &call)?;
    passed.push(Check::Approval);
    let signed = grant.signed_by.is_the_principals();
    let decision = action::decision(case, &presented, &redone, signed, approval.is_some())?;
    let enforcement = action::enforcement(decided)?;
    passed.push(Check::Decision);
    let statement = grant.statement;
    Ok((
        decision,
        Accountability {
            principal: principal.id,
            principal_issuer: principal.issuer,
            principal_alias: alias.to_owned(),
            grant: statement.id,
            signed_by: grant.signed_by,
            hops: redone.hops,
            task: statement.task,
            purpose: statement.purpose,
            workflow: statement.workflow,
            workflow_digest: statement.workflow_digest,
            scope: statement.requested,
            not_before: Timestamp::from_seconds(statement.not_before),
            not_after: Timestamp::from_seconds(statement.not_after),
            expires: Timestamp::from_seconds(redone.chain.expires()),
            arguments_digest: sha256(Json::from(presented.arguments).canonical().as_bytes()),
            tool: presented.tool,
            pin: pin.map(str::to_owned),
            action_digest,
            assurance: presented.form.assurance(),
            guarantee: redone.guarantee,
            staleness_ms: redone.staleness_ms,
            enforcement,
            approval,
        },
    ))
}

/// `instance`, `agent` and `guarantee` of a hop as entries state them.
fn states_hop(json: &Json, hop: &Hop) -> bool {
    json.as_object().is_some_and(|o| {
        let text = |name| o.member(name).and_then(Json::as_str);
        text("instance") == Some(hop.instance.as_str())
            && text("agent") == Some(hop.agent.as_str())
            && text("guarantee") == Some(hop.guarantee.as_str())
            && Isolation::recorded(o.member("isolation")) == Some(hop.isolation)
            && text("handoff") == hop.handoff.as_ref().map(HandoffId::as_str)
    })
}

fn agree(check: Check, holds: bool, what: impl std::fmt::Display) -> Result<(), Failure> {
    ensure(holds, check, || format!("{what} differs"))
}
