//! Accepting connections, within bounds: how many, and how long a client may
//! take to shake hands and to say what it wants.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::heads::{self, Heads, Next, Watched};
use crate::tls::Tls;

/// Bounds on what clients may hold open.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections open at once; others wait to be accepted.
    pub connections: usize,
    /// How long a request's head may take to arrive, and how long a kept-open
    /// connection may wait for the next one.
    pub head_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// TLS handshakes under way at once; others wait to be accepted.
    pub handshakes: usize,
    /// Which HTTP is spoken.
    pub speaks: Speaks,
}

/// The one HTTP that a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 from the first byte, as gRPC needs it. `head_timeout` bounds how
    /// long the first request may take.
    Http2,
}

impl Bounds {
    /// So many connections, and 30 seconds; half of them may shake hands at
    /// once, each for 5 seconds.
    #[must_use]
    pub const fn new(connections: usize) -> Self {
        Self {
            connections,
            head_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            handshakes: connections.div_ceil(2),
            speaks: Speaks::Http1,
        }
    }
}

/// Bytes of a request's head, and of the buffer that reads it.
const MAX_HEAD_BYTES: usize = 256 << 10;

/// Requests at once on one connection of HTTP/2, and bytes of each one's head.
const MAX_STREAMS: u32 = 256;
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;

/// The pause after an accept that failed, out of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` until `stop`, then lets the requests under way end. Without
/// `tls` it speaks plain HTTP: whoever calls it answers for who can reach it.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let semaphore = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
    let (slots, handshakes) = (semaphore(bounds.connections), semaphore(bounds.handshakes));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let shaking = match &tls {
                Some(tls) => Some((tls, Arc::clone(&handshakes).acquire_owned().await.ok()?)),
                None => None,
            };
            Some((accept(&listener, &slots).await?, shaking))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = &mut stop => break,
        };
        let Some((Arrival { stream, peer, slot }, shaking)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let open = Open { slot, peer, router: router.clone(), watcher: connections.watcher() };
        match shaking {
            None => {
                tokio::spawn(open.run(stream, bounds));
            }
            Some((tls, shaking)) => {
                // The certificate of this moment; a later one is for later
                // connections.
                let handshake = tls.acceptor().accept(stream);
                tokio::spawn(async move {
                    let shaken = tokio::time::timeout(bounds.handshake_timeout, handshake).await;
                    drop(shaking);
                    match shaken {
                        Ok(Ok(stream)) => open.run(stream, bounds).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    }
                });
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// A connection as it was accepted.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    slot: OwnedSemaphorePermit,
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<Arrival> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Nagle and delayed acknowledgements cost some 40 ms a streamed answer.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not set TCP_NODELAY");
            }
            Some(Arrival { stream, peer, slot })
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            None
        }
    }
}

/// A connection that was accepted, with its slot among those that are open.
struct Open {
    slot: OwnedSemaphorePermit,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
}

impl Open {
    async fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        bounds: Bounds,
    ) {
        let (peer, router) = (ConnectInfo(self.peer), TowerToHyperService::new(self.router));
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        // Whom a request came from: what a header says of it is not believed.
        // HTTP/2 frames its heads: there is one way to read them.
        let heads = (bounds.speaks == Speaks::Http1).then(Arc::<Heads>::default);
        let stream = Watched::new(stream, heads.clone());
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            seen.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            // SECURITY: nobody decides about a head that two parties could read differently.
            let judged = heads.as_ref().map_or(Ok(Next::Open), |heads| heads.judge(&request));
            let answer = judged.map(|next| (next, router.call(request)));
            async move {
                let (next, answer) = match answer {
                    Ok(going) => going,
                    Err(fault) => return Ok(fault.response()),
                };
                let mut response = answer.await?;
                if next == Next::Close {
                    heads::closing(&mut response);
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        let ended = match bounds.speaks {
            Speaks::Http1 => {
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(bounds.head_timeout)
                    .max_buf_size(MAX_HEAD_BYTES)
                    .serve_connection(stream, service);
                self.watcher.watch(connection).await
            }
            Speaks::Http2 => {
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(MAX_STREAMS)
                    .max_header_list_size(MAX_HEADER_LIST_BYTES)
                    .keep_alive_interval(bounds.head_timeout)
                    .keep_alive_timeout(bounds.head_timeout)
                    .serve_connection(stream, service);
                let mut connection = std::pin::pin!(self.watcher.watch(connection));
                match tokio::time::timeout(bounds.head_timeout, &mut connection).await {
                    Ok(ended) => ended,
                    Err(_) if asked.load(Ordering::Relaxed) => connection.await,
                    // Whoever asks nothing holds no connection.
                    Err(_) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
        drop(self.slot);
    }
}
