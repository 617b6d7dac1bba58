//! An MCP message against the table of methods: no row, no passage; and a call's name is one that
//! a delegation can name.
//!
//! Input: method, then `params`.
#![no_main]

use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_fuzz::{JSON, fields, joined, seed};
use bailiwick_policy::mcp_methods::{Era, Sender, Shape, method};
use libfuzzer_sys::fuzz_target;

const SEEDS: [[&str; 2]; 4] = [
    [
        "tools/call",
        r#"{"name":"get_ticket","arguments":{"ticket_id":8821},"_meta":{}}"#,
    ],
    ["resources/read", r#"{"uri":"desk://policy"}"#],
    [
        "prompts/get",
        r#"{"name":"reply","arguments":{"ticket_id":"1"}}"#,
    ],
    ["tools/list", "{}"],
];

fuzz_target!(
    init: seed(SEEDS.iter().map(|fields| joined(fields))),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [name, params] = fields.as_slice() else { return };
        let Ok(params) = Json::parse(params.as_bytes(), &JSON) else { return };
        let Some(params) = params.as_object() else { return };
        let server = ServerName::parse("desk").expect("a name");
        for era in [Era::Sessions, Era::Stateless] {
            let Some(row) = method(name, era, Sender::Client, Shape::Request) else { continue };
            if let Ok(call) = row.call(&server, params) {
                assert!(row.passes(), "a call was formed from a message that does not pass");
                assert!(call.tool.as_str().starts_with("mcp:desk:"));
            }
        }
    }
);
