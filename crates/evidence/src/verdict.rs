//! What verification found: what is proved, by what, and what is not.

use bailiwick_core::accountable::Hop;
use bailiwick_core::approval::Grade;
use bailiwick_core::approval::standing::Terms;
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::Reason;
use bailiwick_core::grant::SignedBy;
use bailiwick_core::guarantee::{Assurance, Guarantee};
use bailiwick_core::ids::{
    ActionId, ApprovalId, EntryId, GrantId, PrincipalId, TaskId, WorkflowId,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use crate::check::{Check, Failure};

/// The verdict on one bundle under one trust file.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The fingerprint of the trust file that was used.
    pub trust: String,
    /// The checks that passed, in order.
    pub passed: Vec<Check>,
    /// What is proved, or the first thing that does not hold.
    pub result: Result<Proven, Failure>,
}

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// The action.
    pub action: ActionId,
    /// The decision.
    pub decision: Decision,
    /// Who acted for whom; `None` when the gateway refused a caller that it
    /// did not know, so that nothing it claimed is a fact.
    pub authority: Option<Accountability>,
    /// What became of it; `None` when the bundle has no outcome entry.
    pub outcome: Option<Outcome>,
    /// The log.
    pub log: LogState,
}

/// What the gateway decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// `allow`, `deny` or `approval_required`.
    pub decision: String,
    /// The reason's code when it is not `allow`.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The ledger entry.
    pub entry: EntryId,
    /// Which gateway.
    pub maker: String,
    /// The organisation's policy that it was put to; `None` where it did not
    /// come to that, and in records of before there was one.
    pub policy: Option<Digest>,
    /// Whether it was reached again here.
    pub recomputed: Recomputed,
}

/// How far a decision could be made again offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recomputed {
    /// Chain, possession and scope give the same result again.
    Agrees,
    /// So do the policy rules and the bundle of then, on what the gateway
    /// retained of the catalogue.
    WithPolicy,
    /// It rests on what only the gateway could know (catalogue, budgets,
    /// replays): it is recorded, not recomputed.
    RecordedOnly,
}

impl Recomputed {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "recomputed",
            Self::WithPolicy => "recomputed with policy",
            Self::RecordedOnly => "recorded, not recomputed",
        }
    }
}

/// Who acted for whom, with what authority.
#[derive(Clone, Debug, PartialEq)]
pub struct Accountability {
    /// The principal.
    pub principal: PrincipalId,
    /// Who issued the principal's identity.
    pub principal_issuer: String,
    /// Its alias in the ledger.
    pub principal_alias: String,
    /// The grant.
    pub grant: GrantId,
    /// How the principal signed the grant, if it did.
    pub signed_by: SignedBy,
    /// Every hop, root first.
    pub hops: Vec<Hop>,
    /// The task.
    pub task: TaskId,
    /// The purpose.
    pub purpose: String,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The digest of its version.
    pub workflow_digest: Digest,
    /// The scope as it was asked for.
    pub scope: Vec<String>,
    /// Begin of the grant's window.
    pub not_before: Timestamp,
    /// End of the grant's window.
    pub not_after: Timestamp,
    /// End of the chain that was presented.
    pub expires: Timestamp,
    /// The tool.
    pub tool: String,
    /// The tool's pin; `None` when the gateway knew none.
    pub pin: Option<String>,
    /// SHA-256 of the canonical arguments.
    pub arguments_digest: Digest,
    /// The action digest.
    pub action_digest: Digest,
    /// What possession was proved for.
    pub assurance: Assurance,
    /// The weakest hop's.
    pub guarantee: Guarantee,
    /// Age of what the gateway knew of revocations, milliseconds.
    pub staleness_ms: i64,
    /// Who made the call if it was allowed.
    pub enforcement: Enforcement,
    /// The people who approved it, where that was needed.
    pub approval: Option<Approval>,
}

/// What people approved.
#[derive(Clone, Debug, PartialEq)]
pub enum ApprovalOf {
    /// Exactly this action, by the question's id.
    Action(ApprovalId),
    /// Calls like it: the terms of a standing approval.
    Standing(Box<Terms>),
}

/// People's approval of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// What was approved.
    pub of: ApprovalOf,
    /// How many had to approve, by the workflow; `None` when its text is not in
    /// the bundle, so that its rules are not asked again.
    pub needed: Option<u64>,
    /// Who approved.
    pub approvers: Vec<Approver>,
}

/// Why somebody might approve, as far as it is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The workflow names them, or they answer for it or for the tool.
    Named,
    /// The workflow names people with the role `approver`, and an entry gave it to
    /// them; that none took it since is the gateway's record.
    Role,
    /// The workflow names groups: that they were in one is the record of their
    /// logins, which is not in the bundle.
    Group,
    /// The workflow's text is not in the bundle.
    Unknown,
}

impl Right {
    /// Its name in verdicts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Role => "role",
            Self::Group => "group",
            Self::Unknown => "unknown",
        }
    }
}

