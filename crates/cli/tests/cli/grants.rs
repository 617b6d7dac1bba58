//! `grant` and `delegation`: what was granted, and the roots under it.

use std::path::Path;

use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::{PRINCIPAL, PURPOSE, RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

/// A well-formed id that nobody has.
const NOBODYS: &str = "0198c1b2-0000-7000-8000-000000000001";

fn said(world: &World, args: &[&str]) -> Answer {
    let mut command = command(Path::new(EXE), world.base.path());
    Answer::of(command.arg("--data-dir").arg(&world.data).args(args))
}

fn granted(world: &World) -> Value {
    world.ok(&["grant", "list", "--principal", PRINCIPAL])
}

fn grant(world: &World) -> String {
    granted(world)["grants"][0]["grant"].as_str().unwrap().to_owned()
}

#[test]
fn grants_are_listed_newest_first_and_say_whether_they_stand() {
    let world = World::new(EXE);
    assert_eq!(granted(&world)["grants"], json!([]));
    let nothing = said(&world, &["grant", "list", "--principal", PRINCIPAL]);
    assert_eq!(nothing.out.trim(), format!("{PRINCIPAL} has granted nothing"));
    let _first = world.chain();
    let first = grant(&world);
    let _second = world.chain();
    let list = granted(&world);
    assert_eq!(list["principal"], PRINCIPAL);
    let grants = list["grants"].as_array().unwrap();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[1]["grant"], first.as_str(), "the newest comes first");
    assert!(grants.iter().all(|g| g["agent"] == RUNNER && g["state"] == "stands"), "{list}");

    world.ok(&["revoke", "grant", &first, "--reason", "case closed"]);
    let list = granted(&world);
    assert_eq!(list["grants"][1]["state"], "revoked");
    assert_eq!(list["grants"][0]["state"], "stands");
    let text = said(&world, &["grant", "list", "--principal", PRINCIPAL]).out;
    assert!(text.contains(&first) && text.contains("revoked"), "{text}");
    // What a principal granted ends with the principal.
    world.ok(&["revoke", "principal", PRINCIPAL, "--reason", "left"]);
    assert!(granted(&world)["grants"].as_array().unwrap().iter().all(|g| g["state"] == "revoked"));
}

#[test]
fn a_grant_shows_what_was_signed_and_the_roots_under_it() {
    let world = World::new(EXE);
    let chain = world.chain();
    let id = grant(&world);
    let shown = world.ok(&["grant", "show", &id]);
    assert_eq!((&shown["grant"], &shown["state"]), (&json!(id), &json!("stands")));
    assert_eq!(shown["statement"]["principal"]["subject"], PRINCIPAL, "{shown}");
    assert_eq!(shown["statement"]["purpose"], PURPOSE);
    assert_eq!(shown["statement"]["requested"], json!(["ticket:8821", "orders:read"]));
    assert!(shown["signature"].as_str().is_some_and(|s| s.split('.').count() == 3), "{shown}");
    let roots = shown["roots"].as_array().unwrap();
    assert_eq!((roots.len(), &roots[0]["form"]), (1, &json!("aat")));
    let listed = world.ok(&["delegation", "list", "--grant", &id]);
    assert_eq!(listed["roots"], shown["roots"]);
    let inspected = world.ok(&["inspect", &chain.path()]);
    let root = roots[0]["root"].as_str().unwrap();
    assert!(inspected.to_string().contains(root), "{inspected}");

    let text = said(&world, &["grant", "show", &id]);
    assert!(text.out.contains(PURPOSE) && text.out.contains("ticket:8821 orders:read"));
    let next = format!("bailiwick revoke grant {id} --reason 'why'");
    assert!(text.out.contains(&next), "{}", text.out);
    let text = said(&world, &["delegation", "list", "--grant", &id]);
    assert!(text.out.contains(root), "{}", text.out);
    // Once erased it stands, and says no more than that.
    world.ok(&["principal", "suspend", PRINCIPAL]);
    world.ok(&["audit", "erase", PRINCIPAL, "--yes"]);
    let shown = world.ok(&["grant", "show", &id]);
    assert!(shown["statement"].is_null() && shown["signature"].is_null(), "{shown}");
    assert!(said(&world, &["grant", "show", &id]).out.contains("its text was erased"));
}

