//! Arguments about figures and failures.

use std::path::PathBuf;

use bailiwick_authority::MetricsBy;
use bailiwick_store::{FailureClass, FailureState};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct MetricsArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<MetricsVerb>,
    #[command(flatten)]
    pub(crate) about: MetricsAbout,
    /// Told apart by.
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
}

/// What figures are about.
#[derive(Debug, Args)]
pub(crate) struct MetricsAbout {
    /// The workflow.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// The agent.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// The version of the workflow, by its digest.
    #[arg(long, value_name = "DIGEST", allow_hyphen_values = true)]
    pub(crate) version: Option<String>,
    /// The tool, by its id.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// How far back, such as 7d; 92d at most.
    #[arg(long, default_value = "7d", value_name = "DURATION")]
    pub(crate) since: String,
    /// How sure intervals are, percent, 80 to 99.
    #[arg(long, default_value_t = 95, value_parser = clap::value_parser!(u8).range(80..=99))]
    pub(crate) confidence: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MetricsVerb {
    /// The six figures before and after a change, and whether it made them better.
    #[command(
        after_help = "Each side is a version of the workflow, by its digest, or a span of times.\n\nExamples:\n  bailiwick metrics compare --workflow support-tickets --before DIGEST --after DIGEST\n  bailiwick metrics compare --workflow support-tickets \\\n      --before 2026-01-01T00:00:00Z..2026-01-08T00:00:00Z \\\n      --after 2026-01-08T00:00:00Z..2026-01-15T00:00:00Z"
    )]
    Compare {
        /// The workflow.
        #[arg(long)]
        workflow: String,
        /// Before the change.
        #[arg(long, value_name = "DIGEST|FROM..UNTIL", allow_hyphen_values = true)]
        before: String,
        /// After it.
        #[arg(long, value_name = "DIGEST|FROM..UNTIL", allow_hyphen_values = true)]
        after: String,
        /// The agent.
        #[arg(long)]
        agent: Option<String>,
        /// How sure intervals are, percent, 80 to 99.
        #[arg(long, default_value_t = 95, value_parser = clap::value_parser!(u8).range(80..=99))]
        confidence: u8,
    },
    /// Scope that grants included and nobody used: what to grant less of.
    #[command(
        after_help = "Example:\n  bailiwick metrics unused --workflow support-tickets --since 30d"
    )]
    Unused {
        /// The workflow.
        #[arg(long)]
        workflow: Option<String>,
        /// How far back, such as 30d; 92d at most.
        #[arg(long, default_value = "30d", value_name = "DURATION")]
        since: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FailureVerb {
    /// Failures, newest first: those not resolved.
    #[command(
        after_help = "Examples:\n  bailiwick failure list\n  bailiwick failure list --workflow support-tickets --class permission_model --all"
    )]
    List {
        /// Also those resolved.
        #[arg(long)]
        all: bool,
        /// The workflow.
        #[arg(long)]
        workflow: Option<String>,
        /// The agent.
        #[arg(long)]
        agent: Option<String>,
        /// Where it stands.
        #[arg(long, value_enum)]
        state: Option<At>,
        /// The class that a person chose.
        #[arg(long, value_enum)]
        class: Option<Class>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// One failure: what happened, what kind it may be and why, and what people said.
    #[command(
        after_help = "Example:\n  bailiwick failure show 01a217df-3963-7cc4-85ff-4548a0f38598"
    )]
    Show {
        /// Its id.
        id: String,
    },
    /// Failures by week and class.
    #[command(after_help = "Example:\n  bailiwick failure trends")]
    Trends,
    /// Say what kind of failure it is, and who mends it.
    #[command(
        after_help = "Example:\n  bailiwick failure classify 01a217df-3963-7cc4-85ff-4548a0f38598 --class tool_contract \\\n      --owner user:142 --note 'the description says nothing of cents'"
    )]
    Classify {
        /// Its id.
        id: String,
        /// The class; the suggested one is in `failure show`.
        #[arg(long, value_enum)]
        class: Class,
        /// Who mends it; the workflow's owner, if nobody is named.
        #[arg(long, value_name = "PRINCIPAL")]
        owner: Option<String>,
        /// In your words; the ledger commits to them.
        #[arg(long)]
        note: Option<String>,
    },
    /// Resolve a failure: with a case that keeps it from coming back, or with a reason.
    #[command(
        group = ArgGroup::new("how").required(true).args(["cases", "no_regression", "dismiss"]),
        after_help = "A case must be in the file as `bailiwick failure regression` wrote it, and hold under the policy in force. One that\nlets more pass than was decided is resolved by somebody else than whoever classified the failure.\n\nExamples:\n  bailiwick failure resolve 01a217df-3963-7cc4-85ff-4548a0f38598 --cases policies/cases.yaml \\\n      --link https://git.example.com/desk/pull/12\n  bailiwick failure resolve 01a217df-3963-7cc4-85ff-4548a0f38598 --no-regression \\\n      --why 'nothing that policy decides'\n  bailiwick failure resolve 01a217df-3963-7cc4-85ff-4548a0f38598 --dismiss --why 'a drill'"
    )]
    Resolve {
        /// Its id.
        id: String,
        /// The file of cases that holds it.
        #[arg(long)]
        cases: Option<PathBuf>,
        /// Nothing that a test could hold; say why.
        #[arg(long, requires = "why")]
        no_regression: bool,
        /// There was nothing to mend; say why.
        #[arg(long, requires = "why")]
        dismiss: bool,
        /// Where the fix is.
        #[arg(long)]
        link: Option<String>,
        /// Why; the ledger commits to it.
        #[arg(long)]
        why: Option<String>,
    },
    /// Write the recorded decision as a case for `bailiwick policy test`.
    #[command(
        after_help = "The case holds the call's arguments and the principal's name in clear text. That it was read is recorded.\n\nExample:\n  bailiwick failure regression 01a217df-3963-7cc4-85ff-4548a0f38598 --expect deny \\\n      --out policies/cases.yaml\n  bailiwick policy test policies"
    )]
    Regression {
        /// Its id.
        id: String,
        /// What should be decided from now on.
        #[arg(long, value_enum, default_value_t = Expect::Deny)]
        expect: Expect,
        /// The file; the case is added to one that is there.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// What should be decided.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Expect {
    Allow,
    ApprovalRequired,
    Deny,
}

/// What figures are told apart by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    Workflow,
    Version,
    Agent,
    Tool,
    Day,
    Week,
}

impl From<By> for MetricsBy {
    fn from(by: By) -> Self {
        match by {
            By::Workflow => Self::Workflow,
            By::Version => Self::Version,
            By::Agent => Self::Agent,
            By::Tool => Self::Tool,
            By::Day => Self::Day,
            By::Week => Self::Week,
        }
    }
}

/// Where a failure stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum At {
    Detected,
    Classified,
    Resolved,
}

impl From<At> for FailureState {
    fn from(at: At) -> Self {
        match at {
            At::Detected => Self::Detected,
            At::Classified => Self::Classified,
            At::Resolved => Self::Resolved,
        }
    }
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Class {
    Prompt,
    RetrievalLayer,
    ToolContract,
    PermissionModel,
    EvaluationSuite,
    HumanProcess,
}

impl From<Class> for FailureClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Prompt => Self::Prompt,
            Class::RetrievalLayer => Self::RetrievalLayer,
            Class::ToolContract => Self::ToolContract,
            Class::PermissionModel => Self::PermissionModel,
            Class::EvaluationSuite => Self::EvaluationSuite,
            Class::HumanProcess => Self::HumanProcess,
        }
    }
}
