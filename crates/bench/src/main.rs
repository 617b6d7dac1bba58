//! Measurements of Bailiwick, one subcommand per figure.
//!
//! Each figure takes both sides of its comparison in turns within one run, so
//! that noise of the machine hits both, and reports minimum, median and
//! maximum. `--json` prints what the table was made from.
#![allow(clippy::print_stdout, reason = "a command-line tool prints")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads clocks and the machine")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod figure;
mod fixture;
mod machine;
mod measure;
mod peer;
mod report;

use measure::Plan;
use report::Report;

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
    /// Rounds; in each of them every side runs once.
    #[arg(long, global = true, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan::new(arguments.rounds, arguments.slice);
    let made = match arguments.figure {
        Figure::Verify => figure::verify::report(&plan),
        Figure::Denial => figure::denial::report(&plan),
        Figure::Attenuate => figure::attenuate::report(&plan),
    };
    match made.and_then(|report| shown(&report, arguments.json)) {
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

fn shown(report: &Report, json: bool) -> Result<String, Failure> {
    if json { Ok(serde_json::to_string_pretty(report)?) } else { Ok(report.to_string()) }
}
