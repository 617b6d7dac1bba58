//! Arguments about people, clients, and what was granted.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PrincipalVerb {
    /// Register a principal, and make its own signing key or a passkey link.
    #[command(
        after_help = "Examples:\n  bailiwick principal add user:142\n  bailiwick principal add user:alice --passkey --role operator\n  bailiwick principal add user:bob --provider acme --subject 00u142"
    )]
    Add {
        /// `user:NAME` or `service:NAME`.
        id: String,
        /// Where to write the private key [default: ID.key in the current folder].
        #[arg(long)]
        key: Option<PathBuf>,
        /// Make no key: print a one-time link by which the person enrols a passkey.
        #[arg(long, conflicts_with = "key")]
        passkey: bool,
        /// Make no key: the person logs in at this provider of `bailiwick.toml`.
        #[arg(long, requires = "subject", conflicts_with = "key")]
        provider: Option<String>,
        /// The person's `sub` at the provider.
        #[arg(long, requires = "provider")]
        subject: Option<String>,
        /// Roles in the console: owner, operator, approver, auditor, developer.
        #[arg(long)]
        role: Vec<String>,
    },
    /// Print a new one-time passkey link, for a first passkey or after a loss.
    Link {
        /// The principal.
        id: String,
    },
    /// Say by which login at an identity provider a principal is known, or list them.
    #[command(
        after_help = "Examples:\n  bailiwick principal login user:bob\n  bailiwick principal login user:bob --provider acme --subject 00u142\n  bailiwick principal login user:bob --provider acme --subject 00u142 --remove"
    )]
    Login {
        /// The principal.
        id: String,
        /// A provider of `bailiwick.toml`, by its name.
        #[arg(long, requires = "subject")]
        provider: Option<String>,
        /// The person's `sub` there, which the provider never gives to anybody else.
        #[arg(long, requires = "provider")]
        subject: Option<String>,
        /// Take it away; the person's sessions end.
        #[arg(long, requires = "provider")]
        remove: bool,
    },
    /// Give a principal a role in the console, or take it back.
    Role {
        /// The principal.
        id: String,
        /// owner, operator, approver, auditor or developer.
        role: String,
        /// Take it back.
        #[arg(long)]
        remove: bool,
    },
    /// List principals with their roles.
    List,
    /// Suspend a principal: nothing it granted works any more.
    Suspend {
        /// The principal.
        id: String,
    },
    /// Let a suspended principal's grants work again.
    Resume {
        /// The principal.
        id: String,
    },
    /// Retire a principal for good.
    Retire {
        /// The principal.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    /// Register a client from its metadata (RFC 7591) and say which agent it is.
    #[command(
        after_help = "Example:\n  echo '{\"client_name\": \"desk bot\", \"redirect_uris\": [\"http://127.0.0.1/callback\"]}' > client.json\n  bailiwick client add client.json --agent agent:support-runner"
    )]
    Add {
        /// The metadata as a JSON file.
        metadata: PathBuf,
        /// The registered agent that it is.
        #[arg(long)]
        agent: Option<String>,
    },
    /// Say which registered agent a client is; an unmapped client gets nothing.
    #[command(
        after_help = "Examples:\n  bailiwick client list\n  bailiwick client map 8f0c… --agent agent:support-runner\n  bailiwick client map https://client.example/oauth.json --agent agent:support-runner"
    )]
    Map {
        /// The `client_id`.
        id: String,
        /// The agent.
        #[arg(long)]
        agent: String,
    },
    /// List clients.
    List,
    /// Suspend a client: its tokens stop working.
    Suspend {
        /// The `client_id`.
        id: String,
    },
    /// Let a suspended client work again.
    Resume {
        /// The `client_id`.
        id: String,
    },
    /// Retire a client for good.
    Retire {
        /// The `client_id`.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GrantVerb {
    /// List what a principal granted, newest first.
    List {
        /// The principal.
        #[arg(long)]
        principal: String,
    },
    /// Show one grant: what was signed, by which key, and the roots under it.
    Show {
        /// The grant's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DelegationVerb {
    /// List the roots issued under a grant.
    List {
        /// The grant's id.
        #[arg(long)]
        grant: String,
    },
    /// Issue another root under a grant that stands, for an enrolled instance.
    Reissue {
        /// The grant's id.
        #[arg(long)]
        grant: String,
        /// The instance, where the agent has more than one.
        #[arg(long)]
        instance: Option<String>,
        /// Where to write the chain.
        #[arg(long)]
        out: PathBuf,
    },
}
