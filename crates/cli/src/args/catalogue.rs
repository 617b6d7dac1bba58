//! The catalogue's verbs.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueVerb {
    /// List the tools; those that wait for a person come first.
    List {
        /// Only of this tool server.
        server: Option<String>,
    },
    /// Show what a tool is, and what is suspicious about it.
    #[command(
        after_help = "Example:\n  bailiwick catalogue show mcp:support-desk:tools/get_ticket"
    )]
    Show {
        /// The tool.
        tool: String,
    },
    /// Show what waits for a person beside what was accepted, member by member.
    Diff {
        /// The tool [default: all that wait].
        tool: Option<String>,
    },
    /// Accept a definition that you looked at; the ledger says that the operator did.
    #[command(
        after_help = "The digest is the one that `diff` shows: if another definition waits by then, nothing is accepted. The digest of the accepted definition dismisses the one that waits.\n\nExample:\n  bailiwick catalogue accept mcp:support-desk:tools/get_ticket DIGEST"
    )]
    Accept {
        /// The tool.
        tool: String,
        /// The digest of the definition.
        #[arg(allow_hyphen_values = true)]
        digest: String,
    },
    /// Withdraw a tool: calls are denied until its definition is accepted again.
    Quarantine {
        /// The tool.
        tool: String,
        /// Why, as a code.
        #[arg(long, default_value = "withdrawn")]
        reason: String,
    },
}
