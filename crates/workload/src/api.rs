//! The SPIFFE Workload API on a Unix socket: X.509-SVIDs and WIT-SVIDs with their
//! bundles. JWT-SVIDs are not issued here, and its profile says so.

use std::collections::HashMap;
use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::attest::{Admits, Caller, NotAdmitted};
use crate::authority::AnyAuthority;
use crate::limits;
use crate::material::Material;
use crate::messages::{
    Nothing, WitBundlesResponse, WitSvid, WitSvidRequest, WitSvidResponse, X509BundlesResponse,
    X509Svid, X509SvidResponse,
};
use crate::rotation::{Current, Rotation};

#[cfg(test)]
mod tests;

/// What a client sends, so that it does not speak by accident (SPIFFE Workload
/// Endpoint §6.1).
const HEADER: &str = "workload.spiffe.io";
/// The service in the paths of its methods.
const SERVICE: &str = "/SpiffeWorkloadAPI/";

/// A socket that is listened on; its file goes with this.
#[derive(Debug)]
pub struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Makes the socket, for its user alone.
    ///
    /// SECURITY: in a folder that nobody else can enter the mode counts from the
    /// first moment; what is there already is not replaced.
    ///
    /// # Errors
    /// What the operating system says; `PermissionDenied` when others can reach
    /// the folder.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let mode = std::fs::metadata(folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        let listener = UnixListener::bind(path)?;
        let listening = Self { listener, path: path.to_owned() };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listening)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answers those that `admits` admits until `stop`.
pub async fn serve(
    listening: Listening,
    rotation: Rotation,
    admits: Admits,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = listening.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, say: there will be some again.
                tracing::warn!(%error, "no connection was accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let caller = admits.judge(&stream);
        match &caller {
            Ok(caller) => {
                tracing::info!(pid = caller.pid(), uid = caller.uid, exe = %caller.exe, cgroup = %caller.cgroup, by = caller.by, "a workload is attested");
            }
            Err(why) => tracing::warn!("a caller of the Workload API gets nothing: {why}"),
        }
        let rotation = rotation.clone();
        tokio::spawn(async move {
            let _slot = slot;
            connection(stream, rotation, caller).await;
        });
    }
}