/// One who approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// Who.
    pub id: PrincipalId,
    /// How it was signed.
    pub grade: Grade,
    /// Why they might.
    pub right: Right,
    /// When.
    pub at: Timestamp,
    /// The entry that records it.
    pub entry: EntryId,
}

impl Approval {
    fn to_json(&self) -> Json {
        let approvers: Vec<Json> = self
            .approvers
            .iter()
            .map(|a| {
                Object::new()
                    .with("approver", &a.id)
                    .with("grade", a.grade.as_str())
                    .with("right", a.right.as_str())
                    .with("at", a.at.to_string())
                    .with("entry", &a.entry)
                    .into()
            })
            .collect();
        let of = match &self.of {
            ApprovalOf::Action(id) => Object::new().with("id", id),
            ApprovalOf::Standing(terms) => {
                Object::new().with("standing", &terms.id).with("terms", terms.statement())
            }
        };
        of.with("needed", self.needed).with("approvers", approvers).into()
    }

    /// What of it is not proved.
    fn not_proved(&self) -> Vec<&'static str> {
        let mut list = vec!["what a screen showed the approvers"];
        let by = |right| self.approvers.iter().any(|a| a.right == right);
        if by(Right::Unknown) {
            list.push(
                "how many had to approve, and that these might: the workflow's text is not in the bundle",
            );
        }
        if by(Right::Role) {
            list.push(
                "that an approver had not lost the role by then: the entry that gave it is proved, not that none took it",
            );
        }
        if by(Right::Group) {
            list.push(
                "that an approver was in a group that the workflow names: the record of their logins",
            );
        }
        if matches!(self.of, ApprovalOf::Standing(_)) {
            list.push(
                "that the standing approval was not taken back by then, and used no more often than it says: the gateway's record",
            );
        }
        list
    }
}

/// Who makes an allowed call (DESIGN §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// The gateway that decided.
    Gateway,
    /// Another enforcement point, which asked it.
    External,
}

impl Enforcement {
    /// Its name in entries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::External => "external",
        }
    }

    /// Reads its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Gateway, Self::External].into_iter().find(|e| e.as_str() == name)
    }
}

/// What became of the call, as the gateway saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `ok`, `error`, `timeout`, `not_executed` or `unknown`.
    pub outcome: String,
    /// When.
    pub at: Timestamp,
    /// The ledger entry.
    pub entry: EntryId,
}

/// The checkpoint everything rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The log.
    pub origin: String,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
    /// Witnesses that cosigned it.
    pub witnesses: Vec<String>,
    /// Whether a kept checkpoint has the same size and root.
    pub kept: bool,
}

impl LogState {
    /// `unwitnessed` or `witnessed`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.witnesses.is_empty() { "unwitnessed" } else { "witnessed" }
    }
}

impl Proven {
    /// What must be assumed besides the trust file's keys.
    #[must_use]
    pub fn assumptions(&self) -> Vec<&'static str> {
        if self.log.kept || !self.log.witnesses.is_empty() {
            return Vec::new();
        }
        vec!["an honest log operator, or a checkpoint held elsewhere"]
    }

    fn enforcement(&self) -> Enforcement {
        self.authority.as_ref().map_or(Enforcement::Gateway, |a| a.enforcement)
    }

    /// What this evidence does not prove.
    #[must_use]
    pub fn not_proved(&self) -> Vec<&'static str> {
        let mut list = Vec::new();
        match &self.authority {
            None => list.push("who called: the caller was refused before it was known"),
            Some(a) => {
                if self.decision.reason.as_deref() == Some(Reason::ProofReplayed.code()) {
                    list.push(
                        "who sent this call: its proof was used before, so whoever saw it could",
                    );
                }
                if a.signed_by.is_the_principals() {
                    list.push("what a screen showed the principal when it signed");
                } else {
                    list.push("that the principal consented: an administrator attested the grant");
                }
                list.extend(a.approval.iter().flat_map(Approval::not_proved));
                list.push(
                    "whose the registered keys are: the authority registered principals and owners",
                );
                list.push(
                    "that nothing was revoked, suspended or pinned anew by then: that is the gateway's record",
                );
            }
        }
        match (self.decision.recomputed, self.decision.decision.as_str()) {
            (Recomputed::RecordedOnly, _) => {
                list.push("the reason for the decision: it is recorded, not recomputed");
            }
            (Recomputed::Agrees, "allow") => {
                list.push("catalogue, policy and budgets at that time: recorded, not recomputed");
            }
            (Recomputed::WithPolicy, "allow") => {
                list.push("catalogue and budgets at that time: recorded, not recomputed");
            }
            (Recomputed::WithPolicy, _) => {
                list.push("the catalogue at that time: recorded, not recomputed");
            }
            (Recomputed::Agrees, _) => {}
        }
        match (&self.outcome, self.decision.decision.as_str()) {
            (Some(_), _) => list.push(match self.enforcement() {
                Enforcement::Gateway => {
                    "what the tool really did: the outcome is what the gateway saw"
                }
                Enforcement::External => {
                    "that the call was made, and as decided: another enforcement point made it, \
                     and the outcome is what it reported"
                }
            }),
            (None, "allow") => list.push("what became of the call: this bundle has no outcome"),
            (None, _) => {}
        }
        list
    }
}

