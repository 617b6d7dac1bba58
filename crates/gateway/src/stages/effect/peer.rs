//! Stage 6 for an agent that speaks A2A: the request is made of the arguments that
//! were checked, proved and recorded, and of nothing else; what comes back is read
//! before it is shown, and whose its tasks are is kept first.

use std::collections::BTreeSet;
use std::time::Duration;

use bailiwick_core::crypto::{Digest, Sha256};
use bailiwick_core::ids::{EntryId, ServerName};
use bailiwick_core::json::{Json, Number, Object};
use bailiwick_core::ledger::Subjects;
use bailiwick_policy::a2a::answer::{self, Seen};
use bailiwick_policy::a2a::card::Card;
use bailiwick_policy::a2a::{Operation, handoff};
use bailiwick_policy::permit::Permit;

use super::super::evidence::{Finished, Outcome};
use super::{Recorded, time_left};
use crate::a2a::reply::Reply;
use crate::gateway::Gateway;
use crate::peers::{NotKept, owner};
use crate::rpc;
use crate::stages::boundary::Spoken;
use crate::upstream::Failure;
use crate::upstream::peer::Answers;
use crate::wire::peer::Told;

/// Tasks on one page of an agent's list, and pages that are turned for one call.
const PAGE: i64 = 100;
const MAX_PAGES: usize = 20;

/// What a call came to.
pub(crate) struct Completed {
    pub(crate) finished: Finished,
    pub(crate) entry: EntryId,
    pub(crate) subjects: Subjects,
}

/// What was read.
#[derive(Default)]
struct Read {
    bytes: usize,
    digest: Option<Sha256>,
}

impl Read {
    fn take(&mut self, result: &Object) {
        let text = Json::from(result.clone()).canonical();
        self.digest.get_or_insert_default().update(text.as_bytes());
    }
}

/// How a call ends that reached the agent.
enum End {
    /// It answered.
    Answered,
    /// With an error.
    Refused,
}

/// Calls the agent; the caller hears through `reply`.
pub(crate) async fn call(
    gateway: &Gateway,
    recorded: Recorded<Permit>,
    spoken: &Spoken,
    reply: &Reply,
) -> Completed {
    let started = gateway.ports.host.now();
    let mut read = Read::default();
    let ended = match time_left(gateway, &recorded, started) {
        Ok(limit) => exchange(gateway, &recorded, spoken, reply, limit, &mut read).await,
        Err(failure) => Err(failure),
    };
    let duration_ms = gateway.ports.host.now().millis_since(started).max(0);
    let (outcome, bytes) = match &ended {
        Ok(End::Answered) => (Outcome::Ok, read.bytes),
        Ok(End::Refused) => (Outcome::Error, read.bytes),
        Err(failure) => {
            reply.fail(&Told::failed(*failure, recorded.entry.as_str()));
            (failure.outcome(), read.bytes.max(failure.bytes()))
        }
    };
    reply.end();
    let finished = Finished {
        outcome,
        duration_ms,
        bytes,
        is_error: outcome != Outcome::Ok,
        result: read.digest.map(Sha256::finish),
        reported: None,
        answers: Vec::new(),
    };
    Completed { finished, entry: recorded.entry, subjects: recorded.subjects }
}

async fn exchange(
    gateway: &Gateway,
    recorded: &Recorded<Permit>,
    spoken: &Spoken,
    reply: &Reply,
    limit: Duration,
    read: &mut Read,
) -> Result<End, Failure> {
    let work = async {
        let call = Calling::of(gateway, recorded, spoken)?;
        match spoken.asked.operation {
            Operation::ListTasks => call.list(reply, read).await,
            operation if operation.streams() => call.follow(reply, read).await,
            _ => call.once(reply, read).await,
        }
    };
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
}

/// A call under way.
struct Calling<'a> {
    gateway: &'a Gateway,
    recorded: &'a Recorded<Permit>,
    spoken: &'a Spoken,
    card: &'a Card,
    id: Json,
    owner: Digest,
    extensions: Vec<String>,
}

impl<'a> Calling<'a> {
    fn of(
        gateway: &'a Gateway,
        recorded: &'a Recorded<Permit>,
        spoken: &'a Spoken,
    ) -> Result<Self, Failure> {
        // Stage 3 has just looked at both; without them nothing is sent.
        let pin = recorded.call.pin.as_ref().and_then(|pin| pin.card.as_deref());
        let card = &pin.ok_or(Failure::Unreachable)?.card;
        let facts = recorded.permit.case().verified().facts();
        let owner = owner(facts).ok_or(Failure::Unreachable)?;
        // Only what the accepted card declares, and the handoff's.
        let is_known = |uri: &&String| {
            *uri == handoff::EXTENSION || card.extensions().any(|known| known == *uri)
        };
        let extensions = spoken.extensions.iter().filter(is_known).cloned().collect();
        let id = Json::from(recorded.entry.as_str());
        Ok(Self { gateway, recorded, spoken, card, id, owner, extensions })
    }

    fn server(&self) -> &ServerName {
        &self.recorded.call.server.name
    }

