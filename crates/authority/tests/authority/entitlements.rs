use crate::support::*;

use bailiwick_store::StoreError;

const SCOPE: [&str; 2] = ["ticket:8821", "orders:read"];

/// User 142 may do these shorthands up to this risk, and grant them likewise.
fn document(scope: &str, risk: &str) -> String {
    let allowed = format!("[{{workflow: support-tickets, scope: {scope}, max_risk: {risk}}}]");
    format!(
        "rules: [{{who: {{principals: ['user:142']}}, may_do: {allowed}, may_grant: {allowed}}}]"
    )
}

fn all() -> String {
    document("'*'", "critical")
}

#[test]
fn without_a_document_whatever_the_workflow_allows_can_be_granted() {
    let world = World::desk();
    let issued = world.delegate();
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
    assert!(world.authority.entitlements().unwrap().is_none());
}

#[test]
fn a_grant_beyond_the_ceiling_is_refused_by_name_and_nothing_is_written() {
    let world = World::desk();
    let publish = |text: &str| world.authority.entitlements_publish(text).unwrap();
    for (text, refusal) in [
        ("rules: []".to_owned(), "entitlement-workflow"),
        (document("['ticket:{id}']", "critical"), "entitlement-scope"),
        (all().replace("user:142", "user:143"), "entitlement-workflow"),
        // May do, and may not grant.
        (
            all()
                .replacen("may_grant", "x", 1)
                .replace(", x: [{workflow: support-tickets, scope: '*', max_risk: critical}]", ""),
            "entitlement-workflow",
        ),
        // May grant, and may not do.
        (
            all().replacen(
                "may_do: [{workflow: support-tickets, scope: '*', max_risk: critical}], ",
                "",
                1,
            ),
            "entitlement-workflow",
        ),
        (all().replace("critical}", "critical, max_window_seconds: 899}"), "entitlement-window"),
        (all().replace("critical}", "critical, max_depth: 2}"), "entitlement-depth"),
    ] {
        assert!(publish(&text).changed, "{text}");
        let before = world.log_size();
        let refused = world.prepare(&world.request(&SCOPE, 15));
        assert_eq!(code(refused), refusal, "{text}");
        assert_eq!(world.log_size(), before);
    }
    publish(&all());
    let issued = world.delegate();
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
}

#[test]
fn what_was_prepared_is_judged_again_when_it_is_signed() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    let signed = prepared.statement.sign(&*key(11));
    world.authority.entitlements_publish("rules: []").unwrap();
    let refused = world.authority.submit(&prepared, &signed, None);
    assert_eq!(code(refused), "entitlement-workflow");
}

#[test]
fn the_ceiling_of_this_moment_counts_at_each_call() {
    let world = World::desk();
    let issued = world.delegate();
    let child = world.derive(&issued.token, 21, 22);
    let verdicts = || {
        let chain = [issued.token.as_str(), child.as_str()];
        [world.verdict(&chain[..1], 21), world.verdict(&chain, 22)]
    };
    assert_eq!(verdicts(), ["allow"; 2]);
    for (text, verdict) in [
        (all(), "allow"),
        // One shorthand less, and the grant as a whole is beyond.
        (document("['ticket:{id}']", "critical"), "entitlement-exceeded"),
        (document("['ticket:8821', 'orders:read']", "low"), "allow"),
        (document("['ticket:9000', 'orders:read']", "low"), "entitlement-exceeded"),
        ("rules: []".to_owned(), "entitlement-exceeded"),
        (all(), "allow"),
        // What it may grant from now on does not end what it granted.
        (
            all().replace(
                "may_grant: [{workflow: support-tickets,",
                "may_grant: [{workflow: other,",
            ),
            "allow",
        ),
    ] {
        world.authority.entitlements_publish(&text).unwrap();
        assert_eq!(verdicts(), [verdict; 2], "{text}");
        // A second time, from what was found.
        assert_eq!(verdicts(), [verdict; 2], "{text}");
    }
    world.authority.entitlements_publish("rules: []").unwrap();
    // No other root comes out of the grant either.
    let again = world.authority.reissue(&issued.grant, None);
    assert_eq!(code(again), "entitlement-workflow");
}

#[test]
fn a_document_is_one_entry_and_the_same_twice_is_none() {
    let world = World::desk();
    let first = world.authority.entitlements_publish(&all()).unwrap();
    let before = world.log_size();
    let again = world.authority.entitlements_publish(&format!("# again\n{}", all())).unwrap();
    assert_eq!((again.digest, again.changed), (first.digest, false));
    assert_eq!(world.log_size(), before);
    assert_eq!(world.kinds().last().unwrap(), "entitlements.published");
    let stored = world.authority.entitlements().unwrap().unwrap();
    assert_eq!((stored.digest, stored.document.as_str()), (first.digest, all().as_str()));
    let refused = world.authority.entitlements_publish("rules: [{}]");
    assert_eq!(code(refused), "entitlements-invalid");
    // Rebuilt from the ledger it is the same.
    let rebuilt = world.authority.store().write(|tx| -> Result<_, StoreError> { tx.rebuild() });
    rebuilt.wait().unwrap();
    assert_eq!(world.authority.entitlements().unwrap().unwrap(), stored);
}