impl Verdict {
    /// Whether everything held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.result.is_ok()
    }

    /// The JSON form: `{v, holds, trust, checks, proven | failure}`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let checks: Vec<Json> = Check::ALL
            .iter()
            .map(|check| {
                let result = if self.passed.contains(check) {
                    "holds"
                } else if self.result.as_ref().is_err_and(|f| f.check == *check) {
                    "fails"
                } else {
                    "not made"
                };
                Object::new()
                    .with("check", check.id())
                    .with("sentence", check.sentence())
                    .with("result", result)
                    .into()
            })
            .collect();
        let json = Object::new()
            .with("v", 1u64)
            .with("holds", self.holds())
            .with("trust", self.trust.as_str())
            .with("checks", checks);
        match &self.result {
            Ok(proven) => json.with("proven", proven.to_json()),
            Err(failure) => json.with("failure", failure.to_json()),
        }
        .into()
    }
}

fn list(texts: &[&'static str]) -> Vec<Json> {
    texts.iter().map(|t| Json::from(*t)).collect()
}

impl Proven {
    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let decision = Object::new()
            .with("decision", self.decision.decision.as_str())
            .with("reason", self.decision.reason.as_deref())
            .with("at", self.decision.at.to_string())
            .with("entry", &self.decision.entry)
            .with("maker", self.decision.maker.as_str())
            .with("policy", self.decision.policy)
            .with("recomputed", self.decision.recomputed != Recomputed::RecordedOnly)
            .with("policy_recomputed", self.decision.recomputed == Recomputed::WithPolicy);
        let outcome = self.outcome.as_ref().map(|o| {
            Object::new()
                .with("outcome", o.outcome.as_str())
                .with("at", o.at.to_string())
                .with("entry", &o.entry)
        });
        let witnesses: Vec<Json> =
            self.log.witnesses.iter().map(|w| Json::from(w.as_str())).collect();
        let log = Object::new()
            .with("origin", self.log.origin.as_str())
            .with("size", self.log.size)
            .with("root", self.log.root.as_str())
            .with("state", self.log.state())
            .with("witnesses", witnesses)
            .with("kept", self.log.kept);
        Object::new()
            .with("action", &self.action)
            .with("decision", decision)
            .with("authority", self.authority.as_ref().map(Accountability::to_json))
            .with("outcome", outcome)
            .with("log", log)
            .with("assumes", list(&self.assumptions()))
            .with("not_proved", list(&self.not_proved()))
            .into()
    }
}

impl Accountability {
    fn to_json(&self) -> Json {
        let hops: Vec<Json> = self
            .hops
            .iter()
            .map(|h| {
                let hop = Object::new()
                    .with("agent", &h.agent)
                    .with("instance", &h.instance)
                    .with("owner", h.owner.as_ref().map(PrincipalId::as_str))
                    .with("guarantee", h.guarantee.as_str());
                let hop = match h.isolation.stated() {
                    None => hop,
                    Some(isolation) => hop.with("isolation", isolation),
                };
                match &h.handoff {
                    None => hop.into(),
                    Some(handoff) => hop.with("handoff", handoff).into(),
                }
            })
            .collect();
        let scope: Vec<Json> = self.scope.iter().map(|s| Json::from(s.as_str())).collect();
        let object = Object::new()
            .with("principal", &self.principal)
            .with("principal_issuer", self.principal_issuer.as_str())
            .with("principal_alias", self.principal_alias.as_str())
            .with("grant", &self.grant)
            .with("grant_signed", self.signed_by.is_the_principals())
            .with("signed", self.signed_by.as_str())
            .with("hops", hops)
            .with("task", &self.task)
            .with("purpose", self.purpose.as_str())
            .with("workflow", &self.workflow)
            .with("workflow_digest", self.workflow_digest)
            .with("scope", scope)
            .with("not_before", self.not_before.to_string())
            .with("not_after", self.not_after.to_string())
            .with("expires", self.expires.to_string())
            .with("tool", self.tool.as_str())
            .with("pin", self.pin.as_deref())
            .with("arguments_digest", self.arguments_digest)
            .with("action_digest", self.action_digest)
            .with("assurance", self.assurance.as_str())
            .with("guarantee", self.guarantee.as_str())
            .with("staleness_ms", self.staleness_ms)
            .with("enforcement", self.enforcement.as_str());
        match &self.approval {
            Some(approval) => object.with("approval", approval.to_json()).into(),
            None => object.into(),
        }
    }
}
