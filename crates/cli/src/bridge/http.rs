//! The client's side over HTTP: a loopback endpoint that stands in for a
//! gateway's, for clients and agents that know no chain and no proof.
//!
//! Whoever knows an endpoint's address may use the delegation, so it holds a
//! secret that is made anew with each start.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bailiwick_core::crypto::base64url;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::rpc::{self, Message};
use bailiwick_policy::mcp_methods::Era;
use subtle::ConstantTimeEq as _;

use super::siblings::asks_for_more;
use super::way::{Way, stated_version};
use super::{Api, Fault, Peer, REQUESTS};
use crate::error::CliError;
use crate::host;
use crate::presenter::Moment;

/// What passes of a client's headers, besides those of MCP. Credentials do not:
/// the delegation is what is presented.
const ASKED: [HeaderName; 4] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    HeaderName::from_static("last-event-id"),
];
/// What passes of an answer's. `WWW-Authenticate` does not: there is nobody to
/// log in.
const ANSWERED: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::CACHE_CONTROL, header::ALLOW, header::RETRY_AFTER];
const MCP: &str = "mcp-";

/// The tool servers behind one loopback listener.
pub(crate) struct Side {
    secret: String,
    ways: BTreeMap<ServerName, Way>,
    api: Option<Api>,
    peer: Option<Peer>,
}

impl Side {
    /// One endpoint for each.
    pub(crate) fn new(ways: impl IntoIterator<Item = Way>) -> Result<Self, CliError> {
        let secret = base64url(&host::random::<16>()?);
        let ways = ways.into_iter().map(|way| (way.server.clone(), way)).collect();
        Ok(Self { secret, ways, api: None, peer: None })
    }

    /// One endpoint of an HTTP API.
    pub(crate) fn of_api(api: Api) -> Result<Self, CliError> {
        Ok(Self { api: Some(api), ..Self::new([])? })
    }

    /// One endpoint of an agent.
    pub(crate) fn of_peer(peer: Peer) -> Result<Self, CliError> {
        Ok(Self { peer: Some(peer), ..Self::new([])? })
    }

    /// The endpoints' paths, with the servers' names.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&ServerName, String)> {
        let mcp = self.ways.keys().map(|server| (server, "mcp"));
        let api = self.api.iter().map(|api| (api.server(), "http"));
        let peer = self.peer.iter().map(|peer| (peer.server(), "a2a"));
        mcp.chain(api)
            .chain(peer)
            .map(|(server, kind)| (server, format!("/{}/{kind}/{server}", self.secret)))
    }

    /// Serves them.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/{secret}/mcp/{server}", any(answer))
            .route("/{secret}/http/{server}/{*path}", any(answer_api))
            .route("/{secret}/a2a/{server}", any(answer_peer))
            .route("/{secret}/a2a/{server}/{*path}", any(answer_peer))
            .with_state(Arc::new(self))
    }

    fn is_secret(&self, told: &str) -> bool {
        told.as_bytes().ct_eq(self.secret.as_bytes()).into()
    }

    /// The API that a path names, and the path below it as it was written;
    /// nothing, unless it names the secret.
    fn api<'p>(&self, path: &'p str) -> Option<(&Api, &'p str)> {
        let (secret, rest) = path.strip_prefix('/')?.split_once("/http/")?;
        let at = rest.find('/')?;
        let (server, below) = (rest.get(..at)?, rest.get(at..)?);
        let api = self.api.as_ref().filter(|api| api.server().as_str() == server);
        api.filter(|_| self.is_secret(secret)).map(|api| (api, below))
    }

    /// The agent that a path names, the path up to it and the one below it;
    /// nothing, unless it names the secret.
    fn peer<'p>(&self, path: &'p str) -> Option<(&Peer, &'p str, &'p str)> {
        let (secret, rest) = path.strip_prefix('/')?.split_once("/a2a/")?;
        let server = rest.split('/').next()?;
        let below = rest.strip_prefix(server)?;
        let peer = self.peer.as_ref().filter(|peer| peer.server().as_str() == server)?;
        let own = path.strip_suffix(below)?;
        self.is_secret(secret).then_some((peer, own, below))
    }

    /// The way that a path names; nothing, unless it names the secret.
    fn way(&self, secret: &str, server: &str) -> Option<&Way> {
        let known = self.is_secret(secret);
        self.ways.get(&ServerName::parse(server).ok()?).filter(|_| known)
    }
}

