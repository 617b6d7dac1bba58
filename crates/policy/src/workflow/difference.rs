//! What one version of a workflow says otherwise than another, member by
//! member, and which of it lets agents do more.
//!
//! A change whose effect cannot be told from the two values counts as one that
//! widens: a reader looks twice rather than not at all.

use std::collections::BTreeMap;

use bailiwick_core::json::{Json, Object};

use super::Workflow;
use crate::grades::{Level, Risk};

/// One member that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The members that lead there. Items of a list stand by their `id` or by
    /// what they say.
    pub path: Vec<String>,
    /// What the earlier version says; absent, nothing.
    pub before: Option<Json>,
    /// What the later version says; absent, nothing.
    pub after: Option<Json>,
    /// Whether it lets agents do more, or might.
    pub widens: bool,
}

/// Everything that differs between two versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// By path.
    pub changes: Vec<Change>,
    /// The level that may be in force, before and after.
    pub permitted: (Level, Level),
}

impl Change {
    /// `added`, `removed` or `changed`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
    }

    /// The path as one text.
    #[must_use]
    pub fn place(&self) -> String {
        self.path.join(" > ")
    }

    /// For `--json`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let path: Vec<Json> = self.path.iter().map(|p| Json::from(p.as_str())).collect();
        let mut object = Object::new().with("path", path).with("change", self.kind());
        if let Some(before) = &self.before {
            object.insert("before", before.clone());
        }
        if let Some(after) = &self.after {
            object.insert("after", after.clone());
        }
        object.with("widens", self.widens).into()
    }
}

impl Difference {
    /// What `after` says otherwise than `before`.
    #[must_use]
    pub fn between(before: &Workflow, after: &Workflow) -> Self {
        let permitted = (before.permitted_level(), after.permitted_level());
        let stated = before.approvals.is_some() || after.approvals.is_some();
        let says = |workflow: &Workflow| {
            let mut json = workflow.to_json();
            // Rules that one of them leaves out are those that hold by default.
            if let (true, Json::Object(object)) = (stated, &mut json) {
                object.insert("approvals", workflow.approvals().to_json());
            }
            json
        };
        let (one, other) = (says(before), says(after));
        let mut walk = Walk { before, after, path: Vec::new(), changes: Vec::new() };
        walk.compare(Some(&one), Some(&other));
        Self { changes: walk.changes, permitted }
    }

    /// Whether anything lets agents do more, or might; also a checklist that now
    /// carries a higher level.
    #[must_use]
    pub fn widens(&self) -> bool {
        self.permitted.1 > self.permitted.0 || self.changes.iter().any(|change| change.widens)
    }
}

/// How the values at a path are compared.
enum Shape {
    /// As one value.
    Whole,
    /// Member by member; a side that is absent has none.
    Members,
    /// Member by member where both sides are there.
    Both,
    /// As a set of texts.
    Set,
    /// As items that their `id` names.
    ById,
}

const PLANES: &[&str] = &["tools", "prompts", "operations", "a2a"];

fn shape(path: &[&str]) -> Shape {
    match path {
        []
        | ["budget" | "evaluation" | "shorthands" | "tool_servers" | "approvals"]
        | ["evaluation", "targets"]
        | ["tool_servers", _] => Shape::Members,
        ["tool_servers", _, plane] if PLANES.contains(plane) => Shape::Members,
        ["agents"]
        | ["approvals" | "review", "by"]
        | ["data_sources", _]
        | ["tool_servers", _, "questions"]
        | ["tool_servers", _, "resources", "data"]
        | ["tool_servers", _, _, _, "data"]
        | ["completion", _, "changed_by"] => Shape::Set,
        ["tool_servers", _, "resources"]
        | ["tool_servers", _, _, _]
        | ["shorthands", _]
        | ["shorthands", _, "tools"]
        | ["data_sources" | "review"]
        | ["completion" | "rollback", _]
        | ["evaluation", "error_budget"] => Shape::Both,
        ["completion" | "rollback"] => Shape::ById,
        _ => Shape::Whole,
    }
}

struct Walk<'w> {
    before: &'w Workflow,
    after: &'w Workflow,
    path: Vec<String>,
    changes: Vec<Change>,
}

/// The sides of a comparison, by name.
type Sides<'j> = BTreeMap<String, (Option<&'j Json>, Option<&'j Json>)>;