    async fn ask(&self, arguments: &Object) -> Result<Answers<'_>, Failure> {
        let interface = self.card.interface();
        let mut params = arguments.clone();
        if let Some(tenant) = &interface.tenant {
            params.insert("tenant", tenant.as_str());
        }
        let method = self.spoken.asked.operation.name();
        let body = rpc::text(&rpc::compose(Some(&self.id), method, Some(&params)));
        let server = &self.recorded.call.server;
        let place = (&interface.url, self.extensions.as_slice());
        self.gateway.upstream.ask_peer(server, place, &self.id, body).await
    }

    /// A result as the protocol has it; `None`, if it is the agent's error, which
    /// is told.
    fn read(
        &self,
        message: &Object,
        reply: &Reply,
        read: &mut Read,
    ) -> Result<Option<Object>, Failure> {
        let garbage = Failure::Garbage { bytes: read.bytes };
        if let Some(error) = message.member("error") {
            let error = error.as_object().ok_or(garbage)?;
            reply.fail(&Told::of_agent(error, self.recorded.entry.as_str()));
            return Ok(None);
        }
        let result = message.member("result").ok_or(garbage)?;
        let result = answer::read(self.spoken.asked.operation, result).map_err(|misshapen| {
            tracing::warn!(server = %self.server(), %misshapen, "the agent's answer");
            garbage
        })?;
        read.take(&result);
        Ok(Some(result))
    }

    /// Keeps whose the tasks of an answer are, before anybody hears of them. An
    /// answer about another task than the one that was asked for is none.
    async fn keep(
        &self,
        result: &Object,
        known: &mut BTreeSet<(String, bool)>,
        bytes: usize,
    ) -> Result<(), Failure> {
        let garbage = Failure::Garbage { bytes };
        let asked = &self.spoken.asked;
        let mut seen = answer::seen(asked.operation, result);
        let begins =
            matches!(asked.operation, Operation::SendMessage | Operation::SendStreamingMessage);
        if !begins {
            let named = asked.tasks();
            let is_named =
                |seen: &Seen| seen.task.as_deref().is_some_and(|task| named.first() == Some(&task));
            // Configurations need not repeat their task.
            let may_lack = !matches!(
                asked.operation,
                Operation::GetTask | Operation::CancelTask | Operation::SubscribeToTask
            );
            if !seen.iter().all(|seen| is_named(seen) || (may_lack && seen.task.is_none())) {
                return Err(garbage);
            }
        }
        seen.retain(|seen| match &seen.task {
            Some(task) => known.insert((task.clone(), seen.ended == Some(true))),
            None => seen.context.is_some(),
        });
        if seen.is_empty() {
            return Ok(());
        }
        match self.gateway.ports.peers.remember(self.server(), self.owner, seen).await {
            Ok(()) => Ok(()),
            // SECURITY: an agent that names somebody else's task gives it to nobody.
            Err(NotKept::Foreign) => Err(garbage),
            Err(NotKept::Unavailable) => Err(Failure::Broken),
        }
    }

    async fn once(&self, reply: &Reply, read: &mut Read) -> Result<End, Failure> {
        let mut answers = self.ask(&self.spoken.asked.arguments).await?;
        if answers.are_events() {
            return Err(Failure::Garbage { bytes: 0 });
        }
        let message = answers.next().await?;
        read.bytes = answers.bytes;
        let message = message.ok_or(Failure::Garbage { bytes: read.bytes })?;
        let Some(result) = self.read(&message, reply, read)? else { return Ok(End::Refused) };
        self.keep(&result, &mut BTreeSet::new(), read.bytes).await?;
        reply.answer(result);
        Ok(End::Answered)
    }

    async fn follow(&self, reply: &Reply, read: &mut Read) -> Result<End, Failure> {
        let mut answers = self.ask(&self.spoken.asked.arguments).await?;
        let mut known = BTreeSet::new();
        while let Some(message) = answers.next().await? {
            read.bytes = answers.bytes;
            let Some(result) = self.read(&message, reply, read)? else { return Ok(End::Refused) };
            // Only an error comes alone.
            if !answers.are_events() {
                return Err(Failure::Garbage { bytes: read.bytes });
            }
            self.keep(&result, &mut known, read.bytes).await?;
            reply.event(result);
        }
        Ok(End::Answered)
    }

    /// The caller's tasks, of all pages: where a page ends and how many there are
    /// would tell of others'.
    async fn list(&self, reply: &Reply, read: &mut Read) -> Result<End, Failure> {
        let mut own: Vec<Json> = Vec::new();
        let wanted = self.spoken.asked.arguments.member("pageSize");
        let wanted = wanted.and_then(|n| n.as_number()?.as_plain_integer());
        let wanted = usize::try_from(wanted.unwrap_or(PAGE)).unwrap_or(0).clamp(1, 100);
        let mut page = None;
        for _ in 0..MAX_PAGES {
            let mut arguments = self.spoken.asked.arguments.clone();
            arguments.insert("pageSize", Json::from(Number::from(PAGE)));
            if let Some(page) = &page {
                arguments.insert("pageToken", Json::from(String::clone(page)));
            }
            let mut answers = self.ask(&arguments).await?;
            if answers.are_events() {
                return Err(Failure::Garbage { bytes: read.bytes });
            }
            let message = answers.next().await?;
            read.bytes = read.bytes.saturating_add(answers.bytes);
            let message = message.ok_or(Failure::Garbage { bytes: read.bytes })?;
            let Some(result) = self.read(&message, reply, read)? else {
                return Ok(End::Refused);
            };
            let is_own = |task: &str| {
                let known = self.gateway.ports.peers.task(self.server(), task);
                known.is_ok_and(|known| known.is_some_and(|known| known.owner == self.owner))
            };
            own.extend(answer::keep(&result, is_own));
            page = answer::next_page(&result).map(str::to_owned);
            if page.is_none() || own.len() >= wanted {
                break;
            }
        }
        own.truncate(wanted);
        let count = u64::try_from(own.len()).unwrap_or(u64::MAX);
        let whole = Object::new()
            .with("tasks", own)
            .with("nextPageToken", "")
            .with("pageSize", count)
            .with("totalSize", count);
        reply.answer(whole);
        Ok(End::Answered)
    }
}
