//! What an answer must be, held against the ledger.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Response;
use crate::world::{PRINCIPAL, World};

impl World {
    /// What the ledger says of an action, once its outcome is there.
    #[must_use]
    pub fn recorded(&self, decision: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let record = self.ok(&["audit", "show", decision]);
            let open = record["decision"] == "allow" && record["outcome"].is_null();
            if !open || Instant::now() > deadline {
                return record;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The answer allowed the call and its outcome is `outcome`. Returns the
    /// decision's id.
    pub fn assert_allowed(&self, answer: &Response, outcome: &str) -> String {
        let json = answer.json();
        let id = decision_id(&json).unwrap_or_else(|| panic!("not allowed: {}", answer.text()));
        let record = self.recorded(&id);
        assert_eq!(record["decision"], "allow", "{json} {record}");
        assert_eq!(record["outcome"], outcome, "{json} {record}");
        id
    }

    /// The answer refused a caller that is known, with this reason, and so
    /// does the ledger. Returns the record.
    pub fn assert_denied(&self, answer: &Response, reason: &str) -> Value {
        let data = answer.json()["error"]["data"].clone();
        assert_eq!(answer.json()["error"]["code"], -32040, "{}", answer.text());
        assert_eq!(data["code"], reason, "{}", answer.text());
        assert!(data["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{data}");
        self.assert_recorded(&data, reason)
    }

    /// The answer tells a stranger no more than that it is one; the ledger has
    /// the reason. Returns the record.
    pub fn assert_not_authenticated(&self, answer: &Response, reason: &str) -> Value {
        let json = answer.json();
        assert_eq!(json["error"]["code"], -32041, "{}", answer.text());
        assert_eq!(json["error"]["message"], "the caller is not authenticated");
        let data = json["error"]["data"].clone();
        assert_eq!(data["code"], "not-authenticated");
        // Its id is random, and may have any digits in it.
        let text = answer.text().replace(data["decision_id"].as_str().unwrap_or("-"), "");
        for secret in [reason, "8821", "support-runner", PRINCIPAL, "revoked", "enrolled"] {
            assert!(!text.contains(secret), "a stranger learns `{secret}`: {text}");
        }
        self.assert_recorded(&data, reason)
    }

    fn assert_recorded(&self, data: &Value, reason: &str) -> Value {
        let id = data["decision_id"].as_str().expect("a denial has an id");
        let record = self.recorded(id);
        assert_eq!(record["decision"], "deny", "{record}");
        assert_eq!(record["reason"], reason, "{record}");
        assert_eq!(record["outcome"], "not_executed", "{record}");
        record
    }
}

/// The decision that an answer names.
#[must_use]
pub fn decision_id(json: &Value) -> Option<String> {
    let named = &json["result"]["_meta"]["io.bailiwick/decision"]["id"];
    let named = named.as_str().or_else(|| json["error"]["data"]["decision_id"].as_str());
    named.map(str::to_owned)
}
