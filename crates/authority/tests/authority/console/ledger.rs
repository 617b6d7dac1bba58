//! The search over the ledger, an entry's page, and what a browser is given to
//! check an entry by itself.

use bailiwick_authority::people::roles::Role;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_tlog::{Hash, InclusionProof, SeedSigner, SignedCheckpoint, leaf_hash};

use super::{Served, decided};
use crate::support::{installation, principal};

const SEED: [u8; 32] = [4; 32];

fn published(served: &Served) {
    let signer = SeedSigner::new(installation().log_key.name(), &SEED).unwrap();
    served.world.authority.store().sequence(&signer).unwrap();
}

#[test]
fn entries_are_found_by_what_they_are_about() {
    let served = Served::start();
    let denied = decided(&served.world, "user:142", "deny");
    let allowed = decided(&served.world, "user:143", "allow");
    let owner = served.sign_in("user:owner");
    let size = served.world.log_size();
    let (first, second) = (size - 2, size - 1);
    let rows = |query: &str| -> Vec<String> {
        let page = served.get(&format!("/ledger{query}"), Some(&owner));
        assert_eq!(page.status, 200, "{}", page.body);
        let html = scraper::Html::parse_document(&page.body);
        let links = scraper::Selector::parse("table.entries a").unwrap();
        html.select(&links).map(|a| a.attr("href").unwrap().to_owned()).collect()
    };
    let at = |index: u64| format!("/activity/{index}");
    assert_eq!(rows("?principal=user:142&decision=deny"), [at(first)]);
    assert_eq!(rows("?kind=action.decided"), [at(second), at(first)]);
    assert_eq!(rows("?kind=action.decided&before=999999"), [at(second), at(first)]);
    assert_eq!(rows(&format!("?kind=action.decided&before={second}")), [at(first)]);
    let tool = "?tool=mcp:support-desk:tools/get_ticket&agent=agent:support-runner";
    assert_eq!(rows(tool), [at(second), at(first)]);
    assert_eq!(rows("?decision=allow&until=2000-01-01T00:00"), Vec::<String>::new());
    assert_eq!(rows("?decision=allow&since=2000-01-01T00:00"), [at(second)]);
    // A number, an entry's id and a call's id lead to the entry.
    let id = served.world.authority.store().read(|v| v.entry(first)).unwrap().unwrap().id;
    for text in [first.to_string(), id.to_string(), denied.clone()] {
        let led = served.get(&format!("/ledger?entry={text}"), Some(&owner));
        assert_eq!((led.status, led.location()), (303, at(first).as_str()), "{text}");
    }
    let led = served.get(&format!("/ledger?entry={allowed}"), Some(&owner));
    assert_eq!(led.location(), at(second));
}

#[test]
fn a_search_that_is_not_understood_says_so_and_finds_nothing() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    for (query, said) in [
        ("entry=nothing", "No entry has this number or id."),
        ("entry=99999999", "No entry has this number or id."),
        ("principal=user:stranger", "Nobody has this name."),
        ("kind=no.such", "There is no such kind of entry."),
        ("since=yesterday", "Write a time as"),
        ("entry=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "No entry has this number or id."),
    ] {
        let page = served.get(&format!("/ledger?{query}"), Some(&owner));
        assert_eq!(page.status, 200);
        assert!(page.body.contains(said), "{query}: {}", page.body);
        assert!(!page.body.contains("<script>alert"), "{query}");
        assert!(!page.body.contains("href=\"/activity/"), "{query} finds nothing");
    }
}

