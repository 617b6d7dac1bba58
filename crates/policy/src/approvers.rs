//! Who may decide on a held call, how many must, and by what signature.
//!
//! A workflow says it in its member `approvals`; without one the people with
//! the role `approver` and the workflow's owner may. Whether somebody may is
//! asked when they decide and again when the decision is used.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bailiwick_core::approval::{ApprovalError, Grade, Question, Registered, Signed, Verdict};
use bailiwick_core::grant::Passkey;
use bailiwick_core::ids::{EntryId, PrincipalId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;

use crate::grades::Risk;
use crate::limits::MAX_LABEL_CHARS;

mod matter;
mod standing;

pub use matter::Matter;
pub use standing::StandingApproved;

/// Seconds that a held call waits, unless the workflow says otherwise.
pub const DEFAULT_WAIT_SECONDS: u64 = 900;
/// Seconds that a held call may wait at most: what it rests on lives no longer.
pub const MAX_WAIT_SECONDS: u64 = 86_400;
/// People that may be asked to agree on one call.
pub const MAX_NEEDED: u64 = 16;
/// The highest risk that a key file may approve in a batch, whatever the
/// workflow says.
const MAX_KEY_BATCH_RISK: Risk = Risk::Medium;

/// One way to be somebody who may decide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approver {
    /// Has the role `approver`.
    Role,
    /// Answers for the workflow.
    WorkflowOwner,
    /// Answers for the tool.
    ToolOwner,
    /// Is in this group by the login that was stated last.
    Group(String),
    /// Is this very person.
    Person(PrincipalId),
}

/// A text that names no approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `approvers`, `workflow-owner`, `tool-owner`, `group:NAME` or `user:NAME`")]
pub struct ApproverError;

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str("approvers"),
            Self::WorkflowOwner => f.write_str("workflow-owner"),
            Self::ToolOwner => f.write_str("tool-owner"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Person(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for Approver {
    type Err = ApproverError;
    fn from_str(text: &str) -> Result<Self, ApproverError> {
        match text {
            "approvers" => return Ok(Self::Role),
            "workflow-owner" => return Ok(Self::WorkflowOwner),
            "tool-owner" => return Ok(Self::ToolOwner),
            _ => {}
        }
        if let Some(group) = text.strip_prefix("group:") {
            let fits = !group.trim().is_empty() && group.chars().count() <= MAX_LABEL_CHARS;
            return if fits { Ok(Self::Group(group.to_owned())) } else { Err(ApproverError) };
        }
        // A service decides nothing in a person's place.
        let person = PrincipalId::parse(text).ok().filter(is_person);
        person.map(Self::Person).ok_or(ApproverError)
    }
}

fn is_person(id: &PrincipalId) -> bool {
    id.as_str().starts_with("user:")
}

/// A workflow's rules about human decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// Who may decide: whoever fits one of these.
    pub by: BTreeSet<Approver>,
    /// How many must approve; one denial ends it.
    pub needed: u64,
    /// Separation of duties: never the principal on whose authority the agent
    /// acts.
    pub separate: bool,
    /// Seconds that a call waits.
    pub wait_seconds: u64,
    /// The highest risk that a signature by an approver's key file may approve;
    /// above it a passkey must sign.
    pub key_max_risk: Risk,
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            by: [Approver::Role, Approver::WorkflowOwner].into(),
            needed: 1,
            separate: false,
            wait_seconds: DEFAULT_WAIT_SECONDS,
            key_max_risk: Risk::Medium,
        }
    }
}

/// A held call, as far as it matters who decides.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// On whose authority the agent acts.
    pub principal: &'a PrincipalId,
    /// Who answers for the workflow.
    pub workflow_owner: &'a PrincipalId,
    /// Who answers for the tool.
    pub tool_owner: &'a PrincipalId,
    /// The tool's risk.
    pub risk: Risk,
}

/// Somebody who wants to decide, as they are on record now.
#[derive(Clone, Copy, Debug)]
pub struct Decider<'a> {
    /// Who.
    pub id: &'a PrincipalId,
    /// Whether they have the role `approver`.
    pub has_role: bool,
    /// The groups that their logins stated last.
    pub groups: &'a BTreeSet<String>,
}

