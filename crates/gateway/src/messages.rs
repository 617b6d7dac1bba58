//! Messages that are not calls: they open and keep the conversation, and show
//! what the caller may use. Chain and DPoP proof, nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::grades::Question;
use bailiwick_policy::mcp_methods::{Era, Filter, TASKS, Treatment};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::gateway::Gateway;
use crate::headers::name_of;
use crate::listing::View;
use crate::own::{self, Own as OwnTool};
use crate::ports::ToolServer;
use crate::questions::{Asks, Wants, declare_only, wants};
use crate::relay::{Events, Route};
use crate::rpc;
use crate::sessions::{Declared, Session};
use crate::stages::boundary::{MessageRequest, Presentation};
use crate::stages::identity::{Caller, identify_message};
use crate::stages::{Stopped, authority};
use crate::tasks::Own;
use crate::upstream::{Failure, Outgoing, Received};
use crate::visits::opens_urls;
use crate::wire;

/// The member of capabilities (2025-11-25) that offers tasks. A client's own
/// would detach its answers from the call that they belong to.
const OFFERS_TASKS: &str = "tasks";

/// A known caller with what its messages are about.
pub(crate) struct Visit {
    pub(crate) caller: Caller,
    pub(crate) server: Arc<ToolServer>,
    pub(crate) workflow: Arc<Workflow>,
}

impl Visit {
    /// Whether the workflow lets this tool server ask such questions.
    fn may_ask(&self, question: Question) -> bool {
        self.workflow.catalogue.questions(&self.server.name).any(|listed| listed == question)
    }

    /// For how long a call may go on as a task here.
    pub(crate) fn task_seconds(&self) -> Option<u64> {
        self.workflow.catalogue.task_seconds(&self.server.name)
    }
}

impl Gateway {
    /// Identifies the sender of a message that is not a call.
    pub(crate) async fn visit(
        &self,
        name: &ServerName,
        presentation: &Presentation,
        at: (&str, Option<&str>),
        session: Option<&str>,
        now: Timestamp,
    ) -> Result<Visit, Stopped> {
        let caller = identify_message(self, name, presentation, at, session, now).await?;
        let digest = caller.present.facts().authority.workflow_digest;
        let look = async || -> Result<_, Denial> {
            let workflow = authority::workflow(self, &digest)?;
            // A server outside the workflow is as good as none.
            let unknown = || Denial::new(Reason::ToolNotCatalogued).about(name.as_str());
            let rated = workflow.catalogue.servers().find(|(server, _)| *server == name);
            let (_, rated) = rated.ok_or_else(unknown)?;
            // SECURITY: an HTTP API or an agent is told nothing of MCP with its credential.
            let other = !rated.a2a.is_empty() || rated.operations.is_empty() == at.1.is_some();
            if other {
                return Err(unknown());
            }
            let principal = &caller.present.facts().authority.principal;
            let server = authority::server(self, name, principal).await?;
            if server.card().is_some() || (server.is_api() && at.1.is_none()) {
                return Err(unknown());
            }
            Ok((workflow, server))
        };
        match look().await {
            Ok((workflow, server)) => Ok(Visit { caller, server, workflow }),
            Err(denial) => Err(Stopped::known(denial, caller.present)),
        }
    }

    /// Handles a message that is not a call.
    pub(crate) async fn message(&self, request: Box<MessageRequest>) -> Response {
        let now = self.ports.host.now();
        let session = request.session.as_deref();
        let visit =
            self.visit(&request.server, &request.presentation, ("POST", None), session, now).await;
        let stopped = match visit {
            Ok(visit) => match self.pass(&request, visit, now).await {
                Ok(response) => return response,
                Err(stopped) => stopped,
            },
            Err(stopped) => stopped,
        };
        let action = request.method.action().replace("<server>", request.server.as_str());
        let entry =
            self.deny_message(&request.server, &action, &request.presentation, &stopped, now).await;
        let caller = (&request.server, request.presentation.form);
        self.answer(request.id.as_ref(), &stopped, caller, &entry)
    }

    async fn pass(
        &self,
        request: &MessageRequest,
        visit: Visit,
        now: Timestamp,
    ) -> Result<Response, Stopped> {
        let filter = match request.method.treatment {
            Treatment::Listing(filter) => Some(filter),
            Treatment::Session | Treatment::Task => None,
            Treatment::Question(question) if visit.may_ask(question) => None,
            Treatment::Question(_) | Treatment::Call(_) | Treatment::Refused(_) => {
                return Err(Stopped::stranger(Denial::new(Reason::MethodUnknown)));
            }
        };
        if let Some(filter) = filter
            && !self.may_ask(request, &visit, filter)
        {
            let denial = Denial::new(Reason::ArgumentNotDelegated).about(request.method.name);
            return Err(Stopped::known(denial, visit.caller.present));
        }
        let Some(id) = &request.id else { return Ok(self.notification(request, &visit).await) };
        match request.method.name {
            "initialize" => self.initialize(request, id, visit, now).await,
            "subscriptions/listen" => match self.may_watch(request, &visit, now) {
                Ok(()) => self.listen(request, id, visit).await,
                Err(denial) => Err(Stopped::known(denial, visit.caller.present)),
            },
            _ if request.method.treatment == Treatment::Task => {
                self.about_task(request, id, visit, now).await
            }
            _ => Ok(self.pass_request(request, id, &visit, filter).await),
        }
    }

