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
        /// Make no key: register this public JWK (Ed25519 or P-256), whose private key stays where it was made.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "passkey", "provider"])]
        jwk: Option<PathBuf>,
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
    /// Make a principal's key on its own host: the private file to sign with, and the public JWK to register.
    #[command(
        after_help = "The first on the service's host, the second on the authority's.\n\nExamples:\n  bailiwick principal key service:billing --algorithm ES256 --key service.key --jwk service.jwk\n  bailiwick principal add service:billing --jwk service.jwk"
    )]
    Key {
        /// `user:NAME` or `service:NAME`, as it is to be registered.
        id: String,
        /// What it signs with.
        #[arg(long, value_enum, default_value = "Ed25519")]
        algorithm: crate::keyfile::Algorithm,
        /// Where to write the private key [default: ID.key in the current folder].
        #[arg(long)]
        key: Option<PathBuf>,
        /// Where to write the public JWK [default: ID.jwk in the current folder].
        #[arg(long)]
        jwk: Option<PathBuf>,
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
    /// Retire a principal for good; its agents stay its own and stop. For a person who leaves: offboard.
    Retire {
        /// The principal.
        id: String,
    },
    /// End a person's authority for good: grants, sessions, passkeys, roles; agents move or are retired.
    #[command(
        after_help = "One transaction. The last owner cannot leave: make somebody else an owner who can sign in first.\n\nExamples:\n  bailiwick principal offboard user:alice --agents-to user:bob --reason 'left the company'\n  bailiwick principal offboard user:mallory --reason 'contract ended'"
    )]
    Offboard {
        /// The principal.
        id: String,
        /// Who answers for their agents from now on [default: the agents are retired].
        #[arg(long, value_name = "user:NAME")]
        agents_to: Option<String>,
        /// Why, in words: kept beside the ledger, which has a commitment to it.
        #[arg(long)]
        reason: String,
    },
    /// Passkeys of a person: list them, and retire those that are lost.
    #[command(subcommand)]
    Passkey(PasskeyVerb),
    /// On the authority's host: let a person be owner again who lost every way in.
    #[command(
        after_help = "Access to the data dir is the proof; the ledger says that it was done here. It gives the role\nof an owner and a one-time passkey link, and ends the person's sessions.\n\nExample:\n  bailiwick principal recover user:alice"
    )]
    Recover {
        /// The principal.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PasskeyVerb {
    /// List a person's passkeys.
    List {
        /// The principal.
        id: String,
    },
    /// Retire a lost passkey, or all; the person's sessions end.
    #[command(
        after_help = "When none is left it prints a new one-time link.\n\nExamples:\n  bailiwick principal passkey list user:alice\n  bailiwick principal passkey remove user:alice 0198c1b2-0000-7000-8000-000000000001\n  bailiwick principal passkey remove user:alice"
    )]
    Remove {
        /// The principal.
        id: String,
        /// The passkey's id, as `list` shows it [default: all of them].
        passkey: Option<String>,
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
        /// The principal [with --at: oneself].
        #[arg(long)]
        principal: Option<String>,
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
    /// On the instance's host: get a fresh root under a grant that stands, by the instance's own
    /// keys, and keep the chain file fresh; nobody need be present.
    #[command(
        after_help = "A root lives a quarter of an hour at most; with --keep it is replaced in time, until the grant's end or until the grant is taken back, which ends the command with status 1.\n\nExample:\n  bailiwick delegation renew --authority https://gate.example.com --key instance.key \\\n      --grant GRANT --out chain.json --keep"
    )]
    Renew {
        /// The authority's public URL.
        #[arg(long)]
        authority: String,
        /// The instance's key file.
        #[arg(long)]
        key: PathBuf,
        /// The grant's id.
        #[arg(long)]
        grant: String,
        /// Shorthands of the grant to which the root is narrowed [default: all].
        #[arg(long)]
        scope: Vec<String>,
        /// Where to write the chain; a chain that is there is replaced.
        #[arg(long)]
        out: PathBuf,
        /// Replace it before it ends, again and again.
        #[arg(long)]
        keep: bool,
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