async fn answer_api(State(side): State<Arc<Side>>, request: Request) -> Response {
    // SECURITY: as below.
    if !from_here(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let path = request.uri().path().to_owned();
    match side.api(&path) {
        Some((api, below)) => api.answer(below, request).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn answer_peer(State(side): State<Arc<Side>>, request: Request) -> Response {
    // SECURITY: as below.
    if !from_here(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let path = request.uri().path().to_owned();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match (side.peer(&path), host) {
        (Some((peer, own, below)), Some(host)) => {
            let own = format!("http://{host}{own}");
            peer.answer(below, &own, request).await
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn answer(
    State(side): State<Arc<Side>>,
    Path((secret, server)): Path<(String, String)>,
    request: Request,
) -> Response {
    // SECURITY: a name that was rebound to this address does not reach it, nor
    // does a web page (MCP, streamable HTTP).
    if !from_here(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(way) = side.way(&secret, &server) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, REQUESTS.max_bytes).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let message = Message::read(Json::parse(&body, &REQUESTS).unwrap_or(Json::Null)).ok();
    let id = match &message {
        Some(Message::Request { id, .. }) => Some(id.clone()),
        _ => None,
    };
    match pass(way, head.method, &head.headers, message, body.to_vec()).await {
        Ok(answer) => answer,
        Err(fault) => {
            let status = match fault {
                Fault::Own(_) => StatusCode::INTERNAL_SERVER_ERROR,
                Fault::Away(_) | Fault::Stranger(_) => StatusCode::BAD_GATEWAY,
            };
            let told = rpc::text(&fault.told(id.as_ref()));
            (status, [(header::CONTENT_TYPE, "application/json")], told).into_response()
        }
    }
}

/// Sends what came, with chain and proof; what is no call goes as it is, for the
/// gateway to judge.
async fn pass(
    way: &Way,
    verb: Method,
    given: &HeaderMap,
    message: Option<Message>,
    body: Vec<u8>,
) -> Result<Response, Fault> {
    let mut headers = only(given, &ASKED);
    let moment = way.presenter.moment();
    let answer = match call(way, message.as_ref(), &moment)? {
        Some(_) => {
            let asks = matches!(&message, Some(Message::Request { method, params, .. })
                if asks_for_more(method, params.as_ref()));
            // A session is that of one root, and its client holds it.
            let in_session = given.contains_key("mcp-session-id");
            under_chains(way, asks, in_session, &headers, message.as_ref()).await?
        }
        None => {
            way.prove(&mut headers, &verb, &moment)?;
            way.send(verb, headers, body).await?
        }
    };
    let (head, body) = answer.into_parts();
    let mut passed = Response::new(Body::new(body));
    *passed.status_mut() = head.status;
    *passed.headers_mut() = only(&head.headers, &ANSWERED);
    Ok(passed)
}

/// Sends a call under the first chain, and where that does not cover it, and no
/// session binds it, once under each further one.
async fn under_chains(
    way: &Way,
    asks: bool,
    in_session: bool,
    headers: &HeaderMap,
    message: Option<&Message>,
) -> Result<Response, Fault> {
    let mut chains = way.chains(asks);
    while let Some(moment) = chains.next() {
        let compose = || {
            let call = call(way, message, &moment)?;
            Ok((headers.clone(), call.unwrap_or_default()))
        };
        let response = way.send_until_decided(compose).await?;
        if in_session && !asks {
            return Ok(response);
        }
        if let Some(response) = chains.judge(response).await? {
            return Ok(response);
        }
    }
    Err(Fault::Own("there is no chain to present".to_owned()))
}

/// The body of a call with chain and proof.
fn call(
    way: &Way,
    message: Option<&Message>,
    moment: &Moment<'_>,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(Message::Request { id, method, params }) = message else { return Ok(None) };
    let params: Option<&Object> = params.as_ref();
    let era = if stated_version(params).is_some() { Era::Stateless } else { Era::Sessions };
    let presented = way.presented(era, method, params, moment)?;
    Ok(presented.map(|params| rpc::text(&rpc::compose(Some(id), method, Some(&params)))))
}

fn only(headers: &HeaderMap, named: &[HeaderName]) -> HeaderMap {
    let passes = |name: &HeaderName| named.contains(name) || name.as_str().starts_with(MCP);
    let passed = headers.iter().filter(|(name, _)| passes(name));
    passed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a request names this machine, and no page elsewhere sent it.
fn from_here(headers: &HeaderMap) -> bool {
    let local = |authority: &str| {
        let host = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        matches!(host.map_or(authority, |(host, _)| host), "127.0.0.1" | "localhost" | "[::1]")
    };
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let one = |name: HeaderName| headers.get_all(name).iter().count() <= 1;
    let origin = match (headers.contains_key(header::ORIGIN), text(header::ORIGIN)) {
        (false, _) => true,
        (true, origin) => origin.and_then(|o| o.strip_prefix("http://")).is_some_and(local),
    };
    text(header::HOST).is_some_and(local) && origin && one(header::HOST) && one(header::ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_elsewhere_and_rebound_names_are_not_from_here() {
        let from = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            from_here(&headers)
        };
        assert!(from("127.0.0.1:7000", None));
        assert!(from("localhost", Some("http://localhost:7000")));
        assert!(from("[::1]:7000", None));
        for (host, origin) in [
            ("evil.example:7000", None),
            ("127.0.0.1.evil.example", None),
            ("127.0.0.1:7000", Some("http://evil.example")),
            ("127.0.0.1:7000", Some("null")),
            ("127.0.0.1:7000", Some("https://localhost.evil.example")),
        ] {
            assert!(!from(host, origin), "{host} {origin:?}");
        }
        assert!(!from_here(&HeaderMap::new()));
    }
}
