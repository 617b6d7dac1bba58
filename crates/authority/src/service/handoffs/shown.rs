//! Handoffs as they are shown.

use bailiwick_core::crypto::{Digest, PublicKey};
use bailiwick_core::guarantee::Grade;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::peer::claim::Claim;
use bailiwick_core::peer::handoff::Offer;
use bailiwick_core::peer::record::Record;
use bailiwick_core::peer::returned::Return;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Handoff, StoreError, Stored, Subject, View};

use super::super::{Inner, disclosed, revoked};
use super::{HandoffRefusal, graded};
use crate::refusal::Refusal;
use crate::rules::handoffs::stands;

/// A claim and its grade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What is said.
    pub statement: String,
    /// Who says it first.
    pub speaker: String,
    /// How well it is founded.
    pub grade: Grade,
}

/// A handoff in a list.
#[derive(Clone, Debug)]
pub struct ListedHandoff {
    /// The handoff, with the entry of its offer.
    pub handoff: Stored<Handoff>,
    /// Where it stands, in a word.
    pub state: &'static str,
    /// On whose authority; `None` once the name was erased.
    pub principal: Option<PrincipalId>,
    /// Whether something that it rests on was revoked.
    pub revoked: bool,
}

/// A handoff with its texts.
#[derive(Clone, Debug)]
pub struct ShownHandoff {
    /// The handoff.
    pub handoff: Handoff,
    /// Where it stands, in a word.
    pub state: &'static str,
    /// What was offered; `None` once the text was erased.
    pub offer: Option<Offer>,
    /// The offer's claims with their grades.
    pub claims: Vec<Known>,
    /// What came back, with the grades of its claims.
    pub returned: Option<(Return, Vec<Known>)>,
    /// Whether something that it rests on was revoked.
    pub revoked: bool,
}

pub(super) fn is_revoked(view: &View<'_>, handoff: &Handoff) -> Result<bool, StoreError> {
    let subjects = [
        Subject::Delegation { token: handoff.root },
        Subject::Delegation { token: handoff.parent },
        Subject::Delegation { token: handoff.leaf },
        Subject::HolderKey { holder: handoff.holder, root: handoff.root },
        Subject::Instance { id: handoff.from_instance.clone() },
        Subject::Instance { id: handoff.to_instance.clone() },
        Subject::Agent { id: handoff.from_agent.clone() },
        Subject::Agent { id: handoff.to_agent.clone() },
        Subject::Principal { alias: handoff.principal.clone() },
        Subject::Task { id: handoff.task.clone() },
        Subject::Workflow { id: handoff.workflow.clone() },
        Subject::Grant { id: handoff.grant.clone() },
    ];
    Ok(revoked(view, &subjects)?.is_some())
}

impl ListedHandoff {
    pub(super) fn of(
        view: &View<'_>,
        handoff: Stored<Handoff>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let principal = view.principal_by_alias(&handoff.principal)?.and_then(|p| p.row.id);
        let state = stands(&handoff, now);
        Ok(Self { state, principal, revoked: is_revoked(view, &handoff)?, handoff })
    }

    /// As commands and the API show it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let h = &self.handoff;
        summary(h, self.state, self.revoked)
            .with("principal", self.principal.as_ref().map(PrincipalId::as_str))
    }
}

fn summary(h: &Handoff, state: &'static str, revoked: bool) -> Object {
    Object::new()
        .with("handoff", &h.id)
        .with("hash", h.hash)
        .with("status", state)
        .with("from", h.from_id.as_str())
        .with("from_agent", &h.from_agent)
        .with("to", h.to_id.as_str())
        .with("to_agent", &h.to_agent)
        .with("workflow", &h.workflow)
        .with("task", &h.task)
        .with("guarantee", h.guarantee.as_str())
        .with("weakest_claim", h.claims.map(Grade::as_str))
        .with("delegation", h.leaf)
        .with("offered_at", h.offered.to_string())
        .with("expires_at", h.expires.to_string())
        .with("answered_at", h.settled.map(|t| t.to_string()))
        .with("returned_at", h.returned.map(|t| t.to_string()))
        .with("revoked", revoked)
}

/// The tokens that came with an offer.
pub(super) fn tokens(view: &View<'_>, handoff: &Stored<Handoff>) -> Result<Vec<String>, Refusal> {
    let chain = disclosed(view, &handoff.entry, "chain")?;
    let texts = |list: &[Json]| list.iter().map(|t| t.as_str().map(str::to_owned)).collect();
    let tokens: Option<Vec<String>> = chain.as_ref().and_then(Json::as_array).and_then(texts);
    // What nobody can read any more nobody takes over.
    tokens.ok_or_else(|| Refusal::unknown("handoff", &handoff.id))
}

