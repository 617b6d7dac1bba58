//! Accepting connections, within bounds: how many, and how long a client may
//! take to say what it wants.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds on what clients may hold open.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections open at once; others wait to be accepted.
    pub connections: usize,
    /// How long a request's head may take to arrive, and how long a kept-open
    /// connection may wait for the next one.
    pub head_timeout: Duration,
}

impl Bounds {
    /// So many connections, and 30 seconds.
    #[must_use]
    pub const fn new(connections: usize) -> Self {
        Self { connections, head_timeout: Duration::from_secs(30) }
    }
}

/// Bytes of a request's head, and of the buffer that reads it.
const MAX_HEAD_BYTES: usize = 256 << 10;

/// The pause after an accept that failed, out of file descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` until `stop`, then lets the requests under way end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let slots = Arc::new(Semaphore::new(bounds.connections.min(Semaphore::MAX_PERMITS)));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Some((stream, slot)) => {
                connect(stream, slot, router.clone(), bounds.head_timeout, &connections);
            }
            None => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            None
        }
    }
}

fn connect(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    router: Router,
    head_timeout: Duration,
    connections: &GracefulShutdown,
) {
    // Nagle and delayed acknowledgements cost some 40 ms a streamed answer.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
        drop(slot);
    });
}
