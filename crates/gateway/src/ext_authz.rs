//! Envoy's `ext_authz`: an Envoy in front of a tool server asks before it
//! forwards a request, over HTTP ([`http`]) or over gRPC ([`grpc`]).
//!
//! Both forms are edges of one [`check`]: the request of an HTTP API is
//! understood as at the gateway's own door ([`crate::api`]), a message of MCP
//! as at its endpoint ([`mcp`]); the record says `enforcement: external`. A
//! body counts only whole: Envoy says so in `x-envoy-auth-partial-body`. What
//! it does not forward as it was asked about, nobody here can see; the shipped
//! configuration does.

use axum::response::Response;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{EntryId, ServerName};
use http::HeaderMap;

use crate::api::{Asked, Came};
use crate::external::Ruled;
use crate::gateway::Gateway;
use crate::stages::boundary::{self, CallRequest, Enforcement, Form, Presentation, check_headers};
use crate::wire;

mod grpc;
mod http_form;
mod mcp;
mod question;

pub use grpc::router as grpc_router;
pub use http_form::router;
pub(crate) use question::TAKEN;
use question::{Envoyed, is_unclear, odd, whole};

/// What an Envoy is told.
pub(crate) enum Told {
    /// It may forward the request; a call has a decision.
    Allowed(Option<EntryId>),
    /// It may not, and answers this, which is never a success.
    Denied(Box<Response>),
}

/// Decides on a request, however the Envoy asked.
async fn check(gateway: &Gateway, envoyed: &Envoyed) -> Told {
    let known = match gateway.api(&envoyed.server) {
        Ok(known) => known,
        Err(denial) => return denied(gateway, &envoyed.server, &denial).await,
    };
    if known.is_api() {
        match of_api(gateway, &known.url, envoyed) {
            Ok(call) => ruled(gateway, call).await,
            Err(denial) => denied(gateway, &envoyed.server, &denial).await,
        }
    } else {
        mcp::check(gateway, &known, envoyed).await
    }
}

/// The call that a request to an HTTP API is.
fn of_api(gateway: &Gateway, base: &url::Url, envoyed: &Envoyed) -> Result<CallRequest, Denial> {
    let presentation = presented(gateway, &envoyed.headers)?;
    whole(&envoyed.headers, envoyed.body.is_empty())?;
    let base = base.path().trim_end_matches('/');
    let below = envoyed.path.strip_prefix(base);
    let below = below.ok_or_else(|| Denial::new(Reason::RequestMalformed))?;
    let came = Came {
        method: &envoyed.method,
        path: below,
        query: envoyed.query.as_deref(),
        headers: &envoyed.headers,
        body: &envoyed.body,
    };
    let server = &envoyed.server;
    let Asked { call, .. } = gateway.understood(server, &came)?;
    let enforcement = Enforcement::External(None);
    Ok(CallRequest::of_api(server.clone(), call, None, presentation, enforcement))
}

/// Chain and proof of a call that somebody else makes.
pub(crate) fn presented(gateway: &Gateway, headers: &HeaderMap) -> Result<Presentation, Denial> {
    let config = &gateway.config;
    check_headers(config, headers).map_err(|malformed| malformed.denial)?;
    let presentation = boundary::of_call(config, None, headers)?;
    of_chain(presentation)
}

/// SECURITY: a DPoP proof names a URL that is not known here, a bearer proves
/// nothing.
fn of_chain(presentation: Presentation) -> Result<Presentation, Denial> {
    if presentation.form == Form::Chain {
        Ok(presentation)
    } else {
        Err(Denial::new(Reason::PresentationMalformed).about("authorization"))
    }
}

/// Stages 2 to 5 and the record.
async fn ruled(gateway: &Gateway, call: CallRequest) -> Told {
    let Some(slot) = gateway.call_slot() else { return Told::Denied(Box::new(wire::busy())) };
    let server = call.server.clone();
    match gateway.rule(call, slot).await {
        Ruled { entry, verdict: Ok(_) } => Told::Allowed(Some(entry)),
        Ruled { entry, verdict: Err(denial) } => refused(gateway, &server, &denial, &entry),
    }
}

/// A request that is not well-formed, or described by nobody.
async fn denied(gateway: &Gateway, server: &ServerName, denial: &Denial) -> Told {
    let kind = match gateway.api(server) {
        Ok(known) if !known.is_api() => "mcp",
        _ => "http",
    };
    let entry = gateway.deny_question(server, &format!("{kind}:{server}:"), denial).await;
    refused(gateway, server, denial, &entry)
}

fn refused(gateway: &Gateway, server: &ServerName, denial: &Denial, entry: &EntryId) -> Told {
    let metadata = gateway.metadata_url(server.as_str());
    Told::Denied(Box::new(wire::api_denied(denial, entry.as_str(), &metadata, false, None)))
}
