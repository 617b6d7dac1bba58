//! Our own client in Python: its tests, which pytest runs and counts, against a
//! real `serve` under a standing grant, with nonces in every DPoP proof.

use std::process::Command;

use bailiwick_testkit::World;
use bailiwick_testkit::world::RUNNER;
use serde_json::json;

use super::with_nonces;
use crate::EXE;
use crate::stock_clients::clients;

#[test]
fn the_python_client_obtains_calls_lists_and_tells_denials() {
    let world = World::with(EXE, &with_nonces());
    let (key, chain) = (world.path("service.key"), world.path("granted.json"));
    world.ok(&["principal", "add", "service:billing", "--key", &key]);
    let what = ["delegate", "--authority", &world.public_url, "--agent", RUNNER, "--key", &key];
    let more = ["--scope", "orders:read", "--purpose", "settle invoices", "--out", &chain];
    let granted = world.ok(&[&what[..], &more[..]].concat());
    let told = json!({
        "url": world.public_url, "grant": granted["grant"], "chain": chain,
        "key": world.runner.key_file(), "other_key": world.reader.key_file(),
    });
    let sdk = clients().join("../sdk/python");
    let mut pytest = Command::new(clients().join("venv/bin/python"));
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]).current_dir(&sdk);
    pytest.env("PYTHONPATH", ".").env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env("BAILIWICK_TEST", told.to_string());
    let out = pytest.output().expect("pytest runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("36 passed") && !said.contains("skipped"), "{said}");
}
