//! The rows, and their document.

use std::fmt::Write as _;

use super::{CallForm, Era, Filter, Method, Question, Sender, Shape, Treatment};

const SESSIONS: &[Era] = &[Era::Sessions];
const STATELESS: &[Era] = &[Era::Stateless];
const BOTH: &[Era] = &[Era::Sessions, Era::Stateless];

const NO_TASKS: &str =
    "an agent's client is asked for answers, not for work that goes on after them";

const LAST_WORD: &str = "the outcome of its call is recorded when its end is seen";

const ASKED: &str = "on the stream of the call that it belongs to, under an id of the gateway's; the answer is a message of the session, taken once and while the call runs; a `task` is refused";

const fn request(
    name: &'static str,
    eras: &'static [Era],
    treatment: Treatment,
    note: &'static str,
) -> Method {
    Method { name, eras, sender: Sender::Client, shape: Shape::Request, treatment, note }
}

const fn notice(
    name: &'static str,
    eras: &'static [Era],
    treatment: Treatment,
    note: &'static str,
) -> Method {
    Method { name, eras, sender: Sender::Client, shape: Shape::Notification, treatment, note }
}

const fn from_server(
    name: &'static str,
    eras: &'static [Era],
    shape: Shape,
    treatment: Treatment,
    note: &'static str,
) -> Method {
    Method { name, eras, sender: Sender::Server, shape, treatment, note }
}

