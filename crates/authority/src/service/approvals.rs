//! Calls that wait for people: what they see, and what they say.

use std::sync::Arc;

use bailiwick_core::approval::{Question, Registered, Signed, Verdict};
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::grant::Passkey;
use bailiwick_core::ids::{Alias, ApprovalId, EntryId, PrincipalId, TaskId, ToolId};
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
use bailiwick_policy::Workflow;
use bailiwick_policy::approvers::{Barred, Decider, Held, Lost, Spoken, Voice};
use bailiwick_policy::grades::Risk;
use bailiwick_store::{
    Approval, ApprovalState, Credential, CredentialKind, Filter, Said, Stored, StoredEntry, Tx,
    View,
};

use super::passkeys::Used;
use super::people::{SignedIn, person, rows};
use super::{Authority, Inner, disclosed};
use crate::ceilings::groups_of;
use crate::people::passkeys::PasskeyError;
use crate::people::roles::{Deed, Role, require};
use crate::refusal::Refusal;
use crate::rules::approvals::{self, Saying, question};
use crate::rules::approvers::{key_of, may_sign};
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What a person enrolled that may sign verdicts at `now`.
pub(super) struct Signers {
    pub(super) credentials: Vec<Credential>,
    pub(super) passkeys: Vec<Passkey>,
    pub(super) keys: Vec<VerifyingKey>,
}

impl Signers {
    pub(super) fn read(view: &View<'_>, alias: &Alias, now: Timestamp) -> Result<Self, Refusal> {
        let mut credentials = rows(view.credentials_of(alias)?);
        credentials.retain(|credential| may_sign(credential, now));
        let passkeys = credentials.iter().filter_map(passkey_of).collect();
        let keys = credentials.iter().filter_map(key_of).collect();
        Ok(Self { credentials, passkeys, keys })
    }

    /// The credential that made this signature, as far as it says.
    pub(super) fn signer(&self, signed: &Signed, key: Option<&Thumbprint>) -> Option<&Credential> {
        match signed {
            Signed::Passkey(assertion) => self.credentials.iter().find(|c| {
                passkey_of(c).is_some_and(|p| p.credential_id == assertion.credential_id)
            }),
            Signed::Key(_) => self.credentials.iter().find(|c| {
                key_of(c).is_some_and(|own| key.is_none_or(|key| own.thumbprint() == *key))
            }),
        }
    }
}

