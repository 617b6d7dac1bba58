//! Calls that wait, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::approval::Verdict;
use bailiwick_core::crypto::{Digest, from_base64url};
use bailiwick_core::ids::{ApprovalId, ServerName};
use bailiwick_core::ledger::Event;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
use futures_util::future::BoxFuture;

use super::{MemoryJournal, lock};
use crate::holds::{
    AskedCall, HeldCall, Hold, HoldRefusal, Holds, QuestionState, Spoken, Standing, Waiting,
};

/// Keeps waiting calls in memory, as the real one does: what the journal spent is
/// gone.
pub struct MemoryHolds {
    journal: Arc<MemoryJournal>,
    held: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_fold: HashMap<String, HeldCall>,
    asked: Vec<Hold>,
    fault: Option<HoldRefusal>,
    relying_party: Option<RelyingParty>,
    standings: Vec<Standing>,
}

impl MemoryHolds {
    /// None yet; what is recorded goes into `journal`.
    #[must_use]
    pub fn new(journal: Arc<MemoryJournal>) -> Self {
        Self { journal, held: Mutex::default() }
    }

    /// Everything that was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Hold> {
        lock(&self.held).asked.clone()
    }

    /// Somebody says something about a waiting call.
    pub fn say(&self, id: &ApprovalId, spoken: Spoken) {
        let mut kept = lock(&self.held);
        if let Some(held) = kept.by_fold.values_mut().find(|held| held.question.id == *id) {
            held.spoken.push(spoken);
        }
    }

    /// People signed a standing approval.
    pub fn stand(&self, standing: Standing) {
        lock(&self.held).standings.push(standing);
    }

    /// Everybody who said something loses the role `approver`.
    pub fn take_roles(&self) {
        let mut kept = lock(&self.held);
        let Kept { by_fold, standings, .. } = &mut *kept;
        let said = by_fold.values_mut().flat_map(|held| &mut held.spoken);
        for spoken in said.chain(standings.iter_mut().flat_map(|s| &mut s.signed)) {
            spoken.has_role = false;
        }
    }

    /// Refuses like this from now on, or not any more.
    pub fn set_fault(&self, fault: Option<HoldRefusal>) {
        lock(&self.held).fault = fault;
    }

    /// Passkeys are used here.
    pub fn set_relying_party(&self, relying_party: RelyingParty) {
        lock(&self.held).relying_party = Some(relying_party);
    }
}

/// The salt of an action's digest, from the text beside its entry.
fn salt_of(event: &Event) -> Option<[u8; 32]> {
    let (_, disclosed) = event.disclosures.iter().find(|(field, _)| field == "action")?;
    let salt = disclosed.value.as_object()?.member("salt")?.as_str()?;
    from_base64url(salt)?.try_into().ok()
}

impl Holds for MemoryHolds {
    fn held(&self, fold: &str, now: Timestamp) -> Result<Option<HeldCall>, Unavailable> {
        let kept = lock(&self.held);
        if kept.fault == Some(HoldRefusal::Unavailable) {
            return Err(Unavailable);
        }
        let held = kept.by_fold.get(fold).cloned();
        let held = held.filter(|held| {
            now < held.question.expires && !self.journal.has_spent(&held.question.id)
        });
        Ok(held.map(|held| HeldCall { relying_party: kept.relying_party.clone(), ..held }))
    }

    fn asked_call(
        &self,
        id: &ApprovalId,
        now: Timestamp,
    ) -> Result<Option<AskedCall>, Unavailable> {
        let kept = lock(&self.held);
        if kept.fault == Some(HoldRefusal::Unavailable) {
            return Err(Unavailable);
        }
        let Some(hold) = kept.asked.iter().find(|hold| hold.question.id == *id) else {
            return Ok(None);
        };
        let said = |verdict| {
            let held = kept.by_fold.get(&hold.fold).filter(|held| held.question.id == *id);
            held.is_some_and(|held| held.spoken.iter().any(|spoken| spoken.verdict == verdict))
        };
        let state = if self.journal.has_spent(id) {
            QuestionState::Spent
        } else if said(Verdict::Deny) {
            QuestionState::Denied
        } else if hold.question.expires <= now {
            QuestionState::Expired
        } else if said(Verdict::Approve) {
            QuestionState::Approved
        } else {
            QuestionState::Pending
        };
        let server = ServerName::parse(hold.tool.server()).map_err(|_| Unavailable)?;
        Ok(Some(AskedCall { server, leaf: hold.leaf, state, expires: hold.question.expires }))
    }

    fn standings(
        &self,
        root: &Digest,
        tool: &str,
        now: Timestamp,
    ) -> Result<Vec<Standing>, Unavailable> {
        let kept = lock(&self.held);
        let counts = |s: &&Standing| {
            let terms = &s.terms;
            let used = self.journal.uses(&terms.id);
            terms.root == *root
                && terms.tool().as_str() == tool
                && terms.lasts(now)
                && used < terms.count
        };
        Ok(kept.standings.iter().filter(counts).cloned().collect())
    }

    fn hold<'a>(&'a self, hold: Hold) -> BoxFuture<'a, Result<Waiting, HoldRefusal>> {
        Box::pin(async move {
            let mut kept = lock(&self.held);
            if let Some(fault) = kept.fault {
                return Err(fault);
            }
            let held = HeldCall {
                question: hold.question.clone(),
                salt: salt_of(&hold.event).ok_or(HoldRefusal::Unavailable)?,
                entry: hold.event.id.clone(),
                spoken: Vec::new(),
                relying_party: None,
                suggestion: None,
            };
            let waiting = Waiting {
                id: hold.question.id.clone(),
                entry: hold.event.id.clone(),
                expires: hold.question.expires,
            };
            self.journal.note(hold.event.clone(), &hold.derived);
            kept.by_fold.insert(hold.fold.clone(), held);
            kept.asked.push(hold);
            Ok(waiting)
        })
    }
}
