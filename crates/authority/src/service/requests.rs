//! Requests of agents for more authority: asking, seeing, deciding, taking up.

use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::grant::{Proof, Registered, Request, Statement};
use bailiwick_core::ids::{Alias, EntryId, GrantId, PrincipalId, RequestId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::entitlements::{Asked, Ceiling};
use bailiwick_policy::expand::expand_parts;
use bailiwick_store::{
    AuthorityRequest, Filter, Principal, RequestState, Stored, Subject, Ticket, View,
};

use super::delegations::{PrepareOptions, State, own_keys, prepared};
use super::people::{SignedIn, person};
use super::{Authority, Inner, disclosed};
use crate::host::Moment;
use crate::people::roles::{Deed, Role, require};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::delegations::{self, Options, Prepared, Submission};
use crate::rules::requests::{
    self, Answering, Asker, FLOOD_SECONDS, Ground, MIN_SECONDS, Wanted, stands,
};

mod shown;
mod take_up;
pub use shown::{ListedRequest, RequestAnswer, ShownRequest, Taken};

/// What equal requests share is found by its keyed digest.
const FOLD: &str = "authority-request";
/// Entries of one task that are looked through for who decided.
const MAX_DECISIONS: u32 = 200;

/// What somebody who grants leaves of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lesser {
    /// The shorthands; all, if none is named.
    pub scope: Vec<String>,
    /// For how long; as long as was asked, if it is not said.
    pub seconds: Option<u64>,
}

/// How the author of a decision is known: never by what a body says.
#[derive(Clone, Debug)]
pub enum Granter {
    /// Signed in.
    Person(Alias),
    /// By the principal's own key, which signed.
    Key(PrincipalId),
}

/// A request that a grant answers, read with what it rests on.
pub(super) struct Answered {
    pub(super) request: Stored<AuthorityRequest>,
    scope: Vec<String>,
    under: Statement,
    account: Digest,
}

impl Answered {
    /// The request that a statement names, if it names one.
    pub(super) fn of(view: &View<'_>, statement: &Statement) -> Result<Option<Self>, Refusal> {
        statement.request.as_ref().map(|id| Self::read(view, id)).transpose()
    }

    pub(super) fn read(view: &View<'_>, id: &RequestId) -> Result<Self, Refusal> {
        let request = found(view, id)?;
        // What nobody can read any more nobody can grant.
        let scope = scope_of(view, &request.entry)?;
        let scope = scope.ok_or_else(|| Refusal::unknown("request", id))?;
        let gone = || Refusal::unknown("grant", &request.grant);
        let grant = view.grant(&request.grant)?.ok_or_else(gone)?;
        let (text, _) = view.grant_texts(&request.grant)?.ok_or_else(gone)?;
        let under = statement_of(&text).ok_or_else(gone)?;
        let account = grant.account.unwrap_or(grant.digest);
        Ok(Self { request, scope, under, account })
    }

    pub(super) fn rule(&self) -> Answering<'_> {
        Answering {
            request: &self.request,
            asked: &self.request.entry,
            scope: &self.scope,
            under: &self.under,
            account: self.account,
        }
    }

    /// What an answer has at most, where it does not say less.
    pub(super) fn bound(&self, terms: &mut Options) {
        terms.max_depth = terms.max_depth.or(Some(0));
        for (member, limit) in self.under.budget.iter() {
            if terms.budget.member(member).is_none() {
                terms.budget.insert(member, limit.clone());
            }
        }
    }
}

fn statement_of(text: &str) -> Option<Statement> {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    Statement::from_json(&json).ok()
}

fn found(view: &View<'_>, id: &RequestId) -> Result<Stored<AuthorityRequest>, Refusal> {
    view.authority_request(id)?.ok_or_else(|| Refusal::unknown("request", id))
}

