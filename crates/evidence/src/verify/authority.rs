//! Who stands behind the action: the principal, the grant, and the enrolment
//! of every hop.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::make::Seen;
use bailiwick_core::access;
use bailiwick_core::accountable::Hop;
use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::denial::Denial;
use bailiwick_core::enrolment;
use bailiwick_core::grant::{self, SignedBy};
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{AgentId, InstanceId, PrincipalId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::ChainLimits;

use super::delegation::{Form, Presented};
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
    pub(super) key: Option<VerifyingKey>,
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
                .and_then(|jwk| VerifyingKey::from_jwk(jwk).ok())
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
    let request = of.body("request").and_then(Json::as_str);
    let answers = statement.request.as_ref().map(|request| request.as_str());
    agree(CHECK, request == answers, "the request that the grant answers")?;
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
    /// The thumbprint of its key, or what stands for one.
    pub(super) holder: Thumbprint,
}

/// The enrolment of every hop that the decision names, held against the keys
/// of the chain.
pub(super) fn hops(case: &Case<'_>, presented: &Presented) -> Result<Vec<Enrolled>, Failure> {
    const CHECK: Check = Check::Enrolment;
    let chain = &presented.chain;
    let stated = case
        .decided
        .body("hops")
        .and_then(Json::as_array)
        .ok_or_else(|| Failure::new(CHECK, "the decision names no hops"))?;
    ensure(stated.len() == chain.len(), CHECK, || {
        format!("the decision names {} hops, the chain has {} tokens", stated.len(), chain.len())
    })?;
    let mut hops: Vec<Enrolled> = Vec::with_capacity(chain.len());
    for (i, (stated, token)) in stated.iter().zip(chain).enumerate() {
        let mut hop = {
            let at = |found: String| Failure::new(CHECK, format!("hop {i}: {found}"));
            let instance = stated
                .as_object()
                .and_then(|o| o.member("instance")?.as_str())
                .ok_or_else(|| at("it names no instance".to_owned()))?;
            // Whose token it is follows from its `cnf`, which the next check
            // verifies together with the chain.
            let holder = holder(presented.form, token).map_err(|d| at(d.to_string()))?;
            let text = |name| stated.as_object().and_then(|o| o.member(name)?.as_str());
            let elsewhere = text("agent")
                .and_then(|agent| AgentId::parse(agent).ok())
                .filter(|agent| agent.trust_domain().is_some());
            // One instance is either: ids are minted, not chosen twice.
            let (client, of_instance) = (Kind::ClientChanged, Subject::Instance);
            let enrolled =
                match (elsewhere, case.receipts.one(CHECK, client, of_instance, instance)) {
                    (Some(agent), _) => {
                        let handoff = text("handoff").ok_or_else(|| {
                            at("an agent of another trust domain acts by no handoff".to_owned())
                        })?;
                        let named = (agent, instance);
                        super::peers::elsewhere(case, handoff, named, holder)
                            .map_err(|f| at(f.found))?
                    }
                    (None, Ok(of)) => mapped(case, of, holder).map_err(|f| at(f.found))?,
                    (None, Err(_)) => {
                        let of = case.receipts.one(
                            CHECK,
                            Kind::InstanceEnrolled,
                            Subject::Instance,
                            instance,
                        )?;
                        enrolled(case, of).map_err(|f| at(f.found))?
                    }
                };
            ensure(holder == enrolled.holder, CHECK, || {
                format!("hop {i}: the token's key is not the one that the instance enrolled")
            })?;
            enrolled
        };
        if i == 0 {
            hop.hop.guarantee = hop.hop.guarantee.max(issued_to(case)?);
        }
        let handoff = stated.as_object().and_then(|o| o.member("handoff")?.as_str());
        if let Some(handoff) = handoff {
            let giver = hops.last().ok_or_else(|| {
                Failure::new(Check::Peers, "the first hop took the task over from nobody")
            })?;
            super::peers::take_over(case, handoff, token, giver, &mut hop)?;
        }
        ensure(super::states_hop(stated, &hop.hop), CHECK, || {
            format!("hop {i}: the decision states another agent or guarantee")
        })?;
        hops.push(hop);
    }
    Ok(hops)
}

