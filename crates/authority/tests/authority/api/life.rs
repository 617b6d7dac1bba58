//! Accounts and agents over the API: people who leave, agents that move, logins
//! of one's own; and what there is not.

use super::*;

/// The owner can sign in, so that another may lose the role.
fn with_way_in(served: &Served, name: &str) {
    let provider = crate::logins::provider("user:*", false);
    served.world.authority.login_add(&principal(name), &provider, name).unwrap();
}

#[test]
fn an_owner_ends_an_account_and_the_ledger_names_them() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    let gone = served.log_in("user:142", 81);
    let issued = served.world.delegate();
    served.world.authority.role_change(&principal("user:142"), Role::Auditor, true).unwrap();
    let agent = json!({"agent": "agent:theirs", "owner": "user:142"});
    assert_eq!(served.post(&owner, "/api/v1/agents", &agent).status, 201);
    crate::vault::connected(&served.world);
    let path = "/api/v1/principals/user:142/offboard";
    let leave = json!({"reason": "left the company", "agents_to": "user:143"});
    let left = served.post(&owner, path, &leave);
    assert_eq!(left.status, 200, "{}", left.text());
    let left = left.json();
    assert_eq!((&left["status"], &left["grants_ended"]), (&json!("retired"), &json!(1)));
    assert_eq!(left["agents_moved"][0]["agent"], "agent:theirs");
    assert_eq!(left["roles_taken"], json!(["auditor"]));
    // Nothing of them works, and every entry says who ended it.
    assert!(stranger(&served.get(&gone, "/api/v1/me")));
    assert_eq!(served.world.verdict(&[&issued.token], 21), "principal-inactive");
    let alias = served.world.authority.principal(&principal("user:owner")).unwrap().row.alias;
    let named = format!(r#""session_of":"{alias}""#);
    for kind in ["principal.changed", "agent.changed"] {
        let entry = &served.entries(kind)[0];
        assert!(entry.contains(&named), "{kind}: {entry}");
    }
    let taken = &served.entries("role.changed")[0];
    assert!(taken.contains(&named) && taken.contains(r#""held":false"#), "{taken}");
    assert!(served.entries("revoked")[0].contains(alias.as_str()));
    // The words may name people.
    assert!(served.entries("revoked").iter().all(|e| !e.contains("left the company")));
    // Their consents at tool servers are given back, once.
    assert_eq!(served.ended.0.lock().unwrap().len(), 1);
    // Again it finds nothing to do.
    let again = served.post(&owner, path, &json!({"reason": "again"})).json();
    assert_eq!((&left["changed"], &again["changed"]), (&json!(true), &json!(false)));
    assert_eq!(served.ended.0.lock().unwrap().len(), 1);
    assert_eq!((&again["grants_ended"], &again["agents_moved"]), (&json!(0), &json!([])));
}

#[test]
fn an_account_does_not_end_without_role_reason_or_another_owner() {
    let served = Served::start();
    let a = &served.world.authority;
    let (owner, me) = (served.log_in("user:owner", 80), served.log_in("user:142", 81));
    let offboard = |who: &Program, name: &str, body: Value| {
        let answer = served.post(who, &format!("/api/v1/principals/{name}/offboard"), &body);
        refused(&answer)
    };
    let why = || json!({"reason": "left"});
    let size = served.world.log_size();
    assert_eq!(offboard(&me, "user:143", why()), (403, "role-missing".to_owned()));
    for reason in ["", "  ", &"x".repeat(501)] {
        let found = offboard(&owner, "user:143", json!({"reason": reason}));
        assert_eq!(found, (422, "reason-empty".to_owned()));
    }
    assert_eq!(offboard(&owner, "user:143", json!({})), (400, "request-malformed".to_owned()));
    assert_eq!(offboard(&owner, "user:nobody", why()), (404, "unknown-name".to_owned()));
    let heir = |to: &str| json!({"reason": "left", "agents_to": to});
    assert_eq!(offboard(&owner, "user:143", heir("user:nobody")).0, 404);
    assert_eq!(offboard(&owner, "user:143", heir("user:143")).1, "same-principal");
    assert_eq!(offboard(&owner, "user:owner", why()).1, "not-yourself");
    assert_eq!(served.world.log_size(), size, "nothing was written");
    // An owner who has no way in is no other owner.
    a.role_change(&principal("user:142"), Role::Owner, true).unwrap();
    assert_eq!(offboard(&me, "user:owner", why()), (422, "last-owner".to_owned()));
    with_way_in(&served, "user:142");
    let left = served.post(&me, "/api/v1/principals/user:owner/offboard", &why());
    assert_eq!(left.status, 200, "{}", left.text());
}

#[test]
fn an_owner_gives_an_agent_to_another_owner() {
    let served = Served::start();
    let (owner, me) = (served.log_in("user:owner", 80), served.log_in("user:142", 81));
    let issued = served.world.delegate();
    let path = "/api/v1/agents/agent:support-runner/owner";
    let to = |name: &str| json!({"owner": name});
    let missing = (403, "role-missing".to_owned());
    assert_eq!(refused(&served.post(&me, path, &to("user:142"))), missing);
    // Also an operator, who may suspend them all.
    let operator = principal("user:142");
    served.world.authority.role_change(&operator, Role::Operator, true).unwrap();
    assert_eq!(refused(&served.post(&me, path, &to("user:142"))), missing);
    let unknown = (404, "unknown-name".to_owned());
    assert_eq!(refused(&served.post(&owner, path, &to("user:nobody"))), unknown);
    let nothing = "/api/v1/agents/agent:nobody/owner";
    assert_eq!(refused(&served.post(&owner, nothing, &to("user:142"))), unknown);
    let malformed = (400, "request-malformed".to_owned());
    assert_eq!(refused(&served.post(&owner, path, &to("someone"))), malformed);

    let moved = served.post(&owner, path, &to("user:143"));
    assert_eq!(moved.status, 200, "{}", moved.text());
    let moved = moved.json();
    assert_eq!((&moved["changed"], &moved["owner"]), (&json!(true), &json!("user:143")));
    let instances = moved["moved"]["instances_retired"].as_array().unwrap();
    assert_eq!(instances.len(), 1);
    assert_eq!(served.world.verdict(&[&issued.token], 21), "instance-inactive");
    let alias = served.world.authority.principal(&principal("user:owner")).unwrap().row.alias;
    for kind in ["agent.changed", "instance.changed"] {
        let entry = &served.entries(kind)[0];
        assert!(entry.contains(&format!(r#""session_of":"{alias}""#)), "{kind}: {entry}");
    }
    let again = served.post(&owner, path, &to("user:143")).json();
    assert_eq!((&again["changed"], &again["moved"]), (&json!(false), &Value::Null));
}

#[test]
fn a_person_sees_their_logins_and_where_another_may_be_added() {
    let served = Served::start();
    with_way_in(&served, "user:142");
    let (me, owner) = (served.log_in("user:142", 80), served.log_in("user:owner", 81));
    let own = served.get(&me, "/api/v1/logins").json();
    assert_eq!(own["logins"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&own["logins"][0]["subject"], &own["logins"][0]["status"]),
        (&json!("user:142"), &json!("active"))
    );
    assert_eq!(own["providers"][0]["add_at"], format!("{URL}/account/logins/acme"));
    // The provider does not speak for the owner, and others' logins are not theirs.
    let theirs = served.get(&owner, "/api/v1/logins").json();
    assert_eq!(theirs, json!({"logins": [], "providers": []}));
}

#[test]
fn what_the_api_has_not_is_a_problem_and_says_which_methods_there_are() {
    let served = Served::start();
    let send = |method: &'static str, path: &str| {
        Request::bare(method, path).send(served.address).unwrap()
    };
    for path in ["/api/v1", "/api/v1/", "/api/v1/nowhere", "/api/v1/agents/a/b/c", "/api/v1/me/"] {
        for method in ["GET", "POST", "DELETE"] {
            let found = refused(&send(method, path));
            assert_eq!(found, (404, "not-found".to_owned()), "{method} {path}");
        }
    }
    for (method, path, allow) in [
        ("DELETE", "/api/v1/me", "GET, HEAD"),
        ("POST", "/api/v1/me", "GET, HEAD"),
        ("PUT", "/api/v1/agents", "GET, HEAD, POST"),
        ("GET", "/api/v1/agents/agent:a/owner", "POST"),
        ("PATCH", "/api/v1/principals/user:142/offboard", "POST"),
    ] {
        let answer = send(method, path);
        assert_eq!(refused(&answer), (405, "method-not-allowed".to_owned()), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    // Elsewhere the console answers.
    assert_ne!(send("GET", "/nowhere").header("content-type"), Some("application/problem+json"));
}

#[test]
fn the_description_is_the_one_in_the_documentation() {
    let served = Served::start();
    let described = Request::bare("GET", "/openapi.json").send(served.address).unwrap().json();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(described == kept, "docs/openapi.json is another one");
    // It is read wherever an authority is.
    assert_eq!(described["servers"], json!([{"url": "/"}]));
}

/// The same words in the API as in the console, for everything a grant rests on.
#[test]
fn a_grant_and_its_roots_stand_no_better_than_what_they_rest_on() {
    use bailiwick_authority::Target;
    use bailiwick_core::ids::{GrantId, WorkflowId};

    type Revoked = fn(&GrantId) -> Target;
    let revoked: [Revoked; 4] = [
        |grant| Target::Grant(grant.clone()),
        |_| Target::Principal(principal("user:142")),
        |_| Target::Agent(agent("agent:support-runner")),
        |_| Target::Workflow(WorkflowId::parse("support-tickets").unwrap()),
    ];
    for revoke in revoked {
        let served = Served::start();
        let owner = served.log_in("user:owner", 80);
        let (session, _) = served.browser("user:owner");
        let issued = served.world.delegate();
        let states = || {
            let shown = served.get(&owner, &format!("/api/v1/grants/{}", issued.grant)).json();
            let cookie = format!("bailiwick={}", session.reveal());
            let page = Request::bare("GET", format!("/grants/{}", issued.grant));
            let page = page.and("cookie", &cookie).send(served.address).unwrap().text();
            let html = scraper::Html::parse_document(&page);
            let badge = scraper::Selector::parse("main .badge").unwrap();
            let badges = html.select(&badge).map(|b| b.text().collect::<String>());
            let state = |value: &Value| value.as_str().unwrap().to_owned();
            let said = [state(&shown["state"]), state(&shown["roots"][0]["state"])];
            (said, badges.map(|b| b.trim().to_owned()).collect::<Vec<_>>())
        };
        let both = |word: &str| [word.to_owned(), word.to_owned()];
        assert_eq!(states(), (both("active"), both("active").to_vec()));
        let target = revoke(&issued.grant);
        served.world.authority.revoke(&target, "x", None).unwrap();
        assert_eq!(states(), (both("revoked"), both("revoked").to_vec()), "{target:?}");
    }
}
