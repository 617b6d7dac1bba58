//! Consent in the browser: from a client's request to a signed grant and a code,
//! and from an agent's request for more authority to a signed grant.
//!
//! What is shown and what is signed come from one stored value, the prepared
//! statement. It is kept in a ticket under a secret of its own; each change
//! makes another secret, so that an older page can sign nothing.

use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::Digest;
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{AgentId, Alias, RequestId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::scope::Scope;
use bailiwick_policy::Workflow;
use bailiwick_policy::expand::expand;
use bailiwick_policy::grades::Risk;
use bailiwick_policy::limits::MAX_CONSTRAINT_DEPTH;
use bailiwick_store::{Client, Status, Ticket, Tx, View};

use super::people::SignedIn;
use super::requests::{Granter, Lesser, answer_prepared};
use super::{Authority, Inner, PrepareOptions};
use crate::host::Moment;
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::request::AuthorizationRequest;
use crate::people::sessions::Secret;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::delegations::{
    self, NarrowError, Narrowing, Options, Prepared, choose_workflow, narrow,
};
use crate::rules::requests;

mod sign;

const KIND: &str = "consent";
/// Seconds for which a request waits for its person; a prepared grant is to be
/// signed within the same time.
const SECONDS: i64 = delegations::PREPARED_MINUTES * 60;

/// Requests that wait for one person at most.
const MAX_WAITING: u64 = 100;

/// Who asked for a grant, and what happens when it is signed.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// A client, which gets a code.
    Client {
        /// What it asked.
        request: Box<AuthorizationRequest>,
        /// The client, as it is on record now.
        client: Box<Client>,
    },
    /// An agent that lacks authority, which gets a root when it asks again.
    Agent {
        /// What it asked.
        request: RequestId,
    },
}

/// A request that waits for its person.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// Who asked.
    pub origin: Origin,
    /// The agent that would act.
    pub agent: AgentId,
    /// What would be signed; absent until the task is chosen.
    pub prepared: Option<Prepared>,
    /// Whether the person has taken something away.
    pub is_narrowed: bool,
}

/// Why a request does not reach its person, or not its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConsentError {
    /// The client is mapped to no agent: an operator must say which one it is.
    #[error("this client is not mapped to a registered agent, so it gets nothing")]
    ClientUnmapped {
        /// The client.
        client: String,
    },
    /// Goes back to the client.
    #[error("{error}")]
    ToClient {
        /// What is wrong.
        error: OAuthError,
    },
    /// Shown to the person.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<bailiwick_store::StoreError> for ConsentError {
    fn from(e: bailiwick_store::StoreError) -> Self {
        Self::Refused(e.into())
    }
}

/// Who asked, as it is stored.
#[derive(Clone)]
enum Asker {
    Client(Box<AuthorizationRequest>),
    Agent(RequestId),
}

/// A stored request, before the registry was asked about it again.
struct Kept {
    asker: Asker,
    principal: Alias,
    prepared: Option<Prepared>,
    is_narrowed: bool,
}

impl Kept {
    fn to_text(&self, issuer: &str) -> String {
        let object = match &self.asker {
            Asker::Client(request) => Object::new().with("request", request.to_json(issuer)),
            Asker::Agent(id) => Object::new().with("answers", id),
        };
        let mut object =
            object.with("principal", &self.principal).with("narrowed", self.is_narrowed);
        if let Some(prepared) = &self.prepared {
            object.insert("prepared", prepared.to_json());
        }
        Json::from(object).canonical()
    }

    fn read(text: &str, issuer: &str) -> Option<Self> {
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
        let o = json.as_object()?;
        Some(Self {
            asker: match o.member("answers") {
                Some(id) => Asker::Agent(RequestId::parse(id.as_str()?).ok()?),
                None => {
                    let request = AuthorizationRequest::from_json(o.member("request")?, issuer)?;
                    Asker::Client(Box::new(request))
                }
            },
            principal: Alias::parse(o.member("principal")?.as_str()?).ok()?,
            prepared: match o.member("prepared") {
                Some(prepared) => Some(Prepared::from_json(prepared).ok()?),
                None => None,
            },
            is_narrowed: o.member("narrowed")?.as_bool()?,
        })
    }

