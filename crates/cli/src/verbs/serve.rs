//! `serve`: authority and gateway in one process.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use bailiwick_authority::feed::server::RevocationServer;
use bailiwick_authority::http::api::{Api, api_router};
use bailiwick_authority::http::console::{Console, Setting, console_router};
use bailiwick_authority::http::documents::DocumentClients;
use bailiwick_authority::http::federation::federation_router;
use bailiwick_authority::http::fetch::WebFetch;
use bailiwick_authority::http::instances::instances_router;
use bailiwick_authority::http::limits::Rate;
use bailiwick_authority::http::machine;
use bailiwick_authority::http::peers::peers_router;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::config::StateKey;
use bailiwick_gateway::ports::{Catalogue, Ports};
use bailiwick_gateway::stdio::Program;
use bailiwick_gateway::{Bounds, Config as GatewayConfig, Gateway, Speaks};
use bailiwick_store::{Joined, StoreError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api;
use crate::args::ServeArgs;
use crate::checks;
use crate::config::{ExtAuthz, OPTIONS, OptionRow};
use crate::datadir::DataDir;
use crate::ending::Ending;
use crate::error::CliError;
use crate::federation;
use crate::host;
use crate::keyfile;
use crate::lives::{self, Left};
use crate::output::Output;
use crate::ports::{
    AuthorityRequests, AuthorityRuns, StoreCatalogue, StoreHolds, StorePeers, SystemHost,
};
use crate::scrape;
use crate::tls::TlsFiles;
use crate::vault::StoreVault;
use crate::vault::account::StoreAccounts;
use crate::webhooks;

/// How often entries become leaves of the tree (within a second).
const SEQUENCE: Duration = Duration::from_millis(500);
/// How often what has ended is forgotten, and how much at once.
const PURGE: Duration = Duration::from_secs(30);
const PURGE_BATCH: u32 = 1000;

/// How often it is looked for what killed processes left, and for runs that are over.
const ORPHANS: Duration = Duration::from_secs(5);

/// How often the ledger is looked through for failures, and how many parts of it at
/// most.
const FAILURES: Duration = Duration::from_secs(1);
const FAILURE_PARTS: usize = 16;

/// What the key is for that seals what clients keep of waiting calls.
const STATE_KEY: &str = "request-state-key";

/// How often files that may be replaced under a running `serve` are looked at.
const RELOAD: Duration = Duration::from_millis(250);

/// The process's async runtime.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        CliError::environment(
            "runtime",
            format!("cannot start threads: {e}"),
            "check the process limits",
        )
    })
}

/// Ends on SIGTERM or Ctrl-C: `serve` takes SIGHUP for a wish to read its files again. Both are
/// caught from the call on, not only from the first poll; it must be called inside the runtime.
fn stop_signal() -> impl Future<Output = ()> {
    caught([SignalKind::terminate(), SignalKind::interrupt()])
}

/// The same, and when the terminal goes: for commands that live in one.
pub(crate) fn end_signal() -> impl Future<Output = ()> {
    caught([SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()])
}

