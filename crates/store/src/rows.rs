//! Records of the state: plain data, each a projection of the entry that wrote
//! it.
//!
//! A [`Row`] travels with its entry: [`crate::Tx::record`] commits to it in the
//! leaf and writes it in the same transaction, so that the state can be rebuilt
//! from entries and their texts ([`crate::Store::rebuild`]).

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{
    AgentId, Alias, ApprovalId, EntryId, GrantId, HandoffId, InstanceId, PrincipalId, RequestId,
    RunId, ServerName, StandingId, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $type {
            /// Its text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text,)* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownText;
            fn from_str(text: &str) -> Result<Self, UnknownText> {
                match text { $($text => Ok($type::$variant),)* _ => Err(UnknownText) }
            }
        }
    };
}

mod approvals;
mod autonomy;
mod errands;
mod failures;
mod handoffs;
mod ledger;
mod people;
mod policy;
mod public;
mod requests;
mod runs;
mod standings;
mod stops;
mod subject;
mod trust_domains;

pub use approvals::{Approval, ApprovalState, Said, Verdict};
pub use autonomy::{Autonomy, AutonomySignature};
pub use errands::{Errand, ErrandCall, ErrandKind, RunErrand};
pub use failures::{
    Failure, FailureClass, FailureClassified, FailureKind, FailureResolved, FailureSeen,
    FailureState, FailureTrend, Regression,
};
pub use handoffs::{Handoff, HandoffState, Handshake};
pub use ledger::{Action, Appended, Charge, Charged, OpenAction, Spent, StoredEntry};
pub use people::{
    Client, ClientHolder, ClientSource, Credential, CredentialKind, Entitlements, TokenForm,
};
pub use policy::{Place, Policy};
pub use requests::{AuthorityRequest, RequestState};
pub use runs::{
    ContextKind, ReviewVerdict, Run, RunCalls, RunContext, RunEvidence, RunReview, RunSpent,
    RunState,
};
pub use standings::{Standing, StandingApproved, StandingSignature, StandingState};
pub use stops::{Change, Notice, Resumption, Stop, StoppedBy};
pub use subject::{Revocation, Revocations, Subject};
pub use trust_domains::{KnownDomain, TrustDomain};

/// A stored text is none of those expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown text")]
pub struct UnknownText;

text_enum! {
    /// Whether a principal, agent, instance or tool server may act.
    Status {
        /// May act.
        Active = "active",
        /// Stopped, may be resumed.
        Suspended = "suspended",
        /// Stopped for good.
        Retired = "retired",
    }
}

text_enum! {
    /// Whose identity the gateway uses towards a tool server.
    IdentityMode {
        /// The principal's own, by that principal's consent.
        Principal = "principal",
        /// One credential for everybody.
        Shared = "shared",
    }
}

text_enum! {
    /// Whether a tool's definition is still the one that was catalogued.
    PinStatus {
        /// It is.
        Pinned = "pinned",
        /// The tool server now states another one: calls are denied.
        Changed = "changed",
    }
}

/// A principal: who authority comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The random name under which it stands in the ledger.
    pub alias: Alias,
    /// Who speaks for it; the installation itself for local principals.
    /// `None` once erased.
    pub issuer: Option<String>,
    /// Its name; `None` once erased.
    pub id: Option<PrincipalId>,
    /// Its public signing key as a JWK; `None` for those who sign with a
    /// passkey, at their identity provider, or with a service's key.
    pub jwk: Option<String>,
    /// Whether it may act.
    pub status: Status,
}

/// A registered software identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name.
    pub id: AgentId,
    /// The principal that answers for it.
    pub owner: Alias,
    /// Whether it may act.
    pub status: Status,
    /// Who publishes it.
    pub publisher: Option<String>,
    /// Its version, as its publisher states it.
    pub version: Option<String>,
    /// The digest of what is run.
    pub artifact: Option<Digest>,
}

/// One running process of an agent, with its two enrolled keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The agent it runs.
    pub agent: AgentId,
    /// The holder key's thumbprint; one instance only has it.
    pub holder: Thumbprint,
    /// The holder key (Ed25519) as a public JWK.
    pub holder_jwk: String,
    /// The identity key (ES256) as a public JWK.
    pub identity_jwk: String,
    /// The signed enrolment statement that binds both keys.
    pub statement: String,
    /// Whether it may act.
    pub status: Status,
}

const fn by_key() -> Guarantee {
    Guarantee::Key
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_by_key(guarantee: &Guarantee) -> bool {
    *guarantee == Guarantee::Key
}

/// An instance with what its authority rests on, in one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The instance and the entry that enrolled it.
    pub instance: Stored<Instance>,
    /// Its agent.
    pub agent: Stored<Agent>,
    /// The agent's owner.
    pub owner: Stored<Principal>,
}

