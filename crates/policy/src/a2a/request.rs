//! Requests of both bindings, as calls.

use bailiwick_core::json::{Json, Number, Object};
use url::form_urlencoded;

use super::form::{Misshapen, Unknown};
use super::{Fault, MAX_ID_CHARS, Operation, handoff};
use crate::mcp_methods::is_reserved;

const MAX_PARTS: usize = 256;
const MAX_REFERENCES: usize = 64;
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// A request that is none of the protocol's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such operation.
    #[error("there is no such operation")]
    Method,
    /// A parameter.
    #[error("the parameter {0}")]
    Params(#[from] Misshapen),
    /// A handoff that is not of its form.
    #[error("the handoff in the message is not of its form: {0}")]
    Handoff(#[from] handoff::Malformed),
}

impl Refused {
    /// The error in both bindings.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Method => Fault::METHOD,
            Self::Params(_) | Self::Handoff(_) => Fault::PARAMS,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Method => "method",
            Self::Params(misshapen) => &misshapen.place,
            Self::Handoff(malformed) => malformed.member,
        }
    }
}

/// A call of one operation. Its arguments are the parameters in their one
/// spelling, and all that the agent is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Which.
    pub operation: Operation,
    /// The arguments.
    pub arguments: Object,
}

fn missing(place: &str) -> Refused {
    Misshapen::at(place).into()
}

fn text<'o>(object: &'o Object, member: &str) -> Option<&'o str> {
    object.member(member).and_then(Json::as_str)
}

/// An id that may be kept and shown.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&id.chars().count()) && !id.chars().any(char::is_control)
}

impl Asked {
    /// A request of the JSON-RPC binding.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of_rpc(method: &str, params: Option<&Object>) -> Result<Self, Refused> {
        let operation = Operation::parse(method).ok_or(Refused::Method)?;
        Self::of(operation, params.unwrap_or(&Object::new()))
    }

    /// A request of the HTTP+JSON binding; `path` is below the agent's address,
    /// `body` is what it has besides.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of_http(
        method: &str,
        path: &str,
        query: Option<&str>,
        body: Option<&Object>,
    ) -> Result<Self, Refused> {
        let (operation, named) = routed(method, path).ok_or(Refused::Method)?;
        if body.is_some() && method != "POST" {
            return Err(missing("body"));
        }
        let mut params = body.cloned().unwrap_or_default();
        let asks = matches!(operation, Operation::GetTask | Operation::ListTasks)
            || operation == Operation::ListTaskPushNotificationConfigs;
        match query.filter(|query| !query.is_empty()) {
            Some(query) if asks => params = read_query(query)?,
            Some(_) => return Err(missing("query")),
            None => {}
        }
        for (member, id) in named {
            // What stands in the path may stand in the body again, but not differ.
            if text(&params, member).is_some_and(|other| other != id && !other.is_empty()) {
                return Err(missing(member));
            }
            params.insert(member, id);
        }
        Self::of(operation, &params)
    }

    /// A call of this operation with these parameters.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of(operation: Operation, params: &Object) -> Result<Self, Refused> {
        let arguments = operation.request().read(params, Unknown::Refused)?;
        // Whose part of an agent is asked, the catalogue says.
        if arguments.member("tenant").is_some() {
            return Err(missing("tenant"));
        }
        if arguments.iter().any(|(name, _)| is_reserved(name)) {
            return Err(missing("params"));
        }
        let asked = Self { operation, arguments };
        asked.check()?;
        Ok(asked)
    }

    fn check(&self) -> Result<(), Refused> {
        let id = |member: &str| match text(&self.arguments, member) {
            Some(id) if is_id(id) => Ok(()),
            _ => Err(missing(member)),
        };
        match self.operation {
            Operation::CancelTask | Operation::GetTask | Operation::SubscribeToTask => id("id"),
            Operation::CreateTaskPushNotificationConfig => {
                id("taskId")?;
                id("url")
            }
            Operation::DeleteTaskPushNotificationConfig
            | Operation::GetTaskPushNotificationConfig => {
                id("taskId")?;
                id("id")
            }
            Operation::ListTaskPushNotificationConfigs => id("taskId"),
            Operation::GetExtendedAgentCard => Ok(()),
            // The gateway turns the pages: a page of the agent's could begin with
            // somebody else's task.
            Operation::ListTasks => match self.arguments.member("pageToken") {
                Some(_) => Err(missing("pageToken")),
                None => Ok(()),
            },
            Operation::SendMessage | Operation::SendStreamingMessage => self.check_message(),
        }
    }

    fn check_message(&self) -> Result<(), Refused> {
        let message = self.message().ok_or_else(|| missing("message"))?;
        if text(message, "role") != Some("ROLE_USER") {
            return Err(missing("message/role"));
        }
        if !text(message, "messageId").is_some_and(is_id) {
            return Err(missing("message/messageId"));
        }
        for member in ["taskId", "contextId"] {
            if text(message, member).is_some_and(|id| !is_id(id)) {
                return Err(missing(&format!("message/{member}")));
            }
        }
        let parts = message.member("parts").and_then(Json::as_array).unwrap_or_default();
        if !(1..=MAX_PARTS).contains(&parts.len()) {
            return Err(missing("message/parts"));
        }
        let references = message.member("referenceTaskIds").and_then(Json::as_array);
        if references.is_some_and(|all| all.len() > MAX_REFERENCES) {
            return Err(missing("message/referenceTaskIds"));
        }
        handoff::check(message)?;
        Ok(())
    }

    fn message(&self) -> Option<&Object> {
        self.arguments.member("message").and_then(Json::as_object)
    }

    fn push(&self) -> Option<&Object> {
        match self.operation {
            Operation::CreateTaskPushNotificationConfig => Some(&self.arguments),
            _ => {
                let configuration = self.arguments.member("configuration")?.as_object()?;
                configuration.member("taskPushNotificationConfig")?.as_object()
            }
        }
    }

    /// Every task that it names.
    #[must_use]
    pub fn tasks(&self) -> Vec<&str> {
        let own = match self.operation {
            Operation::CancelTask | Operation::GetTask | Operation::SubscribeToTask => {
                text(&self.arguments, "id")
            }
            _ => text(&self.arguments, "taskId"),
        };
        let references = self.message().and_then(|m| m.member("referenceTaskIds")?.as_array());
        own.into_iter()
            .chain(self.continued())
            .chain(self.push().and_then(|push| text(push, "taskId")))
            .chain(references.unwrap_or_default().iter().filter_map(Json::as_str))
            .collect()
    }

    /// The task that its message goes on with.
    #[must_use]
    pub fn continued(&self) -> Option<&str> {
        self.message().and_then(|message| text(message, "taskId"))
    }

    /// The context that its message belongs to.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.message().and_then(|message| text(message, "contextId"))
    }

    /// Where the agent shall tell a task's progress.
    #[must_use]
    pub fn push_target(&self) -> Option<&str> {
        let push = self.push()?;
        Some(text(push, "url").unwrap_or_default())
    }
}

