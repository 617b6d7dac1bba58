//! Questions of a tool server to the agent's client (MCP 2025-11-25): for its
//! model, its user or its folders, while a call of that server runs.
//!
//! A question goes out on the stream of the call that it belongs to, under an
//! id that is minted here. Tool servers that ask on a session's common stream do
//! not say which call that is: it is passed on where only one is under way. Its answer is a message of the same session, taken
//! once and only while the call runs, and is recorded with the call's outcome:
//! it is a part of that action, and means nothing apart from it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::response::{IntoResponse as _, Response};
use bailiwick_core::crypto::{Digest, base64url, sha256};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::grades::Question;
use bailiwick_policy::mcp_methods::{self, Era, Sender, Shape, TASKS, Treatment};
use http::StatusCode;

use crate::feeds::Feed;
use crate::gateway::Gateway;
use crate::messages::Visit;
use crate::ports::Host;
use crate::rpc;
use crate::sessions::Session;
use crate::stages::Stopped;
use crate::stages::boundary::AnswerRequest;
use crate::upstream::{Failure, Outgoing};

/// What an answer wants besides being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Nothing, or answers to questions that are listed.
    Nothing,
    /// Answers that the workflow does not let the tool server ask for.
    Answers,
    /// To be a task.
    Detachment,
}

/// JSON-RPC code: the user has to visit a URL first (MCP 2025-11-25, "URL
/// Elicitation Required Error").
pub(crate) const URL_REQUIRED: i64 = -32042;

/// Holds an answer against the questions that may be asked.
pub(crate) fn wants(answer: &Object, mut listed: impl Iterator<Item = Question>) -> Wants {
    if let Some(Json::Object(result)) = answer.member("result") {
        return result_wants(result, listed);
    }
    let error = answer.member("error").and_then(Json::as_object);
    match error.is_some_and(sends_elsewhere) && !listed.any(|q| q == Question::Elicitation) {
        true => Wants::Answers,
        false => Wants::Nothing,
    }
}

/// Whether an error asks for what only a visit elsewhere gives.
fn sends_elsewhere(error: &Object) -> bool {
    let code = error.member("code").and_then(|code| code.as_number()?.as_plain_integer());
    let data = error.member("data").and_then(Json::as_object);
    code == Some(URL_REQUIRED) || data.is_some_and(|data| data.member("elicitations").is_some())
}

fn result_wants(result: &Object, listed: impl Iterator<Item = Question>) -> Wants {
    let kind = result.member("resultType").and_then(Json::as_str);
    let handle = result.member("task").and_then(|task| task.as_object()?.member("taskId"));
    if kind == Some("task") || handle.is_some() {
        return Wants::Detachment;
    }
    // SECURITY: a client that sends such a state back would have it taken for the
    // gateway's own, and its answers kept from the tool server.
    let state = result.member("requestState").and_then(Json::as_str);
    if state.is_some_and(mcp_methods::is_own_state) {
        return Wants::Answers;
    }
    let asked = match (kind, result.member("inputRequests")) {
        (Some("input_required"), Some(Json::Object(asked))) => asked,
        // With nothing but state to be sent back.
        (Some("input_required"), None) | (_, None) => return Wants::Nothing,
        _ => return Wants::Answers,
    };
    let listed: BTreeSet<_> = listed.collect();
    let may = |request: &Json| question_of(request).is_some_and(|q| listed.contains(&q));
    match asked.iter().all(|(_, request)| may(request)) {
        true => Wants::Nothing,
        false => Wants::Answers,
    }
}

/// Which question one of `inputRequests` is (2026-07-28), if it is one.
pub(crate) fn question_of(request: &Json) -> Option<Question> {
    let method = request.as_object()?.member("method")?.as_str()?;
    match mcp_methods::method(method, Era::Sessions, Sender::Server, Shape::Request)?.treatment {
        Treatment::Question(question) => Some(question),
        _ => None,
    }
}

