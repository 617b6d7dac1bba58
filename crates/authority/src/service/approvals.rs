//! Calls that wait for people: what they see, and what they say.

use std::sync::Arc;

use bailiwick_core::approval::{Question, Signed, Verdict};
use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::ids::{Alias, ApprovalId, EntryId, PrincipalId, TaskId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
use bailiwick_policy::Workflow;
use bailiwick_policy::approvers::{Decider, Held, Lost, Spoken};
use bailiwick_policy::grades::Risk;
use bailiwick_store::{Approval, ApprovalState, Filter, Said, Stored, StoredEntry, Tx, View};

use super::inbox::{listed, may_see};
use super::people::{SignedIn, person};
use super::signers::{Signer, Signers, has_role};
use super::{Authority, Inner, disclosed};
use crate::ceilings::groups_of;
use crate::host::Moment;
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::approvals::{self, Saying, question};
use crate::rules::credentials::KeptPasskey;

/// Earlier calls of a task that are shown.
const MAX_EARLIER: u32 = 10;

/// A waiting call in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedApproval {
    /// The call.
    pub approval: Stored<Approval>,
    /// On whose authority the agent acts; `None` once erased.
    pub principal: Option<PrincipalId>,
    /// Where it stands now: as its row says, or `expired`.
    pub state: &'static str,
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownVerdict {
    /// Who; `None` once erased.
    pub approver: Option<PrincipalId>,
    /// What.
    pub verdict: Verdict,
    /// How it was signed.
    pub grade: String,
    /// When.
    pub said: Timestamp,
    /// What they added in words.
    pub note: Option<String>,
    /// The arguments that they suggest instead.
    pub suggestion: Option<Json>,
    /// The entry.
    pub entry: EntryId,
}

/// A waiting call with all that people are shown before they decide.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownApproval {
    /// The call.
    pub listed: ListedApproval,
    /// What is signed.
    pub question: Question,
    /// The text whose SHA-256 is the action's digest; `None` once erased.
    pub action: Option<Json>,
    /// What the task is for, in the principal's words; `None` once erased.
    pub purpose: Option<String>,
    /// The same of the last call of this tool by this agent that was approved and
    /// made.
    pub approved_before: Option<Json>,
    /// The workflow's version.
    pub workflow: Arc<Workflow>,
    /// What people said.
    pub verdicts: Vec<ShownVerdict>,
}

/// How a verdict's author is known: never by what a body says.
#[derive(Clone, Debug)]
pub enum Sayer {
    /// Signed in.
    Person(Alias),
    /// By the approver key that signed.
    Key(Thumbprint),
}

/// Where passkeys of this installation are used.
#[must_use]
pub fn relying_party(issuer: &str) -> Option<RelyingParty> {
    let url = url::Url::parse(issuer).ok()?;
    Some(RelyingParty { id: url.host_str()?.to_owned(), origins: vec![issuer.to_owned()] })
}

/// What people said about a waiting call, with what is on record about them at
/// `now`. Who may not act any more said nothing.
///
/// # Errors
/// When the state cannot be read: the call is denied.
pub fn spoken(
    view: &View<'_>,
    approval: &ApprovalId,
    now: Timestamp,
) -> Result<Vec<Spoken>, Refusal> {
    let mut all = Vec::new();
    for verdict in view.verdicts(approval)? {
        let Some((_, approver)) = person(view, &verdict.approver)? else { continue };
        let Ok(signed) = Signed::from_text(&verdict.signed) else { continue };
        let signers = Signers::read(view, &verdict.approver, now)?;
        all.push(Spoken {
            approver,
            has_role: has_role(view, &verdict.approver)?,
            groups: groups_of(view, &verdict.approver)?,
            verdict: verdict_of(verdict.verdict),
            signed,
            passkeys: signers.passkeys,
            keys: signers.keys,
            entry: verdict.entry.clone(),
        });
    }
    Ok(all)
}

const fn verdict_of(said: Said) -> Verdict {
    match said {
        Said::Approve => Verdict::Approve,
        Said::Deny => Verdict::Deny,
    }
}

pub(super) fn found(view: &View<'_>, id: &ApprovalId) -> Result<Stored<Approval>, Refusal> {
    view.approval(id)?.ok_or_else(|| Refusal::unknown("approval", id))
}

pub(super) fn workflow_of(
    cx: &Inner,
    view: &View<'_>,
    held: &Approval,
) -> Result<Arc<Workflow>, Refusal> {
    let version = view.workflow_version(&held.workflow, &held.workflow_digest)?;
    let version = version.ok_or_else(|| Refusal::unknown("workflow version", &held.workflow))?;
    cx.parsed.of(&version)
}

