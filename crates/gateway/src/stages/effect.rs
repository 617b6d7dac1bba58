//! Stage 6: record, then call.
//!
//! [`record`] is the only maker of [`Recorded`], and [`call`] takes nothing
//! else: no call leaves before its decision is durable, its proof spent and
//! its budget charged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Subjects;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::approvers::Unsettled;
use bailiwick_policy::mcp_methods::{CallForm, Era, Treatment};
use bailiwick_policy::permit::Permit;
use http::StatusCode;

use super::approval::{Cleared, Holding};
use super::authority::Covering;
use super::boundary::Speech;
use super::evidence::{self, Decision, Draw, Finished, Outcome};
use super::identity::{owner, recheck, spend_key, spent_until};
use super::{Known as _, Stopped};
use crate::external::Granted;
use crate::feeds::Feed;
use crate::gateway::Gateway;
use crate::ports::{DecisionRecord, Recheck, RecordRefusal, Spend, ToolServer, Used};
use crate::questions::{Answered, Asking, Wants, declare_only, wants};
pub use crate::relay::Events;
use crate::sessions::Session;
use crate::tasks::{Allowance, Handle, Own, Started, Task};
use crate::upstream::{Failure, Outgoing, Received, param_headers};
use crate::{rpc, wire};

pub(crate) mod api;
pub(crate) mod peer;

/// Member of a result's `_meta` that names the decision.
pub const DECISION: &str = "io.bailiwick/decision";

/// The witness that the decision behind `P` is durable.
#[derive(Debug)]
pub struct Recorded<P> {
    permit: P,
    call: Covering,
    entry: EntryId,
    subjects: Subjects,
    action_digest: Option<Digest>,
    recheck: Recheck,
}

impl Recorded<Permit> {
    /// For an enforcement point that makes the call itself: the decision's
    /// entry, what it is about, and for whom. The permit ends here.
    pub(crate) fn handed_over(self) -> (EntryId, Subjects, Granted) {
        let verified = self.permit.case().verified();
        let facts = verified.facts();
        let granted = Granted {
            digest: self.action_digest,
            authority: facts.authority.clone(),
            agent: facts.caller().map_or(&facts.authority.agent, |hop| &hop.agent).clone(),
            expires: Timestamp::from_seconds(verified.chain().expires()),
        };
        (self.entry, self.subjects, granted)
    }

    /// Whose tasks are the caller's.
    pub(crate) fn own(&self) -> Option<Own> {
        let verified = self.permit.case().verified();
        let owner = owner(verified.chain(), verified.facts(), &self.call.request.server)?;
        Some(Own::new(owner, self.session()))
    }
}

impl<P> Recorded<P> {
    /// The entry, which is also the decision's id.
    #[must_use]
    pub fn entry(&self) -> &EntryId {
        &self.entry
    }

    pub(crate) fn server(&self) -> &Arc<ToolServer> {
        &self.call.server
    }

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.call.session.clone()
    }

    /// What must not be taken back while the tool works.
    pub(crate) fn recheck(&self) -> Recheck {
        self.recheck.clone()
    }

    /// What the tool server may ask because of the call.
    pub(crate) fn asking(&self, to: Arc<Feed>) -> Option<Arc<Asking>> {
        let catalogue = &self.call.ground.workflow.catalogue;
        Asking::of(self.session()?, catalogue.questions(&self.call.request.server), to)
    }

    pub(crate) fn upstream_session(&self) -> Option<String> {
        self.call.session.as_ref().and_then(|s| s.upstream.clone())
    }
}

