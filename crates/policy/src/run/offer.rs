//! The tools by which agents speak of their runs, as listings have them.

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};

use super::{
    ItemKind, MAX_CLAIMS, MAX_GOAL_CHARS, MAX_ITEMS, MAX_MODEL_CALLS, MAX_NAME_CHARS,
    MAX_SOURCE_CHARS, MAX_STATEMENT_CHARS, MAX_SUMMARY_CHARS,
};
use crate::checklist::{Backing, Runs};
use crate::workflow::Workflow;

/// What is done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Begin one.
    Begin,
    /// Note context that it used.
    Context,
    /// Note what it took.
    Progress,
    /// Say that it is complete.
    Complete,
}

impl Verb {
    /// Every verb, in the order of a run.
    pub const ALL: [Self; 4] = [Self::Begin, Self::Context, Self::Progress, Self::Complete];

    /// The name of its tool.
    #[must_use]
    pub const fn tool(self) -> &'static str {
        match self {
            Self::Begin => "run_begin",
            Self::Context => "note_context",
            Self::Progress => "note_progress",
            Self::Complete => "complete_task",
        }
    }

    /// The tool as listings have it, with what the workflow asks for.
    #[must_use]
    pub fn definition(self, workflow: &Workflow) -> Json {
        let (title, description, properties, required) = match self {
            Self::Begin => begin(),
            Self::Context => context(workflow),
            Self::Progress => progress(),
            Self::Complete => complete(workflow),
        };
        let required: Vec<Json> = required.iter().map(|name| Json::from(*name)).collect();
        let schema = Object::new()
            .with("type", "object")
            .with("properties", properties)
            .with("required", required)
            .with("additionalProperties", false);
        let annotations = Object::new()
            .with("readOnlyHint", false)
            .with("destructiveHint", false)
            .with("idempotentHint", self == Self::Begin)
            .with("openWorldHint", false);
        Object::new()
            .with("name", self.tool())
            .with("title", title)
            .with("description", description)
            .with("inputSchema", schema)
            .with("annotations", annotations)
            .into()
    }
}

/// Whether an agent under this workflow is offered the tools at a tool server: the
/// workflow says when a task is complete, or wants every call in a run. A tool that
/// it catalogues under one of the names is that tool server's.
#[must_use]
pub fn is_offered(workflow: &Workflow, server: &str, verb: Verb) -> bool {
    let checklist = &workflow.checklist;
    let has_runs = !checklist.completion.is_empty() || checklist.runs == Runs::Required;
    let same = ToolId::parse(&format!("mcp:{server}:tools/{}", verb.tool()));
    has_runs && same.is_ok_and(|tool| workflow.catalogue.rating(&tool).is_none())
}

