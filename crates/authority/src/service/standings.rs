//! Standing approvals: what people see of them, sign and take back.

use bailiwick_core::approval::standing::Terms;
use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::ids::{ApprovalId, PrincipalId, StandingId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::approvers::{Held, Spoken};
use bailiwick_store::{Standing, Stored, View};

use super::approvals::{Sayer, found, name_of, risk_of, workflow_of};
use super::inbox::may_see;
use super::people::{SignedIn, person};
use super::signers::{Signer, Signers, has_role};
use super::{Authority, disclosed};
use crate::ceilings::groups_of;
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::standings::{self, By, Signing};

/// Somebody who signed a standing approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSignature {
    /// Who; `None` once erased.
    pub approver: Option<PrincipalId>,
    /// How it was signed.
    pub grade: String,
    /// When.
    pub said: Timestamp,
}

/// A standing approval as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownStanding {
    /// Its row.
    pub standing: Stored<Standing>,
    /// On whose authority the agent acts; `None` once erased.
    pub principal: Option<PrincipalId>,
    /// Where it stands now: `waiting` for more signatures, `active`, `used_up`,
    /// `expired` or `revoked`.
    pub state: &'static str,
    /// What was signed; `None` once erased.
    pub terms: Option<Terms>,
    /// By whom.
    pub signatures: Vec<ShownSignature>,
}

impl ShownStanding {
    fn read(view: &View<'_>, standing: Stored<Standing>, now: Timestamp) -> Result<Self, Refusal> {
        let mut signatures = Vec::new();
        for signature in view.standing_signatures(&standing.id)? {
            signatures.push(ShownSignature {
                approver: name_of(view, &signature.approver)?,
                grade: signature.grade.clone(),
                said: signature.said,
            });
        }
        Ok(Self {
            principal: name_of(view, &standing.principal)?,
            state: standings::state(&standing, signatures.len(), now),
            terms: terms(view, &standing)?,
            signatures,
            standing,
        })
    }

    /// As lists have it, with the terms and who signed them.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let signatures = self.signatures.iter().map(|s| -> Json {
            Object::new()
                .with("approver", s.approver.as_ref())
                .with("grade", s.grade.as_str())
                .with("said", s.said.to_string())
                .into()
        });
        standings::listed(&self.standing)
            .with("state", self.state)
            .with("principal", self.principal.as_ref())
            .with("terms", self.terms.as_ref().map(Terms::statement))
            .with("digest", self.standing.digest)
            .with("signatures", signatures.collect::<Vec<_>>())
    }
}

/// What was signed, from the text beside the entry; `None` once that was erased.
fn terms(view: &View<'_>, standing: &Stored<Standing>) -> Result<Option<Terms>, Refusal> {
    let text = disclosed(view, &standing.entry, "terms")?;
    let terms = text.and_then(|text| Terms::from_json(&text).ok());
    Ok(terms.filter(|terms| terms.digest() == standing.digest))
}

/// The terms of a standing approval, with who signed them and what is on record
/// about these people at `now`. Who may not act any more signed nothing; `None`
/// once the terms were erased: then they cover nothing.
///
/// # Errors
/// When the state cannot be read: the call is denied.
pub fn standing_voices(
    view: &View<'_>,
    standing: &Stored<Standing>,
    now: Timestamp,
) -> Result<Option<(Terms, Vec<Spoken>)>, Refusal> {
    let Some(terms) = terms(view, standing)? else { return Ok(None) };
    let mut all = Vec::new();
    for signature in view.standing_signatures(&standing.id)? {
        let Some((_, approver)) = person(view, &signature.approver)? else { continue };
        let text = disclosed(view, &signature.entry, "signed")?;
        let signed = text.as_ref().and_then(Json::as_str).map(Signed::from_text);
        let Some(Ok(signed)) = signed else { continue };
        let signers = Signers::read(view, &signature.approver, now)?;
        all.push(Spoken {
            approver,
            has_role: has_role(view, &signature.approver)?,
            groups: groups_of(view, &signature.approver)?,
            verdict: Verdict::Approve,
            signed,
            passkeys: signers.passkeys,
            keys: signers.keys,
            entry: signature.entry.clone(),
        });
    }
    Ok(Some((terms, all)))
}

fn standing(view: &View<'_>, id: &StandingId) -> Result<Stored<Standing>, Refusal> {
    view.standing(id)?.ok_or_else(|| Refusal::unknown("standing approval", id))
}

