//! The credential broker: whose credential a call carries, and for how long.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{CREDENTIAL, Plan, Raw, SERVER, World};
use bailiwick_core::ids::{PrincipalId, ServerName};
use bailiwick_gateway::ports::{Catalogue as _, Credential, UpstreamIdentity};
use serde_json::json;

const OTHER: &str = "another-credential-of-the-desk";

fn name() -> ServerName {
    ServerName::parse(SERVER).unwrap()
}

fn principal(text: &str) -> PrincipalId {
    PrincipalId::parse(text).unwrap()
}

fn bearer(token: &str) -> Credential {
    Credential::bearer(token).unwrap()
}

fn identify(world: &World, identity: UpstreamIdentity) {
    let mut server = (*world.catalogue.server(&name()).unwrap().unwrap()).clone();
    server.identity = identity;
    world.catalogue.put(server);
}

async fn ticket(world: &World) -> Raw {
    let arguments = json!({"ticket_id": 8821});
    let shown = world.runner().present("get_ticket", &arguments);
    world.call("get_ticket", arguments, Some(&shown)).await
}

fn is_allowed(raw: &Raw) -> bool {
    raw.json()["result"]["content"].is_array()
}

fn carried(world: &World) -> Vec<Option<String>> {
    world.tap.seen().iter().map(|e| e.header("authorization").map(str::to_owned)).collect()
}

#[tokio::test]
async fn where_a_server_knows_principals_a_call_carries_its_own_principals_credential() {
    let world = World::new().await;
    identify(&world, UpstreamIdentity::Principal);
    world.vault.put(&name(), None, bearer(OTHER));
    world.vault.put(&name(), Some(&principal("user:142")), bearer(CREDENTIAL));
    world.vault.put(&name(), Some(&principal("user:143")), bearer(OTHER));
    let raw = ticket(&world).await;
    assert!(is_allowed(&raw), "{}", raw.text);
    let expected = Some(format!("Bearer {CREDENTIAL}"));
    let seen = carried(&world);
    assert!(!seen.is_empty() && seen.iter().all(|shown| *shown == expected), "{seen:?}");
}

#[tokio::test]
async fn without_an_account_of_the_principal_no_other_credential_is_used() {
    let world = World::new().await;
    identify(&world, UpstreamIdentity::Principal);
    // The gateway's own would open the desk, and so would somebody else's.
    world.vault.put(&name(), Some(&principal("user:143")), bearer(CREDENTIAL));
    let raw = ticket(&world).await;
    assert_eq!(raw.code(), "upstream-account-missing", "{}", raw.text);
    assert!(raw.text.contains("bailiwick vault set"), "{}", raw.text);
    assert_eq!(world.denial_codes(), ["upstream-account-missing"]);
    assert_eq!(carried(&world), []);
    assert!(world.journal.decisions().is_empty());
}

#[tokio::test]
async fn a_vault_that_cannot_be_read_denies_and_is_named() {
    let world = World::new().await;
    world.vault.set_fault(Some("vault-sealed"));
    let raw = ticket(&world).await;
    assert_eq!(raw.code(), "credential-unavailable", "{}", raw.text);
    assert_eq!(world.denial_codes(), ["credential-unavailable"]);
    assert_eq!(carried(&world), []);
    world.vault.set_fault(None);
    assert!(is_allowed(&ticket(&world).await));
}

#[tokio::test]
async fn a_credential_that_ends_is_opened_anew_and_once_for_all_who_wait() {
    let world = Arc::new(World::new().await);
    world.vault.put_for(&name(), None, bearer(CREDENTIAL), Some(30));
    let before = world.vault.opened();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { is_allowed(&ticket(&world).await) })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(world.vault.opened() - before, 1);
    world.host.step(29_000);
    assert!(is_allowed(&ticket(&world).await));
    assert_eq!(world.vault.opened() - before, 1);
    world.host.step(2_000);
    assert!(is_allowed(&ticket(&world).await));
    assert_eq!(world.vault.opened() - before, 2);
    // Another one in its place is used from the next call on.
    world.vault.put(&name(), None, bearer(OTHER));
    let raw = ticket(&world).await;
    assert_eq!(raw.json()["error"]["data"]["code"], "upstream-status", "{}", raw.text);
}

#[tokio::test]
async fn a_credential_that_the_tool_server_refuses_is_renewed_once() {
    let config = Box::new(|c: &mut bailiwick_gateway::Config| c.pin_check_seconds = (3600, 3600));
    let world = World::with(Plan { config, ..Plan::default() }).await;
    assert!(is_allowed(&ticket(&world).await));
    // What is kept has just lost its validity there, and another one is to be had.
    world.vault.put(&name(), None, bearer(OTHER).renewable());
    assert!(!is_allowed(&ticket(&world).await));
    let before = world.vault.opened();
    world.host.step(10_000);
    world.vault.renew(&name(), None, bearer(CREDENTIAL).renewable());
    let raw = ticket(&world).await;
    assert!(is_allowed(&raw), "{}", raw.text);
    assert_eq!(world.vault.opened() - before, 1);
    // One that is refused for good is not asked for again and again.
    world.host.step(10_000);
    world.vault.put(&name(), None, bearer(OTHER).renewable());
    let before = world.vault.opened();
    for _ in 0..5 {
        let raw = ticket(&world).await;
        assert_eq!(raw.json()["error"]["data"]["code"], "upstream-status", "{}", raw.text);
    }
    assert!(world.vault.opened() - before <= 2, "{}", world.vault.opened() - before);
    // One that cannot be renewed is not asked for at all.
    world.vault.put(&name(), None, bearer(OTHER));
    let before = world.vault.opened();
    assert!(!is_allowed(&ticket(&world).await));
    assert_eq!(world.vault.opened() - before, 1);
}

#[tokio::test]
async fn a_gateway_that_stops_waits_for_a_credential_on_its_way() {
    let world = Arc::new(World::new().await);
    world.vault.set_pause(Duration::from_secs(2));
    // Another one, which is not open yet.
    world.vault.put(&name(), None, bearer(CREDENTIAL));
    let before = world.vault.opened();
    let calling = Arc::clone(&world);
    let call = tokio::spawn(async move { ticket(&calling).await.code() });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.vault.opened(), before, "it is on its way");
    // Longer than calls are waited for: what was given out is not lost.
    world.gateway.drain(Duration::from_millis(10)).await;
    assert_eq!(world.vault.opened(), before + 1);
    call.abort();
}
