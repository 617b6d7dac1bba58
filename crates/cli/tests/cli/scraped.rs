//! What Prometheus reads of an installation that worked, by a parser that we did not
//! write: the same as the figures say.

use bailiwick_testkit::World;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::OWNER;
use serde_json::{Value, json};

use crate::EXE;
use crate::approvals::{ask_first, data, is_allowed, is_asked, key};
use crate::checks::{SCOPE, begin, claim, claimed, note, reader_chain};
use crate::learning::{measured, parsed, text_of};

/// A person looks at searches.
const SEARCHES: &str = r#"
@id("all") @reason("the rules decide") permit (principal, action, resource);
@id("searches") @reason("a person looks at this") @approval
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/search_customers");
"#;

/// Samples of one scrape.
struct Samples(Vec<Value>);

impl Samples {
    fn of(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |sample| sample["name"] == name)
    }

    /// What they are in sum, of those with this label; all, where it is empty.
    fn sum(&self, name: &str, (label, value): (&str, &str)) -> u64 {
        let fits = |s: &&Value| label.is_empty() || s["labels"][label] == value;
        self.of(name).filter(fits).map(|s| s["value"].as_f64().unwrap()).sum::<f64>() as u64
    }

    fn one(&self, name: &str) -> u64 {
        assert_eq!(self.of(name).count(), 1, "{name}");
        self.sum(name, ("", ""))
    }
}

fn search(world: &World, chain: &Chain, query: &str) -> Response {
    world.call(chain, "search_customers", json!({"query": query}))
}

/// A run that is complete, one that was abandoned, one that is not complete and one that
/// goes on; calls that were denied; calls that people approved, denied and left.
fn work(world: &World) {
    let scope = [&SCOPE[..], &["customers:search"]].concat();
    let (owner, _) = key(world, OWNER, "owner-approver.json");
    let first = world.delegate(&scope, &[]);
    let run = claimed(world, &first, "answer the ticket");
    let check = reader_chain(world, "owner", "owner/key.json", &["ticket:8821"]);
    let reader = world.reader.key_file();
    let checked = ["run", "check", &run, "--chain", &check.path(), "--key", &reader];
    assert_eq!(world.ok(&checked)["complete"], true);

    let second = world.delegate(&scope, &[]);
    begin(world, &second, "try");
    for ticket in [9_000, 9_001, 9_002] {
        let denied = world.call(&second, "get_ticket", json!({"ticket_id": ticket}));
        world.assert_denied(&denied, "argument-not-delegated");
    }
    begin(world, &second, "try again");
    let beyond = world.call(&second, "list_orders", json!({"customer_id": 1}));
    world.assert_denied(&beyond, "tool-not-delegated");
    let receipt = note(world, &second, "answered");
    let approved = is_asked(&search(world, &second, "Ada"));
    world.ok(&["approvals", "approve", &approved, "--key", &owner]);
    assert!(is_allowed(&search(world, &second, "Ada")));
    let denied = is_asked(&search(world, &second, "Bob"));
    world.ok(&["approvals", "deny", &denied, "--key", &owner]);
    // Held as before, and no question any more.
    assert_eq!(data(&search(world, &second, "Bob"))["code"], "approval-denied");
    claim(world, &second, &receipt);

    let third = world.delegate(&scope, &[]);
    begin(world, &third, "go on");
    is_asked(&search(world, &third, "Cid"));
}