pub(super) fn name_of(view: &View<'_>, alias: &Alias) -> Result<Option<PrincipalId>, Refusal> {
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

/// A tool's risk as its row has it.
///
/// SECURITY: what cannot be read is of the highest risk.
pub(super) fn risk_of(approval: &Approval) -> Risk {
    approval.risk.parse().unwrap_or(Risk::Critical)
}

impl Authority {
    /// A waiting call as somebody who may see it reads it: that they read its
    /// text is an entry. `None`: whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn approval_read(
        &self,
        who: Option<&SignedIn>,
        id: &ApprovalId,
    ) -> Result<ShownApproval, Refusal> {
        let (cx, shown) = (self.now(), self.approval(id)?);
        if let Some(who) = who {
            let seen = self.0.store.read(|view| may_see(&cx, view, who, &shown.listed.approval))?;
            if !seen {
                return Err(Refusal::unknown("approval", id));
            }
        }
        let (id, by) = (id.clone(), if who.is_some() { "approver" } else { "operator" });
        let asked = shown.listed.approval.entry.clone();
        self.commit(move |cx, _, moment| {
            approvals::read(moment, &cx.installation, &id, &asked, by)
        })?;
        Ok(shown)
    }

    /// What is signed about a waiting call.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn approval_question(&self, id: &ApprovalId) -> Result<Question, Refusal> {
        self.0.store.read(|view| Ok(question(&*found(view, id)?)))
    }

    /// A waiting call with all that people are shown.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    fn approval(&self, id: &ApprovalId) -> Result<ShownApproval, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        self.0.store.read(|view| {
            let approval = found(view, id)?;
            let principal = name_of(view, &approval.principal)?;
            let task = view.task(&approval.task)?;
            let purpose = match task {
                Some(task) => disclosed(view, &task.entry, "purpose")?,
                None => None,
            };
            let mut verdicts = Vec::new();
            for verdict in view.verdicts(id)? {
                let note = disclosed(view, &verdict.entry, "note")?;
                verdicts.push(ShownVerdict {
                    approver: name_of(view, &verdict.approver)?,
                    verdict: verdict_of(verdict.verdict),
                    grade: verdict.grade.clone(),
                    said: verdict.said,
                    suggestion: disclosed(view, &verdict.entry, "suggestion")?,
                    note: note.as_ref().and_then(Json::as_str).map(str::to_owned),
                    entry: verdict.entry.clone(),
                });
            }
            Ok(ShownApproval {
                question: question(&approval),
                action: disclosed(view, &approval.entry, "action")?,
                approved_before: match view.approved_before(&approval)? {
                    Some(before) => disclosed(view, &before.entry, "action")?,
                    None => None,
                },
                purpose: purpose.as_ref().and_then(Json::as_str).map(str::to_owned),
                workflow: workflow_of(&cx, view, &approval)?,
                verdicts,
                listed: listed(approval, principal, now),
            })
        })
    }

    /// Whether somebody may decide on a waiting call.
    ///
    /// # Errors
    /// [`Refusal::Barred`], [`Refusal::SaidBefore`], [`Refusal::Store`].
    pub fn may_decide(
        &self,
        who: &SignedIn,
        shown: &ShownApproval,
        tool: &ToolId,
    ) -> Result<(), Refusal> {
        let held = &shown.listed.approval;
        self.0.store.read(|view| {
            if view.has_said(&held.id, &who.principal.alias)? {
                return Err(Refusal::SaidBefore);
            }
            let acts_for = shown.listed.principal.as_ref().ok_or(Refusal::PrincipalInactive)?;
            let about = Held {
                principal: acts_for,
                workflow_owner: &shown.workflow.owner,
                tool_owner: shown.workflow.tool_owner(tool),
                risk: risk_of(held),
            };
            let groups = groups_of(view, &who.principal.alias)?;
            let has_role = require(&who.roles, Deed::Approve).is_ok();
            let decider = Decider { id: &who.id, has_role, groups: &groups };
            Ok(shown.workflow.approvals().may_decide(&decider, &about)?)
        })
    }

    /// The WebAuthn ids, base64url, of a person's passkeys that may sign verdicts
    /// now.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn signing_passkeys(&self, alias: &Alias) -> Result<Vec<String>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| {
            let signers = Signers::read(view, alias, now)?;
            let ids = signers.credentials.iter().filter_map(KeptPasskey::of);
            Ok(ids.map(|kept| kept.id).collect())
        })
    }

    /// Calls of a task that were allowed before `before`, newest first: what was
    /// read and done until then.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn calls_of_task(
        &self,
        task: &TaskId,
        before: Timestamp,
    ) -> Result<Vec<StoredEntry>, Refusal> {
        let filter = Filter {
            task: Some(task.to_string()),
            kind: Some(Kind::ActionDecided),
            decision: Some("allow".to_owned()),
            until: Some(before),
            limit: MAX_EARLIER,
            ..Filter::default()
        };
        self.read(|view| view.query(&filter))
    }

    /// Takes what somebody says about a waiting call; gives where it stands then.
    ///
    /// # Errors
    /// [`Refusal::ApprovalSettled`], [`Refusal::SaidBefore`],
    /// [`Refusal::Barred`], [`Refusal::Approval`], [`Refusal::Passkey`] for one
    /// that was copied, [`Refusal::PrincipalInactive`].
    pub fn approval_say(
        &self,
        sayer: Sayer,
        id: &ApprovalId,
        verdict: Verdict,
        signed: Signed,
        note: Option<String>,
    ) -> Result<ApprovalState, Refusal> {
        let states = self.approvals_say(sayer, std::slice::from_ref(id), verdict, signed, note)?;
        states.last().copied().ok_or_else(|| Refusal::unknown("approval", id))
    }

    /// The same about several calls by one signature, all or none: what is
    /// signed names exactly these, in this order.
    ///
    /// # Errors
    /// As [`Authority::approval_say`].
    pub fn approvals_say(
        &self,
        sayer: Sayer,
        ids: &[ApprovalId],
        verdict: Verdict,
        signed: Signed,
        note: Option<String>,
    ) -> Result<Vec<ApprovalState>, Refusal> {
        let ids = ids.to_vec();
        self.transact(move |cx, tx, moment| {
            let note = note.as_deref();
            let word = Word { sayer, verdict, signed: &signed, note, suggestion: None };
            say(cx, tx, moment, &ids, word)?;
            ids.iter().map(|id| Ok(found(tx, id)?.state)).collect()
        })
    }
}

