//! Arguments about standing approvals.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum StandingVerb {
    /// Approve calls like one that waits, for some time and so many of them.
    #[command(
        after_help = "Without --most, --one-of or --constraint the arguments must be exactly the same. The delegation's own\nbounds hold whatever is signed here.\n\nExamples:\n  bailiwick approvals standing approve 01a217df-3963-7cc4-85ff-4548a0f38598 --key ana-approver.key \\\n      --count 5 --for 2h\n  bailiwick approvals standing approve 01a217df-3963-7cc4-85ff-4548a0f38598 --key ana-approver.key \\\n      --count 20 --for 8h --most amount=50 --one-of currency=EUR,CHF"
    )]
    Approve(StandingArgs),
    /// Sign a standing approval that others made, where more than one must.
    Sign {
        /// Its id.
        id: String,
        /// Your approver key.
        #[arg(long)]
        key: PathBuf,
        /// What you add in words.
        #[arg(long)]
        note: Option<String>,
    },
    /// Standing approvals that let calls pass, those that end first first.
    List {
        /// Of every state, newest first.
        #[arg(long)]
        all: bool,
    },
    /// What was signed, by whom, and how often it was used.
    Show {
        /// Its id.
        id: String,
    },
    /// Take a standing approval back, at once.
    Revoke {
        /// Its id.
        id: String,
        /// Why, in words.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StandingArgs {
    /// The id of the waiting call.
    pub(crate) id: String,
    /// Your approver key.
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// How many calls, 100 at most.
    #[arg(long)]
    pub(crate) count: u64,
    /// How long, such as `30m` or `2h`: a day at most, and no longer than the delegation.
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) lasts: String,
    /// A number that may be anything up to this.
    #[arg(long, value_name = "NAME=NUMBER")]
    pub(crate) most: Vec<String>,
    /// An argument that may be any of these: JSON values or texts, between commas.
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub(crate) one_of: Vec<String>,
    /// An argument that may be what this constraint permits, as in a token (docs/constraints.md).
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) constraint: Vec<String>,
    /// What you add in words.
    #[arg(long)]
    pub(crate) note: Option<String>,
}
