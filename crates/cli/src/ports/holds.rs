//! Calls that wait for a person, over the store.

use bailiwick_authority::rules::approvals::question;
use bailiwick_authority::rules::stops::flooded;
use bailiwick_authority::{Refusal, relying_party, spoken, standing_voices, suggestion};
use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::{Digest, from_base64url};
use bailiwick_core::ids::{Alias, ApprovalId, EntryId, TaskId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
use bailiwick_gateway::ports as gateway;
use bailiwick_gateway::ports::{
    AskedCall, HeldCall, Hold, HoldRefusal, Holds, QuestionState, RecordRefusal, Used,
    UsedApproval, UsedStanding, Waiting,
};
use bailiwick_policy::approvers::Unsettled;
use bailiwick_store::{
    Appended, Approval, ApprovalState, Row, Standing, StandingState, Store, StoreError, Stored,
    Ticket, Tx, View,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{CurrentMaker, Maker, Stop, entry_random, note_derived};
use crate::host;

/// What equal calls share is found by its keyed digest.
const HELD: &str = "held-call";
/// Questions that one task may ask within [`FLOOD_SECONDS`]; one more stops it.
const MAX_ASKED: u64 = 20;
const FLOOD_SECONDS: i64 = 600;

/// Waiting calls are rows of the store.
pub(crate) struct StoreHolds {
    store: Store,
    maker: CurrentMaker,
    relying_party: Option<RelyingParty>,
}

impl StoreHolds {
    pub(crate) fn new(store: Store, maker: CurrentMaker, issuer: &str) -> Self {
        Self { store, maker, relying_party: relying_party(issuer) }
    }
}

/// The waiting call under this key, unless it was used, replaced or has expired.
fn found(
    view: &View<'_>,
    key: &Digest,
    now: Timestamp,
) -> Result<Option<Stored<Approval>>, StoreError> {
    let Some(ticket) = view.ticket(HELD, key, now)? else { return Ok(None) };
    let Ok(id) = ApprovalId::parse(&ticket.value) else { return Ok(None) };
    let stands = |a: &Stored<Approval>| {
        let over = matches!(a.state, ApprovalState::Spent | ApprovalState::Void);
        !over && now < a.expires
    };
    Ok(view.approval(&id)?.filter(stands))
}

/// The salt of the action's digest, from the text beside the entry that asked;
/// `None` once that was erased: then nothing can be approved any more.
fn salt(view: &View<'_>, entry: &EntryId) -> Result<Option<[u8; 32]>, StoreError> {
    let texts = view.read_plaintext(entry)?.unwrap_or_default();
    let action = texts.into_iter().find(|(field, _)| field == "action");
    Ok(action.and_then(|(_, disclosed)| {
        let salt = disclosed.value.as_object()?.member("salt")?.as_str()?;
        from_base64url(salt)?.try_into().ok()
    }))
}

impl Holds for StoreHolds {
    fn held(&self, fold: &str, now: Timestamp) -> Result<Option<HeldCall>, Unavailable> {
        self.store
            .read(|view| -> Result<_, Refusal> {
                let key = view.keyed_digest(HELD, fold.as_bytes());
                let Some(approval) = found(view, &key, now)? else { return Ok(None) };
                let Some(salt) = salt(view, &approval.entry)? else { return Ok(None) };
                Ok(Some(HeldCall {
                    question: question(&approval),
                    salt,
                    entry: approval.entry.clone(),
                    spoken: spoken(view, &approval.id, now)?,
                    suggestion: suggestion(view, &approval.id)?,
                    relying_party: self.relying_party.clone(),
                }))
            })
            .map_err(|error| {
                tracing::error!(code = error.code(), "waiting calls cannot be read");
                Unavailable
            })
    }

    fn asked_call(
        &self,
        id: &ApprovalId,
        now: Timestamp,
    ) -> Result<Option<AskedCall>, Unavailable> {
        let found = self.store.read(|view| view.approval(id)).map_err(|error: StoreError| {
            tracing::error!(code = error.code(), "waiting calls cannot be read");
            Unavailable
        })?;
        Ok(found.map(|approval| AskedCall {
            server: approval.server.clone(),
            leaf: approval.leaf,
            state: stands(approval.state, now < approval.expires),
            expires: approval.expires,
        }))
    }

    fn standings(
        &self,
        root: &Digest,
        tool: &str,
        now: Timestamp,
    ) -> Result<Vec<gateway::Standing>, Unavailable> {
        self.store
            .read(|view| -> Result<_, Refusal> {
                let mut found = Vec::new();
                for standing in view.standings_for(root, tool, now)? {
                    if let Some((terms, signed)) = standing_voices(view, &standing, now)? {
                        let relying_party = self.relying_party.clone();
                        let agent = standing.agent.clone();
                        found.push(gateway::Standing { agent, terms, signed, relying_party });
                    }
                }
                Ok(found)
            })
            .map_err(|error| {
                tracing::error!(code = error.code(), "standing approvals cannot be read");
                Unavailable
            })
    }

    fn hold<'a>(&'a self, hold: Hold) -> BoxFuture<'a, Result<Waiting, HoldRefusal>> {
        let maker = self.maker.now();
        let pending = self.store.write(move |tx| write(tx, &maker, hold));
        async move {
            match pending.await {
                Ok(Held::Waits(waiting)) => Ok(waiting),
                Ok(Held::Flood) => Err(HoldRefusal::Flood),
                Err(error) => {
                    tracing::error!(code = error.code(), %error, "a waiting call was not written");
                    Err(HoldRefusal::Unavailable)
                }
            }
        }
        .boxed()
    }
}