/// One published version of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its name.
    pub id: WorkflowId,
    /// The digest of the document.
    pub digest: Digest,
    /// The document as published.
    pub document: String,
    /// When.
    pub published: Timestamp,
}

/// A catalogued tool server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolServer {
    /// Its name.
    pub name: ServerName,
    /// Where it is reached.
    pub url: String,
    /// A reference to the credential that the gateway uses; never the
    /// credential.
    pub credential: Option<String>,
    /// How it learns on whose behalf a call is made.
    pub identity_mode: IdentityMode,
    /// Whether calls may go there.
    pub status: Status,
}

/// A tool's definition as catalogued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The tool.
    pub tool: ToolId,
    /// The digest of the definition.
    pub digest: Digest,
    /// The definition as JSON text, input schema included.
    pub definition: String,
    /// Whether it still holds.
    pub status: PinStatus,
    /// When it was catalogued.
    pub pinned: Timestamp,
}

/// A definition that a tool server states and nobody accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The tool.
    pub tool: ToolId,
    /// The digest of the definition.
    pub digest: Digest,
    /// The definition as JSON text.
    pub definition: String,
    /// When it was seen.
    pub seen: Timestamp,
}

/// One piece of work. Its purpose is behind the entry's commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The workflow it runs under.
    pub workflow: WorkflowId,
    /// The version of the workflow.
    pub workflow_digest: Digest,
    /// The agent that may do it.
    pub agent: AgentId,
    /// For whom.
    pub principal: Alias,
    /// When it was minted.
    pub created: Timestamp,
}

/// What a principal consented to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The digest that the principal signed.
    pub digest: Digest,
    /// The task.
    pub task: TaskId,
    /// The agent.
    pub agent: AgentId,
    /// Who granted.
    pub principal: Alias,
    /// Whether an administrator attested it in place of the principal's own
    /// signature (DESIGN rule 9).
    pub attested: bool,
    /// From when.
    pub starts: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Whose counters its budget counts in, if not its own: the digest of the
    /// grant under which the agent asked for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Digest>,
    /// The statement's text. Only behind the entry's commitments, not in the
    /// table: empty when read by [`crate::View::grant`], see
    /// [`crate::View::grant_texts`].
    #[serde(default)]
    pub statement: String,
    /// The proof's text (the principal's signature); as `statement`.
    #[serde(default)]
    pub proof: String,
}

/// A root token that the authority issued under a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The root's token hash.
    pub root: Digest,
    /// The grant.
    pub grant: GrantId,
    /// The task.
    pub task: TaskId,
    /// The agent.
    pub agent: AgentId,
    /// The holder key it is bound to.
    pub holder: Thumbprint,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// What kind of token it is.
    #[serde(default, skip_serializing_if = "TokenForm::is_aat")]
    pub form: TokenForm,
    /// The OAuth client that it was issued to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Its place in the status list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_index: Option<u32>,
    /// How surely the instance that it was issued to was known then.
    #[serde(default = "by_key", skip_serializing_if = "is_by_key")]
    pub guarantee: Guarantee,
    /// The token's text. Only behind the entry's commitments: empty when read
    /// by [`crate::View::delegation`], see [`crate::View::delegation_token`].
    #[serde(default)]
    pub token: String,
}

/// A delegation with what it rests on, in one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The root.
    pub delegation: Stored<Delegation>,
    /// Its grant.
    pub grant: Stored<Grant>,
    /// Its task.
    pub task: Stored<Task>,
    /// The principal.
    pub principal: Stored<Principal>,
}

