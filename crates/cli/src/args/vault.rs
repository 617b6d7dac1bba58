//! The vault's verbs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum VaultVerb {
    /// Put a tool server's credential into the vault, in place of one that is there.
    #[command(
        after_help = "The secret never stands on the command line. Read and sealed now: --secret-file. Looked up with every use: --secret-from\n  file:PATH        a file of mode 0600\n  credential:NAME  a credential that systemd hands to this service (LoadCredential=)\n  exec:COMMAND     what a command prints; its whole path and arguments, parted by spaces; ten seconds, no environment\n\nA tool server that is a program (stdio:NAME) gets its secrets as variables of its environment, one --env each; `wrap`, `tool-server pin` and\n`catalogue learn` hand them to it when it starts.\n\nExamples:\n  bailiwick vault set desk --bearer --secret-file desk.token\n  bailiwick vault set desk --bearer --principal user:142 --secret-file - < token\n  bailiwick vault set mail --basic robot --secret-from credential:mail\n  bailiwick vault set crm --header X-Api-Key --secret-from 'exec:/usr/local/bin/key crm'\n  bailiwick vault set erp --oauth-token-url https://as.example/token \\\n      --oauth-client-id robot --oauth-scope read --secret-file erp.secret\n  bailiwick vault set issues --env GITHUB_TOKEN --secret-file issues.token"
    )]
    Set(Box<SetArgs>),
    /// List what is in the vault, without any secret.
    List,
    /// Remove a credential: calls that need it are denied from then on.
    #[command(
        after_help = "The authorization server of an account that a person connected is told.\n\nExamples:\n  bailiwick vault remove desk\n  bailiwick vault remove desk --principal user:142\n  bailiwick vault remove issues --env GITHUB_TOKEN"
    )]
    Remove {
        /// The tool server.
        server: String,
        /// Whose [default: the gateway's own].
        #[arg(long)]
        principal: Option<String>,
        /// Only this variable of a program.
        #[arg(long, value_name = "NAME", conflicts_with = "principal")]
        env: Option<String>,
    },
    /// Give the vault another key and seal everything anew.
    RotateKey,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SetArgs {
    /// The tool server.
    pub(crate) server: String,
    /// Whose [default: the gateway's own].
    #[arg(long)]
    pub(crate) principal: Option<String>,
    #[command(flatten)]
    pub(crate) kind: KindArgs,
    /// With --oauth-token-url: the client's id there.
    #[arg(long, value_name = "ID", requires = "oauth_token_url")]
    pub(crate) oauth_client_id: Option<String>,
    /// With --oauth-token-url: what to ask for.
    #[arg(long, value_name = "SCOPE", requires = "oauth_token_url")]
    pub(crate) oauth_scope: Vec<String>,
    /// With --oauth-token-url: for which resource (RFC 8707).
    #[arg(long, value_name = "URL", requires = "oauth_token_url")]
    pub(crate) oauth_resource: Option<String>,
    /// With --oauth-token-url: the authorization server may be in this machine's own network.
    #[arg(long, requires = "oauth_token_url")]
    pub(crate) inside: bool,
    #[command(flatten)]
    pub(crate) secret: SecretArgs,
}

/// What the tool server is shown, or given.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct KindArgs {
    /// `Authorization: Bearer`.
    #[arg(long)]
    pub(crate) bearer: bool,
    /// `Authorization: Basic` with this user.
    #[arg(long, value_name = "USER")]
    pub(crate) basic: Option<String>,
    /// A header of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) header: Option<String>,
    /// A bearer token that is fetched here for the client's secret (OAuth client credentials).
    #[arg(long, value_name = "URL", requires = "oauth_client_id")]
    pub(crate) oauth_token_url: Option<String>,
    /// For a tool server that is a program: this variable of its environment, beside those that
    /// are there.
    #[arg(long, value_name = "NAME", conflicts_with = "principal")]
    pub(crate) env: Option<String>,
}

/// Where the secret comes from.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct SecretArgs {
    /// The file that holds it, which may go afterwards; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// A reference that is followed with every use.
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) secret_from: Option<String>,
}
