//! A Workload API that somebody else serves, SPIRE's agent for one: its SVID of
//! one trust domain, kept up to date.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::limits;
use crate::material::{Material, MaterialError};
use crate::messages::{Nothing, X509SvidResponse};
use crate::rotation::{Current, Rotation};

/// The pause before a stream that ended is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Nothing usable came from a Workload API.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket's name.
    #[error("`{0}` names no Workload API: write it as unix:///run/spire/agent.sock")]
    Endpoint(String),
    /// It cannot be reached.
    #[error("the Workload API cannot be reached: {0}")]
    Unreachable(String),
    /// It says no.
    #[error("the Workload API gives nothing: {0}")]
    Refused(String),
    /// It gives nothing of the trust domain.
    #[error("the Workload API has no SVID of the trust domain `{0}`")]
    OtherDomain(String),
    /// It gives what cannot be used.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

/// A client of one Workload API, for one trust domain.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    trust_domain: String,
}

impl Client {
    /// For `SPIFFE_ENDPOINT_SOCKET` (Workload Endpoint §4), a Unix socket.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`].
    pub fn new(endpoint: &str, trust_domain: &str) -> Result<Self, ClientError> {
        let path = endpoint.strip_prefix("unix:").unwrap_or_default();
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.contains(['?', '#']) {
            return Err(ClientError::Endpoint(endpoint.to_owned()));
        }
        let (socket, trust_domain) = (Path::new(path).to_owned(), trust_domain.to_owned());
        Ok(Self { socket, trust_domain })
    }

    /// Gets the first SVID, and follows what comes after it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn start(self) -> Result<Rotation, ClientError> {
        let mut stream = self.open().await?;
        let first = self.next(&mut stream).await?;
        let (to, current) = watch::channel(Current::Some(Arc::new(first)));
        tokio::spawn(self.follow(stream, to));
        Ok(Rotation::of(current))
    }

    async fn follow(self, mut stream: Streaming<X509SvidResponse>, to: watch::Sender<Current>) {
        loop {
            let next = tokio::select! {
                () = to.closed() => return,
                next = self.next(&mut stream) => next,
            };
            match next {
                Ok(material) => {
                    to.send_replace(Current::Some(Arc::new(material)));
                    continue;
                }
                Err(ClientError::Refused(why)) => {
                    to.send_replace(Current::Refused(why));
                }
                // The SVID of before lives on for a while.
                Err(why) => tracing::warn!("the Workload API's stream ended: {why}"),
            }
            loop {
                tokio::time::sleep(AGAIN).await;
                if to.is_closed() {
                    return;
                }
                if let Ok(again) = self.open().await {
                    stream = again;
                    break;
                }
            }
        }
    }

    async fn open(&self) -> Result<Streaming<X509SvidResponse>, ClientError> {
        let mut grpc = connect(&self.socket).await?;
        let mut request = Request::new(Nothing {});
        request.metadata_mut().insert("workload.spiffe.io", MetadataValue::from_static("true"));
        let path = PathAndQuery::from_static("/SpiffeWorkloadAPI/FetchX509SVID");
        let codec = ProstCodec::<Nothing, X509SvidResponse>::default();
        let answer = grpc.server_streaming(request, path, codec).await.map_err(said)?;
        Ok(answer.into_inner())
    }

    /// The next SVID of the trust domain: the first, which is the default.
    async fn next(
        &self,
        stream: &mut Streaming<X509SvidResponse>,
    ) -> Result<Material, ClientError> {
        let ended = || ClientError::Unreachable("the stream ended".to_owned());
        let message = stream.message().await.map_err(said)?.ok_or_else(ended)?;
        let prefix = format!("spiffe://{}/", self.trust_domain);
        let mut svids = message.svids.iter();
        let svid = svids.find(|svid| svid.spiffe_id.starts_with(&prefix));
        let svid = svid.ok_or_else(|| ClientError::OtherDomain(self.trust_domain.clone()))?;
        let key = zeroize::Zeroizing::new(svid.x509_svid_key.clone());
        Ok(Material::of_parts(&svid.spiffe_id, &svid.x509_svid, &key, &svid.bundle)?)
    }
}

/// A connection of its own.
pub(crate) async fn connect(socket: &Path) -> Result<Grpc<Sender>, ClientError> {
    let away = |e: &dyn std::fmt::Display| ClientError::Unreachable(e.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|e| away(&e))?;
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|e| away(&e))?;
    tokio::spawn(async move {
        // The stream on it tells its end.
        let _ = connection.await;
    });
    let origin = http::Uri::from_static("http://localhost");
    let mut grpc =
        Grpc::with_origin(Sender(sender), origin).max_decoding_message_size(limits::ANSWER_BYTES);
    grpc.ready().await.map_err(|e| away(&e))?;
    Ok(grpc)
}

fn said(status: Status) -> ClientError {
    match status.code() {
        tonic::Code::PermissionDenied | tonic::Code::InvalidArgument => {
            ClientError::Refused(status.message().to_owned())
        }
        _ => ClientError::Unreachable(status.message().to_owned()),
    }
}

/// One connection, as a service.
#[derive(Clone)]
pub(crate) struct Sender(SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Sender {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<http::Response<Incoming>, hyper::Error>> + Send>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