    fn may_ask(&self, request: &MessageRequest, visit: &Visit, filter: Filter) -> bool {
        let empty = bailiwick_core::scope::Scope::empty();
        self.view(request.era, visit, &empty).permits(filter, request.params.as_ref())
    }

    fn view<'a>(
        &'a self,
        era: Era,
        visit: &'a Visit,
        empty: &'a bailiwick_core::scope::Scope,
    ) -> View<'a> {
        View {
            gateway: self,
            server: &visit.server,
            workflow: &visit.workflow,
            scope: visit.caller.present.chain().scope().unwrap_or(empty),
            era,
        }
    }

    async fn notification(&self, request: &MessageRequest, visit: &Visit) -> Response {
        // Without a session the id of a request could be anybody's.
        if request.era == Era::Sessions {
            let outgoing = outgoing(request, visit, request.params.as_ref());
            let limit = self.config.message_timeout;
            match self.upstream.notify(outgoing, limit).await {
                Err(Failure::SessionEnded) => {
                    self.end_session(visit.caller.session.as_deref());
                    return StatusCode::NOT_FOUND.into_response();
                }
                Err(failure) => {
                    tracing::debug!(?failure, "a notification was not delivered");
                    return StatusCode::BAD_GATEWAY.into_response();
                }
                Ok(()) => {}
            }
        }
        StatusCode::ACCEPTED.into_response()
    }

    pub(crate) async fn ask(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: &Visit,
        params: Option<&Object>,
    ) -> Result<Received, Failure> {
        let mut events = Events::to(Route {
            gateway: self.clone(),
            server: Arc::clone(&visit.server),
            era: request.era,
            session: visit.caller.session.as_ref().and_then(|s| s.upstream.clone()),
            scope: None,
            own: Own::of(&visit.caller, &visit.server.name),
            asks: Asks::Nobody,
            to: None,
        });
        let outgoing = outgoing(request, visit, params);
        self.upstream.exchange(outgoing, id, self.config.message_timeout, &mut events).await
    }

    async fn pass_request(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: &Visit,
        filter: Option<Filter>,
    ) -> Response {
        let received = match self.ask(request, id, visit, request.params.as_ref()).await {
            Ok(received) => received,
            Err(failure) => return self.failed(request, visit, failure),
        };
        // Only a call may need an answer, and may be one that goes on.
        if wants(&received.message, std::iter::empty()) != Wants::Nothing {
            let failure = Failure::Asks { bytes: received.bytes };
            return self.failed(request, visit, failure);
        }
        let mut message = received.message;
        if let Some(Json::Object(mut result)) = message.remove("result") {
            if let Some(filter) = filter {
                let empty = bailiwick_core::scope::Scope::empty();
                self.view(request.era, visit, &empty).narrow(filter, &mut result);
                if filter == Filter::Tools {
                    offer(request, visit, &mut result);
                }
            }
            if request.method.name == "server/discover" {
                prune(&mut result, "capabilities", &[OFFERS_TASKS]);
                if visit.task_seconds().is_none()
                    && let Some(Json::Object(mut capabilities)) = result.remove("capabilities")
                {
                    prune(&mut capabilities, "extensions", &[TASKS]);
                    result.insert("capabilities", capabilities);
                }
            }
            message.insert("result", result);
        }
        wire::answered(&message.into(), request.era, received.streamed && request.accepts_events)
    }

    fn end_session(&self, session: Option<&Session>) {
        if let Some(session) = session {
            self.sessions.end(session);
        }
    }

    pub(crate) fn failed(
        &self,
        request: &MessageRequest,
        visit: &Visit,
        failure: Failure,
    ) -> Response {
        let (code, reason, remedy) = failure.words();
        let body = wire::upstream_error(request.id.as_ref(), code, reason, remedy, None);
        if failure == Failure::SessionEnded {
            self.end_session(visit.caller.session.as_deref());
            return wire::json(StatusCode::NOT_FOUND, &body);
        }
        wire::json(StatusCode::OK, &body)
    }

    async fn initialize(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: Visit,
        now: Timestamp,
    ) -> Result<Response, Stopped> {
        let mut params = request.params.clone().unwrap_or_default();
        // One version is spoken in this era, whatever the client offered.
        params.insert("protocolVersion", Era::Sessions.version());
        prune(&mut params, "capabilities", &[OFFERS_TASKS]);
        // What the tool server may not ask, the gateway may.
        let opens_urls = opens_urls(declared(&params));
        let refused = Question::ALL.iter().filter(|q| !visit.may_ask(**q)).map(|q| q.as_str());
        prune(&mut params, "capabilities", &refused.collect::<Vec<_>>());
        let declared = Declared { offers: offers(&params), opens_urls };
        let received = match self.ask(request, id, &visit, Some(&params)).await {
            Ok(received) => received,
            Err(failure) => return Ok(self.failed(request, &visit, failure)),
        };
        if wants(&received.message, std::iter::empty()) != Wants::Nothing {
            let failure = Failure::Asks { bytes: received.bytes };
            return Ok(self.failed(request, &visit, failure));
        }
        let mut message = received.message;
        let Some(Json::Object(mut result)) = message.remove("result") else {
            return Ok(wire::json(StatusCode::OK, &message.into()));
        };
        let version = result.member("protocolVersion").and_then(Json::as_str);
        if version != Some(Era::Sessions.version()) {
            let failure = Failure::Garbage { bytes: received.bytes };
            return Ok(self.failed(request, &visit, failure));
        }
        if visit.task_seconds().is_none() {
            prune(&mut result, "capabilities", &[OFFERS_TASKS]);
        }
        let lease = visit.caller.lease(&visit.server.name);
        let upstream = received.session.clone();
        let opened = visit.caller.owner(&visit.server.name).and_then(|owner| {
            self.close_all(self.sessions.sweep(now, self.config.session_idle_seconds));
            let host = self.ports.host.as_ref();
            self.sessions.open(
                host,
                owner,
                received.session,
                declared,
                lease,
                self.config.max_sessions,
            )
        });
        let Some(session) = opened else {
            self.close_upstream(&visit.server, upstream.as_deref()).await;
            let denial = Denial::new(Reason::StateUnavailable).about("sessions");
            return Err(Stopped::known(denial, visit.caller.present));
        };
        let mut response = wire::json(StatusCode::OK, &rpc::result(id, result));
        if let Ok(value) = HeaderValue::from_str(&session.id) {
            response.headers_mut().insert(HeaderName::from_static("mcp-session-id"), value);
        }
        Ok(response)
    }
}