#[test]
fn another_root_is_issued_while_the_grant_stands_and_not_afterwards() {
    let world = World::new(EXE);
    let _first = world.chain();
    let id = grant(&world);
    let file = world.path("again.json");
    let issued = world.ok(&["delegation", "reissue", "--grant", &id, "--out", &file]);
    assert_eq!((&issued["grant"], &issued["chain"]), (&json!(id), &json!(file)));
    assert_eq!(issued["instance"], world.runner.instance.as_str());
    let again = Chain::read(Path::new(&file));
    world.assert_allowed(&world.call(&again, "get_ticket", json!({"ticket_id": 8821})), "ok");
    let roots = world.ok(&["delegation", "list", "--grant", &id])["roots"].clone();
    assert_eq!(roots.as_array().unwrap().len(), 2);
    let text = said(
        &world,
        &["delegation", "reissue", "--grant", &id, "--out", &world.path("third.json")],
    );
    assert!(text.out.contains(&format!("issued a root under {id}")), "{}", text.out);

    let reissue = |more: &[&str]| {
        let out = world.path("refused.json");
        world.run(&[&["delegation", "reissue", "--grant", &id, "--out", &out], more].concat())
    };
    let other = world.reader.instance.clone();
    let refused = reissue(&["--instance", &other]);
    assert_eq!((refused.status, refused.code().as_str()), (1, "instance-unsuitable"));
    let malformed = reissue(&["--instance", "me"]);
    assert_eq!((malformed.status, malformed.code().as_str()), (2, "id-malformed"));
    world.ok(&["revoke", "grant", &id, "--reason", "case closed"]);
    let refused = reissue(&[]);
    assert_eq!((refused.status, refused.code().as_str()), (1, "revoked"), "{}", refused.out);
    assert!(!Path::new(&world.path("refused.json")).exists());
    // The record of the grant says it at once, the feed of revocations some
    // milliseconds later.
    let denied = world.call(&again, "get_ticket", json!({"ticket_id": 8821}));
    let code = denied.json()["error"]["data"]["code"].as_str().unwrap_or_default().to_owned();
    assert!(["grant-not-standing", "revoked"].contains(&code.as_str()), "{}", denied.text());
    world.assert_denied(&denied, &code);
}

#[test]
fn names_that_are_none_are_told_apart_from_what_is_not_there() {
    let world = World::new(EXE);
    for (args, expected) in [
        (vec!["grant", "list"], (2, "argument-missing")),
        (vec!["grant", "list", "--principal", "142"], (2, "id-malformed")),
        (vec!["grant", "list", "--principal", "user:nobody"], (4, "unknown-name")),
        (vec!["grant", "show", "x"], (2, "id-malformed")),
        (vec!["grant", "show", NOBODYS], (4, "unknown-name")),
        (vec!["delegation", "list", "--grant", "x"], (2, "id-malformed")),
        (vec!["delegation", "list", "--grant", NOBODYS], (4, "unknown-name")),
        (vec!["delegation", "reissue", "--grant", NOBODYS], (2, "usage")),
        (vec!["delegation", "reissue", "--grant", NOBODYS, "--out", "x"], (4, "unknown-name")),
    ] {
        let refused = world.run(&args);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            expected,
            "{args:?}: {}",
            refused.out
        );
        assert!(refused.json()["error"]["remedy"].as_str().is_some_and(|r| !r.is_empty()));
    }
    let text = said(&world, &["grant", "show", NOBODYS]);
    assert_eq!((text.status, text.out.as_str()), (4, ""));
    assert!(text.err.contains("[unknown-name]") && text.err.contains("try:"), "{}", text.err);
}