fn caught<const N: usize>(kinds: [SignalKind; N]) -> impl Future<Output = ()> {
    let caught = kinds.map(signal);
    async move {
        let waiting = caught.into_iter().flatten().map(|mut s| {
            Box::pin(async move {
                s.recv().await;
            })
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            std::future::pending().await
        } else {
            futures_util::future::select_all(waiting).await;
        }
    }
}

pub(super) fn run(args: &ServeArgs, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = Arc::new(DataDir::open(dir)?);
    check_modes(&data)?;
    init_logs(&data.config.log);
    let listen = args.listen.clone().unwrap_or_else(|| data.config.listen.clone());
    runtime()?.block_on(serve(data, &listen, out))
}

/// Refuses to start with private files that others can read.
pub(crate) fn check_modes(data: &DataDir) -> Result<(), CliError> {
    for name in crate::datadir::KEY_FILES.iter().chain([&crate::datadir::ADMIN]) {
        keyfile::own(keyfile::read_private(&data.dir.join("keys").join(name)))?;
    }
    Ok(())
}

/// Structured logs on standard error. Nothing secret is ever handed to them:
/// keys, credentials and tokens have no `Debug` that shows them.
pub(super) fn init_logs(level: &str) {
    let filter = tracing_subscriber::EnvFilter::new(format!(
        "warn,bailiwick={level},bailiwick_gateway={level},bailiwick_authority={level},bailiwick_store={level},bailiwick_workload={level}"
    ));
    let _ = tracing_subscriber::fmt()
        .json()
        // A log that cannot be written, on a full disk for one, would be
        // reported by a panic, which ends the task that logged.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// The gateway of a data dir over `catalogue`.
pub(super) fn gateway(data: &DataDir, catalogue: Arc<dyn Catalogue>) -> Result<Gateway, CliError> {
    gateway_with(data, catalogue, Vec::new())
}

/// The same, of which the tool servers in `programs` are started here.
pub(crate) fn gateway_with(
    data: &DataDir,
    catalogue: Arc<dyn Catalogue>,
    programs: Vec<(ServerName, Program)>,
) -> Result<Gateway, CliError> {
    // Read before the first call needs it. One that cannot be read was told of,
    // and denies each call.
    if catalogue.policies().is_ok_and(|policies| policies.enforced.is_none()) {
        tracing::warn!(
            remedy = "bailiwick policy publish --guardrails",
            "no policy of the organisation is published: every call is denied"
        );
    }
    let installation = data.authority.installation();
    let anchors = data.authority.anchors()?;
    let c = &data.config;
    let mut config = GatewayConfig::new(
        &c.public_url(),
        installation.org.clone(),
        &installation.trust_domain,
        anchors,
    );
    config.authorization_servers = vec![installation.issuer.clone()];
    config.accounts_url = Some(format!("{}/accounts", installation.issuer));
    config.approvals_url = Some(format!("{}/approvals", installation.issuer));
    // Of the data dir's own key: a call that waits survives a restart, and every
    // gateway of the data dir knows its state.
    let key = data.store().read(|view| Ok::<_, StoreError>(view.keyed_digest(STATE_KEY, b"")))?;
    config.state_key = Some(StateKey::new(*key.bytes()));
    config.push_hosts.clone_from(&c.a2a.push_hosts);
    config.staleness_seconds = (c.staleness_seconds, c.staleness_seconds.min(2));
    config.pin_check_seconds = (c.pin_check_seconds, c.pin_check_seconds.min(2));
    config.call_timeout = Duration::from_secs(c.upstream_timeout_seconds);
    config.max_request_bytes = c.max_request_bytes;
    config.max_response_bytes = c.max_response_bytes;
    config.max_calls = (c.max_calls, c.max_calls.div_ceil(4));
    config.require_dpop_nonce = c.require_dpop_nonce;
    config.max_sessions = (c.max_sessions, c.max_sessions.min(64));
    config.max_tasks = (c.max_tasks, c.max_tasks.div_ceil(16));
    config.max_kept_bytes = (c.max_kept_bytes, c.max_kept_bytes.div_ceil(16));
    config.max_kept_events = c.max_kept_events;
    config.kept_seconds = c.kept_seconds;
    let ports = Ports {
        // In one process the state itself is asked, so that memory does not
        // grow with what was ever revoked.
        registry: Arc::new(data.authority.registry(None)),
        journal: Arc::new(data.journal()),
        catalogue,
        holds: Arc::new(StoreHolds::new(
            data.store().clone(),
            data.gateway.clone(),
            &installation.issuer,
        )),
        peers: Arc::new(StorePeers::new(data.store().clone(), data.authority.clone())),
        requests: Arc::new(AuthorityRequests(data.authority.clone())),
        runs: Arc::new(AuthorityRuns(data.authority.clone())),
        vault: Arc::new(StoreVault::new(data)),
        host: Arc::new(SystemHost),
    };
    Ok(Gateway::with_programs(config, ports, programs)?)
}

/// Joins the gateways of the data dir. Several may decide beside each other: what must be one of
/// (the guard against replays, budgets, revocations, the makers' sequences) is in the state, each
/// in the transaction of its decision. Where no other gateway lives, all calls without an outcome
/// are those of an earlier life; beside others, those that name a dead one ([`lives::tend`]).
pub(crate) fn join(data: &DataDir) -> Result<Joined, CliError> {
    data.store().join(|| {
        let open = data.store().read(|v| v.unfinished_actions())?;
        let unknown = data.journal().close(open)?;
        if unknown > 0 {
            tracing::warn!(
                unknown,
                "calls of an earlier life have no outcome; recorded as unknown"
            );
        }
        Ok(())
    })
}

async fn serve(data: Arc<DataDir>, listen: &str, out: Output) -> Result<(), CliError> {
    // Two endpoints under one public URL would each know half of the sessions.
    let _claim = data.store().claim("serve")?;
    let _joined = join(&data)?;
    let tls = TlsFiles::open(&data.dir, &data.config)?.map(Arc::new);
    let listener = bind(listen).await?;
    let address = listener
        .local_addr()
        .map_err(|e| CliError::environment("cannot-listen", e.to_string(), "try again"))?;
    // Nothing was answered yet.
    data.config.check_address(address)?;
    let envoys = Envoys::bind(&data.config.ext_authz).await?;
    let figures = match data.config.metrics.address() {
        Some(address) => Some((bind(&address.to_string()).await?, scrape::router(&data)?)),
        None => None,
    };
    let catalogue = Arc::new(StoreCatalogue::new(data.store().clone(), data.gateway.clone()));
    let gateway = gateway(&data, catalogue)?;
    gateway.check_pins().await;
    let webhooks = webhooks::start(&data)?;
    let domains = federation::start(&data)?;
    let mut tasks = Background::start(&data);
    tasks.tasks.extend(webhooks);
    tasks.tasks.extend(domains);
    let presented = tls.as_ref().map(|files| files.tls());
    let keys = Keys::new(Arc::clone(&data), gateway.clone());
    tasks.tasks.push(reloading(move || {
        if let Some(tls) = &tls {
            tls.reload();
        }
        keys.take_up();
    }));
    let revocations = RevocationServer::new(data.authority.clone());
    let router = bailiwick_gateway::router(gateway.clone())
        .merge(api::router(Arc::clone(&data))?)
        .merge(revocations.router());
    let accounts = Arc::new(StoreAccounts::new(&data));
    let (asked, checking) = checks::start(&data)?;
    tasks.tasks.push(checking);
    let (own, machine) = authority(&data, &accounts, asked)?;
    let router = router.merge(own);
    tasks.tasks.push(tokio::spawn(async move { revocations.tend().await }));
    // Whoever reads the announcement may stop it at once.
    let stop = stop_signal();
    announce(&data, address, out)?;
    let drain = Duration::from_secs(data.config.drain_seconds);
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let bounds = Bounds::new(data.config.max_connections);
    let server =
        tokio::spawn(bailiwick_gateway::serve(listener, router, bounds, presented, async {
            let _ = stopped.await;
        }));
    tasks.tasks.extend(envoys.serve(&gateway, bounds));
    tasks.tasks.extend(figures.map(|(listener, router)| {
        let never = std::future::pending();
        tokio::spawn(bailiwick_gateway::serve(listener, router, bounds, None, never))
    }));
    tasks.tend(&gateway);
    stop.await;
    tracing::info!("stopping: no new calls, waiting for those under way");
    let _ = stopping.send(());
    if !gateway.drain(drain).await {
        tracing::warn!(
            "some calls were still under way; they are recorded as unknown at the next start"
        );
    }
    // Open connections end with the process; what they waited for is done.
    let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    accounts.settle().await;
    tasks.stop();
    if tokio::task::spawn_blocking(move || machine.tell_uncounted()).await.is_err() {
        tracing::error!("a count of refusals was lost");
    }
    let last = Arc::clone(&data);
    let sequenced = tokio::task::spawn_blocking(move || last.sequence()).await;
    if !matches!(sequenced, Ok(Ok(()))) {
        tracing::warn!(
            "the last entries are durable but not yet published; the next start does it"
        );
    }
    out.say("stopped");
    Ok(())
}

/// Where an Envoy on this machine asks, in each of the two forms.
struct Envoys {
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
}

impl Envoys {
    async fn bind(options: &ExtAuthz) -> Result<Self, CliError> {
        let open = async |address: Option<SocketAddr>| match address {
            Some(address) => bind(&address.to_string()).await.map(Some),
            None => Ok(None),
        };
        let http = open(options.address()).await?;
        Ok(Self { http, grpc: open(options.grpc_address()).await? })
    }

    fn serve(
        self,
        gateway: &Gateway,
        bounds: Bounds,
    ) -> impl Iterator<Item = tokio::task::JoinHandle<()>> {
        let http = (self.http, bailiwick_gateway::ext_authz_router(gateway.clone()), bounds);
        let bounds = Bounds { speaks: Speaks::Http2, ..bounds };
        let grpc = (self.grpc, bailiwick_gateway::ext_authz_grpc_router(gateway.clone()), bounds);
        [http, grpc].into_iter().filter_map(|(listener, router, bounds)| {
            let listener = listener?;
            let address = listener.local_addr().ok();
            tracing::info!(?address, speaks = ?bounds.speaks, "an Envoy on this machine may ask here");
            let served =
                bailiwick_gateway::serve(listener, router, bounds, None, std::future::pending());
            Some(tokio::spawn(served))
        })
    }
}

async fn bind(listen: &str) -> Result<TcpListener, CliError> {
    TcpListener::bind(listen).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidInput => CliError::usage(
            "listen-malformed",
            format!("`{listen}` is no address to listen on"),
            "write ADDRESS:PORT, such as 127.0.0.1:7417",
        ),
        _ => CliError::environment(
            "cannot-listen",
            format!("cannot listen on {listen}: {e}"),
            "choose another --listen, or stop what listens there",
        ),
    })
}