#[test]
fn what_prometheus_reads_is_what_the_figures_say() {
    let mut world = World::new(EXE);
    ask_first(&mut world, SEARCHES);
    let address = measured(&mut world, false);
    work(&world);
    // Failures are found beside it: once they are, nothing is written any more.
    let mut tries = 0;
    let (text, failures) = loop {
        let entries = || text_of(&world, "SELECT count(*) || '' FROM entries");
        let before = entries();
        let failures = world.ok(&["failure", "list"])["failures"].as_array().unwrap().len();
        let scrape = Request::bare("GET", "/metrics").send(address).unwrap();
        if failures >= 4 && before == entries() {
            assert_eq!(scrape.status, 200);
            let text = scrape.text();
            assert!(text.contains(&format!("\nbailiwick_ledger_entries {before}\n")), "{text}");
            break (text, failures);
        }
        tries += 1;
        assert!(tries < 200, "{failures} failures");
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    let read = Samples(parsed(&text).as_array().unwrap().clone());
    let found = world.ok(&["metrics", "--since", "1d", "--by", "tool"]);
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value}: {found}"));

    // Calls: in all, denied, by reason and by tool.
    let (calls, blocked) = ("bailiwick_calls_total", &found["figures"]["blocked_call_rate"]);
    assert_eq!(read.sum(calls, ("", "")), count(&blocked["denominator"]), "{text}");
    assert_eq!(read.sum(calls, ("decision", "deny")), count(&blocked["numerator"]));
    let held = &found["held_call_rate"]["numerator"];
    assert_eq!(read.sum(calls, ("decision", "approval_required")), count(held));
    let reasons = found["blocked_by_reason"].as_object().unwrap();
    for (reason, wanted) in [("argument-not-delegated", 3), ("tool-not-delegated", 1)] {
        assert_eq!(reasons[reason], wanted, "{found}");
    }
    for (reason, n) in reasons {
        assert_eq!(read.sum(calls, ("reason", reason)), count(n), "{reason}");
    }
    let lines = found["lines"].as_array().unwrap();
    assert!(lines.len() >= 4, "{found}");
    for line in lines {
        let tool = line["name"].as_str().unwrap();
        let of = count(&line["figures"]["blocked_call_rate"]["denominator"]);
        assert_eq!(read.sum(calls, ("tool", tool)), of, "{tool}");
    }
    for sample in read.of(calls) {
        assert_eq!(
            (&sample["type"], &sample["family"]),
            (&json!("counter"), &json!("bailiwick_calls"))
        );
        assert_eq!(sample["labels"].as_object().unwrap().len(), 5, "{sample}");
    }

    // Runs.
    let runs = "bailiwick_runs_total";
    for outcome in ["complete", "incomplete", "abandoned"] {
        assert_eq!(read.sum(runs, ("outcome", outcome)), 1, "{outcome}\n{text}");
    }
    assert_eq!(read.sum(runs, ("workflow", "support-tickets")), count(&found["figures"]["runs"]));
    let success = &found["figures"]["task_success_rate"];
    assert_eq!((&success["numerator"], &success["denominator"]), (&json!(1), &json!(2)));
    assert_eq!(read.one("bailiwick_runs_open"), 1);
    let open = world.ok(&["run", "list", "--state", "open"]);
    assert_eq!(open["runs"].as_array().unwrap().len(), 1, "{open}");

    // People: what waits, and how long the rest took.
    let waiting = world.ok(&["approvals", "list"])["approvals"].as_array().unwrap().len();
    assert_eq!((read.one("bailiwick_approvals_pending"), waiting), (1, 1));
    let took = "bailiwick_approval_decision_seconds";
    let deciding = &found["time_to_decide_ms"];
    assert_eq!(read.one(&format!("{took}_count")), count(&deciding["n"]));
    assert_eq!(deciding["n"], 2);
    let buckets: Vec<(f64, f64)> = read
        .of(&format!("{took}_bucket"))
        .map(|s| {
            assert_eq!(s["type"], "histogram");
            let bound = s["labels"]["le"].as_str().unwrap().replace("+Inf", "inf");
            (bound.parse().unwrap(), s["value"].as_f64().unwrap())
        })
        .collect();
    assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, 2.0)));
    // Nearest rank: the median of two is the first, the 90th percentile the second.
    for (rank, place) in [(1.0, "median"), (2.0, "p90")] {
        let seconds = count(&deciding[place]) as f64 / 1_000.0;
        for (bound, below) in &buckets {
            assert_eq!(*below >= rank, seconds < *bound, "{place} {seconds} {buckets:?}");
        }
    }
    assert_eq!(read.one("bailiwick_failures_unresolved"), failures as u64);
}
