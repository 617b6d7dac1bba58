//! The verbs of workflows.

use std::path::PathBuf;

use bailiwick_policy::grades::Level;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct InitWorkflowArgs {
    /// Where to write it, instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A tool server whose tools it lists [default: all of the catalogue].
    #[arg(long = "tool-server", value_name = "NAME")]
    pub(crate) tool_servers: Vec<String>,
    /// Who answers for it [default: you, where you are registered].
    #[arg(long, value_name = "PRINCIPAL")]
    pub(crate) owner: Option<String>,
    /// An agent that may work under it [default: one named after the workflow].
    #[arg(long = "agent", value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowVerb {
    /// Write a commented workflow file to start from.
    #[command(
        after_help = "Where there is a data dir, its accepted tools stand in the file, each rated as one that writes, of high risk, until you rate it. Nothing is replaced.\n\nExamples:\n  bailiwick workflow init --out refunds.yaml\n  bailiwick workflow init --tool-server desk --owner user:olga --agent agent:desk --out desk.yaml"
    )]
    Init(InitWorkflowArgs),
    /// Check a workflow file: is it valid, what does its checklist lack, which level does it carry? Needs no data dir; where there is one, says whom and what it names that nobody registered.
    #[command(
        after_help = "A file with gaps in its checklist is valid; the gaps cap the level in force. Exit status with --require: 1 if the checklist carries less.\n\nExamples:\n  bailiwick workflow check support.yaml\n  bailiwick workflow check support.yaml --require bounded"
    )]
    Check {
        /// The file.
        file: PathBuf,
        /// The level that the checklist must carry: manual, supervised, bounded or autonomous.
        #[arg(long, value_name = "LEVEL")]
        require: Option<Level>,
    },
    /// Publish a workflow version, which counts for grants from then on.
    #[command(
        after_help = "Says which level is in force, and why. Publishing raises nothing: a later version begins at the level in force,\nand `autonomy raise` goes further. Who wrote a version is not the second one to sign that its autonomy\nis raised; where nobody is named it is its owner.\n\nExamples:\n  bailiwick workflow publish support.yaml\n  bailiwick workflow publish support.yaml --author user:142"
    )]
    Publish {
        /// The file.
        file: PathBuf,
        /// Who wrote the version, if not its owner.
        #[arg(long, value_name = "PRINCIPAL")]
        author: Option<String>,
    },
    /// Show what a file says otherwise than the published version, or one version than another, and which of it lets agents do more.
    #[command(
        after_help = "Examples:\n  bailiwick workflow diff support.yaml\n  bailiwick workflow diff support-tickets DIGEST DIGEST"
    )]
    Diff {
        /// A workflow file; with two digests, a published workflow's name.
        what: String,
        /// The earlier and the later version.
        #[arg(value_name = "DIGEST", num_args = 2, allow_hyphen_values = true)]
        versions: Vec<String>,
    },
    /// List the versions of a workflow, newest first.
    #[command(after_help = "Example:\n  bailiwick workflow history support-tickets")]
    History {
        /// The workflow.
        name: String,
    },
    /// Show a published workflow: its text, its level in force and what caps it.
    #[command(
        disable_version_flag = true,
        after_help = "Examples:\n  bailiwick workflow show support-tickets\n  bailiwick workflow show support-tickets --version DIGEST"
    )]
    Show {
        /// The workflow.
        name: String,
        /// One of its versions [default: the current one].
        #[arg(long = "version", value_name = "DIGEST", allow_hyphen_values = true)]
        digest: Option<String>,
    },
    /// List workflows.
    #[command(after_help = "Example:\n  bailiwick workflow list")]
    List,
}