/// Every method, by sender, shape and name.
pub const METHODS: &[Method] = &[
    // Requests of the client.
    request(
        "completion/complete",
        BOTH,
        Treatment::Listing(Filter::CompletionRef),
        "the answer holds values of the prompt or resource that is named, nothing else",
    ),
    request(
        "initialize",
        SESSIONS,
        Treatment::Session,
        "binds the session to the leaf key and the root; capabilities that do not pass are removed from both sides",
    ),
    request("logging/setLevel", SESSIONS, Treatment::Session, ""),
    request("ping", SESSIONS, Treatment::Session, ""),
    request(
        "prompts/get",
        BOTH,
        Treatment::Call(CallForm::Prompt),
        "`inputResponses` become `$input`, `requestState` becomes `$state`",
    ),
    request("prompts/list", BOTH, Treatment::Listing(Filter::Prompts), ""),
    request("resources/list", BOTH, Treatment::Listing(Filter::Resources), ""),
    request(
        "resources/read",
        BOTH,
        Treatment::Call(CallForm::Resource),
        "`inputResponses` become `$input`, `requestState` becomes `$state`",
    ),
    request("resources/subscribe", SESSIONS, Treatment::Listing(Filter::ResourceUri), ""),
    request("resources/templates/list", BOTH, Treatment::Listing(Filter::ResourceTemplates), ""),
    request("resources/unsubscribe", SESSIONS, Treatment::Listing(Filter::ResourceUri), ""),
    request(
        "server/discover",
        STATELESS,
        Treatment::Session,
        "capabilities that do not pass are removed from the answer",
    ),
    request(
        "subscriptions/listen",
        STATELESS,
        Treatment::Listing(Filter::Subscriptions),
        "ends when the delegation ends or is revoked",
    ),
    request("tasks/cancel", BOTH, Treatment::Task, ""),
    request("tasks/get", BOTH, Treatment::Task, LAST_WORD),
    request("tasks/list", SESSIONS, Treatment::Task, "shows only those"),
    request(
        "tasks/result",
        SESSIONS,
        Treatment::Task,
        "the outcome of its call is recorded with it; questions come on its stream, as with a call",
    ),
    request(
        "tasks/update",
        STATELESS,
        Treatment::Task,
        "passes on answers to questions that the tool server asked through the gateway; they are recorded with the outcome of the call",
    ),
    request(
        "tools/call",
        SESSIONS,
        Treatment::Call(CallForm::Tool),
        "`inputResponses` become `$input`, `requestState` becomes `$state`; with the parameter `task` it goes on as a task, where `task_seconds` is listed and for no longer",
    ),
    request(
        "tools/call",
        STATELESS,
        Treatment::Call(CallForm::Tool),
        "`inputResponses` become `$input`, `requestState` becomes `$state`; the tool server may go on with it as a task, where `task_seconds` is listed and for no longer; the parameter `task` of older clients is not passed on",
    ),
    request(
        "tools/list",
        BOTH,
        Treatment::Listing(Filter::Tools),
        "`cacheScope` is always `private`",
    ),
    // Notifications of the client.
    notice(
        "notifications/cancelled",
        BOTH,
        Treatment::Session,
        "its own session only, where the tool server has sessions",
    ),
    notice("notifications/initialized", SESSIONS, Treatment::Session, ""),
    notice("notifications/progress", SESSIONS, Treatment::Session, ""),
    notice("notifications/roots/list_changed", SESSIONS, Treatment::Question(Question::Roots), ""),
    notice("notifications/tasks/status", SESSIONS, Treatment::Refused(NO_TASKS), ""),
    // Requests of the server.
    from_server(
        "elicitation/create",
        SESSIONS,
        Shape::Request,
        Treatment::Question(Question::Elicitation),
        ASKED,
    ),
    from_server("ping", SESSIONS, Shape::Request, Treatment::Session, ""),
    from_server(
        "roots/list",
        SESSIONS,
        Shape::Request,
        Treatment::Question(Question::Roots),
        ASKED,
    ),
    from_server(
        "sampling/createMessage",
        SESSIONS,
        Shape::Request,
        Treatment::Question(Question::Sampling),
        ASKED,
    ),
    from_server("tasks/cancel", SESSIONS, Shape::Request, Treatment::Refused(NO_TASKS), ""),
    from_server("tasks/get", SESSIONS, Shape::Request, Treatment::Refused(NO_TASKS), ""),
    from_server("tasks/list", SESSIONS, Shape::Request, Treatment::Refused(NO_TASKS), ""),
    from_server("tasks/result", SESSIONS, Shape::Request, Treatment::Refused(NO_TASKS), ""),
    // Notifications of the server.
    from_server("notifications/cancelled", BOTH, Shape::Notification, Treatment::Session, ""),
    from_server(
        "notifications/elicitation/complete",
        SESSIONS,
        Shape::Notification,
        Treatment::Question(Question::Elicitation),
        "while a call is under way",
    ),
    from_server("notifications/message", BOTH, Shape::Notification, Treatment::Session, ""),
    from_server("notifications/progress", BOTH, Shape::Notification, Treatment::Session, ""),
    from_server(
        "notifications/prompts/list_changed",
        BOTH,
        Shape::Notification,
        Treatment::Session,
        "",
    ),
    from_server(
        "notifications/resources/list_changed",
        BOTH,
        Shape::Notification,
        Treatment::Session,
        "",
    ),
    from_server(
        "notifications/resources/updated",
        BOTH,
        Shape::Notification,
        Treatment::Listing(Filter::ResourceUri),
        "",
    ),
    from_server(
        "notifications/subscriptions/acknowledged",
        STATELESS,
        Shape::Notification,
        Treatment::Session,
        "",
    ),
    from_server("notifications/tasks", STATELESS, Shape::Notification, Treatment::Task, LAST_WORD),
    from_server("notifications/tasks/status", SESSIONS, Shape::Notification, Treatment::Task, ""),
    from_server(
        "notifications/tools/list_changed",
        BOTH,
        Shape::Notification,
        Treatment::Session,
        "also makes the gateway compare every pin again",
    ),
];

const INTRODUCTION: &str = "\
# MCP methods at the gateway

<!-- Generated by `cargo run -p bailiwick-policy --example mcp_methods`; a test pins it. -->

Every message of both protocol eras, who sends it and how the gateway treats it. A method without a row, a row's
method from the other side, or a row's method in the other era is denied (`method-unknown`).