/// The authority's own side: the authorization server, instances, the console.
fn authority(
    data: &Arc<DataDir>,
    accounts: &Arc<StoreAccounts>,
    asked: checks::Asked,
) -> Result<(Router, machine::Machine), CliError> {
    let authority = data.authority.clone();
    let loopback = data.config.client_documents.loopback;
    let fetch = Arc::new(WebFetch { loopback });
    let documents = Arc::new(DocumentClients::new(authority.clone(), fetch, loopback));
    let per_minute = data.config.requests_per_minute;
    let rate = Rate { burst: (per_minute / 10).max(10), per_minute };
    let options = machine::Options {
        per_address: rate,
        per_client: rate,
        require_nonce: data.config.require_dpop_nonce,
        serves: data.config.serves.resources(&data.config.audience()),
        ..machine::Options::default()
    };
    let secret = host::random()?;
    let machine = machine::Machine::new(authority.clone(), Arc::clone(&documents), options, secret);
    let providers = data.providers()?;
    let console = Console::new(authority.clone(), documents, providers.clone())
        .with_accounts(Arc::clone(accounts) as _)
        .with_settings(settings(data));
    let api = Api::new(authority.clone(), providers, rate).with_checks(Arc::new(asked));
    let router = machine::machine_router(machine.clone())
        .merge(api_router(api.with_accounts(Arc::clone(accounts) as _)))
        .merge(instances_router(authority.clone()))
        .merge(federation_router(authority.clone()))
        .merge(peers_router(authority))
        .merge(console_router(console));
    Ok((router, machine))
}