type Named = Vec<(&'static str, String)>;

/// The operation that a path means, and what stands in it.
fn routed(method: &str, path: &str) -> Option<(Operation, Named)> {
    use Operation as O;
    let one = |operation| Some((operation, Named::new()));
    match (method, path) {
        ("POST", "/message:send") => return one(O::SendMessage),
        ("POST", "/message:stream") => return one(O::SendStreamingMessage),
        ("GET", "/tasks") => return one(O::ListTasks),
        ("GET", "/extendedAgentCard") => return one(O::GetExtendedAgentCard),
        _ => {}
    }
    let rest = path.strip_prefix("/tasks/")?;
    let mut segments = rest.split('/');
    let (task, pushes, push) = (segments.next()?, segments.next(), segments.next());
    if segments.next().is_some() || pushes.is_some_and(|p| p != "pushNotificationConfigs") {
        return None;
    }
    let (task, verb) = match task.rsplit_once(':') {
        Some((task, verb)) => (task, Some(verb)),
        None => (task, None),
    };
    // Every other way to write an id is a second one.
    let plain = |id: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        (!id.is_empty() && id.bytes().all(is_plain) && id != "." && id != "..")
            .then(|| id.to_owned())
    };
    let task = plain(task)?;
    match (method, verb, pushes, push) {
        ("GET", None, None, None) => Some((O::GetTask, vec![("id", task)])),
        ("POST", Some("cancel"), None, None) => Some((O::CancelTask, vec![("id", task)])),
        ("GET" | "POST", Some("subscribe"), None, None) => {
            Some((O::SubscribeToTask, vec![("id", task)]))
        }
        ("POST", None, Some(_), None) => {
            Some((O::CreateTaskPushNotificationConfig, vec![("taskId", task)]))
        }
        ("GET", None, Some(_), None) => {
            Some((O::ListTaskPushNotificationConfigs, vec![("taskId", task)]))
        }
        ("GET", None, Some(_), Some(push)) => {
            let named = vec![("taskId", task), ("id", plain(push)?)];
            Some((O::GetTaskPushNotificationConfig, named))
        }
        ("DELETE", None, Some(_), Some(push)) => {
            let named = vec![("taskId", task), ("id", plain(push)?)];
            Some((O::DeleteTaskPushNotificationConfig, named))
        }
        _ => None,
    }
}

/// The parameters in a query, each once and of the kind that its name has.
fn read_query(query: &str) -> Result<Object, Refused> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(missing("query"));
    }
    let mut params = Object::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = match name.as_ref() {
            "historyLength" | "pageSize" => {
                let number = value.parse::<i64>().ok().filter(|n| n.to_string() == value);
                Json::from(Number::from(number.ok_or_else(|| missing(&name))?))
            }
            "includeArtifacts" => match value.as_ref() {
                "true" => Json::from(true),
                "false" => Json::from(false),
                _ => return Err(missing(&name)),
            },
            "contextId" | "status" | "pageToken" | "statusTimestampAfter" => {
                Json::from(value.as_ref())
            }
            _ => return Err(missing("query")),
        };
        if params.member(&name).is_some() {
            return Err(missing(&name));
        }
        params.insert(name.into_owned(), value);
    }
    Ok(params)
}

#[cfg(test)]
mod tests;