- **call**: an action. Chain and proof of possession over tool and arguments; all stages; recorded before it leaves.
- **listing**: shows only what the presented delegation permits. Chain and DPoP proof by the leaf key.
- **session**: keeps the conversation going. Chain and DPoP proof by the leaf key; from the tool server, nothing: the gateway called it.
- **question**: of a tool server to the agent's client, about its user, model or folders. Passes only where the workflow's entry for the
  tool server lists it under `questions`; otherwise the tool server hears that the client does not offer it.
- **task**: about a call that goes on as a task. Passes only where the workflow's entry for the tool server has `task_seconds`, and only for
  a task that this delegation (or, of an access token, this client for this principal) started, in its session where there is one, while
  what it was started under stands. Chain and DPoP proof by the leaf key.
- **refused**: does not pass, for the reason given. A request is answered with an error, a notification is dropped.

An action's name is what decisions and records call it. The arguments of a call are exactly those that are checked, signed,
approved and forwarded; a parameter that the method does not have is refused. `GET` (the stream, or with `Last-Event-ID` the rest
of one) and `DELETE` of a session carry chain and DPoP proof as listings do. Batches are refused.
";

pub(super) fn document() -> String {
    let mut out = INTRODUCTION.to_owned();
    for (sender, shape, title) in [
        (Sender::Client, Shape::Request, "Requests of the agent"),
        (Sender::Client, Shape::Notification, "Notifications of the agent"),
        (Sender::Server, Shape::Request, "Requests of the tool server"),
        (Sender::Server, Shape::Notification, "Notifications of the tool server"),
    ] {
        let _ = write!(
            out,
            "\n## {title}\n\n| method | eras | treatment | action | arguments | note |\n| --- | --- | --- | --- | --- | --- |\n"
        );
        for m in METHODS.iter().filter(|m| m.sender == sender && m.shape == shape) {
            let eras: Vec<&str> = m.eras.iter().map(|era| era.version()).collect();
            let (treatment, arguments, note) = words(m);
            let _ = writeln!(
                out,
                "| `{}` | {} | {treatment} | `{}` | {arguments} | {note} |",
                m.name,
                eras.join(", "),
                m.action(),
            );
        }
    }
    out
}

fn words(m: &Method) -> (&'static str, &'static str, String) {
    match m.treatment {
        Treatment::Call(CallForm::Tool | CallForm::Prompt) => {
            ("**call**", "`params.arguments`, `{}` when absent", m.note.to_owned())
        }
        Treatment::Call(CallForm::Resource) => {
            ("**call**", "`{\"uri\": params.uri}`", m.note.to_owned())
        }
        Treatment::Listing(filter) => {
            let shown = match filter {
                Filter::Tools => "only tools of the delegation",
                Filter::Resources => "only resources whose `uri` the delegation permits to read",
                Filter::ResourceTemplates => "only if the delegation permits reading of resources",
                Filter::Prompts => "only prompts of the delegation",
                Filter::CompletionRef => "only for a prompt or resource that would be listed",
                Filter::ResourceUri => "only for a `uri` that the delegation permits to read",
                Filter::Subscriptions => "only for resources that the delegation permits to read",
            };
            let both =
                if m.note.is_empty() { shown.to_owned() } else { format!("{shown}; {}", m.note) };
            ("listing", "none", both)
        }
        Treatment::Session => ("session", "none", m.note.to_owned()),
        Treatment::Question(question) => {
            let only = format!("only with `{question}` in `questions`");
            let both = if m.note.is_empty() { only } else { format!("{only}; {}", m.note) };
            ("question", "none", both)
        }
        Treatment::Task => {
            let only = "only for a task of its own";
            let both =
                if m.note.is_empty() { only.to_owned() } else { format!("{only}; {}", m.note) };
            ("task", "none", both)
        }
        Treatment::Refused(reason) => ("refused", "none", reason.to_owned()),
    }
}
