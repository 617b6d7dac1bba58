//! Two trust domains, each with an authority of its own. Wiring: two binaries
//! serving, an agent of each.

use bailiwick_testkit::World;
use bailiwick_testkit::http::Request;
use bailiwick_testkit::world::Setup;
use serde_json::{Value, json};

use super::attacks::was_refused;
use super::{Agent, READER, address, offering};
use crate::EXE;
use crate::records::entries;

const OTHER: &str = "other.example";

/// An entry for `world` as the authority of `domain`, in a file of `at`.
fn trust(at: &World, world: &World, domain: &str) -> String {
    let keys = Request::bare("GET", "/jwks").send(world.address).unwrap();
    let keys: Value = serde_json::from_slice(&keys.body).unwrap();
    let entry = json!({
        "trust_domain": domain, "issuer": world.public_url, "jwks": keys, "max_guarantee": "jwt",
    });
    let file = at.path(&format!("trust-{}.json", bailiwick_testkit::present::fresh_id()));
    std::fs::write(&file, json!([entry]).to_string()).unwrap();
    file
}

#[test]
fn agents_of_two_trust_domains_verify_each_other_where_both_are_configured() {
    let here = World::new(EXE);
    let there = World::with(EXE, &Setup { trust_domain: Some(OTHER), ..Setup::default() });
    let (at, closed) = (address(), address());
    let (listen, domain) = (at.to_string(), "bailiwick.local");
    let theirs = trust(&there, &here, domain);
    let more = ["--peer-listen", &listen, "--trust", &theirs];
    let _b = Agent::start(&there, &there.reader, &more);
    let listen = closed.to_string();
    let _alone = Agent::start(&there, &there.reader, &["--peer-listen", &listen]);
    let (ours, chain) = (trust(&here, &there, OTHER), here.chain().path());
    let mut a = Agent::start(&here, &here.runner, &["--chain", &chain, "--trust", &ours]);
    let whom = format!("spiffe://{OTHER}/agent/order-reader");
    let asked = |to: std::net::SocketAddr| json!({"agent": whom, "url": format!("http://{to}")});
    let met = a.done("verify_peer", asked(at));
    assert!(met["spiffe_id"].as_str().unwrap().starts_with(&whom), "{met}");
    assert_eq!((&met["guarantee"], &met["recorded"]), (&json!("key"), &json!(false)), "{met}");
    assert!(entries(&here, "peer.handshake").is_empty());
    // It takes both, and nothing is handed over from one to the other.
    assert_eq!(a.refused("verify_peer", asked(closed)), "peer-trust-domain-unknown");
    let mut offer = offering("take it");
    (offer["agent"], offer["url"]) = (json!(whom), json!(format!("http://{at}")));
    assert_eq!(a.refused("handoff_offer", offer), "peer-trust-domain-unknown");
    let mut unaware = Agent::start(&here, &here.runner, &["--chain", &chain]);
    assert_eq!(unaware.refused("verify_peer", asked(at)), "peer-trust-domain-unknown");
}

#[test]
fn a_foreign_anchor_speaks_for_nobody_here() {
    // Another authority that says it is this trust domain's, and an agent of it with
    // the name of one here; somebody had the configuration list it.
    let (here, there) = (World::new(EXE), World::new(EXE));
    let (at, domain) = (address(), "bailiwick.local");
    let (listen, theirs) = (at.to_string(), trust(&there, &here, domain));
    let more = ["--peer-listen", &listen, "--trust", &theirs];
    let _b = Agent::start(&there, &there.reader, &more);
    let (ours, chain) = (trust(&here, &there, domain), here.chain().path());
    let mut a = Agent::start(&here, &here.runner, &["--chain", &chain, "--trust", &ours]);
    let url = format!("http://{at}");
    let refused = a.refused("verify_peer", json!({"agent": READER, "url": url}));
    assert_eq!(refused, "wit-key-unknown");
    // The agent itself saw it, before any authority was asked.
    was_refused(&there, "wit-key-unknown");
    let mut offer = offering("take it");
    offer["url"] = json!(url);
    assert_eq!(a.refused("handoff_offer", offer), "wit-key-unknown");
    assert!(entries(&here, "handoff.offered").is_empty());
}
