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

use super::call::{is_agent, is_api, server_of, warn};
use super::{renew, serve};
use crate::address;
use crate::args::{AuthorityArgs, ConnectArgs};
use crate::bridge::{self, Api, Door, Peer, Side, Way};
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
    let presenter = presenter(&args.authority, &url, out)?;
    let way = Way { door: Arc::new(Door::url()?), url, server, presenter };
    match args.listen {
        Some(address) if is_api(&way.url) => listen(address, Side::of_api(Api::new(way))?, out),
        Some(address) if is_agent(&way.url) => listen(address, Side::of_peer(Peer::new(way))?, out),
        Some(address) => listen(address, Side::new([way])?, out),
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
        None => stand_in(serve::runtime()?, way, async {}),
    }
}

/// Connections that one client may hold open.
const CONNECTIONS: usize = 256;

/// Serves clients over HTTP until it is stopped.
fn listen(address: SocketAddr, side: Side, out: Output) -> Result<(), CliError> {
    serve::runtime()?.block_on(async {
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
    after: impl Future<Output = ()>,
) -> Result<(), CliError> {
    let (input, output) = (stream(std::io::stdin())?, stream(std::io::stdout())?);
    runtime.block_on(async {
        let stop = serve::end_signal();
        bridge::serve(way, input, output, stop).await;
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

/// What the instance presents: a chain from a file, taken up when it is
/// renewed, or roots under a grant that stands, renewed here.
pub(super) fn presenter(
    args: &AuthorityArgs,
    url: &str,
    out: Output,
) -> Result<Arc<ChainPresenter>, CliError> {
    let file = |given: &Option<PathBuf>, name: &str| {
        given.clone().or_else(|| args.agent_dir.as_ref().map(|dir| dir.join(name)))
    };
    let key = file(&args.key, KEY).ok_or_else(|| {
        CliError::usage(
            "no-key",
            "the instance's keys are not named",
            "pass --agent-dir DIR with instance.key in it, or --key FILE",
        )
    })?;
    let keys = InstanceKeys::read(&key)?;
    match (&args.grant, file(&args.chain, CHAIN)) {
        (Some(grant), _) => {
            let authority = args.authority.clone().unwrap_or_else(|| address::origin(url));
            let renewing = Renewing {
                authority: address::authority(&authority)?,
                grant: GrantId::parse(grant)?,
                scope: args.scope.clone(),
                keys,
                proving: InstanceKeys::read(&key)?,
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
