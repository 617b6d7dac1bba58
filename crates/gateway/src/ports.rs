//! What the gateway needs from the rest of the system, as narrow traits. The
//! composition root implements them; [`crate::testing`] does so in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_core::accountable::{Authority, Charge, Ended, Question, Registry, Unavailable};
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{AgentId, EntryId, InstanceId, PrincipalId, RunId, ServerName};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Event;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::a2a::card::{Accepted, CARD};
use bailiwick_policy::api::Operation;
use bailiwick_policy::approvers::Unsettled;
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::grades::Level;
pub use bailiwick_policy::grades::UpstreamIdentity;
use bailiwick_policy::{Policies, Workflow};
use futures_util::future::BoxFuture;

use crate::broker::Carried;
pub use crate::credential::{Credential, MIN_SECRET_CHARS, Secret};
pub use crate::holds::{
    AskedCall, HeldCall, Hold, HoldRefusal, Holds, QuestionState, Spoken, Standing, Waiting,
};
pub use crate::own::requests::{Asking, RequestRefusal, Requests};
pub use crate::own::runs::{Errand, OpenRun, RunRefusal, Runs};
pub use crate::own::{Answered, Asker};
pub use crate::peers::{NotKept, PeerTask, Peers, Seen};
pub use crate::stages::approval::{Used, UsedApproval, UsedStanding};

/// Clock and entropy.
pub trait Host: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` from the system's random generator. One that fails must
    /// abort the process: nothing here works with guessable salts.
    fn fill(&self, bytes: &mut [u8]);
}

/// What is spent so that a proof works once. Kept until `expires`; after that
/// the proof is too old by its own `iat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The gateway's audience.
    pub audience: String,
    /// SHA-256 over the leaf's hash and the proof's `jti`.
    pub key: Digest,
    /// From when on it may be forgotten.
    pub expires: Timestamp,
}

/// The question about revocations that is asked again inside the recording
/// transaction: between verification and record something may have been
/// revoked.
#[derive(Clone, Debug)]
pub struct Recheck {
    /// What the root says.
    pub authority: Authority,
    /// Every token's hash, root first.
    pub tokens: Vec<Digest>,
    /// Every hop's holder key, root first.
    pub holders: Vec<Thumbprint>,
    /// The tool server that is about to be called.
    pub server: ServerName,
}

impl Recheck {
    /// The registry's form of the question.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            authority: &self.authority,
            tokens: self.tokens.clone(),
            holders: self.holders.clone(),
        }
    }
}

/// A derived token whose holder's chain and proof held: the first time that
/// it is seen, an entry of its own says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// Its hash.
    pub token: Digest,
    /// The hash of the token it was derived from.
    pub parent: Digest,
    /// The root's hash.
    pub root: Digest,
    /// How many derivations lie between it and the root, itself included.
    pub depth: u32,
    /// Its holder key.
    pub holder: Thumbprint,
    /// The agent that holds it.
    pub agent: AgentId,
    /// The instance that holds it.
    pub instance: InstanceId,
    /// Its own end, which may be later than that of the chain.
    pub expires: Timestamp,
}

/// A decision to allow, with everything that happens in its transaction.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// The `action.decided` entry.
    pub event: Event,
    /// Counters that the call adds to, all or none.
    pub charges: Vec<Charge>,
    /// The proof that is spent.
    pub spend: Spend,
    /// What must not have been revoked meanwhile.
    pub recheck: Recheck,
    /// The derived tokens of the chain, parents first.
    pub derived: Vec<Derivation>,
    /// The approval that is spent, if one was needed.
    pub used: Option<Used>,
    /// The run to which the call belongs: it must still be open.
    pub run: Option<RunId>,
    /// The errand that the call takes up: nobody may have done so meanwhile.
    pub errand: Option<EntryId>,
}

/// The record is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// The entry's id.
    pub entry: EntryId,
}

/// Why a decision was not recorded; nothing of the transaction took place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefusal {
    /// The proof was spent before.
    #[error("the proof was already used")]
    Replayed,
    /// A counter would pass its limit.
    #[error("the budget member `{member}` is spent")]
    BudgetSpent {
        /// Which one.
        member: String,
        /// When it counts from nothing again, if it does.
        reopens: Option<Timestamp>,
    },
    /// Something of the chain was revoked since it was verified.
    #[error("revoked: {kind}")]
    Revoked {
        /// What, as in `Standing::revoked`.
        kind: String,
    },
    /// What the chain comes under was stopped since it was verified.
    #[error("stopped: {what}")]
    Stopped {
        /// What, as in `Standing::stop`.
        what: String,
    },
    /// The approval was spent before, or is none any more.
    #[error("the approval was already used")]
    ApprovalSpent,
    /// What people said does not settle the call any more: somebody lost the
    /// right, or denied it meanwhile.
    #[error("the approval does not hold any more: {why}")]
    ApprovalLost {
        /// Why.
        why: Unsettled,
    },
    /// The run to which the call belongs is not open any more.
    #[error("the call's run has ended")]
    RunEnded,
    /// The event's time is before the last durable entry's.
    #[error("the clock is behind the last durable entry")]
    ClockBehind,
    /// It could not be written, or whether it was is unknown.
    #[error("the journal is not available")]
    Unavailable,
}