/// Makes the decision durable.
pub(crate) async fn record(
    gateway: &Gateway,
    cleared: Cleared,
) -> Result<Recorded<Permit>, Stopped> {
    let Cleared { call, permit, used } = cleared;
    let now = permit.case().verified().now();
    let draw = Draw::new(gateway.ports.host.as_ref(), now);
    let entry = draw.id.clone();
    let drafted = {
        let case = permit.case();
        evidence::decided(
            gateway,
            draw,
            &Decision {
                now,
                server: &call.request.server,
                action: Some(call.request.call.tool.as_str()),
                arguments: Some(&call.request.call.arguments),
                presentation: Some(&call.request.presentation),
                known: Some((permit.chain(), permit.facts())),
                decision: "allow",
                denial: None,
                finding: Some(case.finding()),
                heard: Some(case.heard()),
                ground: Some(&call.ground),
                assurance: permit.case().assurance(),
                enforcement: call.request.enforcement.as_str(),
                asking: None,
                used: used.as_ref(),
                run: call.ground.run_id(),
            },
        )
    };
    let verified = permit.case().verified();
    let proof = verified.proof();
    let subjects = drafted.event.subjects.clone();
    let recheck = recheck(verified.chain(), verified.facts(), &call.request.server);
    let waiting = used.as_ref().and_then(Used::approval).map(|used| used.waiting.clone());
    let record = DecisionRecord {
        event: drafted.event,
        charges: call.charges.clone(),
        spend: Spend {
            audience: gateway.audience.clone(),
            key: spend_key(verified.chain().leaf_hash(), &proof.jti),
            expires: spent_until(gateway, proof.iat),
        },
        recheck: recheck.clone(),
        derived: evidence::derived(verified.chain(), verified.facts()),
        used,
        run: call.ground.run_id().cloned(),
        errand: call.ground.errand.as_ref().map(|errand| errand.entry.clone()),
    };
    match gateway.ports.journal.record(record).await {
        Ok(_) => {
            let action_digest = drafted.action_digest;
            Ok(Recorded { permit, call, entry, subjects, action_digest, recheck })
        }
        Err(refusal) => {
            let heard = Some(Box::new(permit.case().heard().clone()));
            // As stage 5 says it of a call whose approver lost the right before it looked.
            let (denial, holding) = match (&refusal, waiting) {
                (RecordRefusal::ApprovalLost { why: Unsettled::Waiting { .. } }, Some(waiting)) => {
                    (
                        waiting.denial(gateway, &call.request.server),
                        Some(Holding::Known(Box::new(waiting))),
                    )
                }
                _ => (denial(refusal), None),
            };
            let approval_required = holding.is_some();
            let mut ground = call.ground;
            if denial.reason == Reason::RunEnded {
                // It belongs to no run any more.
                ground.run = None;
                ground.errand = None;
            }
            let stopped = Stopped::known(denial, permit).on(ground);
            Err(Stopped { heard, holding, approval_required, ..stopped })
        }
    }
}

fn denial(refusal: RecordRefusal) -> Denial {
    match refusal {
        RecordRefusal::Replayed => Denial::new(Reason::ProofReplayed).at_step("7i"),
        RecordRefusal::BudgetSpent { member, reopens: None } => {
            Denial::new(Reason::BudgetSpent).about(member)
        }
        RecordRefusal::BudgetSpent { member, reopens: Some(at) } => {
            Denial::new(Reason::BudgetWindowSpent).about(member).until(at)
        }
        RecordRefusal::Revoked { kind } => Denial::new(Reason::Revoked).about(kind),
        RecordRefusal::Stopped { what } => Denial::new(Reason::Stopped).about(what),
        RecordRefusal::ApprovalLost { why: Unsettled::Denied } => {
            Denial::new(Reason::ApprovalDenied)
        }
        RecordRefusal::ApprovalSpent | RecordRefusal::ApprovalLost { .. } => {
            Denial::new(Reason::ApprovalSpent)
        }
        RecordRefusal::RunEnded => Denial::new(Reason::RunEnded),
        RecordRefusal::ClockBehind => Denial::new(Reason::ClockBehind),
        RecordRefusal::Unavailable => Denial::new(Reason::RecordUnavailable),
    }
}

/// What a call came to.
#[derive(Debug)]
pub struct Completed {
    /// The answer for the caller, a JSON-RPC message.
    pub(crate) message: Vec<u8>,
    /// Its status over HTTP.
    pub(crate) status: StatusCode,
    /// It came as an event of a stream, and the caller takes events.
    pub(crate) streamed: bool,
    /// The session at the tool server is over.
    pub(crate) session_ended: bool,
    pub(crate) entry: EntryId,
    pub(crate) subjects: Subjects,
    pub(crate) finished_at: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) bytes: usize,
    pub(crate) is_error: bool,
    pub(crate) result: Option<Digest>,
    pub(crate) started_at: Timestamp,
    /// It goes on as this task: what it came to is not known yet.
    pub(crate) task: Option<Arc<Task>>,
}

impl Completed {
    pub(crate) fn finished(&self, answers: Vec<Answered>) -> Finished {
        Finished {
            answers,
            outcome: self.outcome,
            duration_ms: self.finished_at.millis_since(self.started_at).max(0),
            bytes: self.bytes,
            is_error: self.is_error,
            result: self.result,
            reported: None,
        }
    }
}

