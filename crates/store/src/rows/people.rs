//! Clients, and what principals prove themselves with.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, Alias, InstanceId};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Agent, Principal, Status, Stored, UnknownText};

text_enum! {
    /// How an OAuth client became known.
    ClientSource {
        /// An operator registered it.
        Configured = "configured",
        /// Its id is the URL of its metadata document.
        Document = "document",
        /// It registered itself (RFC 7591).
        Dynamic = "dynamic",
    }
}

text_enum! {
    /// What a credential is.
    CredentialKind {
        /// A key in a file that signs verdicts on waiting calls.
        Approver = "approver",
        /// A login at an OpenID Connect provider.
        Login = "login",
        /// A WebAuthn credential.
        Passkey = "passkey",
        /// A service's public key.
        Service = "service",
    }
}

text_enum! {
    /// What kind of token a root is.
    TokenForm {
        /// A delegation token, which its holder can derive from.
        Aat = "aat",
        /// A bearer access token.
        Bearer = "bearer",
        /// An access token bound to a key by DPoP.
        Dpop = "dpop",
    }
}

impl TokenForm {
    pub(crate) fn is_aat(&self) -> bool {
        *self == Self::Aat
    }
}

impl Default for TokenForm {
    /// What every root was before there were access tokens.
    fn default() -> Self {
        Self::Aat
    }
}

/// An OAuth client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// How it became known.
    pub source: ClientSource,
    /// Its name, as it states it.
    pub name: String,
    /// Its validated metadata as JSON text (RFC 7591 §2).
    pub metadata: String,
    /// The agent that it is; one that is mapped to none is denied.
    pub agent: Option<AgentId>,
    /// The instance under which it acts, minted when it is mapped.
    pub instance: Option<InstanceId>,
    /// Whether it may act.
    pub status: Status,
    /// When it became known.
    pub registered: Timestamp,
}

/// A client that is mapped, with what its authority rests on, in one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHolder {
    /// The client.
    pub client: Stored<Client>,
    /// Its agent.
    pub agent: Stored<Agent>,
    /// The agent's owner.
    pub owner: Stored<Principal>,
}

/// What a principal proves itself with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub principal: Alias,
    /// What it is.
    pub kind: CredentialKind,
    /// By what it is found: SHA-256 of the passkey's id, of issuer and subject,
    /// or the key's thumbprint.
    pub lookup: Digest,
    /// Its public part as JSON text; empty once erased.
    pub data: String,
    /// What its owner calls it; empty once erased.
    pub label: String,
    /// Whether it still proves anything.
    pub status: Status,
    /// When it was added.
    pub added: Timestamp,
    /// From when on it may sign verdicts on waiting calls, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Timestamp>,
}

/// What principals may do and grant at most: the document in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlements {
    /// The digest of the document.
    pub digest: Digest,
    /// The document as published.
    pub document: String,
    /// When.
    pub published: Timestamp,
}
