//! What is read of the ledger, of evidence, keys and configuration.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Verify the whole ledger, or name the first bad entry.
    #[command(
        after_help = "Nothing is written. Examples:\n  bailiwick audit verify\n  bailiwick audit verify --since kept.checkpoint\nWithout keys or data dir, as an outsider:\n  bailiwick audit verify --ledger ./ledger --trust trust.json --since kept.checkpoint"
    )]
    Verify(VerifyArgs),
    /// The newest entries; --follow waits for more.
    Tail {
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: u64,
        /// Wait for more.
        #[arg(long, short)]
        follow: bool,
    },
    /// Search actions.
    Query(QueryArgs),
    /// One entry, or one action, with its receipt.
    Show {
        /// Entry id, action id or log index.
        id: String,
        /// Also decrypt the text beside the ledger; the reading is recorded.
        #[arg(long)]
        plaintext: bool,
    },
    /// Erase the texts behind commitments, for good; entries and proofs stay.
    #[command(
        after_help = "Examples:\n  bailiwick audit erase ACTION --yes\n  bailiwick principal suspend user:142 && bailiwick audit erase user:142 --yes"
    )]
    Erase {
        /// Action id, entry id, or a suspended principal: everything about it, its name included.
        what: String,
        /// Yes, for good: what is erased cannot be shown or proved any more.
        #[arg(long)]
        yes: bool,
    },
    /// The newest checkpoint.
    Checkpoint {
        /// Save it to a file, to be kept elsewhere.
        #[arg(long)]
        save: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// Only a ledger's files: a folder with `checkpoint` and `tile`; needs --trust and no data dir.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// The trust file; without it the data dir's own keys are used and the answer says so.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// A checkpoint kept elsewhere, from which consistency is proved.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QueryArgs {
    /// By principal.
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// By agent.
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// By task.
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// By tool.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// By decision.
    #[arg(long, value_parser = ["allow", "deny", "approval_required"])]
    pub(crate) decision: Option<String>,
    /// Not before this time (RFC 3339).
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceVerb {
    /// Write the evidence bundle of an action.
    Get {
        /// The action id.
        action: String,
        /// Where to write it.
        #[arg(long, short)]
        output: PathBuf,
    },
    /// Verify a bundle, or the report of a run, offline.
    #[command(
        after_help = "Example:\n  bailiwick keys trust -o trust.json\n  bailiwick evidence verify evidence.json --trust trust.json"
    )]
    Verify {
        /// The bundle, or the report's JSON form.
        file: PathBuf,
        /// The trust file; without it nothing is verified.
        #[arg(long)]
        trust: Option<PathBuf>,
        /// Checkpoints that you kept.
        #[arg(long)]
        kept: Vec<PathBuf>,
        /// Policies of the organisation, as folders, where they are too large for the bundle.
        #[arg(long = "policy", value_name = "FOLDER")]
        policies: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Every key that can be replaced, present and former, with when it is accepted.
    List,
    /// Replace a key in good order; a running `serve` takes the new one up.
    #[command(
        after_help = "What the old key signed stays accepted until it has ended by itself.\n\nExamples:\n  bailiwick keys rotate issuer\n  bailiwick keys rotate snapshot"
    )]
    Rotate {
        /// `issuer`, `identity`, `snapshot`, `authority-maker` or `gateway-maker`.
        purpose: String,
    },
    /// Replace a key that somebody else may have, and end what it signed.
    #[command(
        after_help = "For `issuer` every root under it is revoked, and the answer says what must be reissued.\n\nExamples:\n  bailiwick keys compromise issuer --since 2026-11-26T08:00:00Z\n  bailiwick keys compromise KID --since 2026-11-26T08:00:00Z   # a former key, by `keys list`"
    )]
    Compromise {
        /// A purpose as for `rotate`, for its present key, or a former key's thumbprint.
        key: String,
        /// The earliest time at which somebody else may have had it.
        #[arg(long)]
        since: String,
    },
    /// Write the trust file and print its fingerprint, to compare out of band.
    Trust {
        /// Where to write it.
        #[arg(long, short)]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check the file.
    Check,
    /// Every option: value, range, meaning, and what an attacker who controls it gains.
    Show,
}
