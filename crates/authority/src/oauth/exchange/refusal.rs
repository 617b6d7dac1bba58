//! Why an exchange gives nothing.

use bailiwick_core::ids::AgentId;

use super::{MAX_ACTORS, Part};
use crate::oauth::error::{Code, OAuthError};

/// Why nothing is issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeRefusal {
    /// The subject token tells of the actor twice.
    #[error("the subject token's actors form a cycle at `{actor}`")]
    ActorsCyclic {
        /// Who stands there twice.
        actor: String,
    },
    /// The subject token tells of too many actors.
    #[error("the subject token nests {found} actors; {MAX_ACTORS} are allowed")]
    ActorsTooDeep {
        /// How many.
        found: usize,
    },
    /// Neither `may_act` nor `act` of the subject token names the actor.
    #[error("the subject token does not let `{agent}` act")]
    ActorNotPermitted {
        /// The actor's agent.
        agent: AgentId,
    },
    /// A tool that is not for bearer clients.
    #[error("`{tool}` is not listed for clients that prove no key")]
    BearerTool {
        /// Which.
        tool: String,
    },
    /// More than a part allows.
    #[error("the {what} is beyond the {}", part.as_str())]
    Beyond {
        /// What of the request.
        what: String,
        /// Beyond which part.
        part: Part,
    },
    /// The client is another agent's.
    #[error("the client is mapped to another agent than the actor `{agent}`")]
    ClientOtherAgent {
        /// The actor's agent.
        agent: AgentId,
    },
    /// Nobody mapped the client to an agent.
    #[error("the client is not mapped to a registered agent")]
    ClientUnmapped,
    /// The grant is another principal's or agent's.
    #[error("the grant is another {party}'s than the {token} token's")]
    GrantOther {
        /// `principal` or `agent`.
        party: &'static str,
        /// `subject` or `actor`.
        token: &'static str,
    },
    /// The grant is over, ended, or has not begun.
    #[error("the grant does not stand at present")]
    GrantNotStanding,
    /// There is no grant.
    #[error("there is no grant of this principal for this agent")]
    GrantMissing,
    /// The requested holder key is not the actor's.
    #[error("`req_cnf` names another key than the one enrolled for the actor's instance")]
    HolderOther,
    /// The client authenticated with a key that is not the actor's.
    #[error("the client authenticated with another key than the actor's instance has")]
    KeyOther,
    /// Nothing is left.
    #[error("nothing that may be granted is left{}{}", at(resource), by(*part))]
    Nothing {
        /// Which part left nothing of what the others allow.
        part: Option<Part>,
        /// At which tool server.
        resource: Option<String>,
    },
    /// A delegation is issued only to who proves a key.
    #[error("a delegation is issued only with a DPoP proof by the actor's instance")]
    ProofMissing,
    /// The proof is by a key that is not the actor's.
    #[error("the DPoP proof is by another key than the actor token names")]
    ProofOther,
    /// The token is for something else.
    #[error("{expected}")]
    Target {
        /// What must be named.
        expected: &'static str,
    },
}

fn at(resource: &Option<String>) -> String {
    resource.as_ref().map(|r| format!(" for `{r}`")).unwrap_or_default()
}

fn by(part: Option<Part>) -> String {
    part.map(|part| format!(": the {} allows none of it", part.as_str())).unwrap_or_default()
}

impl ExchangeRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ActorsCyclic { .. } => "actors-cyclic",
            Self::ActorsTooDeep { .. } => "actors-too-deep",
            Self::ActorNotPermitted { .. } => "actor-not-permitted",
            Self::BearerTool { .. } => "bearer-tool",
            Self::Beyond { .. } => "beyond-bound",
            Self::ClientOtherAgent { .. } => "client-other-agent",
            Self::ClientUnmapped => "client-unmapped",
            Self::GrantOther { .. } => "grant-other",
            Self::GrantNotStanding => "grant-not-standing",
            Self::GrantMissing => "grant-missing",
            Self::HolderOther => "holder-other",
            Self::KeyOther => "client-key-other",
            Self::Nothing { .. } => "nothing-left",
            Self::ProofMissing => "proof-missing",
            Self::ProofOther => "proof-other",
            Self::Target { .. } => "target",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::ActorsCyclic { .. } | Self::ActorsTooDeep { .. } => {
                "begin with the principal's own token"
            }
            Self::ActorNotPermitted { .. } => {
                "have the principal's provider name the agent in `may_act`"
            }
            Self::BearerTool { .. } => "prove a key with DPoP",
            Self::Beyond { .. } | Self::Nothing { .. } => "ask for less, or for another grant",
            Self::ClientOtherAgent { .. } => "present the identity token of the client's own agent",
            Self::ClientUnmapped => "have the operator map the client to a registered agent",
            Self::GrantOther { .. } => "use subject and actor of the same grant",
            Self::GrantNotStanding | Self::GrantMissing => "ask the principal for a grant",
            Self::HolderOther => "name the enrolled holder key, or leave `req_cnf` out",
            Self::KeyOther => "authenticate with a key of the instance that acts",
            Self::ProofMissing | Self::ProofOther => "prove a key of the instance that acts",
            Self::Target { .. } => "name a resource for this kind of token",
        }
    }
}

impl From<ExchangeRefusal> for OAuthError {
    fn from(refusal: ExchangeRefusal) -> Self {
        let code = match &refusal {
            // RFC 8693 §2.2.2: a subject or actor token that is not accepted.
            ExchangeRefusal::ActorsCyclic { .. }
            | ExchangeRefusal::ActorsTooDeep { .. }
            | ExchangeRefusal::ActorNotPermitted { .. }
            | ExchangeRefusal::HolderOther => Code::InvalidRequest,
            ExchangeRefusal::BearerTool { .. } | ExchangeRefusal::Beyond { .. } => {
                Code::InvalidAuthorizationDetails
            }
            ExchangeRefusal::Nothing { .. } => Code::InvalidAuthorizationDetails,
            ExchangeRefusal::ClientOtherAgent { .. } | ExchangeRefusal::ClientUnmapped => {
                Code::UnauthorizedClient
            }
            ExchangeRefusal::GrantOther { .. }
            | ExchangeRefusal::GrantNotStanding
            | ExchangeRefusal::GrantMissing => Code::InvalidGrant,
            ExchangeRefusal::KeyOther => Code::InvalidClient,
            ExchangeRefusal::ProofMissing | ExchangeRefusal::ProofOther => Code::InvalidDpopProof,
            ExchangeRefusal::Target { .. } => Code::InvalidTarget,
        };
        Self::new(code, refusal.code(), format!("{refusal}; {}", refusal.remedy()))
    }
}
