use crate::support::*;

use bailiwick_authority::rules::agents::Provenance;
use bailiwick_authority::{Authority, Keys};
use bailiwick_core::crypto::Signer;
use bailiwick_core::ids::InstanceId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Entry;
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::Status;

#[test]
fn the_log_begins_once_and_nothing_is_written_before() {
    let world = World::bare();
    let a = &world.authority;
    assert_eq!(code(a.started()), "not-initialised");
    let jwk = key(11).public_key().to_jwk();
    assert_eq!(code(a.principal_add(&principal("user:1"), Some(&jwk))), "not-initialised");
    a.init().unwrap();
    assert_eq!(code(a.init()), "already-initialised");
    assert_eq!(world.kinds(), ["log.started"]);
    assert_eq!(a.started(), Ok(world.now()));
}

#[test]
fn the_trust_file_names_every_key_from_the_beginning_of_the_log() {
    let world = World::bare();
    world.authority.init().unwrap();
    let trust = world.authority.trust().unwrap();
    assert_eq!(trust.check(), Ok(()));
    assert_eq!(trust.makers.len(), 2);
    assert_eq!(trust.audiences, ["http://localhost:4000/mcp"]);
    assert_eq!(trust.issuers[0].validity.not_before, Some(world.now()));
    let text = trust.to_json().canonical();
    assert_eq!(bailiwick_evidence::Trust::parse(text.as_bytes()), Ok(trust));
}

#[test]
fn an_authority_refuses_names_and_keys_that_are_not_its_own() {
    let world = World::bare();
    world.authority.init().unwrap();
    let new = |change: &dyn Fn(&mut bailiwick_authority::Installation, &mut Keys)| {
        let (mut installation, mut keys) = (installation(), keys());
        change(&mut installation, &mut keys);
        Authority::new(world.authority.store().clone(), world.host.clone(), installation, keys)
    };
    assert!(new(&|_, _| {}).is_ok());
    assert_eq!(code(new(&|_, k| k.issuer = key(9))), "installation-invalid");
    assert_eq!(code(new(&|_, k| k.maker = key(9))), "installation-invalid");
    assert_eq!(code(new(&|i, _| i.trust_domain = "Example".into())), "installation-invalid");
    for url in ["http://localhost:4000/", "http://example.test", "https://x.test/a", "localhost"] {
        assert_eq!(code(new(&|i, _| i.issuer = url.into())), "installation-invalid", "{url}");
    }
    // The issuing key signs nothing else (DESIGN rule 6).
    let shared = new(&|i, k| {
        i.makers[0] = bailiwick_authority::Maker::authority(key(1).public_key());
        k.maker = key(1);
    });
    assert_eq!(code(shared), "installation-invalid");
    // The URL is the issuer: a log that was begun under another one is not ours.
    let other = new(&|i, _| i.issuer = "http://localhost:4001".into()).unwrap();
    assert_eq!(code(other.started()), "public-url-moved");
}

