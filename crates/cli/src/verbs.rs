//! One file per verb.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args::{Args, RunArgs, Verb};
use crate::error::CliError;
use crate::output::Output;

mod a2a;
mod agent;
mod approvals;
pub(crate) mod attenuate;
mod audit;
mod autonomy;
mod call;
mod catalogue;
mod client;
mod config;
mod connect;
mod delegate;
mod delegate_remote;
mod doctor;
mod entitlements;
pub(crate) mod evidence;
mod failures;
mod grant;
mod identity;
mod import;
mod init;
mod inspect;
mod instance;
mod keys;
mod login;
mod me;
mod metrics;
mod named_checks;
mod parse;
mod peers;
mod place;
pub(crate) mod policy;
mod principal;
mod remote;
mod renew;
mod requests;
mod revoke;
mod run;
mod run_of;
mod runs;
mod scope;
pub(crate) mod serve;
mod stops;
mod svid;
mod task;
mod tool_server;
mod vault;
mod webhook;
mod workflow;
mod wrap;

pub(crate) use serve::{end_signal, runtime};

/// Runs one verb.
pub(crate) fn run(args: Args, out: Output) -> Result<ExitCode, CliError> {
    let chosen = args.data_dir;
    let dir = chosen.clone().unwrap_or_else(|| "bailiwick-data".into());
    let logins = args.logins;
    // The variable is for those verbs that can use it, and where nobody chose
    // a data dir.
    let told = || std::env::var("BAILIWICK_AT").ok().filter(|at| !at.is_empty());
    let at = match args.at {
        None if chosen.is_none() && remote::is_offered(&args.verb) => told(),
        at => at,
    };
    let place = || place::Place::open(at.as_deref(), &dir, logins.as_deref());
    match args.verb {
        Verb::Approvals(verb) => {
            approvals::run(verb, at.as_deref(), &dir, logins.as_deref(), out)?;
        }
        Verb::Requests(verb) => {
            requests::run(verb, at.as_deref(), &dir, logins.as_deref(), out)?;
        }
        Verb::Autonomy(verb) => autonomy::run(&verb, &place()?, out)?,
        Verb::Failure(verb) => failures::run(verb, &place()?, out)?,
        Verb::Metrics(verb) => metrics::run(*verb, &place()?, out)?,
        Verb::Peers => peers::peers(&place()?, out)?,
        Verb::Handoff(verb) => return peers::handoff(&verb, place, out),
        Verb::Resume(verb) => stops::resume(&verb, &place()?, out)?,
        Verb::Run(RunArgs { of: Some(verb), .. }) | Verb::Runs(verb) => {
            return run_of::run(&verb, &place()?, out);
        }
        Verb::Stop(verb) => stops::stop(&verb, &place()?, out)?,
        Verb::Stops(verb) => stops::stops(verb, &place()?, out)?,
        verb => return elsewhere_or_here(verb, at.as_deref(), chosen.as_deref(), logins, out),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a verb that has one form for a data dir and another, if any, for an
/// authority elsewhere.
fn elsewhere_or_here(
    verb: Verb,
    at: Option<&str>,
    chosen: Option<&Path>,
    logins: Option<PathBuf>,
    out: Output,
) -> Result<ExitCode, CliError> {
    let dir = chosen.map_or_else(|| PathBuf::from("bailiwick-data"), Path::to_path_buf);
    if let Some(at) = at {
        remote::run(verb, at, logins.as_deref(), out)?;
        return Ok(ExitCode::SUCCESS);
    }
    match verb {
        Verb::Login(verb) => login::run(&verb, logins.as_deref(), out)?,
        Verb::Logout { authority } => {
            login::logout(&authority, logins.as_deref(), out)?;
        }
        Verb::Whoami { authority } => {
            login::whoami(&authority, logins.as_deref(), out)?;
        }
        Verb::Demo(verb) => return crate::demo::run(verb, chosen, out),
        Verb::Init(verb) => init::run(&verb, &dir, logins.as_deref(), out)?,
        Verb::Serve(verb) => serve::run(&verb, &dir, out)?,
        Verb::Principal(verb) => principal::run(verb, &dir, out)?,
        Verb::Agent(verb) => agent::run(verb, &dir, out)?,
        Verb::Instance(verb) => instance::run(verb, &dir, out)?,
        Verb::Client(verb) => client::run(verb, &dir, out)?,
        Verb::Grant(verb) => grant::run(verb, &dir, out)?,
        Verb::Delegation(verb) => grant::delegation(verb, &dir, out)?,
        Verb::Workflow(verb) => return workflow::run(verb, &dir, logins.as_deref(), out),
        Verb::Entitlements(verb) => entitlements::run(verb, &dir, out)?,
        Verb::Policy(verb) => return policy::run(verb, &dir, out),
        Verb::Scope(verb) => scope::run(verb, &dir, out)?,
        Verb::A2a(verb) => a2a::run(verb, &dir, out)?,
        Verb::ToolServer(verb) => tool_server::run(verb, &dir, out)?,
        Verb::Vault(verb) => vault::run(verb, &dir, out)?,
        Verb::Webhook(verb) => webhook::run(verb, &dir, out)?,
        Verb::Catalogue(verb) => catalogue::run(verb, &dir, logins.as_deref(), out)?,
        Verb::Import(verb) => import::run(&verb, &dir, out)?,
        Verb::Task(verb) => task::run(verb, &dir, out)?,
        Verb::Delegate(verb) => delegate::run(&verb, &dir, out)?,
        Verb::Attenuate(verb) => attenuate::run(&verb, out)?,
        Verb::Call(verb) => return call::run(&verb, out),
        Verb::Connect(verb) => connect::run(&verb, out)?,
        Verb::Wrap(verb) => wrap::run(verb, &dir, logins.as_deref(), out)?,
        Verb::Run(verb) => return run::run(&verb, &dir, logins.as_deref(), out),
        Verb::RunDoor(verb) => return run::door::run(&verb),
        Verb::Revoke(verb) => revoke::run(&verb, &dir, out)?,
        Verb::Inspect(verb) => inspect::run(&verb, out)?,
        Verb::Audit(verb) => return audit::run(verb, &dir, out),
        Verb::Evidence(verb) => return evidence::run(verb, &dir, out),
        Verb::Keys(verb) => keys::run(verb, &dir, out)?,
        Verb::Config(verb) => config::run(verb, &dir, out)?,
        // They can be done here and elsewhere, and went their way above.
        Verb::Approvals(_)
        | Verb::Autonomy(_)
        | Verb::Failure(_)
        | Verb::Handoff(_)
        | Verb::Metrics(_)
        | Verb::Peers
        | Verb::Requests(_)
        | Verb::Resume(_)
        | Verb::Runs(_)
        | Verb::Stop(_)
        | Verb::Stops(_) => {}
        Verb::Doctor => return doctor::run(&dir, out),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::shown(), "bailiwick", &mut text);
            out.line(&String::from_utf8_lossy(&text));
        }
    }
    Ok(ExitCode::SUCCESS)
}
