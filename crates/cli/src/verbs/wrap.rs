//! `wrap`: an MCP server on the standard streams, with a program behind it. In
//! between is the gateway of the data dir, whole: what is not allowed never
//! reaches the program.

use std::path::Path;
use std::sync::Arc;

use bailiwick_core::ids::ServerName;
use bailiwick_store::PinStatus;

use self::own::Own;
pub(super) use self::program::{no_command, program};
use super::{connect, serve};
use crate::args::{AuthorityArgs, WrapArgs};
use crate::bridge::{Door, Way};
use crate::datadir::DataDir;
use crate::embedded::Embedded;
use crate::error::CliError;
use crate::lives;
use crate::output::Output;
use crate::vault::environment;

mod own;
mod program;

pub(super) fn run(
    args: WrapArgs,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    // SECURITY: a program of the same user cannot read this process's memory.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let data = Arc::new(DataDir::open(dir)?);
    serve::check_modes(&data)?;
    serve::init_logs(&data.config.log);
    let server = server(&data, args.server.as_deref())?;
    let runtime = serve::runtime()?;
    let held = runtime.block_on(environment::of(&data, &server))?;
    let program = program(&args.program, &["PATH"], held)?;
    something_accepted(&data, &server)?;
    let url = format!("{}/mcp/{server}", data.config.public_url());
    // What a wrap before this one left is ended first.
    lives::tend(&data)?;
    let is_given = args.agent_dir.is_some() || args.key.is_some() || args.chain.is_some();
    let (_own, presenter) = if is_given {
        let authority = AuthorityArgs {
            agent_dir: args.agent_dir,
            key: args.key,
            chain: args.chain,
            grant: None,
            authority: None,
            scope: Vec::new(),
        };
        (None, connect::presenter(&authority, &url, out)?)
    } else {
        let (own, presenter) = Own::delegated(&data, &server, &args.own, logins)?;
        (Some(own), presenter)
    };
    let entered = runtime.enter();
    let inside = Embedded::start(data, vec![(server.clone(), program)])?;
    drop(entered);
    let way = Way { door: Arc::new(Door::Inside(inside.gateway())), url, server, presenter };
    connect::stand_in(runtime, way, None, inside.stop())
}

/// The tool server that the program is.
fn server(data: &DataDir, named: Option<&str>) -> Result<ServerName, CliError> {
    let servers = data.authority.tool_servers()?;
    let programs: Vec<_> =
        servers.iter().filter(|s| s.url.starts_with("stdio:")).map(|s| &s.name).collect();
    let found = match named {
        Some(named) => {
            let named = ServerName::parse(named)?;
            programs.iter().find(|name| ***name == named).map(|name| (*name).clone())
        }
        None => match programs.as_slice() {
            [only] => Some((*only).clone()),
            [] => None,
            _ => {
                return Err(CliError::usage(
                    "server-ambiguous",
                    format!("{} programs are catalogued", programs.len()),
                    "name one with --server; see `bailiwick tool-server list`",
                ));
            }
        },
    };
    found.ok_or_else(|| {
        CliError::not_found(
            "not-found",
            match named {
                Some(named) => format!("no program `{named}` is catalogued"),
                None => "no program is catalogued".to_owned(),
            },
            "add it with `bailiwick tool-server add NAME --url stdio:NAME`, then pin it",
        )
    })
}

/// Where nobody accepted a definition, a client would be shown a tool server without tools, and
/// not why.
fn something_accepted(data: &DataDir, server: &ServerName) -> Result<(), CliError> {
    if data.authority.pins(server)?.iter().any(|pin| pin.row.status == PinStatus::Pinned) {
        return Ok(());
    }
    Err(CliError::refused(
        "nothing-pinned",
        format!("no definition of {server} is accepted, so that nothing of it can be called"),
        format!(
            "look at what waits with `bailiwick catalogue diff`, or pin it with `bailiwick tool-server pin {server} -- COMMAND`"
        ),
    ))
}
