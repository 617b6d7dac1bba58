//! A permit is not enough to call a tool server: the decision must be recorded.
use bailiwick_gateway::Gateway;
use bailiwick_gateway::stages::effect::{Events, call};
use bailiwick_policy::permit::Permit;

async fn bypass(gateway: &Gateway, permit: Permit, events: Events) {
    call(gateway, permit, events).await;
}

fn main() {}
