//! Arguments about the stop button.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// What: `agent:NAME`, `task:ID`, `workflow:NAME` or `everything`.
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Why, in words; the ledger commits to it.
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The stop's id.
    #[arg(value_name = "STOP_ID")]
    pub(crate) id: String,
    /// Your approver key; you are an owner.
    #[arg(long)]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StopsVerb {
    /// What is stopped now, newest first.
    List {
        /// Also what was resumed.
        #[arg(long)]
        all: bool,
    },
    /// One stop: why, by whom, and who signed that it ends.
    Show {
        /// Its id.
        id: String,
    },
}
