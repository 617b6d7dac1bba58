//! Status lists of others, read by us.

use bailiwick_authority::oauth::status_list::{Status, StatusList};
use bailiwick_core::crypto::PublicKey;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use serde_json::json;

use super::{node, program};

fn value(status: Status) -> u64 {
    match status {
        Status::Valid => 0,
        Status::Invalid => 1,
        Status::Suspended => 2,
        Status::Other(other) => u64::from(other),
    }
}

#[test]
fn lists_of_every_size_that_npms_package_makes_are_read() {
    let said = program(node(), "status_lists.mjs", &json!({})).next();
    let jwk = Json::parse(said["key"].to_string().as_bytes(), &JsonLimits::DEFAULT).unwrap();
    let key = PublicKey::from_jwk(jwk.as_object().unwrap()).unwrap();
    let uri = said["uri"].as_str().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap());
    let mut sizes = Vec::new();
    for made in said["lists"].as_array().unwrap() {
        let token = made["token"].as_str().unwrap();
        let list = StatusList::verify(token, uri, &key, now, now).unwrap();
        let expected = made["statuses"].as_array().unwrap();
        for (index, status) in expected.iter().enumerate() {
            let index = u64::try_from(index).unwrap();
            assert_eq!(value(list.status(index).unwrap()), status.as_u64().unwrap(), "{index}");
        }
        assert_eq!(list.len(), expected.len() as u64);
        assert_eq!(
            list.status(list.len()).unwrap_err().code(),
            "status-list-index",
            "beyond its end"
        );
        sizes.push(made["bits"].as_u64().unwrap());
    }
    assert_eq!(sizes, [1, 2, 4, 8]);
}
