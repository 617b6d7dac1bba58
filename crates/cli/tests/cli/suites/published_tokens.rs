//! npm's jose and @sd-jwt/jwt-status-list as third parties, which have our metadata
//! and nothing else.

use bailiwick_testkit::World;
use bailiwick_testkit::world::{PRINCIPAL, RUNNER};
use serde_json::json;

use super::{add_client, join, node, play, program};
use crate::EXE;

#[tokio::test(flavor = "multi_thread")]
async fn jose_and_a_status_list_reader_verify_all_that_the_authority_signs() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let (key, identity) = join(&world, RUNNER);
    let metadata = json!({
        "client_name": "runner",
        "grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"],
    });
    let config = json!({
        "issuer": world.public_url,
        "resource": world.endpoint(),
        "chain": chain.path(),
        "client_id": add_client(&world, &metadata, RUNNER),
        "principal": PRINCIPAL,
        "principal_key": world.principal_key(),
        "instance_key": key,
        "identity_token": identity,
    });
    let held = play(&world, None, &program(node(), "published_tokens.mjs", &config)).await;
    assert_eq!(held, 14);
    world.stop_serve();
}
