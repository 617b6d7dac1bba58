//! Arguments about peers and handoffs.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum HandoffVerb {
    /// Tasks that agents handed to each other, the newest first.
    List {
        /// Of one task, in their order.
        #[arg(long, value_name = "TASK_ID")]
        task: Option<String>,
    },
    /// One handoff: who handed what to whom, and what each signed.
    Show {
        /// Its id, or the hash of its offer, as the agents name it.
        #[arg(value_name = "HANDOFF_ID", allow_hyphen_values = true)]
        id: String,
        /// Write everything that both signed to this file, for others to verify.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify a file of `handoff show --out`, offline.
    Verify {
        /// The file.
        file: PathBuf,
        /// The trust file, from the operator: `bailiwick keys trust`.
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
}