#[test]
fn the_proof_that_a_browser_gets_holds_and_only_for_its_leaf() {
    let served = Served::start();
    decided(&served.world, "user:142", "allow");
    let owner = served.sign_in("user:owner");
    let index = served.world.log_size() - 1;
    let path = format!("/activity/{index}/proof");
    let early = served.get(&path, Some(&owner));
    assert_eq!((early.status, early.body.as_str()), (200, r#"{"published":false}"#));
    published(&served);
    let answer = served.get(&path, Some(&owner));
    let json = Json::parse(answer.body.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    let text = |name: &str| json.as_object().unwrap().member(name).unwrap().as_str().unwrap();
    let log = installation().log_key;
    let checkpoint = SignedCheckpoint::parse(text("checkpoint").as_bytes()).unwrap();
    let checkpoint = checkpoint.verify(log.name(), &log).unwrap();
    let hashes = json.as_object().unwrap().member("hashes").unwrap().as_array().unwrap();
    let hashes = hashes.iter().map(|h| Hash::from_base64(h.as_str().unwrap()).unwrap());
    let proof = InclusionProof { index, size: checkpoint.size(), hashes: hashes.collect() };
    let mut leaf = text("leaf").as_bytes().to_vec();
    proof.verify(&leaf_hash(&leaf), checkpoint.root()).unwrap();
    leaf[10] ^= 1;
    assert!(proof.verify(&leaf_hash(&leaf), checkpoint.root()).is_err());
    // The keys are those of the trust file, which the browser hashes itself.
    let trust = served.world.authority.trust().unwrap();
    assert_eq!(text("trust"), trust.to_json().canonical());
}

#[test]
fn an_entry_and_its_proof_are_for_whoever_it_is_about_and_for_auditors() {
    let served = Served::start();
    served.world.authority.role_change(&principal("user:143"), Role::Auditor, true).unwrap();
    decided(&served.world, "user:142", "deny");
    let index = served.world.log_size() - 1;
    published(&served);
    for (name, status) in [("user:142", 200), ("user:143", 200)] {
        let me = served.sign_in(name);
        for path in [format!("/activity/{index}"), format!("/activity/{index}/proof")] {
            assert_eq!(served.get(&path, Some(&me)).status, status, "{name} {path}");
        }
    }
    served.world.authority.role_change(&principal("user:143"), Role::Auditor, false).unwrap();
    served.world.authority.role_change(&principal("user:143"), Role::Developer, true).unwrap();
    let other = served.sign_in("user:143");
    for path in [format!("/activity/{index}"), format!("/activity/{index}/proof")] {
        assert_eq!(served.get(&path, Some(&other)).status, 404, "{path}");
    }
    assert_eq!(served.get("/ledger", Some(&other)).status, 403);
}

#[test]
fn an_entrys_page_has_every_member_and_its_commitments() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let task = served.count("workflow.published");
    assert_eq!(task, 1);
    let filter = bailiwick_store::Filter {
        kind: Some(bailiwick_core::ledger::Kind::WorkflowPublished),
        limit: 1,
        ..bailiwick_store::Filter::default()
    };
    let found = served.world.authority.store().read(|v| v.query(&filter)).unwrap();
    let entry = &found[0];
    let page = served.get(&format!("/activity/{}", entry.index), Some(&owner)).body;
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).unwrap();
    let leaf = leaf.as_object().unwrap();
    for part in ["body", "commits"] {
        for (name, _) in leaf.member(part).and_then(Json::as_object).unwrap().iter() {
            assert!(page.contains(&format!("{name}</dt>")), "{part}.{name}: {page}");
        }
    }
    assert!(page.contains(&entry.leaf_hash.to_string()) && page.contains("data-proof"));
}

#[test]
fn the_mark_of_the_activity_changes_with_what_is_listed_and_with_nothing_else() {
    let served = Served::start();
    let (me, other) = (served.sign_in("user:142"), served.sign_in("user:143"));
    let mark = |path: &str, who| served.get(path, Some(who)).body;
    let path = "/activity/mark?kind=action.decided";
    let (before, others) = (mark(path, &me), mark(path, &other));
    decided(&served.world, "user:142", "deny");
    assert_ne!(mark(path, &me), before);
    assert_eq!(mark(path, &other), others, "somebody else's call is not theirs to see");
    let page = served.get("/activity?kind=action.decided", Some(&me)).body;
    assert!(page.contains("data-live-rows=\"/activity/mark?kind=action.decided\""), "{page}");
    let older = served.get("/activity?before=3", Some(&me)).body;
    assert!(!older.contains("data-live-rows"), "an older page does not change");
}