/// Takes from what a client declares in `_meta` what the tool server must not
/// count on (2026-07-28), so that it says itself what it lacks.
pub(crate) fn declare_only(
    params: &mut Object,
    listed: impl Iterator<Item = Question>,
    tasks: bool,
) {
    const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    let listed: BTreeSet<_> = listed.collect();
    let Some(Json::Object(mut meta)) = params.remove("_meta") else { return };
    if let Some(Json::Object(mut declared)) = meta.remove(CAPABILITIES) {
        for question in Question::ALL.iter().filter(|q| !listed.contains(q)) {
            declared.remove(question.as_str());
        }
        if let Some(Json::Object(mut extensions)) = declared.remove("extensions") {
            if !tasks {
                extensions.remove(TASKS);
            }
            if !extensions.is_empty() {
                declared.insert("extensions", extensions);
            }
        }
        meta.insert(CAPABILITIES, declared);
    }
    params.insert("_meta", meta);
}

/// Questions of one session that may be open at once.
const MAX_OPEN: usize = 16;
/// Questions that one call may cause.
const MAX_ASKED: usize = 64;

/// The questions of one call.
#[derive(Debug)]
pub(crate) struct Asking {
    session: Arc<Session>,
    allowed: BTreeSet<Question>,
    /// The call's stream.
    to: Arc<Feed>,
    told: Mutex<Told>,
}

/// Whose question one is that comes on a stream.
#[derive(Clone)]
pub(crate) enum Asks {
    /// Nothing may be asked here.
    Nobody,
    /// This call's.
    Call(Arc<Asking>),
    /// The only call's that is under way in the session.
    Session(Arc<Session>),
}

impl Asks {
    /// The call that it belongs to, if there is no doubt.
    pub(crate) fn call(&self) -> Option<Arc<Asking>> {
        match self {
            Self::Nobody => None,
            Self::Call(asking) => Some(Arc::clone(asking)),
            Self::Session(session) => match session.questions.lock().calls.as_slice() {
                [only] => only.upgrade(),
                _ => None,
            },
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    asked: usize,
    answers: Vec<Answered>,
    over: bool,
}

/// An answer that was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    question: Question,
    /// Of the canonical form of its result or error.
    digest: Digest,
    bytes: usize,
}

impl Answered {
    /// What `said` is as the answer to a question.
    pub(crate) fn new(question: Question, said: &Json) -> Self {
        let said = said.canonical();
        Self { question, digest: sha256(said.as_bytes()), bytes: said.len() }
    }

