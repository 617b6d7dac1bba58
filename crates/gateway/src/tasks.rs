//! Calls that go on as tasks: who may follow which, and what is known of them
//! until the outcome of their call is on record.
//!
//! A task is found only by the delegation that started it (of an access token:
//! the client and principal), in its session where there is one, while what it
//! was started under stands. It is held in memory: after a restart nobody can
//! follow it, and its call is recorded as `unknown` like every other that has
//! no outcome.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::crypto::{Digest, Thumbprint, sha256};
use bailiwick_core::ids::{EntryId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Subjects;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::grades::Question;
use bailiwick_policy::mcp_methods::Era;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::busy::{Busy, Place};
use crate::ports::Recheck;
use crate::questions::{Answered, Wants, question_of, wants};
use crate::sessions::{Owner, Session};
use crate::stages::evidence::{Finished, Outcome};
use crate::stages::identity::Caller;

mod messages;

/// Bytes of a task's id: it is a header's value too.
const MAX_ID_BYTES: usize = 256;
/// Questions of one task that may wait for an answer.
const MAX_ASKED: usize = 64;

/// Whose tasks are meant.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    owner: Owner,
    session: Option<Arc<Session>>,
}

impl Own {
    pub(crate) fn new(owner: Owner, session: Option<Arc<Session>>) -> Self {
        Self { owner, session }
    }

    /// Those of a caller at a tool server.
    pub(crate) fn of(caller: &Caller, server: &ServerName) -> Option<Self> {
        Some(Self::new(caller.owner(server)?, caller.session.clone()))
    }

    fn session_id(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.id.as_str())
    }

    fn is(&self, other: &Self) -> bool {
        self.owner == other.owner && self.session_id() == other.session_id()
    }

    fn has_ended(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.ended.is_cancelled())
    }
}

/// Room for one more task; free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _place: Place,
    _of_all: OwnedSemaphorePermit,
}

/// That a call may go on as a task.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// For how long at most.
    pub(crate) ttl_ms: u64,
    pub(crate) seat: Seat,
}

/// What a tool server says of a task that it began.
#[derive(Debug)]
pub(crate) struct Handle {
    id: String,
    ttl_ms: Option<u64>,
}

impl Handle {
    /// Reads the answer to a call.
    pub(crate) fn read(answer: &Object, era: Era) -> Option<Self> {
        let result = answer.member("result")?.as_object()?;
        let task = match era {
            Era::Sessions => result.member("task")?.as_object()?,
            Era::Stateless => result,
        };
        let id = task.member("taskId")?.as_str()?;
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return None;
        }
        Some(Self { id: id.to_owned(), ttl_ms: whole(task, ttl_member(era)) })
    }
}

/// A call that is about to go on as a task.
pub(crate) struct Started {
    pub(crate) handle: Handle,
    pub(crate) allowance: Allowance,
    pub(crate) era: Era,
    pub(crate) own: Own,
    pub(crate) recheck: Recheck,
    pub(crate) decided: EntryId,
    pub(crate) action_digest: Option<Digest>,
    pub(crate) subjects: Subjects,
    pub(crate) started_at: Timestamp,
    /// The delegation's end.
    pub(crate) until: Timestamp,
    /// What the tool server may ask meanwhile.
    pub(crate) listed: BTreeSet<Question>,
}

/// A call that goes on as a task.
#[derive(Debug)]
pub(crate) struct Task {
    /// The tool server's own id.
    pub(crate) id: String,
    era: Era,
    own: Own,
    /// What must not be taken back while it is followed.
    pub(crate) recheck: Recheck,
    /// The decision under which it was started.
    pub(crate) decided: EntryId,
    action_digest: Option<Digest>,
    subjects: Subjects,
    started_at: Timestamp,
    /// When it can be followed no more.
    ends: Timestamp,
    listed: BTreeSet<Question>,
    known: Mutex<Known>,
    _seat: Seat,
}