fn scope_of(view: &View<'_>, entry: &EntryId) -> Result<Option<Vec<String>>, Refusal> {
    let scope = disclosed(view, entry, "scope")?;
    let texts = |list: &[Json]| list.iter().map(|s| s.as_str().map(str::to_owned)).collect();
    Ok(scope.as_ref().and_then(Json::as_array).and_then(texts))
}

fn text_of(view: &View<'_>, entry: &EntryId, field: &str) -> Result<Option<String>, Refusal> {
    Ok(disclosed(view, entry, field)?.as_ref().and_then(Json::as_str).map(str::to_owned))
}

fn name_of(view: &View<'_>, alias: &Alias) -> Result<Option<PrincipalId>, Refusal> {
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

fn workflow_of(
    cx: &Inner,
    view: &View<'_>,
    request: &AuthorityRequest,
) -> Result<Arc<Workflow>, Refusal> {
    let version = view.workflow_version(&request.workflow, &request.workflow_digest)?;
    let version = version.ok_or_else(|| Refusal::unknown("workflow version", &request.workflow))?;
    cx.parsed.of(&version)
}

fn listed(
    view: &View<'_>,
    request: Stored<AuthorityRequest>,
    now: Timestamp,
) -> Result<ListedRequest, Refusal> {
    let state = stands(&request, now);
    Ok(ListedRequest { principal: name_of(view, &request.principal)?, state, request })
}

/// Whether somebody may see a request: whoever may decide about it, and whoever
/// sees everything by role.
fn may_see(
    cx: &Inner,
    view: &View<'_>,
    who: &Principal,
    roles: &[Role],
    request: &Stored<AuthorityRequest>,
) -> Result<bool, Refusal> {
    if require(roles, Deed::SeeActivity).is_ok() {
        return Ok(true);
    }
    may_decide(cx, view, who, request)
}

/// Whether somebody may decide about a request as themselves: the principal, and
/// whoever may grant a part of it by what was published of them. No role does.
/// What they may grant is asked again of the grant itself.
fn may_decide(
    cx: &Inner,
    view: &View<'_>,
    who: &Principal,
    request: &Stored<AuthorityRequest>,
) -> Result<bool, Refusal> {
    if request.principal == who.alias {
        return Ok(true);
    }
    let ceiling = cx.ceilings.of(view, who)?;
    // Where nothing is published about anybody, a request is its principal's.
    let Some(scope) = scope_of(view, &request.entry)? else { return Ok(false) };
    if ceiling == Ceiling::of_workflows() {
        return Ok(false);
    }
    let workflow = workflow_of(cx, view, request)?;
    let parts = expand_parts(&workflow, &scope)?;
    let permits = |part| {
        let asked = Asked {
            workflow: &request.workflow,
            parts: std::slice::from_ref(part),
            window_seconds: MIN_SECONDS,
            max_depth: 0,
        };
        ceiling.permits_grant(&asked).is_ok()
    };
    Ok(parts.iter().any(permits))
}

/// Who somebody is that decides, if they may act and may decide.
fn decider(
    cx: &Inner,
    view: &View<'_>,
    granter: &Granter,
    request: &Stored<AuthorityRequest>,
) -> Result<(Principal, PrincipalId), Refusal> {
    let unknown = || Refusal::unknown("request", &request.id);
    let alias = match granter {
        Granter::Person(alias) => alias.clone(),
        Granter::Key(id) => cx.principal(view, id)?.ok_or_else(unknown)?.row.alias,
    };
    let (who, id) = person(view, &alias)?.ok_or(Refusal::PrincipalInactive)?;
    if may_decide(cx, view, &who, request)? {
        return Ok((who, id));
    }
    // Who sees it hears why; to everybody else it is not there.
    let roles: Vec<Role> =
        view.roles_of(&alias)?.iter().filter_map(|role| role.parse().ok()).collect();
    match may_see(cx, view, &who, &roles, request)? {
        true => Err(Refusal::NotYours),
        false => Err(unknown()),
    }
}

/// The statement that somebody would sign to grant a request, or less of it.
pub(super) fn answer_prepared(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    granter: &Granter,
    id: &RequestId,
    lesser: &Lesser,
) -> Result<Prepared, Refusal> {
    let answered = Answered::read(view, id)?;
    let request = &answered.request;
    requests::open(request, moment.now())?;
    let (_, principal) = decider(cx, view, granter, request)?;
    let task = view.task(&request.task)?.ok_or_else(|| Refusal::unknown("task", &request.task))?;
    let seconds = lesser.seconds.unwrap_or(request.seconds);
    let end = moment.now().plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    let scope = if lesser.scope.is_empty() { answered.scope.clone() } else { lesser.scope.clone() };
    let wanted = Request {
        principal,
        agent: request.agent.clone(),
        scope,
        expires_at: end.min(Timestamp::from_seconds(answered.under.not_after)),
        purpose: text_of(view, &task.entry, "purpose")?.unwrap_or_default(),
        workflow: Some(request.workflow.clone()),
    };
    let options = PrepareOptions { request: Some(id.clone()), ..PrepareOptions::default() };
    prepared(cx, view, moment, &wanted, &options)
}

impl Authority {
    /// An agent asks for authority that it lacks. Of equal requests that wait the
    /// first is written, and all get its answer.
    ///
    /// # Errors
    /// See [`requests::ask`].
    pub fn request_authority(
        &self,
        asker: &Asker,
        wanted: &Wanted,
    ) -> Result<RequestAnswer, Refusal> {
        let (asker, wanted) = (asker.clone(), wanted.clone());
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let key = tx.keyed_digest(FOLD, fold(&asker, &wanted).as_bytes());
            let earlier = tx.ticket(FOLD, &key, now)?.and_then(|t| t.value.parse().ok());
            if let Some(id) = earlier
                && let Some(earlier) = tx.authority_request(&id)?
                && requests::open(&earlier, now).is_ok()
            {
                return Ok(answer(cx, &earlier, now));
            }
            let gone = || Refusal::unknown("task", &asker.task);
            let task = tx.task(&asker.task)?.ok_or_else(gone)?;
            let current = tx.workflow(&task.workflow)?.ok_or_else(gone)?;
            let grant = tx.grant(&asker.grant)?.ok_or_else(gone)?;
            let since = now.plus_seconds(-FLOOD_SECONDS);
            let (hourly, open) = tx.requests_of_task(&asker.task, since, now)?;
            let ground = Ground {
                task: &task,
                workflow: &*cx.parsed.of(&current)?,
                ends: grant.expires,
                hourly,
                open,
            };
            let plan = requests::ask(moment, &cx.installation, &asker, &wanted, &ground)?;
            let row = cx.write(tx, plan)?;
            tx.keep_ticket(&Ticket {
                kind: FOLD,
                key,
                family: String::new(),
                value: row.id.to_string(),
                expires: row.expires,
            })?;
            Ok(answer(cx, &row, now))
        })
    }

    /// Where an agent's request stands; once it is granted, a root for the key
    /// that asked.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for another task's or another instance's.
    pub fn request_answer(&self, asker: &Asker, id: &RequestId) -> Result<RequestAnswer, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        let request = self.0.store.read(|view| found(view, id))?;
        // SECURITY: a request is of one instance and one task. What it brings is
        // bound to the key that asked, and to nobody else's.
        if request.task != asker.task || request.holder != asker.holder {
            return Err(Refusal::unknown("request", id));
        }
        let mut answer = answer(&cx, &request, now);
        match (request.state, &request.granted) {
            (RequestState::Granted, Some(grant)) => match self.take_up(grant, &request) {
                Ok(taken) => answer.taken = Some(taken),
                Err(Refusal::Store(e)) => return Err(e.into()),
                // Taken back, over, or beyond what its granter may do now.
                Err(_) => answer.state = "ended",
            },
            (RequestState::Refused, _) => {
                let (_, note) = self.0.store.read(|view| decision(view, &request))?;
                answer.note = note;
            }
            _ => {}
        }
        Ok(answer)
    }

    /// Requests that wait, those that end first first; with `all` those of every
    /// state, newest first. For whom: those that `who` may see; `None`: whoever
    /// has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn requests(
        &self,
        who: Option<&SignedIn>,
        all: bool,
        limit: u32,
    ) -> Result<Vec<ListedRequest>, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        self.0.store.read(|view| {
            let rows = match all {
                true => view.authority_requests(limit)?,
                false => view.pending_requests(now, limit)?,
            };
            let mut seen = Vec::new();
            for request in rows {
                let may = match who {
                    Some(who) => may_see(&cx, view, &who.principal, &who.roles, &request)?,
                    None => true,
                };
                if may {
                    seen.push(listed(view, request, now)?);
                }
            }
            Ok(seen)
        })
    }

    /// A request as somebody who may see it reads it: that they read its text is
    /// an entry. `None`: whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn request_read(
        &self,
        who: Option<&SignedIn>,
        id: &RequestId,
    ) -> Result<ShownRequest, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        let shown = self.0.store.read(|view| {
            let request = found(view, id)?;
            if let Some(who) = who
                && !may_see(&cx, view, &who.principal, &who.roles, &request)?
            {
                return Err(Refusal::unknown("request", id));
            }
            let task = view.task(&request.task)?;
            let purpose = match task {
                Some(task) => text_of(view, &task.entry, "purpose")?,
                None => None,
            };
            let (decided_by, note) = decision(view, &request)?;
            Ok(ShownRequest {
                scope: scope_of(view, &request.entry)?,
                reason: text_of(view, &request.entry, "reason")?,
                purpose,
                workflow: workflow_of(&cx, view, &request)?,
                decided_by,
                note,
                listed: listed(view, request, now)?,
            })
        })?;
        let (id, by) = (id.clone(), if who.is_some() { "granter" } else { "operator" });
        let asked = shown.listed.request.entry.clone();
        self.commit(move |cx, _, moment| {
            requests::read(moment, &cx.installation, &id, &asked, by)
        })?;
        Ok(shown)
    }

    /// Makes the statement that somebody signs to grant a request, or less of it,
    /// as themselves. Nothing is written.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for what they may not see; whatever stands in the way
    /// of such a grant, their own ceiling with it.
    pub fn request_prepare(
        &self,
        granter: &Granter,
        id: &RequestId,
        lesser: &Lesser,
    ) -> Result<Prepared, Refusal> {
        let (moment, cx) = (Moment::of(&*self.0.host), self.now());
        self.0.store.read(|view| answer_prepared(&cx, view, &moment, granter, id, lesser))
    }

    /// Takes a grant that answers a request back, signed with its principal's own
    /// key. The agent gets its root when it asks.
    ///
    /// # Errors
    /// See [`delegations::record`].
    pub fn request_grant(&self, prepared: &Prepared, signed: &str) -> Result<GrantId, Refusal> {
        let (prepared, proof) = (prepared.clone(), Proof::Request(signed.to_owned()));
        self.commit(move |cx, tx, moment| {
            let statement = &prepared.statement;
            let (principal, agent) = (&statement.principal, &statement.agent);
            let unknown = || Refusal::unknown("request", "none");
            let answered = Answered::of(tx, statement)?.ok_or_else(unknown)?;
            decider(cx, tx, &Granter::Key(principal.clone()), &answered.request)?;
            let mut state = State::read(cx, tx, principal, agent, &statement.workflow)?;
            let subjects = [
                Subject::Task { id: statement.task.clone() },
                Subject::Grant { id: answered.request.grant.clone() },
            ];
            state.also_revoked(tx, &subjects)?;
            let (task, keys) = (tx.task(&statement.task)?, own_keys(state.principal.as_deref())?);
            let submission = Submission {
                prepared: &prepared,
                proof: &proof,
                registered: Registered { keys: &keys, ..Registered::NOTHING },
                credential: None,
                parties: state.parties(),
                workflow: &state.workflow,
                task: task.as_deref(),
                grant_exists: tx.grant(&statement.id)?.is_some(),
                instances: &[],
                instance: None,
                status_index: None,
                answers: Some(answered.rule()),
            };
            let Plan { steps, .. } =
                delegations::record(moment, &cx.installation, &cx.keys, submission)?;
            Ok(Plan { steps, outcome: statement.id.clone() })
        })
    }

    /// Somebody refuses a request. A `Granter::Key` proves itself by `signed`.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for what they may not see, [`Refusal::Request`].
    pub fn request_refuse(
        &self,
        granter: &Granter,
        id: &RequestId,
        signed: Option<&str>,
        note: Option<&str>,
    ) -> Result<(), Refusal> {
        let (granter, id) = (granter.clone(), id.clone());
        let (signed, note) = (signed.map(str::to_owned), note.map(str::to_owned));
        self.commit(move |cx, tx, moment| {
            let request = found(tx, &id)?;
            let (who, _) = decider(cx, tx, &granter, &request)?;
            if let Granter::Key(_) = granter {
                let keys = own_keys(Some(&who))?;
                requests::verify_refusal(&id, signed.as_deref().unwrap_or_default(), &keys)?;
            }
            let (signed, note) = (signed.as_deref(), note.as_deref());
            let about = (&request.row, &request.entry);
            requests::refuse(moment, &cx.installation, about, &who.alias, signed, note)
        })
    }
}

