//! Every MCP method of both protocol eras, and how the gateway treats it.
//!
//! The table is data: a method without a row for its era and sender is denied.
//! `docs/mcp-methods.md` is generated from it. What a call *is* (its tool id
//! and the arguments that are checked, signed and approved) is formed here and
//! nowhere else ([`Method::call`]).
//!
//! Sources: the schemas of 2025-11-25 and 2026-07-28 and the tasks extension
//! `io.modelcontextprotocol/tasks`.

use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::{Json, Object};

use crate::grades::Question;

mod table;
mod task;
mod waited;

pub use table::METHODS;
pub use task::{TASKS, TaskWish, declares_tasks};
pub use waited::{OWN_QUESTION, OWN_STATE, Waited, is_own_state, take_waited};

/// The reserved argument that holds `inputResponses` (DESIGN §6).
pub const INPUT_ARGUMENT: &str = "$input";

/// The reserved argument that holds `requestState`: what a caller sends back
/// to a tool server is checked, signed and recorded like everything else.
pub const STATE_ARGUMENT: &str = "$state";

/// Whether an argument's name is one of the two that are reserved.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name == INPUT_ARGUMENT || name == STATE_ARGUMENT
}

/// A generation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// 2025-11-25: sessions, opened by `initialize`.
    Sessions,
    /// 2026-07-28: every request stands alone.
    Stateless,
}

impl Era {
    /// The protocol version.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Sessions => "2025-11-25",
            Self::Stateless => "2026-07-28",
        }
    }

    /// The era of a protocol version; other versions are not spoken.
    #[must_use]
    pub fn of_version(version: &str) -> Option<Self> {
        [Self::Sessions, Self::Stateless].into_iter().find(|era| era.version() == version)
    }
}

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// The agent.
    Client,
    /// The tool server.
    Server,
}

/// Whether an answer is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A request, with an id.
    Request,
    /// A notification, without one.
    Notification,
}

/// How a call's tool id and arguments are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallForm {
    /// `tools/<params.name>` with `params.arguments`.
    Tool,
    /// `resources/read` with `{"uri": params.uri}`.
    Resource,
    /// `prompts/<params.name>` with `params.arguments`.
    Prompt,
}

/// What a listing or a subscription is narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Items of `tools` whose tool id the delegation has.
    Tools,
    /// Items of `resources` whose `uri` the delegation permits to read.
    Resources,
    /// Items of `resourceTemplates`, if the delegation permits any reading.
    ResourceTemplates,
    /// Items of `prompts` whose tool id the delegation has.
    Prompts,
    /// The prompt or resource in `params.ref` must be one that is listed.
    CompletionRef,
    /// `params.uri` must be one that the delegation permits to read.
    ResourceUri,
    /// Each `params.notifications.resourceSubscriptions` likewise; notices of
    /// changed lists pass.
    Subscriptions,
}

/// How the gateway treats a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// An action: chain and proof over tool and arguments, all stages.
    Call(CallForm),
    /// Shows what the caller may use: chain and DPoP proof, then filtered.
    Listing(Filter),
    /// Keeps the conversation going: chain and DPoP proof from a client;
    /// nothing from the server, which the gateway called itself.
    Session,
    /// A question of the tool server to the agent's client, or about one:
    /// passes only where the workflow's entry for the server lists it.
    Question(Question),
    /// About a call that goes on as a task: passes only where the workflow lets
    /// the tool server do that, and only for a task that this caller started.
    Task,
    /// Does not pass, for this reason.
    Refused(&'static str),
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The JSON-RPC method.
    pub name: &'static str,
    /// The eras that have it.
    pub eras: &'static [Era],
    /// Who sends it.
    pub sender: Sender,
    /// Request or notification.
    pub shape: Shape,
    /// How it is treated.
    pub treatment: Treatment,
    /// What else holds; may be empty.
    pub note: &'static str,
}

/// The row for a message, or nothing: deny.
#[must_use]
pub fn method(name: &str, era: Era, sender: Sender, shape: Shape) -> Option<&'static Method> {
    METHODS
        .iter()
        .find(|m| m.name == name && m.sender == sender && m.shape == shape && m.eras.contains(&era))
}

/// A call as it is checked, signed, approved and recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The tool.
    pub tool: ToolId,
    /// The arguments, with answers to a server's questions under `$input` and
    /// its state under `$state`.
    pub arguments: Object,
}