fn passkey_of(credential: &Credential) -> Option<Passkey> {
    let kept = KeptPasskey::of(credential)?;
    Some(Passkey {
        credential_id: bailiwick_core::crypto::from_base64url(&kept.id)?,
        key: ThirdPartyKey::from_jwk(&kept.jwk).ok()?,
    })
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

fn has_role(view: &View<'_>, alias: &Alias) -> Result<bool, Refusal> {
    Ok(view.roles_of(alias)?.iter().any(|role| role == Role::Approver.as_str()))
}

fn found(view: &View<'_>, id: &ApprovalId) -> Result<Stored<Approval>, Refusal> {
    view.approval(id)?.ok_or_else(|| Refusal::unknown("approval", id))
}

fn workflow_of(cx: &Inner, view: &View<'_>, held: &Approval) -> Result<Arc<Workflow>, Refusal> {
    let version = view.workflow_version(&held.workflow, &held.workflow_digest)?;
    let version = version.ok_or_else(|| Refusal::unknown("workflow version", &held.workflow))?;
    cx.parsed.of(&version)
}

fn name_of(view: &View<'_>, alias: &Alias) -> Result<Option<PrincipalId>, Refusal> {
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

fn listed(
    view: &View<'_>,
    approval: Stored<Approval>,
    now: Timestamp,
) -> Result<ListedApproval, Refusal> {
    let state = match approval.state {
        ApprovalState::Pending | ApprovalState::Approved if approval.expires <= now => "expired",
        state => state.as_str(),
    };
    Ok(ListedApproval { principal: name_of(view, &approval.principal)?, state, approval })
}

/// Whether somebody may see a waiting call.
fn may_see(cx: &Inner, view: &View<'_>, who: &SignedIn, held: &Approval) -> Result<bool, Refusal> {
    let by_role = |deed| require(&who.roles, deed).is_ok();
    let alias = &who.principal.alias;
    if held.principal == *alias || by_role(Deed::SeeActivity) || by_role(Deed::Approve) {
        return Ok(true);
    }
    let Some(acts_for) = name_of(view, &held.principal)? else { return Ok(false) };
    let workflow = workflow_of(cx, view, held)?;
    let about = Held {
        principal: &acts_for,
        workflow_owner: &workflow.owner,
        tool_owner: workflow.tool_owner(&held.tool),
        risk: risk_of(held),
    };
    let groups = groups_of(view, alias)?;
    let decider = Decider { id: &who.id, has_role: by_role(Deed::Approve), groups: &groups };
    Ok(workflow.approvals().may_decide(&decider, &about).is_ok())
}

/// A tool's risk as its row has it.
///
/// SECURITY: what cannot be read is of the highest risk.
fn risk_of(approval: &Approval) -> Risk {
    approval.risk.parse().unwrap_or(Risk::Critical)
}

impl Authority {
    /// Waiting calls, those that end first first; with `all` those of every
    /// state, newest first.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn approvals(&self, all: bool, limit: u32) -> Result<Vec<ListedApproval>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| {
            let found = match all {
                true => view.approvals(limit)?,
                false => view.pending_approvals(now, limit)?,
            };
            found.into_iter().map(|approval| listed(view, approval, now)).collect()
        })
    }

    /// The waiting calls that somebody who is signed in may see: those of their
    /// own agents, those that they may decide on, and all with a role for it.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn approvals_for(
        &self,
        who: &SignedIn,
        all: bool,
        limit: u32,
    ) -> Result<Vec<ListedApproval>, Refusal> {
        let (cx, found) = (self.now(), self.approvals(all, limit)?);
        self.0.store.read(|view| {
            let mut seen = Vec::new();
            for listed in found {
                if may_see(&cx, view, who, &listed.approval)? {
                    seen.push(listed);
                }
            }
            Ok(seen)
        })
    }

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

    /// A waiting call with all that people are shown.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    fn approval(&self, id: &ApprovalId) -> Result<ShownApproval, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        self.0.store.read(|view| {
            let approval = found(view, id)?;
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
                listed: listed(view, approval, now)?,
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
        let id = id.clone();
        self.transact(move |cx, tx, moment| {
            let held = found(tx, &id)?;
            approvals::open(&held, moment.now())?;
            let (alias, key) = match sayer {
                Sayer::Person(alias) => (alias, None),
                Sayer::Key(key) => (owner_of(tx, &key)?, Some(key)),
            };
            let (principal, who) = person(tx, &alias)?.ok_or(Refusal::PrincipalInactive)?;
            if tx.has_said(&id, &alias)? {
                return Err(Refusal::SaidBefore);
            }
            let signers = Signers::read(tx, &alias, moment.now())?;
            let workflow = workflow_of(cx, tx, &held)?;
            // One whose name was erased is nobody who could be meant.
            let acts_for = name_of(tx, &held.principal)?.ok_or(Refusal::PrincipalInactive)?;
            let about = Held {
                principal: &acts_for,
                workflow_owner: &workflow.owner,
                tool_owner: workflow.tool_owner(&held.tool),
                risk: risk_of(&held),
            };
            let party = relying_party(&cx.installation.issuer);
            let groups = groups_of(tx, &alias)?;
            let voice = Voice {
                who: Decider { id: &who, has_role: has_role(tx, &alias)?, groups: &groups },
                verdict,
                signed: &signed,
                registered: Registered {
                    passkeys: &signers.passkeys,
                    keys: &signers.keys,
                    relying_party: party.as_ref(),
                },
            };
            let asked = question(&held);
            let grade = workflow.approvals().counts(&asked, &about, &voice)?;
            let signer = signers.signer(&signed, key.as_ref());
            let signer = signer.ok_or(bailiwick_core::approval::ApprovalError::NotRegistered)?;
            let digest = asked.digest(verdict);
            count(tx, &signed, &digest, signer, party.as_ref(), moment.now())?;
            let saying = Saying {
                approver: &principal.alias,
                verdict,
                grade,
                credential: &signer.id,
                signed: &signed,
                note: note.as_deref(),
            };
            let plan = approvals::say(moment, &cx.installation, &held, &held.entry, &saying)?;
            cx.write(tx, plan)?;
            Ok(found(tx, &id)?.state)
        })
    }
}

/// Whose approver key it is.
pub(super) fn owner_of(view: &View<'_>, key: &Thumbprint) -> Result<Alias, Refusal> {
    let lookup = Digest::from_array(*key.bytes());
    let found = view.credential_by_lookup(CredentialKind::Approver, &lookup)?;
    // Whoever shows an unknown key hears what one hears whose workflow names nobody like them.
    found.map(|credential| credential.principal.clone()).ok_or(Refusal::Barred(Barred::NotNamed))
}

/// A passkey's counter: one that was copied signs nothing.
pub(super) fn count(
    tx: &mut Tx<'_>,
    signed: &Signed,
    digest: &Digest,
    signer: &Credential,
    party: Option<&RelyingParty>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let (Signed::Passkey(assertion), Some(party)) = (signed, party) else { return Ok(()) };
    let Some(passkey) = passkey_of(signer) else { return Ok(()) };
    let asserted = assertion
        .verify(digest.bytes(), &passkey.key, party)
        .map_err(bailiwick_core::approval::ApprovalError::Assertion)?;
    let used = Used::read(tx, signer, now)?;
    if !asserted.follows(used.counter) {
        return Err(PasskeyError::Counter.into());
    }
    Used::keep(tx, signer, asserted.counter, now)
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
            .with("instance", &a.instance)
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
