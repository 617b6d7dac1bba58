//! The policy's pages: what is in force, why a call was decided, and what another
//! bundle would have decided.

use bailiwick_authority::people::roles::Role;
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{ActionId, EntryId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::Bundle;
use bailiwick_store::{Place, StoreError};

use super::{Served, decided};
use crate::support::{installation, key, principal};

const HOSTILE: &str = "</code><script>alert(1)</script>";

fn bundle(id: &str, effect: &str) -> Bundle {
    let text = format!(
        "// {HOSTILE}\u{202e}\n@id(\"{id}\") @reason(\"{HOSTILE}\") {effect} (principal, action, resource);"
    );
    Bundle::parse([("a.cedar".to_owned(), text)]).unwrap()
}

/// A call that policy allowed, with everything that a gateway retains of one.
fn allowed(served: &Served, bundle: &Bundle) -> ActionId {
    let vector = include_str!("../../../../../vectors/entries/action.decided.json");
    let vector = Json::parse(vector.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    let entry = vector.as_object().unwrap().member("entry").unwrap().as_object().unwrap().clone();
    let mut body = entry.member("body").unwrap().as_object().unwrap().clone();
    let word = Object::new()
        .with("answer", "allow")
        .with("bundle", bundle.digest())
        .with("reasons", vec![Json::from("policy:all")]);
    body.insert("policy", word);
    let alias = served.world.authority.principal(&principal("user:142")).unwrap().row.alias;
    let action = ActionId::parse(&served.world.jti()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let event = Event {
        id: EntryId::parse(&served.world.jti()).unwrap(),
        org: installation().org,
        time: served.now(),
        kind: Kind::ActionDecided,
        subjects: Subjects {
            principal: text(alias.as_str()),
            agent: text("agent:reader"),
            action: text(action.as_str()),
            tool: text("mcp:desk:tools/get_ticket"),
            decision: text("allow"),
            ..Subjects::default()
        },
        body,
        disclosures: Vec::<(String, Disclosure)>::new(),
    };
    let maker = installation().makers[1].id.clone();
    let written = served.world.authority.store().write(move |tx| -> Result<(), StoreError> {
        tx.append(&maker, &*key(3), event).map(drop)
    });
    written.wait().unwrap();
    action
}

#[test]
fn what_is_in_force_and_on_trial_is_shown_as_text() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let empty = served.get("/policy", Some(&owner)).body;
    assert!(empty.contains("every call is denied"), "{empty}");
    let a = &served.world.authority;
    let (one, two) = (bundle("all", "permit"), bundle("none", "forbid"));
    a.policy_publish(Place::Enforced, one.clone()).unwrap();
    a.policy_publish(Place::Candidate, two.clone()).unwrap();
    let page = served.get("/policy", Some(&owner)).body;
    for part in [one.digest().to_string(), two.digest().to_string(), "a.cedar".to_owned()] {
        assert!(page.contains(&part), "{part}");
    }
    assert!(page.contains("\\u{202e}") && !page.contains('\u{202e}'));
    assert!(!page.contains("<script>alert"), "{page}");
    // An older bundle stays to be read.
    a.policy_publish(Place::Enforced, two).unwrap();
    let older = served.get(&format!("/policy?digest={}", one.digest()), Some(&owner));
    assert!(older.status == 200 && older.body.contains("@id("), "{}", older.body);
    let page = served.get("/policy", Some(&owner)).body;
    let said = |word: &str| page.matches(&format!(">{word}</span>")).count();
    assert_eq!((said("in force"), said("was in force"), said("on trial")), (1, 1, 1), "{page}");
    for digest in ["nothing".to_owned(), sha256(b"x").to_string()] {
        assert_eq!(served.get(&format!("/policy?digest={digest}"), Some(&owner)).status, 404);
    }
}

#[test]
fn a_decision_is_explained_to_whoever_may_read_it() {
    let served = Served::start();
    let a = &served.world.authority;
    let one = bundle("all", "permit");
    a.policy_publish(Place::Enforced, one.clone()).unwrap();
    let action = allowed(&served, &one);
    let owner = served.sign_in("user:owner");
    let path = format!("/policy/explain/{action}");
    let page = served.get(&path, Some(&owner)).body;
    for part in ["within-level", "policy in force said: allow", "a.cedar:2", "allowed"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script>alert"), "{page}");
    // Not by policy: the reason's sentence.
    let denied = decided(&served.world, "user:142", "deny");
    let page = served.get(&format!("/policy/explain/{denied}"), Some(&owner)).body;
    assert!(page.contains("not by policy") && page.contains("was not asked"), "{page}");
    // Somebody else's call is not there; one's own is.
    for (name, status) in [("user:143", 404), ("user:142", 200)] {
        a.role_change(&principal(name), Role::Developer, true).unwrap();
        assert_eq!(served.get(&path, Some(&served.sign_in(name))).status, status, "{name}");
    }
}

#[test]
fn a_replay_counts_changes_nothing_and_says_that_texts_were_read() {
    let served = Served::start();
    let a = &served.world.authority;
    let one = bundle("all", "permit");
    a.policy_publish(Place::Enforced, one.clone()).unwrap();
    allowed(&served, &one);
    decided(&served.world, "user:142", "deny");
    let owner = served.sign_in("user:owner");
    let before = served.world.log_size();
    let path = format!("/policy/replay?bundle={}&last=5000", one.digest());
    let page = served.get(&path, Some(&owner));
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("newest 1000 decisions"), "{}", page.body);
    // What it looked at is not kept here, and the other was not policy's.
    assert!(page.body.contains("1: what the decision looked at was erased"), "{}", page.body);
    assert!(page.body.contains("1: it was not policy that settled it"), "{}", page.body);
    assert_eq!(served.world.log_size(), before + 1);
    let kinds = served.world.kinds();
    assert_eq!(kinds.last().map(String::as_str), Some("plaintext.read"));
    // Nothing is read for a bundle that was never published, nor for who may not.
    let unknown = format!("/policy/replay?bundle={}", sha256(b"x"));
    assert_eq!(served.get(&unknown, Some(&owner)).status, 404);
    a.role_change(&principal("user:143"), Role::Developer, true).unwrap();
    assert_eq!(served.get(&path, Some(&served.sign_in("user:143"))).status, 403);
    assert_eq!(served.count("plaintext.read"), 1);
}
