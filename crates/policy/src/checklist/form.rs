//! The checklist as members of a workflow file. Only what is there is written,
//! so that the digests of workflows without a checklist stay theirs.

use std::collections::BTreeSet;

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};

use super::{
    Backing, Checklist, Criterion, DataSources, Evaluation, Review, ReviewWhen, Rollback,
    RollbackStep, Runs,
};

impl Checklist {
    /// The members that are there.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut object = Object::new();
        self.insert_into(&mut object);
        object.into()
    }

    /// Adds the members that are there.
    pub(crate) fn insert_into(&self, object: &mut Object) {
        if let Some(sources) = &self.data_sources {
            object.insert("data_sources", sources.to_json());
        }
        if !self.completion.is_empty() {
            let criteria: Vec<Json> = self.completion.iter().map(Criterion::to_json).collect();
            object.insert("completion", criteria);
        }
        if let Some(review) = &self.review {
            object.insert("review", review.to_json());
        }
        if !self.rollback.is_empty() {
            let steps: Vec<Json> = self.rollback.iter().map(RollbackStep::to_json).collect();
            object.insert("rollback", steps);
        }
        if let Some(evaluation) = &self.evaluation {
            object.insert("evaluation", evaluation.to_json());
        }
        if self.runs != Runs::Optional {
            object.insert("runs", self.runs);
        }
    }
}

fn texts<'t>(set: impl IntoIterator<Item = &'t str>) -> Vec<Json> {
    set.into_iter().map(Json::from).collect()
}

impl DataSources {
    fn to_json(&self) -> Json {
        Object::new()
            .with("tool_servers", texts(self.tool_servers.iter().map(|s| s.as_str())))
            .with("classes", texts(self.classes.iter().map(String::as_str)))
            .with("context", texts(self.context.iter().map(String::as_str)))
            .into()
    }
}

impl Criterion {
    fn to_json(&self) -> Json {
        let mut object = Object::new()
            .with("id", self.id.as_str())
            .with("says", self.says.as_str())
            .with("by", self.by.to_json());
        if let Some(tools) = &self.changed_by {
            object.insert("changed_by", tool_list(tools));
        }
        object.into()
    }
}

fn tool_list(tools: &BTreeSet<ToolId>) -> Vec<Json> {
    tools.iter().map(Json::from).collect()
}

impl Backing {
    /// As a workflow file has it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::SelfReport => Json::from("self_report"),
            Self::SelfCheck => Json::from("self_check"),
            Self::Review => Json::from("review"),
            Self::Tool { tool } => Object::new().with("tool", tool).into(),
            Self::NamedCheck { check } => Object::new().with("check", check.as_str()).into(),
            Self::ToolCheck { tool, arguments, expect } => {
                let expect: Vec<Json> = expect
                    .iter()
                    .map(|e| {
                        Object::new()
                            .with("at", e.at.as_str())
                            .with("equals", e.equals.clone())
                            .into()
                    })
                    .collect();
                Object::new()
                    .with("tool_check", tool)
                    .with("arguments", arguments.clone())
                    .with("expect", expect)
                    .into()
            }
        }
    }
}

impl Review {
    fn to_json(&self) -> Json {
        let by: Vec<Json> = self.by.iter().map(|r| Json::from(r.to_string())).collect();
        let when = match self.when {
            ReviewWhen::Always => Json::from("always"),
            ReviewWhen::Incomplete => Json::from("incomplete"),
            ReviewWhen::Every { nth } => Object::new().with("every", u64::from(nth)).into(),
        };
        Object::new().with("by", by).with("when", when).into()
    }
}

impl RollbackStep {
    fn to_json(&self) -> Json {
        let how = match &self.how {
            Rollback::Manual => Json::from("manual"),
            Rollback::Tool { tool, arguments, undoes } => {
                let mut object =
                    Object::new().with("tool", tool).with("arguments", arguments.clone());
                if let Some(undoes) = undoes {
                    object.insert("undoes", undoes);
                }
                object.into()
            }
        };
        Object::new()
            .with("id", self.id.as_str())
            .with("says", self.says.as_str())
            .with("how", how)
            .into()
    }
}

impl Evaluation {
    fn to_json(&self) -> Json {
        let targets: Object = self
            .targets
            .iter()
            .map(|(measure, bound)| (measure.as_str().to_owned(), bound.to_json()))
            .collect();
        let mut object = Object::new()
            .with("targets", targets)
            .with("window_days", u64::from(self.window_days))
            .with("minimum_runs", u64::from(self.minimum_runs))
            .with("confidence_percent", u64::from(self.confidence_percent));
        if let Some(budget) = self.error_budget {
            let budget = Object::new()
                .with("failed_runs", u64::from(budget.failed_runs))
                .with("window_hours", u64::from(budget.window_hours));
            object.insert("error_budget", budget);
        }
        object.into()
    }
}