/// The options in force, for people to read on the console: what is secret is none.
fn settings(data: &DataDir) -> Vec<Setting> {
    let option = |row: &OptionRow| {
        let value = data.config.value(row.name);
        Setting {
            name: row.name.to_owned(),
            value: value.as_str().map_or_else(|| value.canonical(), str::to_owned),
            meaning: row.meaning.to_owned(),
        }
    };
    OPTIONS.iter().map(option).collect()
}

fn announce(data: &DataDir, address: SocketAddr, out: Output) -> Result<(), CliError> {
    let url = data.config.public_url();
    let doubts = data.config.doubts(address);
    let stopped = data.stopped()?;
    let object = Object::new()
        .with("event", "listening")
        .with("listening", address.to_string())
        .with("public_url", url.as_str())
        .with("audience", data.config.audience())
        .with("data_dir", data.dir.display().to_string())
        .with("stopped", stopped.iter().map(|what| Json::from(what.as_str())).collect::<Vec<_>>())
        .with("warnings", doubts.iter().map(|d| Json::from(d.to_json())).collect::<Vec<_>>());
    let stops = match stopped.as_slice() {
        [] => String::new(),
        some => format!("\n  stopped       {} (bailiwick stops list)", some.join(", ")),
    };
    let text = format!(
        "listening on {address}, reached as {url}\n  tool servers  {url}/mcp/NAME\n  console       {url}/\n  health        {url}/healthz{stops}\n  stop with Ctrl-C or SIGTERM",
    );
    for doubt in &doubts {
        out.warn(doubt);
        tracing::warn!(code = %doubt.code, remedy = %doubt.remedy, "{}", doubt.message);
    }
    out.result(object, text);
    Ok(())
}

