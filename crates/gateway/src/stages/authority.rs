//! Stage 3, the part that needs the catalogue: the tool is rated in the task's
//! workflow and pinned, its definition is unchanged, the arguments fit its
//! pinned schema, and what the call costs can be counted. Whether the budget
//! suffices is settled with the record, atomically.

mod peer;

use std::sync::Arc;

use bailiwick_core::aat::verify::Verified;
use bailiwick_core::accountable::{Accountable, Charge, Unavailable};
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{PrincipalId, RunId};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::catalogue::Rating;
use bailiwick_policy::grades::{Level, Risk, RunState};
use bailiwick_policy::mcp_methods::{CallForm, Era, INPUT_ARGUMENT, Treatment};
use bailiwick_policy::permit::Circumstances;

use super::Stopped;
use super::boundary::{CallRequest, Enforcement, Speech};
use super::identity::Identified;
use crate::gateway::Inner;
use crate::ports::{Errand, OpenRun, Pin, ToolServer, UpstreamIdentity};
use crate::sessions::Session;
use crate::tasks::Allowance;

/// A call that the delegation covers, of a tool that is as it was pinned.
#[derive(Debug)]
pub struct Covered {
    pub(crate) call: Covering,
    pub(crate) verified: Verified<Accountable>,
}

/// What is known of a covered call besides who makes it.
#[derive(Debug)]
pub(crate) struct Covering {
    pub(crate) request: Arc<CallRequest>,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) server: Arc<ToolServer>,
    /// Reading a resource has none.
    pub(crate) pin: Option<Pin>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) ground: Ground,
    /// That it may go on as a task.
    pub(crate) task: Option<Allowance>,
}

/// What the catalogue says of a call's tool: the ground that later decisions
/// stand on, whichever way they go.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) rating: Rating,
    /// The level that the workflow's record leaves it now.
    pub(crate) in_force: Level,
    /// Reading a resource has none, nor has a call that was stopped before its
    /// pin was found.
    pub(crate) pin: Option<Digest>,
    /// By whose account the tool server will know the call; none, if it is shown
    /// no credential, or the call was stopped before that was known.
    pub(crate) identity: Option<UpstreamIdentity>,
    /// The run of the task to which the call belongs.
    pub(crate) run: Option<OpenRun>,
    /// The run because of which the call was announced, outside of it.
    pub(crate) errand: Option<Errand>,
}

impl Ground {
    /// The run's id.
    pub(crate) fn run_id(&self) -> Option<&RunId> {
        self.run.as_ref().map(|open| &open.run)
    }

    /// What policy is told of the run.
    pub(crate) fn run_state(&self) -> RunState {
        match &self.run {
            // It belongs to the run that it checks or undoes, and needs none of its own.
            None if self.errand.is_some() => RunState::Open,
            None => RunState::None,
            Some(OpenRun { undeclared: false, .. }) => RunState::Open,
            Some(OpenRun { undeclared: true, .. }) => RunState::Undeclared,
        }
    }

    /// What policy is told besides the chain and the workflow.
    pub(crate) fn circumstances(&self) -> Circumstances {
        let run = self.run_state();
        Circumstances { identity: self.identity, in_force: self.in_force, run }
    }
}

/// Looks the call up and checks it.
pub(crate) async fn cover(gateway: &Inner, identified: Identified) -> Result<Covered, Stopped> {
    let Identified { request, verified, session } = identified;
    let mut ground = match ground(gateway, &request, &verified) {
        Ok(ground) => ground,
        Err(denial) => return Err(Stopped::known(denial, verified)),
    };
    match check(gateway, &request, &verified, &mut ground).await {
        Ok((server, pin, charges, task)) => {
            let call = Covering { request, session, server, pin, charges, ground, task };
            Ok(Covered { call, verified })
        }
        Err(denial) => Err(Stopped::known(denial, verified).on(ground)),
    }
}