    fn keep(&self, cx: &Inner, tx: &mut Tx<'_>, moment: &Moment<'_>) -> Result<Secret, Refusal> {
        let family = self.principal.to_string();
        if tx.tickets_of(KIND, &family, moment.now())? >= MAX_WAITING {
            return Err(Refusal::Busy);
        }
        let secret = Secret::mint(moment)?;
        tx.keep_ticket(&Ticket {
            kind: KIND,
            key: secret.hash(),
            family,
            value: self.to_text(&cx.installation.issuer),
            expires: moment.now().plus_seconds(SECONDS),
        })?;
        Ok(secret)
    }
}

fn gone() -> Refusal {
    Refusal::TicketGone { what: "request" }
}

/// The request under the secret with this hash, if it is this person's.
fn find(
    cx: &Inner,
    view: &View<'_>,
    key: &Digest,
    person: &Alias,
    moment: &Moment<'_>,
) -> Result<Kept, Refusal> {
    let ticket = view.ticket(KIND, key, moment.now())?.ok_or_else(gone)?;
    let kept = Kept::read(&ticket.value, &cx.installation.issuer).ok_or_else(gone)?;
    // SECURITY: what was shown to one person is signed by no other.
    if kept.principal != *person { Err(gone()) } else { Ok(kept) }
}

/// The client's record and its agent, as they are now.
fn mapped(view: &View<'_>, client: &str) -> Result<(Client, AgentId), ConsentError> {
    let unmapped = || ConsentError::ClientUnmapped { client: client.to_owned() };
    let found = view.client(client)?.ok_or_else(unmapped)?.row;
    if found.status != Status::Active {
        return Err(unmapped());
    }
    let agent = found.agent.clone().ok_or_else(unmapped)?;
    Ok((found, agent))
}

impl Authority {
    /// Takes up a client's request for a signed-in person; gives the secret of
    /// its page. When the request says everything that a grant needs, the
    /// statement is prepared at once.
    ///
    /// # Errors
    /// [`ConsentError::ClientUnmapped`]; [`ConsentError::ToClient`] for what
    /// cannot be granted to this client.
    pub fn consent_begin(
        &self,
        person: &SignedIn,
        request: &AuthorizationRequest,
    ) -> Result<Secret, ConsentError> {
        let (_, agent) = self.0.store.read(|view| mapped(view, request.client.as_str()))?;
        let asked = request.delegation.agent.as_ref();
        if asked.is_some_and(|asked| *asked != agent) {
            let text = "the client is mapped to another agent than `authorization_details` names";
            let error = OAuthError::new(Code::AccessDenied, "agent-other", text);
            return Err(ConsentError::ToClient { error });
        }
        let details = &request.delegation;
        let prepared = match &details.purpose {
            Some(purpose) if !request.scope.is_empty() => {
                let scope = request.scope.clone();
                let workflow = details.workflow.clone();
                Some(self.consent_prepare(person, request, &agent, workflow, purpose, scope)?)
            }
            _ => None,
        };
        let kept = Kept {
            asker: Asker::Client(Box::new(request.clone())),
            principal: person.principal.alias.clone(),
            prepared,
            is_narrowed: false,
        };
        Ok(self.transact(move |cx, tx, moment| kept.keep(cx, tx, moment))?)
    }

    /// Takes up an agent's request for more authority for somebody who may grant
    /// it as themselves; gives the secret of its page. The statement is prepared
    /// at once, from what they leave of it.
    ///
    /// # Errors
    /// As [`Authority::request_prepare`].
    pub fn request_begin(
        &self,
        person: &SignedIn,
        id: &RequestId,
        lesser: &Lesser,
    ) -> Result<Secret, Refusal> {
        let (alias, id, lesser) = (person.principal.alias.clone(), id.clone(), lesser.clone());
        self.transact(move |cx, tx, moment| {
            let granter = Granter::Person(alias.clone());
            let prepared = answer_prepared(cx, tx, moment, &granter, &id, &lesser)?;
            let kept = Kept {
                asker: Asker::Agent(id),
                principal: alias,
                prepared: Some(prepared),
                is_narrowed: lesser != Lesser::default(),
            };
            kept.keep(cx, tx, moment)
        })
    }