/// The keys of a running `serve`.
struct Keys {
    data: Arc<DataDir>,
    gateway: Gateway,
    /// The fault that was told last, so that it is told once.
    told: Mutex<Option<String>>,
}

impl Keys {
    fn new(data: Arc<DataDir>, gateway: Gateway) -> Self {
        Self { data, gateway, told: Mutex::default() }
    }

    /// Takes up keys that were replaced, and lets go of anchors that have
    /// ended.
    fn take_up(&self) {
        let taken = self.data.take_up_keys();
        if matches!(taken, Ok(true)) {
            tracing::info!("keys that were replaced are in use");
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let anchors = taken.and_then(|_| Ok(self.data.authority.anchors()?));
        match anchors {
            Ok(anchors) => {
                self.gateway.trust(anchors);
                *told = None;
            }
            Err(e) => {
                if told.as_ref() != Some(&e.message) {
                    tracing::error!(code = %e.code, remedy = %e.remedy, "keys stay as they were: {}", e.message);
                }
                *told = Some(e.message);
            }
        }
    }
}

/// What runs beside the requests.
pub(crate) struct Background {
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start(data: &Arc<DataDir>) -> Self {
        let sequencing = Arc::clone(data);
        let sequence = every(SEQUENCE, move || {
            if let Err(e) = sequencing.sequence() {
                tracing::error!(code = %e.code, error = %e.message, "entries cannot be published");
            }
        });
        let store = data.store().clone();
        let purge = every(PURGE, move || {
            let purged = store.write(|tx| tx.purge_expired(crate::host::now(), PURGE_BATCH)).wait();
            if let Err(e) = purged {
                tracing::warn!(code = e.code(), error = %e, "cannot forget what has ended");
            }
        });
        let living = Arc::clone(data);
        let orphans = every(ORPHANS, move || match lives::tend(&living) {
            Ok(Left { instances: 0, calls: 0 }) => {}
            Ok(Left { instances, calls }) => tracing::warn!(
                instances,
                calls,
                "of killed processes instances were retired, and calls recorded as unknown"
            ),
            Err(e) => tracing::warn!(code = %e.code, "what was killed is not over: {}", e.message),
        });
        let ending = Ending::new(data);
        let ended = every(ORPHANS, move || ending.tend());
        let authority = data.authority.clone();
        let failures = every(FAILURES, move || {
            // Much that waits is taken a part at a time, so that others write between.
            for _ in 0..FAILURE_PARTS {
                match authority.failures_look() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(e) => {
                        tracing::warn!(code = e.code(), "failures are not looked for: {e}");
                        break;
                    }
                }
            }
        });
        Self { tasks: vec![sequence, purge, orphans, ended, failures] }
    }

    /// Follows keys that are replaced while a gateway runs without a listener.
    pub(crate) fn follow_keys(&mut self, data: &Arc<DataDir>, gateway: &Gateway) {
        let keys = Keys::new(Arc::clone(data), gateway.clone());
        self.tasks.push(every(RELOAD, move || keys.take_up()));
    }

    /// Ends what has lapsed in the gateway, again and again.
    pub(crate) fn tend(&mut self, gateway: &Gateway) {
        let tended = gateway.clone();
        self.tasks.push(tokio::spawn(async move { tended.tend().await }));
    }

    pub(crate) fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

/// Runs blocking work again and again, and at once on SIGHUP, which would
/// otherwise end the process.
fn reloading(work: impl Fn() + Send + Sync + 'static) -> tokio::task::JoinHandle<()> {
    let mut asked = signal(SignalKind::hangup()).ok();
    let work = Arc::new(work);
    tokio::spawn(async move {
        loop {
            match &mut asked {
                Some(asked) => {
                    let _ = tokio::time::timeout(RELOAD, asked.recv()).await;
                }
                None => tokio::time::sleep(RELOAD).await,
            }
            let work = Arc::clone(&work);
            if tokio::task::spawn_blocking(move || work()).await.is_err() {
                tracing::error!("a background job failed");
            }
        }
    })
}

/// Runs blocking work again and again, each time after the one before ended.
fn every(pause: Duration, work: impl Fn() + Send + Sync + 'static) -> tokio::task::JoinHandle<()> {
    let work = Arc::new(work);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let work = Arc::clone(&work);
            if tokio::task::spawn_blocking(move || work()).await.is_err() {
                tracing::error!("a background job failed");
            }
        }
    })
}
