//! Which client may introspect tokens for which tool servers.

use std::collections::BTreeMap;

use bailiwick_authority::oauth::client::ClientId;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use serde::Deserialize;

/// Tool servers by the client that answers for them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Serves(BTreeMap<String, Vec<String>>);

impl Serves {
    /// Whether every client could be one, and has tool servers that could be.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.0.iter().all(|(client, servers)| {
            ClientId::parse(client).is_ok()
                && !servers.is_empty()
                && servers.iter().all(|server| ServerName::parse(server).is_ok())
        })
    }

    /// What each client may introspect, as resources below `audience`.
    pub(crate) fn resources(&self, audience: &str) -> BTreeMap<String, Vec<String>> {
        let of = |servers: &Vec<String>| {
            servers.iter().map(|server| format!("{audience}/{server}")).collect()
        };
        self.0.iter().map(|(client, servers)| (client.clone(), of(servers))).collect()
    }

    pub(crate) fn to_json(&self) -> Object {
        let texts = |servers: &Vec<String>| -> Vec<Json> {
            servers.iter().map(|server| Json::from(server.as_str())).collect()
        };
        self.0.iter().map(|(client, servers)| (client.clone(), texts(servers).into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn check(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.message).map(|()| config)
    }

    #[test]
    fn a_client_serves_tool_servers_by_name() {
        let config = check("serves = { \"c1\" = [\"support-desk\", \"billing\"] }").unwrap();
        let resources = config.serves.resources(&config.audience());
        assert_eq!(
            resources["c1"],
            ["http://localhost:7417/mcp/support-desk", "http://localhost:7417/mcp/billing"]
        );
        assert!(check("serves = {}").unwrap().serves.resources("x").is_empty());
    }

    #[test]
    fn what_is_no_client_or_tool_server_is_refused() {
        for text in [
            "serves = { \"a b\" = [\"support-desk\"] }",
            "serves = { \"c1\" = [] }",
            "serves = { \"c1\" = [\"no/server\"] }",
            "serves = { \"c1\" = \"support-desk\" }",
            "serves = [\"c1\"]",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
