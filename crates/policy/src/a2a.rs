//! A2A 1.0: agents as peers behind the gateway. Requests of both bindings
//! become one call of one operation, with arguments in one spelling; what an
//! agent answers is read the same way before anybody sees it.
//!
//! Each operation is a tool, `a2a:<agent's name>:<Operation>`, whose arguments are
//! the request's parameters. All rest on the one pinned definition of the agent,
//! its card ([`card`]).

use bailiwick_core::ids::{ServerName, ToolId};

pub mod answer;
pub mod card;
mod form;
pub mod handoff;
mod messages;
pub mod request;

pub use form::Misshapen;
pub use request::{Asked, Refused};

use form::Group;

/// The version that is spoken.
pub const VERSION: &str = "1.0";

/// Characters of an id of a task, context or message at most.
pub const MAX_ID_CHARS: usize = 256;

/// Whether a stated version is one that is spoken: 1.x. No version means 0.3.
#[must_use]
pub fn is_spoken(version: &str) -> bool {
    let minor = version.strip_prefix("1.");
    minor.is_some_and(|m| {
        (1..=8).contains(&m.len()) && m.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    }) && !version.ends_with('.')
        && !version.contains("..")
}

/// What an agent can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Ends a task early.
    CancelTask,
    /// Has the agent tell somebody of a task's progress.
    CreateTaskPushNotificationConfig,
    /// Ends that.
    DeleteTaskPushNotificationConfig,
    /// A second card, for those who are known.
    GetExtendedAgentCard,
    /// A task.
    GetTask,
    /// To whom the agent tells a task's progress.
    GetTaskPushNotificationConfig,
    /// All of these of one task.
    ListTaskPushNotificationConfigs,
    /// The tasks.
    ListTasks,
    /// A message; the answer is a task or a message.
    SendMessage,
    /// The same, with everything that happens as it happens.
    SendStreamingMessage,
    /// What happens to a task, as it happens.
    SubscribeToTask,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::CancelTask,
        Self::CreateTaskPushNotificationConfig,
        Self::DeleteTaskPushNotificationConfig,
        Self::GetExtendedAgentCard,
        Self::GetTask,
        Self::GetTaskPushNotificationConfig,
        Self::ListTaskPushNotificationConfigs,
        Self::ListTasks,
        Self::SendMessage,
        Self::SendStreamingMessage,
        Self::SubscribeToTask,
    ];

    /// Its name, which is also the method of the JSON-RPC binding.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CancelTask => "CancelTask",
            Self::CreateTaskPushNotificationConfig => "CreateTaskPushNotificationConfig",
            Self::DeleteTaskPushNotificationConfig => "DeleteTaskPushNotificationConfig",
            Self::GetExtendedAgentCard => "GetExtendedAgentCard",
            Self::GetTask => "GetTask",
            Self::GetTaskPushNotificationConfig => "GetTaskPushNotificationConfig",
            Self::ListTaskPushNotificationConfigs => "ListTaskPushNotificationConfigs",
            Self::ListTasks => "ListTasks",
            Self::SendMessage => "SendMessage",
            Self::SendStreamingMessage => "SendStreamingMessage",
            Self::SubscribeToTask => "SubscribeToTask",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Whether its answer is a stream of events.
    #[must_use]
    pub const fn streams(self) -> bool {
        matches!(self, Self::SendStreamingMessage | Self::SubscribeToTask)
    }

    /// Its tool at this agent.
    ///
    /// # Errors
    /// [`bailiwick_core::ids::IdError`] where the id would be too long.
    pub fn tool(self, server: &ServerName) -> Result<ToolId, bailiwick_core::ids::IdError> {
        ToolId::parse(&format!("a2a:{server}:{}", self.name()))
    }

    const fn request(self) -> &'static Group {
        match self {
            Self::CancelTask => &messages::CANCEL,
            Self::CreateTaskPushNotificationConfig => &messages::PUSH,
            Self::DeleteTaskPushNotificationConfig | Self::GetTaskPushNotificationConfig => {
                &messages::ONE_PUSH
            }
            Self::GetExtendedAgentCard => &messages::EXTENDED,
            Self::GetTask => &messages::GET_TASK,
            Self::ListTaskPushNotificationConfigs => &messages::LIST_PUSHES,
            Self::ListTasks => &messages::LIST_TASKS,
            Self::SendMessage | Self::SendStreamingMessage => &messages::SEND,
            Self::SubscribeToTask => &messages::SUBSCRIBE,
        }
    }

    const fn answer(self) -> &'static Group {
        match self {
            Self::CancelTask | Self::GetTask => &messages::TASK,
            Self::CreateTaskPushNotificationConfig | Self::GetTaskPushNotificationConfig => {
                &messages::PUSH
            }
            // Nobody accepted such a card: it is never asked for.
            Self::DeleteTaskPushNotificationConfig | Self::GetExtendedAgentCard => {
                &messages::NOTHING
            }
            Self::ListTaskPushNotificationConfigs => &messages::PUSHES,
            Self::ListTasks => &messages::TASKS,
            Self::SendMessage => &messages::SENT,
            Self::SendStreamingMessage | Self::SubscribeToTask => &messages::STREAM,
        }
    }
}