async fn connection(stream: UnixStream, rotation: Rotation, caller: Result<Caller, NotAdmitted>) {
    let denied = caller.is_err();
    let visit = Visit { rotation, caller: Arc::new(caller) };
    let service = hyper::service::service_fn(move |request| {
        let visit = visit.clone();
        async move { Ok::<_, Infallible>(visit.answer(request).await) }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(limits::STREAMS)
        .max_header_list_size(limits::HEADER_BYTES)
        .serve_connection(TokioIo::new(AnyAuthority::new(stream)), service);
    // However it ends, the client connects again.
    if denied {
        let _ = tokio::time::timeout(limits::DENIED, served).await;
    } else {
        let _ = served.await;
    }
}

/// One connection's requests.
#[derive(Clone)]
struct Visit {
    rotation: Rotation,
    caller: Arc<Result<Caller, NotAdmitted>>,
}

fn denied() -> Status {
    Status::permission_denied("no identity is issued to this process")
}

impl Visit {
    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        let given = request.headers().get_all(HEADER).iter().collect::<Vec<_>>();
        if !matches!(given.as_slice(), [one] if one.as_bytes() == b"true") {
            let text = "security header missing from request";
            return Status::invalid_argument(text).into_http();
        }
        if !self.admitted() {
            return denied().into_http();
        }
        let method = request.uri().path().strip_prefix(SERVICE).unwrap_or_default().to_owned();
        match method.as_str() {
            "FetchX509SVID" => self.stream::<Nothing, _>(request, |_, m| Ok(x509_svid(m))).await,
            "FetchX509Bundles" => {
                self.stream::<Nothing, _>(request, |_, m| Ok(x509_bundles(m))).await
            }
            "FetchWITSVID" => self.stream(request, wit_svid).await,
            "FetchWITBundles" => {
                self.stream::<Nothing, _>(request, |_, m| Ok(wit_bundles(m))).await
            }
            _ => Status::unimplemented("this profile is not offered here").into_http(),
        }
    }

    fn admitted(&self) -> bool {
        self.caller.as_ref().as_ref().is_ok_and(Caller::lives)
    }

    /// A message now, and another with each change.
    async fn stream<Q, A>(
        &self,
        request: http::Request<Incoming>,
        make: fn(&Q, &Material) -> Result<A, Status>,
    ) -> http::Response<Body>
    where
        Q: prost::Message + Default + Send + Sync + 'static,
        A: prost::Message + Default + Send + 'static,
    {
        let visit = self.clone();
        let service = tower::service_fn(move |request: Request<Q>| {
            let visit = visit.clone();
            async move { visit.messages(request.into_inner(), make).map(Response::new) }
        });
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<A, Q>::default())
            .max_decoding_message_size(limits::REQUEST_BYTES);
        grpc.server_streaming(service, request).await
    }

    fn messages<Q, A>(
        &self,
        asked: Q,
        make: fn(&Q, &Material) -> Result<A, Status>,
    ) -> Result<impl Stream<Item = Result<A, Status>> + Send + use<Q, A>, Status>
    where
        Q: Send + Sync + 'static,
        A: Send + 'static,
    {
        let mut visit = self.clone();
        let first = visit.message(&asked, make)?;
        let asked = Arc::new(asked);
        let later = stream::unfold((visit, false), move |(mut visit, ended)| {
            let asked = Arc::clone(&asked);
            async move {
                if ended || !visit.rotation.changed().await {
                    return None;
                }
                let next = visit.message(&*asked, make);
                let ended = next.is_err();
                Some((next, (visit, ended)))
            }
        });
        Ok(stream::once(std::future::ready(Ok(first))).chain(later))
    }

    fn message<Q, A>(
        &mut self,
        asked: &Q,
        make: fn(&Q, &Material) -> Result<A, Status>,
    ) -> Result<A, Status> {
        let current = self.rotation.take();
        if !self.admitted() {
            return Err(denied());
        }
        match current {
            Current::Some(material) => make(asked, &material),
            Current::Refused(_) => Err(denied()),
        }
    }
}

fn domain(material: &Material) -> String {
    format!("spiffe://{}", material.spiffe_id().trust_domain())
}

fn x509_svid(material: &Material) -> X509SvidResponse {
    let svid = X509Svid {
        spiffe_id: material.spiffe_id().to_string(),
        x509_svid: material.chain().concat(),
        x509_svid_key: material.key().pkcs8().to_vec(),
        bundle: material.bundle().x509.concat(),
        hint: String::new(),
    };
    X509SvidResponse { svids: vec![svid], ..X509SvidResponse::default() }
}

fn x509_bundles(material: &Material) -> X509BundlesResponse {
    let bundles = HashMap::from([(domain(material), material.bundle().x509.concat())]);
    X509BundlesResponse { bundles, crl: Vec::new() }
}

fn wit_svid(asked: &WitSvidRequest, material: &Material) -> Result<WitSvidResponse, Status> {
    let own = material.spiffe_id().as_str();
    let Some(token) = material.wit().filter(|_| [own, ""].contains(&asked.spiffe_id.as_str()))
    else {
        return Err(denied());
    };
    let key = material.key().jwk().map_err(|e| Status::internal(e.to_string()))?;
    let svid = WitSvid {
        spiffe_id: own.to_owned(),
        wit_svid: token.to_owned(),
        wit_svid_key: key,
        hint: String::new(),
    };
    Ok(WitSvidResponse { svids: vec![svid] })
}

fn wit_bundles(material: &Material) -> WitBundlesResponse {
    let keys = material.bundle().wit.clone().into_bytes();
    WitBundlesResponse { bundles: HashMap::from([(domain(material), keys)]) }
}