#[test]
fn a_principal_stands_in_the_ledger_by_alias_and_key_but_not_by_name() {
    let world = World::bare();
    let a = &world.authority;
    a.init().unwrap();
    let row =
        a.principal_add(&principal("user:142"), Some(&key(11).public_key().to_jwk())).unwrap();
    let entry = a.store().read(|v| v.entry(1)).map_err(|e: bailiwick_store::StoreError| e);
    let entry = entry.unwrap().unwrap();
    let text = String::from_utf8(entry.leaf.clone()).unwrap();
    assert!(!text.contains("142"), "{text}");
    assert!(text.contains(row.alias.as_str()));
    let maker = key(2).public_key();
    let opened = Entry::open(&entry.leaf, &|_, _| Some(maker)).unwrap();
    let thumbprint = key(11).public_key().thumbprint();
    let body = opened.body;
    assert_eq!(body.member("thumbprint").unwrap().as_str(), Some(&*thumbprint.to_string()));
    assert_eq!(body.member("jwk").unwrap().as_object(), Some(&key(11).public_key().to_jwk()));
    let texts = a.store().read(|v| v.read_plaintext(&entry.id));
    let texts = texts.map_err(|e: bailiwick_store::StoreError| e).unwrap().unwrap();
    let (field, name) = texts.iter().find(|(field, _)| field == "principal").unwrap();
    assert!(opened.commits.contains(&(field.clone(), name.commitment())));
    assert_eq!(name.value, json(r#"{"issuer":"http://localhost:4000","id":"user:142"}"#));
}

#[test]
fn a_principal_needs_a_name_and_a_key_of_its_own() {
    let world = World::desk();
    let a = &world.authority;
    let jwk = key(30).public_key().to_jwk();
    assert_eq!(code(a.principal_add(&principal("user:142"), Some(&jwk))), "already-exists");
    // An agent must never be able to grant to itself.
    let holder = key(21).public_key().to_jwk();
    assert_eq!(code(a.principal_add(&principal("user:9"), Some(&holder))), "key-taken");
    let private = jwk.clone().with("d", "AA");
    assert_eq!(code(a.principal_add(&principal("user:9"), Some(&private))), "key-unacceptable");
    assert_eq!(world.authority.principals().unwrap().len(), 3);
}

#[test]
fn a_principals_key_is_ed25519_or_p256_and_of_no_instance() {
    let world = World::desk();
    let a = &world.authority;
    let add = |name: &str, jwk: &Object| code(a.principal_add(&principal(name), Some(jwk)));
    let good = provider_key().public_key().to_jwk();
    let coordinate = good.member("x").unwrap().clone();
    for (what, jwk) in [
        ("a private key", good.clone().with("d", "AA")),
        ("a symmetric key", good.clone().with("k", "AA")),
        ("P-384", good.clone().with("crv", "P-384")),
        ("secp256k1", good.clone().with("crv", "secp256k1")),
        ("Ed25519 that says EC", good.clone().with("crv", "Ed25519")),
        ("RSA", Object::new().with("kty", "RSA").with("n", "AAAA").with("e", "AQAB")),
        ("beside the curve", good.clone().with("y", coordinate)),
        ("for encryption", good.clone().with("use", "enc")),
        ("for another algorithm", good.clone().with("alg", "EdDSA")),
    ] {
        assert_eq!(add("service:billing", &jwk), "key-unacceptable", "{what}");
    }
    assert!(a.principal(&principal("service:billing")).is_err());
    // An agent must never be able to grant to itself, by neither of its keys.
    let identity = identity();
    let statement = world.statement("agent:support-runner", 40, &identity);
    a.instance_enrol(&statement.sign(&*key(40), &identity).unwrap()).unwrap();
    assert_eq!(add("service:billing", &identity.public_key().to_jwk()), "key-taken");
    let added = a.principal_add(&principal("service:billing"), Some(&good)).unwrap();
    assert_eq!(added.jwk, Some(Json::from(good).canonical()));
}

#[test]
fn a_status_changes_once_and_retirement_is_for_good() {
    let world = World::desk();
    let a = &world.authority;
    let (user, runner) = (principal("user:142"), agent("agent:support-runner"));
    let before = world.log_size();
    for (status, entries) in [
        (Status::Active, 0),
        (Status::Suspended, 1),
        (Status::Suspended, 1),
        (Status::Active, 2),
        (Status::Retired, 3),
    ] {
        a.principal_status(&user, status).unwrap();
        assert_eq!(world.log_size(), before + entries);
    }
    assert_eq!(code(a.principal_status(&user, Status::Active)), "already-retired");
    a.agent_status(&runner, Status::Retired).unwrap();
    assert_eq!(code(a.agent_status(&runner, Status::Active)), "already-retired");
    assert_eq!(code(a.principal_status(&principal("user:0"), Status::Active)), "unknown-name");
    assert_eq!(code(a.agent_status(&agent("agent:x"), Status::Active)), "unknown-name");
}

#[test]
fn an_agent_needs_an_active_owner() {
    let world = World::desk();
    let a = &world.authority;
    let add = |name: &str, owner: &str| {
        a.agent_add(&agent(name), &principal(owner), Provenance::default())
    };
    assert_eq!(code(add("agent:support-runner", "user:owner")), "already-exists");
    assert_eq!(code(add("agent:new", "user:nobody")), "unknown-name");
    a.principal_status(&principal("user:143"), Status::Suspended).unwrap();
    assert_eq!(code(add("agent:new", "user:143")), "principal-inactive");
    assert!(add("agent:new", "user:142").is_ok());
    assert_eq!(a.agents().unwrap().len(), 3);
}

#[test]
fn an_enrolment_must_be_meant_for_us_fresh_and_by_the_agents_owner() {
    let world = World::desk();
    let a = &world.authority;
    let enrol = |change: &dyn Fn(&mut bailiwick_core::enrolment::Statement)| {
        let identity = identity();
        let mut statement = world.statement("agent:support-runner", 40, &identity);
        change(&mut statement);
        a.instance_enrol(&statement.sign(&*key(40), &identity).unwrap())
    };
    let ten = 600_000;
    let now = world.now().millis();
    let at = |ms: i64| bailiwick_core::time::Timestamp::from_millis(ms);
    assert_eq!(
        code(enrol(&|s| s.audience = "http://localhost:4001".into())),
        "enrolment-other-audience"
    );
    assert_eq!(code(enrol(&|s| s.made_at = at(now - ten - 1))), "enrolment-not-fresh");
    assert_eq!(code(enrol(&|s| s.made_at = at(now + ten + 1))), "enrolment-not-fresh");
    assert_eq!(code(enrol(&|s| s.agent = agent("agent:nobody"))), "unknown-name");
    assert_eq!(code(enrol(&|s| s.owner = principal("user:142"))), "enrolment-other-owner");
    // Signed by another key than the one it names.
    assert_eq!(code(enrol(&|s| s.holder = key(41).public_key())), "enrolment-signature-invalid");
    // Both edges of the ten minutes are inside.
    assert!(enrol(&|s| s.made_at = at(now - ten)).is_ok());
}

#[test]
fn a_key_is_enrolled_once_for_all_time() {
    let world = World::desk();
    let a = &world.authority;
    assert_eq!(code(world.enrol("agent:support-runner", 21)), "key-taken");
    let instance = a.instances(Some(&agent("agent:support-runner"))).unwrap().remove(0);
    a.instance_retire(&instance.id).unwrap();
    a.instance_retire(&instance.id).unwrap();
    assert_eq!(code(world.enrol("agent:support-runner", 21)), "key-taken");
    // The owner's own key is no holder key.
    assert_eq!(code(world.enrol("agent:support-runner", 10)), "key-taken");
    // Nor is an instance id used twice.
    let identity = identity();
    let mut statement = world.statement("agent:support-runner", 50, &identity);
    statement.instance = instance.id.clone();
    let document = statement.sign(&*key(50), &identity).unwrap();
    assert_eq!(code(a.instance_enrol(&document)), "already-exists");
    let unknown = InstanceId::mint(world.now(), [99; 10]);
    assert_eq!(code(a.instance_retire(&unknown)), "unknown-name");
}

#[test]
fn an_inactive_agent_or_owner_enrols_nothing() {
    let world = World::desk();
    let a = &world.authority;
    a.agent_status(&agent("agent:order-reader"), Status::Suspended).unwrap();
    assert_eq!(code(world.enrol("agent:order-reader", 60)), "agent-inactive");
    a.principal_status(&principal("user:owner"), Status::Suspended).unwrap();
    assert_eq!(code(world.enrol("agent:support-runner", 60)), "agent-inactive");
}

#[test]
fn a_clock_that_was_stepped_back_writes_nothing() {
    let world = World::desk();
    let before = world.log_size();
    world.host.advance(-3_600_000);
    let jwk = key(70).public_key().to_jwk();
    assert_eq!(
        code(world.authority.principal_add(&principal("user:7"), Some(&jwk))),
        "clock-behind"
    );
    assert_eq!(world.log_size(), before);
    world.host.advance(3_600_000);
    assert!(world.authority.principal_add(&principal("user:7"), Some(&jwk)).is_ok());
}

#[test]
fn every_entry_of_the_authority_opens_with_its_makers_key() {
    let world = World::desk();
    world.delegate();
    let maker = key(2).public_key();
    let id = installation().makers[0].id.clone();
    let entries = world.authority.store().read(|v| v.tail(0, 1000));
    for entry in entries.map_err(|e: bailiwick_store::StoreError| e).unwrap() {
        let open = Entry::open(&entry.leaf, &|name, _| (name == id).then_some(maker)).unwrap();
        assert!(Json::parse(&entry.leaf, &JsonLimits::DEFAULT).is_ok());
        let text = String::from_utf8(entry.leaf).unwrap();
        for plain in ["142", "8821", "resolve support", "orders:read", "user:"] {
            assert!(!text.contains(plain), "{} shows {plain}", open.kind.as_str());
        }
    }
}

/// Kind, subjects, members of the body, commitments.
type Contract =
    (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// What evidence looks up and reads of each kind.
const CONTRACT: [Contract; 8] = [
    ("principal.added", &["principal"], &["alias", "thumbprint", "jwk"], &["principal"]),
    ("agent.added", &["agent"], &["agent", "owner"], &[]),
    (
        "instance.enrolled",
        &["agent", "instance"],
        &["instance", "agent", "owner", "holder", "enrolment_digest", "guarantee"],
        &["enrolment"],
    ),
    ("workflow.published", &["workflow"], &["workflow", "digest"], &["document"]),
    ("tool.pinned", &["tool"], &["tool", "server", "digest"], &["definition"]),
    ("task.created", &["task", "workflow"], &["task", "workflow"], &["purpose"]),
    (
        "grant.recorded",
        &["principal", "agent", "workflow", "task", "grant"],
        &["grant", "digest", "not_before", "not_after", "signed"],
        &["statement", "signature"],
    ),
    (
        "delegation.issued",
        &["principal", "agent", "workflow", "task", "grant", "delegation"],
        &["root", "grant", "holder", "not_after"],
        &["token"],
    ),
];

#[test]
fn entries_say_what_evidence_reads() {
    let world = World::desk();
    let server = bailiwick_core::ids::ServerName::parse("support-desk").unwrap();
    let new = bailiwick_authority::rules::tool_servers::NewServer {
        name: server.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: None,
        identity_mode: bailiwick_store::IdentityMode::Shared,
        replace: false,
    };
    world.authority.tool_server_add(new).unwrap();
    let listing = json(r#"{"tools":[{"name":"get_order","inputSchema":{}}]}"#);
    let kind = bailiwick_policy::catalogue::DefinitionKind::Tool;
    world.authority.pin(&server, kind, &listing, &[]).unwrap();
    world.delegate();
    let entries = world.authority.store().read(|v| v.tail(0, 1000));
    let entries = entries.map_err(|e: bailiwick_store::StoreError| e).unwrap();
    for (kind, subjects, body, commits) in CONTRACT {
        let entry = entries.iter().rfind(|e| e.kind == kind).unwrap();
        let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).unwrap();
        let leaf = leaf.as_object().unwrap();
        let inner = |name: &str| leaf.member(name).unwrap().as_object().unwrap();
        for subject in subjects {
            assert!(leaf.member(subject).is_some(), "{kind} has no subject {subject}");
        }
        for member in body {
            assert!(inner("body").member(member).is_some(), "{kind} has no {member}");
        }
        for field in commits {
            assert!(inner("commits").member(field).is_some(), "{kind} commits to no {field}");
        }
    }
}