    pub(crate) fn to_json(self) -> Json {
        Object::new()
            .with("question", self.question)
            .with("sha256", self.digest)
            .with("bytes", u64::try_from(self.bytes).unwrap_or(u64::MAX))
            .into()
    }
}

/// The questions of a session.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// Open ones, by the id that the client sees.
    asked: HashMap<String, Asked>,
    /// Calls under way that may cause some.
    calls: Vec<Weak<Asking>>,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Asked {
    asking: Weak<Asking>,
    question: Question,
    /// The tool server's own id.
    id: Json,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking {
    /// The questions of a call in `session`: those that the workflow lists now
    /// and that the tool server was told of when the session was opened. None,
    /// if there are none.
    pub(crate) fn of(
        session: Arc<Session>,
        listed: impl Iterator<Item = Question>,
        to: Arc<Feed>,
    ) -> Option<Arc<Self>> {
        let allowed: BTreeSet<_> = listed.filter(|q| session.offers.contains(q)).collect();
        if allowed.is_empty() {
            return None;
        }
        let asking = Arc::new(Self { session, allowed, to, told: Mutex::default() });
        let mut held = asking.session.questions.lock();
        held.calls.retain(|call| call.strong_count() > 0);
        held.calls.push(Arc::downgrade(&asking));
        drop(held);
        Some(asking)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether messages about this question may pass.
    pub(crate) fn allows(&self, question: Question) -> bool {
        self.allowed.contains(&question)
    }

    /// Passes the tool server's question `id` on; false, if it may not be asked
    /// or cannot be now.
    pub(crate) fn ask(
        self: &Arc<Self>,
        host: &dyn Host,
        question: Question,
        id: &Json,
        (method, params): (&str, Option<&Object>),
    ) -> bool {
        let Some(minted) = self.mint(host, question, id) else { return false };
        let asked = rpc::compose(Some(&Json::from(minted.as_str())), method, params);
        let sent = self.to.push(rpc::text(&asked));
        if !sent {
            self.session.questions.lock().asked.remove(&minted);
        }
        sent
    }

    /// The id that the client sees, which is unguessable and used once.
    fn mint(self: &Arc<Self>, host: &dyn Host, question: Question, id: &Json) -> Option<String> {
        let mut told = self.told();
        if !self.allows(question) || told.over || told.asked >= MAX_ASKED {
            return None;
        }
        let open = &mut self.session.questions.lock().asked;
        open.retain(|_, asked| asked.asking.strong_count() > 0);
        if open.len() >= MAX_OPEN {
            return None;
        }
        told.asked = told.asked.saturating_add(1);
        let mut bytes = [0; 16];
        host.fill(&mut bytes);
        let minted = base64url(&bytes);
        let asked = Asked { asking: Arc::downgrade(self), question, id: id.clone() };
        open.insert(minted.clone(), asked);
        Some(minted)
    }

    /// The tool server takes its question back; gives the id that the client
    /// sees.
    pub(crate) fn taken_back(self: &Arc<Self>, id: &Json) -> Option<String> {
        let open = &mut self.session.questions.lock().asked;
        let own = |asked: &Asked| asked.asking.as_ptr() == Arc::as_ptr(self) && asked.id == *id;
        let minted = open.iter().find(|(_, asked)| own(asked))?.0.clone();
        open.remove(&minted);
        Some(minted)
    }

    /// The call is over; gives what was answered.
    pub(crate) fn end(self: &Arc<Self>) -> Vec<Answered> {
        let mut told = self.told();
        told.over = true;
        let own = Arc::as_ptr(self);
        let mut held = self.session.questions.lock();
        held.asked.retain(|_, asked| asked.asking.as_ptr() != own);
        held.calls.retain(|call| call.as_ptr() != own);
        std::mem::take(&mut told.answers)
    }
}

impl Session {
    /// Takes an answer; gives the tool server's own id of the question.
    /// Nothing, if no call under way waits for it.
    fn answered(&self, id: &Json, message: &Object) -> Option<Json> {
        let asked = self.questions.lock().asked.remove(id.as_str()?)?;
        let asking = asked.asking.upgrade()?;
        let mut told = asking.told();
        if told.over {
            return None;
        }
        let said = message.member("result").or_else(|| message.member("error"))?;
        told.answers.push(Answered::new(asked.question, said));
        Some(asked.id)
    }
}

impl Gateway {
    /// The answer of an agent's client to a tool server's question.
    pub(crate) async fn take_answer(&self, request: Box<AnswerRequest>) -> Response {
        let now = self.ports.host.now();
        let (server, presentation) = (&request.server, &request.presentation);
        let session = Some(request.session.as_str());
        let stopped = match self.visit(server, presentation, ("POST", None), session, now).await {
            Ok(visit) => match self.pass_answer(&request, visit).await {
                Ok(response) => return response,
                Err(stopped) => stopped,
            },
            Err(stopped) => stopped,
        };
        let action = format!("mcp:{server}:rpc:answer");
        let entry = self.deny_message(server, &action, presentation, &stopped, now).await;
        self.answer(None, &stopped, (server, presentation.form), &entry)
    }

    async fn pass_answer(
        &self,
        request: &AnswerRequest,
        visit: Visit,
    ) -> Result<Response, Stopped> {
        let session = visit.caller.session.as_deref();
        let id = session.and_then(|session| session.answered(&request.id, &request.message));
        let (Some(session), Some(id)) = (session, id) else {
            return Err(Stopped::known(Denial::new(Reason::AnswerUnasked), visit.caller.present));
        };
        let mut message = request.message.clone();
        message.insert("id", id);
        let outgoing = Outgoing {
            server: &visit.server,
            era: Era::Sessions,
            method: None,
            name: None,
            params: Vec::new(),
            session: session.upstream.as_deref(),
            body: rpc::text(&message.into()),
        };
        match self.upstream.notify(outgoing, self.config.message_timeout).await {
            Ok(()) => Ok(StatusCode::ACCEPTED.into_response()),
            Err(Failure::SessionEnded) => {
                self.sessions.end(session);
                Ok(StatusCode::NOT_FOUND.into_response())
            }
            Err(failure) => {
                tracing::debug!(?failure, "an answer was not delivered");
                Ok(StatusCode::BAD_GATEWAY.into_response())
            }
        }
    }
}