/// Puts the gateway's own tools behind those of the first page. A tool server's own
/// of such a name is not shown: it cannot be called here.
fn offer(request: &MessageRequest, visit: &Visit, result: &mut Object) {
    let ours = |own: &OwnTool| own.is_ours(&visit.workflow, &visit.server.name);
    let named = |tool: &Json| {
        let name = tool.as_object().and_then(|o| o.member("name")?.as_str());
        name.and_then(OwnTool::named).is_some_and(|own| ours(&own))
    };
    let Some(Json::Array(mut tools)) = result.remove("tools") else { return };
    tools.retain(|tool| !named(tool));
    let first = request.params.as_ref().is_none_or(|p| p.member("cursor").is_none());
    if first && own::may_ask(request.presentation.form, &visit.caller) {
        let offered = OwnTool::ALL.into_iter().filter(ours);
        tools.extend(offered.map(|own| own.definition(&visit.workflow)));
    }
    result.insert("tools", tools);
}

/// A message as it is forwarded.
pub(crate) fn outgoing<'a>(
    request: &'a MessageRequest,
    visit: &'a Visit,
    params: Option<&'a Object>,
) -> Outgoing<'a> {
    let mut declared = params.cloned();
    if let Some(params) = declared.as_mut().filter(|_| request.era == Era::Stateless) {
        let listed = visit.workflow.catalogue.questions(&visit.server.name);
        declare_only(params, listed, visit.task_seconds().is_some());
    }
    let body = rpc::compose(request.id.as_ref(), request.method.name, declared.as_ref());
    Outgoing {
        server: &visit.server,
        era: request.era,
        method: Some(request.method.name),
        name: name_of(request.method.name, params),
        params: Vec::new(),
        session: visit.caller.session.as_ref().and_then(|s| s.upstream.as_deref()),
        body: rpc::text(&body),
    }
}

/// The capabilities of a client that opens a session.
fn declared(params: &Object) -> Option<&Object> {
    params.member("capabilities").and_then(Json::as_object)
}

/// What a client says that it can be asked.
fn offers(params: &Object) -> BTreeSet<Question> {
    let declared = declared(params);
    let has = |q: &Question| declared.is_some_and(|d| d.member(q.as_str()).is_some());
    Question::ALL.iter().copied().filter(has).collect()
}

/// Takes members out of an object that is a member of `o`.
fn prune(o: &mut Object, member: &str, names: &[&str]) {
    if let Some(Json::Object(mut inner)) = o.remove(member) {
        for name in names {
            inner.remove(name);
        }
        o.insert(member, inner);
    }
}
