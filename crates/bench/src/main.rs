//! Measurements of Bailiwick, one subcommand per figure.
//!
//! Each figure takes both sides of its comparison in turns within one run, so
//! that noise of the machine hits both, and reports minimum, median and
//! maximum. `--json` prints what the table was made from.
//!
//! `proxy` puts each server that it measures into a process of its own: this
//! program plays the tool server and the bare proxy (hidden subcommands), and
//! the gateway is the `bailiwick` built beside it.
#![allow(clippy::print_stdout, reason = "a command-line tool prints")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads clocks and the machine")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

mod figure;
mod fixture;
mod installation;
mod load;
mod machine;
mod measure;
mod peer;
mod place;
mod report;
mod server;
mod usage;

use measure::Plan;
use place::Place;

/// What goes wrong while a figure is prepared: a fixture that cannot be made,
/// or a side that does not give the expected verdict.
type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(name = "bailiwick-bench", version, about = "Measurements, one subcommand per figure")]
struct Arguments {
    #[command(subcommand)]
    figure: Figure,
    /// Print one JSON document instead of tables.
    #[arg(long, global = true)]
    json: bool,
    /// Rounds; in each of them every side runs once [default: 200; of `ledger` and `policy`: 50; of `console`: 15; of `proxy`, `waiting`
    /// and `authority`: 5; of `authority revocation` and `inbox`: 200].
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How long one side runs in one round, microseconds.
    #[arg(long, global = true, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    slice: u32,
}

