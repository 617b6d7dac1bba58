//! One call, said in Cedar: as `docs/policy.cedarschema` has it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Number, Object};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression as Value,
};

use crate::decide::PolicyInput;
use crate::grades::RunState;

/// A call that cannot be put to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The workflow does not catalogue the tool.
    #[error("the tool has no rating")]
    Unrated,
    /// Cedar did not take a value: the schema and this module disagree.
    #[error("the call cannot be said in Cedar")]
    Unsayable,
}

/// A call as Cedar sees it.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) entities: Entities,
    pub(super) agent: EntityUid,
    pub(super) tool: EntityUid,
    pub(super) server: EntityUid,
}

/// Says `input` in Cedar.
pub(super) fn of(input: &PolicyInput<'_>) -> Result<Asked, RequestError> {
    let rating = input.rating.ok_or(RequestError::Unrated)?;
    let call = &input.call;
    let agent = uid("Agent", input.agent.as_str())?;
    let tool = uid("Tool", input.tool.as_str())?;
    let server = uid("ToolServer", input.tool.server())?;
    let attributes = HashMap::from([
        ("risk".to_owned(), grade("Risk", rating.risk.as_str())?),
        ("effect".to_owned(), grade("Effect", rating.effect.as_str())?),
        ("data".to_owned(), Value::new_set(rating.data.iter().cloned().map(Value::new_string))),
        ("idempotent".to_owned(), Value::new_bool(rating.idempotent)),
        ("bearer".to_owned(), Value::new_bool(rating.bearer)),
    ]);
    let mut typed = Typed::default();
    typed.object("", call.arguments);
    let arguments = uid("Texts", "arguments")?;
    let tagged = |kind: &str, tags: Vec<(String, Value)>| -> Result<_, RequestError> {
        let uid = uid(kind, "arguments")?;
        Entity::new_with_tags(uid, [], [], tags).map_err(|_| RequestError::Unsayable)
    };
    let entities = [
        Entity::new_no_attrs(agent.clone(), HashSet::new()),
        Entity::new_no_attrs(server.clone(), HashSet::new()),
        Entity::new(tool.clone(), attributes, HashSet::from([server.clone()]))
            .map_err(|_| RequestError::Unsayable)?,
        tagged("Texts", typed.texts)?,
        tagged("Integers", typed.integers)?,
        tagged("Flags", typed.flags)?,
        tagged("Lists", typed.lists)?,
    ];
    let entities = Entities::from_entities(entities, None).map_err(|_| RequestError::Unsayable)?;
    let strings = |texts: Vec<String>| Value::new_set(texts.into_iter().map(Value::new_string));
    let arguments = record([
        ("names", strings(typed.names)),
        ("texts", Value::new_entity_uid(arguments)),
        ("integers", grade("Integers", "arguments")?),
        ("flags", grade("Flags", "arguments")?),
        ("lists", grade("Lists", "arguments")?),
        ("untyped", strings(typed.untyped)),
    ])?;
    let context = [
        ("principal", grade("Principal", call.principal.as_str())?),
        ("task", grade("Task", call.task.as_str())?),
        ("workflow", grade("Workflow", call.workflow.as_str())?),
        ("consent", grade("Consent", input.consent.as_str())?),
        ("level", grade("Level", input.level.as_str())?),
        ("assurance", grade("Assurance", input.assurance.as_str())?),
        ("guarantee", grade("Guarantee", input.guarantee.as_str())?),
        ("isolation", grade("Isolation", input.isolation.as_str())?),
        ("upstream", grade("Upstream", input.upstream.as_str())?),
        ("hops", Value::new_long(i64::try_from(call.hops).unwrap_or(i64::MAX))),
        ("staleness_ms", Value::new_long(call.staleness_ms)),
        ("time", Value::new_datetime(call.now.to_string())),
        ("arguments", arguments),
        ("run", Value::new_bool(input.run != RunState::None)),
        ("undeclared", Value::new_bool(input.run == RunState::Undeclared)),
    ];
    let context = context.map(|(name, value)| (name.to_owned(), value));
    let context = Context::from_pairs(context).map_err(|_| RequestError::Unsayable)?;
    let action = uid("Action", action(input.tool))?;
    let request = Request::new(agent.clone(), action, tool.clone(), context, None)
        .map_err(|_| RequestError::Unsayable)?;
    Ok(Asked { request, entities, agent, tool, server })
}

