//! Requests for more authority: an agent says what it lacks, and a person grants
//! it, or a part of it, as themselves, or refuses.
//!
//! A request changes nothing. What answers it is a grant like any other, signed
//! by whoever grants and within their own ceiling, but for the task that is
//! under way; its budget goes on counting where the task's did, and it ends no
//! later than the grant under which it was asked for.

use bailiwick_core::accountable::{BudgetMember, budget_beyond};
use bailiwick_core::crypto::{Digest, KeyError, Thumbprint};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{AgentId, Alias, EntryId, GrantId, InstanceId, RequestId, TaskId};
use bailiwick_core::jose::{self, HeaderRules, Jws, JwsSigner, VerifyingKey};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::expand::expand;
use bailiwick_store::{AuthorityRequest, RequestState, Row, Task};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Requests of one task that wait at once at most.
pub const MAX_OPEN: u64 = 5;
/// Requests of one task within an hour at most.
pub const MAX_HOURLY: u64 = 20;
/// Seconds over which [`MAX_HOURLY`] counts.
pub const FLOOD_SECONDS: i64 = 3_600;
/// Shorthands of one request at most.
pub const MAX_SCOPE: usize = 16;
/// Characters of one shorthand at most.
pub const MAX_SHORTHAND_CHARS: usize = 200;
/// Characters of a reason at most.
pub const MAX_REASON_CHARS: usize = 1_000;
/// Seconds for which a request waits for somebody who decides.
pub const WAIT_SECONDS: i64 = 3_600;
/// Seconds for which more authority is asked, where the agent says nothing.
pub const DEFAULT_SECONDS: u64 = 900;
/// Seconds for which it can be asked at least: less is over before it is used.
pub const MIN_SECONDS: u64 = 60;

/// The `typ` of a refusal that is signed with a principal's own key.
const REFUSAL_TYPE: &str = "bailiwick-request-refusal+jwt";
const MAX_SIGNED_BYTES: usize = 4_096;

/// Why a request is none, or is not decided so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The task asks too often.
    #[error("the task asks for more authority too often")]
    Flood,
    /// A member that is missing, too long or malformed.
    #[error("`{member}` of the request is missing, too long or malformed")]
    Form {
        /// Which one.
        member: &'static str,
    },
    /// Another agent than the one that has the task.
    #[error("only the agent to which the task was delegated asks for more")]
    NotTheTasks,
    /// What it rests on ends too soon.
    #[error("the grant under which it is asked ends before more could be used")]
    Ending,
    /// It is settled.
    #[error("the request does not wait any more: {how}")]
    Settled {
        /// `granted`, `refused` or `expired`.
        how: &'static str,
    },
    /// The signature over a refusal does not hold.
    #[error("the refusal is not signed with a registered key of its principal")]
    Unsigned,
    /// More than was asked for.
    #[error("the agent did not ask for that much: `{member}`")]
    Wider {
        /// Which part.
        member: &'static str,
    },
}

impl RequestError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Flood => "request-flood",
            Self::Form { .. } => "request-malformed",
            Self::NotTheTasks => "request-not-the-tasks",
            Self::Ending => "request-ending",
            Self::Settled { .. } => "request-settled",
            Self::Unsigned => "request-refusal-unsigned",
            Self::Wider { .. } => "request-wider",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Flood => "wait until people have decided, and ask for less at once",
            Self::Form { .. } => {
                "send 1 to 16 shorthands, a reason of 1 to 1000 characters, and from 60 seconds up"
            }
            Self::NotTheTasks => "ask the agent that delegated to you",
            Self::Ending => "ask the principal for a new grant",
            Self::Settled { .. } => "nothing: the agent asks again if it must",
            Self::Unsigned => "sign with your own registered key, or refuse in the console",
            Self::Wider { .. } => "grant what was asked for, or less",
        }
    }
}

/// Who asks, as its chain and proof say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// On whose authority it acts.
    pub principal: Alias,
    /// The agent.
    pub agent: AgentId,
    /// The instance.
    pub instance: InstanceId,
    /// Its holder key.
    pub holder: Thumbprint,
    /// The task.
    pub task: TaskId,
    /// The grant behind its chain.
    pub grant: GrantId,
    /// The root's token hash.
    pub root: Digest,
    /// The leaf's token hash.
    pub leaf: Digest,
}

