//! `bailiwick`: accountable authority for AI agents. The composition root.
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

use clap::Parser as _;

mod api;
mod args;
mod chainfile;
mod config;
mod datadir;
mod demo;
mod error;
mod host;
mod keyfile;
mod output;
mod ports;
mod presenter;
mod verbs;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = output::Output { json: args.json };
    // The one TLS provider of the process.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is installed already");
    }
    match verbs::run(args, output) {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            e.exit_code()
        }
    }
}
