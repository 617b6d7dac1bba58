//! MCP behind an Envoy: the message is judged as at the gateway's own endpoint,
//! as far as somebody can who sees requests and no answers.
//!
//! What Envoy forwards are the caller's own bytes. So a call is allowed only
//! where the gateway itself would forward the very same message: nothing in
//! `_meta` that it would take out, no header that it would write otherwise.
//! Sessions (a session's owner is known only from its opening), listings and
//! streams (their answers are not narrowed) are `not-enforceable`.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::json::Json;
use bailiwick_policy::api::{HEADERS_READ, is_json};
use bailiwick_policy::mcp_methods::{Era, Treatment};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::{Envoyed, Told, denied, of_chain, refused, ruled, whole};
use crate::gateway::Gateway;
use crate::headers::param_headers;
use crate::ports::ToolServer;
use crate::questions::declare_only;
use crate::rpc;
use crate::stages::boundary::{
    self, CallRequest, Enforcement, Malformed, MessageRequest, Speech, WellFormed,
};

/// The one message that is no call and whose answer needs no narrowing.
const DISCOVER: &str = "server/discover";

/// Headers of sessions and their streams.
const SESSION: [&str; 2] = ["last-event-id", "mcp-session-id"];

pub(super) async fn check(gateway: &Gateway, known: &ToolServer, envoyed: &Envoyed) -> Told {
    match understood(gateway, known, envoyed) {
        Ok(Understood::Call(call)) => ruled(gateway, *call).await,
        Ok(Understood::Message(message)) => passed(gateway, &message).await,
        Err(denial) => denied(gateway, &envoyed.server, &denial).await,
    }
}

enum Understood {
    Call(Box<CallRequest>),
    Message(Box<MessageRequest>),
}

fn not_enforceable(what: &str) -> Denial {
    Denial::new(Reason::NotEnforceable).about(what)
}

/// Stage 1.
fn understood(
    gateway: &Gateway,
    known: &ToolServer,
    envoyed: &Envoyed,
) -> Result<Understood, Denial> {
    let Envoyed { headers, body, .. } = envoyed;
    let malformed = |m: Malformed| m.denial;
    boundary::check_headers(&gateway.config, headers).map_err(malformed)?;
    if envoyed.method != "POST" {
        return Err(not_enforceable("method"));
    }
    if envoyed.path != known.url.path() || envoyed.query.as_deref() != known.url.query() {
        return Err(Denial::new(Reason::RequestMalformed).about("path"));
    }
    headers_pass(headers)?;
    whole(headers, body.is_empty())?;
    boundary::check_post(headers).map_err(malformed)?;
    // SECURITY: the tool server gets this header too, and may read the bytes as
    // it says.
    if !headers.get(CONTENT_TYPE).is_some_and(|media| is_json(media.as_bytes())) {
        return Err(not_enforceable("content-type"));
    }
    let said = boundary::parse_json(&gateway.config, body).map_err(malformed)?;
    let server = envoyed.server.clone();
    let parsed = boundary::parse(&gateway.config, server, headers, body).map_err(malformed)?;
    match parsed {
        WellFormed::Answer(_) => Err(not_enforceable("answer")),
        WellFormed::Message(message) => {
            // SECURITY: of anything else the answer would have to be narrowed,
            // or a stream to be ended with its authority.
            if message.method.name != DISCOVER {
                return Err(not_enforceable(message.method.name));
            }
            stateless(message.era)?;
            same(&said, message.id.as_ref(), message.method.name, message.params.as_ref())?;
            let presentation = of_chain(message.presentation.clone())?;
            Ok(Understood::Message(Box::new(MessageRequest { presentation, ..*message })))
        }
        WellFormed::Call(call) => {
            stateless(call.era)?;
            let Speech::Mcp { method, params } = &call.speech else {
                return Err(Denial::new(Reason::RequestMalformed));
            };
            let Treatment::Call(_) = method.treatment else {
                return Err(not_enforceable(method.name));
            };
            // Envoy passes on what came, and a parameter that means nothing here
            // may mean something there.
            if params.member("task").is_some() {
                return Err(not_enforceable("task"));
            }
            // It would reach the tool server, which has not asked.
            if call.waited.is_some() {
                return Err(not_enforceable("requestState"));
            }
            same(&said, Some(&call.id), method.name, Some(params))?;
            repeated_params(known, &call, headers)?;
            let presentation = of_chain(call.presentation.clone())?;
            let enforcement = Enforcement::External(None);
            Ok(Understood::Call(Box::new(CallRequest { presentation, enforcement, ..*call })))
        }
    }
}