/// What is done with the tool: its id says what it is.
fn action(tool: &ToolId) -> &'static str {
    match tool.operation() {
        "resources/read" => "read",
        other if other.starts_with("prompts/") => "prompt",
        _ => "call",
    }
}

/// The schema's types: Cedar reads a name with its whole grammar.
static TYPES: LazyLock<HashMap<&'static str, EntityTypeName>> = LazyLock::new(|| {
    let names = [
        "Action",
        "Agent",
        "Assurance",
        "Consent",
        "Effect",
        "Flags",
        "Grade",
        "Guarantee",
        "Integers",
        "Isolation",
        "Level",
        "Lists",
        "Principal",
        "Risk",
        "Task",
        "Texts",
        "Tool",
        "ToolServer",
        "Upstream",
        "Workflow",
    ];
    names.into_iter().filter_map(|name| Some((name, name.parse().ok()?))).collect()
});

pub(super) fn uid(kind: &str, id: &str) -> Result<EntityUid, RequestError> {
    let kind = TYPES.get(kind).ok_or(RequestError::Unsayable)?;
    Ok(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
}

pub(super) fn grade(kind: &str, id: &str) -> Result<Value, RequestError> {
    uid(kind, id).map(Value::new_entity_uid)
}

fn record<const N: usize>(members: [(&str, Value); N]) -> Result<Value, RequestError> {
    Value::new_record(members.map(|(name, value)| (name.to_owned(), value)))
        .map_err(|_| RequestError::Unsayable)
}

/// Arguments by the kind of their values.
#[derive(Default)]
struct Typed {
    names: Vec<String>,
    texts: Vec<(String, Value)>,
    integers: Vec<(String, Value)>,
    flags: Vec<(String, Value)>,
    lists: Vec<(String, Value)>,
    untyped: Vec<String>,
}

impl Typed {
    fn object(&mut self, prefix: &str, object: &Object) {
        for (name, value) in object.iter() {
            // SECURITY: a name with a slash must not pass for a path.
            let name = name.replace('~', "~0").replace('/', "~1");
            self.value(format!("{prefix}{name}"), value);
        }
    }

    fn value(&mut self, path: String, value: &Json) {
        if let Json::Object(object) = value {
            self.object(&format!("{path}/"), object);
        }
        match value {
            Json::String(text) => {
                self.texts.push((path.clone(), Value::new_string(text.clone())));
            }
            Json::Bool(flag) => self.flags.push((path.clone(), Value::new_bool(*flag))),
            Json::Number(number) => match whole(number) {
                Some(n) => self.integers.push((path.clone(), Value::new_long(n))),
                None => self.untyped.push(path.clone()),
            },
            Json::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
                match texts {
                    Some(texts) => {
                        let texts = texts.into_iter().map(|t| Value::new_string(t.to_owned()));
                        self.lists.push((path.clone(), Value::new_set(texts)));
                    }
                    None => self.untyped.push(path.clone()),
                }
            }
            Json::Object(_) => {}
            Json::Null => self.untyped.push(path.clone()),
        }
        self.names.push(path);
    }
}

/// A whole number that every reader understands alike: by its value, not its
/// text, because records keep the canonical form.
fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    let value = number.value();
    let is_whole = value.fract() == 0.0 && value.abs() <= EXACT;
    // Within 2^53 the display of a whole double is its integer.
    is_whole.then(|| format!("{value:.0}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_schema_is_known() {
        let schema = include_str!("../../../../docs/policy.cedarschema");
        let entities = schema.lines().filter_map(|line| line.strip_prefix("entity "));
        let names = entities.filter_map(|rest| rest.split([' ', ';']).next());
        let mut count = 0;
        for name in names {
            assert!(TYPES.contains_key(name), "{name}");
            count += 1;
        }
        assert!(count > 10);
        assert!(TYPES.contains_key("Action"));
    }
}