fn ground(
    gateway: &Inner,
    request: &CallRequest,
    verified: &Verified<Accountable>,
) -> Result<Ground, Denial> {
    let tool = &request.call.tool;
    let workflow = workflow(gateway, &verified.facts().authority.workflow_digest)?;
    let rating = workflow
        .catalogue
        .rating(tool)
        .cloned()
        .ok_or_else(|| Denial::new(Reason::ToolNotCatalogued).about(tool.as_str()))?;
    let in_force = match gateway.ports.catalogue.autonomy(&workflow) {
        Ok(level) => level,
        Err(Unavailable) => return Err(Denial::new(Reason::StateUnavailable)),
    };
    let task = &verified.facts().authority.task;
    let run = gateway.ports.runs.of_task(task, verified.now());
    let unavailable = |Unavailable| Denial::new(Reason::RunUnavailable);
    let run = run.map_err(unavailable)?;
    // SECURITY: what others say of a call shows nothing, so nobody waits for theirs.
    let errand = match request.enforcement {
        Enforcement::Gateway => {
            let call = (tool, &request.call.arguments);
            let root = verified.chain().root_hash();
            gateway.ports.runs.errand(&root, call, verified.now()).map_err(unavailable)?
        }
        Enforcement::External(_) => None,
    };
    Ok(Ground { workflow, rating, in_force, run, errand, pin: None, identity: None })
}

type Looked = (Arc<ToolServer>, Option<Pin>, Vec<Charge>, Option<Allowance>);

/// Checks the call; what is found of the pin goes into `ground`, so that a
/// denial knows it too.
async fn check(
    gateway: &Inner,
    request: &CallRequest,
    verified: &Verified<Accountable>,
    ground: &mut Ground,
) -> Result<Looked, Denial> {
    let tool = &request.call.tool;
    let principal = &verified.facts().authority.principal;
    let server = server(gateway, &request.server, principal).await?;
    ground.identity = gateway.upstream.shown_identity(&server);
    if is_high(&ground.rating)
        && verified.facts().staleness_ms > gateway.config.staleness_seconds.1.saturating_mul(1000)
    {
        return Err(Denial::new(Reason::RevocationStale));
    }
    let pin = match &request.speech {
        Speech::Peer(spoken) => {
            let facts = verified.facts();
            let asked = &spoken.asked;
            Some(peer::pinned(gateway, request, asked, facts, &server, ground).await?)
        }
        Speech::Http { .. } => {
            Some(pinned(gateway, request, &server, CallForm::Tool, ground).await?)
        }
        Speech::Mcp { method, .. } => match method.treatment {
            Treatment::Call(CallForm::Resource) => None,
            Treatment::Call(form) => Some(pinned(gateway, request, &server, form, ground).await?),
            _ => return Err(Denial::new(Reason::MethodUnknown)),
        },
    };
    let answers = request.call.arguments.member(INPUT_ARGUMENT).is_some();
    if answers && ground.workflow.catalogue.questions(&request.server).next().is_none() {
        return Err(Denial::new(Reason::AnswerUnasked).about("inputResponses"));
    }
    let (chain, facts) = (verified.chain(), verified.facts());
    // INVARIANT: windows are those of the decision's own time, which its entry
    // states, not of the moment at which it is written.
    let arguments = &request.call.arguments;
    let charges = Charge::of(chain, facts, tool.as_str(), arguments, verified.now())
        .map_err(|error| Denial::new(Reason::ArgumentsInvalid).about(error.argument))?;
    let task = allowance(gateway, request, verified, &ground.workflow)?;
    Ok((server, pin, charges, task))
}

