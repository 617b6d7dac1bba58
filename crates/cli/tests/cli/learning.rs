//! Figures and failures over a real `serve`: what is counted, what Prometheus reads, and
//! a planted failure from its detection to its regression.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bailiwick_testkit::http::Request;
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::{PRINCIPAL, command, free_port, private};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::stock_clients::clients;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-of-24-characters";

/// Everything but one ticket.
const POLICY: &str = r#"
@id("all") @reason("the rules decide") permit (principal, action, resource);
@id("closed") @reason("this ticket is closed to agents")
forbid (principal, action == Action::"call", resource == Tool::"mcp:support-desk:tools/get_ticket")
when { context.arguments.integers.hasTag("ticket_id") && context.arguments.integers.getTag("ticket_id") == 8821 };
"#;

fn ticket(world: &World, chain: &Chain, id: u64) -> Value {
    world.call(chain, "get_ticket", json!({"ticket_id": id})).json()
}

fn is_denied(answer: &Value, code: &str) -> bool {
    answer["error"]["data"]["code"] == code
}

/// What the database says, read beside `serve`.
pub(crate) fn text_of(world: &World, sql: &str) -> String {
    let state = rusqlite::Connection::open(world.data.join("state.db")).unwrap();
    state.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Failures, once it is so.
fn listed(world: &World, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = world.ok(&["failure", "list", "--all"]);
        let all = answer["failures"].as_array().unwrap().clone();
        if is_so(&all) {
            return all;
        }
        assert!(Instant::now() < until, "{answer}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A world whose policy forbids what the chain was delegated.
fn closed() -> (World, Chain, String) {
    let world = World::new(crate::EXE);
    let folder = world.path("policies");
    fs::create_dir(&folder).unwrap();
    fs::write(format!("{folder}/desk.cedar"), POLICY).unwrap();
    world.ok(&["policy", "publish", &folder]);
    let chain = world.delegate(&["ticket:8821", "orders:read"], &[]);
    let until = Instant::now() + PATIENCE;
    while !is_denied(&ticket(&world, &chain, 8821), "policy-denied") {
        assert!(Instant::now() < until, "the policy is not in force");
        std::thread::sleep(Duration::from_millis(100));
    }
    (world, chain, folder)
}

#[test]
fn a_planted_failure_is_detected_classified_kept_as_a_case_and_resolved() {
    let (world, chain, folder) = closed();
    // Equal ones are one; another tool's is another.
    assert!(is_denied(&ticket(&world, &chain, 8821), "policy-denied"));
    let refund = json!({"order_id": 1, "amount_cents": 1, "reason": "x"});
    let beyond = world.call(&chain, "refund_order", refund).json();
    assert!(is_denied(&beyond, "tool-not-delegated"), "{beyond}");
    let all = listed(&world, |all| {
        let of = |reason: &str| all.iter().find(|f| f["reason"] == reason);
        of("tool-not-delegated").is_some()
            && of("policy-denied").is_some_and(|f| f["times"].as_u64() >= Some(2))
    });
    assert_eq!(all.len(), 2, "{all:?}");
    let failed = all.iter().find(|f| f["reason"] == "policy-denied").unwrap();
    let other = all.iter().find(|f| f["reason"] == "tool-not-delegated").unwrap();
    assert_eq!(failed["what"], "blocked_call");
    assert_eq!(failed["suggested"], "permission_model");
    let id = failed["failure"].as_str().unwrap();
    let shown = world.ok(&["failure", "show", id]);
    assert_eq!(shown["replayable"], true, "{shown}");
    assert!(shown["suggested_why"].as_str().is_some_and(|why| !why.is_empty()));
    // Nothing that was learned lets anybody do more: it goes through people.
    assert!(shown["fix"]["review"].is_string() || shown["fix"]["narrower"].is_array(), "{shown}");

    let file = format!("{folder}/cases.yaml");
    let resolve = |more: &[&str]| {
        let args = [&["failure", "resolve", id], more].concat();
        world.run(&args)
    };
    let early = resolve(&["--no-regression", "--why", "x"]);
    assert_eq!(early.code(), "failure-unclassified", "{}", early.out);
    let said = ["failure", "classify", id, "--class", "permission_model", "--note", "as it should"];
    assert_eq!(world.ok(&said)["replayable"], true);

    // The case as it was decided is one of the policy's tests.
    let made = world.ok(&["failure", "regression", id, "--expect", "deny", "--out", &file]);
    assert_eq!(made["case"], format!("failure {id}"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("8821") && text.contains("get_ticket"), "{text}");
    // A second time it is refused: the file has it.
    let twice = world.run(&["failure", "regression", id, "--out", &file]);
    assert_eq!((twice.status, twice.code().as_str()), (1, "case-exists"), "{}", twice.out);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let tested = world.ok(&["policy", "test", &folder]);
    assert_eq!(tested["cases"].as_array().map(Vec::len), Some(1), "{tested}");
    assert_eq!(tested["cases"][0]["holds"], true, "{tested}");
    // That the texts were read is recorded.
    assert_eq!(
        text_of(&world, "SELECT count(*) || '' FROM entries WHERE kind = 'plaintext.read'"),
        "1"
    );
    // Another call under the same name is not it.
    let forged = world.path("forged.yaml");
    fs::write(&forged, text.replace("8821", "7")).unwrap();
    assert_eq!(resolve(&["--cases", &forged]).code(), "failure-case-missing");
    // One that would let the call pass does not hold.
    let wider = world.path("wider.yaml");
    fs::write(&wider, text.replace("expect: deny", "expect: allow")).unwrap();
    assert_eq!(resolve(&["--cases", &wider]).code(), "failure-case-fails");
    let link = "https://git.example.com/desk/pull/12";
    let done = resolve(&["--cases", &file, "--link", link]);
    assert_eq!(done.status, 0, "{}", done.out);
    // Nothing was mended: what was denied is denied.
    assert_eq!(done.json()["held_before"], true);
    let shown = world.ok(&["failure", "show", id]);
    assert_eq!((&shown["state"], &shown["regression"]), (&json!("resolved"), &json!("case")));
    assert_eq!((&shown["link"], &shown["held_before"]), (&json!(link), &json!(true)));
    let mut line = command(Path::new(crate::EXE), world.base.path());
    let told =
        Answer::of(line.arg("--data-dir").arg(&world.data).args(["failure", "show", id])).out;
    assert!(told.contains("held already: it shows no mend"), "{told}");

    // A call that policy was never asked about makes no case.
    let none = other["failure"].as_str().unwrap();
    let refused = world.run(&[
        "failure",
        "regression",
        none,
        "--expect",
        "deny",
        "--out",
        &world.path("n.yaml"),
    ]);
    assert_eq!(refused.code(), "failure-no-decision", "{}", refused.out);
    assert_eq!(
        world.ok(&["failure", "classify", none, "--class", "prompt"])["replayable"],
        false,
        "its next step is none with a case"
    );
    let bare = world.run(&["failure", "resolve", none]);
    for way in ["--cases", "--no-regression", "--dismiss"] {
        assert!(bare.status == 2 && bare.out.contains(way), "{}", bare.out);
    }
    let odd = world.run(&["failure", "classify", none, "--class", "permission"]);
    assert!(odd.status == 2 && odd.out.contains("permission_model"), "{}", odd.out);
    world.ok(&["failure", "resolve", none, "--dismiss", "--why", "tried on purpose"]);
    assert!(world.ok(&["failure", "list"])["failures"].as_array().unwrap().is_empty());
    let trends = world.ok(&["failure", "trends"])["trends"].as_array().unwrap().clone();
    assert!(trends.iter().any(|t| t["class"] == "permission_model" && t["failures"] == 1));
    assert_eq!(world.run(&["audit", "verify"]).status, 0);
}

#[test]
fn the_figures_count_what_was_decided_and_say_where_there_are_none() {
    let (world, chain, _) = closed();
    assert!(
        world.call(&chain, "list_orders", json!({"customer_id": 1})).json()["result"].is_object()
    );
    let found = world.ok(&["metrics", "--since", "1d", "--by", "tool"]);
    let blocked = &found["figures"]["blocked_call_rate"];
    let (denied, all) =
        (blocked["numerator"].as_u64().unwrap(), blocked["denominator"].as_u64().unwrap());
    assert!(denied >= 1 && all > denied, "{found}");
    assert_eq!(found["blocked_by_reason"]["policy-denied"], denied, "{found}");
    // No run ended: no figure, which is not zero.
    assert_eq!(found["figures"]["task_success_rate"]["value"], Value::Null);
    assert_eq!(found["figures"]["task_success_rate"]["denominator"], 0);
    let lines = found["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["name"] == "mcp:support-desk:tools/list_orders"));
    let shown = world.run(&["metrics"]);
    assert_eq!(shown.status, 0);
    let workflow = found["lines"][0]["figures"]["runs"].clone();
    assert_eq!(workflow, 0);
    // A slip of the pen is no good news.
    for args in [
        &["metrics", "--workflow", "support-ticket"][..],
        &["metrics", "unused", "--workflow", "support-ticket"],
        &["failure", "list", "--workflow", "support-ticket"],
        &["run", "list", "--workflow", "support-ticket"],
    ] {
        let answer = world.run(args);
        assert_eq!((answer.status, answer.code().as_str()), (4, "unknown-name"), "{args:?}");
        let remedy = answer.json()["error"]["remedy"].to_string();
        assert!(remedy.contains("did you mean `support-tickets`"), "{remedy}");
    }
    let day = "2026-01-01T00:00:00Z..2026-01-02T00:00:00Z";
    let compared = world.ok(&[
        "metrics",
        "compare",
        "--workflow",
        "support-tickets",
        "--before",
        day,
        "--after",
        day,
    ]);
    assert_eq!(compared["measures"]["task_success_rate"]["verdict"], "cannot-tell");
    for (args, code) in [
        (&["metrics", "--version", "x"][..], "digest-malformed"),
        (&["metrics", "--since", "soon"], "duration-malformed"),
        (&["metrics", "--since", "200d"], "duration-too-long"),
        (&["failure", "show", "018CC251"], "id-malformed"),
        (
            &["metrics", "compare", "--workflow", "w", "--before", "a..b", "--after", "a..b"],
            "span-malformed",
        ),
    ] {
        assert_eq!(world.run(args).code(), code);
    }
    let unused = world.ok(&["metrics", "unused", "--workflow", "support-tickets"]);
    assert!(unused["tools"].as_array().unwrap().is_empty(), "no grant ended yet: {unused}");
}

/// Sets where figures are read, and starts `serve` anew.
pub(crate) fn measured(world: &mut World, token: bool) -> SocketAddr {
    world.stop_serve();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let file = world.data.join("bailiwick.toml");
    let text = fs::read_to_string(&file).unwrap();
    private(&world.data.join("keys/metrics.token"), &format!("{TOKEN}\n"));
    // The table as docs/metrics.md has it, at the end of the file that `init` wrote.
    let kept = text.split("\n[metrics]").next().unwrap();
    let token = if token { "token_file = \"keys/metrics.token\"\n" } else { "" };
    fs::write(&file, format!("{kept}\n[metrics]\nlisten = \"{address}\"\n{token}")).unwrap();
    world.start_serve();
    address
}

/// What PyPI's `prometheus_client` reads in a scrape: samples by name.
pub(crate) fn parsed(text: &str) -> Value {
    let program = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
out = []
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        out.append({'family': family.name, 'type': family.type, 'name': sample.name,
                    'labels': sample.labels, 'value': sample.value})
print(json.dumps(out))
";
    let mut python = Command::new(clients().join("venv/bin/python"))
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "somebody else's parser does not read it:\n{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn prometheus_reads_the_figures_and_nobody_without_the_token() {
    let (mut world, _, _) = closed();
    let address = measured(&mut world, false);
    let scrape = Request::bare("GET", "/metrics").send(address).unwrap();
    assert_eq!(scrape.status, 200);
    assert_eq!(scrape.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = scrape.text();
    let samples = parsed(&text);
    let samples = samples.as_array().unwrap();
    let of = |name: &str| samples.iter().filter(|s| s["name"] == name).collect::<Vec<_>>();
    let denied = of("bailiwick_calls_total");
    let denied = denied.iter().find(|s| s["labels"]["reason"] == "policy-denied").unwrap();
    assert_eq!(denied["type"], "counter");
    assert_eq!(denied["labels"]["workflow"], "support-tickets");
    assert_eq!(denied["labels"]["decision"], "deny");
    assert!(denied["value"].as_f64() >= Some(1.0));
    for name in [
        "bailiwick_runs_open",
        "bailiwick_approvals_pending",
        "bailiwick_failures_unresolved",
        "bailiwick_ledger_entries",
        "bailiwick_checkpoint_age_seconds",
        "bailiwick_revocation_staleness_seconds",
        "bailiwick_approval_decision_seconds_count",
        "bailiwick_approval_decision_seconds_sum",
    ] {
        assert_eq!(of(name).len(), 1, "{name}\n{text}");
    }
    assert!(of("bailiwick_ledger_entries")[0]["value"].as_f64() > Some(10.0));
    assert_eq!(of("bailiwick_approval_decision_seconds_bucket").len(), 11);
    // No principal, task, grant or action in it.
    let task = text_of(&world, "SELECT id FROM tasks");
    for secret in [PRINCIPAL, &task, "user:"] {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
    // Nothing else is there, and the console's port has no figures.
    assert_eq!(Request::bare("GET", "/").send(address).unwrap().status, 404);
    let main = Request::bare("GET", "/metrics").send(world.address).unwrap();
    assert!(!main.text().contains("bailiwick_calls"), "{}", main.text());

    let address = measured(&mut world, true);
    let ask = |token: Option<&str>| {
        let request = Request::bare("GET", "/metrics");
        let request = match token {
            Some(token) => request.with("authorization", token),
            None => request,
        };
        request.send(address).unwrap().status
    };
    assert_eq!(ask(None), 401);
    assert_eq!(ask(Some("Bearer a-token-of-24-charactert")), 401);
    assert_eq!(ask(Some(&format!("Bearer {TOKEN}x"))), 401);
    assert_eq!(ask(Some(TOKEN)), 401);
    assert_eq!(ask(Some(&format!("Bearer {TOKEN}"))), 200);
    // Beyond loopback it does not listen without a token.
    let file = world.data.join("bailiwick.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace(&format!("\nlisten = \"{address}\""), "\nlisten = \"0.0.0.0:9464\"");
    let open = text.replace("token_file = \"keys/metrics.token\"", "token_file = \"\"");
    fs::write(&file, &open).unwrap();
    let refused = world.run(&["config", "check"]);
    assert_eq!(refused.code(), "config-out-of-range", "{}", refused.out);
    assert!(refused.out.contains("metrics.listen"), "{}", refused.out);
    fs::write(&file, &text).unwrap();
    assert_eq!(world.run(&["config", "check"]).status, 0);
}