/// How surely the instance that the root was issued to was known then.
fn issued_to(case: &Case<'_>) -> Result<Guarantee, Failure> {
    const CHECK: Check = Check::Enrolment;
    let root = case.decided.text(CHECK, "root")?;
    // That it is there at all is a later check's.
    let (kind, about) = (Kind::DelegationIssued, Subject::Delegation);
    let issued = case.receipts.one(Check::Agreement, kind, about, root)?;
    match issued.body("guarantee") {
        None => Ok(Guarantee::Key),
        Some(stated) => stated
            .as_str()
            .and_then(Guarantee::parse)
            .ok_or_else(|| Failure::new(CHECK, "the root's guarantee is not known")),
    }
}

fn holder(form: Form, token: &str) -> Result<Thumbprint, Denial> {
    let limits = &ChainLimits::DEFAULT;
    match form {
        Form::Chain => Ok(Seen::parse(token, limits)?.holder.thumbprint()),
        Form::Dpop | Form::Bearer => {
            access::Unverified::parse(token, limits)?.claimed_holder(limits)
        }
    }
}

/// A client that was mapped to an agent. It enrolled no key: what its token is
/// bound to is what the authority issued it for.
fn mapped(case: &Case<'_>, of: &Opened, holder: Thumbprint) -> Result<Enrolled, Failure> {
    const CHECK: Check = Check::Enrolment;
    let malformed =
        |what: &str| Failure::new(CHECK, format!("the mapping's `{what}` is malformed"));
    let agent = of.subject(CHECK, Subject::Agent)?;
    agree(CHECK, of.text(CHECK, "agent")? == agent, "the mapped agent")?;
    let instance = of.subject(CHECK, Subject::Instance)?;
    agree(CHECK, of.text(CHECK, "instance")? == instance, "the mapped instance")?;
    let client = of.value_object(CHECK, "client")?;
    let id = client.member("id").and_then(Json::as_str).ok_or_else(|| malformed("client"))?;
    let claimed = case
        .decided
        .value("chain")?
        .as_array()
        .and_then(|chain| chain.first()?.as_str())
        .and_then(|token| Compact::parse(token).ok()?.claims(&ChainLimits::DEFAULT.json).ok());
    let named = claimed.as_ref().and_then(|c| c.member("client_id")?.as_str());
    agree(CHECK, named == Some(id), "the client that the token names")?;
    let (alias, owned) = case.receipts.owner_of(CHECK, agent, of.index)?;
    let owner = principal(case.receipts, alias)?;
    ensure(
        owner.index < owned && owned < of.index && of.index < case.decided.index,
        CHECK,
        || "owner, agent, mapping and decision are not in this order in the log".to_owned(),
    )?;
    let hop = Hop {
        instance: InstanceId::parse(instance).map_err(|_| malformed("instance"))?,
        agent: AgentId::parse(agent).map_err(|_| malformed("agent"))?,
        owner: Some(owner_at_decision(case, agent)?),
        instance_active: true,
        agent_active: true,
        guarantee: Guarantee::parse(of.text(CHECK, "guarantee")?)
            .ok_or_else(|| malformed("guarantee"))?,
        handoff: None,
        isolation: Isolation::Unstated,
        domain_as_of: None,
    };
    Ok(Enrolled { hop, holder })
}

/// Who answered for the agent when it was decided: what it enrolled under an
/// earlier owner was retired when it moved.
fn owner_at_decision(case: &Case<'_>, agent: &str) -> Result<PrincipalId, Failure> {
    let (alias, _) = case.receipts.owner_of(Check::Enrolment, agent, case.decided.index)?;
    Ok(principal(case.receipts, alias)?.id)
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
    let (alias, owned) = case.receipts.owner_of(CHECK, agent, of.index)?;
    agree(CHECK, of.text(CHECK, "owner")? == alias, "the agent's owner")?;
    let owner = principal(case.receipts, alias)?;
    agree(CHECK, statement.owner == owner.id, "the owner that the enrolment names")?;
    ensure(
        owner.index < owned && owned < of.index && of.index < case.decided.index,
        CHECK,
        || "owner, agent, enrolment and decision are not in this order in the log".to_owned(),
    )?;
    let answers = owner_at_decision(case, agent)?;
    let guarantee = Guarantee::parse(of.text(CHECK, "guarantee")?)
        .ok_or_else(|| Failure::new(CHECK, "the guarantee is not known"))?;
    let hop = Hop {
        instance: statement.instance,
        agent: statement.agent,
        owner: Some(answers),
        // Whether they were active then only the gateway's record can say;
        // the next check takes it from there.
        instance_active: true,
        agent_active: true,
        guarantee,
        handoff: None,
        isolation: statement.isolation,
        domain_as_of: None,
    };
    Ok(Enrolled { hop, holder: statement.holder.thumbprint() })
}
