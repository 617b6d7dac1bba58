//! Peers over mutual TLS: both show their X.509-SVIDs, and the handshake is
//! bound to the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::peer::Channel;
use bailiwick_core::time::Timestamp;
use bailiwick_svid::Usage;
use bailiwick_workload::tls::{Facts, Party};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::ServiceExt as _;

use crate::Host;
use crate::error::{PeerError, Who};
use crate::transport::{Answer, Exchange, Loopback, MAX_ANSWER, Transport};

/// How long a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a peer may take to shake hands.
const SHAKING: Duration = Duration::from_secs(5);
/// How long a request's head may take, and a kept-open connection may wait.
const HEAD: Duration = Duration::from_secs(30);
/// Connections at once; others wait to be accepted.
const CONNECTIONS: usize = 128;
/// The pause after an accept that failed, out of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn channel(facts: &Facts) -> Channel {
    Channel::MutualTls {
        exporter: facts.channel_binding,
        peer: facts.peer.spiffe_id.as_str().to_owned(),
    }
}

fn away(why: impl std::fmt::Display) -> PeerError {
    PeerError::Away { who: Who::Peer, why: why.to_string() }
}

/// Peers elsewhere over mutual TLS (`https`), and those on this machine over
/// plain HTTP.
pub struct Mutual {
    party: Arc<Party>,
    connector: TlsConnector,
    plain: Loopback,
}

impl std::fmt::Debug for Mutual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutual").field("party", &self.party).finish_non_exhaustive()
    }
}

impl Mutual {
    /// Shows what `party` has.
    ///
    /// # Errors
    /// [`PeerError::Away`] when no client can be made.
    pub fn new(party: Arc<Party>) -> Result<Self, PeerError> {
        let config = party.client().map_err(away)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { party, connector, plain: Loopback::new()? })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Exchange>, PeerError> {
        let host = url.host_str().ok_or_else(|| away("the URL names no host"))?;
        let port = url.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
        let stream = stream.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        // Who it is, its certificate says, and no name.
        let name = ServerName::try_from("peer").map_err(away)?;
        let stream = self.connector.connect(name, stream).await.map_err(away)?;
        let facts = self.party.facts(stream.get_ref().1, Usage::Server).map_err(away)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(away)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer broke");
            }
        });
        let channel = channel(&facts);
        Ok(Box::new(Secured { sender: Mutex::new(sender), channel }))
    }
}

impl Transport for Mutual {
    fn open<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Box<dyn Exchange>, PeerError>> {
        Box::pin(async move {
            match Url::parse(url).ok().filter(|url| url.scheme() == "https") {
                Some(url) => {
                    let connected = tokio::time::timeout(CONNECT, self.connect(&url)).await;
                    connected.unwrap_or_else(|_| Err(away("it takes too long to connect")))
                }
                None => self.plain.open(url).await,
            }
        })
    }
}

/// One connection: the handshake is bound to it, so nothing of the exchange goes
/// over another.
struct Secured {
    sender: Mutex<SendRequest<Body>>,
    channel: Channel,
}

impl Secured {
    async fn ask(&self, path: &str, body: Vec<u8>) -> Result<Answer, PeerError> {
        let request = Request::post(path)
            .header(header::HOST, "peer")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(away)?;
        let response = self.sender.lock().await.send_request(request).await.map_err(away)?;
        let status = response.status().as_u16();
        let mut pieces = Body::new(response.into_body()).into_data_stream();
        let mut body = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece: Bytes = piece.map_err(away)?;
            if body.len().saturating_add(piece.len()) > MAX_ANSWER {
                return Err(PeerError::Unexpected { who: Who::Peer, what: "it is too large" });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, body })
    }
}

impl Exchange for Secured {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn post<'a>(
        &'a self,
        path: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<Answer, PeerError>> {
        Box::pin(async move {
            let asked = tokio::time::timeout(PATIENCE, self.ask(path, body)).await;
            asked.unwrap_or_else(|_| Err(away("it takes too long to answer")))
        })
    }
}

/// Serves a taker's router over mutual TLS until it is dropped. A connection
/// whose certificate has run out is answered nothing more.
///
/// # Errors
/// [`PeerError::Away`] when the party cannot serve.
pub async fn serve_mutual(
    listener: TcpListener,
    router: Router,
    party: Arc<Party>,
    host: Arc<dyn Host>,
) -> Result<(), PeerError> {
    let acceptor = TlsAcceptor::from(Arc::new(party.server().map_err(away)?));
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, party) = (acceptor.clone(), Arc::clone(&party));
        let (router, host) = (router.clone(), Arc::clone(&host));
        tokio::spawn(async move {
            let _slot = slot;
            let shaken = tokio::time::timeout(SHAKING, acceptor.accept(stream)).await;
            let Ok(Ok(stream)) = shaken else { return };
            let Ok(facts) = party.facts(stream.get_ref().1, Usage::Client) else { return };
            let connection = Connection { facts, router, host };
            let service = hyper::service::service_fn(|request| connection.answer(request));
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a peer's connection broke");
            }
        });
    }
}

/// A peer's connection.
struct Connection {
    facts: Facts,
    router: Router,
    host: Arc<dyn Host>,
}

impl Connection {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response, std::convert::Infallible> {
        let now: Timestamp = self.host.now();
        // SECURITY: a peer is known for as long as its certificate stands, also on
        // a connection that was made before.
        if !self.facts.stands(now) {
            return Ok(StatusCode::UNAUTHORIZED.into_response());
        }
        request.extensions_mut().insert(channel(&self.facts));
        self.router.clone().oneshot(request.map(Body::new)).await
    }
}
