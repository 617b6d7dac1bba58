//! Arguments about requests of agents for more authority.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum RequestsVerb {
    /// Requests that wait, those that end first first.
    List {
        /// Of every state, newest first.
        #[arg(long)]
        all: bool,
    },
    /// Show who asks for what, and why.
    Show {
        /// Its id.
        id: String,
    },
    /// Grant what was asked for, or a part of it, as yourself.
    Grant {
        /// Its id.
        id: String,
        /// Your own key, as for `delegate`.
        #[arg(long)]
        key: PathBuf,
        /// Of the shorthands that were asked for [default: all].
        #[arg(long)]
        scope: Vec<String>,
        /// How long, such as `10m` [default: as long as was asked].
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<String>,
    },
    /// Say no.
    Refuse {
        /// Its id.
        id: String,
        /// Your own key, as for `delegate`; with --at who signed in refuses.
        #[arg(long)]
        key: Option<PathBuf>,
        /// Why, in words: the agent hears it.
        #[arg(long)]
        note: Option<String>,
    },
}
