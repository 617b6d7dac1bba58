//! What a run used and what it took.

use bailiwick_core::ids::ActionId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::run::{Item, ItemKind, ModelCall};
use bailiwick_store::{ContextKind, Row, Run, RunContext, RunSpent};

use super::{MAX_CONTEXT, Receipt, RunError, added, deadline, step};
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::requests::Asker;

/// How an undeclared source, and an item without a known label, stand in the ledger.
pub const UNDECLARED: &str = "undeclared";
const DECLARED: &str = "declared";

/// What a note rests on.
#[derive(Clone, Copy, Debug)]
pub struct Noting<'a> {
    /// The open run.
    pub run: &'a Run,
    /// Who speaks.
    pub asker: &'a Asker,
    /// The end of the grant under which the run began.
    pub ends: Timestamp,
}

impl Noting<'_> {
    /// SECURITY: nobody but the agent that has the task speaks of its run.
    pub(super) fn check(&self) -> Result<(), RunError> {
        match self.asker.agent == self.run.agent && self.asker.task == self.run.task {
            true => Ok(()),
            false => Err(RunError::NotTheTasks),
        }
    }

    pub(super) fn step(
        &self,
        moment: &Moment<'_>,
        installation: &Installation,
        kind: Kind,
    ) -> Result<Step, Refusal> {
        Ok(step(moment, installation, kind, self.run)?.about(|s| {
            s.instance = Some(self.asker.instance.to_string());
            s.grant = Some(self.asker.grant.to_string());
            s.delegation = Some(self.asker.leaf.to_string());
        }))
    }
}

/// Records context that a run used. `noted`: the items that it has already.
/// `receipts`: what the ledger has of the calls that sources name.
///
/// The outcome is the items as they stand.
///
/// # Errors
/// [`RunError`]: a receipt of another run or of none refuses the whole note.
pub fn context(
    moment: &Moment<'_>,
    installation: &Installation,
    noting: &Noting<'_>,
    items: &[Item],
    (workflow, noted, receipts): (&Workflow, u64, &[Receipt]),
) -> Result<Plan<Vec<RunContext>>, Refusal> {
    noting.check()?;
    let more = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if noted.saturating_add(more) > MAX_CONTEXT {
        return Err(RunError::TooMany { what: "items of context", max: MAX_CONTEXT }.into());
    }
    let (mut rows, mut texts) = (Vec::new(), Vec::new());
    for (item, n) in items.iter().zip(noted.saturating_add(1)..) {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let declared = is_declared(workflow, item, noting.run, receipts)?;
        rows.push(row(workflow, item, noting.run, n, declared, moment.now()));
        let text = Object::new().with("n", u64::from(n)).with("source", item.source.as_str());
        texts.push(Json::from(match &item.label {
            Some(label) => text.with("label", label.as_str()),
            None => text,
        }));
    }
    let undeclared = rows.iter().filter(|row| !row.declared).count();
    let step = noting
        .step(moment, installation, Kind::RunContext)?
        .with("count", more)
        .with("undeclared", u64::try_from(undeclared).unwrap_or(u64::MAX))
        .commit(moment, "items", texts)?
        .row(Row::RunContext { items: rows.clone() });
    Ok(Plan::one(step, rows))
}

/// Whether the workflow lists an item's source, or it is exactly what a call of this
/// run gave.
fn is_declared(
    workflow: &Workflow,
    item: &Item,
    run: &Run,
    receipts: &[Receipt],
) -> Result<bool, RunError> {
    let sources = workflow.checklist.data_sources.as_ref();
    if sources.is_some_and(|sources| sources.context.contains(&item.source)) {
        return Ok(true);
    }
    match cited(item) {
        Some(action) => {
            let receipt = Receipt::of(receipts, &action, &run.id)?;
            // SECURITY: a call's id beside any digest says nothing of where that is from.
            let is_it = receipt.result == Some(item.digest) && !receipt.external;
            Ok(is_it && receipt.outcome.as_deref() == Some("ok"))
        }
        None => Ok(false),
    }
}

/// The call whose output an item is, if its source names one.
pub(crate) fn cited(item: &Item) -> Option<ActionId> {
    let action = ActionId::parse(&item.source).ok();
    action.filter(|_| item.kind == ItemKind::ToolOutput)
}

/// SECURITY: a leaf has no words of the agent's. A source stands in it if the workflow
/// lists it or it is a call's id, a label if it is a class of data that the workflow
/// lists.
fn row(
    workflow: &Workflow,
    item: &Item,
    run: &Run,
    n: u32,
    declared: bool,
    now: Timestamp,
) -> RunContext {
    let classes = workflow.checklist.data_sources.as_ref().map(|sources| &sources.classes);
    let class = |label: &&String| classes.is_some_and(|classes| classes.contains(*label));
    let plain = if declared { DECLARED } else { UNDECLARED };
    RunContext {
        run: run.id.clone(),
        n,
        kind: match item.kind {
            ItemKind::Document => ContextKind::Document,
            ItemKind::Memory => ContextKind::Memory,
            ItemKind::Prompt => ContextKind::Prompt,
            ItemKind::ToolOutput => ContextKind::ToolOutput,
        },
        digest: item.digest,
        source: if declared { item.source.clone() } else { UNDECLARED.to_owned() },
        label: item.label.as_ref().filter(class).map_or_else(|| plain.to_owned(), Clone::clone),
        declared,
        noted: now,
    }
}

/// Records what a run took on top of what it took before. The outcome is what came on
/// top.
///
/// # Errors
/// [`RunError`].
pub fn progress(
    moment: &Moment<'_>,
    installation: &Installation,
    noting: &Noting<'_>,
    (iterations, model_calls, currency): (u64, &[ModelCall], Option<&str>),
) -> Result<Plan<RunSpent>, Refusal> {
    noting.check()?;
    let before = &noting.run.spent;
    let sum =
        |amount: fn(&ModelCall) -> u64| model_calls.iter().map(amount).fold(0, u64::saturating_add);
    let more = RunSpent {
        iterations,
        model_calls: u64::try_from(model_calls.len()).unwrap_or(u64::MAX),
        input_tokens: sum(|call| call.input_tokens),
        output_tokens: sum(|call| call.output_tokens),
        cost_micros: sum(|call| call.cost_micros),
        currency: currency.map(str::to_owned).or_else(|| before.currency.clone()),
    };
    added(before, &more)?;
    if before.currency.is_some() && more.currency != before.currency {
        return Err(RunError::Currency.into());
    }
    if more.cost_micros > 0 && more.currency.is_none() {
        return Err(RunError::Form { member: "currency" }.into());
    }
    let mut step = noting.step(moment, installation, Kind::RunProgress)?;
    if !model_calls.is_empty() {
        let calls: Vec<Json> = model_calls
            .iter()
            .map(|call| {
                Object::new()
                    .with("model", call.model.as_str())
                    .with("input_tokens", call.input_tokens)
                    .with("output_tokens", call.output_tokens)
                    .with("cost_micros", call.cost_micros)
                    .into()
            })
            .collect();
        step = step.commit(moment, "model_calls", calls)?;
    }
    let row = Row::RunProgress {
        run: noting.run.id.clone(),
        more: more.clone(),
        deadline: deadline(moment.now(), noting.ends),
    };
    Ok(Plan::one(step.row(row), more))
}
