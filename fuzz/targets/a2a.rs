//! What comes from agents and for them: requests of both bindings, answers, and cards. What is
//! understood is its own one spelling: read again it is the same, in either binding.
//!
//! Input: an operation's name or a method and path, a query, and JSON.
#![no_main]

use bailiwick_core::json::{Json, Object};
use bailiwick_fuzz::{JSON, fields, joined, seed};
use bailiwick_policy::a2a::card::{Presented, signed_form};
use bailiwick_policy::a2a::{Asked, Operation, answer, is_spoken};
use libfuzzer_sys::fuzz_target;

const MESSAGE: &str = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}],"taskId":"t"}}"#;
const TASK: &str = r#"{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}"#;
const CARD: &str = r#"{"name":"B","description":"d","version":"1","supportedInterfaces":[{"url":"https://p.example/","protocolBinding":"JSONRPC","protocolVersion":"1.0"}],"signatures":[{"protected":"e30","signature":"AA"}]}"#;

fn check(asked: &Asked) {
    let again = Asked::of(asked.operation, &asked.arguments);
    assert_eq!(again.as_ref(), Ok(asked), "it has one spelling");
    let _named = (asked.tasks(), asked.context(), asked.continued(), asked.push_target());
}

fuzz_target!(
    init: seed([
        joined(&["SendMessage", "", "", MESSAGE]),
        joined(&["POST", "/message:send", "", MESSAGE]),
        joined(&["GET", "/tasks/t", "historyLength=1", ""]),
        joined(&["POST", "/tasks/t/pushNotificationConfigs", "", r#"{"url":"https://x"}"#]),
        joined(&["SendStreamingMessage", "", "", TASK]),
        joined(&["card", "", "", CARD]),
    ]),
    |data: &[u8]| {
        let Some(parts) = fields(data) else { return };
        let part = |at: usize| parts.get(at).copied().unwrap_or_default();
        let _spoken = is_spoken(part(0));
        let json = Json::parse(part(3).as_bytes(), &JSON).ok();
        let object: Option<&Object> = json.as_ref().and_then(Json::as_object);
        if let Ok(asked) = Asked::of_rpc(part(0), object) {
            check(&asked);
        }
        let query = Some(part(2)).filter(|query| !query.is_empty());
        if let Ok(asked) = Asked::of_http(part(0), part(1), query, object) {
            check(&asked);
        }
        let Some(json) = &json else { return };
        for operation in Operation::ALL {
            if let Ok(read) = answer::read(operation, json) {
                let again = answer::read(operation, &read.clone().into());
                assert_eq!(again.as_ref(), Ok(&read), "it has one spelling");
                let _seen = answer::seen(operation, &read);
            }
        }
        if let Ok(presented) = Presented::read(json) {
            assert!(presented.verify(&[]).is_err(), "no key, no card");
        }
        if let Some(object) = object
            && let Json::Object(form) = signed_form(object)
        {
            assert_eq!(signed_form(&form), form.clone().into());
        }
    }
);