/// The pin of a tool, prompt or operation that is as it was pinned, and whose
/// schema the arguments fit.
async fn pinned(
    gateway: &Inner,
    request: &CallRequest,
    server: &ToolServer,
    form: CallForm,
    ground: &mut Ground,
) -> Result<Pin, Denial> {
    let tool = &request.call.tool;
    let pin = server
        .pins
        .get(tool.operation())
        .ok_or_else(|| Denial::new(Reason::ToolNotCatalogued).about(tool.as_str()))?;
    ground.pin = Some(pin.digest);
    let (any, high) = gateway.config.pin_check_seconds;
    let bound = if is_high(&ground.rating) { high } else { any };
    let arguments = &request.call.arguments;
    let spoken = match &pin.operation {
        // Nothing but the accepted definition says what is sent, so there is
        // nothing to compare it with.
        Some(operation) => operation.request(arguments).is_ok(),
        None => {
            gateway.pins.ensure(gateway, server, tool.operation(), pin, bound).await?;
            true
        }
    };
    if !spoken || !gateway.schemas.fit(form, pin, arguments) {
        return Err(Denial::new(Reason::ArgumentsInvalid).about(tool.as_str()));
    }
    if let Some(stated) = &request.stated
        && let Some(header) = crate::headers::disagreeing(pin, arguments, stated)
    {
        return Err(Denial::new(Reason::ParamHeaderMismatch).about(header));
    }
    Ok(pin.clone())
}

/// Whether a call may go on as a task, and for how long: no longer than its
/// workflow says, its client wants, and its delegation lasts.
fn allowance(
    gateway: &Inner,
    request: &CallRequest,
    verified: &Verified<Accountable>,
    workflow: &Workflow,
) -> Result<Option<Allowance>, Denial> {
    let Some(wish) = request.wish else { return Ok(None) };
    // Who only can follow a task has not asked for one: the tool server is not
    // told, and answers as it does to others.
    let refused = |reason| match request.era {
        Era::Sessions => Err(Denial::new(reason).about("task")),
        Era::Stateless => Ok(None),
    };
    let here = request.enforcement == Enforcement::Gateway;
    let seconds = workflow.catalogue.task_seconds(&request.server).filter(|_| here);
    let Some(seconds) = seconds else { return refused(Reason::TaskNotListed) };
    let chain = verified.chain();
    let holder = chain.links().last().map(|leaf| leaf.claims.holder.thumbprint());
    let seat = holder.and_then(|key| gateway.tasks.seat(key));
    let Some(seat) = seat else { return refused(Reason::TooManyCalls) };
    let left = Timestamp::from_seconds(chain.expires()).millis_since(verified.now());
    let ttl_ms = seconds
        .saturating_mul(1000)
        .min(wish.ttl_ms.unwrap_or(u64::MAX))
        .min(u64::try_from(left).unwrap_or(0));
    Ok(Some(Allowance { ttl_ms, seat }))
}

fn is_high(rating: &Rating) -> bool {
    rating.risk >= Risk::High
}

/// The workflow that a chain names.
pub(crate) fn workflow(gateway: &Inner, digest: &Digest) -> Result<Arc<Workflow>, Denial> {
    match gateway.ports.catalogue.workflow(digest) {
        Ok(Some(workflow)) => Ok(workflow),
        Ok(None) => Err(Denial::new(Reason::ToolNotCatalogued).about("workflow")),
        Err(Unavailable) => Err(Denial::new(Reason::StateUnavailable)),
    }
}

/// The tool server of an endpoint, with the credential that it is shown on
/// behalf of this principal.
pub(crate) async fn server(
    gateway: &Inner,
    name: &bailiwick_core::ids::ServerName,
    principal: &PrincipalId,
) -> Result<Arc<ToolServer>, Denial> {
    gateway.broker.equip(catalogued(gateway, name)?, principal).await
}

/// The tool server of an endpoint, shown nothing.
pub(crate) fn catalogued(
    gateway: &Inner,
    name: &bailiwick_core::ids::ServerName,
) -> Result<Arc<ToolServer>, Denial> {
    match gateway.ports.catalogue.server(name) {
        Ok(Some(server)) if server.revoked => {
            Err(Denial::new(Reason::Revoked).about("tool_server"))
        }
        Ok(Some(server)) => Ok(server),
        Ok(None) => Err(Denial::new(Reason::ToolNotCatalogued).about(name.as_str())),
        Err(Unavailable) => Err(Denial::new(Reason::StateUnavailable)),
    }
}
