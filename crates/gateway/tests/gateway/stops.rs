//! What is stopped: denied by name to whoever is known, however they ask.

use std::sync::Arc;
use std::time::Duration;

use crate::authzen::{evaluate, ticket as question};
use crate::denied::{is_denied, is_stranger, nothing_happened, ticket};
use crate::support::{Plan, World};

#[tokio::test]
async fn what_is_stopped_between_verification_and_record_is_not_sent() {
    let latency = Duration::from_millis(500);
    let world = Arc::new(World::with(Plan { latency, ..Plan::default() }).await);
    world.gateway.check_pins().await;
    let runner = world.runner();
    let call = {
        let (world, runner) = (world.clone(), runner.clone());
        tokio::spawn(async move { ticket(&world, &runner).await })
    };
    tokio::time::sleep(latency / 2).await;
    world.registry.set_stop(Some("everything"));
    is_denied(&call.await.unwrap(), "stopped");
    nothing_happened(&world);
}

#[tokio::test]
async fn what_is_stopped_is_named_to_whoever_is_known_and_to_nobody_else() {
    let world = World::new().await;
    world.registry.set_stop(Some("workflow:support-tickets"));
    let runner = world.runner();
    let raw = ticket(&world, &runner).await;
    is_denied(&raw, "stopped");
    assert!(raw.json().to_string().contains("workflow:support-tickets"), "{}", raw.json());
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(event.subjects.reason.as_deref(), Some("stopped"));
    // Revoked beside it, it is told what does not come back.
    world.registry.revoke_token(runner.leaf_hash());
    is_denied(&ticket(&world, &runner).await, "revoked");
    world.registry.set_stop(None);
    assert!(ticket(&world, &world.runner()).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_stranger_learns_of_no_stop_and_other_enforcement_points_are_told_no() {
    let world = World::new().await;
    world.registry.set_stop(Some("everything"));
    let answer = evaluate(&world, &question(&world.runner())).await;
    assert_eq!(answer["decision"], false, "{answer}");
    assert_eq!(answer["context"]["code"], "stopped", "{answer}");
    // A key that nobody enrolled.
    let runner = world.runner();
    let stranger = world.holder(9, runner.chain.clone());
    is_stranger(&ticket(&world, &stranger).await);
    world.registry.set_stop(None);
    let answer = evaluate(&world, &question(&world.runner())).await;
    assert_eq!(answer["decision"], true, "{answer}");
}
