//! HTTP APIs: a reverse proxy that knows the operations.
//!
//! - `/http/{server}/…`: a request of an accepted operation, with chain and
//!   proof in the headers `AAT-Chain` and `AAT-PoP`, or an access token
//! - `GET /http/{server}`: the operations that the caller may use, with chain
//!   and DPoP proof, or an access token
//!
//! A request becomes a tool and arguments ([`bailiwick_policy::api`]); what is
//! sent is made of these anew. Whatever the accepted definitions do not
//! describe is refused like a caller that nobody knows: who has not proved
//! possession does not learn what there is.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bailiwick_core::accountable::Ended;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::api::{Incoming, Undescribed, matching};
use bailiwick_policy::mcp_methods::Call;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::Gateway;
use crate::http::{Target, read};
use crate::ports::ToolServer;
use crate::stages::boundary::{
    self, CallRequest, Enforcement, Form, Malformed, Presentation, check_headers,
};
use crate::stages::{Stopped, authority, effect, evidence};
use crate::{step_up, wire};

const BASE: &str = "/http/";

/// The endpoints of HTTP APIs.
pub(crate) fn router() -> Router<Gateway> {
    Router::new()
        .route("/http/{server}", any(endpoint))
        .route("/http/{server}/", any(endpoint))
        .route("/http/{server}/{*path}", any(endpoint))
        .layer(DefaultBodyLimit::disable())
}