impl RecordRefusal {
    /// The refusal of a chain that has ended since it was verified.
    #[must_use]
    pub fn ended(ended: Ended) -> Self {
        match ended {
            Ended::TakenBack(kind) => Self::Revoked { kind },
            Ended::Stopped(what) => Self::Stopped { what },
        }
    }

    /// The refusal of `charge`.
    #[must_use]
    pub fn spent(charge: &Charge) -> Self {
        Self::BudgetSpent { member: charge.member.clone(), reopens: charge.reopens }
    }
}

/// The durable record. Every method returns after the entry was synced to
/// disk, or says that it was not.
pub trait Journal: Send + Sync {
    /// Records an allow and spends what belongs to it, in one transaction.
    fn record<'a>(
        &'a self,
        record: DecisionRecord,
    ) -> BoxFuture<'a, Result<Durable, RecordRefusal>>;

    /// Spends the proof of a message that is not a call, once and for all.
    fn spend<'a>(&'a self, spend: Spend) -> BoxFuture<'a, Result<(), RecordRefusal>>;

    /// Records a denial with the derived tokens of the caller's chain, if the
    /// caller is known; or a count of denials that were not recorded one by one.
    fn record_denial<'a>(
        &'a self,
        event: Event,
        derived: Vec<Derivation>,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Records what became of an allowed call.
    fn complete<'a>(&'a self, event: Event) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// What the vault gives out.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The credential.
    pub credential: Credential,
    /// As [`Vault::version`] says it.
    pub version: String,
    /// Until when it may be used without opening it again; `None`: as long as
    /// its version stands.
    pub until: Option<Timestamp>,
}

/// The vault has no answer: the call is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultFault {
    /// Why, a stable code that tells nothing of the credential.
    pub code: &'static str,
}

/// The credentials of tool servers.
pub trait Vault: Send + Sync {
    /// Which credential is held for a tool server and principal, or as the
    /// gateway's own: another version is another credential. `None`: there is
    /// none.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn version(
        &self,
        server: &ServerName,
        principal: Option<&PrincipalId>,
    ) -> Result<Option<String>, VaultFault>;

    /// Opens it, follows its references, and gets a token where it is a way to
    /// one.
    ///
    /// # Errors
    /// When any of this fails: the call is denied.
    fn open<'a>(
        &'a self,
        server: &'a ServerName,
        principal: Option<&'a PrincipalId>,
    ) -> BoxFuture<'a, Result<Option<Opened>, VaultFault>>;
}

/// A definition that a person accepted.
#[derive(Clone, Debug)]
pub struct Pin {
    /// `Definition::digest` of the accepted definition.
    pub digest: Digest,
    /// The accepted definition's `inputSchema`; for a prompt, its
    /// `arguments`.
    pub schema: Option<Json>,
    /// The accepted definition of an HTTP API's operation.
    pub operation: Option<Arc<Operation>>,
    /// The accepted card of an agent.
    pub card: Option<Arc<Accepted>>,
}

impl Pin {
    /// The pin of an accepted definition.
    #[must_use]
    pub fn of(definition: &Definition) -> Self {
        Self {
            digest: definition.digest(),
            schema: definition.input_schema().or_else(|| definition.arguments()).cloned(),
            operation: Operation::of(definition).map(Arc::new),
            card: Accepted::of(definition).map(Arc::new),
        }
    }
}

/// A tool server as catalogued.
#[derive(Clone, Debug)]
pub struct ToolServer {
    /// Its name.
    pub name: ServerName,
    /// Its MCP endpoint, the base of an HTTP API, or where an agent's card is.
    pub url: url::Url,
    /// By whose account it knows the callers behind the gateway.
    pub identity: UpstreamIdentity,
    /// Pins by operation: `tools/<name>`, `prompts/<name>`, the name of an HTTP
    /// API's operation, or `card`.
    pub pins: Arc<BTreeMap<String, Pin>>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Identity keys of the instances of the agent that it is, which may sign its
    /// card.
    pub signers: Vec<VerifyingKey>,
    /// What it is shown with the call that this value is for: set by the broker.
    pub(crate) carried: Option<Carried>,
}

impl ToolServer {
    /// Whether it is an HTTP API: it has accepted operations. Nothing of MCP is
    /// said to it.
    #[must_use]
    pub fn is_api(&self) -> bool {
        self.pins.values().any(|pin| pin.operation.is_some())
    }

