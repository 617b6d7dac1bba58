//! What a workflow's checklist says, in words.

use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Backing, Evaluation, Missing, ReviewWhen, Rollback, Runs};
use bailiwick_policy::grades::{Effect, Level};

use super::super::figures::{bound, title};
use crate::ListedWorkflow;
use crate::console::{
    CheckItem, CriterionLine, LevelPicture, RatedTool, RollbackLine, TargetLine, Text,
    WorkflowLine, duration,
};

pub(super) fn line(listed: &ListedWorkflow) -> WorkflowLine {
    let workflow = &listed.workflow;
    WorkflowLine {
        id: Text::of(workflow.id.as_str()),
        path: format!("/workflows/{}", workflow.id),
        owner: Text::of(workflow.owner.as_str()),
        purpose: Text::short(&workflow.purpose, 300),
        level: LevelPicture::of(listed.level, workflow.level),
        why: Text::of(listed.why.replace('`', "")),
        missing: workflow.missing().iter().filter(|m| m.caps == Level::Manual).count(),
        stopped: listed.stopped,
        revoked: listed.revoked,
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Every member of the checklist in the order of the documentation: what there is,
/// or what is not known without it.
pub(super) fn items(workflow: &Workflow, missing: &[Missing]) -> Vec<CheckItem> {
    let list = &workflow.checklist;
    let rated = workflow.catalogue.tools().count();
    let there = [
        ("owner", workflow.owner.to_string()),
        ("purpose", workflow.purpose.clone()),
        ("tool_servers", format!("{}, each with its risk", count(rated, "tool", "tools"))),
        (
            "data_sources",
            list.data_sources.as_ref().map_or_else(String::new, |s| {
                let sum = s.tool_servers.len() + s.classes.len() + s.context.len();
                count(sum, "source", "sources")
            }),
        ),
        ("completion", count(list.completion.len(), "criterion", "criteria")),
        ("review", review(workflow).map_or_else(String::new, |(_, when)| when.to_string())),
        (
            "rollback",
            match list.rollback.len() {
                0 => "nothing is written, so there is nothing to undo".to_owned(),
                n => count(n, "step", "steps"),
            },
        ),
        (
            "evaluation",
            list.evaluation
                .as_ref()
                .map_or_else(String::new, |e| count(e.targets.len(), "target", "targets")),
        ),
        ("budget", count(workflow.budget.members.len(), "limit", "limits")),
        (
            "runs",
            match list.runs {
                Runs::Required => "every call belongs to a run".to_owned(),
                Runs::Optional => String::new(),
            },
        ),
        ("evaluation.error_budget", error_budget(list.evaluation.as_ref()).unwrap_or_default()),
        ("completion.by", "no criterion rests on the agent's own word".to_owned()),
        ("evaluation.targets", "half of its tasks at least must succeed".to_owned()),
        (
            "evaluation.minimum_runs",
            list.evaluation.as_ref().map_or_else(String::new, |e| {
                count(e.minimum_runs as usize, "run at least", "runs at least")
            }),
        ),
    ];
    let item = |(member, says): (&'static str, String)| {
        // A criterion or a step that says nothing yet is told with its member.
        let of = |missing: &&Missing| {
            missing.member == member || missing.member.strip_suffix(".says") == Some(member)
        };
        let gap = missing.iter().find(of);
        CheckItem {
            member,
            says: Text::short(gap.map_or(says.as_str(), |gap| gap.why), 300),
            caps: gap.map(|gap| gap.caps),
        }
    };
    let asked = list.evaluation.is_some();
    let told = |(member, _): &(&'static str, String)| {
        asked || !["evaluation.targets", "evaluation.minimum_runs"].contains(member)
    };
    there.into_iter().filter(told).map(item).collect()
}

pub(super) fn tools(workflow: &Workflow) -> Vec<RatedTool> {
    let tool =
        |(id, rating): (bailiwick_core::ids::ToolId, &bailiwick_policy::catalogue::Rating)| {
            RatedTool {
                id: Text::of(id.as_str()),
                risk: rating.risk,
                writes: rating.effect == Effect::Write,
                data: rating.data.iter().map(Text::of).collect(),
            }
        };
    workflow.catalogue.tools().map(tool).collect()
}

pub(super) fn sources(workflow: &Workflow) -> Option<[Vec<Text>; 3]> {
    let sources = workflow.checklist.data_sources.as_ref()?;
    Some([
        sources.tool_servers.iter().map(|name| Text::of(name.as_str())).collect(),
        sources.classes.iter().map(Text::of).collect(),
        sources.context.iter().map(Text::of).collect(),
    ])
}

/// By what a criterion is shown, in words.
pub(in super::super) fn backing(by: &Backing) -> Text {
    Text::of(match by {
        Backing::SelfReport => "the agent's word".to_owned(),
        Backing::SelfCheck => "a check that the agent says it made".to_owned(),
        Backing::Tool { tool } => format!("the outcome of a call of {tool}"),
        Backing::ToolCheck { tool, expect, .. } => {
            let places = count(expect.len(), "expectation", "expectations");
            format!("what {tool} answers to somebody else, with {places}")
        }
        Backing::NamedCheck { check } => format!("the server's check {check}"),
        Backing::Review => "a person's review".to_owned(),
    })
}

pub(super) fn criteria(workflow: &Workflow) -> Vec<CriterionLine> {
    let all = workflow.checklist.completion.iter();
    all.map(|criterion| CriterionLine {
        id: Text::of(&criterion.id),
        says: Text::of(&criterion.says),
        by: backing(&criterion.by),
        least: criterion.by.least().as_str(),
        changed_by: criterion
            .changed_by
            .as_ref()
            .map(|tools| tools.iter().map(|tool| Text::of(tool.as_str())).collect()),
    })
    .collect()
}

pub(super) fn review(workflow: &Workflow) -> Option<(Vec<Text>, Text)> {
    let review = workflow.checklist.review.as_ref()?;
    let when = match review.when {
        ReviewWhen::Always => "every run".to_owned(),
        ReviewWhen::Incomplete => "runs that ended incomplete".to_owned(),
        ReviewWhen::Every { nth } => format!("runs that ended incomplete, and one of {nth} others"),
    };
    Some((review.by.iter().map(|by| Text::of(by.to_string())).collect(), Text::of(when)))
}

pub(super) fn rollback(workflow: &Workflow) -> Vec<RollbackLine> {
    let all = workflow.checklist.rollback.iter();
    all.map(|step| RollbackLine {
        id: Text::of(&step.id),
        says: Text::of(&step.says),
        how: Text::of(match &step.how {
            Rollback::Manual => "by a person".to_owned(),
            Rollback::Tool { tool, undoes: Some(undone), .. } => {
                format!("a call of {tool} for each of {undone}")
            }
            Rollback::Tool { tool, undoes: None, .. } => format!("a call of {tool}"),
        }),
    })
    .collect()
}

pub(super) fn limits(workflow: &Workflow) -> Vec<(Text, Text)> {
    let of = |name: &str, value: String| (Text::of(name), Text::of(value));
    let seconds = i64::try_from(workflow.window_seconds).unwrap_or(i64::MAX);
    // In words where they say all of it, which they round down to.
    let in_words = seconds % 60 == 0 && (seconds < 86_400 || seconds % 3_600 == 0);
    let window = if in_words { duration(seconds) } else { format!("{seconds} seconds") };
    let window = of("Window at most", window);
    let depth = of(
        "Passed on at most",
        format!(
            "{} {}",
            workflow.max_depth,
            if workflow.max_depth == 1 { "time" } else { "times" }
        ),
    );
    let budget = workflow.budget.members.iter();
    let budget = budget.map(|(name, most)| of(&name.replace('_', " "), most.to_string()));
    [window, depth].into_iter().chain(budget).collect()
}

pub(super) fn targets(workflow: &Workflow) -> Vec<TargetLine> {
    let targets = workflow.checklist.evaluation.iter().flat_map(|e| &e.targets);
    targets
        .map(|(of, least)| TargetLine { measure: Text::of(title(*of)), bound: bound(*of, *least) })
        .collect()
}

fn error_budget(evaluation: Option<&Evaluation>) -> Option<String> {
    let budget = evaluation?.error_budget?;
    Some(format!(
        "more than {} failed runs within {} hours lower the level at once",
        budget.failed_runs, budget.window_hours
    ))
}

pub(super) fn evaluation(workflow: &Workflow) -> Vec<Text> {
    let Some(evaluation) = workflow.checklist.evaluation.as_ref() else { return Vec::new() };
    let window = format!(
        "judged over {} days, with {} runs at least and {} % confidence",
        evaluation.window_days, evaluation.minimum_runs, evaluation.confidence_percent
    );
    std::iter::once(window).chain(error_budget(Some(evaluation))).map(Text::of).collect()
}
