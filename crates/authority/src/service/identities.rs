//! Enrolment over the network, identity tokens and SVIDs.

use bailiwick_core::ids::{AgentId, InstanceId};
use bailiwick_core::json::Json;
use bailiwick_core::stop::StopTarget;
use bailiwick_store::{Instance, Spent, StoreError, Subject, Ticket, Tx, View};

use super::registry::enrolment_state;
use super::stops::stopped;
use super::{Authority, Inner, revoked};
use crate::host::Moment;
use crate::people::sessions::Secret;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::identities::{self, Fresh, Issued, Request, Retirement};
use crate::rules::instances;
use crate::rules::life::Administrator;
use crate::rules::stops::stands;
use crate::rules::svids::{self, Asked, IssuedSvids};

/// What a one-time enrolment token is kept as.
pub(super) const INVITATION: &str = "instance-invitation";

/// Seconds within which an enrolment token is used.
const INVITATION_SECONDS: i64 = 3600;

/// What the guard against repeated requests calls itself.
const AUDIENCE: &str = "identity-request";

/// A stranger learns nothing about which instances there are.
const UNKNOWN: Refusal = Refusal::IdentityRequest {
    what: "the signature does not hold under the instance's identity key",
};

impl Authority {
    /// Makes a one-time token with which one instance of an agent enrols itself.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn instance_invite(&self, agent: &AgentId) -> Result<Secret, Refusal> {
        let agent = agent.clone();
        let by = self.1.clone().map_or(Administrator::OnHost, Administrator::SignedIn);
        self.transact(move |cx, tx, moment| {
            tx.agent(&agent)?.ok_or_else(|| Refusal::unknown("agent", &agent))?;
            let secret = Secret::mint(moment)?;
            let expires = moment.now().plus_seconds(INVITATION_SECONDS);
            let plan = instances::invited(moment, &cx.installation, &agent, &by, expires)?;
            let entry = cx.write(tx, plan)?;
            tx.keep_ticket(&Ticket {
                kind: INVITATION,
                key: secret.hash(),
                family: agent.to_string(),
                value: entry.to_string(),
                expires,
            })?;
            Ok(secret)
        })
    }

    /// Enrols an instance that shows a one-time token, and issues its first
    /// identity token. The token is spent even when the document is refused:
    /// whoever has it gets one try.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], and those of [`instances::enrol`].
    pub fn instance_admit(&self, token: &Secret, enrolment: &Json) -> Result<Issued, Refusal> {
        let statement = instances::read(enrolment)?;
        let key = token.hash();
        let taken = self.transact(move |_, tx, moment| {
            tx.take_ticket(INVITATION, &key, moment.now()).map_err(Refusal::from)
        })?;
        let gone = || Refusal::TicketGone { what: "enrolment token" };
        let taken = taken.filter(|ticket| ticket.family == statement.agent.as_str());
        let invitation = taken.ok_or_else(gone)?.value;
        let enrolment = enrolment.clone();
        self.transact(move |cx, tx, moment| {
            let state = enrolment_state(tx, &statement)?;
            let mut plan =
                instances::enrol(moment, &cx.installation, &enrolment, &statement, state.known())?;
            for step in &mut plan.steps {
                step.event.body.insert("invitation", invitation.as_str());
            }
            let instance = cx.write(tx, plan)?;
            let plan = issue(cx, tx, moment, &instance)?;
            cx.write(tx, plan)
        })
    }

    /// Issues another identity token to whoever signs for it with the
    /// instance's identity key.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`], [`Refusal::InstanceUnsuitable`],
    /// [`Refusal::AgentInactive`], [`Refusal::Revoked`].
    pub fn identity_renew(&self, request: &str) -> Result<Issued, Refusal> {
        let request = request.to_owned();
        self.transact(move |cx, tx, moment| {
            let (instance, _) = admitted(cx, tx, moment, &request, identities::REQUEST_TYPE)?;
            let plan = issue(cx, tx, moment, &instance)?;
            cx.write(tx, plan)
        })
    }

    /// Issues SVIDs for a fresh key to whoever signs for it with the instance's
    /// identity key.
    ///
    /// # Errors
    /// As [`Self::identity_renew`], and [`Refusal::SvidRequest`].
    pub fn svid_issue(&self, request: &str) -> Result<(IssuedSvids, Json), Refusal> {
        let request = request.to_owned();
        let issued = self.transact(move |cx, tx, moment| {
            let (instance, fresh) = admitted(cx, tx, moment, &request, svids::REQUEST_TYPE)?;
            let asked = Asked::read(&fresh.claims)?;
            let plan = known(tx, &instance, |known| {
                svids::issue(moment, &cx.installation, &cx.keys, known, &asked)
            })?;
            cx.write(tx, plan)
        })?;
        Ok((issued, self.trust_bundle()))
    }

    /// Retires the instance that signed, with its identity key and while it lived, that it is
    /// over; gives which one. Whoever brings it, and how often, is no matter.
    ///
    /// # Errors
    /// [`Refusal::IdentityRequest`].
    pub fn instance_retire_signed(&self, statement: &str) -> Result<InstanceId, Refusal> {
        let statement = statement.to_owned();
        self.transact(move |cx, tx, moment| {
            let statement = Retirement::read(&statement)?;
            let instance = tx.instance(&statement.instance)?.ok_or(UNKNOWN)?;
            statement.check(&instance, &cx.installation.issuer)?;
            let id = instance.id.clone();
            let plan = instances::retire(moment, &cx.installation, &id, Some(&instance))?;
            cx.write(tx, plan)?;
            Ok(id)
        })
    }
}

/// The instance that signed a request of this type just now, for the first time.
pub(super) fn admitted(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    request: &str,
    typ: &'static str,
) -> Result<(Instance, Fresh), Refusal> {
    let request = Request::read(request, typ)?;
    let instance = tx.instance(&request.instance)?.ok_or(UNKNOWN)?;
    let fresh = request.check(&instance, &cx.installation.issuer, moment.now())?;
    if tx.spend_proof(AUDIENCE, &fresh.key, fresh.expires)? == Spent::Already {
        return Err(Refusal::IdentityRequest { what: "it was used before" });
    }
    Ok((instance.row, fresh))
}

fn issue(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    instance: &Instance,
) -> Result<Plan<Issued>, Refusal> {
    known(view, instance, |known| identities::issue(moment, &cx.installation, &cx.keys, known))
}

/// What an instance rests on, for whoever issues it something.
fn known<T>(
    view: &View<'_>,
    instance: &Instance,
    issue: impl FnOnce(identities::Known<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    // What acts for nobody needs no new proof of who it is.
    let targets = [StopTarget::Everything, StopTarget::Agent(instance.agent.clone())];
    stands(stopped(view, &targets)?.as_ref())?;
    let agent = view.agent(&instance.agent)?;
    let owner = match &agent {
        Some(agent) => view.principal_by_alias(&agent.owner)?,
        None => None,
    };
    issue(identities::Known {
        instance,
        agent: agent.as_deref(),
        owner: owner.as_deref(),
        revoked: standing(view, instance, owner.as_deref())?,
    })
}

fn standing(
    view: &View<'_>,
    instance: &Instance,
    owner: Option<&bailiwick_store::Principal>,
) -> Result<Option<&'static str>, StoreError> {
    let mut subjects = vec![
        Subject::Instance { id: instance.id.clone() },
        Subject::Agent { id: instance.agent.clone() },
    ];
    subjects.extend(owner.map(|o| Subject::Principal { alias: o.alias.clone() }));
    revoked(view, &subjects)
}
