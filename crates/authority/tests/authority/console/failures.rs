//! Failures and figures in the console.

use bailiwick_authority::people::roles::Role;
use bailiwick_store::{FailureFilter, FailureKind};

use super::Served;
use super::runs::{kinds, played};
use crate::support::principal;

/// Everything that went wrong in a run, looked for.
fn failed(served: &Served) -> Vec<(FailureKind, String)> {
    played(&served.world);
    let a = &served.world.authority;
    while a.failures_look().unwrap() {}
    let filter = FailureFilter { limit: 10, ..FailureFilter::default() };
    let found = a.failures(None, &filter).unwrap().failures;
    found.iter().map(|f| (f.failure.what, format!("/failures/{}", f.failure.row.id))).collect()
}

#[test]
fn a_failure_is_found_classified_and_resolved_on_its_page() {
    let served = Served::start();
    let failures = failed(&served);
    let owner = served.sign_in("user:owner");
    let board = served.get("/failures", Some(&owner)).body;
    assert!(board.contains("Call denied") && board.contains("Criterion not met"), "{board}");
    assert!(board.contains("3 times") && board.contains("perhaps"));
    let (_, path) = failures.iter().find(|(what, _)| *what == FailureKind::BlockedCall).unwrap();
    let page = served.get(path, Some(&owner)).body;
    assert!(page.contains("The rules suggest <strong>permission model</strong>"), "{page}");
    assert!(page.contains("argument-not-delegated"));
    let said = [("class", "prompt"), ("note", "it tries <u>refunds</u>")];
    assert_eq!(served.post(&format!("{path}/classify"), &owner, &said).status, 303);
    let page = served.get(path, Some(&owner)).body;
    assert!(
        page.contains("it tries &#60;u&#62;refunds&#60;/u&#62;")
            && page.contains("user:owner mends it")
    );
    // Without words there is no end.
    let resolve = format!("{path}/resolve");
    assert_eq!(served.post(&resolve, &owner, &[("regression", "none")]).status, 422);
    assert_eq!(served.post(&resolve, &owner, &[("regression", "else")]).status, 404);
    let fields = [
        ("regression", "none"),
        ("link", "https://git.example/7"),
        ("why", "the instructions say it now"),
    ];
    assert_eq!(served.post(&resolve, &owner, &fields).status, 303);
    let page = served.get(path, Some(&owner)).body;
    assert!(page.contains("https://git.example/7") && page.contains("no regression"));
    // A link is a text: it leads nowhere.
    assert!(!page.contains("href=\"https://git.example"));
    assert!(!page.contains("/resolve\""));
    assert_eq!(kinds(&served, "failure.resolved"), 1);
    // Nothing of a name that there is not is no good news.
    let unknown = served.get("/failures?workflow=nosuch", Some(&owner)).body;
    assert!(unknown.contains("There is no such workflow."), "{unknown}");
    let narrowed = served.get("/failures?class=evaluation_suite", Some(&owner)).body;
    assert!(!narrowed.contains("argument-not-delegated"));
}

#[test]
fn an_auditor_reads_failures_and_says_nothing_of_them() {
    let served = Served::start();
    let failures = failed(&served);
    let a = &served.world.authority;
    for (name, role) in [("user:audit", Role::Auditor), ("user:approve", Role::Approver)] {
        a.principal_add(&principal(name), None).unwrap();
        a.role_change(&principal(name), role, true).unwrap();
    }
    let (auditor, approver) = (served.sign_in("user:audit"), served.sign_in("user:approve"));
    let (_, path) = &failures[0];
    let page = served.get(path, Some(&auditor));
    assert!(page.status == 200 && !page.body.contains("/classify\""));
    let said = [("class", "prompt")];
    assert_eq!(served.post(&format!("{path}/classify"), &auditor, &said).status, 403);
    let fields = [("regression", "dismissed"), ("why", "nothing")];
    assert_eq!(served.post(&format!("{path}/resolve"), &auditor, &fields).status, 403);
    assert_eq!(served.get(path, Some(&approver)).status, 404);
    assert_eq!(served.get("/failures", Some(&approver)).status, 403);
    assert_eq!(kinds(&served, "failure.classified"), 0);
}

#[test]
fn figures_say_what_they_are_made_of_and_no_data_where_there_is_none() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let empty = served.get("/figures", Some(&owner)).body;
    assert!(empty.contains("No run ended in this window.") && empty.contains("no data"));
    played(&served.world);
    let page = served.get("/figures?days=7&workflow=support-tickets", Some(&owner)).body;
    assert!(page.contains("0 completed, of 1 task<"), "{page}");
    assert!(page.contains("3 denied, of 4 calls") && page.contains("75 %"));
    assert!(page.contains("argument-not-delegated"));
    let home = served.get("/", Some(&owner)).body;
    assert!(home.contains("data-figure=\"task_success_rate\""));
    for (query, said) in [
        ("workflow=nosuch", "There is no such workflow."),
        ("agent=agent:nosuch", "There is no such agent."),
        ("tool=mcp:nosuch:tools/x", "There is no such tool."),
    ] {
        let page = served.get(&format!("/figures?{query}"), Some(&owner));
        assert!(page.status == 200 && page.body.contains(said), "{query}");
    }
    let odd = served.get("/figures?workflow=%3Cb%3E&version=x", Some(&owner));
    assert!(odd.status == 200 && odd.body.contains("class=\"problem\""));
    assert!(!odd.body.contains("<b>"));
    let compared = served
        .get("/figures/compare?workflow=support-tickets&before=2025-12-01..2025-12-31&after=2026-01-01..2026-01-31", Some(&owner))
        .body;
    assert!(compared.contains("cannot tell") && compared.contains("2025-12-01 to 2025-12-31"));
    let odd =
        served.get("/figures/compare?workflow=support-tickets&before=x&after=y", Some(&owner));
    assert!(odd.status == 200 && odd.body.contains("Name a workflow and two sides"));
    // Whoever sees no figures sees none on the overview either.
    let nobody = served.sign_in("user:143");
    assert!(!served.get("/", Some(&nobody)).body.contains("data-figure"));
    assert_eq!(served.get("/figures", Some(&nobody)).status, 403);
}
