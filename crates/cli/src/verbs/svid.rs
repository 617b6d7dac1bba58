//! `instance svid`: an instance's SVIDs for fresh keys, as files or by the SPIFFE
//! Workload API; and what `connect` and `run` serve of it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use bailiwick_authority::rules::identities::request_claims;
use bailiwick_authority::rules::svids::{self, REQUEST_TYPE};
use bailiwick_core::crypto::base64url;
use bailiwick_core::jose;
use bailiwick_core::json::{Json, Object};
use bailiwick_workload::{
    Admits, Bundle, Client, ClientError, Current, Issued, Issuer, Listening, Material, Rotation,
    Unissued,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use zeroize::Zeroizing;

use super::{parse, serve};
use crate::address;
use crate::args::SvidArgs;
use crate::error::{Class, CliError};
use crate::host;
use crate::keyfile::InstanceKeys;
use crate::output::Output;
use crate::web::{self, Sent};

/// The authority that enrolled an instance, asked with its identity key.
pub(crate) struct AuthorityIssuer {
    authority: String,
    keys: InstanceKeys,
    lifetime: Option<i64>,
}

impl AuthorityIssuer {
    pub(crate) fn new(authority: String, keys: InstanceKeys, lifetime: Option<i64>) -> Arc<Self> {
        Arc::new(Self { authority, keys, lifetime })
    }

    fn ask(&self, csr: &[u8]) -> Result<Object, CliError> {
        let jti = base64url(&host::random::<16>()?);
        let claims = request_claims(&self.keys.instance, &self.authority, host::now(), &jti);
        let claims = svids::request_claims(claims, csr, self.lifetime);
        let request =
            jose::sign(REQUEST_TYPE, None, &claims, &self.keys.identity).map_err(web::signing)?;
        let body = Object::new().with("request", request);
        web::json(&self.authority, "/instances/svid", &body.into())
    }
}

fn unissued(error: CliError) -> Unissued {
    let said = format!("{} ({})", error.message, error.code);
    match error.class {
        Class::Environment => Unissued::Away(said),
        _ => Unissued::Refused(said),
    }
}

impl Issuer for AuthorityIssuer {
    fn issue(&self, request: &[u8]) -> Result<Issued, Unissued> {
        let answer = self.ask(request).map_err(unissued)?;
        read(&answer).ok_or_else(|| Unissued::Away("the answer holds no SVIDs".to_owned()))?
    }

    fn bundle(&self) -> Result<Bundle, Unissued> {
        let url = format!("{}/spiffe/bundle.json", self.authority);
        let sent = Sent { method: Method::GET, url: &url, headers: Vec::new(), body: None };
        Ok(Bundle::read(&web::api(&sent).map_err(unissued)?)?)
    }
}

/// What the authority answered.
fn read(answer: &Object) -> Option<Result<Issued, Unissued>> {
    let text = |name: &str| answer.member(name).and_then(Json::as_str);
    let chain = answer.member("x5c")?.as_array()?.iter();
    let chain = chain.map(|der| STANDARD.decode(der.as_str()?).ok()).collect::<Option<Vec<_>>>()?;
    let seconds = answer.member("expires_in")?.as_number()?.as_plain_integer()?;
    let bundle = match Bundle::read(answer.member("trust_bundle")?.as_object()?) {
        Ok(bundle) => bundle,
        Err(e) => return Some(Err(e.into())),
    };
    Some(Ok(Issued {
        spiffe_id: text("spiffe_id")?.to_owned(),
        chain,
        wit: text("wit_svid").map(str::to_owned),
        seconds: u64::try_from(seconds).ok()?,
        not_after: text("expires_at")?.parse().ok()?,
        bundle,
    }))
}

/// The SPIFFE Workload API, about to be served.
pub(crate) struct WorkloadApi {
    listening: Listening,
    rotation: Rotation,
    admits: Admits,
}

impl WorkloadApi {
    /// Gets the first SVIDs and makes the socket, in a folder for this user alone.
    pub(crate) async fn begin(issuer: Arc<dyn Issuer>, socket: &Path) -> Result<Self, CliError> {
        let listening = listening(socket)?;
        let rotation = Rotation::start(issuer).await.map_err(not_issued)?;
        let uid = rustix::process::geteuid().as_raw();
        Ok(Self { listening, rotation, admits: Admits::User { uid } })
    }

    /// For others than every process of this user.
    pub(crate) fn admitting(self, admits: Admits) -> Self {
        Self { admits, ..self }
    }

    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        bailiwick_workload::serve(self.listening, self.rotation, self.admits, stop).await;
    }
}

/// Why there is no SVID.
pub(crate) fn not_issued(error: Unissued) -> CliError {
    match error {
        Unissued::Away(_) => CliError::environment(
            "svid-not-issued-yet",
            error.to_string(),
            "check the authority's URL and that it runs",
        ),
        Unissued::Refused(_) => CliError::refused(
            "svid-refused",
            error.to_string(),
            "see `bailiwick instance list`: the instance, its agent or owner is not active",
        ),
    }
}

