//! What principals may do at most, scopes, and tasks.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum EntitlementsVerb {
    /// Check a document.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Put a document in force, in place of the one before; it bounds every grant, and every call from now on.
    Publish {
        /// The file.
        file: PathBuf,
    },
    /// Show the document in force.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeVerb {
    /// Show what a shorthand stands for.
    #[command(after_help = "Example:\n  bailiwick scope explain 'orders:read'")]
    Explain {
        /// Shorthands.
        #[arg(required = true)]
        shorthands: Vec<String>,
        /// A workflow file instead of the published ones.
        #[arg(long)]
        file: Option<PathBuf>,
        /// The published workflow, where more than one knows the shorthand.
        #[arg(long)]
        workflow: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskVerb {
    /// Mint a task.
    New {
        /// The workflow.
        #[arg(long)]
        workflow: String,
        /// The agent.
        #[arg(long)]
        agent: String,
        /// For whom.
        #[arg(long)]
        principal: String,
        /// The purpose.
        #[arg(long)]
        purpose: String,
    },
    /// List tasks.
    List,
}
