//! `demo`: the support-ticket case on real parts.
//!
//! Every participant is its own process: `serve` (authority and gateway), the
//! support desk (a real MCP server), and agents that are MCP clients and know
//! only a URL, a chain file and a key file. The demo itself is a client of the
//! command line: what it does, anyone can do by hand.

use std::path::Path;
use std::process::ExitCode;

use bailiwick_core::json::Object;

use crate::args::{DemoArgs, DemoPart};
use crate::error::CliError;
use crate::output::Output;

mod aftermath;
mod agents;
mod desk;
mod handoff;
mod people;
mod processes;
mod record;
mod rogue;
mod stage;
mod story;
mod work;

/// Runs the demo, or the part of it that this process plays.
pub(crate) fn run(args: DemoArgs, dir: Option<&Path>, out: Output) -> Result<ExitCode, CliError> {
    match args.part {
        Some(DemoPart::Desk { database, credential, port, quirk }) => {
            desk::run(database, credential, port, &quirk, out)
        }
        Some(DemoPart::Widen { chain, key, tool, out: file }) => {
            rogue::widen(&chain, &key, &tool, &file)?;
            out.result(
                Object::new().with("chain", file.display().to_string()),
                "signed a wider child",
            );
            Ok(ExitCode::SUCCESS)
        }
        None => stage::play(dir, args.keep, out),
    }
}
