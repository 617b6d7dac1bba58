//! Arguments of what is done with an attempt at a task: verbs of `run` and of `runs`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::RunsVerb;

#[derive(Debug, Subcommand)]
pub(crate) enum RunVerb {
    #[command(flatten)]
    Look(RunsVerb),
    /// Check an attempt at a task by others than its agent, and derive its completion again.
    #[command(
        after_help = "Tool checks are calls through the gateway, made with a chain of a delegation that the workflow's owner\nsigned, to another agent than the run's; the authority takes them up by what the ledger has of them. Named checks are\nmade by the server. Without --chain it says what is to be checked.\n\nExamples:\n  bailiwick run check RUN\n  bailiwick run check RUN --chain checker-chain.json --key checker.key"
    )]
    Check(RunCallsArgs),
    /// Undo what an attempt at a task did, by its workflow's rollback plan.
    #[command(
        after_help = "The steps go in the reverse order of the calls that they undo. One that is a tool's call is an authorised\naction like any other: it needs a chain, and an approval where the policy asks for one. What was done is not done again;\nthe first step that fails stops the rest. Without --chain it shows the plan.\n\nExamples:\n  bailiwick run rollback RUN\n  bailiwick run rollback RUN --chain undo-chain.json --key undo.key\n  bailiwick run rollback RUN --step reopen --chain undo-chain.json --key undo.key"
    )]
    Rollback {
        #[command(flatten)]
        calls: RunCallsArgs,
        /// This step of the plan only.
        #[arg(long)]
        step: Option<String>,
    },
    /// Report an attempt at a task: its goal, context and calls, and why it counts as complete.
    #[command(
        after_help = "The JSON form carries the entries that the report follows from, and is verified offline.\n\nExamples:\n  bailiwick run report RUN\n  bailiwick run report RUN --format html -o run.html\n  bailiwick run report RUN --format json -o run.json\n  bailiwick evidence verify run.json --trust trust.json"
    )]
    Report {
        /// The run.
        id: String,
        /// Its form [default: md, and json with --json].
        #[arg(long, value_enum)]
        format: Option<ReportFormat>,
        /// Where to write it, instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// A run, and what calls about it are made with.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunCallsArgs {
    /// The run.
    pub(crate) id: String,
    /// The gateway's URL, without path [default: that of the chain].
    #[arg(long, requires = "chain")]
    pub(crate) url: Option<String>,
    /// The chain file with which calls are made.
    #[arg(long, requires = "key")]
    pub(crate) chain: Option<PathBuf>,
    /// The key file of the instance that makes them.
    #[arg(long, requires = "chain")]
    pub(crate) key: Option<PathBuf>,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Markdown.
    Md,
    /// One HTML file that needs nothing else.
    Html,
    /// With the entries that it follows from, to be verified.
    Json,
}
