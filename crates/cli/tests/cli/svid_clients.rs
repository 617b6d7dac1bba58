//! SPIFFE's own clients, unchanged, at our Workload API: the crate and the package
//! on PyPI. Wiring: the binary serving and its sidecar.

use std::process::Command;
use std::time::Duration;

use bailiwick_testkit::World;
use bailiwick_testkit::world::RUNNER;
use futures_util::StreamExt as _;
use serde_json::json;
use spiffe::{TrustDomain, WorkloadApiClient, X509Source};

use crate::EXE;
use crate::stock_clients::{Program, clients};
use crate::svid::Joined;

const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing came")
}

#[test]
fn the_spiffe_crate_gets_svids_follows_their_rotation_and_the_end_of_its_agent() {
    let world = World::new(EXE);
    let joined = Joined::new(&world, "host");
    let (_sidecar, endpoint) = joined.serve("10s");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = within(WorkloadApiClient::connect_to(&endpoint)).await.unwrap();
        let svid = within(client.fetch_x509_svid()).await.unwrap();
        assert_eq!(svid.spiffe_id().to_string(), joined.spiffe_id);
        let domain = TrustDomain::new(joined.trust_domain()).unwrap();
        let bundles = within(client.fetch_x509_bundles()).await.unwrap();
        assert_eq!(bundles.get(&domain).unwrap().authorities().len(), 1);

        let mut contexts = within(client.stream_x509_contexts()).await.unwrap();
        let mut next = async || within(contexts.next()).await.unwrap();
        let leaf =
            |c: &spiffe::X509Context| c.default_svid().unwrap().cert_chain()[0].as_bytes().to_vec();
        let (first, second) = (leaf(&next().await.unwrap()), leaf(&next().await.unwrap()));
        assert_ne!(first, second, "an SVID with another key");

        let source = within(X509Source::builder().endpoint(&endpoint).build()).await.unwrap();
        let before = source.svid().unwrap();
        within(source.updated().changed()).await.unwrap();
        assert_ne!(before.cert_chain()[0], source.svid().unwrap().cert_chain()[0]);
        within(source.shutdown()).await;

        // A suspended agent has no SVID any more, and its stream says so.
        world.ok(&["agent", "suspend", RUNNER]);
        while next().await.is_ok() {}
        let denied = within(client.fetch_x509_svid()).await.unwrap_err().to_string();
        assert!(denied.to_lowercase().contains("permission"), "{denied}");
        world.ok(&["agent", "resume", RUNNER]);
        let until = tokio::time::Instant::now() + PATIENCE;
        while client.fetch_x509_svid().await.is_err() {
            assert!(tokio::time::Instant::now() < until, "it is not issued again");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

/// With SVIDs that are not due yet, so that nothing else brings the next ones.
#[test]
fn svids_of_an_authority_that_was_given_up_are_replaced_at_once() {
    let world = World::new(EXE);
    let joined = Joined::new(&world, "host");
    let (_sidecar, endpoint) = joined.serve("10m");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = within(WorkloadApiClient::connect_to(&endpoint)).await.unwrap();
        let mut contexts = within(client.stream_x509_contexts()).await.unwrap();
        let mut next = async || within(contexts.next()).await.unwrap().unwrap();
        let domain = TrustDomain::new(joined.trust_domain()).unwrap();
        let seen = |c: &spiffe::X509Context| {
            let leaf = c.default_svid().unwrap().cert_chain()[0].as_bytes().to_vec();
            let bundle = c.bundle_set().get(&domain).unwrap();
            (leaf, bundle.authorities().iter().map(|a| a.as_bytes().to_vec()).collect::<Vec<_>>())
        };
        let (leaf, authorities) = seen(&next().await);
        let since = bailiwick_testkit::present::now().to_string();
        world.ok(&["keys", "compromise", "svid", "--since", &since]);
        let (mut after, mut bundle) = seen(&next().await);
        if after == leaf {
            // The bundle comes first, then what it vouches for.
            (after, bundle) = seen(&next().await);
        }
        assert_ne!(after, leaf);
        assert!(bundle.len() == 1 && bundle != authorities, "the one that was given up is gone");
    });
}

#[test]
fn the_python_client_gets_svids_and_follows_their_rotation() {
    let world = World::new(EXE);
    let joined = Joined::new(&world, "host");
    let (_sidecar, endpoint) = joined.serve("10s");
    let mut line = Command::new(clients().join("venv/bin/python"));
    line.arg(clients().join("spiffe_client.py")).env("SPIFFE_ENDPOINT_SOCKET", &endpoint);
    let program = Program::start(&mut line);
    let first = program.expect("svid");
    assert_eq!(first["spiffe_id"], joined.spiffe_id.as_str());
    assert_eq!((&first["key_is_the_leafs"], &first["authorities"]), (&json!(true), &json!(1)));
    let second = program.expect("rotated");
    assert_eq!(second["spiffe_id"], joined.spiffe_id.as_str());
    assert_ne!(first["serial"], second["serial"]);
    assert_eq!(second["key_is_the_leafs"], true);
    // JWT-SVIDs are not issued, and its profile says so.
    let jwt = program.expect("jwt");
    assert_eq!(jwt["given"], false, "{jwt}");
}
