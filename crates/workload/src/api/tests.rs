#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_svid::{Leaf, SpiffeId, SvidAuthority, requested_key};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::watch;
use tonic::Code;
use tonic::metadata::MetadataValue;

use super::*;
use crate::client::connect;
use crate::material::{Bundle, Issued, Key};

const ID: &str = "spiffe://desk.example/agent/runner/01";

fn material() -> Material {
    let now = Timestamp::from_seconds(1_790_000_000);
    let own = Key::fresh().unwrap();
    let own = P256SigningKey::from_pkcs8(own.pkcs8()).unwrap();
    let certificate = SvidAuthority::certificate_for(&own, "desk.example", now, [1; 16]).unwrap();
    let authority = SvidAuthority::new(own, certificate.clone(), Vec::new()).unwrap();
    let key = Key::fresh().unwrap();
    let public = requested_key(&key.request().unwrap()).unwrap();
    let (spiffe_id, not_after) = (SpiffeId::parse(ID).unwrap(), now.plus_seconds(600));
    let leaf = Leaf { spiffe_id: &spiffe_id, key: &public, now, not_after, serial: [2; 16] };
    let bundle = Bundle { sequence: 1, x509: vec![certificate], wit: r#"{"keys":[]}"#.into() };
    let (wit, seconds) = (Some("a.wit.svid".to_owned()), 600);
    let chain = vec![authority.issue(&leaf).unwrap()];
    let issued = Issued { spiffe_id: ID.into(), chain, wit, seconds, not_after, bundle };
    Material::new(key, issued).unwrap()
}

struct Served {
    folder: tempfile::TempDir,
    current: watch::Sender<Current>,
}

/// Serves to whom `admits` says, in a folder of its own.
fn served(admits: impl FnOnce(u32) -> Admits) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder.path(), private).unwrap();
    let listening = Listening::at(&folder.path().join("api.sock")).unwrap();
    let (current, from) = watch::channel(Current::Some(Arc::new(material())));
    let admits = admits(rustix::process::geteuid().as_raw());
    tokio::spawn(serve(listening, Rotation::of(from), admits, std::future::pending()));
    Served { folder, current }
}

impl Served {
    async fn open<Q, A>(
        &self,
        method: &'static str,
        asked: Q,
        header: Option<&'static str>,
    ) -> Result<tonic::Streaming<A>, Status>
    where
        Q: Message + Default + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = connect(&self.folder.path().join("api.sock")).await.unwrap();
        let mut request = Request::new(asked);
        if let Some(value) = header {
            request.metadata_mut().insert(HEADER, MetadataValue::from_static(value));
        }
        let path = PathAndQuery::try_from(format!("{SERVICE}{method}")).unwrap();
        grpc.server_streaming(request, path, ProstCodec::<Q, A>::default())
            .await
            .map(Response::into_inner)
    }

    async fn first<Q, A>(&self, method: &'static str, asked: Q) -> Result<A, Status>
    where
        Q: Message + Default + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.open(method, asked, Some("true")).await?.message().await.map(Option::unwrap)
    }
}

fn everybody(uid: u32) -> Admits {
    Admits::User { uid }
}

