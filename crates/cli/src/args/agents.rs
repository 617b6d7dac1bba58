//! Arguments about agents and their instances.

use std::path::PathBuf;

use super::SvidArgs;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentVerb {
    /// Register an agent; every agent has an owner.
    #[command(after_help = "Example:\n  bailiwick agent add agent:support-runner --owner user:142")]
    Add {
        /// `agent:NAME`.
        id: String,
        /// The principal who answers for it.
        #[arg(long)]
        owner: String,
        /// Who publishes the software.
        #[arg(long)]
        publisher: Option<String>,
        /// Its version.
        #[arg(long)]
        version_label: Option<String>,
        /// SHA-256 of the artifact, base64url.
        #[arg(long)]
        artifact: Option<String>,
    },
    /// List agents.
    List,
    /// Suspend an agent.
    Suspend {
        /// The agent.
        id: String,
    },
    /// Let a suspended agent work again.
    Resume {
        /// The agent.
        id: String,
    },
    /// Move an agent to another owner; what runs as it must be enrolled again.
    #[command(
        after_help = "Its instances are retired and its clients unmapped: their enrolment names the former owner.\nGrants that name the agent stand.\n\nExample:\n  bailiwick agent transfer agent:support-runner --to user:bob"
    )]
    Transfer {
        /// The agent.
        id: String,
        /// The principal who answers for it from now on.
        #[arg(long)]
        to: String,
    },
    /// Retire an agent for good.
    Retire {
        /// The agent.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum InstanceVerb {
    /// On the instance's host: make its two keys and the enrolment document.
    #[command(
        after_help = "Example:\n  bailiwick instance new --agent agent:support-runner --owner user:142 \\\n      --authority https://gate.example.com --key runner.key --out runner.enrol.json"
    )]
    New {
        /// The agent.
        #[arg(long)]
        agent: String,
        /// The agent's owner.
        #[arg(long)]
        owner: String,
        /// The authority's public URL [default: that of the data dir].
        #[arg(long)]
        authority: Option<String>,
        /// Where to write the private keys.
        #[arg(long)]
        key: PathBuf,
        /// Where to write the enrolment document.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a one-time token with which an instance enrols itself over the network.
    Invite {
        /// The agent.
        #[arg(long)]
        agent: String,
    },
    /// On the instance's host: make its keys and enrol with a one-time token.
    #[command(
        after_help = "Example:\n  bailiwick instance join --authority https://gate.example.com --token TOKEN \\\n      --agent agent:support-runner --owner user:owner --key instance.key --identity identity.jwt"
    )]
    Join {
        /// The authority's public URL.
        #[arg(long)]
        authority: String,
        /// The one-time token.
        #[arg(long, allow_hyphen_values = true)]
        token: String,
        /// The agent.
        #[arg(long)]
        agent: String,
        /// The agent's owner.
        #[arg(long)]
        owner: String,
        /// Where to write the private keys.
        #[arg(long)]
        key: PathBuf,
        /// Where to write the identity token.
        #[arg(long)]
        identity: Option<PathBuf>,
    },
    /// On the instance's host: get an identity token, and keep it fresh.
    Identity {
        /// The authority's public URL.
        #[arg(long)]
        authority: String,
        /// The instance's key file.
        #[arg(long)]
        key: PathBuf,
        /// Where to write the token [default: standard output].
        #[arg(long)]
        out: Option<PathBuf>,
        /// Renew it before it ends, until stopped.
        #[arg(long)]
        keep: bool,
    },
    /// On the instance's host: get its SVIDs for a fresh key, or serve them by the SPIFFE Workload API.
    #[command(
        after_help = "Examples:\n  bailiwick instance svid --authority https://gate.example.com --key instance.key --out svid/\n  bailiwick instance svid --authority https://gate.example.com --key instance.key \\\n      --serve /run/user/1000/spiffe/workload.sock"
    )]
    Svid(SvidArgs),
    /// Enrol an instance from its document.
    #[command(after_help = "Example:\n  bailiwick instance enrol runner.enrol.json")]
    Enrol {
        /// The document.
        document: PathBuf,
    },
    /// List instances.
    List,
    /// Retire an instance for good: its keys are no longer enrolled.
    Retire {
        /// The instance.
        id: String,
    },
}
