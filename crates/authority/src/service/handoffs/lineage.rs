//! Who handed what to whom, for people to see.

use std::collections::BTreeMap;

use bailiwick_core::aat::make::Seen;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, HandoffId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::handoff::{Answer, Answered};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Handoff, HandoffCursor, HandoffState, MAX_HANDOFFS, Stored, StoredEntry, View,
};

use super::shown::{self, ListedHandoff, ShownHandoff};
use super::{SignedIn, answer_entry, disclosed, holder_key, may_see};
use crate::refusal::Refusal;
use crate::service::Authority;

/// What one agent handed to another, of the newest handoffs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who handed over.
    pub from: AgentId,
    /// To whom.
    pub to: AgentId,
    /// How often.
    pub offered: u64,
    /// Of those: taken over.
    pub accepted: u64,
    /// Of those: not answered yet.
    pub waiting: u64,
    /// Of those: turned down, or not answered in time.
    pub refused: u64,
    /// Of those taken over or waiting: resting on something that was revoked since.
    pub revoked: u64,
    /// How sure the two were of each other when they were least so.
    pub guarantee: Guarantee,
    /// When the newest was offered.
    pub last: Timestamp,
}

impl Flow {
    fn begin(handoff: &Handoff) -> Self {
        Self {
            from: handoff.from_agent.clone(),
            to: handoff.to_agent.clone(),
            offered: 0,
            accepted: 0,
            waiting: 0,
            refused: 0,
            revoked: 0,
            guarantee: handoff.guarantee,
            last: handoff.offered,
        }
    }

    fn count(&mut self, handoff: &Handoff, is_revoked: bool, now: Timestamp) {
        let is_over = handoff.expires <= now;
        self.offered += 1;
        self.accepted += u64::from(handoff.state == HandoffState::Accepted);
        self.waiting += u64::from(handoff.state == HandoffState::Offered && !is_over);
        let is_refused = match handoff.state {
            HandoffState::Accepted => false,
            HandoffState::Offered => is_over,
            HandoffState::Rejected => true,
        };
        self.refused += u64::from(is_refused);
        self.revoked += u64::from(is_revoked && !is_refused);
        self.guarantee = self.guarantee.min(handoff.guarantee);
        self.last = self.last.max(handoff.offered);
    }
}

/// What is known of a handoff beside its offer and what came back.
#[derive(Clone, Debug)]
pub struct Trail {
    /// On whose authority; `None` once the name was erased.
    pub principal: Option<PrincipalId>,
    /// What the taker said; `None` before it did, and once the text was erased.
    pub answer: Option<Answered>,
    /// What the child permits, as its `tools`; `None` once the text was erased.
    pub permits: Option<Object>,
    /// The entries of handshake, offer, answer and return.
    pub entries: Vec<StoredEntry>,
}

impl Authority {
    /// Who handed how much to whom, of the newest 500 handoffs, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn flows(&self) -> Result<Vec<Flow>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| {
            let mut flows: BTreeMap<(AgentId, AgentId), Flow> = BTreeMap::new();
            for handoff in view.handoffs(None, MAX_HANDOFFS)? {
                let between = (handoff.from_agent.clone(), handoff.to_agent.clone());
                let is_revoked = shown::is_revoked(view, &handoff)?;
                let flow = flows.entry(between).or_insert_with(|| Flow::begin(&handoff));
                flow.count(&handoff, is_revoked, now);
            }
            Ok(flows.into_values().collect())
        })
    }

    /// Handoffs, the newest first, at most `limit`: those from one agent to
    /// another, those before another one. Those that `who` may not see are left
    /// out.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for a handoff to begin at that is none,
    /// [`Refusal::Store`].
    pub fn handoffs_before(
        &self,
        who: &SignedIn,
        between: Option<(&AgentId, &AgentId)>,
        before: Option<&HandoffId>,
        limit: u32,
    ) -> Result<Vec<ListedHandoff>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| {
            let cursor: Option<HandoffCursor> = match before {
                None => None,
                Some(id) => {
                    let found = view.handoff(id)?.filter(|h| may_see(Some(who), h));
                    let handoff = found.ok_or_else(|| Refusal::unknown("handoff", id))?;
                    Some((handoff.offered, handoff.row.id))
                }
            };
            let found = view.handoffs_before(between, cursor.as_ref(), limit)?;
            let seen = found.into_iter().filter(|h| may_see(Some(who), h));
            seen.map(|handoff| ListedHandoff::of(view, handoff, now)).collect()
        })
    }

    /// A handoff with everything about it; that it was read is an entry.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what `who` may not see.
    pub fn handoff_trail(
        &self,
        who: &SignedIn,
        id: &HandoffId,
    ) -> Result<(ShownHandoff, Trail), Refusal> {
        let shown = self.handoff_read(Some(who), id)?;
        let trail = self.0.store.read(|view| {
            let unknown = || Refusal::unknown("handoff", id);
            trail(view, &view.handoff(id)?.ok_or_else(unknown)?)
        })?;
        Ok((shown, trail))
    }
}

fn trail(view: &View<'_>, handoff: &Stored<Handoff>) -> Result<Trail, Refusal> {
    let handshake = view.handshake(&handoff.transcript)?.map(|shaken| shaken.entry);
    let answered = answer_entry(view, handoff)?;
    let answer = match (&answered, view.instance(&handoff.to_instance)?) {
        (Some(entry), Some(taker)) => {
            let text = disclosed(view, &entry.id, "answer")?;
            let read =
                |signed: &str| Answer::verify(signed, holder_key(&taker)?, handoff.hash).ok();
            text.as_ref().and_then(Json::as_str).and_then(read)
        }
        _ => None,
    };
    let mut entries = Vec::new();
    let others = [handshake, Some(handoff.entry.clone()), handoff.return_entry.clone()];
    for id in others.iter().flatten() {
        entries.extend(view.entry_by_id(id)?);
    }
    entries.extend(answered);
    entries.sort_by_key(|entry| entry.index);
    Ok(Trail {
        principal: view.principal_by_alias(&handoff.principal)?.and_then(|p| p.row.id),
        answer,
        permits: permits(view, handoff)?,
        entries,
    })
}

/// What the child permits, while the chain's text is kept.
fn permits(view: &View<'_>, handoff: &Stored<Handoff>) -> Result<Option<Object>, Refusal> {
    let chain = disclosed(view, &handoff.entry, "chain")?;
    let leaf = chain.as_ref().and_then(Json::as_array).and_then(<[Json]>::last);
    let seen = leaf
        .and_then(Json::as_str)
        .and_then(|token| Seen::parse(token, &ChainLimits::DEFAULT).ok());
    Ok(seen.and_then(|seen| seen.scope.to_json().as_object().cloned()))
}
