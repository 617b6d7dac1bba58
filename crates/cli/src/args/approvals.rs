//! Arguments about calls that wait for a person.

use std::path::PathBuf;

use clap::Subcommand;

use super::StandingVerb;

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsVerb {
    /// Calls that wait, those that end first first.
    List {
        /// Of every state, newest first.
        #[arg(long)]
        all: bool,
    },
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
    },
    /// The same call again: approvals for some time and so many calls.
    #[command(subcommand)]
    Standing(StandingVerb),
    /// Keys with which people sign verdicts on the command line.
    #[command(subcommand)]
    Key(ApproverKeyVerb),
    /// Vouch for somebody else's new passkey or approver key, so that it counts at once (owners, with --at).
    Vouch {
        /// The credential's id.
        credential: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApproverKeyVerb {
    /// Make an approver key and enrol it.
    #[command(
        after_help = "The installation's first counts at once; every other one after a day, or when an owner who is somebody else\nvouches for it. With --at it is enrolled for who signed in.\n\nExamples:\n  bailiwick approvals key new --for user:ana --out ana-approver.key\n  bailiwick --at https://gate.example.com approvals key new --out approver.key"
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
