//! What an agent answers: data, read before anybody sees it.

use bailiwick_core::json::{Json, Object};

use super::form::{Misshapen, Unknown};
use super::{MAX_ID_CHARS, Operation};

/// A task or context that an answer speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The task, if there is one.
    pub task: Option<String>,
    /// The context, if it says so.
    pub context: Option<String>,
    /// Whether the task has ended, if it says so.
    pub ended: Option<bool>,
}

/// States after which a task takes no message.
const ENDED: [&str; 4] =
    ["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"];

/// The result of an operation, or one event of its stream, in its one spelling.
/// Members that the protocol does not have are left out.
///
/// # Errors
/// [`Misshapen`].
pub fn read(operation: Operation, result: &Json) -> Result<Object, Misshapen> {
    let nothing = Object::new();
    let object = match (operation, result) {
        (Operation::DeleteTaskPushNotificationConfig, Json::Null) => &nothing,
        (_, Json::Object(object)) => object,
        _ => return Err(Misshapen::at("result")),
    };
    let read = operation.answer().read(object, Unknown::Dropped)?;
    let is_bounded = seen(operation, &read).iter().all(|seen| {
        [&seen.task, &seen.context]
            .into_iter()
            .flatten()
            .all(|id| id.chars().count() <= MAX_ID_CHARS)
    });
    if is_bounded { Ok(read) } else { Err(Misshapen::at("id")) }
}

/// The tasks and contexts that a result speaks of; those of a list are its own
/// ([`keep`]).
#[must_use]
pub fn seen(operation: Operation, result: &Object) -> Vec<Seen> {
    match operation {
        Operation::CancelTask | Operation::GetTask => vec![of_task(result)],
        Operation::SendMessage | Operation::SendStreamingMessage | Operation::SubscribeToTask => {
            let member = |name| result.member(name).and_then(Json::as_object);
            let named = |update: &Object| Seen {
                task: text(update, "taskId"),
                context: text(update, "contextId"),
                ended: has_ended(update),
            };
            let task = member("task").map(of_task);
            let updates = ["message", "statusUpdate", "artifactUpdate"].into_iter();
            task.into_iter().chain(updates.filter_map(member).map(named)).collect()
        }
        Operation::CreateTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            vec![Seen { task: text(result, "taskId"), ..Seen::default() }]
        }
        _ => Vec::new(),
    }
}

fn text(object: &Object, member: &str) -> Option<String> {
    object.member(member).and_then(Json::as_str).map(str::to_owned)
}

fn of_task(task: &Object) -> Seen {
    Seen { task: text(task, "id"), context: text(task, "contextId"), ended: has_ended(task) }
}

fn has_ended(object: &Object) -> Option<bool> {
    let state = object.member("status")?.as_object()?.member("state")?.as_str()?;
    Some(ENDED.contains(&state))
}

/// The tasks of a list that are kept, in their order.
#[must_use]
pub fn keep(result: &Object, is_own: impl Fn(&str) -> bool) -> Vec<Json> {
    let listed = result.member("tasks").and_then(Json::as_array).unwrap_or_default();
    let own = |task: &&Json| {
        task.as_object().and_then(|task| text(task, "id")).is_some_and(|id| is_own(&id))
    };
    listed.iter().filter(own).cloned().collect()
}

/// Where a list goes on.
#[must_use]
pub fn next_page(result: &Object) -> Option<&str> {
    result.member("nextPageToken").and_then(Json::as_str).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn of(operation: Operation, text: &str) -> Result<Object, String> {
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        read(operation, &json).map_err(|e| e.place)
    }

    #[test]
    fn an_answer_names_its_task_context_and_whether_it_has_ended() {
        for (operation, text, ended) in [
            (
                Operation::GetTask,
                r#"{"id":"t","contextId":"c","status":{"state":"TASK_STATE_REJECTED"}}"#,
                Some(true),
            ),
            (
                Operation::SendMessage,
                r#"{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_AUTH_REQUIRED"}}}"#,
                Some(false),
            ),
            (
                Operation::SubscribeToTask,
                r#"{"statusUpdate":{"taskId":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}"#,
                Some(false),
            ),
            (
                Operation::SubscribeToTask,
                r#"{"artifactUpdate":{"taskId":"t","contextId":"c","artifact":{"artifactId":"a"}}}"#,
                None,
            ),
            (
                Operation::SendMessage,
                r#"{"message":{"messageId":"m","role":"ROLE_AGENT","taskId":"t","contextId":"c"}}"#,
                None,
            ),
        ] {
            let result = of(operation, text).unwrap();
            let expected = Seen { task: Some("t".into()), context: Some("c".into()), ended };
            assert_eq!(seen(operation, &result), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_and_what_is_unknown_is_left_out() {
        assert_eq!(of(Operation::SendMessage, r#"{"task":{},"message":{}}"#).unwrap_err(), "task");
        assert_eq!(of(Operation::SendMessage, "{}").unwrap_err(), "task");
        assert_eq!(of(Operation::GetTask, "[]").unwrap_err(), "result");
        let extra = of(Operation::GetTask, r#"{"id":"t","context_id":"x","more":1}"#).unwrap();
        assert_eq!(Json::from(extra).canonical(), r#"{"id":"t"}"#);
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MAX_ID_CHARS + 1));
        assert_eq!(of(Operation::GetTask, &long).unwrap_err(), "id");
    }

    #[test]
    fn of_a_list_only_own_tasks_are_kept() {
        let list =
            of(Operation::ListTasks, r#"{"tasks":[{"id":"a"},{"id":"b"},{}],"nextPageToken":"n"}"#);
        let list = list.unwrap();
        assert_eq!(keep(&list, |id| id == "b").len(), 1);
        assert_eq!(next_page(&list), Some("n"));
    }
}
