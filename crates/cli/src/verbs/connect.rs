//! `connect`: an MCP server on the standard streams that an unchanged client
//! starts. It holds the instance's keys and presents its delegation at a
//! gateway.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::{GrantId, ServerName};
use bailiwick_core::json::Object;
use bailiwick_workload::Rotation;
use bailiwick_workload::tls::Party;
use tokio::net::TcpListener;

use super::call::{is_agent, is_api, server_of, warn};
use super::svid::{AuthorityIssuer, WorkloadApi, not_issued};
use super::{renew, serve};
use crate::address;
use crate::args::{AuthorityArgs, ConnectArgs, PeersArgs};
use crate::bridge::{self, Api, Door, Peer, Peers, Side, Way, serve_peer_api};
use crate::chainfile::ChainFile;
use crate::error::{Class, CliError};
use crate::host;
use crate::keyfile::InstanceKeys;
use crate::output::Output;
use crate::presenter::ChainPresenter;

/// Files of an agent's folder.
const KEY: &str = "instance.key";
const CHAIN: &str = "chain.json";

pub(super) fn run(args: &ConnectArgs, out: Output) -> Result<(), CliError> {
    let url = address::endpoint(&args.url)?;
    let url = url.trim_end_matches('/').to_owned();
    let server = server_name(&url)?;
    serve::init_logs("info");
    let asked = &args.peers;
    let presenter = match asked.are_asked_for() && !has_chain(&args.authority) {
        // What is taken over from a peer is presented.
        true => Arc::new(ChainPresenter::without_chain(own_keys(&args.authority)?.holder)),
        false => presenter(&args.authority, &url, out)?,
    };
    let named = args.authority.authority.clone();
    let authority = address::authority(&named.unwrap_or_else(|| address::origin(&url)))?;
    let runtime = serve::runtime()?;
    let party = match asked.peer_tls {
        true => {
            let issuer = AuthorityIssuer::new(authority.clone(), own_keys(&args.authority)?, None);
            let rotation = runtime.block_on(Rotation::start(issuer)).map_err(not_issued)?;
            Some(Party::new(rotation, host::now))
        }
        false => None,
    };
    let peers = match asked.are_asked_for() {
        true => {
            let keys = own_keys(&args.authority)?;
            Some(Peers::new(asked, &authority, keys, &presenter, &server, party.as_ref())?)
        }
        false => None,
    };
    if let Some(socket) = &args.workload_api {
        let issuer = AuthorityIssuer::new(authority, own_keys(&args.authority)?, None);
        let api = runtime.block_on(WorkloadApi::begin(issuer, socket))?;
        runtime.spawn(api.serve(std::future::pending()));
    }
    let way = Way { door: Arc::new(Door::url()?), url, server, presenter };
    if let Some(peers) = &peers {
        runtime.block_on(beside(asked, peers, party))?;
    }
    match args.listen {
        Some(address) if is_api(&way.url) => {
            listen(&runtime, address, Side::of_api(Api::new(way))?, out)
        }
        Some(address) if is_agent(&way.url) => {
            listen(&runtime, address, Side::of_peer(Peer::new(way))?, out)
        }
        Some(address) => listen(&runtime, address, Side::new([way])?, out),
        None if is_agent(&way.url) => Err(CliError::usage(
            "api-needs-listen",
            "A2A is not spoken on standard streams",
            "pass --listen 127.0.0.1:0 and give the client the URL that is printed",
        )),
        None if is_api(&way.url) => Err(CliError::usage(
            "api-needs-listen",
            "an HTTP API is not spoken on standard streams",
            "pass --listen 127.0.0.1:0 and give the client the URL that is printed",
        )),
        None => stand_in(runtime, way, peers, async {}),
    }
}

/// Whether a delegation is named, or lies where one is looked for.
fn has_chain(args: &AuthorityArgs) -> bool {
    let lies = |dir: &PathBuf| dir.join(CHAIN).exists();
    args.grant.is_some() || args.chain.is_some() || args.agent_dir.as_ref().is_some_and(lies)
}

/// Lets other agents in, and programs that speak no MCP.
async fn beside(
    args: &PeersArgs,
    peers: &Arc<Peers>,
    party: Option<Arc<Party>>,
) -> Result<(), CliError> {
    if let Some(address) = args.peer_listen {
        // SECURITY: plain HTTP is for this machine; who comes over TLS shows who it is.
        let (listener, at) = match &party {
            Some(_) => bind_anywhere(address).await?,
            None => bind(address).await?,
        };
        tracing::info!(%at, tls = party.is_some(), "other agents are let in");
        let peers = Arc::clone(peers);
        tokio::spawn(async move { peers.serve(listener, party).await });
    }
    if let Some(path) = &args.peer_api {
        tokio::spawn(serve_peer_api(peers, path)?);
    }
    Ok(())
}

/// Connections that one client may hold open.
const CONNECTIONS: usize = 256;

/// Serves clients over HTTP until it is stopped.
fn listen(
    runtime: &tokio::runtime::Runtime,
    address: SocketAddr,
    side: Side,
    out: Output,
) -> Result<(), CliError> {
    runtime.block_on(async {
        let stop = serve::end_signal();
        let (listener, at) = bind(address).await?;
        for (server, path) in side.paths() {
            let url = format!("http://{at}{path}");
            let object = Object::new().with("server", server).with("url", url.as_str());
            out.result(object, url);
        }
        let bounds = bailiwick_gateway::Bounds::new(CONNECTIONS);
        bailiwick_gateway::serve(listener, side.router(), bounds, None, stop).await;
        Ok(())
    })
}

