//! Authorization details and scopes: what is read is what is written again, and nothing in it is
//! left over or ignored.
//!
//! Input: the value of `authorization_details`, or of `scope`.
#![no_main]

use bailiwick_core::aat::DETAILS_TYPE;
use bailiwick_core::json::Json;
use bailiwick_fuzz::oauth::details::{AuthorizationDetails, TYPE, parse_scope};
use bailiwick_fuzz::{CASES, JSON, payload, seed, tools};
use libfuzzer_sys::fuzz_target;

const WRITTEN: [&str; 4] = [
    r#"[{"type":"urn:bailiwick:delegation","workflow":"support-tickets","purpose":"Resolve ticket 8821","scope":["ticket:8821","orders:read"],"expires_in":1800,"max_depth":1,"budget":{"max_calls":20}}]"#,
    r#"[{"type":"urn:bailiwick:delegation","agent":"agent:support-runner","task":"task:018f3c2e-7b1a-7c55-9d20-000000000001"}]"#,
    "[]",
    "ticket:8821 orders:read",
];

fn seeds() -> Vec<String> {
    let narrowings = CASES.iter().take(40).filter_map(|case| {
        let json = Json::parse(&payload(case.chain.first()?)?, &JSON).ok()?;
        let tools = Json::from(tools(&json)?.clone()).canonical();
        Some(format!(r#"[{{"type":"{DETAILS_TYPE}","tools":{tools}}}]"#))
    });
    WRITTEN.map(str::to_owned).into_iter().chain(narrowings).collect()
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Ok(scope) = parse_scope(text) {
            assert!(scope.len() <= 64);
            assert_eq!(parse_scope(&scope.join(" ")), Ok(scope));
        }
        let Ok(details) = AuthorizationDetails::parse(text) else { return };
        let again = details.to_json();
        assert_eq!(AuthorizationDetails::parse(&again.canonical()), Ok(details));
        // Every element and member that was there is there again: none was ignored.
        let read = Json::parse(data, &JSON).expect("JSON");
        let (read, again) = (read.as_array().expect("a list"), again.as_array().expect("a list"));
        assert_eq!(read.len(), again.len());
        let of = |list: &[Json], kind: &str| {
            let objects = list.iter().filter_map(Json::as_object);
            let mut found =
                objects.filter(|o| o.member("type").and_then(Json::as_str) == Some(kind));
            found.next().cloned()
        };
        for kind in [TYPE, DETAILS_TYPE] {
            let (Some(read), Some(again)) = (of(read, kind), of(again, kind)) else { continue };
            for (name, value) in read.iter() {
                let is_empty = value.as_array().is_some_and(<[Json]>::is_empty)
                    || value.as_object().is_some_and(|o| o.is_empty());
                assert!(again.member(name).is_some() || is_empty, "{name} is ignored");
            }
        }
    }
);
