//! Arguments about calls that wait for a person.

use std::path::PathBuf;

use bailiwick_policy::grades::Risk;
use bailiwick_store::ApprovalPlace;
use clap::{Args as ClapArgs, Subcommand};

use super::StandingVerb;

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsVerb {
    /// Calls that wait, those that end first first.
    #[command(
        after_help = "Examples:\n  bailiwick approvals list --risk high\n  bailiwick approvals list --agent agent:support-runner --search 'refund user:142'"
    )]
    List(Box<ListArgs>),
    /// Show what would happen, who asks, and what would be signed, recomputed here.
    Show {
        /// Its id.
        id: String,
    },
    /// Let exactly this call happen, once; of several ids each of them, by one signature.
    Approve {
        /// Its id; up to 20 of them.
        #[arg(required = true, num_args = 1..=20, value_name = "ID")]
        ids: Vec<String>,
        /// Your approver key.
        #[arg(long)]
        key: PathBuf,
        /// What you add in words.
        #[arg(long)]
        note: Option<String>,
    },
    /// Say no.
    Deny {
        /// Its id.
        id: String,
        /// Your approver key.
        #[arg(long)]
        key: PathBuf,
        /// Why, in words.
        #[arg(long)]
        note: Option<String>,
        /// What would be fine instead, told to the agent: arguments as JSON, which replace those
        /// of the call; null takes one away. It grants nothing: the agent asks anew.
        #[arg(long, value_name = "JSON")]
        suggest: Option<String>,
        /// Take back the delegation under which it was asked, in the same step; it takes the right
        /// to do that.
        #[arg(long)]
        revoke: bool,
    },
    /// How much people are asked, and how they answer.
    #[command(
        after_help = "Many requests for an approver in an hour, approvals within a second and a large part that expires are signs\nthat people do not read any more: ask for less.\n\nExample:\n  bailiwick approvals metrics --since 7d"
    )]
    Metrics {
        /// How far back, such as `24h` or `7d`.
        #[arg(long, value_name = "DURATION", default_value = "7d")]
        since: String,
    },
    /// The same call again: approvals for some time and so many calls.
    #[command(subcommand)]
    Standing(StandingVerb),
    /// Keys with which people sign verdicts on the command line.
    #[command(subcommand)]
    Key(ApproverKeyVerb),
    /// Vouch for somebody else's new passkey or approver key, so that it counts at once (owners, with --at).
    #[command(
        after_help = "Its id is in `approvals key list` and `principal passkey list`. What you are signed in with must be older than\n`approvals.new_key_hours` itself, or the installation's first; nobody vouches for their own.\n\nExample:\n  bailiwick --at https://gate.example.com approvals vouch 01a217df-3963-7cc4-85ff-4548a0f38598"
    )]
    Vouch {
        /// The credential's id.
        credential: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    /// Of every state, newest first.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this agent's: `agent:NAME`.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// Only of this tool id.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only of this task.
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Only of this workflow.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// Only of this risk: low, medium, high or critical.
    #[arg(long)]
    pub(crate) risk: Option<Risk>,
    /// Words, each of which stands in a name.
    #[arg(long)]
    pub(crate) search: Option<String>,
    /// Only what comes after this place: `next` of the list before.
    #[arg(long, value_name = "PLACE")]
    pub(crate) after: Option<ApprovalPlace>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApproverKeyVerb {
    /// Make an approver key and enrol it.
    #[command(
        after_help = "The installation's first counts at once; every other one after a day\n(`approvals.new_key_hours` in bailiwick.toml), or when an owner who is somebody else\nvouches for it. With --at it is enrolled for who signed in.\n\nExamples:\n  bailiwick approvals key new --for user:ana --out ana-approver.key\n  bailiwick --at https://gate.example.com approvals key new --out approver.key"
    )]
    New {
        /// Whose it is: `user:NAME`; with --at your own.
        #[arg(long = "for", value_name = "user:NAME")]
        whose: Option<String>,
        /// Where the key goes.
        #[arg(long)]
        out: PathBuf,
        /// What you call it.
        #[arg(long, default_value = "approver key")]
        name: String,
    },
    /// The approver keys of a person.
    List {
        /// Whose; with --at your own.
        #[arg(long = "for", value_name = "user:NAME")]
        whose: Option<String>,
    },
}
