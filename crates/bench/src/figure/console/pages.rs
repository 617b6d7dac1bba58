//! The pages that are measured: each list from its beginning and deep inside, each
//! search that an index serves, and each kind of thing.

use url::form_urlencoded::byte_serialize;

use super::fill::Filled;

/// One page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) name: &'static str,
    /// The route that serves it.
    pub(super) route: &'static str,
    pub(super) path: String,
    /// Whether a browser shows it as a page, and not as another's part or a file.
    pub(super) is_page: bool,
}

fn page(name: &'static str, route: &'static str, path: impl Into<String>) -> Page {
    Page { name, route, path: path.into(), is_page: true }
}

/// What a page fetches, or somebody downloads.
fn file(name: &'static str, route: &'static str, path: impl Into<String>) -> Page {
    Page { is_page: false, ..page(name, route, path) }
}

pub(super) fn all(filled: &Filled) -> Vec<Page> {
    let of = |text: &str| -> String { byte_serialize(text.as_bytes()).collect() };
    let (agent, tool, principal) = (of(&filled.agent), of(&filled.tool), of(&filled.principal));
    let (middle, task) = (filled.size / 2, &filled.task);
    let ledger = |name, query: String| page(name, "/ledger", format!("/ledger?{query}"));
    let activity = |name, query: String| page(name, "/activity", format!("/activity?{query}"));
    vec![
        page("overview", "/", "/"),
        page("approvals", "/approvals", "/approvals"),
        page(
            "approvals, all of an agent",
            "/approvals",
            format!("/approvals?all=true&agent={agent}"),
        ),
        page("approvals, words", "/approvals", "/approvals?search=tool"),
        file("approvals, its mark", "/approvals/mark", "/approvals/mark"),
        page("an approval", "/approvals/{id}", format!("/approvals/{}", filled.approval)),
        file(
            "an approval, its mark",
            "/approvals/{id}/mark",
            format!("/approvals/{}/mark", filled.approval),
        ),
        page(
            "approvals together",
            "/approvals/batch",
            format!("/approvals/batch?id={}", filled.approval),
        ),
        page("requests", "/requests", "/requests"),
        file("requests, its mark", "/requests/mark", "/requests/mark"),
        page("stops", "/stops", "/stops"),
        page("a stop", "/stops/{id}", format!("/stops/{}", filled.stop)),
        page("my grants", "/grants", "/grants"),
        page("a grant", "/grants/{id}", format!("/grants/{}", filled.grant)),
        page("who has a task", "/tasks/{id}", format!("/tasks/{task}")),
        page("accounts", "/accounts", "/accounts"),
        page("agents", "/agents", "/agents"),
        page("an agent", "/agents/{id}", format!("/agents/{}", filled.agent)),
        page("peers", "/peers", "/peers"),
        page("clients", "/clients", "/clients"),
        page("catalogue", "/catalogue", "/catalogue"),
        page("a tool", "/catalogue/tool", format!("/catalogue/tool?id={tool}")),
        page("people", "/people", "/people"),
        page("a person", "/people/{alias}", format!("/people/{}", filled.alias)),
        page("passkeys", "/account", "/account"),
        page("activity", "/activity", "/activity"),
        file("activity, its mark", "/activity/mark", "/activity/mark"),
        activity("activity, deep", format!("before={middle}")),
        activity("activity of an agent", format!("agent={agent}")),
        activity("activity, denied of an agent", format!("agent={agent}&decision=deny")),
        page("an entry", "/activity/{index}", format!("/activity/{middle}")),
        file("an entry's proof", "/activity/{index}/proof", format!("/activity/{middle}/proof")),
        page("ledger", "/ledger", "/ledger"),
        ledger("ledger, deep", format!("before={middle}")),
        ledger("ledger, principal", format!("principal={principal}")),
        ledger("ledger, agent, deep", format!("agent={agent}&before={middle}")),
        ledger("ledger, tool", format!("tool={tool}")),
        ledger("ledger, task", format!("task={task}")),
        ledger("ledger, kind", "kind=delegation.issued".to_owned()),
        ledger("ledger, kind, deep", format!("kind=action.decided&before={middle}")),
        ledger("ledger, decision", "decision=approval_required".to_owned()),
        ledger("ledger, nobody", "agent=agent%3Anobody".to_owned()),
        ledger("ledger, two that rarely meet", format!("agent={agent}&tool={tool}&decision=deny")),
        ledger("ledger, two that never meet", format!("agent={agent}&tool=mcp%3Anone%3Atools%2Fx")),
        ledger("ledger, a day", format!("since={}&until={}", filled.since, filled.until)),
        ledger(
            "ledger, denied in a day",
            format!("decision=deny&since={}&until={}", filled.since, filled.until),
        ),
        ledger(
            "ledger, four conditions in a day",
            format!(
                "agent={agent}&tool={tool}&kind=action.decided&decision=deny&since={}&until={}",
                filled.since, filled.until
            ),
        ),
        page("policy", "/policy", "/policy"),
        page("why", "/policy/explain/{action}", format!("/policy/explain/{}", filled.action)),
        page(
            "replay of 200",
            "/policy/replay",
            format!("/policy/replay?bundle={}&last=200", filled.bundle),
        ),
        page("settings", "/settings", "/settings"),
        page("workflows", "/workflows", "/workflows"),
        page("a workflow", "/workflows/{id}", "/workflows/support-tickets"),
        page("runs", "/runs", "/runs"),
        page("a run", "/runs/{id}", format!("/runs/{}", filled.run)),
        page("a run of a tenth of all calls", "/runs/{id}", format!("/runs/{}", filled.huge_run)),
        file(
            "its report, a file",
            "/runs/{id}/report",
            format!("/runs/{}/report?format=html", filled.huge_run),
        ),
        page("failures", "/failures", "/failures"),
        page("a failure", "/failures/{id}", format!("/failures/{}", filled.failure)),
        page("figures", "/figures", "/figures"),
    ]
}