/// What somebody says about waiting calls, not yet believed.
pub(super) struct Word<'a> {
    pub(super) sayer: Sayer,
    pub(super) verdict: Verdict,
    pub(super) signed: &'a Signed,
    pub(super) note: Option<&'a str>,
    pub(super) suggestion: Option<&'a Object>,
}

/// Takes it about all of these calls or none, in the caller's transaction; gives
/// who said it.
pub(super) fn say(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    ids: &[ApprovalId],
    word: Word<'_>,
) -> Result<Alias, Refusal> {
    let Word { sayer, verdict, signed, note, suggestion } = word;
    let now = moment.now();
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        let held = found(tx, id)?;
        approvals::open(&held, now)?;
        all.push(held);
    }
    let questions: Vec<Question> = all.iter().map(|held| question(held)).collect();
    let challenge = approvals::challenge(&questions, verdict, signed)?;
    let signer = Signer::read(cx, tx, sayer, now)?;
    let mut grades = Vec::with_capacity(all.len());
    for (held, asked) in all.iter().zip(&questions) {
        if tx.has_said(&held.id, signer.alias())? {
            return Err(Refusal::SaidBefore);
        }
        let workflow = workflow_of(cx, tx, held)?;
        // One whose name was erased is nobody who could be meant.
        let acts_for = name_of(tx, &held.principal)?.ok_or(Refusal::PrincipalInactive)?;
        let about = Held {
            principal: &acts_for,
            workflow_owner: &workflow.owner,
            tool_owner: workflow.tool_owner(&held.tool),
            risk: risk_of(held),
        };
        let voice = signer.voice(verdict, signed);
        grades.push(workflow.approvals().counts(asked, &about, &voice)?);
    }
    let credential = signer.credential(signed)?;
    signer.count(tx, signed, &challenge, credential, now)?;
    for (held, grade) in all.iter().zip(grades) {
        let saying = Saying {
            approver: signer.alias(),
            verdict,
            grade,
            credential: &credential.id,
            signed,
            note,
            suggestion,
        };
        let plan = approvals::say(moment, &cx.installation, held, &held.entry, &saying)?;
        cx.write(tx, plan)?;
    }
    Ok(signer.alias().clone())
}

impl From<Lost> for Refusal {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Barred(barred) => barred.into(),
            Lost::Signature(error) => error.into(),
        }
    }
}

impl ListedApproval {
    /// As lists have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let a = &self.approval;
        Object::new()
            .with("approval", &a.id)
            .with("state", self.state)
            .with("principal", self.principal.as_ref())
            .with("agent", &a.agent)
            .with("tool", &a.tool)
            .with("risk", a.risk.as_str())
            .with("rule", a.rule.as_str())
            .with("workflow", &a.workflow)
            .with("task", &a.task)
            .with("needed", a.needed)
            .with("asked", a.asked.to_string())
            .with("expires", a.expires.to_string())
    }
}

impl ShownVerdict {
    fn to_json(&self) -> Json {
        Object::new()
            .with("approver", self.approver.as_ref())
            .with("verdict", self.verdict.as_str())
            .with("grade", self.grade.as_str())
            .with("said", self.said.to_string())
            .with("note", self.note.as_deref())
            .with("suggestion", self.suggestion.clone())
            .with("entry", &self.entry)
            .into()
    }
}

impl ShownApproval {
    /// As it is shown to somebody who is to decide: everything that is signed can
    /// be recomputed from it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let a = &self.listed.approval;
        let rules = self.workflow.approvals();
        let verdicts: Vec<Json> = self.verdicts.iter().map(ShownVerdict::to_json).collect();
        self.listed
            .to_json()
            .with("purpose", self.purpose.as_deref())
            .with("decision", &a.entry)
            .with("instance", a.instance.as_ref())
            .with("leaf", a.leaf)
            .with("workflow_version", self.workflow.version.as_str())
            .with("rules", rules.to_json())
            .with("action", self.action.clone())
            .with("action_digest", self.question.action)
            .with("policy", self.question.policy)
            .with("expires_at", self.question.expires.seconds())
            .with("verdicts", verdicts)
    }
}