/// Errors of A2A, in both bindings (§5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of JSON-RPC.
    pub code: i64,
    /// Of HTTP.
    pub status: u16,
    /// Of gRPC, by name.
    pub name: &'static str,
    /// The reason in `ErrorInfo`.
    pub reason: &'static str,
}

const fn fault(code: i64, status: u16, name: &'static str, reason: &'static str) -> Fault {
    Fault { code, status, name, reason }
}

const FAILED: &str = "FAILED_PRECONDITION";

impl Fault {
    /// There is no such task, as far as the caller may know.
    pub const TASK_NOT_FOUND: Self = fault(-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND");
    /// Nobody is told of progress, or not there.
    pub const PUSH: Self = fault(-32003, 400, FAILED, "PUSH_NOTIFICATION_NOT_SUPPORTED");
    /// Not for this task.
    pub const UNSUPPORTED: Self = fault(-32004, 400, FAILED, "UNSUPPORTED_OPERATION");
    /// There is no second card.
    pub const EXTENDED_CARD: Self =
        fault(-32007, 400, FAILED, "EXTENDED_AGENT_CARD_NOT_CONFIGURED");
    /// Another version of the protocol.
    pub const VERSION: Self = fault(-32009, 400, FAILED, "VERSION_NOT_SUPPORTED");
    /// Not JSON.
    pub const PARSE: Self = fault(-32700, 400, "INVALID_ARGUMENT", "INVALID_REQUEST");
    /// No request.
    pub const REQUEST: Self = fault(-32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST");
    /// No operation.
    pub const METHOD: Self = fault(-32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND");
    /// Parameters that are not of their form.
    pub const PARAMS: Self = fault(-32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS");
    /// The agent or the way to it failed.
    pub const INTERNAL: Self = fault(-32603, 500, "INTERNAL", "INTERNAL_ERROR");

    /// The error of a code that an agent answered with.
    #[must_use]
    pub const fn of_code(code: i64) -> Option<Self> {
        Some(match code {
            -32001 => Self::TASK_NOT_FOUND,
            -32002 => fault(code, 400, FAILED, "TASK_NOT_CANCELABLE"),
            -32003 => Self::PUSH,
            -32004 => Self::UNSUPPORTED,
            -32005 => fault(code, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
            -32006 => fault(code, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"),
            -32007 => Self::EXTENDED_CARD,
            -32008 => fault(code, 400, FAILED, "EXTENSION_SUPPORT_REQUIRED"),
            -32009 => Self::VERSION,
            -32600 => Self::REQUEST,
            -32601 => Self::METHOD,
            -32602 => Self::PARAMS,
            -32603 => Self::INTERNAL,
            -32700 => Self::PARSE,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_one_are_spoken() {
        for version in ["1.0", "1.1", "1.0.1"] {
            assert!(is_spoken(version), "{version}");
        }
        for version in ["", "0.3", "1", "1.", "1..0", "2.0", "10.0", "1.0,0.3", " 1.0", "1.0-x"] {
            assert!(!is_spoken(version), "{version:?}");
        }
    }

    #[test]
    fn an_operation_is_known_by_its_name_and_is_a_tool() {
        let server = ServerName::parse("billing").unwrap();
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.name()), Some(operation));
            let tool = operation.tool(&server).unwrap();
            assert_eq!(tool.operation(), operation.name());
        }
        for name in ["message/send", "tasks/get", "sendMessage", "card", ""] {
            assert_eq!(Operation::parse(name), None, "{name}");
        }
    }
}