/// Why somebody may not decide, or not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// The workflow names nobody like them.
    #[error("the workflow does not name you among those who may decide on this call")]
    NotNamed,
    /// The agent acts for them.
    #[error("the agent acts on your own authority, and the workflow asks for somebody else")]
    OwnCall,
    /// The signature is too weak for the risk.
    #[error("a call of this risk is approved with a passkey, not with a key file")]
    GradeTooLow,
    /// The risk is too high for a standing approval.
    #[error("calls of critical risk are approved one by one")]
    StandingTooRisky,
}

impl Barred {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotNamed => "approver-not-named",
            Self::OwnCall => "approver-is-principal",
            Self::GradeTooLow => "approval-grade-too-low",
            Self::StandingTooRisky => "standing-too-risky",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotNamed => {
                "ask one of those whom the workflow names under `approvals`; a key signs once `bailiwick approvals key new` enrolled it"
            }
            Self::OwnCall => "ask another approver",
            Self::GradeTooLow => "open the approval in the console and sign with your passkey",
            Self::StandingTooRisky => "approve this call alone",
        }
    }
}

/// What one person said, with what is on record about them now.
#[derive(Clone, Copy, Debug)]
pub struct Voice<'a> {
    /// Who.
    pub who: Decider<'a>,
    /// What.
    pub verdict: Verdict,
    /// Their signature.
    pub signed: &'a Signed,
    /// What they enrolled that may sign verdicts now.
    pub registered: Registered<'a>,
}

/// What one person said about a waiting call, with what is on record about them
/// now.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// Who.
    pub approver: PrincipalId,
    /// Whether they have the role `approver`.
    pub has_role: bool,
    /// The groups that their logins stated last.
    pub groups: BTreeSet<String>,
    /// What.
    pub verdict: Verdict,
    /// Their signature.
    pub signed: Signed,
    /// Their passkeys that may sign verdicts now.
    pub passkeys: Vec<Passkey>,
    /// Their approver keys that may sign verdicts now.
    pub keys: Vec<VerifyingKey>,
    /// The entry that records it.
    pub entry: EntryId,
}

impl Spoken {
    /// As the rules about approvals take it.
    #[must_use]
    pub fn voice<'a>(&'a self, relying_party: Option<&'a RelyingParty>) -> Voice<'a> {
        Voice {
            who: Decider { id: &self.approver, has_role: self.has_role, groups: &self.groups },
            verdict: self.verdict,
            signed: &self.signed,
            registered: Registered { passkeys: &self.passkeys, keys: &self.keys, relying_party },
        }
    }
}

/// The witness that as many people as are needed approved a question, with
/// signatures that hold and rights that they have now.
///
/// ```compile_fail,E0451
/// use bailiwick_policy::approvers::Approved;
/// fn forge(real: Approved) -> Approved {
///     Approved { question: real.question().clone(), grade: real.grade() }
/// }
/// ```
#[derive(Debug)]
pub struct Approved {
    question: Question,
    grade: Grade,
}

impl Approved {
    /// What was approved.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The weakest signature among those that counted.
    #[must_use]
    pub const fn grade(&self) -> Grade {
        self.grade
    }
}

/// Why a held call may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// Its time is over.
    #[error("nobody approved the call in time")]
    Expired,
    /// Somebody who may said no.
    #[error("the call was denied by a person")]
    Denied,
    /// Fewer than are needed approved it.
    #[error("{missing} more must approve the call")]
    Waiting {
        /// How many are missing.
        missing: u64,
        /// Why a voice that was given does not count any more.
        lost: Option<Lost>,
    },
}

/// Why a voice does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Its right.
    #[error(transparent)]
    Barred(#[from] Barred),
    /// Its signature.
    #[error(transparent)]
    Signature(#[from] ApprovalError),
}

impl Lost {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Barred(barred) => barred.code(),
            Self::Signature(error) => error.code(),
        }
    }
}

