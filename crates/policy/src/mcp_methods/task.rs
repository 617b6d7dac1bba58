//! Calls that go on as tasks: in 2025-11-25 because the client asks for it, in
//! 2026-07-28 because the tool server says so to a client that can follow.

use bailiwick_core::json::Object;

use super::{CallError, CallForm, Era, Method, Treatment};

/// The extension of 2026-07-28.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// A client's word that a call of it may go on as a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskWish {
    /// For how long the client wants it to be kept, milliseconds; none: it did
    /// not say.
    pub ttl_ms: Option<u64>,
}

impl Method {
    /// Whether a call may go on as a task, as far as its client is concerned:
    /// it has the parameter `task` (2025-11-25), or declares the extension
    /// (2026-07-28). Only calls of tools may.
    ///
    /// # Errors
    /// [`CallError::Parameter`]: `task` is not as the schema has it.
    pub fn task_wish(&self, params: &Object) -> Result<Option<TaskWish>, CallError> {
        if self.treatment != Treatment::Call(CallForm::Tool) {
            return Ok(None);
        }
        if self.eras.contains(&Era::Stateless) {
            return Ok(declares_tasks(params).then(TaskWish::default));
        }
        let Some(task) = params.member("task") else { return Ok(None) };
        let malformed =
            CallError::Parameter { member: "task", expected: "an object with, at most, a `ttl`" };
        let Some(task) = task.as_object() else { return Err(malformed) };
        if task.iter().any(|(name, _)| name != "ttl") {
            return Err(malformed);
        }
        let ttl = task.member("ttl").map(|ttl| ttl.as_number()?.as_plain_integer());
        match ttl.map(|ttl| ttl.and_then(|ttl| u64::try_from(ttl).ok())) {
            Some(None) => Err(malformed),
            ttl => Ok(Some(TaskWish { ttl_ms: ttl.flatten() })),
        }
    }
}

/// Whether a client declares that it follows tasks (2026-07-28).
#[must_use]
pub fn declares_tasks(params: &Object) -> bool {
    let extensions = || -> Option<&Object> {
        let meta = params.member("_meta")?.as_object()?;
        meta.member(CAPABILITIES)?.as_object()?.member("extensions")?.as_object()
    };
    extensions().is_some_and(|extensions| extensions.member(TASKS).is_some())
}

#[cfg(test)]
mod tests {
    use bailiwick_core::json::Json;
    use bailiwick_core::limits::JsonLimits;

    use super::super::{Sender, Shape, method};
    use super::*;

    fn wish(name: &str, era: Era, params: &str) -> Result<Option<TaskWish>, CallError> {
        let row = method(name, era, Sender::Client, Shape::Request).unwrap();
        let params = Json::parse(params.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        row.task_wish(params.as_object().unwrap())
    }

    #[test]
    fn a_client_asks_for_a_task_in_the_way_of_its_era() {
        let declared = r#"{"name":"x","_meta":{"io.modelcontextprotocol/clientCapabilities":
            {"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#;
        for (era, params, expected) in [
            (Era::Sessions, r#"{"name":"x"}"#, None),
            (Era::Sessions, r#"{"name":"x","task":{}}"#, Some(None)),
            (Era::Sessions, r#"{"name":"x","task":{"ttl":60000}}"#, Some(Some(60_000))),
            (Era::Sessions, declared, None),
            (Era::Stateless, declared, Some(None)),
            (Era::Stateless, r#"{"name":"x"}"#, None),
        ] {
            let expected = expected.map(|ttl_ms| TaskWish { ttl_ms });
            assert_eq!(wish("tools/call", era, params), Ok(expected), "{params}");
        }
        for bad in
            ["1", "[]", "null", r#"{"ttl":-1}"#, r#"{"ttl":"1"}"#, r#"{"ttl":1.5}"#, r#"{"x":1}"#]
        {
            let params = format!(r#"{{"name":"x","task":{bad}}}"#);
            assert!(wish("tools/call", Era::Sessions, &params).is_err(), "{bad}");
        }
        assert_eq!(wish("prompts/get", Era::Sessions, r#"{"name":"x","task":{}}"#), Ok(None));
        assert_eq!(wish("prompts/get", Era::Stateless, declared), Ok(None));
    }
}
