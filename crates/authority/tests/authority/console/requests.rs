//! The pages of requests for more authority: what is shown to whom, and where a
//! decision leads.

use bailiwick_authority::rules::requests::Wanted;

use super::Served;
use crate::requests::{asker, issued};

/// A request that waits; its id.
fn waiting(served: &Served, reason: &str) -> String {
    let root = issued(&served.world, 60);
    let scope = vec!["orders:read".to_owned(), "ticket:9000".to_owned()];
    let wanted = Wanted { scope, reason: reason.into(), seconds: None };
    let asked = served.world.authority.request_authority(&asker(&served.world, &root), &wanted);
    asked.unwrap().request.to_string()
}

#[test]
fn the_principal_sees_what_is_asked_and_is_led_to_the_grant_that_answers_it() {
    let served = Served::start();
    let id = waiting(&served, "read <b>all</b>\u{202e}");
    let (me, other) = (served.sign_in("user:142"), served.sign_in("user:143"));
    let page = format!("/requests/{id}");
    assert!(served.get("/requests", Some(&me)).body.contains(&page));
    assert!(!served.get("/requests", Some(&other)).body.contains(&page));
    assert_eq!(served.get(&page, Some(&other)).status, 404);
    let shown = served.get(&page, Some(&me));
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.body.contains("orders:read") && shown.body.contains("15 minutes"));
    assert!(shown.body.contains("\\u{202e}") && !shown.body.contains("<b>all"));
    assert!(!shown.body.contains('\u{202e}'));

    let grant = format!("{page}/grant");
    let fields = [("scope", "orders:read"), ("minutes", "5")];
    assert_eq!(served.post(&grant, &other, &fields).status, 404);
    let wider = served.post(&grant, &me, &[("scope", "refund:4711")]);
    assert_eq!(wider.status, 422, "{}", wider.body);
    let led = served.post(&grant, &me, &fields);
    assert_eq!(led.status, 303, "{}", led.body);
    assert!(led.location().starts_with("/consent/"), "{}", led.location());
    let consent = served.get(led.location(), Some(&me));
    assert_eq!(consent.status, 200, "{}", consent.body);
    let of = |field: &str| format!("data-field=\"{field}\"");
    assert!(consent.body.contains(&of("request")) && consent.body.contains(&id));
    assert!(consent.body.contains("what the task has spent goes on counting"));
    assert!(!consent.body.contains("ticket:9000"));
    // Nothing was granted by being looked at.
    assert_eq!(served.count("authority.granted"), 0);
}

#[test]
fn a_refusal_in_a_session_names_its_person_and_settles_the_request() {
    let served = Served::start();
    let id = waiting(&served, "it is linked");
    let (me, owner) = (served.sign_in("user:142"), served.sign_in("user:owner"));
    let refuse = format!("/requests/{id}/refuse");
    let done = served.post(&refuse, &me, &[("note", "not this one")]);
    assert_eq!((done.status, done.location()), (303, format!("/requests/{id}").as_str()));
    let shown = served.get(&format!("/requests/{id}"), Some(&owner));
    assert!(shown.body.contains("not this one") && shown.body.contains("refused"));
    assert_eq!(served.post(&refuse, &me, &[]).status, 422);
    assert_eq!(served.count("authority.refused"), 1);
}