/// A derived token, as seen in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// Its token hash.
    pub token: Digest,
    /// Its parent's token hash.
    pub parent: Digest,
    /// Its root's token hash.
    pub root: Digest,
    /// Its depth, from 1.
    pub depth: u32,
    /// The holder key it is bound to.
    pub holder: Thumbprint,
    /// When it was first seen.
    pub seen: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// A change of the state, written with its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Row {
    /// A new agent.
    Agent(Agent),
    /// An agent's new owner.
    AgentOwner {
        /// Which agent.
        agent: AgentId,
        /// Who answers for it from now on.
        owner: Alias,
    },
    /// An agent's new status.
    AgentStatus {
        /// Which agent.
        agent: AgentId,
        /// Its status from now on.
        status: Status,
    },
    /// A call that is held for a person.
    Approval(Box<Approval>),
    /// A held call was used, or is about something else now.
    ApprovalState {
        /// Which.
        approval: ApprovalId,
        /// Where it stands from now on.
        state: ApprovalState,
    },
    /// What an agent asked for that it lacks.
    AuthorityRequest(Box<AuthorityRequest>),
    /// Somebody decided about a request.
    AuthorityRequestState {
        /// Which.
        request: RequestId,
        /// Where it stands from now on.
        state: RequestState,
        /// The grant that answers it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<GrantId>,
    },
    /// A workflow's autonomy was lowered, or somebody's signature raised it.
    Autonomy {
        /// How far its agents may act from now on.
        autonomy: Autonomy,
        /// The signature with which it was raised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<AutonomySignature>,
    },
    /// Somebody signed that a workflow's autonomy is raised; others must too.
    AutonomySigned(AutonomySignature),
    /// A definition that nobody accepted, in place of the one before.
    Candidate(Candidate),
    /// An OAuth client, new or changed.
    Client(Client),
    /// A credential, new or changed.
    Credential(Credential),
    /// A new root.
    Delegation(Delegation),
    /// A derived token seen for the first time.
    Derived(Derived),
    /// Entitlements, in place of those before.
    Entitlements(Entitlements),
    /// Something went wrong.
    Failure(Box<Failure>),
    /// A person said what kind of failure it is.
    FailureClassified(FailureClassified),
    /// A failure was mended, or there is nothing to mend.
    FailureResolved(FailureResolved),
    /// A new grant.
    Grant(Grant),
    /// A task that one agent offers to another.
    Handoff(Box<Handoff>),
    /// The other side answered an offer.
    HandoffAnswer {
        /// Which.
        handoff: HandoffId,
        /// Where it stands from now on.
        state: HandoffState,
        /// How sure the two are of each other.
        guarantee: Guarantee,
    },
    /// The other side said how it went.
    HandoffReturn {
        /// Which.
        handoff: HandoffId,
    },
    /// Two agents that proved to each other who they are.
    Handshake(Handshake),
    /// A new instance.
    Instance(Instance),
    /// An instance's new status.
    InstanceStatus {
        /// Which instance.
        instance: InstanceId,
        /// Its status from now on.
        status: Status,
    },
    /// A tool's definition, new or in place of the one before.
    Pin(Pin),
    /// Whether a pin still holds.
    PinStatus {
        /// Which tool.
        tool: ToolId,
        /// Its status from now on.
        status: PinStatus,
    },
    /// A publication of the organisation's policy, in place of the one before.
    Policy(Policy),
    /// A new principal.
    Principal(Principal),
    /// A principal's new status.
    PrincipalStatus {
        /// Which principal.
        alias: Alias,
        /// Its status from now on.
        status: Status,
    },
    /// What somebody signed so that a stop ends.
    Resumption {
        /// What.
        signed: Resumption,
        /// Whether it ends with this: as many signed as are needed.
        ends: bool,
    },
    /// A revocation; its number and time are the store's and the entry's.
    Revocation {
        /// What no longer holds.
        subject: Subject,
        /// Why, as a code.
        reason: String,
    },
    /// Whether a principal holds a role.
    Role {
        /// Who.
        principal: Alias,
        /// Which.
        role: String,
        /// Whether it holds from now on.
        held: bool,
    },
    /// Somebody set out to check or undo a run.
    Errand(Box<Errand>),
    /// A run that began.
    Run(Box<Run>),
    /// What later evidence or a review made of a run that was claimed.
    RunComplete {
        /// Which.
        run: RunId,
        /// Whether it counts as complete from now on.
        complete: bool,
        /// Whether it waits for others alone: whoever checks or reviews it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pending: bool,
        /// The evidence.
        evidence: Vec<RunEvidence>,
    },
    /// What a run used.
    RunContext {
        /// The items.
        items: Vec<RunContext>,
    },
    /// A run was claimed or abandoned.
    RunEnded {
        /// Which.
        run: RunId,
        /// How.
        state: RunState,
        /// Whether it counts as complete.
        complete: bool,
        /// Whether it waits for others alone: whoever checks or reviews it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pending: bool,
        /// The evidence.
        evidence: Vec<RunEvidence>,
    },
    /// What a run took, added to what it took before.
    RunProgress {
        /// Which.
        run: RunId,
        /// What came on top.
        more: RunSpent,
        /// When it is abandoned from now on, if that is later.
        deadline: Timestamp,
    },
    /// A person's word on a run.
    RunReviewed {
        /// The word.
        review: RunReview,
        /// Whether the run counts as complete from now on.
        complete: bool,
        /// The evidence that the word is.
        evidence: Vec<RunEvidence>,
    },
    /// Somebody signed a standing approval.
    StandingApproved(Box<StandingApproved>),
    /// A standing approval was taken back.
    StandingRevoked {
        /// Which.
        standing: StandingId,
    },
    /// A standing approval let a call pass.
    StandingUsed {
        /// Which.
        standing: StandingId,
    },
    /// A stop; its number is the store's.
    Stop(Stop),
    /// A new task.
    Task(Task),
    /// A tool server, new or changed.
    ToolServer(ToolServer),
    /// What somebody said about a held call.
    Verdict(Verdict),
    /// A workflow version, which becomes the current one.
    Workflow(Workflow),
}

/// A record with the entry that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The record.
    pub row: T,
    /// The id of the entry that wrote it; a change of status or owner keeps it.
    pub entry: EntryId,
}

impl<T> std::ops::Deref for Stored<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.row
    }
}