/// Calls the tool server with exactly what was checked, signed and recorded.
pub async fn call(gateway: &Gateway, mut recorded: Recorded<Permit>, events: Events) -> Completed {
    let started_at = gateway.ports.host.now();
    let allowance = recorded.call.task.take();
    let sent = send(gateway, &recorded, allowance.as_ref(), started_at, events).await;
    let (answer, task) =
        match sent.and_then(|r| begun(gateway, &recorded, r, allowance, started_at)) {
            Ok((received, task)) => (Ok(received), task),
            Err(failure) => (Err(failure), None),
        };
    let finished_at = gateway.ports.host.now();
    let request = &recorded.call.request;
    let decision = recorded.entry.as_str();
    let (message, outcome, bytes, is_error, result) = match &answer {
        Ok(received) => {
            let (message, is_error, digest) = answer_of(&recorded, received);
            let outcome = if is_error { Outcome::Error } else { Outcome::Ok };
            (message, outcome, received.bytes, is_error, digest)
        }
        Err(failure) => {
            let (code, reason, remedy) = failure.words();
            let message =
                wire::upstream_error(Some(&request.id), code, reason, remedy, Some(decision));
            (message, failure.outcome(), failure.bytes(), true, None)
        }
    };
    let session_ended = matches!(answer, Err(Failure::SessionEnded));
    let status = match session_ended {
        true => StatusCode::NOT_FOUND,
        false => wire::status_of(&message, request.era),
    };
    let streamed = answer.is_ok_and(|received| received.streamed) && request.accepts_events;
    Completed {
        message: rpc::text(&message),
        status,
        streamed,
        session_ended,
        entry: recorded.entry,
        subjects: recorded.subjects,
        finished_at,
        outcome,
        bytes,
        is_error,
        result,
        started_at,
        task,
    }
}

/// Takes note of a call that goes on as a task. One that may not, or that is
/// none of the era's, would go on out of sight.
fn begun(
    gateway: &Gateway,
    recorded: &Recorded<Permit>,
    mut received: Received,
    allowance: Option<Allowance>,
    started_at: Timestamp,
) -> Result<(Received, Option<Arc<Task>>), Failure> {
    let request = &recorded.call.request;
    let listed: BTreeSet<_> =
        recorded.call.ground.workflow.catalogue.questions(&request.server).collect();
    if wants(&received.message, listed.iter().copied()) != Wants::Detachment {
        return Ok((received, None));
    }
    let detached = Failure::Detached { bytes: received.bytes };
    let started = Started {
        handle: Handle::read(&received.message, request.era).ok_or(detached)?,
        allowance: allowance.ok_or(detached)?,
        era: request.era,
        own: recorded.own().ok_or(detached)?,
        recheck: recorded.recheck(),
        decided: recorded.entry.clone(),
        action_digest: recorded.action_digest,
        subjects: recorded.subjects.clone(),
        started_at,
        until: Timestamp::from_seconds(recorded.permit.case().verified().chain().expires()),
        listed,
    };
    let task = gateway.tasks.open(started).ok_or(detached)?;
    if let Some(Json::Object(mut result)) = received.message.remove("result") {
        match result.remove("task") {
            Some(Json::Object(mut handle)) => {
                task.limit_ttl(&mut handle);
                result.insert("task", handle);
            }
            _ => task.limit_ttl(&mut result),
        }
        received.message.insert("result", result);
    }
    Ok((received, Some(task)))
}

/// How long the call may take: no call outlives the delegation that it was made
/// under.
fn time_left(
    gateway: &Gateway,
    recorded: &Recorded<Permit>,
    now: Timestamp,
) -> Result<Duration, Failure> {
    let case = recorded.permit.case();
    let limit =
        case.rating().timeout_seconds.map_or(gateway.config.call_timeout, Duration::from_secs);
    let end = Timestamp::from_seconds(case.verified().chain().expires());
    match u64::try_from(end.millis_since(now)).unwrap_or(0) {
        0 => Err(Failure::Late),
        left => Ok(limit.min(Duration::from_millis(left))),
    }
}