    /// The accepted card, if it is an agent that speaks A2A. Nothing of MCP is said to
    /// it.
    #[must_use]
    pub fn card(&self) -> Option<&Accepted> {
        self.pins.get(CARD)?.card.as_deref()
    }

    /// The same, whose card these keys may sign besides those that were accepted
    /// with it.
    #[must_use]
    pub fn signed_by(self, signers: Vec<VerifyingKey>) -> Self {
        Self { signers, ..self }
    }

    /// A tool server as it is catalogued.
    #[must_use]
    pub fn new(
        name: ServerName,
        url: url::Url,
        identity: UpstreamIdentity,
        pins: BTreeMap<String, Pin>,
        revoked: bool,
    ) -> Self {
        let (pins, signers) = (Arc::new(pins), Vec::new());
        Self { name, url, identity, pins, revoked, signers, carried: None }
    }

    /// By whose account it will know the call that this value is for; `None`, if
    /// it is shown no credential.
    pub(crate) fn shown_identity(&self) -> Option<UpstreamIdentity> {
        self.carried.is_some().then_some(self.identity)
    }

    /// The same, shown `credential` whoever asks: to read definitions before it
    /// is catalogued.
    #[must_use]
    pub fn shown(self, credential: Credential) -> Self {
        let carried = Carried::of(&self.name, credential);
        Self { carried: Some(carried), ..self }
    }

    /// A tool server that is a program of this process, with nothing pinned.
    ///
    /// Its address names it and says nothing of the command.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a server's name is a part of a URL as it stands")]
    pub fn program(name: ServerName) -> Self {
        let url = url::Url::parse(&format!("stdio:{name}")).expect("a URL");
        Self::new(name, url, UpstreamIdentity::Shared, BTreeMap::new(), false)
    }
}

/// A tool's definition is not the one that was pinned, or no pin is there.
#[derive(Clone, Debug, PartialEq)]
pub struct PinMismatch {
    /// The tool server.
    pub server: ServerName,
    /// The operation, as in [`ToolServer::pins`].
    pub operation: String,
    /// What was accepted; `None`: nobody accepted this tool.
    pub pinned: Option<Digest>,
    /// What the server says now; `None`: it no longer lists it, or lists it
    /// twice, or its definition cannot be read.
    pub found: Option<Digest>,
    /// The definition as found.
    pub definition: Option<Json>,
    /// Why an agent's card counts for nothing, a stable code.
    pub why: Option<&'static str>,
}

impl PinMismatch {
    /// The tool's id, as text.
    #[must_use]
    pub fn tool(&self) -> String {
        // Operations of MCP have a slash in them, and those of an API are not compared.
        let plane = if self.operation == CARD { "a2a" } else { "mcp" };
        format!("{plane}:{}:{}", self.server, self.operation)
    }
}

/// Workflows, tool servers, pins and the organisation's policy: what people
/// publish.
pub trait Catalogue: Send + Sync {
    /// The organisation's policy as it is published now. What is published
    /// while a call is under way counts for the calls after it.
    ///
    /// # Errors
    /// When the bundle in force cannot be read, or is not what was published:
    /// the call is denied.
    fn policies(&self) -> Result<Arc<Policies>, Unavailable>;

    /// The workflow version that `digest` names, if it is published.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn workflow(&self, digest: &Digest) -> Result<Option<Arc<Workflow>>, Unavailable>;

    /// The level in force for calls under `workflow`: what it states, as far as
    /// its checklist and its record carry it.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn autonomy(&self, workflow: &Workflow) -> Result<Level, Unavailable>;

    /// A tool server.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable>;

    /// All tool servers, for the check at start.
    ///
    /// # Errors
    /// When they cannot be read.
    fn servers(&self) -> Result<Vec<Arc<ToolServer>>, Unavailable>;

    /// Called once when a definition is found changed or new; must not block.
    /// The tool stays quarantined here until it matches a pin.
    fn pin_mismatch(&self, mismatch: PinMismatch);
}

/// All ports.
#[derive(Clone)]
pub struct Ports {
    /// Who stands behind a chain, and what was revoked.
    pub registry: Arc<dyn Registry + Send + Sync>,
    /// The durable record.
    pub journal: Arc<dyn Journal>,
    /// Workflows, tool servers and pins.
    pub catalogue: Arc<dyn Catalogue>,
    /// Calls that wait for a person.
    pub holds: Arc<dyn Holds>,
    /// Agents behind the gateway.
    pub peers: Arc<dyn Peers>,
    /// Requests for more authority.
    pub requests: Arc<dyn Requests>,
    /// Runs: attempts at tasks.
    pub runs: Arc<dyn Runs>,
    /// Credentials of tool servers.
    pub vault: Arc<dyn Vault>,
    /// Clock and entropy.
    pub host: Arc<dyn Host>,
}