fn stateless(era: Era) -> Result<(), Denial> {
    match era {
        Era::Stateless => Ok(()),
        Era::Sessions => Err(not_enforceable("mcp-protocol-version")),
    }
}

/// Headers that would make it another request, or one of somebody's session.
fn headers_pass(headers: &HeaderMap) -> Result<(), Denial> {
    if let Some(name) = SESSION.iter().find(|name| headers.contains_key(**name)) {
        return Err(not_enforceable(name));
    }
    let overrides = HEADERS_READ.iter().filter(|name| name.starts_with("x-"));
    match overrides.into_iter().find(|name| headers.contains_key(**name)) {
        Some(name) => Err(Denial::new(Reason::RequestMalformed).about(*name)),
        None => Ok(()),
    }
}

/// SECURITY: what is checked is what is forwarded. The gateway would take chain
/// and proof and what has no meaning out of `_meta`; here they would reach the
/// tool server. A number that parsers read differently is two messages.
fn same(
    said: &Json,
    id: Option<&Json>,
    method: &str,
    params: Option<&bailiwick_core::json::Object>,
) -> Result<(), Denial> {
    if *said != rpc::compose(id, method, params) {
        return Err(not_enforceable("_meta"));
    }
    // Nobody here would withhold what a tool server asks on the strength of it,
    // nor the handle of an effect that outlives the call.
    if let Some(params) = params {
        let mut bare = params.clone();
        declare_only(&mut bare, std::iter::empty(), false);
        if bare != *params {
            return Err(not_enforceable("clientCapabilities"));
        }
    }
    if said.is_admissible() { Ok(()) } else { Err(Denial::new(Reason::RequestMalformed)) }
}

/// `Mcp-Param-…` say what the gateway would write, and nothing else.
fn repeated_params(
    known: &ToolServer,
    call: &CallRequest,
    headers: &HeaderMap,
) -> Result<(), Denial> {
    let pin = known.pins.get(call.call.tool.operation());
    let due = pin.map(|pin| param_headers(pin, &call.call.arguments)).unwrap_or_default();
    let is_param = |name: &&http::HeaderName| name.as_str().starts_with("mcp-param-");
    let said = headers.iter().map(|(name, _)| name).filter(is_param).count();
    let agrees = due.iter().all(|(name, value)| headers.get(name) == Some(value));
    if agrees && said == due.len() {
        Ok(())
    } else {
        Err(Denial::new(Reason::HeaderMismatch).about("mcp-param"))
    }
}

/// A message that is no call: the caller is known and has something to do with
/// the tool server. Like the gateway's own it leaves an entry only if denied.
async fn passed(gateway: &Gateway, message: &MessageRequest) -> Told {
    let now = gateway.ports.host.now();
    let (server, presentation) = (&message.server, &message.presentation);
    match gateway.visit(server, presentation, ("POST", None), None, now).await {
        Ok(_) => Told::Allowed(None),
        Err(stopped) => {
            let action = message.method.action().replace("<server>", server.as_str());
            let entry =
                gateway.deny_asked_message(server, &action, presentation, &stopped, now).await;
            refused(gateway, server, &stopped.denial, &entry)
        }
    }
}
