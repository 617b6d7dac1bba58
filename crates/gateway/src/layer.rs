//! A `tower` layer for a service in the same process as its gateway: the inner
//! service sees a request only when the call is allowed and recorded, and then
//! the arguments that were checked, as an extension ([`Checked`]).
//!
//! The decision is that of the gateway's other doors; the record says
//! `enforcement: external`, and the outcome is what the service's status says.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ServerName, ToolId};
use bailiwick_core::json::Object;
use http::header;

use crate::api::{Asked, Came};
use crate::ext_authz::presented;
use crate::external::{Report, Ruled};
use crate::gateway::Gateway;
use crate::stages::boundary::{CallRequest, Enforcement};
use crate::stages::evidence::Outcome;
use crate::wire;

/// What was checked of a request that is allowed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// The operation, as a tool.
    pub tool: ToolId,
    /// Its arguments: act on these, not on the request.
    pub arguments: Object,
    /// The decision's id.
    pub decision: EntryId,
}

/// Headers that are for the gateway alone.
const TAKEN: [&str; 4] = ["aat-chain", "aat-pop", "authorization", "dpop"];

/// Puts `service` behind `gateway` as the HTTP API `server` of its catalogue.
///
/// Requests are read as the accepted operations describe them; what reaches the
/// service is written anew from the checked arguments.
pub fn authorized(service: axum::Router, gateway: Gateway, server: ServerName) -> axum::Router {
    let door = Door { gateway, server: Arc::new(server) };
    // Outermost, also around what the service does for paths it has not.
    axum::Router::new().fallback_service(service).layer(middleware::from_fn_with_state(door, enter))
}

#[derive(Clone)]
struct Door {
    gateway: Gateway,
    server: Arc<ServerName>,
}

async fn enter(State(door): State<Door>, request: Request, next: Next) -> Response {
    let Door { gateway, server } = door;
    let metadata = gateway.metadata_url(server.as_str());
    let (call, rebuilt) = match asked(&gateway, &server, request).await {
        Ok(asked) => asked,
        Err(denial) => {
            let entry = gateway.deny_question(&server, &format!("http:{server}:"), &denial).await;
            return wire::api_denied(&denial, entry.as_str(), &metadata, false, None);
        }
    };
    let Some(_slot) = gateway.call_slot() else { return wire::busy() };
    let (tool, arguments) = (call.call.tool.clone(), call.call.arguments.clone());
    let Ruled { entry, verdict } = gateway.rule(call).await;
    if let Err(denial) = verdict {
        return wire::api_denied(&denial, entry.as_str(), &metadata, false, None);
    }
    let mut request = rebuilt;
    request.extensions_mut().insert(Checked { tool, arguments, decision: entry.clone() });
    let response = next.run(request).await;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let outcome = if failed { Outcome::Error } else { Outcome::Ok };
    gateway.awaited.report(&entry, Report { outcome, result: None });
    response
}

/// The call, and the request that its arguments stand for.
async fn asked(
    gateway: &Gateway,
    server: &ServerName,
    request: Request,
) -> Result<(CallRequest, Request), Denial> {
    let malformed = || Denial::new(Reason::RequestMalformed);
    let (mut parts, body) = request.into_parts();
    let (presentation, body) = presented(gateway, &parts.headers, body).await?;
    let came = Came {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &body,
    };
    let Asked { call, .. } = gateway.understood(server, &came)?;
    let known = gateway.api(server)?;
    let pin = known.pins.get(call.tool.operation());
    let operation = pin.and_then(|pin| pin.operation.as_ref()).ok_or_else(malformed)?;
    let outgoing = operation.request(&call.arguments).map_err(|_| malformed())?;
    let target = match &outgoing.query {
        Some(query) => format!("{}?{query}", outgoing.path),
        None => outgoing.path,
    };
    parts.uri = target.parse().map_err(|_| malformed())?;
    for name in TAKEN {
        parts.headers.remove(name);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::TRANSFER_ENCODING);
    let body = outgoing.body.map_or_else(Body::empty, Body::from);
    let enforcement = Enforcement::External(None);
    let call = CallRequest::of_api(server.clone(), call, None, presentation, enforcement);
    Ok((call, Request::from_parts(parts, body)))
}