#[derive(Subcommand)]
enum Figure {
    /// One call, nothing cached, at 1, 3 and 8 tokens; then with the chain
    /// already verified.
    Verify,
    /// What denials cost, beside the call that is allowed.
    Denial,
    /// Deriving one narrower token.
    Attenuate,
    /// Two agents that prove who they are, and an offer that rests on it.
    Handshake,
    /// Durable entries in a second, beside SQLite with the same bytes.
    Ledger {
        /// A folder on a real disk [default: `target` here, or /var/tmp].
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// One call put to an organisation's policy, sliced and unsliced.
    Policy,
    /// One MCP call through the gateway, beside a direct one and one through a
    /// bare reverse proxy.
    Proxy {
        /// A folder on a real disk [default: `target` here, or /var/tmp].
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Calls of each side in one round.
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        calls: u32,
    },
    /// The authority: exchanges of tokens, revocations, and a million of each.
    Authority {
        #[command(subcommand)]
        figure: OfAuthority,
        /// A folder on a real disk [default: `target` here, or /var/tmp].
        #[arg(long, global = true)]
        dir: Option<PathBuf>,
    },
    /// The console's pages over a large installation.
    Console {
        #[command(subcommand)]
        figure: OfConsole,
        /// A folder on a real disk [default: `target` here, or /var/tmp].
        #[arg(long, global = true)]
        dir: Option<PathBuf>,
    },
    /// Many calls that wait for people, in one process that serves.
    Waiting {
        /// A folder on a real disk [default: `target` here, or /var/tmp].
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Calls that wait.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        calls: u32,
    },
    /// The tool server of `proxy`, `authority` and `waiting`.
    #[command(hide = true)]
    ServeEcho,
    /// The bare reverse proxy of `proxy`.
    #[command(hide = true)]
    ServeBareProxy {
        /// Where it forwards to, such as `http://127.0.0.1:8080`.
        #[arg(long)]
        to: String,
    },
}

#[derive(Subcommand)]
enum OfAuthority {
    /// Token exchanges in a second, over HTTP and without it.
    Exchange {
        /// Exchanges of each side in one round.
        #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
        requests: u32,
    },
    /// From taking a token back to the first call that is denied, under load.
    Revocation,
    /// Parts of a long list of waiting calls, and from an approval to its effect.
    Inbox {
        /// Calls that wait.
        #[arg(long, default_value_t = 10_000)]
        many: u32,
    },
    /// SVIDs in a second, for so many instances each once, and the trust bundle.
    Svid {
        /// Instances on record.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        many: u32,
        /// Sidecars that ask at the same time.
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
        sidecars: u32,
    },
    /// Calls and exchanges with few delegations on record and with many.
    Scale {
        /// Live delegations, and as many revoked ones.
        #[arg(long, default_value_t = 1_000_000)]
        many: u32,
        /// The same of the small side.
        #[arg(long, default_value_t = 1_000)]
        few: u32,
        /// Requests of each side in one round.
        #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=5_000))]
        requests: u32,
    },
}

#[derive(Subcommand)]
enum OfConsole {
    /// How long each page takes, what it weighs, and when a browser paints it.
    Scale {
        /// Delegations on record.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
        delegations: u32,
        /// Decided calls in the ledger, beside the entries of the delegations.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
        entries: u32,
        /// Without a browser, which needs `chromium` and `chromedriver`.
        #[arg(long)]
        no_browser: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("bailiwick-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What the subcommand prints at its end.
fn run(arguments: Arguments) -> Result<String, Failure> {
    let Arguments { figure, json, rounds, slice } = arguments;
    let plan = |usual| Plan::new(rounds.unwrap_or(usual), slice);
    match figure {
        Figure::Verify => shown(&figure::verify::report(&plan(200))?, json),
        Figure::Denial => shown(&figure::denial::report(&plan(200))?, json),
        Figure::Handshake => shown(&figure::handshake::report(&plan(200))?, json),
        Figure::Attenuate => shown(&figure::attenuate::report(&plan(200))?, json),
        Figure::Ledger { dir } => {
            let place = Place::find(dir.as_deref())?;
            shown(&figure::ledger::report(&plan(50), &place)?, json)
        }
        Figure::Policy => shown(&figure::policy::report(&plan(50))?, json),
        Figure::Proxy { dir, calls } => {
            let plan = figure::proxy::Plan { rounds: rounds.unwrap_or(5), calls };
            shown(&figure::proxy::report(plan, &Place::find(dir.as_deref())?)?, json)
        }
        Figure::Authority { figure: of, dir } => {
            let place = Place::find(dir.as_deref())?;
            let plan = |requests| {
                let rounds = rounds.unwrap_or(5);
                figure::authority::Plan { rounds, requests }
            };
            match of {
                OfAuthority::Exchange { requests } => {
                    shown(&figure::authority::exchange(plan(requests), &place)?, json)
                }
                OfAuthority::Revocation => {
                    let rounds = rounds.unwrap_or(200);
                    shown(&figure::authority::revocation(rounds, &place)?, json)
                }
                OfAuthority::Inbox { many } => {
                    let rounds = rounds.unwrap_or(200);
                    shown(&figure::authority::inbox(rounds, many, &place)?, json)
                }
                OfAuthority::Svid { many, sidecars } => {
                    shown(&figure::authority::svid(many, sidecars, &place)?, json)
                }
                OfAuthority::Scale { many, few, requests } => {
                    let plan = plan(requests);
                    shown(&figure::authority::scale(plan, &[few, many], &place)?, json)
                }
            }
        }
        Figure::Console { figure: OfConsole::Scale { delegations, entries, no_browser }, dir } => {
            let plan = figure::console::Plan {
                rounds: rounds.unwrap_or(15),
                delegations,
                entries,
                paints: !no_browser,
            };
            shown(&figure::console::scale(plan, &Place::find(dir.as_deref())?)?, json)
        }
        Figure::Waiting { dir, calls } => {
            let plan = figure::waiting::Plan { rounds: rounds.unwrap_or(5), calls };
            shown(&figure::waiting::report(plan, &Place::find(dir.as_deref())?)?, json)
        }
        Figure::ServeEcho => server::echo::run().map(|()| String::new()),
        Figure::ServeBareProxy { to } => server::forward::run(to).map(|()| String::new()),
    }
}

fn shown<R: Serialize + std::fmt::Display>(report: &R, json: bool) -> Result<String, Failure> {
    if json { Ok(serde_json::to_string_pretty(report)?) } else { Ok(report.to_string()) }
}
