//! The report of one run: what goal was attempted, what context was used, which
//! tools were called, and why the task was considered complete.
//!
//! A report says nothing of its own: every member of a [`RunReport`] follows from
//! entries of the log ([`RunReport::of`]), which its JSON form carries with their
//! proofs. So whoever has the trust file makes the same report from them again and
//! compares ([`verify_report`]). Entries of a run are numbered, so none can be left out
//! between two others. That nothing came *after* the last one shown is the word of
//! whoever gave the report: an audit of the log shows it, one report cannot.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

mod facts;
mod file;
mod html;
mod leaf;
mod markdown;
mod rows;
mod verify;

pub use file::{MAX_ENTRIES, MAX_REPORT_BYTES, ReportError, ReportFile};
pub use verify::{ReportCheck, ReportProven, ReportVerdict, is_report, verify_report};

/// Calls that a report lists one by one at each end of a long run; those between
/// are counted only.
pub const LISTED_CALLS: usize = 200;

/// A text that was committed to: the commitment stays when it is erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The entry's commitment to it; none, if nothing was said.
    pub commitment: Option<String>,
    /// The text; none, if it was erased or is not disclosed here.
    pub text: Option<String>,
}

/// An item of context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextItem {
    /// Its number in the run.
    pub n: u64,
    /// `document`, `memory`, `prompt` or `tool_output`.
    pub kind: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Where it is from: what the workflow lists, an action, or the name that the
    /// agent gave an undeclared source; none, if that was erased.
    pub source: Option<String>,
    /// Whether the workflow lists its source.
    pub declared: bool,
}

/// One call that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The index of its decision's entry.
    pub index: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The action's id; none, where a denial names none.
    pub action: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// Who called.
    pub agent: Option<String>,
    /// `allow`, `deny` or `approval_required`.
    pub decision: String,
    /// The reason of a denial.
    pub reason: Option<String>,
    /// What became of it.
    pub outcome: Option<String>,
    /// Whether another enforcement point made it, whose word the outcome is.
    pub external: bool,
}

/// Calls of a run that were decided alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// The tool; empty, if the call named none.
    pub tool: String,
    /// The decision.
    pub decision: String,
    /// The reason of a denial; empty otherwise.
    pub reason: String,
    /// How many.
    pub calls: u64,
}

/// A way from the principal through agents, by which calls came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Every hop, root first: agent and instance.
    pub hops: Vec<(String, String)>,
    /// Listed calls that came by it.
    pub calls: u64,
}

/// Somebody's word on a call that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// When.
    pub at: Timestamp,
    /// Who, by alias.
    pub approver: String,
    /// `approved` or `denied`; `standing`, for a signature on calls like it.
    pub verdict: String,
    /// The entry's index.
    pub index: u64,
}

/// A completion criterion with what was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriterionFound {
    /// Its id.
    pub id: String,
    /// What must hold.
    pub says: String,
    /// The least grade that suffices.
    pub least: String,
    /// `met`, `contradicted`, `stale`, `too_weak` or `missing`.
    pub finding: String,
    /// The grade of what there is at best.
    pub grade: Option<String>,
    /// Why, in a sentence.
    pub why: String,
}

/// Something that speaks for or against a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceItem {
    /// The criterion.
    pub criterion: String,
    /// Its grade.
    pub grade: String,
    /// What it says.
    pub holds: bool,
    /// Who says so.
    pub by: String,
    /// The call whose receipt it is.
    pub action: Option<String>,
    /// Its place in the log.
    pub index: u64,
}

/// A person's word on the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewItem {
    /// When.
    pub at: Timestamp,
    /// `accepted`, `corrected` or `rejected`.
    pub verdict: String,
    /// Who, by alias.
    pub reviewer: String,
    /// What was put right.
    pub what: Told,
    /// Why.
    pub why: Told,
}

/// What a run took, as its agent states it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Rounds of its loop.
    pub iterations: u64,
    /// Calls of a model.
    pub model_calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What they cost, millionths of `currency`.
    pub cost_micros: u64,
    /// Three letters.
    pub currency: Option<String>,
}