type Parts = (&'static str, String, Object, &'static [&'static str]);

fn text(description: &str, most: usize) -> Object {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    kind("string", description).with("minLength", 1u64).with("maxLength", most)
}

fn kind(kind: &str, description: &str) -> Object {
    Object::new().with("type", kind).with("description", description)
}

fn amount(description: &str) -> Object {
    kind("integer", description).with("minimum", 0u64)
}

fn list(description: &str, most: usize, properties: Object, required: &[&str]) -> Object {
    let required: Vec<Json> = required.iter().map(|name| Json::from(*name)).collect();
    let items = Object::new()
        .with("type", "object")
        .with("properties", properties)
        .with("required", required)
        .with("additionalProperties", false);
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    kind("array", description).with("items", items).with("maxItems", most)
}

fn run() -> Object {
    kind("string", "the run's id; it must be the one that is open")
}

fn begin() -> Parts {
    let properties = Object::new()
        .with("goal", text("what you attempt, in a sentence or two", MAX_GOAL_CHARS))
        .with(
            "instruction_sha256",
            kind("string", "SHA-256 of the instruction that you were given, in hex"),
        );
    let description = "Begin a run: one attempt at your task. Say what you attempt before the \
                       first call; every call from then on belongs to the run. Beginning again \
                       with another goal ends the run before as abandoned.";
    ("Begin a run", description.to_owned(), properties, &["goal"])
}

fn context(workflow: &Workflow) -> Parts {
    let kinds: Vec<Json> = ItemKind::ALL.iter().map(|k| Json::from(k.as_str())).collect();
    let item = Object::new()
        .with("kind", kind("string", "what it is").with("enum", kinds))
        .with("sha256", kind("string", "SHA-256 of its content, in hex"))
        .with(
            "source",
            text(
                "where it is from; for what a tool gave, the decision id of that call",
                MAX_SOURCE_CHARS,
            ),
        )
        .with("label", text("your own label for it", MAX_NAME_CHARS));
    let properties = Object::new().with("run", run()).with(
        "items",
        list("what you used", MAX_ITEMS, item, &["kind", "sha256", "source"])
            .with("minItems", 1u64),
    );
    let listed = workflow.checklist.data_sources.as_ref().map(|sources| &sources.context);
    let listed: Vec<&str> = listed.into_iter().flatten().map(String::as_str).collect();
    let listed = match listed.as_slice() {
        [] => "This task's workflow lists no sources besides its tools.".to_owned(),
        some => format!("This task's workflow lists these sources: {}.", some.join(", ")),
    };
    let description = format!(
        "Note context that you used in this run, by digest and source: documents, memories, \
         prompts, outputs of tools. Other sources than listed ones are labelled undeclared. \
         {listed}"
    );
    ("Note context", description, properties, &["items"])
}

fn progress() -> Parts {
    let call = Object::new()
        .with("model", text("the model's name", MAX_NAME_CHARS))
        .with("input_tokens", amount("tokens that it read"))
        .with("output_tokens", amount("tokens that it wrote"))
        .with("cost_micros", amount("what it cost, in millionths of the currency"));
    let properties = Object::new()
        .with("run", run())
        .with("iterations", amount("rounds of your loop since the last note"))
        .with(
            "model_calls",
            list("calls of models since the last note", MAX_MODEL_CALLS, call, &["model"]),
        )
        .with("currency", kind("string", "three capital letters, one currency for a whole run"));
    let description = "Note iterations of this run and its calls of models since the last note. \
                       It also says that you are still at work.";
    ("Note progress", description.to_owned(), properties, &[])
}

fn complete(workflow: &Workflow) -> Parts {
    let check = Object::new()
        .with("type", "object")
        .with("description", "a check that you ran yourself")
        .with(
            "properties",
            Object::new()
                .with("name", text("what you call it", MAX_NAME_CHARS))
                .with("passed", kind("boolean", "whether it passed"))
                .with("output_sha256", kind("string", "SHA-256 of its output, in hex")),
        )
        .with("required", vec![Json::from("name"), Json::from("passed")])
        .with("additionalProperties", false);
    let claim = Object::new()
        .with("criterion", kind("string", "its id"))
        .with("statement", text("why it is met, in your words", MAX_STATEMENT_CHARS))
        .with("receipt", kind("string", "the decision id of the call that did it"))
        .with("check", check);
    let properties = Object::new()
        .with("run", run())
        .with("claims", list("criterion by criterion", MAX_CLAIMS, claim, &["criterion"]))
        .with("summary", text("what was done, in words", MAX_SUMMARY_CHARS));
    let criteria: Vec<String> =
        workflow.checklist.completion.iter().map(|c| format!("{} ({})", c.id, by(&c.by))).collect();
    let description = format!(
        "Say that the task is complete, which ends the run. Whether it counts as complete is \
         derived from evidence: the answer says what is missing. This task's criteria: {}.",
        if criteria.is_empty() { "none".to_owned() } else { criteria.join(", ") }
    );
    ("Complete the task", description, properties, &["claims"])
}

/// What shows a criterion, in a few words for the agent.
fn by(backing: &Backing) -> String {
    match backing {
        Backing::SelfReport => "your word".to_owned(),
        Backing::SelfCheck => "a check that you run".to_owned(),
        Backing::Tool { tool } => format!("a call of {tool}"),
        Backing::ToolCheck { .. } | Backing::NamedCheck { .. } => "checked by others".to_owned(),
        Backing::Review => "a person's review".to_owned(),
    }
}
