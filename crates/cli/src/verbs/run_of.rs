//! Verbs of `run` and of `runs`: what is done with an attempt at a task.

use std::process::ExitCode;
use std::time::Duration;

use bailiwick_core::ids::RunId;

use super::place::Place;
use super::runs;
use crate::args::RunVerb;
use crate::error::CliError;
use crate::output::Output;

/// How often is looked again for what is not in the ledger yet, and how long between.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

mod caller;
mod check;
mod report;
mod rollback;

pub(super) fn run(verb: &RunVerb, place: &Place, out: Output) -> Result<ExitCode, CliError> {
    match verb {
        RunVerb::Look(verb) => runs::run(verb, place, out).map(|()| ExitCode::SUCCESS),
        RunVerb::Check(args) => check::run(args, place, out),
        RunVerb::Rollback { calls, step } => rollback::run(calls, step.as_deref(), place, out),
        RunVerb::Report { id, format, output } => {
            report::run(&RunId::parse(id)?, *format, output.as_deref(), place, out)
        }
    }
}