/// What it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Shorthands of the task's workflow.
    pub scope: Vec<String>,
    /// Why, in the agent's words.
    pub reason: String,
    /// For how long at most; [`DEFAULT_SECONDS`], if it does not say.
    pub seconds: Option<u64>,
}

/// What a request rests on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The task.
    pub task: &'a Task,
    /// The current version of its workflow.
    pub workflow: &'a Workflow,
    /// The end of the grant under which it is asked.
    pub ends: Timestamp,
    /// Requests of the task within the last hour.
    pub hourly: u64,
    /// Those of them that wait.
    pub open: u64,
}

/// Whether it is a request, and for how many seconds.
///
/// # Errors
/// [`RequestError`]; [`Refusal::Expand`] names what the workflow does not offer;
/// [`Refusal::TaskMismatch`] when nothing can be granted under the task's version
/// of the workflow any more.
pub fn check(
    asker: &Asker,
    wanted: &Wanted,
    ground: &Ground<'_>,
    now: Timestamp,
) -> Result<u64, Refusal> {
    let form = |member| Refusal::from(RequestError::Form { member });
    let long = |shorthand: &String| shorthand.chars().count() > MAX_SHORTHAND_CHARS;
    let twice = |i: usize, s: &String| wanted.scope.iter().skip(i + 1).any(|other| other == s);
    let scope = &wanted.scope;
    if scope.is_empty()
        || scope.len() > MAX_SCOPE
        || scope.iter().any(long)
        || scope.iter().enumerate().any(|(i, s)| twice(i, s))
    {
        return Err(form("scope"));
    }
    let reason = wanted.reason.trim();
    if reason.is_empty() || wanted.reason.chars().count() > MAX_REASON_CHARS {
        return Err(form("reason"));
    }
    // SECURITY: whoever was delegated a part asks whoever has the whole.
    if asker.agent != ground.task.agent || !ground.workflow.permits_agent(&asker.agent) {
        return Err(RequestError::NotTheTasks.into());
    }
    let window = ground.workflow.window_seconds;
    let seconds = wanted.seconds.unwrap_or(DEFAULT_SECONDS.min(window));
    if seconds < MIN_SECONDS {
        return Err(form("seconds"));
    }
    if seconds > window {
        let known = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        return Err(Refusal::WindowTooLong { asked: known(seconds), max: known(window) });
    }
    if ground.workflow.digest() != ground.task.workflow_digest {
        return Err(Refusal::TaskMismatch { member: "workflow version" });
    }
    expand(ground.workflow, scope)?;
    if ground.ends < now.plus_seconds(i64::try_from(MIN_SECONDS).unwrap_or(i64::MAX)) {
        return Err(RequestError::Ending.into());
    }
    Ok(seconds)
}

/// Records a request.
///
/// # Errors
/// As [`check`]; [`RequestError::Flood`].
pub fn ask(
    moment: &Moment<'_>,
    installation: &Installation,
    asker: &Asker,
    wanted: &Wanted,
    ground: &Ground<'_>,
) -> Result<Plan<AuthorityRequest>, Refusal> {
    let now = moment.now();
    let seconds = check(asker, wanted, ground, now)?;
    if ground.open >= MAX_OPEN || ground.hourly >= MAX_HOURLY {
        return Err(RequestError::Flood.into());
    }
    let row = AuthorityRequest {
        id: RequestId::mint(now, moment.random()?),
        state: RequestState::Pending,
        principal: asker.principal.clone(),
        agent: asker.agent.clone(),
        instance: asker.instance.clone(),
        holder: asker.holder,
        workflow: ground.task.workflow.clone(),
        workflow_digest: ground.task.workflow_digest,
        task: asker.task.clone(),
        grant: asker.grant.clone(),
        root: asker.root,
        leaf: asker.leaf,
        seconds,
        asked: now,
        expires: now.plus_seconds(WAIT_SECONDS).min(ground.ends),
        settled: None,
        granted: None,
    };
    let scope: Vec<bailiwick_core::json::Json> =
        wanted.scope.iter().map(|s| s.as_str().into()).collect();
    let step = Step::new(moment, &installation.org, Kind::AuthorityRequested)?
        .about(|s| {
            s.principal = Some(row.principal.to_string());
            s.agent = Some(row.agent.to_string());
            s.instance = Some(row.instance.to_string());
            s.workflow = Some(row.workflow.to_string());
            s.task = Some(row.task.to_string());
            s.grant = Some(row.grant.to_string());
            s.delegation = Some(row.leaf.to_string());
        })
        .with("request", &row.id)
        .with("holder", row.holder)
        .with("root", row.root)
        .with("seconds", row.seconds)
        .with("expires", row.expires.seconds())
        .commit(moment, "scope", scope)?
        .commit(moment, "reason", wanted.reason.as_str())?
        .row(Row::AuthorityRequest(Box::new(row.clone())));
    Ok(Plan::one(step, row))
}

