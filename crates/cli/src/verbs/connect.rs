//! `connect`: an MCP server on the standard streams that an unchanged client
//! starts. It holds the instance's keys and presents its delegation at a
//! gateway.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_core::ids::{GrantId, ServerName};

use super::call::{server_of, warn};
use super::{renew, serve};
use crate::address;
use crate::args::{AuthorityArgs, ConnectArgs};
use crate::bridge::{self, Door};
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
    let door = Door::url()?;
    stand_in(serve::runtime()?, door, &url, server, presenter, async {})
}

fn server_name(url: &str) -> Result<ServerName, CliError> {
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
    door: Door,
    url: &str,
    server: ServerName,
    presenter: Arc<ChainPresenter>,
    after: impl Future<Output = ()>,
) -> Result<(), CliError> {
    let (input, output) = (stream(std::io::stdin())?, stream(std::io::stdout())?);
    runtime.block_on(async {
        let stop = serve::stop_signal();
        bridge::serve(door, url, server, presenter, input, output, stop).await;
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
            // Two uses: the holder key proves, both renew.
            renewing(args, grant, keys, InstanceKeys::read(&key)?, url)
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

/// The first root is asked for at once, so that a grant that does not stand is
/// told here; the others by a thread beside.
fn renewing(
    args: &AuthorityArgs,
    grant: &str,
    keys: InstanceKeys,
    proving: InstanceKeys,
    url: &str,
) -> Result<Arc<ChainPresenter>, CliError> {
    let grant = GrantId::parse(grant)?;
    let authority = args.authority.clone().unwrap_or_else(|| address::origin(url));
    let authority = address::authority(&authority)?;
    let scope = args.scope.clone();
    let first = renew::ask(&authority, &keys, &grant, &scope)?;
    let presenter = ChainPresenter::new(first.chain(&authority), proving.holder)?;
    let presenter = Arc::new(presenter);
    let renewed = Arc::downgrade(&presenter);
    let mut pause = renew::pause(first.seconds);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(pause);
            let Some(presenter) = renewed.upgrade() else { return };
            let asked = renew::ask(&authority, &keys, &grant, &scope).and_then(|root| {
                presenter.take_up(root.chain(&authority))?;
                Ok(root.seconds)
            });
            match asked {
                Ok(seconds) => {
                    tracing::info!(seconds, "the delegation is renewed");
                    pause = renew::pause(seconds);
                }
                // The root of before lives on for a while.
                Err(e) if e.class == Class::Environment => {
                    tracing::warn!(code = %e.code, "the delegation is not renewed yet: {}", e.message);
                    pause = renew::AGAIN;
                }
                Err(e) => {
                    // Calls are denied from its end on, and say so themselves.
                    tracing::error!(code = %e.code, remedy = %e.remedy, "the delegation is renewed no more: {}", e.message);
                    return;
                }
            }
        }
    });
    Ok(presenter)
}
