//! What webhooks are to be told, from the ledger.

use std::collections::BTreeSet;

use bailiwick_core::ids::{ApprovalId, EntryId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::{ApprovalState, Delivery, Noticed, StoreError, StoredEntry, Tried, View};

use super::Authority;
use crate::http::webhooks::SendError;
use crate::refusal::Refusal;
use crate::webhooks::{Event, Message, Secret, again, body};

/// Days after which what was told is forgotten.
const KEPT_DAYS: i64 = 30;

/// Something that is sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// The entry that it stands in.
    pub entry: EntryId,
    /// How often it was tried before.
    pub tries: u64,
    /// What is sent.
    pub message: Message,
}

fn approval_in(entry: &StoredEntry) -> Option<ApprovalId> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body")?.as_object()?;
    ApprovalId::parse(body.member("approval")?.as_str()?).ok()
}

/// What an entry tells; `None` when it tells nothing.
fn noticed(view: &View<'_>, entry: &StoredEntry) -> Result<Option<(Event, Noticed)>, StoreError> {
    let (event, approval) = match Kind::parse(&entry.kind) {
        // A decision that asks without a row is another enforcement point's.
        Some(Kind::ActionDecided) => {
            let asked = view.approval_of_entry(&entry.id)?;
            (Event::ApprovalRequested, asked.map(|approval| approval.row.id))
        }
        Some(kind @ (Kind::ApprovalDecided | Kind::ApprovalVoided)) => {
            let Some(id) = approval_in(entry) else { return Ok(None) };
            let Some(approval) = view.approval(&id)? else { return Ok(None) };
            // One of several who must agree settles nothing, and what people
            // settled is not told of again when it becomes void.
            let settles = match kind {
                Kind::ApprovalDecided => approval.settled == Some(entry.time),
                _ => approval.state == ApprovalState::Void && approval.settled.is_none(),
            };
            (Event::ApprovalSettled, settles.then_some(id))
        }
        _ => return Ok(None),
    };
    Ok(approval.map(|approval| {
        let event_name = event.as_str().to_owned();
        let noticed =
            Noticed { entry: entry.id.clone(), event: event_name, approval, time: entry.time };
        (event, noticed)
    }))
}

impl Authority {
    /// Looks through the ledger for what a webhook is to be told, and keeps it.
    /// A webhook that is new is told of what happens from now on.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn webhook_look(&self, name: &str, events: &BTreeSet<Event>) -> Result<(), Refusal> {
        loop {
            let (mut kept, mut upto, begun) = (Vec::new(), 0, self.webhook_begun(name)?);
            match begun {
                None => upto = self.read(|view| view.log_size())?,
                Some(from) => self.read(|view| {
                    for entry in view.entries_about_approvals(from)? {
                        upto = entry.index.saturating_add(1);
                        let told = noticed(view, &entry)?;
                        let told = told.filter(|(event, _)| events.contains(event));
                        kept.extend(told.map(|(_, noticed)| noticed));
                    }
                    Ok(())
                })?,
            }
            if begun.is_some() && upto == 0 {
                return Ok(());
            }
            let name = name.to_owned();
            self.transact(move |_, tx, _| Ok(tx.keep_noticed(&name, &kept, upto)?))?;
        }
    }

    fn webhook_begun(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.read(|view| view.webhook_upto(name))
    }

    /// What is to be sent to a webhook now, signed.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn webhook_due(&self, name: &str, secrets: &[Secret]) -> Result<Vec<Due>, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        let issuer = &cx.installation.issuer;
        self.read(|view| {
            let mut due = Vec::new();
            for Delivery { noticed, tries } in view.due_deliveries(name, now)? {
                let Some(approval) = view.approval(&noticed.approval)? else { continue };
                let body = body(&noticed, &approval, issuer);
                let message = Message::sign(noticed.entry.as_str(), &body, secrets, now);
                due.push(Due { entry: noticed.entry, tries, message });
            }
            Ok(due)
        })
    }

    /// Keeps what became of messages that were sent.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn webhook_sent(
        &self,
        name: &str,
        sent: Vec<(Due, Result<(), SendError>)>,
    ) -> Result<(), Refusal> {
        let name = name.to_owned();
        self.transact(move |_, tx, moment| {
            let now = moment.now();
            for (due, became) in sent {
                let tried = match became {
                    Ok(()) => Tried::Taken,
                    Err(error) => Tried::Failed {
                        why: format!("{}: {error}", error.code()),
                        again: again(due.tries.saturating_add(1), now)
                            .filter(|_| !error.is_final()),
                    },
                };
                tx.delivery_tried(&name, &due.entry, now, &tried)?;
            }
            tx.forget_deliveries(now.plus_seconds(KEPT_DAYS.saturating_mul(-86_400)))?;
            Ok(())
        })
    }
}
