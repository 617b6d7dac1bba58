//! Runs: what was attempted, with what, by which calls, and why it counts as complete.

use askama::Template;

use super::{EntryLine, Frame, Moment, Text};

/// One run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLine {
    /// Its id.
    pub id: String,
    /// Its page.
    pub path: String,
    /// The workflow.
    pub workflow: Text,
    /// The agent.
    pub agent: Text,
    /// On whose authority; `None` once erased, or where names are not shown.
    pub principal: Option<Text>,
    /// Which attempt at the task.
    pub attempt: u32,
    /// Where it stands, and the badge's class.
    pub state: (&'static str, &'static str),
    /// What was last said in a review, and the badge's class.
    pub review: Option<(&'static str, &'static str)>,
    /// When it began.
    pub started: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
}

/// What the list is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilterView {
    /// A workflow.
    pub workflow: Text,
    /// An agent.
    pub agent: Text,
    /// A task.
    pub task: Text,
    /// Where it stands.
    pub state: Text,
}

impl RunFilterView {
    /// Whether anything is asked for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        [&self.workflow, &self.agent, &self.task, &self.state].iter().any(|t| !t.is_empty())
    }
}

/// `/runs`
#[derive(Clone, Debug, Template)]
#[template(path = "runs.html")]
pub struct RunsPage {
    /// The frame.
    pub frame: Frame,
    /// What was asked for.
    pub filter: RunFilterView,
    /// What of it is not understood.
    pub problem: Option<Text>,
    /// Runs that wait for this person's review.
    pub to_review: Vec<RunLine>,
    /// The runs, newest first.
    pub runs: Vec<RunLine>,
    /// The next, older page.
    pub older: Option<String>,
    /// Whether this is the first page.
    pub is_newest: bool,
    /// Whether only the person's own are listed.
    pub own_only: bool,
}

/// One item of context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextItemLine {
    /// What it is.
    pub kind: &'static str,
    /// SHA-256 of its content.
    pub digest: String,
    /// Where it is from.
    pub source: Text,
    /// Whether that is known: an erased name is not.
    pub is_named: bool,
    /// The call that gave it.
    pub call: Option<String>,
    /// The agent's label.
    pub label: Text,
    /// Whether the workflow lists its source.
    pub declared: bool,
}

/// A tool's calls in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLine {
    /// The tool.
    pub tool: Text,
    /// How many were allowed.
    pub allowed: u64,
    /// How many asked for a person.
    pub asked: u64,
    /// How many were denied.
    pub denied: u64,
    /// Why, with how many each.
    pub reasons: Vec<Text>,
}

/// One criterion with what was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLine {
    /// Its id.
    pub id: Text,
    /// What must hold.
    pub says: Text,
    /// By what it is shown.
    pub by: Text,
    /// What was found, and the badge's class.
    pub finding: (&'static str, &'static str),
    /// The grade of the evidence that decided, or of the best there is.
    pub grade: Option<&'static str>,
    /// The grade that suffices.
    pub least: &'static str,
    /// The same in a sentence.
    pub sentence: Text,
}

/// Something that speaks for or against a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceLine {
    /// Of which criterion.
    pub criterion: Text,
    /// How strong.
    pub grade: &'static str,
    /// Whether it says that it holds.
    pub holds: bool,
    /// Who says so.
    pub by: Text,
    /// The call whose receipt it is.
    pub action: Option<String>,
    /// The entry at which it stands.
    pub at: Option<u64>,
}

/// What people said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReviewLine {
    /// The verdict, and the badge's class.
    pub verdict: (&'static str, &'static str),
    /// Who.
    pub who: Text,
    /// When.
    pub at: Moment,
    /// What was put right or is wrong.
    pub what: Option<Text>,
    /// Why.
    pub why: Option<Text>,
    /// Whether the words were erased.
    pub is_erased: bool,
}

/// What it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentLine {
    /// What.
    pub name: &'static str,
    /// How much.
    pub value: Text,
}

/// One thing that can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoLine {
    /// The plan's step.
    pub step: Text,
    /// What it undoes.
    pub says: Text,
    /// How.
    pub how: Text,
    /// Where that stands, and the badge's class.
    pub state: (&'static str, &'static str),
}

/// Whether this person may review it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reviewing {
    /// Not, and nothing need be said of it.
    No,
    /// Not yet, or not they: why.
    Not(&'static str),
    /// They may; of these criteria, with what each says.
    May(Vec<(Text, Text)>),
}

/// A review that was sent and does not stand, so that its words are not lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewDraft {
    /// Why not.
    pub problem: Option<Text>,
    /// The verdict.
    pub verdict: String,
    /// What was put right, or is wrong.
    pub what: String,
    /// Why.
    pub why: String,
    /// The criteria that were ticked.
    pub criteria: Vec<String>,
}

impl ReviewDraft {
    /// Whether a criterion was ticked.
    #[must_use]
    pub fn ticks(&self, id: &Text) -> bool {
        self.criteria.iter().any(|ticked| ticked == id.as_str())
    }
}

/// `/runs/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "run.html")]
pub struct RunPage {
    /// The frame.
    pub frame: Frame,
    /// The run.
    pub line: RunLine,
    /// The four questions.
    pub questions: [&'static str; 4],
    /// Whether the texts are shown.
    pub has_texts: bool,
    /// The goal; `None` once erased, or where texts are not shown.
    pub goal: Option<Text>,
    /// SHA-256 of the principal's instruction.
    pub instruction: Option<Text>,
    /// The task.
    pub task: String,
    /// The grant under which it began.
    pub grant: String,
    /// The digest of the workflow's version.
    pub version: String,
    /// Whether this person sees the workflow's page.
    pub sees_workflow: bool,
    /// Until when it goes on if nothing comes of it, while it does.
    pub deadline: Option<Moment>,
    /// Items of context, the first ones.
    pub context: Vec<ContextItemLine>,
    /// How many there are, and how many from sources that are not listed.
    pub items: (u64, u64),
    /// The next items.
    pub more_context: Option<String>,
    /// Calls by tool.
    pub calls: Vec<CallLine>,
    /// How many calls there are.
    pub total: u64,
    /// Entries, in order.
    pub entries: Vec<EntryLine>,
    /// Where the next ones are, and where it begins, if this is not the beginning.
    pub more_entries: Option<String>,
    /// Whether these are the first ones.
    pub is_begin: bool,
    /// Whether it counts as complete, in a sentence.
    pub verdict: Text,
    /// Each criterion.
    pub criteria: Vec<FoundLine>,
    /// What speaks for and against them.
    pub evidence: Vec<EvidenceLine>,
    /// What people said.
    pub reviews: Vec<RunReviewLine>,
    /// Whether this person may.
    pub reviewing: Reviewing,
    /// What they sent before.
    pub draft: ReviewDraft,
    /// What it took, as its agent states it.
    pub spent: Vec<SpentLine>,
    /// What its workflow's plan can undo.
    pub undo: Vec<UndoLine>,
    /// How much else it can undo.
    pub more_undo: usize,
    /// Failures that were detected in it: what, and the page.
    pub failures: Vec<(Text, String)>,
    /// Whether its report can be kept here.
    pub has_report: bool,
}