/// SECURITY: on loopback only. Who reaches the endpoint uses the delegation.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CliError> {
    if !address.ip().is_loopback() {
        return Err(CliError::usage(
            "listen-not-loopback",
            format!("{address} can be reached from elsewhere"),
            "listen on 127.0.0.1 or [::1]; a client elsewhere runs its own `connect`",
        ));
    }
    bind_anywhere(address).await
}

async fn bind_anywhere(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CliError> {
    let taken = |e: std::io::Error| {
        CliError::environment("listen", format!("cannot listen on {address}: {e}"), "take port 0")
    };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let at = listener.local_addr().map_err(taken)?;
    Ok((listener, at))
}

pub(super) fn server_name(url: &str) -> Result<ServerName, CliError> {
    ServerName::parse(server_of(url)).map_err(|_| {
        CliError::usage(
            "endpoint-url",
            format!("`{url}` does not end with a tool server's name"),
            "write it as https://gate.example.com/mcp/SERVER",
        )
    })
}

/// Serves the client on this process's standard streams to the end, then does
/// `after`.
pub(super) fn stand_in(
    runtime: tokio::runtime::Runtime,
    way: Way,
    peers: Option<Arc<Peers>>,
    after: impl Future<Output = ()>,
) -> Result<(), CliError> {
    let (input, output) = (stream(std::io::stdin())?, stream(std::io::stdout())?);
    runtime.block_on(async {
        let stop = serve::end_signal();
        bridge::serve(way, peers, input, output, stop).await;
        after.await;
    });
    // A read of the standard input cannot be called back, and would be waited
    // for.
    runtime.shutdown_background();
    Ok(())
}

/// A standard stream for the async runtime.
fn stream(of: impl AsFd) -> Result<tokio::fs::File, CliError> {
    let file = of.as_fd().try_clone_to_owned().map_err(|e| {
        CliError::environment("stream", format!("no standard stream: {e}"), "start it with both")
    })?;
    Ok(tokio::fs::File::from_std(file.into()))
}

/// A file that is named, or lies in the agent's folder.
fn file(args: &AuthorityArgs, given: Option<&PathBuf>, name: &str) -> Option<PathBuf> {
    given.cloned().or_else(|| args.agent_dir.as_ref().map(|dir| dir.join(name)))
}

fn own_keys(args: &AuthorityArgs) -> Result<InstanceKeys, CliError> {
    let key = file(args, args.key.as_ref(), KEY).ok_or_else(|| {
        CliError::usage(
            "no-key",
            "the instance's keys are not named",
            "pass --agent-dir DIR with instance.key in it, or --key FILE",
        )
    })?;
    InstanceKeys::read(&key)
}

/// What the instance presents: a chain from a file, taken up when it is
/// renewed, or roots under a grant that stands, renewed here.
pub(super) fn presenter(
    args: &AuthorityArgs,
    url: &str,
    out: Output,
) -> Result<Arc<ChainPresenter>, CliError> {
    let keys = own_keys(args)?;
    match (&args.grant, file(args, args.chain.as_ref(), CHAIN)) {
        (Some(grant), _) => {
            let authority = args.authority.clone().unwrap_or_else(|| address::origin(url));
            let renewing = Renewing {
                authority: address::authority(&authority)?,
                grant: GrantId::parse(grant)?,
                scope: args.scope.clone(),
                keys,
                proving: own_keys(args)?,
            };
            renewing.start()
        }
        (None, Some(chain)) => following(&chain, keys, url, out),
        (None, None) => Err(CliError::usage(
            "no-chain",
            "there is no delegation to present",
            "pass --chain FILE, or --grant ID of a grant that stands",
        )),
    }
}

fn following(
    file: &Path,
    keys: InstanceKeys,
    url: &str,
    out: Output,
) -> Result<Arc<ChainPresenter>, CliError> {
    let chain = ChainFile::read(file)?;
    warn(url, &chain, &keys, out)?;
    Ok(Arc::new(ChainPresenter::new(chain, keys.holder)?.following(file)))
}

/// Roots under a grant that stands.
pub(super) struct Renewing {
    pub(super) authority: String,
    pub(super) grant: GrantId,
    pub(super) scope: Vec<String>,
    /// Two uses: these renew, the holder key of the others proves.
    pub(super) keys: InstanceKeys,
    pub(super) proving: InstanceKeys,
}

impl Renewing {
    /// The first root is asked for at once, so that a grant that does not stand
    /// is told here; the others by a thread beside.
    pub(super) fn start(self) -> Result<Arc<ChainPresenter>, CliError> {
        let first = renew::ask(&self.authority, &self.keys, &self.grant, &self.scope)?;
        let presenter = ChainPresenter::new(first.chain(&self.authority), self.proving.holder)?;
        let presenter = Arc::new(presenter);
        let renewed = Arc::downgrade(&presenter);
        let Self { authority, grant, scope, keys, .. } = self;
        let mut pause = renew::pause(first.seconds);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(pause);
                let Some(presenter) = renewed.upgrade() else { return };
                let asked = renew::ask(&authority, &keys, &grant, &scope).and_then(|root| {
                    presenter.take_up(root.chain(&authority))?;
                    Ok(root.seconds)
                });
                pause = match asked {
                    Ok(seconds) => {
                        tracing::info!(seconds, "the delegation is renewed");
                        renew::pause(seconds)
                    }
                    // The root of before lives on for a while.
                    Err(e) if e.class == Class::Environment => {
                        tracing::warn!(code = %e.code, "the delegation is not renewed yet: {}", e.message);
                        renew::AGAIN
                    }
                    Err(e) => {
                        // Calls are denied from its end on, and say so themselves.
                        tracing::error!(code = %e.code, remedy = %e.remedy, "the delegation is renewed no more: {}", e.message);
                        return;
                    }
                };
            }
        });
        Ok(presenter)
    }
}