/// Where a question stands, of which the time may be over.
const fn stands(state: ApprovalState, in_time: bool) -> QuestionState {
    match state {
        ApprovalState::Pending if in_time => QuestionState::Pending,
        ApprovalState::Approved if in_time => QuestionState::Approved,
        ApprovalState::Pending | ApprovalState::Approved => QuestionState::Expired,
        ApprovalState::Denied => QuestionState::Denied,
        ApprovalState::Spent => QuestionState::Spent,
        ApprovalState::Void => QuestionState::Void,
    }
}

/// What became of a call that is to wait.
enum Held {
    Waits(Waiting),
    /// Its task asked once too often, and is stopped now.
    Flood,
}

fn write(tx: &mut Tx<'_>, maker: &Maker, hold: Hold) -> Result<Held, StoreError> {
    let now = hold.event.time;
    let key = tx.keyed_digest(HELD, hold.fold.as_bytes());
    if let Some(earlier) = found(tx, &key, now)?
        && hold.replaces.as_ref() != Some(&earlier.id)
    {
        // An equal call was quicker.
        let (id, expires) = (earlier.id.clone(), earlier.expires);
        return Ok(Held::Waits(Waiting { id, entry: earlier.entry, expires }));
    }
    let row = row(&hold)?;
    if tx.approvals_asked(&row.task, now.plus_seconds(-FLOOD_SECONDS))? >= MAX_ASKED {
        stop_task(tx, maker, &hold.event, row.task)?;
        return Ok(Held::Flood);
    }
    note_derived(tx, maker, &hold.event, &hold.derived, &entry_random)?;
    if let Some(before) = &hold.replaces {
        void(tx, maker, before, &hold.event)?;
    }
    tx.keep_ticket(&Ticket {
        kind: HELD,
        key,
        family: String::new(),
        value: row.id.to_string(),
        expires: row.expires,
    })?;
    let (id, expires) = (row.id.clone(), row.expires);
    let entry = hold.event.id.clone();
    tx.record(&maker.id, &*maker.key, hold.event, &Row::Approval(Box::new(row)))?;
    Ok(Held::Waits(Waiting { id, entry, expires }))
}

/// Stops a task that asks people too often, in the transaction that refuses it.
fn stop_task(
    tx: &mut Tx<'_>,
    maker: &Maker,
    because: &Event,
    task: TaskId,
) -> Result<(), StoreError> {
    let target = StopTarget::Task(task);
    if tx.stopped(std::slice::from_ref(&target))?.is_some() {
        return Ok(());
    }
    let ids = (entry_random()?, entry_random()?);
    let salt = host::random().map_err(|_| StoreError::Entropy)?;
    let (event, row) = flooded(because, target, ids, salt);
    tracing::warn!(entry = %event.id, "a task asks people too often: it is stopped");
    tx.record(&maker.id, &*maker.key, event, &row).map(drop)
}

fn row(hold: &Hold) -> Result<Approval, StoreError> {
    let bad = || StoreError::Value { what: "waiting call" };
    let s = &hold.event.subjects;
    let task: TaskId = s.task.as_ref().and_then(|t| t.parse().ok()).ok_or_else(bad)?;
    let principal: Alias = s.principal.as_ref().and_then(|p| p.parse().ok()).ok_or_else(bad)?;
    Ok(Approval {
        id: hold.question.id.clone(),
        state: ApprovalState::Pending,
        action: hold.question.action,
        policy: hold.question.policy,
        rule: hold.question.rule.clone(),
        risk: hold.risk.as_str().to_owned(),
        server: hold.tool.server().parse().map_err(|_| bad())?,
        tool: hold.tool.clone(),
        principal,
        agent: s.agent.as_ref().and_then(|a| a.parse().ok()).ok_or_else(bad)?,
        // A client with an access token has none.
        instance: s.instance.as_ref().map(|i| i.parse().map_err(|_| bad())).transpose()?,
        workflow: s.workflow.as_ref().and_then(|w| w.parse().ok()).ok_or_else(bad)?,
        workflow_digest: hold.workflow_digest,
        task,
        root: hold.root,
        leaf: hold.leaf,
        needed: hold.needed,
        asked: hold.event.time,
        expires: hold.question.expires,
        settled: None,
    })
}