/// Why a message is no call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The method is not a call.
    #[error("`{method}` is not a call")]
    NotACall {
        /// The method.
        method: &'static str,
    },
    /// A parameter is absent or of the wrong kind.
    #[error("`params.{member}` must be {expected}")]
    Parameter {
        /// The parameter.
        member: &'static str,
        /// What is expected.
        expected: &'static str,
    },
    /// A parameter that the method does not have.
    #[error("the method has no parameter `{found}`")]
    UnknownParameter {
        /// The name, escaped and shortened.
        found: String,
    },
    /// An argument called `$input` or `$state`.
    #[error("an argument is called `{INPUT_ARGUMENT}` or `{STATE_ARGUMENT}`, which are reserved")]
    ReservedArgument,
}

impl CallError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotACall { .. } => "call-not-a-call",
            Self::Parameter { .. } => "call-parameter-invalid",
            Self::UnknownParameter { .. } => "call-parameter-unknown",
            Self::ReservedArgument => "call-argument-reserved",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotACall { .. } => "send it with a DPoP proof as a message of the session",
            Self::Parameter { .. } | Self::UnknownParameter { .. } => {
                "send the parameters that the MCP schema names"
            }
            Self::ReservedArgument => {
                "send answers to the server's questions as `inputResponses`, its state as `requestState`"
            }
        }
    }
}

impl Method {
    /// The reserved action name: the tool id of a call, otherwise
    /// `mcp:<server>:<method>`, which no tool id can equal.
    #[must_use]
    pub fn action(&self) -> String {
        match self.treatment {
            Treatment::Call(CallForm::Tool) => "mcp:<server>:tools/<params.name>".to_owned(),
            Treatment::Call(CallForm::Resource) => "mcp:<server>:resources/read".to_owned(),
            Treatment::Call(CallForm::Prompt) => "mcp:<server>:prompts/<params.name>".to_owned(),
            _ => format!("mcp:<server>:rpc:{}", self.name),
        }
    }

    /// Whether the message passes at all.
    #[must_use]
    pub const fn passes(&self) -> bool {
        !matches!(self.treatment, Treatment::Refused(_))
    }

    /// Forms the call from `params`, from which the presentation was removed.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(&self, server: &ServerName, params: &Object) -> Result<Call, CallError> {
        let Treatment::Call(form) = self.treatment else {
            return Err(CallError::NotACall { method: self.name });
        };
        let known: &[&str] = match form {
            CallForm::Tool | CallForm::Prompt => {
                &["_meta", "name", "arguments", "inputResponses", "requestState"]
            }
            CallForm::Resource => &["_meta", "uri", "inputResponses", "requestState"],
        };
        // How the answer is given, not what is done: no argument.
        self.task_wish(params)?;
        let is_wish = |name: &str| form == CallForm::Tool && name == "task";
        let unknown = |name: &str| !known.contains(&name) && !is_wish(name);
        if let Some((found, _)) = params.iter().find(|(name, _)| unknown(name)) {
            let found = found.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(CallError::UnknownParameter { found });
        }
        let text = |member: &'static str| {
            let found = params.member(member).and_then(Json::as_str).filter(|t| !t.is_empty());
            found.ok_or(CallError::Parameter { member, expected: "a text that is not empty" })
        };
        let (operation, named) = match form {
            CallForm::Tool => (format!("tools/{}", text("name")?), "name"),
            CallForm::Prompt => (format!("prompts/{}", text("name")?), "name"),
            CallForm::Resource => ("resources/read".to_owned(), "uri"),
        };
        let tool = ToolId::parse(&format!("mcp:{server}:{operation}")).map_err(|_| {
            CallError::Parameter { member: named, expected: "a shorter, plain name" }
        })?;
        let mut arguments = match form {
            CallForm::Resource => Object::new().with("uri", text("uri")?),
            CallForm::Tool | CallForm::Prompt => match params.member("arguments") {
                None => Object::new(),
                Some(json) => json
                    .as_object()
                    .cloned()
                    .ok_or(CallError::Parameter { member: "arguments", expected: "an object" })?,
            },
        };
        if arguments.iter().any(|(name, _)| is_reserved(name)) {
            return Err(CallError::ReservedArgument);
        }
        if waited::waits(params) {
            return Ok(Call { tool, arguments });
        }
        if let Some(responses) = params.member("inputResponses") {
            if responses.as_object().is_none() {
                return Err(CallError::Parameter {
                    member: "inputResponses",
                    expected: "an object",
                });
            }
            arguments.insert(INPUT_ARGUMENT, responses.clone());
        }
        if let Some(state) = params.member("requestState") {
            let state = state
                .as_str()
                .ok_or(CallError::Parameter { member: "requestState", expected: "a text" })?;
            arguments.insert(STATE_ARGUMENT, state);
        }
        Ok(Call { tool, arguments })
    }
}

/// `docs/mcp-methods.md`.
#[must_use]
pub fn document() -> String {
    table::document()
}

#[cfg(test)]
mod tests;