async fn endpoint(State(gateway): State<Gateway>, request: Request) -> Response {
    let Some(Target { server, path }) = Target::of(BASE, request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (parts, body) = request.into_parts();
    let mut response = match path {
        Some(path) => call(&gateway, &server, &path, &parts, body).await,
        None if parts.method == Method::GET => list(&gateway, &server, &parts.headers).await,
        None => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    if let Some(nonce) = gateway.nonce().filter(|_| parts.headers.contains_key("dpop")) {
        wire::with_nonce(&mut response, &nonce);
    }
    response
}

/// A call as it was understood, for whoever makes it.
pub(crate) struct Asked {
    pub(crate) call: Call,
    pub(crate) verb: &'static str,
}

/// A request as it came, whatever brought it.
pub(crate) struct Came<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

impl Gateway {
    /// The API of that name.
    ///
    /// # Errors
    /// SECURITY: nobody has proved anything yet, so whatever is wrong with it is
    /// told as a request that is not well-formed.
    pub(crate) fn api(&self, name: &ServerName) -> Result<Arc<ToolServer>, Denial> {
        authority::catalogued(self, name)
            .map_err(|denial| Denial::new(Reason::RequestMalformed).about(denial.reason.code()))
    }

    /// What a request asks of an API.
    ///
    /// # Errors
    /// The denial of what no accepted operation describes.
    pub(crate) fn understood(&self, server: &ServerName, came: &Came<'_>) -> Result<Asked, Denial> {
        let known = self.api(server)?;
        let headers: Vec<(&str, &[u8])> =
            came.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let limits = self.config.request_json();
        let incoming = Incoming {
            method: came.method,
            path: came.path,
            query: came.query,
            headers: &headers,
            body: came.body,
            limits: &limits,
        };
        let operations = known.pins.values().filter_map(|pin| {
            let operation = pin.operation.as_deref()?;
            Some((operation, operation.verb().as_str()))
        });
        let denied = |why: Undescribed| Denial::new(Reason::RequestMalformed).about(why.code());
        let (operation, verb, arguments) = matching(operations, &incoming).map_err(denied)?;
        let tool = ToolId::parse(&format!("http:{server}:{}", operation.name()));
        let tool = tool.map_err(|_| Denial::new(Reason::RequestMalformed))?;
        Ok(Asked { call: Call { tool, arguments }, verb })
    }
}

async fn call(
    gateway: &Gateway,
    server: &ServerName,
    path: &str,
    parts: &Parts,
    body: Body,
) -> Response {
    let request = match well_formed(gateway, server, path, parts, body).await {
        Ok(request) => request,
        Err(malformed) => return refused(gateway, server, &malformed).await,
    };
    let Some(slot) = gateway.call_slot() else { return wire::busy() };
    let reply = gateway.start_api_call(request, slot);
    reply.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Stage 1.
async fn well_formed(
    gateway: &Gateway,
    server: &ServerName,
    path: &str,
    parts: &Parts,
    body: Body,
) -> Result<CallRequest, Malformed> {
    let config = &gateway.config;
    check_headers(config, &parts.headers)?;
    let stranger = |denial: Denial| {
        let status = StatusCode::UNAUTHORIZED;
        Malformed { denial, ..Malformed::new(Reason::RequestMalformed, status, 0, "") }
    };
    let presentation = boundary::of_call(config, None, &parts.headers).map_err(stranger)?;
    let bytes = read(body, &parts.headers, config.max_request_bytes, config.body_timeout).await?;
    let came = Came {
        method: parts.method.as_str(),
        path,
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &bytes,
    };
    let Asked { call, verb } = gateway.understood(server, &came).map_err(stranger)?;
    let url = format!("{}{BASE}{server}{path}", config.public_url);
    let asked = Some((verb, url));
    Ok(CallRequest::of_api(server.clone(), call, asked, presentation, Enforcement::Gateway))
}

/// A request that is not well-formed, or described by nobody.
async fn refused(gateway: &Gateway, server: &ServerName, malformed: &Malformed) -> Response {
    let entry = gateway.deny_malformed(server, malformed).await;
    let metadata = gateway.metadata_url(server.as_str());
    wire::api_malformed(&malformed.denial, malformed.status, entry.as_str(), &metadata)
}

impl Gateway {
    /// Runs a call through all stages, in a task of its own.
    fn start_api_call(
        &self,
        mut request: CallRequest,
        slot: OwnedSemaphorePermit,
    ) -> tokio::sync::oneshot::Receiver<Response> {
        self.number(&mut request);
        let (done, reply) = tokio::sync::oneshot::channel();
        let gateway = self.clone();
        self.tracker.spawn(async move {
            gateway.run_api_call(Arc::new(request), done).await;
            drop(slot);
        });
        reply
    }

    async fn run_api_call(
        &self,
        request: Arc<CallRequest>,
        done: tokio::sync::oneshot::Sender<Response>,
    ) {
        let now = self.ports.host.now();
        let (recorded, _place) = match self.decide(Arc::clone(&request), now).await {
            Ok(decided) => decided,
            Err(mut stopped) => {
                let entry = self.record_denied_call(&request, &mut stopped, now).await;
                let _ = done.send(self.api_denial(&request, &stopped, &entry));
                return;
            }
        };
        let (recheck, entry) = (recorded.recheck(), recorded.entry().clone());
        let mut done = Some(done);
        let taken_back = |ended: &Ended| {
            if let Some(done) = done.take() {
                let _ = done.send(wire::api_withheld(ended, entry.as_str()));
            }
        };
        let call = effect::api::call(self, recorded);
        let completed = self.watched(call, &recheck, taken_back).await;
        let (subjects, finished) = (&completed.subjects, &completed.finished);
        let event = evidence::completed(self, subjects, &completed.entry, finished);
        if let Some(done) = done {
            let _ = done.send(completed.response);
        }
        self.complete(event).await;
    }

    fn api_denial(&self, request: &CallRequest, stopped: &Stopped, entry: &EntryId) -> Response {
        let metadata = self.metadata_url(request.server.as_str());
        let challenge = step_up::needed(self, request, stopped);
        let token = request.presentation.form != Form::Chain;
        let challenge = challenge.as_ref().map(|c| (c.scheme, c.scope.as_str()));
        wire::api_denied(&stopped.denial, entry.as_str(), &metadata, token, challenge)
    }
}

/// The operations that the caller may use: what is not shown cannot be told
/// from what does not exist.
async fn list(gateway: &Gateway, server: &ServerName, headers: &HeaderMap) -> Response {
    let now = gateway.ports.host.now();
    let presentation = check_headers(&gateway.config, headers).and_then(|()| {
        boundary::of_message(&gateway.config, headers).map_err(|denial| {
            let status = StatusCode::UNAUTHORIZED;
            Malformed { denial, ..Malformed::new(Reason::PresentationMissing, status, 0, "") }
        })
    });
    let presentation: Presentation = match presentation {
        Ok(presentation) => presentation,
        Err(malformed) => return refused(gateway, server, &malformed).await,
    };
    let url = format!("{}{BASE}{server}", gateway.config.public_url);
    let at = ("GET", Some(url.as_str()));
    let visit = match gateway.visit(server, &presentation, at, None, now).await {
        Ok(visit) => visit,
        Err(stopped) => {
            let action = format!("http:{server}:");
            let entry = gateway.deny_message(server, &action, &presentation, &stopped, now).await;
            let metadata = gateway.metadata_url(server.as_str());
            let token = presentation.form != Form::Chain;
            return wire::api_denied(&stopped.denial, entry.as_str(), &metadata, token, None);
        }
    };
    let scope = visit.caller.present.chain().scope();
    let may_use = |name: &str| {
        let id = format!("http:{server}:{name}");
        scope.is_some_and(|scope| scope.rules(&id).is_some())
            && ToolId::parse(&id).is_ok_and(|id| visit.workflow.catalogue.rating(&id).is_some())
    };
    let operations = described(&visit.server, may_use);
    wire::json(StatusCode::OK, &Object::new().with("operations", operations).into())
}

fn described(server: &ToolServer, may_use: impl Fn(&str) -> bool) -> Vec<Json> {
    let accepted = server.pins.values().filter_map(|pin| pin.operation.as_deref());
    let shown = accepted.filter(|operation| may_use(operation.name()));
    shown.map(|operation| Json::from(operation.definition().clone())).collect()
}
