//! The vault of tool servers' credentials: what may be put where, and what is
//! given back when it goes.

use crate::support::*;

use bailiwick_authority::NewCredential;
use bailiwick_authority::people::accounts::KIND;
use bailiwick_authority::rules::life::Administrator;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_authority::rules::vault::ENVIRONMENT;
use bailiwick_core::ids::{Alias, ServerName};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, IdentityMode, VaultKey, VaultPlace, VaultRow};
use zeroize::Zeroizing;

const WHO: &str = "user:142";

fn name(server: &str) -> ServerName {
    ServerName::parse(server).unwrap()
}

fn vault_key() -> VaultKey {
    VaultKey::new([1; 32])
}

fn catalogued(world: &World, server: &str, url: &str) {
    world
        .authority
        .tool_server_add(NewServer {
            name: name(server),
            url: url.to_owned(),
            credential: None,
            identity_mode: IdentityMode::Shared,
            replace: false,
        })
        .unwrap();
}

fn new(server: &str, who: Option<&str>, kind: &'static str, secret: &str) -> NewCredential {
    NewCredential {
        server: name(server),
        principal: who.map(principal),
        kind,
        source: "value",
        sealed: Zeroizing::new(secret.as_bytes().to_vec()),
    }
}

fn alias(world: &World) -> Alias {
    world.authority.principal(&principal(WHO)).unwrap().row.alias
}

fn row(world: &World, server: &str) -> Option<VaultRow> {
    let place = VaultPlace { server: name(server), principal: Some(alias(world)) };
    world.authority.store().read(|view| view.vault_row(&place)).unwrap()
}

fn reasons(world: &World) -> Vec<String> {
    let kind = Some(Kind::VaultCredentialRemoved);
    let filter = Filter { kind, limit: 100, ..Filter::default() };
    let found = world.authority.store().read(|view| view.query(&filter)).unwrap();
    found.into_iter().filter_map(|entry| entry.subjects.reason).collect()
}

/// An account of user:142 that came by consent.
pub(crate) fn connected(world: &World) {
    catalogued(world, "mail", "https://mail.example/mcp");
    let consent = new("mail", Some(WHO), KIND, "first");
    assert!(world.authority.vault_set(consent, &vault_key()).unwrap().is_none());
}

#[test]
fn a_program_has_variables_for_everybody_and_nobody_else_has_any() {
    let world = World::desk();
    let a = &world.authority;
    catalogued(&world, "local", "stdio:local");
    catalogued(&world, "mail", "https://mail.example/mcp");
    let set = |new| a.vault_set(new, &vault_key()).map(drop);
    set(new("local", None, ENVIRONMENT, "a")).unwrap();
    set(new("mail", None, "bearer", "b")).unwrap();
    for (refused, expected) in [
        (new("local", None, "bearer", "x"), "program-credential"),
        (new("local", Some(WHO), ENVIRONMENT, "x"), "program-credential"),
        (new("mail", None, ENVIRONMENT, "x"), "not-a-program"),
    ] {
        assert_eq!(code(set(refused)), expected);
    }
    assert_eq!(a.vault().unwrap().len(), 2);
}

#[test]
fn what_was_renewed_meanwhile_does_not_lapse_for_the_token_that_was_refused() {
    let world = World::desk();
    let a = &world.authority;
    connected(&world);
    let refused = row(&world, "mail").unwrap();
    // Another process was given the next token, and kept it.
    let renewed = Zeroizing::new(b"second".to_vec());
    assert!(a.vault_renew(&refused.place, &refused.entry, renewed, &vault_key()).unwrap());
    assert!(!a.vault_lapsed(&refused).unwrap());
    let now = row(&world, "mail").unwrap();
    assert_eq!(reasons(&world), Vec::<String>::new());
    assert!(a.vault_lapsed(&now).unwrap());
    assert!(row(&world, "mail").is_none());
    assert_eq!(reasons(&world), ["lapsed"]);
    // And once: what is gone does not lapse again.
    assert!(!a.vault_lapsed(&now).unwrap());
    assert_eq!(reasons(&world), ["lapsed"]);
}

#[test]
fn whoever_takes_a_consent_away_gets_the_newest_of_it_to_give_back() {
    let world = World::desk();
    let a = &world.authority;
    catalogued(&world, "mail", "https://mail.example/mcp");
    let connected = || {
        a.vault_set(new("mail", Some(WHO), KIND, "first"), &vault_key()).unwrap();
        let row = row(&world, "mail").unwrap();
        let renewed = Zeroizing::new(b"second".to_vec());
        assert!(a.vault_renew(&row.place, &row.entry, renewed, &vault_key()).unwrap());
        row
    };
    let newest = |taken: &bailiwick_store::VaultTaken| {
        assert_eq!(taken.open(&vault_key()).unwrap().as_slice(), b"second");
    };
    // Disconnected: a renewal that comes later finds nothing.
    let before = connected();
    newest(&a.vault_remove(&name("mail"), Some(&principal(WHO))).unwrap());
    let late = Zeroizing::new(b"third".to_vec());
    assert!(!a.vault_renew(&before.place, &before.entry, late, &vault_key()).unwrap());
    assert!(row(&world, "mail").is_none());
    // Connected anew.
    connected();
    newest(&a.account_replaced(&alias(&world), &name("mail")).unwrap().unwrap());
    assert!(a.account_replaced(&alias(&world), &name("mail")).unwrap().is_none());
    // Replaced by somebody who works on the host.
    connected();
    let given = new("mail", Some(WHO), "bearer", "given");
    newest(&a.vault_set(given, &vault_key()).unwrap().unwrap());
    // What was given is no consent, and stays until there is one.
    assert!(a.account_replaced(&alias(&world), &name("mail")).unwrap().is_none());
    assert!(row(&world, "mail").is_some());
    // The person leaves.
    connected();
    let left = a.offboard(&principal(WHO), None, &Administrator::OnHost, "left").unwrap();
    assert_eq!(left.taken.len(), 1);
    newest(&left.taken[0]);
    assert_eq!(a.vault().unwrap(), []);
    let mut reasons = reasons(&world);
    reasons.sort();
    assert_eq!(reasons, ["offboarded", "reconnected", "removed"]);
}
