//! npm's oauth4webapi, all of it that this server has.

use serde_json::json;

use super::{join, node, play, program, with_nonces};
use crate::stock_clients::{AGENT, world_with_person_and};

#[tokio::test(flavor = "multi_thread")]
async fn oauth4webapi_gets_what_is_granted_and_is_refused_every_trick() {
    let (mut world, browser) = world_with_person_and(&with_nonces()).await;
    let (key, identity) = join(&world, AGENT);
    let config = json!({
        "issuer": world.public_url,
        "resource": world.endpoint(),
        "instance_key": key,
        "identity_token": identity,
    });
    let held = play(&world, Some(&browser), &program(node(), "oauth4webapi.mjs", &config)).await;
    assert_eq!(held, 40);
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket"; 3]);
    world.stop_serve();
}