impl Authority {
    /// Standing approvals that let calls pass, those that end first first; with
    /// `all` those of every state, newest first. For somebody who is signed in,
    /// those that they may see.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn standings(
        &self,
        who: Option<&SignedIn>,
        all: bool,
        limit: u32,
    ) -> Result<Vec<ShownStanding>, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| {
            let found = match all {
                true => view.all_standings(limit)?,
                false => view.lasting_standings(now, limit)?,
            };
            let mut seen = Vec::new();
            for standing in found {
                let may = match who {
                    None => true,
                    Some(who) => self::may_see_standing(&cx, view, who, &standing)?,
                };
                if may {
                    seen.push(ShownStanding::read(view, standing, now)?);
                }
            }
            Ok(seen)
        })
    }

    /// One standing approval; `who` as for [`Authority::standings`].
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn standing(
        &self,
        who: Option<&SignedIn>,
        id: &StandingId,
    ) -> Result<ShownStanding, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| {
            let standing = standing(view, id)?;
            match who {
                Some(who) if !may_see_standing(&cx, view, who, &standing)? => {
                    Err(Refusal::unknown("standing approval", id))
                }
                _ => ShownStanding::read(view, standing, now),
            }
        })
    }

    /// When the root ends under which a waiting call is made: no standing
    /// approval about it lasts longer.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn standing_ends(&self, id: &ApprovalId) -> Result<Timestamp, Refusal> {
        self.0.store.read(|view| {
            let held = found(view, id)?;
            let chain = view.delegation(&held.root)?;
            let chain = chain.ok_or_else(|| Refusal::unknown("delegation", held.root))?;
            Ok(chain.delegation.expires)
        })
    }

    /// Takes somebody's signature on terms because of a waiting call; gives where
    /// the standing approval stands then. The first signature makes it, while the
    /// call waits; others sign the same terms.
    ///
    /// # Errors
    /// [`Refusal::ApprovalSettled`], [`Refusal::StandingElsewhere`],
    /// [`Refusal::StandingTooLong`], [`Refusal::StandingOver`],
    /// [`Refusal::StandingTooMany`], [`Refusal::SaidBefore`], [`Refusal::Barred`], [`Refusal::Approval`],
    /// [`Refusal::Passkey`], [`Refusal::PrincipalInactive`].
    pub fn standing_approve(
        &self,
        sayer: Sayer,
        asked: &ApprovalId,
        terms: Terms,
        signed: Signed,
        note: Option<String>,
    ) -> Result<&'static str, Refusal> {
        let asked = asked.clone();
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let held = found(tx, &asked)?;
            match tx.standing(&terms.id)? {
                None => {
                    crate::rules::approvals::open(&held, now)?;
                    let root = terms.root;
                    let lasting = tx.standings_for(&root, terms.tool().as_str(), now)?;
                    standings::room(lasting.len())?;
                }
                Some(kept) if kept.approval != asked || kept.digest != terms.digest() => {
                    return Err(Refusal::StandingElsewhere);
                }
                Some(kept) => {
                    let signatures = tx.standing_signatures(&terms.id)?.len();
                    match standings::state(&kept, signatures, now) {
                        "waiting" | "active" => {}
                        how => return Err(Refusal::StandingOver { how }),
                    }
                }
            }
            let action = disclosed(tx, &held.entry, "action")?;
            let action = action.ok_or(Refusal::StandingElsewhere)?;
            let chain = tx.delegation(&held.root)?;
            let chain = chain.ok_or_else(|| Refusal::unknown("delegation", held.root))?;
            standings::about(&held, &action, &terms, chain.delegation.expires, now)?;
            let signer = Signer::read(cx, tx, sayer, now)?;
            if tx.has_signed(&terms.id, signer.alias())? {
                return Err(Refusal::SaidBefore);
            }
            let workflow = workflow_of(cx, tx, &held)?;
            let acts_for = name_of(tx, &held.principal)?.ok_or(Refusal::PrincipalInactive)?;
            let about = Held {
                principal: &acts_for,
                workflow_owner: &workflow.owner,
                tool_owner: workflow.tool_owner(&held.tool),
                risk: risk_of(&held),
            };
            let voice = signer.voice(Verdict::Approve, &signed);
            let grade = workflow.approvals().counts_standing(&terms, &about, &voice)?;
            let credential = signer.credential(&signed)?;
            signer.count(tx, &signed, &terms.digest(), credential, now)?;
            let signing = Signing {
                approver: signer.alias(),
                grade,
                credential: &credential.id,
                signed: &signed,
                note: note.as_deref(),
            };
            let plan = standings::approve(moment, &cx.installation, &held, &terms, &signing)?;
            cx.write(tx, plan)?;
            let made = standing(tx, &terms.id)?;
            let signatures = tx.standing_signatures(&terms.id)?.len();
            Ok(standings::state(&made, signatures, now))
        })
    }

    /// Takes a standing approval back, at once: one of its approvers, the
    /// principal for whom the agent acts, whoever may take back anything; `None`:
    /// whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotYours`], [`Refusal::StandingOver`],
    /// [`Refusal::NoteTooLong`].
    pub fn standing_revoke(
        &self,
        who: Option<&SignedIn>,
        id: &StandingId,
        reason: &str,
    ) -> Result<(), Refusal> {
        let (id, reason) = (id.clone(), reason.to_owned());
        let any = who.is_none_or(|who| require(&who.roles, Deed::RevokeAny).is_ok());
        let who = who.map(|who| who.principal.alias.clone());
        self.commit(move |cx, tx, moment| {
            let standing = standing(tx, &id)?;
            let by = match &who {
                None => By::Operator,
                Some(alias) => {
                    let own = standing.principal == *alias || tx.has_signed(&id, alias)?;
                    if !own && !any {
                        return Err(Refusal::NotYours);
                    }
                    By::Session(alias)
                }
            };
            standings::revoke(moment, &cx.installation, &standing, by, &reason)
        })
    }
}

/// Whoever may see the question because of which it was made, and its approvers.
fn may_see_standing(
    cx: &super::Inner,
    view: &View<'_>,
    who: &SignedIn,
    standing: &Standing,
) -> Result<bool, Refusal> {
    if view.has_signed(&standing.id, &who.principal.alias)? {
        return Ok(true);
    }
    may_see(cx, view, who, &*found(view, &standing.approval)?)
}