#[derive(Debug, Default)]
struct Known {
    status: Status,
    /// What it asks, by the tool server's key.
    asked: BTreeMap<String, Question>,
    answers: Vec<Answered>,
    /// The outcome is on record, or about to be.
    recorded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Working,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    fn of(task: &Object) -> Option<Self> {
        match task.member("status")?.as_str()? {
            "working" | "input_required" => Some(Self::Working),
            "completed" => Some(Self::Completed),
            "failed" => Some(Self::Failed),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// Why what is said of a task is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// It is about another, or not of the protocol.
    Garbage,
    /// It asks for what the workflow does not list.
    Asks,
}

fn whole(o: &Object, member: &str) -> Option<u64> {
    u64::try_from(o.member(member)?.as_number()?.as_plain_integer()?).ok()
}

fn ttl_member(era: Era) -> &'static str {
    match era {
        Era::Sessions => "ttl",
        Era::Stateless => "ttlMs",
    }
}

fn later(from: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_millis(from.millis().saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
}

impl Task {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it cannot be followed any more, whatever its authority.
    fn is_over(&self, now: Timestamp) -> bool {
        self.ends <= now || self.own.has_ended()
    }

    /// Reads what the tool server says of it; gives the outcome, if this is
    /// where it is seen.
    pub(crate) fn saw(
        &self,
        task: &Object,
        bytes: usize,
        now: Timestamp,
    ) -> Result<Option<Finished>, Distrust> {
        let kind = task.member("resultType").and_then(Json::as_str);
        if task.member("taskId").and_then(Json::as_str) != Some(self.id.as_str())
            || kind.is_some_and(|kind| kind != "complete")
        {
            return Err(Distrust::Garbage);
        }
        let status = Status::of(task).ok_or(Distrust::Garbage)?;
        let asked = self.questions(task)?;
        let inlined = match (self.era, status) {
            (Era::Stateless, Status::Completed) => Some(("result", Outcome::Ok)),
            (Era::Stateless, Status::Failed) => Some(("error", Outcome::Error)),
            _ => None,
        };
        let end = match inlined {
            None => None,
            Some((member, outcome)) => {
                let said = task.member(member).and_then(Json::as_object);
                Some((member, outcome, said.ok_or(Distrust::Garbage)?))
            }
        };
        if let Some((member, _, said)) = end {
            // What ends a call asks for nothing, and is no other task.
            let whole = Object::new().with(member, said.clone());
            if wants(&whole, std::iter::empty()) != Wants::Nothing {
                return Err(Distrust::Asks);
            }
        }
        let mut known = self.known();
        if known.status == Status::Working {
            known.status = status;
        }
        known.asked = asked;
        drop(known);
        Ok(match (end, status) {
            (Some((_, outcome, said)), _) => {
                let outcome = if is_error(said) { Outcome::Error } else { outcome };
                let digest = sha256(Json::from(said.clone()).canonical().as_bytes());
                self.finish(outcome, Some(digest), bytes, now)
            }
            // Whether it had its effect before nobody knows.
            (None, Status::Cancelled) => self.finish(Outcome::Unknown, None, bytes, now),
            (None, _) => None,
        })
    }

    /// Its questions as they stand, each of which must be listed (2026-07-28).
    fn questions(&self, task: &Object) -> Result<BTreeMap<String, Question>, Distrust> {
        let asked = match task.member("inputRequests") {
            None => return Ok(BTreeMap::new()),
            Some(Json::Object(asked)) if self.era == Era::Stateless => asked,
            Some(_) => return Err(Distrust::Garbage),
        };
        let listed = |(key, request): (&str, &Json)| {
            let question = question_of(request).filter(|q| self.listed.contains(q))?;
            Some((key.to_owned(), question))
        };
        let asked: Option<BTreeMap<_, _>> = asked.iter().map(listed).collect();
        asked.filter(|asked| asked.len() <= MAX_ASKED).ok_or(Distrust::Asks)
    }

    /// Takes from what a client answers (`tasks/update`) what was not asked,
    /// and gives what is to be recorded of the rest.
    pub(crate) fn narrow(&self, params: &mut Object) -> Vec<Answered> {
        let Some(Json::Object(all)) = params.remove("inputResponses") else { return Vec::new() };
        let known = self.known();
        let mut asked = Object::new();
        let mut answers = Vec::new();
        for (key, answer) in all.iter() {
            if let Some(question) = known.asked.get(key) {
                answers.push(Answered::new(*question, answer));
                asked.insert(key, answer.clone());
            }
        }
        params.insert("inputResponses", asked);
        answers
    }

    /// Notes what was answered to its questions.
    pub(crate) fn add(&self, answers: Vec<Answered>) {
        let mut known = self.known();
        let room = MAX_ASKED.saturating_sub(known.answers.len());
        known.answers.extend(answers.into_iter().take(room));
    }

    /// Reads the answer to `tasks/result`; gives the outcome, if this is it.
    pub(crate) fn ended(&self, answer: &Object, bytes: usize, now: Timestamp) -> Option<Finished> {
        let digest = |said: &Json| Some(sha256(said.canonical().as_bytes()));
        if let Some(result) = answer.member("result") {
            let failed = result.as_object().is_some_and(is_error);
            let outcome = if failed { Outcome::Error } else { Outcome::Ok };
            return self.finish(outcome, digest(result), bytes, now);
        }
        // Otherwise it may be about the request, and the task goes on.
        if self.known().status != Status::Failed {
            return None;
        }
        self.finish(Outcome::Error, digest(answer.member("error")?), bytes, now)
    }

    /// It can be followed no more: what is to be recorded, and whether it may
    /// still be at work.
    fn lapsed(&self, now: Timestamp) -> (Option<Finished>, bool) {
        let status = self.known().status;
        let outcome = match status {
            Status::Completed => Outcome::Ok,
            Status::Failed => Outcome::Error,
            Status::Working | Status::Cancelled => Outcome::Unknown,
        };
        (self.finish(outcome, None, 0, now), status == Status::Working)
    }

    /// Its outcome, the first time.
    fn finish(
        &self,
        outcome: Outcome,
        result: Option<Digest>,
        bytes: usize,
        now: Timestamp,
    ) -> Option<Finished> {
        let mut known = self.known();
        if std::mem::replace(&mut known.recorded, true) {
            return None;
        }
        Some(Finished {
            outcome,
            duration_ms: now.millis_since(self.started_at).max(0),
            bytes,
            is_error: outcome != Outcome::Ok,
            result,
            reported: None,
            answers: std::mem::take(&mut known.answers),
        })
    }

    /// Says for how long it is kept, which is no longer than here.
    pub(crate) fn limit_ttl(&self, task: &mut Object) {
        let member = ttl_member(self.era);
        let most = u64::try_from(self.ends.millis_since(self.started_at)).unwrap_or(0);
        if task.member(member).is_some() && whole(task, member).is_none_or(|ttl| ttl > most) {
            task.insert(member, most);
        }
    }
}

fn is_error(result: &Object) -> bool {
    result.member("isError").and_then(Json::as_bool).unwrap_or(false)
}

/// A task's name: ids are a tool server's own, and of a session where it has
/// sessions.
type Name = (ServerName, Option<String>, String);

/// All calls that go on as tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    open: Mutex<HashMap<Name, Arc<Task>>>,
    busy: Arc<Busy>,
    all: Arc<Semaphore>,
}

impl Tasks {
    /// At most so many, and of one key.
    pub(crate) fn new((most, most_per_key): (usize, usize)) -> Self {
        Self {
            open: Mutex::default(),
            busy: Busy::new(most_per_key),
            all: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Arc<Task>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more of this key, if need be in the place of one whose
    /// outcome is on record.
    pub(crate) fn seat(&self, key: Thumbprint) -> Option<Seat> {
        let enter = || {
            let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
            Some(Seat { _place: self.busy.enter(key)?, _of_all: of_all })
        };
        enter().or_else(|| {
            let recorded = |task: &Arc<Task>| task.own.owner.key == key && task.known().recorded;
            // Dropped outside of the lock; whoever follows it keeps it a while.
            let gone: Vec<_> = self.lock().extract_if(|_, task| recorded(task)).collect();
            drop(gone);
            enter()
        })
    }

    /// Takes a call that goes on as a task; nothing, if its tool server gave
    /// the same id before.
    pub(crate) fn open(&self, started: Started) -> Option<Arc<Task>> {
        let Started { handle, allowance, own, .. } = started;
        let kept = handle.ttl_ms.unwrap_or(u64::MAX).min(allowance.ttl_ms);
        let name =
            (own.owner.server.clone(), own.session_id().map(str::to_owned), handle.id.clone());
        let task = Arc::new(Task {
            id: handle.id,
            era: started.era,
            own,
            recheck: started.recheck,
            decided: started.decided,
            action_digest: started.action_digest,
            subjects: started.subjects,
            started_at: started.started_at,
            ends: later(started.started_at, kept).min(started.until),
            listed: started.listed,
            known: Mutex::default(),
            _seat: allowance.seat,
        });
        let mut open = self.lock();
        if open.contains_key(&name) {
            return None;
        }
        open.insert(name, Arc::clone(&task));
        Some(task)
    }

    /// A task of this owner.
    pub(crate) fn find(&self, own: &Own, id: &str, now: Timestamp) -> Option<Arc<Task>> {
        let session = own.session_id().map(str::to_owned);
        let name = (own.owner.server.clone(), session, id.to_owned());
        let task = self.lock().get(&name).cloned()?;
        (task.own.is(own) && !task.is_over(now)).then_some(task)
    }

    /// Lets those of a session go, which ends.
    pub(crate) fn take_of(&self, session: &Session) -> Vec<Arc<Task>> {
        self.take_over(|task| task.own.session_id() == Some(session.id.as_str()))
    }

    /// Lets those go that can be followed no more.
    fn take_over(&self, gone: impl Fn(&Task) -> bool) -> Vec<Arc<Task>> {
        self.lock().extract_if(|_, task| gone(task)).map(|(_, task)| task).collect()
    }
}

#[cfg(test)]
mod tests;
