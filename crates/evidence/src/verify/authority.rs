//! Who stands behind the action: the principal, the grant, and the enrolment
//! of every hop.

use bailiwick_core::aat::make::Seen;
use bailiwick_core::accountable::Hop;
use bailiwick_core::crypto::PublicKey;
use bailiwick_core::enrolment;
use bailiwick_core::grant::{self, SignedBy};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::ChainLimits;

use super::receipts::{Opened, Receipts};
use super::{Case, agree};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;

mod signature;

/// A registered principal, with its own signing key if it has one.
pub(super) struct Principal {
    pub(super) id: PrincipalId,
    pub(super) issuer: String,
    pub(super) alias: String,
    pub(super) key: Option<PublicKey>,
    pub(super) index: u64,
}

/// The principal behind an alias.
pub(super) fn principal(receipts: &Receipts, alias: &str) -> Result<Principal, Failure> {
    const CHECK: Check = Check::Principal;
    let of = receipts.one(CHECK, Kind::PrincipalAdded, Subject::Principal, alias)?;
    agree(CHECK, of.text(CHECK, "alias")? == alias, "the registration's alias")?;
    let key = of
        .body("jwk")
        .map(|jwk| {
            jwk.as_object()
                .and_then(|jwk| PublicKey::from_jwk(jwk).ok())
                .ok_or_else(|| Failure::new(CHECK, "the registration's key is not usable"))
        })
        .transpose()?;
    if let Some(key) = key {
        agree(
            CHECK,
            of.text(CHECK, "thumbprint")? == key.thumbprint().to_string(),
            "the thumbprint of the principal's key",
        )?;
    }
    let who = of.value_object(CHECK, "principal")?;
    let text = |name| who.member(name).and_then(Json::as_str);
    let (Some(issuer), Some(Ok(id)), 2) =
        (text("issuer"), text("id").map(PrincipalId::parse), who.len())
    else {
        return Err(Failure::new(CHECK, "the disclosed `principal` is not {issuer, id}"));
    };
    let (issuer, alias) = (issuer.to_owned(), alias.to_owned());
    Ok(Principal { id, issuer, alias, key, index: of.index })
}

/// The grant of the decision.
pub(super) struct Grant {
    pub(super) statement: grant::Statement,
    pub(super) signed_by: SignedBy,
    pub(super) index: u64,
}

/// The grant in the log, its statement and the principal's signature.
pub(super) fn grant(case: &Case<'_>, principal: &Principal) -> Result<Grant, Failure> {
    const CHECK: Check = Check::Grant;
    let id = case.decided.subject(CHECK, Subject::Grant)?;
    let of = case.receipts.one(CHECK, Kind::GrantRecorded, Subject::Grant, id)?;
    let statement = grant::Statement::from_json(of.value("statement")?)
        .map_err(|e| Failure::new(CHECK, e.to_string()))?;
    agree(CHECK, of.text(CHECK, "grant")? == id && statement.id.as_str() == id, "the grant's id")?;
    agree(CHECK, of.digest(CHECK, "digest")? == statement.digest(), "the statement's digest")?;
    agree(CHECK, statement.org == case.trust.org, "the statement's organisation")?;
    let window = (of.integer(CHECK, "not_before")?, of.integer(CHECK, "not_after")?);
    agree(CHECK, window == (statement.not_before, statement.not_after), "the grant's window")?;
    agree(CHECK, statement.principal == principal.id, "the principal of the statement")?;
    agree(
        CHECK,
        statement.principal_issuer == principal.issuer,
        "the issuer of the statement's principal",
    )?;
    let signed = of
        .body("signed")
        .and_then(Json::as_bool)
        .ok_or_else(|| Failure::new(CHECK, "`body.signed` is missing or malformed"))?;
    let signed_by = if signed {
        signature::verify(case, of, &statement, principal)?
    } else {
        SignedBy::Attested
    };
    ensure(principal.index < of.index, CHECK, || {
        "the grant is in the log before its principal".to_owned()
    })?;
    Ok(Grant { statement, signed_by, index: of.index })
}

/// One enrolled hop.
pub(super) struct Enrolled {
    pub(super) hop: Hop,
    pub(super) holder: PublicKey,
}

