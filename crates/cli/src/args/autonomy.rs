//! Arguments about how far workflows' agents may act without a person.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum AutonomyVerb {
    /// The level in force and why, figures against targets, and what raises it.
    #[command(after_help = "Example:\n  bailiwick autonomy show support-tickets")]
    Show {
        /// The workflow.
        workflow: String,
    },
    /// Lower it at once.
    #[command(
        after_help = "Example:\n  bailiwick autonomy lower support-tickets --to manual --reason 'wrong refunds'"
    )]
    Lower {
        /// The workflow.
        workflow: String,
        /// To which level.
        #[arg(long, value_parser = ["manual", "supervised", "bounded"])]
        to: String,
        /// Why, in words; the ledger commits to it.
        #[arg(long)]
        reason: String,
    },
    /// Sign that it is raised by one level: the workflow's owner and somebody else do, within a day. Shows what is signed, and asks.
    #[command(
        after_help = "Example:\n  bailiwick autonomy raise support-tickets --key ana-approver.key"
    )]
    Raise {
        /// The workflow.
        workflow: String,
        /// Your approver key.
        #[arg(long)]
        key: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}
