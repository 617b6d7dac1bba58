//! Results that passed through here, so that a claim can cite them.

use std::collections::{HashMap, VecDeque};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::stages::effect::DECISION;

/// Results that are remembered; the oldest makes room.
const MAX: usize = 1_000;

/// Digests of results by the decision behind them.
#[derive(Debug, Default)]
pub(super) struct Results {
    digests: HashMap<String, (EntryId, Digest)>,
    order: VecDeque<String>,
}

impl Results {
    /// Remembers a result that names its decision, with the digest that the
    /// gateway recorded: of the result as the tool server gave it.
    pub(super) fn note(&mut self, result: &Object) {
        let Some(meta) = result.member("_meta").and_then(Json::as_object) else { return };
        let decision = meta.member(DECISION).and_then(Json::as_object);
        let id = decision.and_then(|d| d.member("id")?.as_str()?.parse::<EntryId>().ok());
        let Some(entry) = id else { return };
        let mut given = result.clone();
        let mut meta = meta.clone();
        meta.remove(DECISION);
        match meta.is_empty() {
            true => drop(given.remove("_meta")),
            false => given.insert("_meta", meta),
        }
        let digest = sha256(Json::from(given).canonical().as_bytes());
        let name = entry.to_string();
        if self.digests.insert(name.clone(), (entry, digest)).is_none() {
            self.order.push_back(name);
        }
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }

    /// The entry and digest of a decision's result.
    pub(super) fn of(&self, decision: &str) -> Option<(EntryId, Digest)> {
        self.digests.get(decision).cloned()
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    #[test]
    fn a_result_is_remembered_as_its_tool_server_gave_it() {
        let id = "01920000-0000-7000-8000-000000000001";
        let read = |text: &str| {
            Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap().as_object().unwrap().clone()
        };
        let given = r#"{"content":[],"isError":false}"#;
        let passed = format!(
            r#"{{"content":[],"isError":false,"_meta":{{"io.bailiwick/decision":{{"id":"{id}"}}}}}}"#
        );
        let mut results = Results::default();
        results.note(&read(&passed));
        let digest = sha256(Json::from(read(given)).canonical().as_bytes());
        assert_eq!(results.of(id).unwrap().1, digest);
        results.note(&read(given));
        assert_eq!(results.digests.len(), 1);
    }
}
