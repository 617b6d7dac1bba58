//! Checks, rollback and reports of runs over the API: each route against each role,
//! for a run that is somebody else's.

use bailiwick_authority::people::roles::Role;
use bailiwick_tlog::SeedSigner;

use super::*;
use crate::console::runs::{GOAL, played};
use crate::support::WORKFLOW;

/// Who asks, with which role, and what they get of `GET …/checks`, `POST …/checks`,
/// `GET …/rollback`, `POST …/rollback` and `GET …/report`. A run is there for those
/// who may read it; those whose it is, owners and operators have it tended.
const TABLE: [(&str, Option<Role>, [u16; 5]); 8] = [
    ("user:nobody", None, [404, 404, 404, 404, 404]),
    ("user:a-developer", Some(Role::Developer), [404, 404, 404, 404, 404]),
    ("user:an-auditor", Some(Role::Auditor), [200, 403, 200, 403, 200]),
    // The workflow names this role to review it.
    ("user:an-approver", Some(Role::Approver), [200, 403, 200, 403, 200]),
    ("user:an-operator", Some(Role::Operator), [200, 200, 200, 200, 200]),
    ("user:an-owner", Some(Role::Owner), [200, 200, 200, 200, 200]),
    // Whose run and whose workflow it is, without a role.
    ("user:142", None, [200, 200, 200, 200, 200]),
    ("user:143", None, [200, 200, 200, 200, 200]),
];

/// A server of which a claimed run of `user:142` under a workflow of `user:143` is told.
fn with_run() -> (Served, String) {
    let served = Served::start();
    let a = &served.world.authority;
    a.workflow_publish(&WORKFLOW.replace("owner: user:owner", "owner: user:143")).unwrap();
    let (_, run) = played(&served.world);
    for (name, role, _) in TABLE {
        if a.principal(&principal(name)).is_err() {
            a.principal_add(&principal(name), None).unwrap();
        }
        if let Some(role) = role {
            a.role_change(&principal(name), role, true).unwrap();
        }
    }
    (served, run.to_string())
}

/// Everything that was written stands under a checkpoint.
fn publish(served: &Served) {
    let name = served.world.authority.installation().log_key.name().to_owned();
    let signer = SeedSigner::new(&name, &[4; 32]).unwrap();
    served.world.authority.store().sequence(&signer).unwrap();
}

#[test]
fn checks_and_rollback_are_for_those_whose_run_it_is_and_those_who_may_take_back() {
    let (served, run) = with_run();
    let [checks, rollback, report] =
        ["checks", "rollback", "report"].map(|part| format!("/api/v1/runs/{run}/{part}"));
    let id = RunId::parse(&run).unwrap();
    let plan = served.world.authority.rollback_plan(None, &id).unwrap();
    let step = json!({
        "step": plan[0].step,
        "undoes": plan[0].undoes.as_ref().unwrap().as_str(),
        "root": bailiwick_core::crypto::sha256(b"a root").to_string(),
    });
    let mut started = 0;
    for (seed, (name, _, wanted)) in (80..).zip(TABLE) {
        let me = served.log_in(name, seed);
        let asked = served.asked().len();
        // A report is of what stands under a checkpoint.
        publish(&served);
        let told = served.get(&me, &report);
        let answers = [
            served.get(&me, &checks),
            served.post(&me, &checks, &json!({})),
            served.get(&me, &rollback),
            served.post(&me, &rollback, &step),
            told,
        ];
        let got: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(got, wanted, "{name}: {}", answers.map(|a| a.text()).join("\n"));
        for (answer, status) in answers.iter().zip(wanted) {
            let code = match status {
                404 => "unknown-name",
                403 => "check-not-yours",
                _ => continue,
            };
            assert_eq!(refused(answer), (status, code.to_owned()), "{name}");
            assert!(!answer.text().contains("8821"), "{name}");
        }
        // Who started it has so long to make the call; then somebody else may.
        if wanted[3] == 200 {
            let again = served.post(&me, &rollback, &step);
            assert_eq!(refused(&again), (422, "rollback-started".to_owned()), "{name}");
            served.world.host.advance(5 * 60_000);
        }
        // Nothing is made or written for those who may not.
        let may = wanted[1] == 200;
        started += usize::from(may);
        assert_eq!(served.asked().len() - asked, usize::from(may), "{name}");
        assert_eq!(served.entries("rollback.started").len(), started, "{name}");
        if wanted[4] == 200 {
            assert!(answers[4].text().contains("8821"), "{name}");
        }
    }
    assert!(GOAL.contains("8821"));
    assert!(served.asked().iter().all(|asked| *asked == run));
    // Whoever started it stands in the entry, by an alias.
    let alias = |name| served.world.authority.principal(&principal(name)).unwrap().row.alias;
    let entries = served.entries("rollback.started");
    for name in ["user:an-operator", "user:an-owner", "user:142", "user:143"] {
        let alias = alias(name).to_string();
        assert!(entries.iter().any(|entry| entry.contains(&alias)), "{name}");
    }
}