/// One entry of the log that the report rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its index.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// What happened, for people.
    pub what: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub entry: String,
    /// Its leaf hash, base64.
    pub leaf_hash: String,
}

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// The run.
    pub run: String,
    /// The task.
    pub task: String,
    /// Which attempt at it.
    pub attempt: u64,
    /// The workflow.
    pub workflow: String,
    /// The digest of its version.
    pub workflow_digest: String,
    /// The agent.
    pub agent: String,
    /// The instance that started it.
    pub instance: String,
    /// On whose authority: the principal's alias.
    pub principal: String,
    /// The grant.
    pub grant: String,
    /// The goal.
    pub goal: Told,
    /// SHA-256 of the principal's instruction, as the agent states it.
    pub instruction: Told,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// `open`, `claimed` or `abandoned`.
    pub state: String,
    /// What it used.
    pub context: Vec<ContextItem>,
    /// Its calls by tool and decision.
    pub counts: Vec<Count>,
    /// Calls that are counted and not listed.
    pub omitted: u64,
    /// Entries of the run before the last one here that are not here; none, where its
    /// entries have no numbers.
    pub unshown: Option<u64>,
    /// Its calls, in order.
    pub calls: Vec<Call>,
    /// By which ways they came.
    pub paths: Vec<Path>,
    /// Who approved calls that waited.
    pub approvals: Vec<Approval>,
    /// The criteria; none, where the workflow's text is not disclosed.
    pub criteria: Option<Vec<CriterionFound>>,
    /// Whether it counts as complete, derived again from what is here.
    pub complete: Option<bool>,
    /// The evidence.
    pub evidence: Vec<EvidenceItem>,
    /// What people said.
    pub reviews: Vec<ReviewItem>,
    /// What it took.
    pub spent: Spent,
    /// Every entry that this rests on, in order.
    pub timeline: Vec<Moment>,
}

/// The questions that a report answers, in their order.
pub const QUESTIONS: [&str; 4] = [
    "What goal was attempted?",
    "What context was used?",
    "Which tools were called?",
    "Why was the task considered complete?",
];

impl RunReport {
    /// Whether it counts as complete, in a sentence.
    #[must_use]
    pub fn standing(&self) -> &'static str {
        match (self.complete, self.state.as_str()) {
            (_, "open") => "The run goes on.",
            (_, "abandoned") => "The run was abandoned: nothing came of it.",
            (Some(true), _) if self.unshown.is_some_and(|entries| entries > 0) => {
                "The run counts as complete, by those of its entries that are shown."
            }
            (Some(true), _) => "The run counts as complete.",
            (Some(false), _) if self.is_rejected() => {
                "The run does not count as complete: a person rejected it."
            }
            (Some(false), _) => "The run does not count as complete.",
            (None, _) => {
                "Whether the run is complete cannot be derived here: the workflow's text was erased or is not disclosed."
            }
        }
    }

    /// Whether the last word of a person on it is that it is of no use.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.reviews.last().is_some_and(|last| last.verdict == "rejected")
    }

    /// The one JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("run", self.run.as_str())
            .with("task", self.task.as_str())
            .with("attempt", self.attempt)
            .with("workflow", self.workflow.as_str())
            .with("workflow_digest", self.workflow_digest.as_str())
            .with("agent", self.agent.as_str())
            .with("instance", self.instance.as_str())
            .with("principal", self.principal.as_str())
            .with("grant", self.grant.as_str())
            .with("started", self.started.to_string())
            .with("ended", self.ended.map(|t| t.to_string()))
            .with("state", self.state.as_str())
            .with("complete", self.complete)
            .with("goal", self.goal.to_json())
            .with("instruction_sha256", self.instruction.to_json())
            .with("context", list(&self.context, ContextItem::to_json))
            .with("counts", list(&self.counts, Count::to_json))
            .with("omitted", self.omitted)
            .with("unshown", self.unshown)
            .with("calls", list(&self.calls, Call::to_json))
            .with("delegation", list(&self.paths, Path::to_json))
            .with("approvals", list(&self.approvals, Approval::to_json))
            .with("criteria", self.criteria.as_ref().map(|c| list(c, CriterionFound::to_json)))
            .with("evidence", list(&self.evidence, EvidenceItem::to_json))
            .with("reviews", list(&self.reviews, ReviewItem::to_json))
            .with("spent", self.spent.to_json())
            .with("timeline", list(&self.timeline, Moment::to_json))
            .into()
    }
}

