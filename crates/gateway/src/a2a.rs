//! Agents that speak A2A 1.0, behind the gateway.
//!
//! - `POST /a2a/{agent}`: the JSON-RPC binding
//! - `/a2a/{agent}/…`: the HTTP+JSON binding
//! - `GET /a2a/{agent}/.well-known/agent-card.json`: the agent's accepted card with
//!   the gateway in front, signed by this installation
//!
//! A request becomes a tool and arguments ([`bailiwick_policy::a2a`]) and runs
//! through all stages; what is sent is made of these anew. The form of a request
//! depends on nothing that is catalogued, so a caller that nobody knows hears of a
//! malformed one what the protocol says, and of every other that it is not known.

pub(crate) mod reply;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::a2a::card::{self, Place};
use bailiwick_policy::a2a::{Asked, Fault, Refused, is_spoken};
use bailiwick_policy::mcp_methods::Call;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::gateway::Gateway;
use crate::http::{Target, read};
use crate::rpc::Message;
use crate::stages::boundary::{
    self, CallRequest, Form, Malformed, Spoken, check_headers, header as one,
};
use crate::stages::{Stopped, effect, evidence};
use crate::step_up;
use crate::wire::peer::{Binding, Told, challenged_peer};
use crate::wire::{self};
use reply::Reply;

const BASE: &str = "/a2a/";
const CARD: &str = "/.well-known/agent-card.json";
/// Bytes of the list of extensions at most, and how many.
const MAX_EXTENSIONS: (usize, usize) = (4 * 1024, 16);

/// The endpoints of agents.
pub(crate) fn router() -> Router<Gateway> {
    Router::new()
        .route("/a2a/{server}", any(endpoint))
        .route("/a2a/{server}/{*path}", any(endpoint))
        .layer(DefaultBodyLimit::disable())
}

impl Target {
    fn binding(&self) -> Binding {
        if self.path.is_some() { Binding::Http } else { Binding::Rpc }
    }
}

