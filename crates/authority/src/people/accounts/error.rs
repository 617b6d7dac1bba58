//! Why an account was not connected, or cannot be used any more.

use crate::http::provider::ProviderHttpError;

/// A consent that did not come about, or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The authorization server, or the tool server that names it, gave no
    /// answer.
    #[error("the tool server's authorization server does not answer: {0}")]
    Unreachable(ProviderHttpError),
    /// The configuration cannot be used.
    #[error("the configured `{member}` cannot be used: expected {expected}")]
    Config {
        /// Which member.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// What the servers say of themselves cannot be used.
    #[error("what the tool server's authorization server says of itself cannot be used: {problem}")]
    Metadata {
        /// Why.
        problem: &'static str,
    },
    /// The answer belongs to no consent that this session began.
    #[error("this consent was not begun in this session, or was finished already")]
    State,
    /// The answer is another server's.
    #[error("the answer does not come from the authorization server that was asked")]
    MixUp,
    /// The server or the person said no.
    #[error("the tool server's authorization server refused: `{code}`")]
    Refused {
        /// Its error code.
        code: String,
    },
    /// No code, no token, or none that can be used.
    #[error("the authorization server's answer cannot be used")]
    Answer,
    /// The code, the token or the client was not accepted.
    #[error("the authorization server did not accept what it was sent")]
    Exchange,
    /// The consent is over.
    #[error("the authorization server does not renew this consent any more")]
    Lapsed,
    /// The tokens are those of another configuration.
    #[error("the account was connected under another configuration than today's")]
    Moved,
    /// Nobody configured it, or the tool server knows one account for all.
    #[error("accounts of people cannot be connected at this tool server")]
    NotOffered,
    /// The vault did not take it.
    #[error("the vault did not take the account")]
    NotKept,
}

impl AccountError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "account-server-unreachable",
            Self::Config { .. } => "account-config-invalid",
            Self::Metadata { .. } => "account-metadata-invalid",
            Self::State => "account-state-unknown",
            Self::MixUp => "account-other-server",
            Self::Refused { .. } => "account-refused",
            Self::Answer => "account-answer-malformed",
            Self::Exchange => "account-code-refused",
            Self::Lapsed => "account-lapsed",
            Self::Moved => "account-moved",
            Self::NotOffered => "account-not-offered",
            Self::NotKept => "account-not-kept",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(ProviderHttpError::Address) => {
                "ask the operator: an authorization server in the own network needs `network = \"inside\"`"
            }
            Self::Unreachable(_) => "try again later",
            Self::Config { .. } | Self::Metadata { .. } | Self::NotKept => {
                "tell the operator: `bailiwick doctor` says more"
            }
            Self::State | Self::MixUp | Self::Answer | Self::Exchange => {
                "open the page of your accounts and connect again"
            }
            Self::Refused { .. } => "connect again, and agree there, if you want agents to use it",
            Self::Lapsed | Self::Moved => "connect the account again",
            Self::NotOffered => {
                "ask the operator for an `[[account]]` of this tool server in the configuration"
            }
        }
    }
}
