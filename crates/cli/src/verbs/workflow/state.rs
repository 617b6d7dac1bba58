//! What a version's checklist carries, told alike by every verb.

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Missing, Source};
use bailiwick_policy::grades::{Effect, Level};

/// The levels of a version, and what stands in the way of a higher one.
pub(super) struct State {
    /// What the file states.
    pub(super) declared: Level,
    /// What the checklist carries.
    pub(super) supports: Level,
    /// What may be in force.
    pub(super) permitted: Level,
    /// Why the level in force is below the one that is stated, if it is.
    pub(super) capped: Option<String>,
    missing: Vec<Missing>,
    /// Catalogued reads that the data sources do not list.
    undeclared: Vec<String>,
}

impl State {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let sources = workflow.checklist.data_sources.as_ref();
        let undeclared = workflow.catalogue.tools().filter(|(tool, rating)| {
            let source = Source::of(sources, tool, rating);
            rating.effect == Effect::Read && source == Some(Source::Undeclared)
        });
        Self {
            declared: workflow.level,
            supports: workflow.supports(),
            permitted: workflow.permitted_level(),
            capped: workflow.capped(),
            missing: workflow.missing(),
            undeclared: undeclared.map(|(tool, _)| tool.to_string()).collect(),
        }
    }

    pub(super) fn insert_into(&self, object: Object) -> Object {
        let missing: Vec<Json> = self.missing.iter().map(Missing::to_json).collect();
        let undeclared: Vec<Json> = self.undeclared.iter().map(|t| t.as_str().into()).collect();
        object
            .with("level", self.declared)
            .with("supports", self.supports)
            .with("permitted", self.permitted)
            .with("missing", missing)
            .with("undeclared_reads", undeclared)
    }

    /// The levels, a line each.
    pub(super) fn levels(&self) -> String {
        let Self { declared, supports, permitted, .. } = self;
        format!(
            "  level       {declared}\n  supports    {supports}\n  in force    {permitted} at most"
        )
    }

    /// What is missing and what is denied, a line each; empty, if nothing.
    pub(super) fn gaps(&self) -> String {
        let mut text = String::new();
        if !self.missing.is_empty() {
            text.push_str("\nmissing in its checklist, and the level that each caps:");
        }
        for Missing { member, why, caps } in &self.missing {
            text.push_str(&format!("\n  {:<10}  {member}: {why}", caps.as_str()));
        }
        if !self.undeclared.is_empty() {
            text.push_str("\nreads that are always denied, because `data_sources` does not list their tool server or a class of their data:");
        }
        for tool in &self.undeclared {
            text.push_str(&format!("\n  {tool}"));
        }
        text
    }
}