#[test]
fn what_is_checked_and_undone_is_told_and_unknown_names_are_refused() {
    let (served, run) = with_run();
    let me = served.log_in("user:142", 80);
    let at = |part: &str| format!("/api/v1/runs/{run}/{part}");
    let found = served.get(&me, &at("checks")).json();
    assert_eq!(found["run"], run.as_str(), "{found}");
    let plan = served.get(&me, &at("rollback")).json();
    let steps = plan["plan"].as_array().unwrap();
    let step = |name: &str| steps.iter().find(|step| step["step"] == name).unwrap();
    assert_eq!(step("note-withdrawn")["state"], "open", "{plan}");
    assert_eq!(step("refund-reclaimed")["state"], "open", "{plan}");

    // Named checks that were asked for are queued.
    let queued = served.post(&me, &at("checks"), &json!({}));
    assert_eq!(queued.json(), json!({"run": run, "queued": true}));
    let action = steps.iter().find_map(|step| step["undoes"].as_str()).unwrap().to_owned();
    let other = bailiwick_core::ids::ActionId::mint(served.now(), [9; 10]).to_string();
    for (part, body, wanted) in [
        ("rollback", json!({"step": "nothing"}), (422, "rollback-step-unknown")),
        ("rollback", json!({"step": ""}), (422, "rollback-step-unknown")),
        ("rollback", json!({"step": "note-withdrawn"}), (422, "rollback-step-unknown")),
        (
            "rollback",
            json!({"step": "note-withdrawn", "undoes": other}),
            (422, "rollback-step-unknown"),
        ),
        ("rollback", json!({"step": "note-withdrawn", "undoes": "x"}), (404, "unknown-name")),
        ("rollback", json!({}), (400, "request-malformed")),
        ("rollback", json!({"step": 1}), (400, "request-malformed")),
        (
            "checks",
            json!({"criterion": "nothing", "action": action, "result": "{}"}),
            (422, "check-unknown"),
        ),
        (
            "checks",
            json!({"criterion": "ticket-read-back", "action": other, "result": "{}"}),
            (404, "unknown-name"),
        ),
        (
            "checks",
            json!({"criterion": "ticket-read-back", "action": action, "result": "{}"}),
            (422, "check-shows-nothing"),
        ),
        (
            "checks",
            json!({"criterion": "ticket-read-back", "action": action, "result": "{"}),
            (400, "request-malformed"),
        ),
        ("checks", json!({"criterion": "ticket-read-back"}), (400, "request-malformed")),
        ("checks", json!({"check": "books"}), (400, "request-malformed")),
    ] {
        let answer = served.post(&me, &at(part), &body);
        assert_eq!(refused(&answer), (wanted.0, wanted.1.to_owned()), "{part} {body}");
    }
    assert!(served.entries("run.checked").is_empty());
    assert!(served.entries("rollback.started").is_empty());

    // A run that is not there is the same as one that is somebody else's.
    let nowhere = bailiwick_core::ids::RunId::mint(served.now(), [9; 10]);
    for id in [nowhere.to_string(), "x".to_owned(), action] {
        for part in ["checks", "rollback", "report"] {
            let path = format!("/api/v1/runs/{id}/{part}");
            let answer = served.get(&me, &path);
            assert_eq!(refused(&answer), (404, "unknown-name".to_owned()), "{path}");
        }
        for (part, body) in [("checks", json!({})), ("rollback", json!({"step": "x"}))] {
            let path = format!("/api/v1/runs/{id}/{part}");
            let answer = served.post(&me, &path, &body);
            assert_eq!(refused(&answer), (404, "unknown-name".to_owned()), "{path}");
        }
    }

    // The step is done once, and what was done is told.
    let manual = json!({"step": "refund-reclaimed"});
    assert_eq!(served.post(&me, &at("rollback"), &manual).json()["state"], "done");
    let plan = served.get(&me, &at("rollback")).json();
    let steps = plan["plan"].as_array().unwrap();
    assert_eq!(steps.iter().find(|s| s["step"] == "refund-reclaimed").unwrap()["state"], "done");
    // Strangers get nowhere at all.
    for path in ["checks", "rollback", "report"].map(at) {
        assert!(stranger(&Request::bare("GET", &path).send(served.address).unwrap()), "{path}");
    }
}
