//! PyPI's Authlib, which knows no DPoP: a service with a key of its own and bearer
//! tokens.

use bailiwick_testkit::Setup;
use serde_json::json;

use super::{play, program};
use crate::stock_clients::{clients, world_with_person_and};

#[tokio::test(flavor = "multi_thread")]
async fn authlib_gets_what_is_granted_and_no_plain_pkce() {
    let (mut world, browser) = world_with_person_and(&Setup::default()).await;
    let config = json!({"issuer": world.public_url, "resource": world.endpoint()});
    let python = clients().join("venv/bin/python");
    let held = play(&world, Some(&browser), &program(python, "authlib_client.py", &config)).await;
    assert_eq!(held, 14);
    world.stop_serve();
}
