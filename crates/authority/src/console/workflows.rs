//! Workflows: how far each one's agents may act, why not further, and what its
//! checklist says.

use askama::Template;
use bailiwick_policy::grades::{Level, Risk};

use super::{Frame, Moment, Text};

/// The room of one step, units.
const STEP: u32 = 24;
/// The height of the lowest step, and by how much the next one is higher, units.
const RISE: u32 = 10;

/// One step of the picture of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelStep {
    /// Units from the left.
    pub x: u32,
    /// Units from the top.
    pub y: u32,
    /// Units high.
    pub height: u32,
    /// Its class.
    pub class: &'static str,
}

/// A level as a picture: four steps, those in force filled, those that the version
/// would have beside dashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelPicture {
    /// What is in force.
    pub in_force: Level,
    /// What the version says.
    pub declared: Level,
    /// The steps, from the lowest.
    pub steps: Vec<LevelStep>,
}

impl LevelPicture {
    /// The picture.
    #[must_use]
    pub fn of(in_force: Level, declared: Level) -> Self {
        let steps = Level::ALL.iter().zip(0u32..).map(|(level, nth)| {
            let height = RISE.saturating_mul(nth.saturating_add(1));
            LevelStep {
                x: nth.saturating_mul(STEP).saturating_add(1),
                y: (RISE * 4).saturating_sub(height).saturating_add(1),
                height,
                class: match () {
                    () if *level <= in_force => "step on",
                    () if *level <= declared => "step capped",
                    () => "step",
                },
            }
        });
        Self { in_force, declared, steps: steps.collect() }
    }

    /// Whether less is in force than the version says.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        self.in_force < self.declared
    }
}

/// One workflow in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowLine {
    /// Its name.
    pub id: Text,
    /// Its page.
    pub path: String,
    /// Who answers for it.
    pub owner: Text,
    /// What it is for.
    pub purpose: Text,
    /// How far its agents may act.
    pub level: LevelPicture,
    /// Why, in a sentence.
    pub why: Text,
    /// What its checklist lacks.
    pub missing: usize,
    /// Whether it is stopped.
    pub stopped: bool,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl WorkflowLine {
    /// Where it stands, in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.revoked, self.stopped) {
            (true, _) => "revoked",
            (false, true) => "stopped",
            (false, false) => "in use",
        }
    }

    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        if self.revoked || self.stopped { "bad" } else { "good" }
    }
}

/// `/workflows`
#[derive(Clone, Debug, Template)]
#[template(path = "workflows.html")]
pub struct WorkflowsPage {
    /// The frame.
    pub frame: Frame,
    /// The workflows.
    pub workflows: Vec<WorkflowLine>,
    /// Whether only those are listed that the person answers for.
    pub own_only: bool,
}

/// One member of a checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckItem {
    /// The member.
    pub member: &'static str,
    /// What there is or, if it is missing, what is not known without it.
    pub says: Text,
    /// The highest level without it; `None` if it is there.
    pub caps: Option<Level>,
}

/// One tool with its rating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedTool {
    /// Its id.
    pub id: Text,
    /// How much harm a call can do.
    pub risk: Risk,
    /// Whether a call changes anything.
    pub writes: bool,
    /// The classes of data that it touches.
    pub data: Vec<Text>,
}

impl RatedTool {
    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self.risk {
            Risk::Low => "good",
            Risk::Medium => "plain",
            Risk::High => "warn",
            Risk::Critical => "bad",
        }
    }
}

/// One completion criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriterionLine {
    /// Its id.
    pub id: Text,
    /// What must hold.
    pub says: Text,
    /// By what it is shown.
    pub by: Text,
    /// The grade of the least evidence that suffices.
    pub least: &'static str,
    /// Calls of which tools make evidence stale; `None`: all that write.
    pub changed_by: Option<Vec<Text>>,
}

/// One step of a rollback plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackLine {
    /// Its id.
    pub id: Text,
    /// What it undoes.
    pub says: Text,
    /// How.
    pub how: Text,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLine {
    /// What is measured.
    pub measure: Text,
    /// What it must reach.
    pub bound: Text,
}

/// One change of a workflow's autonomy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutonomyLine {
    /// The level since.
    pub level: Text,
    /// What brought it, in words.
    pub cause: &'static str,
    /// The badge's class.
    pub class: &'static str,
    /// Who, where somebody did.
    pub who: Option<Text>,
    /// Why, where somebody said.
    pub reason: Option<Text>,
    /// When.
    pub at: Moment,
    /// The number of its entry.
    pub entry: Option<u64>,
}

/// A signature that waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingLine {
    /// Who signed.
    pub who: Text,
    /// When.
    pub at: Moment,
    /// Until when it counts.
    pub until: Moment,
}

