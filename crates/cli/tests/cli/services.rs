//! Services and headless runs, over the network alone: a principal that has a
//! key and no data dir grants, an instance keeps its chain fresh by its own
//! keys, a resource server introspects. Wiring: the binary serving, its own
//! commands against it from elsewhere, and requests of a client that knows
//! OAuth.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_core::crypto::{Signer as _, SigningKey};
use bailiwick_core::dpop::Occasion;
use bailiwick_core::jose;
use bailiwick_core::json::Object;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Call, Chain, fresh_id, fresh_key, now};
use bailiwick_testkit::world::{RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

const SERVICE: &str = "service:billing";
pub(crate) const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A command on another machine: it has no data dir.
fn elsewhere(world: &World, args: &[&str]) -> Command {
    let mut command = command(Path::new(EXE), world.base.path());
    command.args(["--json", "--data-dir", "/nowhere"]).args(args);
    command
}

fn run(world: &World, args: &[&str]) -> Answer {
    Answer::of(&mut elsewhere(world, args))
}

/// The service grants to the runner; gives the grant's id, the chain is in
/// `out`.
fn delegate(world: &World, lasts: &str, out: &str) -> Answer {
    let (url, key) = (world.public_url.as_str(), world.path("service.key"));
    let what = ["delegate", "--authority", url, "--agent", RUNNER, "--scope", "orders:read"];
    let more = ["--purpose", "settle invoices", "--for", lasts, "--key", &key, "--out", out];
    run(world, &[&what[..], &more[..]].concat())
}

fn renewing<'a>(world: &'a World, key: &'a str, grant: &'a str, out: &'a str) -> Vec<&'a str> {
    let url = world.public_url.as_str();
    let what = ["delegation", "renew", "--authority", url, "--grant", grant];
    [&what[..], &["--key", key, "--out", out]].concat()
}

fn world_with_service() -> World {
    let world = World::new(EXE);
    world.ok(&["principal", "add", SERVICE, "--key", &world.path("service.key")]);
    world
}

#[test]
fn a_service_grants_over_the_network_and_what_it_signed_is_proved_offline() {
    let world = world_with_service();
    let out = world.path("granted.json");
    let granted = delegate(&world, "20m", &out);
    assert_eq!(granted.status, 0, "{}{}", granted.out, granted.err);
    let chain = Chain::read(Path::new(&out));
    let answered = world.call(&chain, "get_order", json!({"order_id": 10072}));
    let answered: Value = serde_json::from_slice(&answered.body).unwrap();
    let decision = answered["result"]["_meta"]["io.bailiwick/decision"]["id"].as_str().unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    let (bundle, trust) = (world.path("bundle.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", decision, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let verdict = run(&world, &["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verdict.status, 0, "{}{}", verdict.out, verdict.err);
    assert!(verdict.out.contains("\"signed\":\"service\""), "{}", verdict.out);
    // Nobody grants in another's name, and nothing is left of what was refused.
    let lost = world.path("lost.json");
    let key = world.path("owner/key.json");
    let (url, file) = (world.public_url.as_str(), world.path("request.json"));
    let request = json!({
        "principal": SERVICE, "agent": RUNNER, "scope": ["orders:read"],
        "expiresAt": "2099-01-01T00:00:00Z", "purpose": "p",
    });
    std::fs::write(&file, request.to_string()).unwrap();
    let arguments = ["delegate", "--authority", url, "--request", &file];
    let arguments = [&arguments[..], &["--key", &key, "--out", &lost]].concat();
    assert_eq!(run(&world, &arguments).code(), "not-your-grant");
    let long = delegate(&world, "2h", &lost);
    assert_eq!(long.status, 1, "{}", long.out);
    assert_eq!(long.code(), "invalid_authorization_details");
    assert!(!Path::new(&lost).exists());
}

#[test]
fn a_services_own_es256_key_never_leaves_its_host_and_evidence_verifies_what_it_signed() {
    let world = World::new(EXE);
    let (key, jwk) = (world.path("service.key"), world.path("service.jwk"));
    // On the service's host.
    let make = ["principal", "key", SERVICE, "--algorithm", "ES256", "--key", &key, "--jwk", &jwk];
    let made = run(&world, &make);
    assert_eq!(made.status, 0, "{}{}", made.out, made.err);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let read = |path: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let (private, public) = (read(&key), read(&jwk));
    assert_eq!((&public["kty"], &public["crv"]), (&json!("EC"), &json!("P-256")));
    assert_eq!(public["d"], Value::Null);
    // On the authority's: a private key is refused and nobody is registered.
    let stray = world.path("stray.jwk");
    std::fs::write(&stray, private["key"].to_string()).unwrap();
    for (file, code) in [(&stray, "key-unacceptable"), (&key, "key-unacceptable")] {
        assert_eq!(world.run(&["principal", "add", SERVICE, "--jwk", file]).code(), code, "{file}");
    }
    let added = world.ok(&["principal", "add", SERVICE, "--jwk", &jwk]);
    assert_eq!(added["thumbprint"], made.json()["thumbprint"]);
    assert_eq!(added["key"], Value::Null);
    // The private key is nowhere in the data dir, and the grant is proved offline.
    let out = world.path("granted.json");
    let granted = delegate(&world, "20m", &out);
    assert_eq!(granted.status, 0, "{}{}", granted.out, granted.err);
    let chain = Chain::read(Path::new(&out));
    let answered = world.call(&chain, "get_order", json!({"order_id": 10072}));
    let answered: Value = serde_json::from_slice(&answered.body).unwrap();
    let decision = answered["result"]["_meta"]["io.bailiwick/decision"]["id"].as_str().unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    let (bundle, trust) = (world.path("bundle.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", decision, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let verdict = run(&world, &["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verdict.status, 0, "{}{}", verdict.out, verdict.err);
    assert!(verdict.out.contains("\"signed\":\"service\""), "{}", verdict.out);
    // It takes back what it granted, by the same key.
    let grant = granted.json()["grant"].as_str().unwrap().to_owned();
    let revoke = ["revoke", "grant", &grant, "--reason", "settled", "--key", &key];
    world.ok(&revoke);
    let late = world.call(&chain, "get_order", json!({"order_id": 10072}));
    world.assert_denied(&late, "grant-not-standing");
}

#[test]
fn a_run_with_nobody_present_outlives_its_roots_and_ends_with_the_grant() {
    let world = world_with_service();
    let (first, kept, key) =
        (world.path("first.json"), world.path("kept.json"), world.runner.key_file());
    let granted = delegate(&world, "14s", &first);
    assert_eq!(granted.status, 0, "{}{}", granted.out, granted.err);
    let grant = granted.json()["grant"].as_str().unwrap().to_owned();
    let mut arguments = renewing(&world, &key, &grant, &kept);
    arguments.push("--keep");
    let mut renewal =
        elsewhere(&world, &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(renewal.stdout.take().unwrap()).lines();
    let mut roots = Vec::new();
    let said: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(said["grant"], grant.as_str());
    roots.push(Chain::read(Path::new(&kept)).tokens);
    // The run reads its file and nothing else.
    let url = world.endpoint();
    let mut agent =
        elsewhere(&world, &["call", "--url", &url, "--chain", &kept, "--key", &key, "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    let (mut calls, mut answers) =
        (agent.stdin.take().unwrap(), BufReader::new(agent.stdout.take().unwrap()).lines());
    let mut call = || -> Value {
        writeln!(calls, r#"{{"tool":"get_order","arguments":{{"order_id":10072}}}}"#).unwrap();
        loop {
            let line = answers.next().expect("an answer").unwrap();
            let said: Value = serde_json::from_str(&line).unwrap();
            if said.get("decision").is_some() || said.get("code").is_some() {
                return said;
            }
        }
    };
    assert_eq!(call()["decision"], "allow");
    let second: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(second["grant"], grant.as_str());
    roots.push(Chain::read(Path::new(&kept)).tokens);
    assert_ne!(roots[0], roots[1]);
    assert_eq!(call()["decision"], "allow");
    // Every further line is a root, until the grant is over.
    let rest: Vec<Value> =
        lines.map_while(Result::ok).filter_map(|l| serde_json::from_str(&l).ok()).collect();
    assert_eq!(renewal.wait().unwrap().code(), Some(1), "{rest:?}");
    std::thread::sleep(Duration::from_secs(1));
    assert_ne!(call()["decision"], "allow");
    drop(calls);
    agent.wait().unwrap();
}

#[test]
fn after_the_grant_was_taken_back_an_instance_gets_nothing() {
    let world = world_with_service();
    let (out, key) = (world.path("chain.json"), world.runner.key_file());
    let granted = delegate(&world, "20m", &out).json();
    let grant = granted["grant"].as_str().unwrap();
    let renewed = run(&world, &renewing(&world, &key, grant, &out));
    assert_eq!(renewed.status, 0, "{}{}", renewed.out, renewed.err);
    let other = world.reader.key_file();
    let theirs = run(&world, &renewing(&world, &other, grant, &world.path("theirs.json")));
    assert_eq!(theirs.status, 1, "{}", theirs.out);
    assert!(!Path::new(&world.path("theirs.json")).exists());
    world.ok(&["revoke", "grant", grant, "--reason", "done"]);
    let refused = run(&world, &renewing(&world, &key, grant, &out));
    assert_eq!((refused.status, refused.code().as_str()), (1, "invalid_grant"));
    let chain = Chain::read(Path::new(&out));
    let denied = world.call(&chain, "get_order", json!({"order_id": 10072}));
    assert!(denied.text().contains("grant-not-standing"), "{}", denied.text());
}

/// A client with a key of its own; gives its id.
pub(crate) fn client(
    world: &World,
    key: &SigningKey,
    grants: &[&str],
    agent: Option<&str>,
) -> String {
    let jwk: Value = serde_json::from_str(
        &bailiwick_core::json::Json::from(key.public_key().to_jwk()).canonical(),
    )
    .unwrap();
    let metadata = json!({
        "client_name": "a service", "grant_types": grants,
        "redirect_uris": ["https://desk.example/callback"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk]},
    });
    let file = world.path(&fresh_id());
    std::fs::write(&file, metadata.to_string()).unwrap();
    let mut arguments = vec!["client", "add", &file];
    arguments.extend(agent.into_iter().flat_map(|agent| ["--agent", agent]));
    world.ok(&arguments)["client_id"].as_str().unwrap().to_owned()
}

pub(crate) fn form(
    world: &World,
    path: &str,
    pairs: &[(&str, &str)],
    dpop: Option<&str>,
) -> Response {
    let body = bailiwick_authority::oauth::parameters::encode(pairs);
    let mut request =
        Request::post(path, body).with("content-type", "application/x-www-form-urlencoded");
    if let Some(dpop) = dpop {
        request = request.and("dpop", dpop);
    }
    request.send(world.address).unwrap()
}

pub(crate) fn assertion(world: &World, client: &str, key: &SigningKey) -> String {
    let claims = Object::new()
        .with("iss", client)
        .with("sub", client)
        .with("aud", world.public_url.as_str())
        .with("exp", now().plus_seconds(60).seconds())
        .with("jti", fresh_id());
    jose::sign("client-authentication+jwt", None, &claims.into(), key).unwrap()
}

fn introspect(world: &World, client: &str, key: &SigningKey, token: &str) -> Value {
    let assertion = assertion(world, client, key);
    let pairs = [
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion.as_str()),
        ("token", token),
    ];
    let answer = form(world, "/introspect", &pairs, None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn who_serves_a_tool_server_introspects_its_tokens_and_nobody_elses() {
    let mut world = world_with_service();
    let (ours, theirs, asking) = (fresh_key(), fresh_key(), fresh_key());
    let serving = client(&world, &ours, &["authorization_code"], None);
    let elsewhere = client(&world, &theirs, &["authorization_code"], None);
    let asks = client(&world, &asking, &[EXCHANGE], Some(RUNNER));
    let file = world.data.join("bailiwick.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let serves = format!(
        "serves = {{ \"{serving}\" = [\"support-desk\"], \"{elsewhere}\" = [\"billing\"] }}"
    );
    assert!(text.contains("serves = {}"));
    std::fs::write(&file, text.replace("serves = {}", &serves)).unwrap();
    world.stop_serve();
    world.start_serve();
    // An access token for the desk, under the service's grant.
    let out = world.path("chain.json");
    let granted = delegate(&world, "20m", &out).json();
    let grant = granted["grant"].as_str().unwrap().to_owned();
    let identity = run(
        &world,
        &[
            "instance",
            "identity",
            "--authority",
            &world.public_url,
            "--key",
            &world.runner.key_file(),
        ],
    );
    let identity = identity.json()["identity_token"].as_str().unwrap().to_owned();
    let uri = format!("{}/token", world.public_url);
    let jti = fresh_id();
    let (method, token, nonce) = ("POST", None, None);
    let occasion = Occasion { jti: &jti, now: now(), method, uri: &uri, token, nonce };
    let proof = occasion.prove(&world.runner.key).unwrap();
    let (by, resource) = (assertion(&world, &asks, &asking), world.endpoint());
    let pairs = [
        ("grant_type", EXCHANGE),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", by.as_str()),
        ("subject_token", grant.as_str()),
        ("subject_token_type", "urn:bailiwick:token-type:grant"),
        ("actor_token", identity.as_str()),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("resource", resource.as_str()),
    ];
    let issued = form(&world, "/token", &pairs, Some(&proof));
    assert_eq!(issued.status, 200, "{}", issued.text());
    let issued: Value = serde_json::from_slice(&issued.body).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    // RFC 7662 §2.2: active, and what it is worth.
    let known = introspect(&world, &serving, &ours, token);
    assert_eq!(known["active"], true, "{known}");
    assert_eq!(known["sub"], SERVICE);
    assert_eq!(known["act"]["sub"], RUNNER);
    assert_eq!(known["aud"], world.endpoint());
    assert_eq!(known["token_type"], "DPoP");
    assert!(known["cnf"]["jkt"].is_string(), "{known}");
    let nothing = json!({"active": false});
    assert_eq!(introspect(&world, &elsewhere, &theirs, token), nothing);
    // RFC 7009 §2.2.1: what a holder derived is no client's to give back.
    let chain = Chain::read(Path::new(&out));
    let child = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    let seen = Call::new(&child, &world.reader.key, "get_order", json!({"order_id": 10072}));
    assert_eq!(world.send(&seen).status, 200);
    let by = assertion(&world, &serving, &ours);
    let pairs = [
        ("client_assertion_type", ASSERTION),
        ("client_assertion", by.as_str()),
        ("token", child.leaf()),
    ];
    let answer = form(&world, "/revoke", &pairs, None);
    assert!(answer.text().contains("unsupported_token_type"), "{}", answer.text());
    world.ok(&["revoke", "grant", &grant, "--reason", "done"]);
    assert_eq!(introspect(&world, &serving, &ours, token), nothing);
}