async fn endpoint(State(gateway): State<Gateway>, request: Request) -> Response {
    let Some(target) = Target::of(BASE, request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (parts, body) = request.into_parts();
    if target.path.as_deref() == Some(CARD) {
        return published(&gateway, &target.server, &parts);
    }
    let mut response = call(&gateway, &target, &parts, body).await;
    if let Some(nonce) = gateway.nonce().filter(|_| parts.headers.contains_key("dpop")) {
        wire::with_nonce(&mut response, &nonce);
    }
    response
}

/// The card of an agent; whatever has none looks alike.
fn published(gateway: &Gateway, server: &ServerName, parts: &Parts) -> Response {
    let absent = || StatusCode::NOT_FOUND.into_response();
    if parts.method != Method::GET || parts.uri.query().is_some() {
        return absent();
    }
    let known = gateway.ports.catalogue.server(server).ok().flatten();
    let known = known.filter(|known| !known.revoked);
    let Some(accepted) = known.as_ref().and_then(|known| known.card()) else { return absent() };
    let url = format!("{}{BASE}{server}", gateway.config.public_url);
    let place = Place {
        url: &url,
        metadata: gateway.config.authorization_servers.first().map(String::as_str),
        pushes: !gateway.config.push_hosts.is_empty(),
    };
    let mut ours = card::published(accepted, &place);
    let signature = gateway.ports.peers.sign_card(&card::signed_form(&ours));
    let Some(signature) = signature else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    ours.insert("signatures", vec![Json::from(signature)]);
    let mut response = wire::json(StatusCode::OK, &ours.into());
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

async fn call(gateway: &Gateway, target: &Target, parts: &Parts, body: Body) -> Response {
    let binding = target.binding();
    let request = match well_formed(gateway, target, parts, body).await {
        Ok(request) => request,
        Err(malformed) => return refused(gateway, target, &malformed).await,
    };
    let Some(slot) = gateway.call_slot() else {
        return Told::busy().response(binding, &request.id);
    };
    let reply = gateway.start_peer_call(request, slot);
    reply.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A request that is not well-formed, with the error of the protocol.
fn unformed(fault: Fault, message: &'static str, subject: &str) -> Malformed {
    let reason = match fault {
        Fault::METHOD => Reason::MethodUnknown,
        _ => Reason::RequestMalformed,
    };
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST);
    let malformed = Malformed::new(reason, status, fault.code, message);
    Malformed { denial: malformed.denial.about(subject), ..malformed }
}

fn none_of_ours(refused: &Refused) -> Malformed {
    let message = match refused {
        Refused::Method => "method not found",
        Refused::Params(_) => "invalid params",
        Refused::Handoff(_) => "invalid params: the handoff is not of its form",
    };
    unformed(refused.fault(), message, refused.subject())
}

/// Stage 1.
async fn well_formed(
    gateway: &Gateway,
    target: &Target,
    parts: &Parts,
    body: Body,
) -> Result<CallRequest, Malformed> {
    let (config, headers) = (&gateway.config, &parts.headers);
    check_headers(config, headers)?;
    // SECURITY: no version means 0.3, whose requests mean something else.
    if !one(headers, "a2a-version")?.is_some_and(is_spoken) {
        return Err(unformed(Fault::VERSION, "version not supported", "a2a-version"));
    }
    let extensions = extensions(headers)?;
    let limit = config.body_timeout;
    let bytes = read(body, headers, config.max_request_bytes, limit).await?;
    let (id, asked, verb, url) = match &target.path {
        None => {
            let (id, asked) = of_rpc(gateway, parts, &bytes)?;
            (id, asked, "POST", format!("{}{BASE}{}", config.public_url, target.server))
        }
        Some(path) => {
            let (verb, asked) = of_http(gateway, path, parts, &bytes)?;
            let url = format!("{}{BASE}{}{path}", config.public_url, target.server);
            (Json::Null, asked, verb, url)
        }
    };
    let tool = asked.operation.tool(&target.server);
    let tool = tool.map_err(|_| unformed(Fault::METHOD, "method not found", "method"))?;
    let unpresented = |denial: Denial| Malformed {
        denial,
        id: Some(id.clone()),
        action: Some(tool.to_string()),
        ..Malformed::new(Reason::PresentationMissing, StatusCode::UNAUTHORIZED, 0, "")
    };
    let presentation = boundary::of_call(config, None, headers).map_err(unpresented)?;
    let call = Call { tool, arguments: asked.arguments.clone() };
    let at = (verb, url);
    let spoken = Spoken { asked, at, binding: target.binding(), extensions };
    Ok(CallRequest::of_agent(target.server.clone(), id, call, spoken, presentation))
}

/// The extensions that a caller wants to be active.
fn extensions(headers: &HeaderMap) -> Result<Vec<String>, Malformed> {
    let bad = || unformed(Fault::REQUEST, "invalid request", "a2a-extensions");
    let (bytes, count) = MAX_EXTENSIONS;
    let mut all = Vec::new();
    let mut size = 0usize;
    for value in headers.get_all("a2a-extensions") {
        let text = value.to_str().map_err(|_| bad())?;
        size = size.saturating_add(text.len());
        let named = text.split(',').map(str::trim).filter(|uri| !uri.is_empty());
        all.extend(named.map(str::to_owned));
    }
    if size > bytes || all.len() > count {
        return Err(bad());
    }
    Ok(all)
}

fn is_json(headers: &HeaderMap) -> Result<bool, Malformed> {
    let media = one(headers, "content-type")?.unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let packed = one(headers, "content-encoding")?.unwrap_or("identity");
    let is_known = ["application/json", "application/a2a+json"]
        .iter()
        .any(|known| media.eq_ignore_ascii_case(known));
    Ok(is_known && packed.eq_ignore_ascii_case("identity"))
}

fn body(gateway: &Gateway, headers: &HeaderMap, bytes: &[u8]) -> Result<Json, Malformed> {
    if !is_json(headers)? {
        let message = "the content type must be application/json";
        let malformed = unformed(Fault::REQUEST, message, "content-type");
        return Err(Malformed { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, ..malformed });
    }
    boundary::parse_json(&gateway.config, bytes)
}

fn of_rpc(gateway: &Gateway, parts: &Parts, bytes: &[u8]) -> Result<(Json, Asked), Malformed> {
    if parts.method != Method::POST || parts.uri.query().is_some() {
        let malformed = unformed(Fault::REQUEST, "invalid request", "method");
        return Err(Malformed { status: StatusCode::METHOD_NOT_ALLOWED, ..malformed });
    }
    // Neither a batch nor a notification: nothing happens unanswered.
    let message = Message::read(body(gateway, &parts.headers, bytes)?);
    let (id, method, params) = match message {
        Ok(Message::Request { id, method, params }) => (id, method, params),
        Ok(_) => return Err(unformed(Fault::REQUEST, "invalid request", "id")),
        Err(not) => {
            let malformed = unformed(Fault::REQUEST, "invalid request", "request");
            return Err(Malformed { id: not.id, ..malformed });
        }
    };
    match Asked::of_rpc(&method, params.as_ref()) {
        Ok(asked) => Ok((id, asked)),
        Err(refused) => Err(Malformed { id: Some(id), ..none_of_ours(&refused) }),
    }
}

fn of_http(
    gateway: &Gateway,
    path: &str,
    parts: &Parts,
    bytes: &[u8],
) -> Result<(&'static str, Asked), Malformed> {
    let verb = ["GET", "POST", "DELETE"].into_iter().find(|verb| *verb == parts.method.as_str());
    let verb = verb.ok_or_else(|| unformed(Fault::METHOD, "method not found", "method"))?;
    let json = match bytes.is_empty() {
        true => None,
        false => Some(body(gateway, &parts.headers, bytes)?),
    };
    let object: Option<&Object> = match &json {
        None => None,
        Some(Json::Object(object)) => Some(object),
        Some(_) => return Err(unformed(Fault::REQUEST, "invalid request", "body")),
    };
    let asked = Asked::of_http(verb, path, parts.uri.query(), object);
    Ok((verb, asked.map_err(|refused| none_of_ours(&refused))?))
}

/// A request that is not well-formed.
async fn refused(gateway: &Gateway, target: &Target, malformed: &Malformed) -> Response {
    let entry = gateway.deny_malformed(&target.server, malformed).await;
    let told = Told::malformed(malformed, entry.as_str());
    let id = malformed.id.clone().unwrap_or(Json::Null);
    let response = told.response(target.binding(), &id);
    match malformed.status {
        StatusCode::UNAUTHORIZED => {
            let metadata = gateway.metadata_url(target.server.as_str());
            challenged_peer(response, &malformed.denial, false, &metadata)
        }
        _ => response,
    }
}

impl Gateway {
    /// Runs a call through all stages, in a task of its own.
    fn start_peer_call(
        &self,
        mut request: CallRequest,
        slot: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Response> {
        self.number(&mut request);
        let (done, reply) = oneshot::channel();
        let gateway = self.clone();
        self.tracker.spawn(async move {
            gateway.run_peer_call(Arc::new(request), done).await;
            drop(slot);
        });
        reply
    }

    async fn run_peer_call(&self, request: Arc<CallRequest>, done: oneshot::Sender<Response>) {
        let now = self.ports.host.now();
        let Some(spoken) = request.spoken() else { return };
        let (recorded, _place) = match self.decide(Arc::clone(&request), now).await {
            Ok(decided) => decided,
            Err(mut stopped) => {
                let entry = self.record_denied_call(&request, &mut stopped, now).await;
                let _ = done.send(self.peer_denial(&request, spoken, &stopped, &entry));
                return;
            }
        };
        let (recheck, entry) = (recorded.recheck(), recorded.entry().clone());
        let reply = Reply::new(spoken.binding, request.id.clone(), entry, done);
        let call = effect::peer::call(self, recorded, spoken, &reply);
        let completed = self.watched(call, &recheck, |ended| reply.withhold(ended)).await;
        let (subjects, finished) = (&completed.subjects, &completed.finished);
        let event = evidence::completed(self, subjects, &completed.entry, finished);
        self.complete(event).await;
    }

    fn peer_denial(
        &self,
        request: &CallRequest,
        spoken: &Spoken,
        stopped: &Stopped,
        entry: &EntryId,
    ) -> Response {
        let denial = &stopped.denial;
        let told = Told::denied(denial, Some(spoken.asked.operation), entry.as_str());
        let response = told.response(spoken.binding, &request.id);
        let metadata = self.metadata_url(request.server.as_str());
        if !denial.caller_is_known() {
            let token = request.presentation.form != Form::Chain;
            return challenged_peer(response, denial, token, &metadata);
        }
        match step_up::needed(self, request, stopped) {
            Some(challenge) => {
                let challenge = (challenge.scheme, challenge.scope.as_str());
                wire::peer::step_up(response, challenge, &metadata)
            }
            None => response,
        }
    }
}