/// A question that would be another one now counts no more. One that was used or
/// replaced meanwhile does not either.
fn void(
    tx: &mut Tx<'_>,
    maker: &Maker,
    before: &ApprovalId,
    because: &Event,
) -> Result<(), StoreError> {
    let stands = tx
        .approval(before)?
        .is_some_and(|a| matches!(a.state, ApprovalState::Pending | ApprovalState::Approved));
    if !stands {
        return Ok(());
    }
    let event = voided(before, because, entry_random()?);
    let row = Row::ApprovalState { approval: before.clone(), state: ApprovalState::Void };
    tx.record(&maker.id, &*maker.key, event, &row).map(drop)
}

/// The entry of a question that counts no more, because of another one.
pub(crate) fn voided(before: &ApprovalId, because: &Event, random: [u8; 10]) -> Event {
    Event {
        id: EntryId::mint(because.time, random),
        org: because.org.clone(),
        time: because.time,
        kind: Kind::ApprovalVoided,
        subjects: Subjects {
            action: None,
            decision: None,
            reason: None,
            ..because.subjects.clone()
        },
        body: Object::new().with("approval", before),
        disclosures: Vec::new(),
    }
}

/// Records an allow with which its approval is spent, or one use of a standing
/// approval.
pub(super) fn spend(
    tx: &mut Tx<'_>,
    maker: &Maker,
    event: Event,
    used: &Used,
) -> Result<Appended, Stop> {
    let row = match used {
        Used::Approval(used) => spent_approval(tx, used)?,
        Used::Standing(used) => used_standing(tx, maker, &event, used)?,
    };
    Ok(tx.record(&maker.id, &*maker.key, event, &row)?)
}

fn spent_approval(tx: &mut Tx<'_>, used: &UsedApproval) -> Result<Row, Stop> {
    let (id, now) = (&used.question.id, host::now());
    let stands =
        tx.approval(id)?.is_some_and(|a| a.state == ApprovalState::Approved && now < a.expires);
    if !stands {
        return Err(Stop::Refused(RecordRefusal::ApprovalSpent));
    }
    // SECURITY: who lost the right since stage 5 looked has said nothing.
    let spoken = spoken(tx, id, now).map_err(unread)?;
    used.matter.settle(&used.question, &spoken, now).map_err(lost)?;
    let key = tx.keyed_digest(HELD, used.fold.as_bytes());
    tx.take_ticket(HELD, &key, now)?;
    Ok(Row::ApprovalState { approval: id.clone(), state: ApprovalState::Spent })
}

fn used_standing(
    tx: &mut Tx<'_>,
    maker: &Maker,
    event: &Event,
    used: &UsedStanding,
) -> Result<Row, Stop> {
    let (id, now) = (&used.terms.id, host::now());
    let over = || Stop::Refused(RecordRefusal::ApprovalSpent);
    // SECURITY: of calls at once only as many pass as are left, whoever looked before.
    let stands = |s: &Stored<Standing>| s.state == StandingState::Active && s.used < s.count;
    let standing = tx.standing(id)?.filter(stands).ok_or_else(over)?;
    // SECURITY: it is for the agent that people saw, not for those to which that one passed
    // its delegation on.
    if event.subjects.agent.as_deref() != Some(standing.agent.as_str()) {
        return Err(over());
    }
    let key = tx.keyed_digest(HELD, used.fold.as_bytes());
    // SECURITY: who says no to this very call is heard, whatever was signed before.
    if found(tx, &key, now)?.is_some_and(|held| held.state == ApprovalState::Denied) {
        return Err(lost(Unsettled::Denied));
    }
    let voices = standing_voices(tx, &standing, now).map_err(unread)?;
    let (terms, signed) = voices.filter(|(terms, _)| *terms == used.terms).ok_or_else(over)?;
    used.matter.settle_standing(&terms, &signed, now).map_err(lost)?;
    if let Some(question) = &used.answers {
        void(tx, maker, question, event)?;
        tx.take_ticket(HELD, &key, now)?;
    }
    Ok(Row::StandingUsed { standing: id.clone() })
}

const fn lost(why: Unsettled) -> Stop {
    Stop::Refused(RecordRefusal::ApprovalLost { why })
}

fn unread(error: Refusal) -> Stop {
    tracing::error!(code = error.code(), "what people said cannot be read");
    Stop::Refused(RecordRefusal::Unavailable)
}

#[cfg(test)]
mod tests;
