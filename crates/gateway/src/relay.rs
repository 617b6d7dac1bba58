//! Messages that a tool server sends of itself: passed by the table of
//! methods, dropped, or answered here.
//!
//! A question of a tool server reaches the agent's client only where the
//! workflow lists it, on the stream of a call. `ping` is answered by the
//! gateway, everything else with an error.

use std::sync::Arc;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::Scope;
use bailiwick_policy::mcp_methods::{self, Era, Filter, Sender, Shape, Treatment};

use crate::feeds::Feed;
use crate::gateway::Gateway;
use crate::ports::ToolServer;
use crate::questions::Asks;
use crate::rpc::{self, Message};
use crate::tasks::Own;
use crate::upstream::Outgoing;

/// Messages of one program that wait to be passed on; what comes on top is
/// dropped.
pub(crate) const BUFFERED: usize = 64;

/// Questions of a tool server that are answered in one stream: a flood of them
/// must not become a flood of requests.
const MAX_ANSWERS: usize = 100;

const CANCELLED: &str = "notifications/cancelled";

/// Where a tool server's messages go while a request of a caller is open.
#[derive(Clone)]
pub struct Events(Option<Route>, usize);

/// The way of a tool server's messages to one caller.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) gateway: Gateway,
    pub(crate) server: Arc<ToolServer>,
    pub(crate) era: Era,
    /// The tool server's session id.
    pub(crate) session: Option<String>,
    /// The caller's scope, where notices about resources may pass.
    pub(crate) scope: Option<Arc<Scope>>,
    /// Whose tasks notices may be about.
    pub(crate) own: Option<Own>,
    /// Whose questions may pass.
    pub(crate) asks: Asks,
    /// The caller, if it takes events.
    pub(crate) to: Option<Arc<Feed>>,
}

impl Events {
    /// Nowhere: the gateway asks for itself.
    pub(crate) const fn none() -> Self {
        Self(None, 0)
    }

    /// To a caller.
    pub(crate) const fn to(route: Route) -> Self {
        Self(Some(route), 0)
    }

    /// The tool server answers with a stream.
    pub(crate) fn opened(&self) {
        if let Some(to) = self.0.as_ref().and_then(|route| route.to.as_ref()) {
            to.prime();
        }
    }

    /// It closed the stream before it answered, and will be asked for the rest:
    /// the caller hears the same, and does the same.
    pub(crate) fn closed(&self) {
        if let Some(to) = self.0.as_ref().and_then(|route| route.to.as_ref()) {
            to.release();
        }
    }

    /// Takes one message of the tool server.
    pub(crate) fn take(&mut self, message: Message) {
        let Some(route) = &self.0 else { return };
        if matches!(message, Message::Request { .. }) {
            self.1 = self.1.saturating_add(1);
            if self.1 > MAX_ANSWERS {
                return;
            }
        }
        route.take(message);
    }
}

impl Route {
    fn take(&self, message: Message) {
        match message {
            Message::Request { id, method, params } => {
                if !self.asks(&id, &method, params.as_ref()) {
                    self.answer(&id, &method);
                }
            }
            Message::Notification { method, mut params } => {
                if let Some(params) = params.as_mut().filter(|_| method == CANCELLED) {
                    self.translate(params);
                }
                if self.passes(&method, params.as_mut())
                    && let Some(to) = &self.to
                {
                    let text = rpc::text(&rpc::compose(None, &method, params.as_ref()));
                    // A client that does not read must not hold up the call.
                    to.push(text);
                }
            }
            Message::Response { .. } => {}
        }
    }

    /// Passes a question on where it may be asked.
    fn asks(&self, id: &Json, method: &str, params: Option<&Object>) -> bool {
        let row = mcp_methods::method(method, self.era, Sender::Server, Shape::Request);
        let Some(Treatment::Question(question)) = row.map(|row| row.treatment) else {
            return false;
        };
        // A `task` would detach the answer from the call.
        let detached = params.is_some_and(|p| p.member("task").is_some());
        let asking = self.asks.call().filter(|_| !detached);
        let host = self.gateway.ports.host.as_ref();
        asking.is_some_and(|asking| asking.ask(host, question, id, (method, params)))
    }

    /// A tool server takes a question back by its own id, the client knows ours.
    fn translate(&self, params: &mut Object) {
        let id = params.member("requestId");
        let minted = self.asks.call().zip(id).and_then(|(asking, id)| asking.taken_back(id));
        if let Some(minted) = minted {
            params.insert("requestId", minted);
        }
    }

    fn passes(&self, method: &str, params: Option<&mut Object>) -> bool {
        let row = mcp_methods::method(method, self.era, Sender::Server, Shape::Notification);
        let Some(row) = row else { return false };
        if method == "notifications/tools/list_changed"
            || method == "notifications/prompts/list_changed"
        {
            self.gateway.pins.doubt(&self.server.name);
        }
        match row.treatment {
            Treatment::Session => true,
            Treatment::Listing(Filter::ResourceUri) => {
                let uri = params.and_then(|p| p.member("uri")?.as_str());
                uri.zip(self.scope.as_deref())
                    .is_some_and(|(uri, scope)| may_read(scope, &self.server, uri))
            }
            Treatment::Question(question) => {
                self.asks.call().is_some_and(|asking| asking.allows(question))
            }
            Treatment::Task => params.is_some_and(|params| self.sees(params)),
            Treatment::Listing(_) | Treatment::Call(_) | Treatment::Refused(_) => false,
        }
    }

    /// Takes a notice about a task of the caller's own.
    fn sees(&self, said: &mut Object) -> bool {
        let now = self.gateway.ports.host.now();
        let id = said.member("taskId").and_then(Json::as_str);
        let task = self.gateway.followed(self.own.as_ref(), id, now);
        task.is_ok_and(|task| self.gateway.see(&task, said, 0).is_ok())
    }

    /// Answers a question of the tool server in its session.
    fn answer(&self, id: &Json, method: &str) {
        let message = if method == "ping" {
            rpc::result(id, Object::new())
        } else {
            rpc::error(Some(id), -32601, "this client does not offer that", Object::new())
        };
        let (gateway, server) = (self.gateway.clone(), Arc::clone(&self.server));
        let (era, session) = (self.era, self.session.clone());
        let limit = gateway.config.message_timeout;
        gateway.clone().tracker.spawn(async move {
            let outgoing = Outgoing {
                server: &server,
                era,
                method: None,
                name: None,
                params: Vec::new(),
                session: session.as_deref(),
                body: rpc::text(&message),
            };
            if let Err(failure) = gateway.upstream.notify(outgoing, limit).await {
                tracing::debug!(?failure, server = %server.name, "could not answer the tool server");
            }
        });
    }
}

/// Whether a scope permits to read `uri`.
pub(crate) fn may_read(scope: &Scope, server: &ToolServer, uri: &str) -> bool {
    let tool = format!("mcp:{}:resources/read", server.name);
    scope.permits(&tool, &Object::new().with("uri", uri)).is_ok()
}
