//! Arguments about runs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum RunsVerb {
    /// Runs, newest first.
    #[command(
        after_help = "Examples:\n  bailiwick run list\n  bailiwick run list --workflow support-tickets --state claimed"
    )]
    List(RunsListArgs),
    /// Show a run: its goal, context, calls and evidence, and why it counts as complete.
    #[command(after_help = "Example:\n  bailiwick run show 01a217df-3963-7cc4-85ff-4548a0f38598")]
    Show {
        /// Its id.
        id: String,
    },
    /// Accept, correct or reject a run that has ended.
    #[command(
        after_help = "Examples:\n  bailiwick run review 01a217df-3963-7cc4-85ff-4548a0f38598 --verdict accepted --key ana.key\n  bailiwick --at https://gate.example.com run review 01a217df-3963-7cc4-85ff-4548a0f38598 \\\n      --verdict corrected --what 'the tone' --why 'the customer complained'"
    )]
    Review(ReviewArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunsListArgs {
    /// Of this workflow.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// Of this agent.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Of this task.
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Only those that stand so.
    #[arg(long, value_enum)]
    pub(crate) state: Option<Stands>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stands {
    Open,
    Claimed,
    Abandoned,
}

impl Stands {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Claimed => "claimed",
            Self::Abandoned => "abandoned",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReviewArgs {
    /// The run's id.
    pub(crate) id: String,
    /// What you say of it.
    #[arg(long, value_enum)]
    pub(crate) verdict: Verdict,
    /// Of these criteria [default: those that a review shows].
    #[arg(long = "criterion", value_name = "ID")]
    pub(crate) criteria: Vec<String>,
    /// What was put right, or is wrong; needed unless it is accepted.
    #[arg(long, required_if_eq_any([("verdict", "corrected"), ("verdict", "rejected")]))]
    pub(crate) what: Option<String>,
    /// Why; needed unless it is accepted.
    #[arg(long, required_if_eq_any([("verdict", "corrected"), ("verdict", "rejected")]))]
    pub(crate) why: Option<String>,
    /// Your own key, as for `delegate`; with --at who signed in reviews.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
}

/// What somebody says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verdict {
    Accepted,
    Corrected,
    Rejected,
}
