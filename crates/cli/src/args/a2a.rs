//! The verbs of agents that are called through the gateway.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::WhoseAccount;

#[derive(Debug, Subcommand)]
pub(crate) enum A2aVerb {
    /// Catalogue an agent that speaks A2A 1.0: its card is fetched, its signature verified, and pinned.
    #[command(
        after_help = "The card must be signed with the identity key of an enrolled instance of the agent, or with a key that --key names, and every address in it must be the one that --url is at. A card that changed waits for a person: run the same again with --accept once you looked at `bailiwick catalogue diff`.\n\nExamples:\n  bailiwick a2a add billing --agent agent:billing-specialist \\\n      --url https://billing.example.com/.well-known/agent-card.json\n  bailiwick a2a add billing --agent agent:billing-specialist \\\n      --url http://localhost:9100/.well-known/agent-card.json \\\n      --key billing.jwk --credential billing.credential"
    )]
    Add(Box<A2aAddArgs>),
    /// Show an agent: its card as it is pinned, where it is called here, and its operations.
    #[command(after_help = "Example:\n  bailiwick a2a show billing")]
    Show {
        /// The name that it has here.
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct A2aAddArgs {
    /// The name that the agent gets here.
    pub(crate) name: String,
    /// Where its card is.
    #[arg(long)]
    pub(crate) url: String,
    /// The registered agent that it is.
    #[arg(long)]
    pub(crate) agent: String,
    /// A public JWK that may sign its card, besides the keys of its instances [default: those of before].
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// The file that holds the gateway's credential for it.
    #[arg(long)]
    pub(crate) credential: Option<PathBuf>,
    /// By whose account it knows the callers.
    #[arg(long, value_enum, default_value = "shared")]
    pub(crate) upstream_identity: WhoseAccount,
    /// Accept a card that changed or looks suspicious, which you looked at.
    #[arg(long)]
    pub(crate) accept: bool,
}
