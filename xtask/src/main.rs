//! Repository chores: `cargo xtask tidy | docs | fuzz`.
//!
//! Style is a test here: what a reviewer would otherwise have to remember is a rule of `tidy`, with
//! the reason for it. Nothing in this package is part of the product.
#![allow(clippy::print_stdout, reason = "a command-line tool prints")]
#![allow(
    clippy::disallowed_methods,
    reason = "a chore of the repository reads its files and runs its tools"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

use std::process::ExitCode;

mod denials;
mod fuzz;
mod repository;
mod source;
mod tidy;

const USAGE: &str = "usage: cargo xtask VERB

  tidy                       check the rules that neither rustc nor clippy knows
  docs                       write the documents that are generated from code
  lock                       give fuzz/ the workspace's versions
  fuzz [--seconds N] [NAME…] build the fuzz targets, seed and run each (10 s)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["tidy"] => tidy::run(),
        ["docs"] => denials::write(),
        ["lock"] => fuzz::lock(),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            println!("xtask: {trouble}");
            ExitCode::from(2)
        }
    }
}