impl Approvals {
    /// Whether `voice` counts for `question`, and how it was signed: when it is
    /// given, and again when the approval is used.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn counts(
        &self,
        question: &Question,
        held: &Held<'_>,
        voice: &Voice<'_>,
    ) -> Result<Grade, Lost> {
        self.may_decide(&voice.who, held)?;
        let grade = question.verify(voice.verdict, voice.signed, &voice.registered)?;
        if voice.verdict == Verdict::Approve {
            self.may_approve_by(grade, held)?;
            Self::may_approve_in(voice.signed, grade, held)?;
        }
        Ok(grade)
    }

    /// Whether a call of this risk may be one of many that a signature of `grade`
    /// approves at once.
    fn may_approve_in(signed: &Signed, grade: Grade, held: &Held<'_>) -> Result<(), Barred> {
        match signed {
            Signed::Batch(_) if grade < Grade::Passkey && held.risk > MAX_KEY_BATCH_RISK => {
                Err(Barred::GradeTooLow)
            }
            _ => Ok(()),
        }
    }

    /// Whether enough people approved `question` by `now`, and nobody who may
    /// decide denied it. The only maker of [`Approved`].
    ///
    /// # Errors
    /// [`Unsettled`].
    pub fn settle(
        &self,
        question: &Question,
        held: &Held<'_>,
        voices: &[Voice<'_>],
        now: Timestamp,
    ) -> Result<Approved, Unsettled> {
        if now >= question.expires {
            return Err(Unsettled::Expired);
        }
        let grade = self.agreed(voices, |voice| self.counts(question, held, voice))?;
        Ok(Approved { question: question.clone(), grade })
    }

    /// The weakest signature of enough people whose voices count.
    fn agreed(
        &self,
        voices: &[Voice<'_>],
        counts: impl Fn(&Voice<'_>) -> Result<Grade, Lost>,
    ) -> Result<Grade, Unsettled> {
        let mut approved = BTreeSet::new();
        let mut weakest = Grade::Passkey;
        let mut lost = None;
        for voice in voices {
            match (counts(voice), voice.verdict) {
                (Ok(_), Verdict::Deny) => return Err(Unsettled::Denied),
                (Ok(grade), Verdict::Approve) => {
                    approved.insert(voice.who.id);
                    weakest = weakest.min(grade);
                }
                (Err(why), _) => lost = lost.or(Some(why)),
            }
        }
        let given = u64::try_from(approved.len()).unwrap_or(u64::MAX);
        match self.needed.max(1).saturating_sub(given) {
            0 => Ok(weakest),
            missing => Err(Unsettled::Waiting { missing, lost }),
        }
    }

    /// Whether `who` may decide on `held`.
    ///
    /// # Errors
    /// [`Barred::NotNamed`], [`Barred::OwnCall`].
    pub fn may_decide(&self, who: &Decider<'_>, held: &Held<'_>) -> Result<(), Barred> {
        let fits = |approver: &Approver| match approver {
            Approver::Role => who.has_role,
            Approver::WorkflowOwner => who.id == held.workflow_owner,
            Approver::ToolOwner => who.id == held.tool_owner,
            Approver::Group(name) => who.groups.contains(name),
            Approver::Person(id) => who.id == id,
        };
        if !is_person(who.id) || !self.by.iter().any(fits) {
            return Err(Barred::NotNamed);
        }
        if self.separate && who.id == held.principal {
            return Err(Barred::OwnCall);
        }
        Ok(())
    }

    /// Whether a signature of `grade` may approve `held`. It may always deny.
    ///
    /// # Errors
    /// [`Barred::GradeTooLow`].
    pub fn may_approve_by(&self, grade: Grade, held: &Held<'_>) -> Result<(), Barred> {
        match grade {
            Grade::Key if held.risk > self.key_max_risk => Err(Barred::GradeTooLow),
            Grade::Key | Grade::Passkey => Ok(()),
        }
    }

    /// As in a workflow file, every default written out.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let by: Vec<Json> = self.by.iter().map(|a| Json::from(a.to_string())).collect();
        Object::new()
            .with("by", by)
            .with("needed", self.needed)
            .with("separate", self.separate)
            .with("wait_seconds", self.wait_seconds)
            .with("key_max_risk", self.key_max_risk)
            .into()
    }
}

#[cfg(test)]
mod tests;