    /// The request behind a page.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`], [`ConsentError::ClientUnmapped`].
    pub fn consent(&self, secret: &Secret, person: &SignedIn) -> Result<Asking, ConsentError> {
        let moment = Moment::of(&*self.0.host);
        let inner = self.now();
        self.0.store.read(|view| {
            let kept = find(&inner, view, &secret.hash(), &person.principal.alias, &moment)?;
            let Kept { asker, prepared, is_narrowed, .. } = kept;
            let (origin, agent) = match asker {
                Asker::Client(request) => {
                    let (client, agent) = mapped(view, request.client.as_str())?;
                    (Origin::Client { request, client: Box::new(client) }, agent)
                }
                Asker::Agent(request) => {
                    let found = view.authority_request(&request)?;
                    let agent = found.ok_or_else(gone)?.row.agent;
                    (Origin::Agent { request }, agent)
                }
            };
            Ok(Asking { origin, agent, prepared, is_narrowed })
        })
    }

    /// The workflows under which the agent could work.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn workflows_of_agent(
        &self,
        agent: &AgentId,
    ) -> Result<Vec<std::sync::Arc<Workflow>>, Refusal> {
        let published = self.read(|view| view.workflows())?;
        let inner = self.now();
        let mut found = Vec::new();
        for row in &published {
            let workflow = inner.parsed.of(row)?;
            if workflow.permits_agent(agent) {
                found.push(workflow);
            }
        }
        Ok(found)
    }

    /// The person says what it is for: prepares the statement.
    ///
    /// # Errors
    /// Whatever stands in the way of such a grant.
    pub fn consent_choose(
        &self,
        secret: &Secret,
        person: &SignedIn,
        workflow: &WorkflowId,
        purpose: &str,
        scope: Vec<String>,
    ) -> Result<Secret, ConsentError> {
        let asking = self.consent(secret, person)?;
        // An agent's request says everything.
        let Origin::Client { request, .. } = &asking.origin else { return Err(gone().into()) };
        // The client's own words bind it, where it said them.
        let asked = &request.delegation.workflow;
        if asking.prepared.is_some() || asked.as_ref().is_some_and(|asked| asked != workflow) {
            return Err(gone().into());
        }
        let beyond = |s: &&String| !request.scope.is_empty() && !request.scope.contains(s);
        if scope.iter().find(beyond).is_some() {
            return Err(Refusal::from(NarrowError::Wider { member: "scope" }).into());
        }
        let workflow = Some(workflow.clone());
        let prepared =
            self.consent_prepare(person, request, &asking.agent, workflow, purpose, scope)?;
        Ok(self.consent_replace(secret, person, prepared, false)?)
    }

    /// The person takes something away: prepares a narrower statement.
    ///
    /// # Errors
    /// [`Refusal::Narrow`], and whatever stands in the way of such a grant.
    pub fn consent_narrow(
        &self,
        secret: &Secret,
        person: &SignedIn,
        narrowing: &Narrowing,
    ) -> Result<Secret, ConsentError> {
        let asking = self.consent(secret, person)?;
        let before = asking.prepared.ok_or_else(gone)?.statement;
        let (mut request, options) = narrow(&before, narrowing).map_err(Refusal::from)?;
        // A shorthand of which nothing is left is not granted, and not claimed.
        let published = self.workflows_of_agent(&before.agent)?;
        if let Some(workflow) = published.iter().find(|w| w.id == before.workflow) {
            let leaves = |shorthand: &String| {
                let expanded = expand(workflow, std::slice::from_ref(shorthand));
                expanded.map(|e| e.scope.tools().any(|(tool, _)| !options.withheld.contains(tool)))
            };
            request.scope.retain(|shorthand| leaves(shorthand).unwrap_or(true));
        }
        if request.scope.is_empty() {
            return Err(Refusal::from(NarrowError::Nothing).into());
        }
        let (task, answers) = match asking.origin {
            Origin::Client { request, .. } => (request.delegation.task.clone(), None),
            Origin::Agent { request } => (None, Some(request)),
        };
        let options = PrepareOptions { options, task, request: answers };
        let prepared = self.prepare(&request, &options)?;
        // The workflow may have changed meanwhile: what counts is the result.
        let scope = |tools| Scope::parse(tools, Dialect::Extended, MAX_CONSTRAINT_DEPTH).ok();
        let is_within = match (scope(&before.tools), scope(&prepared.statement.tools)) {
            (Some(before), Some(after)) => before.covers(&after).is_ok(),
            _ => false,
        };
        if !is_within || prepared.statement.not_after > before.not_after {
            return Err(Refusal::from(NarrowError::Wider { member: "tools" }).into());
        }
        Ok(self.consent_replace(secret, person, prepared, true)?)
    }

    fn consent_replace(
        &self,
        secret: &Secret,
        person: &SignedIn,
        prepared: Prepared,
        is_narrowed: bool,
    ) -> Result<Secret, Refusal> {
        let (secret, alias) = (secret.clone(), person.principal.alias.clone());
        self.transact(move |cx, tx, moment| {
            let kept = find(cx, tx, &secret.hash(), &alias, moment)?;
            tx.take_ticket(KIND, &secret.hash(), moment.now())?;
            let kept = Kept { prepared: Some(prepared), is_narrowed, ..kept };
            kept.keep(cx, tx, moment)
        })
    }

    fn consent_prepare(
        &self,
        person: &SignedIn,
        request: &AuthorizationRequest,
        agent: &AgentId,
        workflow: Option<WorkflowId>,
        purpose: &str,
        scope: Vec<String>,
    ) -> Result<Prepared, Refusal> {
        let moment = Moment::of(&*self.0.host);
        let details = &request.delegation;
        let mut wanted = Request {
            principal: person.id.clone(),
            agent: agent.clone(),
            scope,
            expires_at: moment.now(),
            purpose: purpose.to_owned(),
            workflow,
        };
        let published = self.workflows_of_agent(agent)?;
        let chosen = choose_workflow(&wanted, &published)?;
        // As long as the client asked, and no longer than the workflow allows.
        let longest = i64::try_from(chosen.window_seconds).unwrap_or(i64::MAX);
        let seconds = details.expires_in_seconds.map_or(longest, |asked| asked.min(longest));
        wanted.expires_at = moment.now().plus_seconds(seconds);
        wanted.workflow = Some(chosen.id.clone());
        let options = Options {
            max_depth: details.max_depth,
            budget: details.budget.clone(),
            ..Options::default()
        };
        let task = details.task.clone();
        self.prepare(&wanted, &PrepareOptions { options, task, request: None })
    }

    /// The person refuses; gives where the browser goes.
    ///
    /// # Errors
    /// [`Refusal::TicketGone`].
    pub fn consent_deny(&self, secret: &Secret, person: &SignedIn) -> Result<String, Refusal> {
        let (secret, alias) = (secret.clone(), person.principal.alias.clone());
        self.transact(move |cx, tx, moment| {
            let kept = find(cx, tx, &secret.hash(), &alias, moment)?;
            tx.take_ticket(KIND, &secret.hash(), moment.now())?;
            let request = match &kept.asker {
                Asker::Client(request) => request,
                Asker::Agent(id) => {
                    let asked = tx.authority_request(id)?.ok_or_else(gone)?;
                    let about = (&asked.row, &asked.entry);
                    let plan =
                        requests::refuse(moment, &cx.installation, about, &alias, None, None)?;
                    cx.write(tx, plan)?;
                    return Ok(format!("/requests/{id}"));
                }
            };
            let client = request.client.as_str();
            let agent = tx.client(client)?.and_then(|c| c.row.agent);
            let step = Step::new(moment, &cx.installation.org, Kind::AuthorizationRefused)?
                .about(|s| {
                    s.principal = Some(alias.to_string());
                    s.agent = agent.map(|agent| agent.to_string());
                    s.reason = Some("person-refused".to_owned());
                })
                .with("by", "principal")
                .commit(moment, "client", client)?;
            cx.write(tx, Plan::one(step, ()))?;
            let text = "the person refused";
            let error = OAuthError::new(Code::AccessDenied, "person-refused", text);
            Ok(request.error_location(&error, &cx.installation.issuer))
        })
    }
}

/// The highest risk that the workflow gives to any of these tools; a tool that
/// it does not rate counts as critical.
pub(crate) fn highest_risk(workflow: &Workflow, tools: &Object) -> Risk {
    let risk = |tool: &str| {
        let id = bailiwick_core::ids::ToolId::parse(tool).ok();
        let rating = id.as_ref().and_then(|id| workflow.catalogue.rating(id));
        rating.map_or(Risk::Critical, |rating| rating.risk)
    };
    tools.iter().map(|(tool, _)| risk(tool)).max().unwrap_or(Risk::Critical)
}
