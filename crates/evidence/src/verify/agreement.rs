//! Grant, task, workflow, delegation and decision say the same, inside the
//! window and in the order that the design asks for.

use bailiwick_core::ledger::Kind;

use super::authority::{Enrolled, Grant, Principal};
use super::delegation::Redone;
use super::receipts::Opened;
use super::{Case, agree, states_hop};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use bailiwick_core::json::Json;

const CHECK: Check = Check::Agreement;

fn subject_is(of: &Opened, subject: Subject, value: &str) -> Result<(), Failure> {
    agree(
        CHECK,
        of.subject(CHECK, subject)? == value,
        format_args!("{} of `{}`", subject.as_str(), of.entry.kind.as_str()),
    )
}

pub(super) fn check(
    case: &Case<'_>,
    principal: &Principal,
    grant: &Grant,
    enrolled: &[Enrolled],
    redone: &Redone,
) -> Result<(), Failure> {
    claims(case, principal, grant, enrolled, redone)?;
    window(case, grant, redone)?;
    decision(case, grant, redone)?;
    let issued = issued(case, grant, redone)?;
    let task = task(case, grant)?;
    let workflow = workflow(case, grant)?;
    // DESIGN rule 9: the grant is in the ledger before the root is signed.
    let decided = case.decided.index;
    let ordered = grant.index < issued && issued < decided;
    ensure(ordered && task < grant.index && workflow < grant.index, CHECK, || {
        "workflow, task, grant, delegation and decision are not in this order in the log".to_owned()
    })
}

/// The root's claims against the grant and the log.
fn claims(
    case: &Case<'_>,
    principal: &Principal,
    grant: &Grant,
    enrolled: &[Enrolled],
    redone: &Redone,
) -> Result<(), Failure> {
    let (root, statement) = (&redone.authority, &grant.statement);
    agree(CHECK, root.principal == principal.id, "the root's principal")?;
    agree(CHECK, redone.chain.issuer() == principal.issuer, "the issuer of root and principal")?;
    agree(CHECK, root.agent == statement.agent, "the root's agent")?;
    let first = enrolled.first().map(|e| &e.hop.agent);
    agree(CHECK, first == Some(&statement.agent), "the first hop's agent")?;
    agree(CHECK, root.task == statement.task, "the root's task")?;
    agree(CHECK, root.purpose == statement.purpose, "the root's purpose")?;
    agree(CHECK, root.workflow == statement.workflow, "the root's workflow")?;
    agree(CHECK, root.workflow_digest == statement.workflow_digest, "the root's workflow version")?;
    agree(CHECK, root.grant == statement.id, "the root's grant")?;
    agree(CHECK, root.grant_digest == statement.digest(), "the root's grant digest")?;
    let of =
        case.receipts.one(CHECK, Kind::GrantRecorded, Subject::Grant, statement.id.as_str())?;
    subject_is(of, Subject::Principal, case.decided.subject(CHECK, Subject::Principal)?)?;
    subject_is(of, Subject::Agent, statement.agent.as_str())?;
    subject_is(of, Subject::Workflow, statement.workflow.as_str())?;
    subject_is(of, Subject::Task, statement.task.as_str())
}

/// Root inside grant, decision inside both.
fn window(case: &Case<'_>, grant: &Grant, redone: &Redone) -> Result<(), Failure> {
    let statement = &grant.statement;
    let root =
        redone.chain.links().first().ok_or_else(|| Failure::new(CHECK, "the chain is empty"))?;
    let integer = |json: &Json| json.as_number()?.as_plain_integer();
    let start = root.claims.all.member("nbf").and_then(integer).unwrap_or(root.claims.iat);
    ensure(start >= statement.not_before && root.claims.exp <= statement.not_after, CHECK, || {
        "the root's window is not inside the grant's".to_owned()
    })?;
    let now = case.decided.entry.time.seconds();
    ensure(statement.not_before <= now && now < statement.not_after, CHECK, || {
        "the decision was made outside the grant's window".to_owned()
    })
}

