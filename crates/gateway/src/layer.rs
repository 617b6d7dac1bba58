//! A [`tower_layer::Layer`] for a service in the same process as its gateway:
//! the inner service sees a request only when the call is allowed and recorded,
//! and then written anew from the arguments that were checked, which it finds
//! as the extension [`Checked`].
//!
//! The decision is that of the gateway's other doors; the record says
//! `enforcement: external`. The outcome is what the service's status says, or
//! the [`Outcome`] that the service puts into the extensions of its response;
//! it is reported with the digest of the answer once that has been sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bailiwick_core::accountable::Authority;
use bailiwick_core::crypto::Sha256;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{AgentId, EntryId, ServerName, ToolId};
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use crate::api::{Asked, Came};
use crate::ext_authz::{TAKEN, presented};
use crate::external::{Report, Ruled};
use crate::gateway::Gateway;
use crate::http::read;
use crate::stages::boundary::{CallRequest, Enforcement};
pub use crate::stages::evidence::Outcome;
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
    /// The agent that acts.
    pub agent: AgentId,
    /// What the delegation says: principal, task, purpose, workflow, grant.
    pub authority: Authority,
    /// When the delegation ends.
    pub expires: Timestamp,
}

/// Errors of a body, whichever.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Puts services behind a gateway, each as the HTTP API of one name in its
/// catalogue.
///
/// Requests are read as the accepted operations describe them, whole and up to
/// the gateway's `max_request_bytes`. Wrap the whole service, not a route of
/// it: what a router decided by before it asked was the caller's request.
#[derive(Clone, Debug)]
pub struct Authorize {
    gateway: Gateway,
    server: Arc<ServerName>,
}

impl Authorize {
    /// For the HTTP API `server`.
    #[must_use]
    pub fn new(gateway: Gateway, server: ServerName) -> Self {
        Self { gateway, server: Arc::new(server) }
    }
}

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized { inner, door: self.clone() }
    }
}

/// A service behind a gateway; made by [`Authorize`].
#[derive(Clone, Debug)]
pub struct Authorized<S> {
    inner: S,
    door: Authorize,
}

impl<S, B, R> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was polled is ready; a clone of it is not.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(enter(self.door.clone(), inner, request.map(Body::new)))
    }
}

async fn enter<S, R>(
    door: Authorize,
    mut inner: S,
    request: Request<Body>,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    R::Error: Into<BoxError>,
{
    let gateway = door.gateway.clone();
    let (request, decision) = match admit(door, request).await {
        Ok(admitted) => admitted,
        Err(denied) => return Ok(*denied),
    };
    let mut reporting = Reporting::new(gateway, decision);
    // A service that fails without an answer is known to have been called.
    let response = inner.call(request).await.inspect_err(|_| reporting.end(Outcome::Error))?;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let said = response.extensions().get::<Outcome>().copied();
    reporting.outcome = said.unwrap_or(if failed { Outcome::Error } else { Outcome::Ok });
    Ok(response.map(|body| Body::new(Watched::new(body, reporting))))
}

/// Decides on a request.
///
/// # Errors
/// The answer, where it may not pass.
async fn admit(
    door: Authorize,
    request: Request<Body>,
) -> Result<(Request<Full<Bytes>>, EntryId), Box<Response<Body>>> {
    let Authorize { gateway, server } = door;
    let denied = |denial: &Denial, entry: &EntryId| {
        let metadata = gateway.metadata_url(server.as_str());
        Box::new(wire::api_denied(denial, entry.as_str(), &metadata, false, None))
    };
    let (call, mut request) = match asked(&gateway, &server, request).await {
        Ok(asked) => asked,
        Err(denial) => {
            let entry = gateway.deny_question(&server, &format!("http:{server}:"), &denial).await;
            return Err(denied(&denial, &entry));
        }
    };
    let Some(slot) = gateway.call_slot() else { return Err(Box::new(wire::busy())) };
    let (tool, arguments) = (call.call.tool.clone(), call.call.arguments.clone());
    let Ruled { entry, verdict } = gateway.rule(call, slot).await;
    let granted = verdict.map_err(|denial| denied(&denial, &entry))?;
    request.extensions_mut().insert(Checked {
        tool,
        arguments,
        decision: entry.clone(),
        agent: granted.agent,
        authority: granted.authority,
        expires: granted.expires,
    });
    Ok((request, entry))
}

/// The call, and the request that its arguments stand for.
async fn asked(
    gateway: &Gateway,
    server: &ServerName,
    request: Request<Body>,
) -> Result<(CallRequest, Request<Full<Bytes>>), Denial> {
    let malformed = || Denial::new(Reason::RequestMalformed);
    let (mut parts, body) = request.into_parts();
    let presentation = presented(gateway, &parts.headers)?;
    let (max, limit) = (gateway.config.max_request_bytes, gateway.config.body_timeout);
    let body = read(body, &parts.headers, max, limit).await.map_err(|m| m.denial)?;
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
    let body = Full::new(outgoing.body.map_or_else(Bytes::new, Bytes::from));
    let enforcement = Enforcement::External(None);
    let call = CallRequest::of_api(server.clone(), call, None, presentation, enforcement);
    Ok((call, Request::from_parts(parts, body)))
}

/// Says once what became of a call, at the latest when it is dropped.
struct Reporting {
    gateway: Gateway,
    decision: Option<EntryId>,
    outcome: Outcome,
    seen: Sha256,
    bytes: usize,
}

impl Reporting {
    fn new(gateway: Gateway, decision: EntryId) -> Self {
        let (decision, outcome) = (Some(decision), Outcome::Unknown);
        Self { gateway, decision, outcome, seen: Sha256::default(), bytes: 0 }
    }

    fn piece(&mut self, piece: &[u8]) {
        self.seen.update(piece);
        self.bytes = self.bytes.saturating_add(piece.len());
    }

    /// The whole answer was sent.
    fn whole(&mut self) {
        if let Some(decision) = self.decision.take() {
            let digest = std::mem::take(&mut self.seen).finish();
            let report = Report { outcome: self.outcome, result: Some((digest, self.bytes)) };
            self.gateway.awaited.report(&decision, report);
        }
    }

    /// There is no whole answer.
    fn end(&mut self, outcome: Outcome) {
        if let Some(decision) = self.decision.take() {
            self.gateway.awaited.report(&decision, Report { outcome, result: None });
        }
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        // The caller went away, or the service was dropped in its work.
        let outcome = match self.outcome {
            Outcome::Ok => Outcome::Unknown,
            said => said,
        };
        self.end(outcome);
    }
}

/// An answer on its way, and what is said of it at its end.
struct Watched<R> {
    inner: R,
    reporting: Reporting,
}

impl<R: http_body::Body> Watched<R> {
    fn new(inner: R, mut reporting: Reporting) -> Self {
        // Nobody polls what has ended.
        if inner.is_end_stream() {
            reporting.whole();
        }
        Self { inner, reporting }
    }
}

impl<R> http_body::Body for Watched<R>
where
    R: http_body::Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    self.reporting.piece(piece);
                }
                if self.inner.is_end_stream() {
                    self.reporting.whole();
                }
            }
            Some(Err(_)) => self.reporting.end(Outcome::Error),
            None => self.reporting.whole(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