fn listening(socket: &Path) -> Result<Listening, CliError> {
    if let Some(folder) = socket.parent().filter(|p| !p.as_os_str().is_empty() && !p.exists()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| CliError::file(folder, "make", &e))?;
    }
    Listening::at(socket).map_err(|e| match e.kind() {
        std::io::ErrorKind::PermissionDenied => CliError::environment(
            "socket-folder-open",
            format!("others can enter the folder of `{}`", socket.display()),
            "name a socket in a folder of mode 0700, or in one that is to be made",
        ),
        std::io::ErrorKind::AddrInUse => CliError::environment(
            "socket-exists",
            format!("`{}` exists already, and nothing is replaced", socket.display()),
            "remove it if nobody serves there, or name another",
        ),
        _ => CliError::file(socket, "make", &e),
    })
}

pub(super) fn run(args: &SvidArgs, out: Output) -> Result<(), CliError> {
    serve::init_logs("info");
    serve::runtime()?.block_on(async {
        // A socket that cannot be made is told before anything is issued.
        let listening = args.serve.as_deref().map(listening).transpose()?;
        let rotation = rotation(args).await?;
        let Current::Some(material) = rotation.now() else {
            return Err(not_issued(Unissued::Refused("it is revoked".to_owned())));
        };
        if let Some(folder) = &args.out {
            write(&material, folder)?;
        }
        tell(&material, args, out);
        if let Some(listening) = listening {
            let uid = rustix::process::geteuid().as_raw();
            let stop = serve::end_signal();
            bailiwick_workload::serve(listening, rotation, Admits::User { uid }, stop).await;
        }
        Ok(())
    })
}

/// From the authority, or from a Workload API that somebody else serves.
async fn rotation(args: &SvidArgs) -> Result<Rotation, CliError> {
    if let (Some(socket), Some(domain)) = (&args.spiffe_socket, &args.trust_domain) {
        return Client::new(socket, domain).map_err(elsewhere)?.start().await.map_err(elsewhere);
    }
    let (Some(authority), Some(key)) = (&args.authority, &args.key) else {
        return Err(CliError::usage(
            "argument-missing",
            "who asks whom?",
            "pass --authority and --key",
        ));
    };
    let lifetime = args.lifetime.as_deref().map(parse::seconds).transpose()?;
    let issuer =
        AuthorityIssuer::new(address::authority(authority)?, InstanceKeys::read(key)?, lifetime);
    Rotation::start(issuer).await.map_err(not_issued)
}

fn elsewhere(error: ClientError) -> CliError {
    let said = error.to_string();
    match error {
        ClientError::Endpoint(_) => {
            CliError::usage("spiffe-socket", said, "pass --spiffe-socket unix:///PATH")
        }
        ClientError::Refused(_) => CliError::refused(
            "workload-api-refused",
            said,
            "register this process at the server of that Workload API",
        ),
        ClientError::OtherDomain(_) => CliError::refused(
            "workload-api-other-domain",
            said,
            "name the trust domain of its SVIDs with --trust-domain",
        ),
        ClientError::Unreachable(_) | ClientError::Material(_) => CliError::environment(
            "workload-api-unusable",
            said,
            "check that the Workload API is served there, with ECDSA keys on P-256",
        ),
    }
}

/// A text of its own for each DER (RFC 7468).
fn pem<'d>(label: &str, ders: impl IntoIterator<Item = &'d [u8]>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    for der in ders {
        let body = Zeroizing::new(STANDARD.encode(der));
        text.push_str(&format!("-----BEGIN {label}-----\n"));
        for line in body.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str(&format!("-----END {label}-----\n"));
    }
    text
}

/// Writes the files, mode 0600; the key before the certificate that is for it.
fn write(material: &Material, folder: &Path) -> Result<(), CliError> {
    bailiwick_store::create_private_dir(folder)?;
    let put = |name: &str, text: &str| {
        bailiwick_store::write_durably(&folder.join(name), text.as_bytes()).map_err(CliError::from)
    };
    put("svid.key", &pem("PRIVATE KEY", [material.key().pkcs8()]))?;
    put("svid.pem", &pem("CERTIFICATE", material.chain().iter().map(Vec::as_slice)))?;
    let authorities = material.bundle().x509.iter().map(Vec::as_slice);
    put("bundle.pem", &pem("CERTIFICATE", authorities))?;
    material.wit().map_or(Ok(()), |wit| put("svid.jwt", wit))
}

fn tell(material: &Material, args: &SvidArgs, out: Output) {
    let (id, until) = (material.spiffe_id().as_str(), material.not_after().to_string());
    let mut object = Object::new().with("spiffe_id", id).with("expires_at", until.as_str());
    let mut text = format!("{id} until {until}");
    if let Some(folder) = &args.out {
        object.insert("folder", folder.display().to_string());
        text = format!("{text}\n  wrote svid.pem, svid.key and bundle.pem in {}", folder.display());
    }
    if let Some(socket) = &args.serve {
        let path = std::path::absolute(socket).unwrap_or_else(|_| socket.clone());
        let name = format!("unix://{}", path.display());
        object.insert("event", "listening");
        object.insert("endpoint", name.as_str());
        text = format!("{text}\n  SPIFFE_ENDPOINT_SOCKET={name}");
    }
    out.result(object, text);
}