fn list<T>(items: &[T], to_json: impl Fn(&T) -> Object) -> Vec<Json> {
    items.iter().map(|item| to_json(item).into()).collect()
}

impl Told {
    fn to_json(&self) -> Object {
        Object::new().with("commitment", self.commitment.clone()).with("text", self.text.clone())
    }
}

impl ContextItem {
    fn to_json(&self) -> Object {
        Object::new()
            .with("n", self.n)
            .with("kind", self.kind.as_str())
            .with("sha256", self.sha256.as_str())
            .with("source", self.source.clone())
            .with("declared", self.declared)
    }
}

impl Call {
    fn to_json(&self) -> Object {
        let mut object = Object::new()
            .with("index", self.index)
            .with("at", self.at.to_string())
            .with("action", self.action.clone())
            .with("tool", self.tool.clone())
            .with("agent", self.agent.clone())
            .with("decision", self.decision.as_str())
            .with("reason", self.reason.clone())
            .with("outcome", self.outcome.clone());
        if self.external {
            object.insert("external", true);
        }
        object
    }
}

impl Count {
    pub(crate) fn to_json(&self) -> Object {
        Object::new()
            .with("tool", self.tool.as_str())
            .with("decision", self.decision.as_str())
            .with("reason", self.reason.as_str())
            .with("calls", self.calls)
    }
}

impl Path {
    fn to_json(&self) -> Object {
        let hop = |(agent, instance): &(String, String)| -> Json {
            Object::new().with("agent", agent.as_str()).with("instance", instance.as_str()).into()
        };
        let hops: Vec<Json> = self.hops.iter().map(hop).collect();
        Object::new().with("hops", hops).with("calls", self.calls)
    }
}

impl Approval {
    fn to_json(&self) -> Object {
        Object::new()
            .with("at", self.at.to_string())
            .with("approver", self.approver.as_str())
            .with("verdict", self.verdict.as_str())
            .with("index", self.index)
    }
}

impl CriterionFound {
    fn to_json(&self) -> Object {
        Object::new()
            .with("id", self.id.as_str())
            .with("says", self.says.as_str())
            .with("least", self.least.as_str())
            .with("finding", self.finding.as_str())
            .with("grade", self.grade.clone())
            .with("why", self.why.as_str())
    }
}

impl EvidenceItem {
    fn to_json(&self) -> Object {
        Object::new()
            .with("criterion", self.criterion.as_str())
            .with("grade", self.grade.as_str())
            .with("holds", self.holds)
            .with("by", self.by.as_str())
            .with("action", self.action.clone())
            .with("index", self.index)
    }
}

impl ReviewItem {
    fn to_json(&self) -> Object {
        Object::new()
            .with("at", self.at.to_string())
            .with("verdict", self.verdict.as_str())
            .with("reviewer", self.reviewer.as_str())
            .with("what", self.what.to_json())
            .with("why", self.why.to_json())
    }
}

impl Spent {
    fn to_json(&self) -> Object {
        Object::new()
            .with("iterations", self.iterations)
            .with("model_calls", self.model_calls)
            .with("input_tokens", self.input_tokens)
            .with("output_tokens", self.output_tokens)
            .with("cost_micros", self.cost_micros)
            .with("currency", self.currency.clone())
    }

    /// The cost for people; none, if none was stated.
    #[must_use]
    pub fn cost(&self) -> Option<String> {
        let currency = self.currency.as_ref()?;
        let (whole, rest) = (self.cost_micros / 1_000_000, self.cost_micros % 1_000_000);
        Some(format!("{whole}.{rest:06} {currency}"))
    }
}

impl Moment {
    fn to_json(&self) -> Object {
        Object::new()
            .with("index", self.index)
            .with("at", self.at.to_string())
            .with("what", self.what.as_str())
            .with("kind", self.kind.as_str())
            .with("entry", self.entry.as_str())
            .with("leaf_hash", self.leaf_hash.as_str())
    }
}

/// Text from outside on one line, safe to print: control, invisible and
/// direction-changing characters are escaped, so that a goal cannot forge a line
/// of the report.
pub(crate) fn plain(text: &str) -> String {
    text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}
