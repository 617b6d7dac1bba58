//! Two agents over mutual TLS, and one that passes on between them what each
//! says. Wiring: `connect --peer-tls` for each, the Workload API for the one
//! between.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::time::Timestamp;
use bailiwick_peer::{Exchange, Host, Mutual, Transport as _, serve_mutual};
use bailiwick_testkit::present::{Holder, now};
use bailiwick_testkit::world::command;
use bailiwick_testkit::{Daemon, World};
use bailiwick_workload::Client;
use bailiwick_workload::tls::Party;
use serde_json::{Value, json};

use super::attacks::third;
use super::{Agent, READER, address, offer, offering};
use crate::EXE;
use crate::records::entries;

/// The two sides over TLS.
fn agents(world: &World, at: SocketAddr) -> (Agent, Agent) {
    let (listen, peer) = (at.to_string(), format!("{READER}=https://{at}"));
    let b = Agent::start(world, &world.reader, &["--peer-tls", "--peer-listen", &listen]);
    let chain = world.chain().path();
    let more = ["--peer-tls", "--chain", &chain, "--peer", &peer];
    (Agent::start(world, &world.runner, &more), b)
}

#[test]
fn over_mutual_tls_two_agents_are_surer_of_each_other_and_the_action_says_so() {
    let world = World::new(EXE);
    let (mut a, mut b) = agents(&world, address());
    let met = a.done("verify_peer", json!({"agent": READER}));
    assert_eq!(met["guarantee"], "mtls", "{met}");
    let given = a.done("handoff_offer", offering("see what was ordered"));
    let offered = offer(&mut b);
    assert_eq!(offered["guarantee"], "mtls", "{offered}");
    b.done("handoff_accept", json!({"handoff": given["handoff"]}));
    let order = b.call("get_order", json!({"order_id": 10072}));
    assert_eq!(order["result"]["isError"], false, "{order}");
    let decided = entries(&world, "action.decided");
    let hop = &decided.last().unwrap()["body"]["hops"][1];
    assert_eq!((&hop["guarantee"], &hop["handoff"]), (&json!("mtls"), &given["id"]), "{hop}");
    let handshakes = entries(&world, "peer.handshake");
    assert!(handshakes.iter().all(|e| e["body"]["channel"] == "tls-exporter"), "{handshakes:?}");
}

struct Clock;

impl Host for Clock {
    fn now(&self) -> Timestamp {
        now()
    }

    fn fill(&self, out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }
}

/// Passes on what comes, over a connection of its own.
async fn pass(State(to): State<Arc<dyn Exchange>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let answer = to.post(&path, body.to_vec()).await.unwrap();
    (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response()
}

/// Somebody who is known here, with SVIDs of its own, between A and `to`.
fn between(world: &World, holder: &Holder, to: SocketAddr) -> (SocketAddr, impl Sized) {
    let mut line = command(Path::new(EXE), &holder.home);
    line.args(["--json", "instance", "svid", "--authority", &world.public_url]);
    line.args(["--key", "key.json", "--serve", "svid/api.sock"]);
    let served = Daemon::start(&mut line, &holder.home.join("log")).unwrap();
    let endpoint = served.said["endpoint"].as_str().unwrap().to_owned();
    let id = served.said["spiffe_id"].as_str().unwrap().to_owned();
    let domain = id.split('/').nth(2).unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let at = runtime.block_on(async {
        let rotation = Client::new(&endpoint, &domain).unwrap().start().await.unwrap();
        let party = Party::new(rotation, now);
        let onward = Mutual::new(Arc::clone(&party)).unwrap();
        let onward: Arc<dyn Exchange> =
            Arc::from(onward.open(&format!("https://{to}")).await.unwrap());
        let router = Router::new().fallback(pass).with_state(onward);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(serve_mutual(listener, router, party, Arc::new(Clock)));
        at
    });
    (at, (served, runtime))
}

#[test]
fn a_relay_between_two_tls_connections_is_refused() {
    // As the binary does for itself: the one TLS provider of the process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = World::new(EXE);
    let at = address();
    let (mut a, _b) = agents(&world, at);
    let e = third(&world, "agent:refund-clerk");
    let (relay, _running) = between(&world, &e, at);
    let asked = json!({"agent": READER, "url": format!("https://{relay}")});
    assert_eq!(a.refused("verify_peer", asked), "handshake-other-connection");
    // Plain HTTP is not spoken where TLS is, nor the other way round.
    let plain = json!({"agent": READER, "url": format!("http://{at}")});
    assert_eq!(a.refused("verify_peer", plain), "peer-away");
    // Who has no SVID of this trust domain is not talked to.
    let stranger: Value = json!({"agent": READER, "url": format!("https://{}", world.address)});
    assert_eq!(a.refused("verify_peer", stranger), "peer-away");
}
