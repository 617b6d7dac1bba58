//! Keys are replaced while the gateway serves: in good order nobody notices,
//! and a key that somebody else may have is honoured no longer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use bailiwick_core::crypto::Signer as _;
use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Chain, now};
use serde_json::{Value, json};

use crate::EXE;

fn call(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": 8821}))
}

/// Calls until it is allowed: a running `serve` takes a key up within a second.
fn until_allowed(world: &World, chain: &Chain) -> String {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        let answer = call(world, chain);
        if answer.json()["result"].is_object() {
            return world.assert_allowed(&answer, "ok");
        }
        assert!(Instant::now() < deadline, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the evidence of an action holds under the present trust file.
fn proved(world: &World, action: &str) -> bool {
    let name = |what: &str| world.path(&format!("{what}-{action}-{}.json", now().millis()));
    let (bundle, trust) = (name("evidence"), name("trust"));
    world.ok(&["evidence", "get", action, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let nowhere = world.base.path().join("nowhere");
    let answer = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    answer.status == 0
}

fn present(world: &World, purpose: &str) -> Value {
    let keys = world.ok(&["keys", "list"])["keys"].as_array().unwrap().clone();
    let mut keys = keys.into_iter().filter(|k| k["purpose"] == purpose && k["state"] == "present");
    keys.next().unwrap()
}

fn assert_ledger_holds(world: &World) {
    let report = world.ok(&["audit", "verify"]);
    assert_eq!(report["holds"], true, "{report}");
}

#[test]
fn every_key_is_rotated_under_a_gateway_that_goes_on_serving() {
    let mut world = World::new(EXE);
    let old = world.chain();
    let first = world.assert_allowed(&call(&world, &old), "ok");
    for purpose in ["issuer", "authority-maker", "gateway-maker", "identity", "snapshot", "svid"] {
        let before = present(&world, purpose);
        let rotated = world.ok(&["keys", "rotate", purpose]);
        let after = present(&world, purpose);
        assert_eq!(rotated["old"], before["kid"], "{rotated}");
        assert_eq!(rotated["new"], after["kid"], "{rotated}");
        assert_ne!(before["kid"], after["kid"]);
        // Nobody who holds a root notices, not for one call.
        for _ in 0..3 {
            world.assert_allowed(&call(&world, &old), "ok");
        }
    }
    for name in ["issuer", "authority", "gateway", "identity", "snapshot", "svid"] {
        let file = world.data.join(format!("keys/{name}.jwk"));
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let new = world.chain();
    let second = until_allowed(&world, &new);
    let third = world.assert_allowed(&call(&world, &old), "ok");
    for action in [first, second, third] {
        assert!(proved(&world, &action), "{action}");
    }
    assert_ledger_holds(&world);
    // Nothing changes with a new start.
    world.stop_serve();
    world.start_serve();
    world.assert_allowed(&call(&world, &old), "ok");
    world.assert_allowed(&call(&world, &new), "ok");
    assert_ledger_holds(&world);
    let log = fs::read_to_string(world.path("serve.log")).unwrap();
    assert!(log.contains("keys that were replaced are in use"), "{log}");
}

#[test]
fn a_compromised_issuer_key_is_honoured_no_longer_than_a_second() {
    let world = World::new(EXE);
    let stolen = world.issuer_key();
    let chain = world.chain();
    let before = world.assert_allowed(&call(&world, &chain), "ok");
    std::thread::sleep(Duration::from_millis(20));
    let since = now().to_string();
    std::thread::sleep(Duration::from_millis(20));
    let after = world.assert_allowed(&call(&world, &chain), "ok");
    assert!(proved(&world, &before) && proved(&world, &after));
    let compromised = world.ok(&["keys", "compromise", "issuer", "--since", &since]);
    let done = Instant::now();
    // What must be done now is said, and who needs it.
    assert_eq!(compromised["roots_revoked"], 1, "{compromised}");
    assert_eq!(compromised["reissue"]["grants"].as_array().unwrap().len(), 1, "{compromised}");
    assert_eq!(compromised["reissue"]["instances"][0], world.runner.instance.as_str());
    while call(&world, &chain).json()["result"].is_object() {
        assert!(done.elapsed() < Duration::from_secs(1), "it is still honoured");
    }
    // Whoever has the key can make no root that is accepted.
    std::thread::sleep(Duration::from_secs(1).saturating_sub(done.elapsed()));
    let forged = chain.reissued(&stolen, |c| c.insert("jti", "forged"));
    world.assert_not_authenticated(&call(&world, &forged), "signature-invalid");
    let fresh = world.chain();
    until_allowed(&world, &fresh);
    // What was decided before is proved; what came after may be a forgery.
    assert!(proved(&world, &before), "before");
    assert!(!proved(&world, &after), "after");
    assert_ledger_holds(&world);
    let kid = compromised["old"].as_str().unwrap();
    assert_eq!(kid, stolen.public_key().thumbprint().to_string());
    let keys = world.ok(&["keys", "list"]);
    let keys = keys["keys"].as_array().unwrap();
    let given_up = keys.iter().find(|k| k["kid"] == kid).unwrap();
    assert_eq!(given_up["state"], "compromised", "{given_up}");
    assert!(!fs::read_to_string(world.path("serve.log")).unwrap().contains("panicked"));
}

#[test]
fn a_former_key_can_be_given_up_too_and_mistakes_are_refused_by_name() {
    let world = World::new(EXE);
    let chain = world.chain();
    world.assert_allowed(&call(&world, &chain), "ok");
    let old = world.ok(&["keys", "rotate", "issuer"])["old"].as_str().unwrap().to_owned();
    world.assert_allowed(&call(&world, &chain), "ok");
    let since = now().to_string();
    let given_up = world.ok(&["keys", "compromise", &old, "--since", &since]);
    assert_eq!(given_up["roots_revoked"], 1, "{given_up}");
    assert_eq!(given_up["accepted_until"], since.as_str());
    assert!(given_up["new"].is_null(), "the present key stays: {given_up}");
    let deadline = Instant::now() + Duration::from_secs(1);
    while call(&world, &chain).json()["result"].is_object() {
        assert!(Instant::now() < deadline, "it is still honoured");
    }
    until_allowed(&world, &world.chain());
    for (args, status, code) in [
        (&["keys", "rotate", "log"][..], 2, "purpose-unknown"),
        (&["keys", "compromise", "nobody", "--since", &since], 2, "purpose-unknown"),
        (&["keys", "compromise", "issuer", "--since", "yesterday"], 2, "time-malformed"),
        (
            &["keys", "compromise", "issuer", "--since", "2999-01-01T00:00:00Z"],
            1,
            "since-in-future",
        ),
        (&["keys", "compromise", "issuer"], 2, "usage"),
    ] {
        let answer = world.run(args);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{args:?}");
    }
    // What was refused left nothing behind.
    assert!(!world.data.join("keys/issuer.next.jwk").exists());
    assert_ledger_holds(&world);
}

/// The machine's clock, as a gateway elsewhere has it.
struct Clock;

impl bailiwick_authority::host::Host for Clock {
    fn now(&self) -> bailiwick_core::time::Timestamp {
        now()
    }

    fn fill(&self, _: &mut [u8]) -> bool {
        false
    }
}

#[test]
fn a_gateway_elsewhere_follows_revocations_under_the_snapshot_key_of_the_moment() {
    use bailiwick_authority::Maker;
    use bailiwick_authority::feed::client::Subscription;
    use bailiwick_authority::follower::RevocationFollower;
    use bailiwick_core::crypto::PublicKey;
    use bailiwick_testkit::present::{key_file, object};
    use std::sync::Arc;
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = World::new(EXE);
    let chain = world.chain();
    world.ok(&["revoke", "delegation", "--chain", &chain.path(), "--reason", "test"]);
    let snapshot =
        |world: &World| PublicKey::from_jwk(&object(&present(world, "snapshot")["jwk"])).unwrap();
    let key = key_file(&world.data.join("keys/gateway.jwk"));
    let mut subscription = Subscription {
        issuer: world.public_url.clone(),
        keys: vec![snapshot(&world)],
        maker: Maker::gateway(key.public_key()).id,
        key: Arc::new(key),
        http: reqwest::Client::new(),
        host: Arc::new(Clock),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |subscription: &Subscription, follower: &RevocationFollower| {
        runtime.block_on(subscription.ask(follower)).map_err(|e| e.code())
    };
    let follower = RevocationFollower::waiting();
    assert_eq!(ask(&subscription, &follower), Ok(1));
    world.ok(&["keys", "rotate", "snapshot"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ask(&subscription, &follower), Err("feed-forged"));
    subscription.keys.push(snapshot(&world));
    assert_eq!(ask(&subscription, &follower), Ok(0));
}
