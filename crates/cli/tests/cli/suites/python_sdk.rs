//! Our own client in Python: its tests, which pytest runs and counts, against a
//! real `serve` under a standing grant, with nonces in every DPoP proof.

use std::path::Path;
use std::process::Command;

use bailiwick_testkit::World;
use bailiwick_testkit::world::{RUNNER, free_port, private};
use serde_json::{Value, json};

use super::with_nonces;
use crate::EXE;
use crate::stock_clients::{Program, clients};

#[test]
fn the_python_client_obtains_calls_lists_and_tells_denials() {
    let world = World::with(EXE, &with_nonces());
    let (key, chain) = (world.path("service.key"), world.path("granted.json"));
    world.ok(&["principal", "add", "service:billing", "--key", &key]);
    let what = ["delegate", "--authority", &world.public_url, "--agent", RUNNER, "--key", &key];
    let more = ["--scope", "orders:read", "--purpose", "settle invoices", "--out", &chain];
    let granted = world.ok(&[&what[..], &more[..]].concat());
    let (api, orders) = orders(&world, &what);
    let told = json!({
        "url": world.public_url, "grant": granted["grant"], "chain": chain,
        "orders_grant": orders, "key": world.runner.key_file(), "other_key": world.reader.key_file(),
    });
    let sdk = clients().join("../sdk/python");
    let mut pytest = Command::new(clients().join("venv/bin/python"));
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]).current_dir(&sdk);
    pytest.env("PYTHONPATH", ".").env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env("BAILIWICK_TEST", told.to_string());
    let out = pytest.output().expect("pytest runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("49 passed") && !said.contains("skipped"), "{said}");
    // Nothing of the caller's but the call reached the API.
    for line in
        ["GET /v1/orders/10072", "GET /v1/orders?state=paid", "POST /v1/orders/10072/refund"]
    {
        let (method, path) = line.split_once(' ').expect("a line");
        let arrived = api.expect("request");
        assert_eq!(arrived["method"], method, "{arrived}");
        assert!(arrived["url"].as_str().expect("a URL").ends_with(path), "{arrived}");
        assert!(!arrived["headers"].to_string().contains("aat-"), "{arrived}");
    }
    evidence_verifies(&world);
}

/// A grant over a small HTTP API in Python, which nobody knew before.
pub(crate) fn orders(world: &World, what: &[&str]) -> (Program, Value) {
    let (port, secret) = (free_port().to_string(), "orders-credential-canary-0123456789");
    let mut api = Command::new(clients().join("venv/bin/python"));
    let api = Program::start(api.arg(clients().join("http_api.py")).arg(&port).arg(secret));
    api.expect("ready");
    let (credential, proposed) = (world.path("orders.credential"), world.path("orders.yaml"));
    private(Path::new(&credential), secret);
    let file = clients().join("../crates/gateway/tests/gateway/orders.openapi.yaml");
    let (file, url) = (file.display().to_string(), format!("http://127.0.0.1:{port}/v1"));
    let learn = ["catalogue", "learn", "orders", "--openapi", &file, "--url", &url];
    let more = ["--credential", &credential, "--agent", RUNNER];
    let learned = world.ok(&[&learn[..], &more[..]].concat());
    // The support desk has tools that are called almost so: a person looks.
    assert_eq!(learned["waiting"], json!(["getOrder", "refundOrder"]), "{learned}");
    for tool in world.ok(&["catalogue", "list", "orders"])["tools"].as_array().expect("tools") {
        if let Some(digest) = tool["waiting"].as_str() {
            assert_eq!(tool["flags"], json!(["shadowed-name"]), "{tool}");
            world.ok(&["catalogue", "accept", tool["tool"].as_str().expect("an id"), digest]);
        }
    }
    let learned = world.ok(&[&learn[..], &more[..], &["--out", &proposed]].concat());
    assert_eq!(learned["pinned"], 5, "{learned}");
    // A person rates what was learned.
    let text = std::fs::read_to_string(&proposed).expect("a workflow");
    let rated =
        text.replace("risk: high, effect: write", "risk: low, effect: read, personal: false");
    std::fs::write(&proposed, rated).expect("it is written");
    world.ok(&["workflow", "publish", &proposed]);
    let out = world.path("orders.json");
    let scope = ["--scope", "orders:getOrder", "--scope", "orders:findOrders"];
    let more = ["--scope", "orders:refundOrder", "--workflow", "orders"];
    let rest = ["--max-depth", "1", "--purpose", "look after orders", "--out", &out];
    let granted = world.ok(&[what, &scope[..], &more[..], &rest[..]].concat());
    (api, granted["grant"].clone())
}

/// Evidence of a call of an operation, allowed and denied, holds without the
/// data dir.
fn evidence_verifies(world: &World) {
    let found = world.ok(&["audit", "query", "--tool", "getOrder"]);
    let actions = found["actions"].as_array().expect("actions");
    let trust = world.path("trust.json");
    world.ok(&["keys", "trust", "-o", &trust]);
    for decision in ["allow", "deny"] {
        let action = actions.iter().find(|a| a["decision"] == decision).expect(decision);
        let action = action["action"].as_str().expect("an id");
        let bundle = world.path(&format!("{decision}.evidence.json"));
        world.ok(&["evidence", "get", action, "-o", &bundle]);
        let nowhere = world.base.path().join("nowhere");
        let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
        assert_eq!(verified.status, 0, "{decision}: {}", verified.out);
    }
}