async fn send(
    gateway: &Gateway,
    recorded: &Recorded<Permit>,
    allowance: Option<&Allowance>,
    now: Timestamp,
    mut events: Events,
) -> Result<Received, Failure> {
    let request = &recorded.call.request;
    let limit = time_left(gateway, recorded, now)?;
    // An HTTP API is called by `api`.
    let Speech::Mcp { method, params: message } = &request.speech else {
        return Err(Failure::Unreachable);
    };
    let session = recorded.call.session.as_ref().and_then(|s| s.upstream.as_deref());
    let params = recorded
        .call
        .pin
        .as_ref()
        .map(|pin| param_headers(pin, &request.call.arguments))
        .unwrap_or_default();
    let listed = || recorded.call.ground.workflow.catalogue.questions(&request.server);
    let mut message = message.clone();
    match (request.era, allowance) {
        (Era::Stateless, allowance) => {
            message.remove("task");
            declare_only(&mut message, listed(), allowance.is_some());
        }
        (Era::Sessions, Some(allowance)) => {
            message.insert("task", Object::new().with("ttl", allowance.ttl_ms));
        }
        (Era::Sessions, None) => {}
    }
    let body = rpc::compose(Some(&request.id), method.name, Some(&message));
    let outgoing = Outgoing {
        server: &recorded.call.server,
        era: request.era,
        method: Some(method.name),
        name: crate::headers::name_of(method.name, Some(&message)),
        params,
        session,
        body: body.canonical().into_bytes(),
    };
    let received = gateway.upstream.exchange(outgoing, &request.id, limit, &mut events).await?;
    // SECURITY: a question is one whether it comes as a request, as a result or
    // as an error, and an effect ends with its call or with a task that is
    // followed here.
    let bytes = received.bytes;
    match wants(&received.message, listed()) {
        Wants::Nothing => Ok(received),
        Wants::Answers => Err(Failure::Asks { bytes }),
        Wants::Detachment if allowance.is_some() => Ok(received),
        Wants::Detachment => Err(Failure::Detached { bytes }),
    }
}

/// The answer with its decision named, whether it is an error, and the digest
/// of the result as the tool server gave it.
fn answer_of(recorded: &Recorded<Permit>, received: &Received) -> (Json, bool, Option<Digest>) {
    let request = &recorded.call.request;
    let Some(Json::Object(result)) = received.message.member("result") else {
        let digest = received.message.member("error").map(|e| sha256(e.canonical().as_bytes()));
        return (error_of(recorded, &received.message), true, digest);
    };
    let digest = received.message.member("result").map(|r| sha256(r.canonical().as_bytes()));
    let is_error = result.member("isError").and_then(Json::as_bool).unwrap_or(false);
    let mut result = result.clone();
    with_decision(&mut result, &recorded.entry, recorded.action_digest);
    let is_resource = matches!(&request.speech, Speech::Mcp { method, .. }
        if method.treatment == Treatment::Call(CallForm::Resource));
    if is_resource {
        uncached(&mut result, request.era);
    }
    (rpc::result(&request.id, result), is_error, digest)
}

/// Names the decision in a result.
pub(crate) fn with_decision(result: &mut Object, entry: &EntryId, action_digest: Option<Digest>) {
    let mut meta = result.member("_meta").and_then(Json::as_object).cloned().unwrap_or_default();
    // SECURITY: that a call waits is the gateway's word, on which clients send it
    // again.
    meta.remove(wire::APPROVAL);
    meta.insert(DECISION, Object::new().with("id", entry).with("action_digest", action_digest));
    result.insert("_meta", meta);
}

/// A tool server's error, with the decision named where there is room for it.
fn error_of(recorded: &Recorded<Permit>, message: &Object) -> Json {
    let mut message = message.clone();
    let Some(Json::Object(mut error)) = message.member("error").cloned() else {
        return message.into();
    };
    let data = match error.member("data") {
        None => Some(Object::new()),
        Some(Json::Object(data)) => Some(data.clone()),
        Some(_) => None,
    };
    if let Some(data) = data {
        error.insert("data", data.with(DECISION, Object::new().with("id", &recorded.entry)));
    }
    message.insert("error", error);
    message.into()
}

/// Nobody may keep an answer that was decided for one caller and one moment.
pub(crate) fn uncached(result: &mut Object, era: Era) {
    if era == Era::Stateless || result.member("ttlMs").is_some() {
        result.insert("ttlMs", 0u64);
    }
    if era == Era::Stateless || result.member("cacheScope").is_some() {
        result.insert("cacheScope", "private");
    }
}