/// What equal requests share: by whom, for which task, what and for how long. The
/// words of the reason do not count.
fn fold(asker: &Asker, wanted: &Wanted) -> String {
    let mut scope: Vec<&str> = wanted.scope.iter().map(String::as_str).collect();
    scope.sort_unstable();
    let text: Json = Object::new()
        .with("task", &asker.task)
        .with("holder", asker.holder)
        .with("scope", scope.into_iter().map(Json::from).collect::<Vec<_>>())
        .with("seconds", wanted.seconds)
        .into();
    text.canonical()
}

/// Who decided, and what they added in words.
fn decision(
    view: &View<'_>,
    request: &AuthorityRequest,
) -> Result<(Option<PrincipalId>, Option<String>), Refusal> {
    let kind = match request.state {
        RequestState::Pending => return Ok((None, None)),
        RequestState::Granted => Kind::AuthorityGranted,
        RequestState::Refused => Kind::AuthorityRefused,
    };
    let filter = Filter {
        task: Some(request.task.to_string()),
        kind: Some(kind),
        limit: MAX_DECISIONS,
        ..Filter::default()
    };
    let names = |leaf: &[u8]| {
        let leaf = Json::parse(leaf, &JsonLimits::DEFAULT).ok()?;
        let body = leaf.as_object()?.member("body")?.as_object()?.clone();
        (body.member("request")?.as_str()? == request.id.as_str()).then_some(())
    };
    let Some(entry) = view.query(&filter)?.into_iter().find(|e| names(&e.leaf).is_some()) else {
        return Ok((None, None));
    };
    let by = match entry.subjects.principal.as_ref().and_then(|p| p.parse().ok()) {
        Some(alias) => name_of(view, &alias)?,
        None => None,
    };
    Ok((by, text_of(view, &entry.id, "note")?))
}

fn answer(cx: &Inner, request: &AuthorityRequest, now: Timestamp) -> RequestAnswer {
    RequestAnswer {
        request: request.id.clone(),
        state: stands(request, now),
        expires: request.expires,
        url: format!("{}/requests/{}", cx.installation.issuer, request.id),
        note: None,
        taken: None,
    }
}
