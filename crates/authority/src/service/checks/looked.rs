//! What the ledger has of calls: of those that check a run, and of the run's own.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, EntryId, RunId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::{RunCall, StoredEntry, View};

use super::PAGE;
use crate::refusal::Refusal;
use crate::rules::checks::{Looking, Receipt, Verdict};
use crate::service::disclosed;

/// Bytes of what a named check is told.
const MAX_INPUT_BYTES: usize = 1 << 20;
/// Entries of an action are few; of its texts, none is larger.
const TEXTS: JsonLimits = JsonLimits { max_bytes: 8 << 20, max_depth: 96, max_values: 500_000 };

/// The calls that were taken up as checks of a criterion, in order, with what came of
/// each.
pub(super) fn made_checks(
    view: &View<'_>,
    run: &RunId,
    criterion: &str,
) -> Result<Vec<(ActionId, Verdict)>, Refusal> {
    let entries = view.entries_of_run_kind(run, Kind::RunChecked)?;
    let of = |entry: &StoredEntry| {
        let body = body(entry)?;
        let text = |name: &str| body.member(name).and_then(Json::as_str);
        let verdict = match text("verdict")? {
            "holds" => Verdict::Holds,
            _ => Verdict::DoesNotHold,
        };
        let action = ActionId::parse(text("receipt")?).ok()?;
        (text("criterion") == Some(criterion)).then_some((action, verdict))
    };
    Ok(entries.iter().filter_map(of).collect())
}

/// A call's entry with the parts that a check looks at.
pub(super) struct Looked {
    pub(super) action: ActionId,
    pub(super) decided: StoredEntry,
    is_ok: bool,
    external: bool,
    agents: Vec<String>,
    arguments: Option<Json>,
    result: Option<Digest>,
    grant: Option<bailiwick_store::Grant>,
}

impl Looked {
    pub(super) fn at(view: &View<'_>, action: &ActionId) -> Result<Self, Refusal> {
        let call = view.action(action)?.ok_or_else(|| Refusal::unknown("action", action))?;
        let (decided, completed) = (call.decided, call.completed);
        let is_ok = decided.subjects.decision.as_deref() == Some("allow")
            && completed
                .as_ref()
                .is_some_and(|c| c.subjects.reason.as_deref() == Some("ok") && !is_error(c));
        let result = match &completed {
            Some(completed) => result_of(view, &completed.id)?,
            None => None,
        };
        let grant = decided.subjects.grant.as_deref().and_then(|id| id.parse().ok());
        let grant = match grant {
            Some(id) => view.grant(&id)?.map(|grant| grant.row),
            None => None,
        };
        let arguments = disclosed(view, &decided.id, "arguments")?;
        let (agents, external) = (agents(&decided), is_external(&decided));
        let action = action.clone();
        Ok(Self { action, agents, is_ok, external, arguments, result, grant, decided })
    }

    pub(super) fn is_of(&self, looking: &Looking) -> bool {
        self.arguments.as_ref().and_then(Json::as_object) == Some(&looking.arguments)
    }

    pub(super) fn receipt(&self) -> Receipt<'_> {
        Receipt {
            decided: self.decided.index,
            is_ok: self.is_ok,
            external: self.external,
            tool: self.decided.subjects.tool.as_deref(),
            principal: self.decided.subjects.principal.as_deref(),
            agents: self.agents.iter().map(String::as_str).collect(),
            arguments: self.arguments.as_ref(),
            result: self.result,
            grant: self.grant.as_ref(),
        }
    }
}

fn body(entry: &StoredEntry) -> Option<Object> {
    let leaf = Json::parse(&entry.leaf, &TEXTS).ok()?;
    leaf.as_object()?.member("body")?.as_object().cloned()
}

/// Whether another enforcement point made the call that a decision is about.
pub(in crate::service) fn is_external(decided: &StoredEntry) -> bool {
    let body = body(decided).unwrap_or_default();
    let enforcement = body.member("enforcement").and_then(Json::as_str);
    enforcement.is_some_and(|enforcement| enforcement != "gateway")
}

/// The digest of what a call gave, as its outcome's entry has it; none, if it was
/// erased.
pub(in crate::service) fn result_of(
    view: &View<'_>,
    completed: &EntryId,
) -> Result<Option<Digest>, Refusal> {
    let result = disclosed(view, completed, "result")?;
    let of = |result: &Json| Digest::from_text(result.as_object()?.member("sha256")?.as_str()?);
    Ok(result.as_ref().and_then(of))
}

fn is_error(completed: &StoredEntry) -> bool {
    let told = body(completed).and_then(|body| body.member("is_error")?.as_bool());
    told != Some(false)
}

/// Every agent of the chain that a decision names.
fn agents(decided: &StoredEntry) -> Vec<String> {
    let body = body(decided).unwrap_or_default();
    let hops = body.member("hops").and_then(Json::as_array).unwrap_or_default();
    let named = |hop: &Json| Some(hop.as_object()?.member("agent")?.as_str()?.to_owned());
    hops.iter().filter_map(named).collect()
}

/// A run's allowed calls in order, and whether these are all.
pub(super) fn told_calls(view: &View<'_>, id: &RunId) -> Result<(Vec<Json>, bool), Refusal> {
    let (mut told, mut bytes, mut before) = (Vec::new(), 0usize, None);
    loop {
        let page = view.calls_of_run(id, before, PAGE)?;
        let Some(last) = page.last() else { break };
        before = Some(last.decided);
        for call in &page {
            let object = told_call(view, call)?;
            bytes = bytes.saturating_add(object.canonical().len());
            if bytes > MAX_INPUT_BYTES {
                told.reverse();
                return Ok((told, false));
            }
            told.push(object);
        }
    }
    told.reverse();
    Ok((told, true))
}

fn told_call(view: &View<'_>, call: &RunCall) -> Result<Json, Refusal> {
    let mut object = Object::new()
        .with("action", &call.action)
        .with("tool", &call.tool)
        .with("outcome", call.outcome.clone());
    if let Some(arguments) = disclosed(view, &call.entry, "arguments")? {
        object.insert("arguments", arguments);
    }
    if let Some(completed) = view.action(&call.action)?.and_then(|action| action.completed)
        && let Some(result) = disclosed(view, &completed.id, "result")?
    {
        object.insert("result", result);
    }
    Ok(object.into())
}