fn key_of(view: &View<'_>, id: &bailiwick_core::ids::InstanceId) -> Option<PublicKey> {
    super::sides::holder_key(&*view.instance(id).ok()??)
}

/// The holder key that a taker of another trust domain proved in its handshake.
pub(super) fn foreign_key(
    view: &View<'_>,
    handoff: &Handoff,
) -> Result<Option<PublicKey>, Refusal> {
    let Some(shaken) = view.handshake(&handoff.transcript)? else { return Ok(None) };
    let record = disclosed(view, &shaken.entry, "handshake")?;
    let record = record.as_ref().and_then(|json| Record::read(json).ok());
    Ok(record.and_then(|record| record.holder(&handoff.holder)))
}

/// The taker's holder key, whether or not it may act.
fn taker_key(view: &View<'_>, handoff: &Handoff) -> Result<Option<PublicKey>, Refusal> {
    match handoff.owner {
        Some(_) => foreign_key(view, handoff),
        None => Ok(key_of(view, &handoff.to_instance)),
    }
}

fn known(claims: &[Claim], grades: Vec<Grade>) -> Vec<Known> {
    let one = |(claim, grade): (&Claim, Grade)| Known {
        statement: claim.statement.clone(),
        speaker: claim.speaker.clone(),
        grade,
    };
    claims.iter().zip(grades).map(one).collect()
}

/// A handoff with its texts, graded as of now.
pub(super) fn of(
    cx: &Inner,
    view: &View<'_>,
    handoff: &Handoff,
    now: Timestamp,
) -> Result<ShownHandoff, Refusal> {
    let stored =
        view.handoff(&handoff.id)?.ok_or_else(|| Refusal::unknown("handoff", &handoff.id))?;
    let text = |entry, field| -> Result<Option<String>, Refusal> {
        Ok(disclosed(view, entry, field)?.as_ref().and_then(Json::as_str).map(str::to_owned))
    };
    let grade = |from: &str, claims: &[Claim]| -> Result<Vec<Known>, Refusal> {
        match graded(cx, view, &handoff.task, from, claims) {
            Ok(grades) => Ok(known(claims, grades)),
            // A speaker that is gone vouches for nothing any more.
            Err(HandoffRefusal::Signed(_)) => {
                Ok(known(claims, vec![Grade::Asserted; claims.len()]))
            }
            Err(other) => Err(other.into()),
        }
    };
    let offer = match (text(&stored.entry, "offer")?, key_of(view, &handoff.from_instance)) {
        (Some(signed), Some(key)) => Offer::signed(&signed, key).ok(),
        _ => None,
    };
    let claims = match &offer {
        Some(offer) => grade(&offer.from, &offer.claims)?,
        None => Vec::new(),
    };
    let returned = match (&handoff.return_entry, taker_key(view, handoff)?) {
        (Some(entry), Some(key)) => text(entry, "return")?
            .and_then(|signed| Return::verify(&signed, key, handoff.hash).ok()),
        _ => None,
    };
    let returned = match returned {
        Some(back) => {
            let claims = grade(&handoff.to_id, &back.claims)?;
            Some((back, claims))
        }
        None => None,
    };
    Ok(ShownHandoff {
        state: stands(handoff, now),
        revoked: is_revoked(view, handoff)?,
        handoff: handoff.clone(),
        offer,
        claims,
        returned,
    })
}

fn claims(all: &[Known]) -> Vec<Json> {
    let one = |claim: &Known| -> Json {
        Object::new()
            .with("statement", claim.statement.as_str())
            .with("speaker", claim.speaker.as_str())
            .with("grade", claim.grade.as_str())
            .into()
    };
    all.iter().map(one).collect()
}

impl ShownHandoff {
    /// As commands and the API show it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let mut object =
            summary(&self.handoff, self.state, self.revoked).with("claims", claims(&self.claims));
        if let Some(offer) = &self.offer {
            let context: Vec<Json> = offer
                .context
                .iter()
                .map(|item| {
                    let digest: Digest = item.digest;
                    Object::new()
                        .with("digest", digest)
                        .with("source", item.source.as_str())
                        .with("label", item.label.as_str())
                        .into()
                })
                .collect();
            let constraints: Vec<Json> =
                offer.constraints.iter().map(|c| Json::from(c.as_str())).collect();
            object.insert("purpose", offer.purpose.as_str());
            object.insert("context", context);
            object.insert("constraints", constraints);
        }
        if let Some((back, known)) = &self.returned {
            let at = self.handoff.returned.map(|t| t.to_string());
            let back = Object::new()
                .with("status", back.status.as_str())
                .with("claims", claims(known))
                .with("at", at);
            object.insert("returned", back);
        }
        object
    }
}
