//! `connect`: an MCP server on the standard streams that an unchanged client
//! starts. It holds the instance's keys and presents its delegation at a
//! gateway.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::{GrantId, ServerName};
use bailiwick_core::json::Object;
use tokio::net::TcpListener;

use super::call::{is_api, server_of, warn};
use super::{renew, serve};
use crate::address;
use crate::args::{AuthorityArgs, ConnectArgs, PeersArgs};
use crate::bridge::{self, Api, Door, PEER_CONNECTIONS, Peers, Side, Way, serve_peer_api};
use crate::chainfile::ChainFile;
use crate::error::{Class, CliError};
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
        true => Arc::new(ChainPresenter::without_chain(keys(&args.authority)?.holder)),
        false => presenter(&args.authority, &url, out)?,
    };
    let peers = match asked.are_asked_for() {
        true => {
            let authority = match &args.authority.authority {
                Some(named) => address::authority(named)?,
                None => address::origin(&url),
            };
            Some(Peers::new(asked, &authority, keys(&args.authority)?, &presenter, &server)?)
        }
        false => None,
    };
    let way = Way { door: Arc::new(Door::url()?), url, server, presenter };
    let runtime = serve::runtime()?;
    if let Some(peers) = &peers {
        runtime.block_on(beside(asked, peers))?;
    }
    match args.listen {
        Some(address) if is_api(&way.url) => {
            listen(&runtime, address, Side::of_api(Api::new(way))?, out)
        }
        Some(address) => listen(&runtime, address, Side::new([way])?, out),
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
async fn beside(args: &PeersArgs, peers: &Arc<Peers>) -> Result<(), CliError> {
    if let (Some(address), Some(router)) = (args.peer_listen, peers.router()) {
        let (listener, at) = bind(address).await?;
        tracing::info!(%at, "other agents are let in");
        let bounds = bailiwick_gateway::Bounds::new(PEER_CONNECTIONS);
        let never = std::future::pending();
        tokio::spawn(bailiwick_gateway::serve(listener, router, bounds, None, never));
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
fn file(args: &AuthorityArgs, given: &Option<PathBuf>, name: &str) -> Option<PathBuf> {
    given.clone().or_else(|| args.agent_dir.as_ref().map(|dir| dir.join(name)))
}

/// The instance's keys.
fn keys(args: &AuthorityArgs) -> Result<InstanceKeys, CliError> {
    let key = file(args, &args.key, KEY).ok_or_else(|| {
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
    let keys = keys(args)?;
    match (&args.grant, file(args, &args.chain, CHAIN)) {
        (Some(grant), _) => {
            let authority = args.authority.clone().unwrap_or_else(|| address::origin(url));
            let renewing = Renewing {
                authority: address::authority(&authority)?,
                grant: GrantId::parse(grant)?,
                scope: args.scope.clone(),
                keys,
                proving: self::keys(args)?,
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