/// Where a request stands at `now`, in a word.
#[must_use]
pub fn stands(request: &AuthorityRequest, now: Timestamp) -> &'static str {
    match request.state {
        RequestState::Pending if request.expires <= now => "expired",
        state => state.as_str(),
    }
}

/// Whether somebody may still decide about it.
///
/// # Errors
/// [`RequestError::Settled`].
pub fn open(request: &AuthorityRequest, now: Timestamp) -> Result<(), RequestError> {
    match stands(request, now) {
        "pending" => Ok(()),
        how => Err(RequestError::Settled { how }),
    }
}

/// A request that a grant answers, with what it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    /// The request.
    pub request: &'a AuthorityRequest,
    /// The entry that recorded it.
    pub asked: &'a EntryId,
    /// The shorthands that it asks for.
    pub scope: &'a [String],
    /// The statement of the grant under which it was asked.
    pub under: &'a Statement,
    /// Whose counters that grant's budget counts in.
    pub account: Digest,
}

impl Answering<'_> {
    /// Whether a statement is an answer: for the same agent, task and workflow,
    /// with no more than was asked for, and no more to spend or longer to live
    /// than what the agent asked under.
    ///
    /// # Errors
    /// [`RequestError::Settled`], [`RequestError::Wider`].
    pub fn permits(&self, statement: &Statement, now: Timestamp) -> Result<(), RequestError> {
        open(self.request, now)?;
        let seconds = i64::try_from(self.request.seconds).unwrap_or(i64::MAX);
        let window = statement.not_after.saturating_sub(statement.not_before);
        let wider = [
            ("task", statement.task != self.request.task),
            ("agent", statement.agent != self.request.agent),
            ("workflow", statement.workflow != self.request.workflow),
            ("scope", statement.requested.iter().any(|s| !self.scope.contains(s))),
            ("seconds", window > seconds || statement.not_after > self.under.not_after),
            ("max_depth", statement.max_depth > 0),
            ("budget", !self.is_within_budget(statement)),
        ];
        match wider.iter().find(|(_, is_wider)| *is_wider) {
            Some((member, _)) => Err(RequestError::Wider { member }),
            None => Ok(()),
        }
    }

    /// SECURITY: more authority is no new budget. Each member that the task was
    /// given stands in the answer too, and counts on in the same counter.
    fn is_within_budget(&self, statement: &Statement) -> bool {
        let concerns = |member: &str| {
            let tool = BudgetMember::parse(member).and_then(|m| m.counted.tool());
            tool.is_none_or(|tool| statement.tools.member(tool).is_some())
        };
        let mut members = self.under.budget.iter().filter(|(member, _)| concerns(member));
        members.all(|(member, _)| statement.budget.member(member).is_some())
            && budget_beyond(&self.under.budget, &statement.budget).is_none()
    }
}

