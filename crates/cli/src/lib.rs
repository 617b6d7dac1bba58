//! `bailiwick`: accountable authority for AI agents. The composition root: the binary's `main`, and
//! for other programs [`embedded`].
#![allow(
    clippy::disallowed_methods,
    reason = "the composition root is the one place that reads clock, entropy, environment and files"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

use std::process::ExitCode;

mod address;
mod api;
mod args;
mod bridge;
mod bundle_dir;
mod chainfile;
mod checks;
mod client_config;
mod config;
mod confirm;
mod datadir;
mod demo;
pub mod embedded;
mod ending;
#[cfg(test)]
mod entries;
mod error;
mod federation;
mod host;
mod keyfile;
mod keystore;
mod lives;
mod output;
mod policies;
mod ports;
mod presenter;
mod proposal;
mod scrape;
mod table;
mod tls;
mod vault;
mod verbs;
mod web;
mod webhooks;

/// Runs the command line.
pub fn main() -> ExitCode {
    let args = match args::Args::read() {
        Ok(args) => args,
        Err(e) => return usage(&e),
    };
    let output = output::Output { json: args.json };
    // The one TLS provider of the process.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is installed already");
    }
    match verbs::run(args, output) {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            e.class.exit_code()
        }
    }
}

/// Help and version go to standard output. A wrong command line is told as
/// clap tells it, or with `--json` in the shape of every other error.
fn usage(e: &clap::Error) -> ExitCode {
    let json = std::env::args_os().take_while(|a| a != "--").any(|a| a == "--json");
    if !e.use_stderr() || !json {
        // A closed pipe is the reader's choice, not an error.
        let _ = e.print();
        return if e.use_stderr() { error::Class::Usage.exit_code() } else { ExitCode::SUCCESS };
    }
    let text = e.render().to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let what: Vec<&str> = what.lines().map(str::trim).collect();
    let what = what.join(" ");
    let error = error::CliError::usage(
        "usage",
        what.strip_prefix("error: ").unwrap_or(&what),
        "see `bailiwick help` and `bailiwick VERB --help`",
    );
    output::Output { json }.error(&error);
    error.class.exit_code()
}