/// The enrolment of every hop that the decision names, held against the keys
/// of the chain.
pub(super) fn hops(case: &Case<'_>, chain: &[String]) -> Result<Vec<Enrolled>, Failure> {
    const CHECK: Check = Check::Enrolment;
    let stated = case
        .decided
        .body("hops")
        .and_then(Json::as_array)
        .ok_or_else(|| Failure::new(CHECK, "the decision names no hops"))?;
    ensure(stated.len() == chain.len(), CHECK, || {
        format!("the decision names {} hops, the chain has {} tokens", stated.len(), chain.len())
    })?;
    stated
        .iter()
        .zip(chain)
        .enumerate()
        .map(|(i, (stated, token))| {
            let at = |found: String| Failure::new(CHECK, format!("hop {i}: {found}"));
            let instance = stated
                .as_object()
                .and_then(|o| o.member("instance")?.as_str())
                .ok_or_else(|| at("it names no instance".to_owned()))?;
            let of =
                case.receipts.one(CHECK, Kind::InstanceEnrolled, Subject::Instance, instance)?;
            let enrolled = enrolled(case, of).map_err(|f| at(f.found))?;
            // Whose token it is follows from its `cnf`, which the next check
            // verifies together with the chain.
            let seen = Seen::parse(token, &ChainLimits::DEFAULT).map_err(|d| at(d.to_string()))?;
            ensure(seen.holder == enrolled.holder, CHECK, || {
                format!("hop {i}: the token's key is not the one that the instance enrolled")
            })?;
            ensure(super::states_hop(stated, &enrolled.hop), CHECK, || {
                format!("hop {i}: the decision states another agent or guarantee")
            })?;
            Ok(enrolled)
        })
        .collect()
}

fn enrolled(case: &Case<'_>, of: &Opened) -> Result<Enrolled, Failure> {
    const CHECK: Check = Check::Enrolment;
    let enrolment = of.value("enrolment")?;
    let statement =
        enrolment::Statement::verify(enrolment).map_err(|e| Failure::new(CHECK, e.to_string()))?;
    agree(
        CHECK,
        of.digest(CHECK, "enrolment_digest")? == enrolment::Statement::digest(enrolment),
        "the enrolment's digest",
    )?;
    let instance = statement.instance.as_str();
    agree(
        CHECK,
        of.subject(CHECK, Subject::Instance)? == instance
            && of.text(CHECK, "instance")? == instance,
        "the enrolled instance",
    )?;
    let agent = statement.agent.as_str();
    agree(
        CHECK,
        of.subject(CHECK, Subject::Agent)? == agent && of.text(CHECK, "agent")? == agent,
        "the enrolled agent",
    )?;
    agree(
        CHECK,
        of.text(CHECK, "holder")? == statement.holder.thumbprint().to_string(),
        "the enrolled holder key",
    )?;
    ensure(case.trust.issuers.iter().any(|i| i.uri == statement.audience), CHECK, || {
        "the enrolment was made for another authority".to_owned()
    })?;
    let added = case.receipts.one(CHECK, Kind::AgentAdded, Subject::Agent, agent)?;
    agree(CHECK, added.text(CHECK, "agent")? == agent, "the registered agent")?;
    let alias = added.text(CHECK, "owner")?;
    agree(CHECK, of.text(CHECK, "owner")? == alias, "the agent's owner")?;
    let owner = principal(case.receipts, alias)?;
    agree(CHECK, statement.owner == owner.id, "the owner that the enrolment names")?;
    ensure(
        owner.index < added.index && added.index < of.index && of.index < case.decided.index,
        CHECK,
        || "owner, agent, enrolment and decision are not in this order in the log".to_owned(),
    )?;
    let guarantee = Guarantee::parse(of.text(CHECK, "guarantee")?)
        .ok_or_else(|| Failure::new(CHECK, "the guarantee is not known"))?;
    let hop = Hop {
        instance: statement.instance,
        agent: statement.agent,
        owner: Some(statement.owner),
        // Whether they were active then only the gateway's record can say;
        // the next check takes it from there.
        instance_active: true,
        agent_active: true,
        guarantee,
    };
    Ok(Enrolled { hop, holder: statement.holder })
}