#[tokio::test]
async fn a_request_without_the_header_is_no_request() {
    let served = served(everybody);
    for header in [None, Some("True"), Some("1"), Some("")] {
        let asked = served.open::<_, X509SvidResponse>("FetchX509SVID", Nothing {}, header);
        assert_eq!(asked.await.unwrap_err().code(), Code::InvalidArgument, "{header:?}");
    }
    // Also of somebody who gets nothing.
    let stranger = self::served(|uid| Admits::User { uid: uid + 1 });
    let asked = stranger.open::<_, X509SvidResponse>("FetchX509SVID", Nothing {}, None);
    assert_eq!(asked.await.unwrap_err().code(), Code::InvalidArgument);
    let asked = stranger.first::<_, X509SvidResponse>("FetchX509SVID", Nothing {});
    assert_eq!(asked.await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn both_profiles_have_svids_and_bundles_for_one_key() {
    let served = served(everybody);
    let x509: X509SvidResponse = served.first("FetchX509SVID", Nothing {}).await.unwrap();
    let svid = &x509.svids[0];
    assert_eq!((svid.spiffe_id.as_str(), x509.svids.len()), (ID, 1));
    let bundles: X509BundlesResponse = served.first("FetchX509Bundles", Nothing {}).await.unwrap();
    assert_eq!(bundles.bundles["spiffe://desk.example"], svid.bundle);
    let asked = WitSvidRequest { spiffe_id: String::new() };
    let wit: WitSvidResponse = served.first("FetchWITSVID", asked).await.unwrap();
    assert_eq!(wit.svids[0].wit_svid, "a.wit.svid");
    let jwk = Json::parse(wit.svids[0].wit_svid_key.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    let jwk: Object = jwk
        .as_object()
        .unwrap()
        .iter()
        .filter(|(n, _)| *n != "alg")
        .map(|(n, v)| (n.to_owned(), v.clone()))
        .collect();
    let of_wit = P256SigningKey::from_jwk(&jwk).unwrap().public_key();
    let of_x509 = P256SigningKey::from_pkcs8(&svid.x509_svid_key).unwrap().public_key();
    assert_eq!(of_wit, of_x509);
    assert_eq!(bailiwick_svid::key_of(&svid.x509_svid), Some(of_x509));
    let asked = WitSvidRequest { spiffe_id: "spiffe://desk.example/agent/other".into() };
    let other = served.first::<_, WitSvidResponse>("FetchWITSVID", asked).await;
    assert_eq!(other.unwrap_err().code(), Code::PermissionDenied);
    let bundles: WitBundlesResponse = served.first("FetchWITBundles", Nothing {}).await.unwrap();
    assert_eq!(bundles.bundles["spiffe://desk.example"], br#"{"keys":[]}"#);
    for method in ["FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID", "Anything"] {
        let asked = served.first::<_, X509SvidResponse>(method, Nothing {}).await;
        assert_eq!(asked.unwrap_err().code(), Code::Unimplemented, "{method}");
    }
    let huge = WitSvidRequest { spiffe_id: "x".repeat(limits::REQUEST_BYTES + 1) };
    let refused = served.first::<_, WitSvidResponse>("FetchWITSVID", huge).await;
    assert_eq!(refused.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_stream_tells_each_change_and_ends_with_the_right_to_it() {
    let served = served(everybody);
    let mut stream: tonic::Streaming<X509SvidResponse> =
        served.open("FetchX509SVID", Nothing {}, Some("true")).await.unwrap();
    let first = stream.message().await.unwrap().unwrap();
    served.current.send_replace(Current::Some(Arc::new(material())));
    let second = stream.message().await.unwrap().unwrap();
    assert_ne!(first.svids[0].x509_svid_key, second.svids[0].x509_svid_key);
    served.current.send_replace(Current::Refused("suspended".into()));
    assert_eq!(stream.message().await.unwrap_err().code(), Code::PermissionDenied);
    let again = served.first::<_, X509SvidResponse>("FetchX509SVID", Nothing {}).await;
    assert_eq!(again.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn connections_are_so_many_and_a_stranger_to_the_run_gets_nothing() {
    let served = served(everybody);
    let mut held = Vec::new();
    for _ in 0..limits::CONNECTIONS {
        let stream: tonic::Streaming<X509SvidResponse> =
            served.open("FetchX509SVID", Nothing {}, Some("true")).await.unwrap();
        held.push(stream);
    }
    let path = served.folder.path().join("api.sock");
    let mut one_more = UnixStream::connect(&path).await.unwrap();
    let mut byte = [0];
    let ended = tokio::io::AsyncReadExt::read(&mut one_more, &mut byte).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "it is closed at once");
    drop(held);
    // Everybody of a run is admitted by ancestry, and this process is its parent.
    let run = self::served(|uid| Admits::Descendants { root: crate::Root::default(), uid });
    let refused = run.first::<_, X509SvidResponse>("FetchX509SVID", Nothing {}).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_socket_is_private_and_replaces_nothing() {
    let served = served(everybody);
    let path = served.folder.path().join("api.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Listening::at(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let open = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(served.folder.path(), open).unwrap();
    let refused = Listening::at(&served.folder.path().join("other.sock")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
}
