//! npm's openid-client, which does more by itself than oauth4webapi beneath it.

use serde_json::json;

use super::{node, play, program, with_nonces};
use crate::stock_clients::world_with_person_and;

#[tokio::test(flavor = "multi_thread")]
async fn openid_client_works_as_its_users_write_it() {
    let (mut world, browser) = world_with_person_and(&with_nonces()).await;
    let config = json!({"issuer": world.public_url, "resource": world.endpoint()});
    let held = play(&world, Some(&browser), &program(node(), "openid_client.mjs", &config)).await;
    assert_eq!(held, 7);
    world.stop_serve();
}
