//! Calls that wait for a person: what the gateway asks of whoever keeps them.
//!
//! A waiting call is a row, nothing more: no thread, no connection, nothing that
//! is executed later. The agent sends the same call again, and all stages run
//! again.

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::approval::Question;
use bailiwick_core::approval::standing::Terms;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, ApprovalId, EntryId, ServerName, ToolId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::Event;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
pub use bailiwick_policy::approvers::Spoken;
use bailiwick_policy::grades::Risk;
use futures_util::future::BoxFuture;

use crate::ports::Derivation;

/// A waiting call as it is on record.
#[derive(Clone, Debug)]
pub struct HeldCall {
    /// What people are asked.
    pub question: Question,
    /// The salt of the action's digest.
    pub salt: [u8; 32],
    /// The decision that asked.
    pub entry: EntryId,
    /// What people said: everybody who is active.
    pub spoken: Vec<Spoken>,
    /// Where passkeys are used.
    pub relying_party: Option<RelyingParty>,
    /// The arguments that whoever denied it suggests instead.
    pub suggestion: Option<Object>,
}

/// A standing approval as it is on record.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The agent that people were asked about.
    pub agent: AgentId,
    /// What was signed.
    pub terms: Terms,
    /// Who signed it: everybody who is active.
    pub signed: Vec<Spoken>,
    /// Where passkeys are used.
    pub relying_party: Option<RelyingParty>,
}

/// A call that is to wait.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The `action.decided` entry, `approval_required`.
    pub event: Event,
    /// The derived tokens of the chain, parents first.
    pub derived: Vec<Derivation>,
    /// What equal calls share; see [`Holds::held`].
    pub fold: String,
    /// What people are asked.
    pub question: Question,
    /// How many must approve.
    pub needed: u64,
    /// The tool.
    pub tool: ToolId,
    /// Its risk.
    pub risk: Risk,
    /// The digest of the workflow's version.
    pub workflow_digest: Digest,
    /// The root's token hash.
    pub root: Digest,
    /// The leaf's token hash.
    pub leaf: Digest,
    /// A question about the same call that counts no more.
    pub replaces: Option<ApprovalId>,
}

/// A call that waits now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The question's id.
    pub id: ApprovalId,
    /// The decision that asked.
    pub entry: EntryId,
    /// Until when it waits.
    pub expires: Timestamp,
}

/// Where a question about a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionState {
    /// Nobody settled it yet.
    Pending,
    /// As many approved as are needed; the call passes when it comes again.
    Approved,
    /// Somebody denied it.
    Denied,
    /// Its time is over.
    Expired,
    /// The call was made.
    Spent,
    /// People would be asked something else now.
    Void,
}

impl QuestionState {
    /// Its name for callers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Spent => "spent",
            Self::Void => "void",
        }
    }
}

/// A call that people were asked about, as its own caller may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedCall {
    /// Whose tool it is.
    pub server: ServerName,
    /// The leaf that asked.
    pub leaf: Digest,
    /// Where it stands.
    pub state: QuestionState,
    /// Until when it waits, or waited.
    pub expires: Timestamp,
}

/// Why a call does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    /// Its task asks too often.
    #[error("the task asks for approvals too often")]
    Flood,
    /// It could not be written.
    #[error("waiting calls cannot be written now")]
    Unavailable,
}

/// Keeps the calls that wait for a person.
pub trait Holds: Send + Sync {
    /// The call that waits, or was decided about and not yet used, under `fold`:
    /// the canonical text of leaf, tool server, tool and arguments, of which a
    /// keyed digest is kept. What has expired is not there.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn held(&self, fold: &str, now: Timestamp) -> Result<Option<HeldCall>, Unavailable>;

    /// The call that people were asked about under this id, whatever became of it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn asked_call(&self, id: &ApprovalId, now: Timestamp)
    -> Result<Option<AskedCall>, Unavailable>;

    /// The standing approvals for `tool` under the root `root` that last at `now`,
    /// were not revoked and are not used up; those that end first first.
    ///
    /// # Errors
    /// When they cannot be read: the call is denied.
    fn standings(
        &self,
        root: &Digest,
        tool: &str,
        now: Timestamp,
    ) -> Result<Vec<Standing>, Unavailable>;

    /// Writes the decision and lets the call wait, in one transaction. Of equal
    /// calls at the same moment the first is written, and all get its answer.
    fn hold<'a>(&'a self, hold: Hold) -> BoxFuture<'a, Result<Waiting, HoldRefusal>>;
}
