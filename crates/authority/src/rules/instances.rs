//! Instances: one signed statement binds an instance's two keys to its agent
//! and owner.

use bailiwick_core::crypto::sha256;
use bailiwick_core::enrolment::Statement;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, EntryId, InstanceId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Agent, Instance, Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::agents::acting;
use crate::rules::life::Administrator;
use crate::rules::principals::{changes, signing_key};

/// Minutes between the making of an enrolment and its arrival, either way.
pub const FRESH_MINUTES: i64 = 10;

/// What is known about an enrolment's parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The agent it names.
    pub agent: Option<&'a Agent>,
    /// That agent's owner.
    pub owner: Option<&'a Principal>,
    /// The kind of what was revoked of agent and owner.
    pub revoked: Option<&'static str>,
    /// Whether the holder key is enrolled, by an active instance or not.
    pub holder_enrolled: bool,
    /// Whether an instance of this id exists.
    pub instance_exists: bool,
}

/// Reads an enrolment and checks both signatures: everything about it that
/// needs no state.
///
/// # Errors
/// [`Refusal::Enrolment`].
pub fn read(enrolment: &Json) -> Result<Statement, Refusal> {
    Ok(Statement::verify(enrolment)?)
}

/// Enrols an instance. `statement` is what [`read`] gave for `enrolment`.
///
/// # Errors
/// See [`Refusal`]: audience, freshness, agent, owner, and keys that serve
/// somebody already.
pub fn enrol(
    moment: &Moment<'_>,
    installation: &Installation,
    enrolment: &Json,
    statement: &Statement,
    known: Known<'_>,
) -> Result<Plan<Instance>, Refusal> {
    if statement.audience != installation.issuer {
        let expected = installation.issuer.clone();
        return Err(Refusal::EnrolmentOtherAudience { expected });
    }
    let apart = moment.now().millis_since(statement.made_at).abs();
    if apart > FRESH_MINUTES * 60_000 {
        return Err(Refusal::EnrolmentNotFresh { max_minutes: FRESH_MINUTES });
    }
    let agent = acting(&statement.agent, known.agent, known.owner)?;
    if let Some(kind) = known.revoked {
        return Err(Refusal::Revoked { kind });
    }
    let owner = known.owner.filter(|o| o.id.as_ref() == Some(&statement.owner));
    let owner = owner.ok_or_else(|| Refusal::EnrolmentOtherOwner { agent: agent.id.clone() })?;
    let holder = statement.holder.thumbprint();
    // A key that was enrolled once is never enrolled again, so a retired
    // instance cannot come back under another name.
    if known.holder_enrolled {
        return Err(Refusal::KeyTaken { whose: "instance" });
    }
    let keys = [VerifyingKey::from(statement.holder), VerifyingKey::from(statement.identity)];
    if signing_key(owner).is_ok_and(|key| keys.contains(&key)) {
        return Err(Refusal::KeyTaken { whose: "principal" });
    }
    if known.instance_exists {
        let name = statement.instance.to_string();
        return Err(Refusal::Exists { what: "instance", name });
    }
    let identity = Json::from(statement.identity.to_jwk()).canonical();
    let row = Instance {
        id: statement.instance.clone(),
        agent: agent.id.clone(),
        holder,
        holder_jwk: Json::from(statement.holder.to_jwk()).canonical(),
        identity_jwk: identity.clone(),
        statement: enrolment.canonical(),
        status: Status::Active,
    };
    let step = Step::new(moment, &installation.org, Kind::InstanceEnrolled)?
        .about(|s| {
            s.principal = Some(owner.alias.to_string());
            s.agent = Some(agent.id.to_string());
            s.instance = Some(row.id.to_string());
        })
        .with("instance", &row.id)
        .with("agent", &agent.id)
        .with("owner", &owner.alias)
        .with("holder", holder)
        // RFC 7638: the JWK holds the required members only, in order.
        .with("identity", sha256(identity.as_bytes()))
        .with("enrolment_digest", Statement::digest(enrolment))
        .with("spiffe_id", installation.spiffe_id(&agent.id))
        .with("guarantee", Guarantee::Key.as_str())
        .with_some("isolation", statement.isolation.stated())
        .commit(moment, "enrolment", enrolment.clone())?
        .row(Row::Instance(row.clone()));
    Ok(Plan::one(step, row))
}

/// The entry of a one-time token by which an instance of an agent enrols
/// itself: whoever uses it acts as that agent, so it is never made unseen. The
/// enrolment names it.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn invited(
    moment: &Moment<'_>,
    installation: &Installation,
    agent: &AgentId,
    by: &Administrator,
    until: Timestamp,
) -> Result<Plan<EntryId>, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::InstanceInvited)?
        .about(|s| s.agent = Some(agent.to_string()))
        .with("until", until.seconds());
    let step = match by {
        Administrator::OnHost => step.with("by", "operator"),
        Administrator::SignedIn(person) => step.with("by", "principal").with("session_of", person),
    };
    let entry = step.event.id.clone();
    Ok(Plan::one(step, entry))
}

/// Retires an instance, for good.
///
/// # Errors
/// [`Refusal::Unknown`].
pub fn retire(
    moment: &Moment<'_>,
    installation: &Installation,
    id: &InstanceId,
    current: Option<&Instance>,
) -> Result<Plan<()>, Refusal> {
    let current = current.ok_or_else(|| Refusal::unknown("instance", id))?;
    if !changes(id.as_str(), current.status, Status::Retired)? {
        return Ok(Plan::nothing(()));
    }
    let step = Step::new(moment, &installation.org, Kind::InstanceChanged)?
        .about(|s| {
            s.agent = Some(current.agent.to_string());
            s.instance = Some(id.to_string());
        })
        .with("status", Status::Retired.as_str())
        .row(Row::InstanceStatus { instance: id.clone(), status: Status::Retired });
    Ok(Plan::one(step, ()))
}