impl Walk<'_> {
    fn compare(&mut self, before: Option<&Json>, after: Option<&Json>) {
        if before == after {
            return;
        }
        let both = before.is_some() && after.is_some();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let sides = match shape(&path) {
            Shape::Members => sides(before, after, members),
            Shape::Both if both => sides(before, after, members),
            Shape::Set if both => sides(before, after, items),
            Shape::ById => sides(before, after, named),
            _ => {
                let widens = self.widens(&path, before, after);
                let (before, after) = (before.cloned(), after.cloned());
                let path = self.path.clone();
                return self.changes.push(Change { path, before, after, widens });
            }
        };
        let found = self.changes.len();
        for (name, (before, after)) in sides {
            self.path.push(name);
            self.compare(before, after);
            self.path.pop();
        }
        // Lists that say the same in another order.
        if self.changes.len() == found {
            let (before, after) = (before.cloned(), after.cloned());
            let path = self.path.clone();
            self.changes.push(Change { path, before, after, widens: false });
        }
    }

    /// Whether a change lets agents do more, or might.
    fn widens(&self, path: &[&str], before: Option<&Json>, after: Option<&Json>) -> bool {
        let (added, removed) = (before.is_none(), after.is_none());
        match path {
            // Whom it concerns and what it is called for changes no right.
            ["workflow" | "version" | "purpose"]
            | ["completion" | "rollback", _, "says"]
            | ["tool_servers", _, "owner"]
            | ["tool_servers", _, "resources", "owner" | "timeout_seconds"]
            | ["tool_servers", _, _, _, "owner" | "timeout_seconds"]
            | ["approvals", "wait_seconds"] => false,
            ["level"] => grade::<Level>(after) > grade::<Level>(before),
            ["window_seconds" | "max_depth"] => number(after) > number(before),
            // No ceiling is the highest.
            ["budget", _] => removed || (!added && number(after) > number(before)),
            ["agents", _] | ["review", "by", _] | ["approvals", "by", _] => added,
            ["approvals", "needed"] => number(after) < number(before),
            ["approvals", "separate"] => after == Some(&Json::Bool(false)),
            ["approvals", "key_max_risk"] => grade::<Risk>(after) > grade::<Risk>(before),
            // What a tool server may ask, and for how long it may go on.
            ["tool_servers", _, "questions", ..] => added,
            ["tool_servers", _, "task_seconds"] => added || number(after) > number(before),
            ["tool_servers", _, "resources"] | ["tool_servers", _, _, _] => added,
            ["tool_servers", _, "resources", rest @ ..] | ["tool_servers", _, _, _, rest @ ..] => {
                rating(rest, before, after)
            }
            ["shorthands", _] | ["shorthands", _, "tools", _] => !removed,
            // A list that is not there lists everything.
            ["data_sources"] => removed,
            ["data_sources", ..] => added,
            ["completion" | "rollback", _] => removed,
            ["completion", id, "by"] => {
                let least = |workflow: &Workflow| {
                    let found = workflow.checklist.completion.iter().find(|c| c.id == **id);
                    found.map(|criterion| criterion.by.least())
                };
                // Of one grade, another tool or check might be easier to satisfy.
                least(self.after) <= least(self.before)
            }
            // Evidence that fewer calls make stale lasts longer.
            ["completion", _, "changed_by", _] => removed,
            ["completion", _, "changed_by"] => added,
            ["rollback", _, "how"] => after.and_then(Json::as_str) == Some("manual"),
            ["review"] => removed,
            ["review", "when"] => strictness(after) < strictness(before),
            ["evaluation", "targets", measure] => {
                let target = |workflow: &Workflow| {
                    let targets = &workflow.checklist.evaluation.as_ref()?.targets;
                    targets.get(&measure.parse().ok()?).copied()
                };
                match (target(self.before), target(self.after)) {
                    (Some(before), Some(after)) => !before.permits(after.millionths()),
                    _ => removed,
                }
            }
            ["evaluation", "minimum_runs" | "confidence_percent"] => {
                !added && number(after) < number(before)
            }
            ["evaluation", "window_days"] => false,
            ["evaluation", "error_budget"] => removed,
            ["evaluation", "error_budget", "failed_runs"] => number(after) > number(before),
            ["evaluation", "error_budget", "window_hours"] => number(after) < number(before),
            ["runs"] => removed,
            // Whoever answers for a workflow decides on its calls; and what is not
            // known here might be anything.
            _ => true,
        }
    }
}

fn sides<'j>(
    before: Option<&'j Json>,
    after: Option<&'j Json>,
    parts: impl Fn(&'j Json) -> Vec<(String, &'j Json)>,
) -> Sides<'j> {
    let mut sides = Sides::new();
    for (name, part) in before.map(&parts).unwrap_or_default() {
        sides.entry(name).or_default().0 = Some(part);
    }
    for (name, part) in after.map(&parts).unwrap_or_default() {
        sides.entry(name).or_default().1 = Some(part);
    }
    sides
}

fn members(json: &Json) -> Vec<(String, &Json)> {
    let members = json.as_object().into_iter().flat_map(Object::iter);
    members.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn items(json: &Json) -> Vec<(String, &Json)> {
    let items = json.as_array().unwrap_or_default().iter();
    items.map(|item| (item.as_str().unwrap_or_default().to_owned(), item)).collect()
}

fn named(json: &Json) -> Vec<(String, &Json)> {
    let id = |item: &Json| item.as_object()?.member("id")?.as_str().map(str::to_owned);
    let items = json.as_array().unwrap_or_default().iter();
    items.map(|item| (id(item).unwrap_or_default(), item)).collect()
}

/// A change within a rating.
fn rating(path: &[&str], before: Option<&Json>, after: Option<&Json>) -> bool {
    match path {
        ["risk"] => grade::<Risk>(after) < grade::<Risk>(before),
        ["effect"] => after.and_then(Json::as_str) == Some("read"),
        // A class that is not named is not looked for among the sources.
        ["data", _] => after.is_none(),
        ["idempotent" | "bearer"] => after == Some(&Json::Bool(true)),
        _ => true,
    }
}

fn grade<G: std::str::FromStr>(json: Option<&Json>) -> Option<G> {
    json?.as_str()?.parse().ok()
}

fn number(json: Option<&Json>) -> Option<i64> {
    json?.as_number()?.as_plain_integer()
}

/// How many runs a person sees: the more, the greater. Only compared.
fn strictness(when: Option<&Json>) -> i64 {
    match when {
        Some(Json::String(text)) if text == "always" => i64::MAX,
        Some(Json::Object(o)) => {
            let nth = number(o.member("every")).unwrap_or(i64::MAX);
            i64::MAX.saturating_sub(nth)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
