//! What agents ask for that they lack, and the page on which people decide.

use askama::Template;

use super::{Frame, Moment, Text};

/// One request in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// Its id.
    pub id: String,
    /// Who asks.
    pub agent: Text,
    /// For whose task.
    pub principal: Text,
    /// Under which workflow.
    pub workflow: Text,
    /// Where it stands.
    pub state: &'static str,
    /// Until when somebody may decide.
    pub until: Moment,
}

impl RequestLine {
    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.state {
            "pending" => "warn",
            "granted" => "good",
            "refused" => "bad",
            _ => "",
        }
    }
}

/// `/requests`
#[derive(Clone, Debug, Template)]
#[template(path = "requests.html")]
pub struct RequestsPage {
    /// The frame.
    pub frame: Frame,
    /// Those that wait.
    pub waiting: Vec<RequestLine>,
    /// The newest of those that do not.
    pub settled: Vec<RequestLine>,
    /// Says which requests wait: when it changes, so did the page.
    pub mark: String,
}

/// One shorthand that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedShorthand {
    /// As granted.
    pub value: String,
    /// As shown.
    pub shown: Text,
}

/// `/requests/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "request.html")]
pub struct RequestPage {
    /// The frame.
    pub frame: Frame,
    /// The request.
    pub line: RequestLine,
    /// What is asked for; `None` once its text was erased.
    pub scope: Option<Vec<AskedShorthand>>,
    /// Why, in the agent's words.
    pub reason: Option<Text>,
    /// For how long, in words.
    pub lasts: String,
    /// Shorter times to choose from, minutes.
    pub shorter: Vec<u64>,
    /// What the task is for.
    pub purpose: Option<Text>,
    /// The task.
    pub task: String,
    /// The workflow and its version.
    pub workflow: Text,
    /// Who decided.
    pub decided_by: Option<Text>,
    /// What they added.
    pub note: Option<Text>,
    /// The grant that answers it.
    pub grant: Option<String>,
    /// What was wrong with the last attempt.
    pub notice: Option<String>,
}