/// What the decision entry states about the authority.
fn decision(case: &Case<'_>, grant: &Grant, redone: &Redone) -> Result<(), Failure> {
    let (decided, statement) = (case.decided, &grant.statement);
    subject_is(decided, Subject::Workflow, statement.workflow.as_str())?;
    subject_is(decided, Subject::Task, statement.task.as_str())?;
    subject_is(decided, Subject::Delegation, &redone.chain.leaf_hash().to_string())?;
    let leaf = redone.hops.last().ok_or_else(|| Failure::new(CHECK, "there is no hop"))?;
    subject_is(decided, Subject::Agent, leaf.agent.as_str())?;
    subject_is(decided, Subject::Instance, leaf.instance.as_str())?;
    let digest = |name| decided.digest(CHECK, name);
    agree(CHECK, digest("root")? == redone.chain.root_hash(), "the decision's root")?;
    agree(CHECK, digest("grant_digest")? == statement.digest(), "the decision's grant digest")?;
    agree(
        CHECK,
        digest("workflow_digest")? == statement.workflow_digest,
        "the decision's workflow version",
    )?;
    let expires = decided.integer(CHECK, "not_after")?;
    agree(CHECK, expires == redone.chain.expires(), "the decision's `not_after`")?;
    let hops = decided.body("hops").and_then(Json::as_array).unwrap_or_default();
    let same = hops.len() == redone.hops.len()
        && hops.iter().zip(&redone.hops).all(|(stated, hop)| states_hop(stated, hop));
    agree(CHECK, same, "the decision's hops")
}

/// The authority's own record of the root; its place in the log.
fn issued(case: &Case<'_>, grant: &Grant, redone: &Redone) -> Result<u64, Failure> {
    let statement = &grant.statement;
    let root = redone.chain.root_hash().to_string();
    let of = case.receipts.one(CHECK, Kind::DelegationIssued, Subject::Delegation, &root)?;
    agree(CHECK, of.text(CHECK, "root")? == root, "the issued root")?;
    agree(CHECK, of.text(CHECK, "grant")? == statement.id.as_str(), "the issued root's grant")?;
    let link = redone.chain.links().first();
    let holder = link.map(|l| l.claims.holder.thumbprint().to_string());
    agree(CHECK, holder.as_deref() == Some(of.text(CHECK, "holder")?), "the issued root's holder")?;
    let expires = link.map(|l| l.claims.exp);
    agree(CHECK, expires == Some(of.integer(CHECK, "not_after")?), "the issued root's end")?;
    subject_is(of, Subject::Principal, case.decided.subject(CHECK, Subject::Principal)?)?;
    subject_is(of, Subject::Agent, statement.agent.as_str())?;
    subject_is(of, Subject::Task, statement.task.as_str())?;
    subject_is(of, Subject::Workflow, statement.workflow.as_str())?;
    subject_is(of, Subject::Grant, statement.id.as_str())?;
    Ok(of.index)
}

fn task(case: &Case<'_>, grant: &Grant) -> Result<u64, Failure> {
    let statement = &grant.statement;
    let task = statement.task.as_str();
    let of = case.receipts.one(CHECK, Kind::TaskCreated, Subject::Task, task)?;
    agree(CHECK, of.text(CHECK, "task")? == task, "the task's id")?;
    subject_is(of, Subject::Workflow, statement.workflow.as_str())?;
    agree(
        CHECK,
        of.text(CHECK, "workflow")? == statement.workflow.as_str(),
        "the task's workflow",
    )?;
    agree(CHECK, of.value_text(CHECK, "purpose")? == statement.purpose, "the task's purpose")?;
    Ok(of.index)
}

fn workflow(case: &Case<'_>, grant: &Grant) -> Result<u64, Failure> {
    let statement = &grant.statement;
    let id = statement.workflow.as_str();
    let of = case.receipts.one(CHECK, Kind::WorkflowPublished, Subject::Workflow, id)?;
    agree(CHECK, of.text(CHECK, "workflow")? == id, "the workflow's id")?;
    agree(
        CHECK,
        of.digest(CHECK, "digest")? == statement.workflow_digest,
        "the published workflow version",
    )?;
    Ok(of.index)
}