/// What it takes to raise a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raising {
    /// It is not to be raised, or not by this person.
    Not(Text),
    /// With a passkey.
    Passkey {
        /// The next level.
        to: &'static str,
        /// The person's passkeys that may sign, by a space each.
        credentials: String,
        /// The console's relying-party id.
        relying_party: String,
        /// The digest that is signed, as the browser takes it.
        challenge: String,
        /// The same as people compare it.
        digest: String,
        /// What is signed.
        statement: String,
        /// Until when the signature would count.
        until: Moment,
    },
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionLine {
    /// Its digest.
    pub digest: String,
    /// Its label.
    pub label: Text,
    /// When it was published.
    pub at: Moment,
    /// The number of its entry.
    pub entry: u64,
    /// The level that it says, and the one that its checklist carries.
    pub levels: (&'static str, &'static str),
    /// Whether it is the current one.
    pub is_current: bool,
    /// The page that compares it with the one before.
    pub changes: Option<String>,
}

/// `/workflows/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "workflow.html")]
pub struct WorkflowPage {
    /// The frame.
    pub frame: Frame,
    /// The workflow.
    pub line: WorkflowLine,
    /// The current version.
    pub version: (Text, String),
    /// The agents that may run tasks under it.
    pub agents: Vec<(Text, String)>,
    /// The checklist, member by member.
    pub checklist: Vec<CheckItem>,
    /// Its tools.
    pub tools: Vec<RatedTool>,
    /// Where its agents may read: tool servers, classes of data, other sources.
    pub sources: Option<[Vec<Text>; 3]>,
    /// When a run counts as complete.
    pub criteria: Vec<CriterionLine>,
    /// Who reviews, and which runs.
    pub review: Option<(Vec<Text>, Text)>,
    /// How it is undone.
    pub rollback: Vec<RollbackLine>,
    /// Limits of one grant, by name.
    pub limits: Vec<(Text, Text)>,
    /// What its runs must reach.
    pub targets: Vec<TargetLine>,
    /// Over which window, with which sample and confidence, and the error budget.
    pub evaluation: Vec<Text>,
    /// Its figures over that window.
    pub figures: Vec<super::FigureCard>,
    /// Where more of them is.
    pub figures_path: Option<String>,
    /// What keeps the targets from being met.
    pub unmet: Vec<Text>,
    /// Every change of its autonomy, newest first.
    pub changes: Vec<AutonomyLine>,
    /// What people signed that still counts.
    pub waiting: Vec<WaitingLine>,
    /// Whose signatures are still needed, in words.
    pub needed: Vec<Text>,
    /// The levels that this person may lower it to.
    pub lower: Vec<&'static str>,
    /// What it takes to raise it.
    pub raising: Raising,
    /// Where this person stops it.
    pub stop: Option<String>,
    /// Its runs.
    pub runs: String,
    /// Its versions, newest first.
    pub versions: Vec<VersionLine>,
}

/// One member that differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeLine {
    /// Which.
    pub place: Text,
    /// As it was.
    pub before: Option<Text>,
    /// As it is.
    pub after: Option<Text>,
    /// Whether it lets agents do more, or might.
    pub widens: bool,
}

/// `/workflows/{id}/changes?from=…&to=…`
#[derive(Clone, Debug, Template)]
#[template(path = "workflow_changes.html")]
pub struct WorkflowChangesPage {
    /// The frame.
    pub frame: Frame,
    /// The workflow.
    pub id: Text,
    /// Its page.
    pub path: String,
    /// The two versions: label and digest.
    pub versions: [(Text, String); 2],
    /// What may be in force under each.
    pub permitted: (&'static str, &'static str),
    /// What differs.
    pub changes: Vec<ChangeLine>,
}

impl WorkflowChangesPage {
    /// How many of the changes widen.
    #[must_use]
    pub fn widening(&self) -> usize {
        self.changes.iter().filter(|change| change.widens).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_what_is_in_force_and_what_the_version_would_have() {
        let classes = |in_force, declared| {
            let picture = LevelPicture::of(in_force, declared);
            picture.steps.iter().map(|s| s.class).collect::<Vec<_>>()
        };
        assert_eq!(
            classes(Level::Supervised, Level::Bounded),
            ["step on", "step on", "step capped", "step"]
        );
        assert_eq!(
            classes(Level::Manual, Level::Autonomous),
            ["step on", "step capped", "step capped", "step capped"]
        );
        let full = LevelPicture::of(Level::Autonomous, Level::Autonomous);
        assert!(!full.is_capped() && full.steps.iter().all(|s| s.class == "step on"));
        let heights: Vec<u32> = full.steps.iter().map(|s| s.height).collect();
        assert_eq!(heights, [10, 20, 30, 40]);
        assert!(full.steps.iter().all(|s| s.y + s.height == 41));
    }
}