/// The entry of a grant that answers a request. `granter` signed it.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn granted(
    moment: &Moment<'_>,
    installation: &Installation,
    answering: &Answering<'_>,
    statement: &Statement,
    granter: &Alias,
) -> Result<Step, Refusal> {
    let request = answering.request;
    Ok(decided(moment, installation, Kind::AuthorityGranted, request, answering.asked, granter)?
        .about(|s| s.grant = Some(statement.id.to_string()))
        .with("grant", &statement.id)
        .row(Row::AuthorityRequestState {
            request: request.id.clone(),
            state: RequestState::Granted,
            grant: Some(statement.id.clone()),
        }))
}

/// Records that somebody refused. `signed` is their signature, where a key of
/// theirs and no session says who they are.
///
/// # Errors
/// [`RequestError::Settled`], [`Refusal::NoteTooLong`].
pub fn refuse(
    moment: &Moment<'_>,
    installation: &Installation,
    (request, asked): (&AuthorityRequest, &EntryId),
    by: &Alias,
    signed: Option<&str>,
    note: Option<&str>,
) -> Result<Plan<()>, Refusal> {
    open(request, moment.now())?;
    if note.is_some_and(|note| note.chars().count() > MAX_REASON_CHARS) {
        return Err(Refusal::NoteTooLong { max: MAX_REASON_CHARS });
    }
    let mut step =
        decided(moment, installation, Kind::AuthorityRefused, request, asked, by)?.row({
            let (request, state) = (request.id.clone(), RequestState::Refused);
            Row::AuthorityRequestState { request, state, grant: None }
        });
    for (field, text) in [("signed", signed), ("note", note)] {
        if let Some(text) = text {
            step = step.commit(moment, field, text)?;
        }
    }
    Ok(Plan::one(step, ()))
}

fn decided(
    moment: &Moment<'_>,
    installation: &Installation,
    kind: Kind,
    request: &AuthorityRequest,
    asked: &EntryId,
    by: &Alias,
) -> Result<Step, Refusal> {
    Ok(Step::new(moment, &installation.org, kind)?
        .about(|s| {
            s.principal = Some(by.to_string());
            s.agent = Some(request.agent.to_string());
            s.workflow = Some(request.workflow.to_string());
            s.task = Some(request.task.to_string());
        })
        .with("request", &request.id)
        .with("asked", asked))
}

/// That somebody read the text of a request.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn read(
    moment: &Moment<'_>,
    installation: &Installation,
    request: &RequestId,
    asked: &EntryId,
    by: &'static str,
) -> Result<Plan<()>, Refusal> {
    texts_read(moment, installation, ("request", request.as_str()), asked, by)
}

/// Records that the texts behind an entry were read: `what` is the member that
/// names it, and its id.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn texts_read(
    moment: &Moment<'_>,
    installation: &Installation,
    (what, id): (&str, &str),
    entry: &EntryId,
    by: &'static str,
) -> Result<Plan<()>, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::PlaintextRead)?
        .about(|s| s.action = Some(entry.to_string()))
        .with("by", by)
        .with(what, id);
    Ok(Plan::one(step, ()))
}

fn refusal(request: &RequestId) -> Object {
    Object::new().with("request", request).with("verdict", "refuse")
}

/// Signs a refusal with a principal's own key.
///
/// # Errors
/// [`KeyError`] when the library refuses to sign.
pub fn sign_refusal(request: &RequestId, key: &dyn JwsSigner) -> Result<String, KeyError> {
    jose::sign(REFUSAL_TYPE, None, &refusal(request).into(), key)
}

/// Whether one of `keys` signed a refusal of this very request.
///
/// # Errors
/// [`RequestError::Unsigned`].
pub fn verify_refusal(
    request: &RequestId,
    signed: &str,
    keys: &[VerifyingKey],
) -> Result<(), RequestError> {
    const RULES: HeaderRules<'_> = HeaderRules::typed(&[REFUSAL_TYPE]);
    let jws = Jws::parse(signed, MAX_SIGNED_BYTES).and_then(|jws| jws.check_header(&RULES));
    let jws = jws.map_err(|_| RequestError::Unsigned)?;
    let holds = |key: &VerifyingKey| {
        key.accepts(jws.algorithm()) && jws.verify(key).is_ok_and(|said| said == refusal(request))
    };
    if keys.iter().any(holds) { Ok(()) } else { Err(RequestError::Unsigned) }
}
