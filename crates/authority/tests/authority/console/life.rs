//! The People page: what an owner sees and does there, and nobody else.

use bailiwick_authority::people::roles::Role;
use bailiwick_core::ledger::Kind;
use bailiwick_store::Filter;

use super::*;

fn page_of(served: &Served, name: &str) -> String {
    format!("/people/{}", served.world.authority.principal(&principal(name)).unwrap().row.alias)
}

#[test]
fn only_an_owner_sees_and_tends_people() {
    let served = Served::start();
    let a = &served.world.authority;
    a.role_change(&principal("user:143"), Role::Operator, true).unwrap();
    let (owner, operator) = (served.sign_in("user:owner"), served.sign_in("user:143"));
    let page = page_of(&served, "user:142");
    let list = served.get("/people", Some(&owner));
    assert_eq!(list.status, 200, "{}", list.body);
    assert!(list.body.contains("user:142") && list.body.contains(&page), "{}", list.body);
    assert_eq!(served.get(&page, Some(&owner)).status, 200);
    let asks =
        ["", "/link", "/suspend", "/resume", "/offboard"].map(|verb| format!("{page}{verb}"));
    for path in asks.iter().map(String::as_str).chain(["/people"]) {
        assert_eq!(served.get(path, Some(&owner)).status, 200, "{path}");
        let refused = served.get(path, Some(&operator));
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("role-missing"), "{path}");
        assert_eq!(served.get(path, None).status, 303, "{path}");
    }
    let size = served.world.log_size();
    for verb in ["link", "suspend", "resume", "offboard"] {
        let path = format!("{page}/{verb}");
        let refused = served.post(&path, &operator, &[("reason", "x")]);
        assert_eq!(refused.status, 403, "{path}");
    }
    assert_eq!(served.world.log_size(), size);
    for path in ["/people/nobody", &format!("{page}/explode")] {
        assert_eq!(served.get(path, Some(&owner)).status, 404, "{path}");
    }
}

#[test]
fn an_owner_offboards_a_person_and_the_agents_go_on_under_another() {
    let served = Served::start();
    let a = &served.world.authority;
    a.role_change(&principal("user:142"), Role::Owner, true).unwrap();
    // Whoever stays can come back in.
    a.login_add(&principal("user:142"), &crate::logins::provider("user:*", false), "x").unwrap();
    let me = served.sign_in("user:142");
    let leaving = served.sign_in("user:owner");
    let page = page_of(&served, "user:owner");
    let heir = a.principal(&principal("user:143")).unwrap().row.alias.to_string();
    let asked = served.get(&format!("{page}/offboard"), Some(&me));
    assert!(asked.body.contains("agent:order-reader") && asked.body.contains(&heir));
    let empty = served.post(&format!("{page}/offboard"), &me, &[("agents_to", &heir)]);
    assert_eq!(empty.status, 422);
    assert!(empty.body.contains("reason-empty"));
    let fields = [("agents_to", heir.as_str()), ("reason", "Left the company")];
    let done = served.post(&format!("{page}/offboard"), &me, &fields);
    assert_eq!((done.status, done.location()), (303, page.as_str()), "{}", done.body);
    let shown = served.get(&page, Some(&me));
    assert!(shown.body.contains("left") && shown.body.contains("support-tickets"));
    assert!(!shown.body.contains("/offboard\""));
    assert_eq!(served.get("/", Some(&leaving)).status, 303, "the session has ended");
    assert!(a.agents().unwrap().iter().all(|agent| agent.owner.to_string() == heir));
    assert_eq!(served.count("agent.changed"), 2);
    // The entry says whose session it was.
    let filter = Filter { kind: Some(Kind::PrincipalChanged), limit: 1, ..Filter::default() };
    let entries = a.store().read(|view| view.query(&filter)).unwrap();
    let mine = a.principal(&principal("user:142")).unwrap().row.alias;
    let leaf = String::from_utf8(entries[0].leaf.clone()).unwrap();
    assert!(leaf.contains(&format!("\"session_of\":\"{mine}\"")), "{leaf}");
}

#[test]
fn a_link_is_shown_once_and_its_person_sees_that_it_was_made() {
    let served = Served::start();
    let (owner, them) = (served.sign_in("user:owner"), served.sign_in("user:142"));
    let page = page_of(&served, "user:142");
    let made = served.post(&format!("{page}/link"), &owner, &[]);
    assert_eq!(made.status, 200, "{}", made.body);
    let html = scraper::Html::parse_document(&made.body);
    let selector = scraper::Selector::parse("[data-link]").unwrap();
    let link: String = html.select(&selector).next().unwrap().text().collect();
    let secret = Secret::parse(link.strip_prefix(&format!("{URL}/enrol/")).unwrap()).unwrap();
    let invited = served.world.authority.invited(&secret).unwrap();
    assert_eq!(invited.id, principal("user:142"));
    assert!(served.get("/account", Some(&them)).body.contains("Passkey link made"));
    assert!(!served.get("/account", Some(&owner)).body.contains("Passkey link made"));
}

#[test]
fn a_stale_login_gives_no_link_and_ends_no_account() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let page = page_of(&served, "user:142");
    served.world.host.advance((FRESH_SECONDS + 1) * 1000);
    let size = served.world.log_size();
    for verb in ["link", "offboard"] {
        let path = format!("{page}/{verb}");
        let asked = served.get(&path, Some(&owner));
        assert_eq!(
            (asked.status, asked.location()),
            (303, format!("/login?next={path}&again=1").as_str())
        );
        let refused = served.post(&path, &owner, &[("reason", "x")]);
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("authentication-not-fresh"), "{}", refused.body);
    }
    assert_eq!(served.world.log_size(), size);
}

#[test]
fn an_owner_pauses_others_and_never_themselves() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let theirs = page_of(&served, "user:142");
    for (verb, word) in [("suspend", "suspended"), ("resume", "active")] {
        let done = served.post(&format!("{theirs}/{verb}"), &owner, &[]);
        assert_eq!(done.status, 303, "{}", done.body);
        assert!(served.get(&theirs, Some(&owner)).body.contains(word));
    }
    let own = page_of(&served, "user:owner");
    for verb in ["suspend", "offboard"] {
        let refused = served.post(&format!("{own}/{verb}"), &owner, &[("reason", "x")]);
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("not-yourself"), "{}", refused.body);
    }
    assert!(!served.get(&own, Some(&owner)).body.contains("/offboard\""));
}
