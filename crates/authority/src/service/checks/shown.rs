//! Checks of runs as they are asked for, made and told.

use bailiwick_core::ids::{ActionId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::completion::Completion;

use crate::rules::checks::{CheckError, Verdict};

/// A check that the workflow names for a criterion.
#[derive(Clone, Debug)]
pub enum DueCheck {
    /// A call through the gateway, on the workflow owner's authority.
    Tool {
        /// The criterion's id.
        criterion: String,
        /// The tool.
        tool: ToolId,
        /// Its arguments, filled; or why they cannot be.
        arguments: Result<Object, CheckError>,
        /// What was found of the criterion until now.
        finding: &'static str,
    },
    /// A check of the server's configuration.
    Named {
        /// The criterion's id.
        criterion: String,
        /// The check's name.
        check: String,
        /// What was found of the criterion until now.
        finding: &'static str,
    },
}

impl DueCheck {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Tool { criterion, tool, arguments, finding } => {
                let object = Object::new()
                    .with("criterion", criterion.as_str())
                    .with("finding", *finding)
                    .with("tool", tool);
                match arguments {
                    Ok(arguments) => object.with("arguments", arguments.clone()).into(),
                    Err(e) => object.with("fault", e.to_string()).into(),
                }
            }
            Self::Named { criterion, check, finding } => Object::new()
                .with("criterion", criterion.as_str())
                .with("finding", *finding)
                .with("check", check.as_str())
                .into(),
        }
    }
}

/// What is checked of a run by others than its agent, and where that stands.
#[derive(Clone, Debug)]
pub struct RunChecks {
    /// The run.
    pub run: RunId,
    /// The checks.
    pub due: Vec<DueCheck>,
    /// What was derived until now.
    pub completion: Completion,
    /// Whether the run counts as complete.
    pub complete: bool,
}

impl RunChecks {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let due: Vec<Json> = self.due.iter().map(DueCheck::to_json).collect();
        let reasons: Vec<Json> = self.completion.reasons().into_iter().map(Json::from).collect();
        Object::new()
            .with("run", &self.run)
            .with("complete", self.complete)
            .with("checks", due)
            .with("derived", self.completion.to_json())
            .with("reasons", reasons)
    }
}

/// A check that was taken up.
#[derive(Clone, Debug)]
pub struct CheckTaken {
    /// The run.
    pub run: RunId,
    /// Of which criterion.
    pub criterion: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it was not run.
    pub why: Option<String>,
    /// What was derived with it.
    pub completion: Completion,
    /// Whether the run counts as complete from now on.
    pub complete: bool,
}

impl CheckTaken {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let reasons: Vec<Json> = self.completion.reasons().into_iter().map(Json::from).collect();
        let mut object = Object::new()
            .with("run", &self.run)
            .with("criterion", self.criterion.as_str())
            .with("verdict", self.verdict.as_str())
            .with("complete", self.complete)
            .with("derived", self.completion.to_json())
            .with("reasons", reasons);
        if let Some(why) = &self.why {
            object.insert("why", why.as_str());
        }
        object
    }
}

/// A call that somebody made to check a run, with what it gave.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Of which criterion.
    pub criterion: String,
    /// The call.
    pub action: ActionId,
    /// Its result, as the tool server gave it: without what the gateway adds.
    pub result: Json,
}

/// What a named check found.
#[derive(Clone, Debug)]
pub struct NamedResult {
    /// Of which criterion.
    pub criterion: String,
    /// The check.
    pub check: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What it printed, or why it was not run.
    pub output: String,
    /// The index of the last entry of the log when it was told what it is.
    pub seen: u64,
}
