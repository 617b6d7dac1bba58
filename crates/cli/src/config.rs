//! One TOML file; flag over environment over file. Every option is a row of
//! one table, from which `config show`, `config check` and the documentation
//! are made. No security switch can be set by environment.

use std::net::SocketAddr;
use std::path::Path;

use bailiwick_core::json::{Json, Object};
use serde::Deserialize;

use crate::error::CliError;
use crate::keyfile;

mod serves;
pub(crate) use serves::Serves;
pub(crate) mod provider;
use provider::ProviderOptions;

/// The file's name in the data dir.
pub(crate) const FILE: &str = "bailiwick.toml";

/// The port when nothing else is said.
pub(crate) const DEFAULT_PORT: u16 = 7417;

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) listen: String,
    pub(crate) public_url: String,
    pub(crate) org: String,
    pub(crate) trust_domain: String,
    pub(crate) staleness_seconds: i64,
    pub(crate) pin_check_seconds: i64,
    pub(crate) root_minutes: i64,
    pub(crate) upstream_timeout_seconds: u64,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_response_bytes: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_calls: usize,
    pub(crate) max_sessions: usize,
    pub(crate) drain_seconds: u64,
    pub(crate) requests_per_minute: u32,
    pub(crate) require_dpop_nonce: bool,
    pub(crate) publish_ledger: bool,
    pub(crate) log: String,
    pub(crate) behind_proxy: bool,
    pub(crate) tls: TlsOptions,
    pub(crate) serves: Serves,
    pub(crate) client_documents: ClientDocuments,
    pub(crate) provider: Vec<ProviderOptions>,
}

/// Where the metadata documents of OAuth clients may lie.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientDocuments {
    pub(crate) loopback: bool,
}

/// Where the listener's certificate and key are.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsOptions {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TlsOptions {
    /// Whether the listener speaks TLS.
    pub(crate) fn is_set(&self) -> bool {
        !self.certificate.is_empty() && !self.key.is_empty()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: format!("127.0.0.1:{DEFAULT_PORT}"),
            public_url: String::new(),
            org: "default".into(),
            trust_domain: "bailiwick.local".into(),
            staleness_seconds: 10,
            pin_check_seconds: 10,
            root_minutes: 60,
            upstream_timeout_seconds: 30,
            max_request_bytes: 1 << 20,
            max_response_bytes: 16 << 20,
            max_connections: 512,
            max_calls: 256,
            max_sessions: 10_000,
            drain_seconds: 10,
            requests_per_minute: 6000,
            require_dpop_nonce: false,
            publish_ledger: false,
            log: "info".into(),
            behind_proxy: false,
            tls: TlsOptions::default(),
            serves: Serves::default(),
            client_documents: ClientDocuments::default(),
            provider: Vec::new(),
        }
    }
}

/// One option: name, range, environment variable, meaning, and what somebody
/// who controls it gains.
pub(crate) struct OptionRow {
    pub(crate) name: &'static str,
    pub(crate) range: &'static str,
    pub(crate) env: Option<&'static str>,
    pub(crate) meaning: &'static str,
    pub(crate) attacker: &'static str,
}

/// Every option, in the order of the file.
pub(crate) const OPTIONS: &[OptionRow] = &[
    OptionRow {
        name: "listen",
        range: "ADDRESS:PORT; loopback unless told otherwise",
        env: Some("BAILIWICK_LISTEN"),
        meaning: "where `serve` listens; beyond loopback only with TLS (or `behind_proxy`); it warns when the port is not that of a localhost `public_url`",
        attacker: "reach: who can try to call; no authority",
    },
    OptionRow {
        name: "public_url",
        range: "an http://localhost or https:// URL without path",
        env: None,
        meaning: "the only source of issuer, audience and redirect names; empty means http://localhost:PORT of `listen`",
        attacker: "can make this installation deny everything, or accept delegations issued for another name",
    },
    OptionRow {
        name: "org",
        range: "letters, digits, `.`, `_`, `-`",
        env: None,
        meaning: "the organisation, in every key and entry",
        attacker: "nothing: entries of another organisation are refused",
    },
    OptionRow {
        name: "trust_domain",
        range: "a DNS name",
        env: None,
        meaning: "the SPIFFE trust domain of the agents",
        attacker: "how agents are named in records",
    },
    OptionRow {
        name: "staleness_seconds",
        range: "1 to 60",
        env: None,
        meaning: "how old knowledge of revocations may be before calls are denied",
        attacker: "keeps revoked delegations alive up to this long while the store is away",
    },
    OptionRow {
        name: "pin_check_seconds",
        range: "1 to 3600",
        env: None,
        meaning: "how often a tool's definition is compared with its pin",
        attacker: "a changed tool is used up to this long",
    },
    OptionRow {
        name: "root_minutes",
        range: "1 to 1440",
        env: None,
        meaning: "the longest life of a root token; the grant's end also bounds it",
        attacker: "a stolen holder key works up to this long without revocation",
    },
    OptionRow {
        name: "upstream_timeout_seconds",
        range: "1 to 600",
        env: None,
        meaning: "how long a tool may take; the delegation's end also bounds it",
        attacker: "holds connections open longer",
    },
    OptionRow {
        name: "max_request_bytes",
        range: "1024 to 16777216",
        env: None,
        meaning: "the largest request accepted",
        attacker: "memory per request",
    },
    OptionRow {
        name: "max_response_bytes",
        range: "1024 to 268435456",
        env: None,
        meaning: "the largest answer taken from a tool",
        attacker: "memory per call",
    },
    OptionRow {
        name: "max_connections",
        range: "1 to 1000000; with `max_calls` below the process's limit of open files",
        env: None,
        meaning: "connections open at once; others wait to be accepted",
        attacker: "memory and open files",
    },
    OptionRow {
        name: "max_calls",
        range: "1 to 1000000",
        env: None,
        meaning: "calls under way at once, a quarter of them for one instance; others are refused",
        attacker: "memory: each may hold an answer of `max_response_bytes`",
    },
    OptionRow {
        name: "max_sessions",
        range: "1 to 1000000",
        env: None,
        meaning: "sessions of the older protocol held at once",
        attacker: "memory; beyond it new sessions are refused",
    },
    OptionRow {
        name: "drain_seconds",
        range: "0 to 300",
        env: None,
        meaning: "how long SIGTERM waits for calls under way",
        attacker: "delays a stop",
    },
    OptionRow {
        name: "requests_per_minute",
        range: "60 to 1000000",
        env: None,
        meaning: "how often one address, and one client or person, may call the authority's endpoints and API; a tenth of it at once",
        attacker: "load; the answer beyond it is 429",
    },
    OptionRow {
        name: "require_dpop_nonce",
        range: "true or false",
        env: None,
        meaning: "whether DPoP proofs must carry a nonce that the server supplied: at `/token`, and beside access tokens at tool servers' endpoints; costs a client one more request every few minutes",
        attacker: "whoever had a client's key for a moment can use proofs made then within their time; with nonces, not even those",
    },
    OptionRow {
        name: "publish_ledger",
        range: "true or false",
        env: None,
        meaning: "whether tiles can be read without the admin credential",
        attacker: "sees ids, aliases, codes and times of every action; no text",
    },
    OptionRow {
        name: "log",
        range: "error, warn, info, debug",
        env: Some("BAILIWICK_LOG"),
        meaning: "how much `serve` logs; secrets are never logged",
        attacker: "noise",
    },
    OptionRow {
        name: "behind_proxy",
        range: "true or false; true only with an https:// `public_url`",
        env: None,
        meaning: "whether plain HTTP may be spoken beyond loopback, because only a proxy that ends TLS reaches this address",
        attacker: "reads and changes chains, arguments and results on the way between proxy and listener",
    },
    OptionRow {
        name: "tls.certificate",
        range: "a file, from the data dir; with `tls.key` and an https:// `public_url`",
        env: None,
        meaning: "the certificate for the host of `public_url` and its issuers, PEM; taken up within a second when it changes, or on SIGHUP",
        attacker: "nothing without the key but to keep clients away",
    },
    OptionRow {
        name: "tls.key",
        range: "a file of mode 0600, from the data dir",
        env: None,
        meaning: "the certificate's private key, PEM without a passphrase",
        attacker: "who reads the key can stand in for this listener",
    },
    OptionRow {
        name: "serves",
        range: "a table of client ids, each with a list of tool servers",
        env: None,
        meaning: "which client, by its key, may introspect the access tokens that are for these tool servers",
        attacker: "learns of tokens that it is shown whether they hold, for whom and for what",
    },
    OptionRow {
        name: "client_documents.loopback",
        range: "true or false; true only with an http://localhost `public_url`",
        env: None,
        meaning: "whether a client whose id is an http:// URL on this very machine may be taken up by its metadata document: for development",
        attacker: "clients make the authority ask services on this machine, one GET each, and learn whether they answer with such a document",
    },
];

impl Config {
    /// Reads `DIR/bailiwick.toml` where there is one, then the environment.
    pub(crate) fn load(dir: &Path) -> Result<Self, CliError> {
        let path = dir.join(FILE);
        let mut config = if path.exists() {
            let bytes = keyfile::read(&path)?;
            let text = String::from_utf8(bytes).map_err(|_| {
                CliError::usage("config-malformed", "the file is not UTF-8", "save it as UTF-8")
            })?;
            toml::from_str(&text).map_err(|e| {
                CliError::usage(
                    "config-malformed",
                    format!("`{}`: {}", path.display(), e.message()),
                    "`bailiwick config show` lists every option with its range",
                )
            })?
        } else {
            Self::default()
        };
        if let Ok(listen) = std::env::var("BAILIWICK_LISTEN") {
            config.listen = listen;
        }
        if let Ok(log) = std::env::var("BAILIWICK_LOG") {
            config.log = log;
        }
        config.check()?;
        Ok(config)
    }

    /// Checks every range.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let bad = |name: &str| {
            let range = OPTIONS.iter().find(|o| o.name == name).map_or("", |o| o.range);
            CliError::usage(
                "config-out-of-range",
                format!("option `{name}` is out of range"),
                format!("`{name}` takes {range}"),
            )
        };
        let https = self.public_url.starts_with("https://");
        let checks: [(&str, bool); 21] = [
            ("listen", self.listen.parse::<SocketAddr>().is_ok()),
            ("public_url", self.public_url.is_empty() || is_public_url(&self.public_url)),
            ("org", bailiwick_core::ids::OrgId::parse(&self.org).is_ok()),
            ("trust_domain", is_host(&self.trust_domain)),
            ("staleness_seconds", (1..=60).contains(&self.staleness_seconds)),
            ("pin_check_seconds", (1..=3600).contains(&self.pin_check_seconds)),
            ("root_minutes", (1..=1440).contains(&self.root_minutes)),
            ("upstream_timeout_seconds", (1..=600).contains(&self.upstream_timeout_seconds)),
            ("max_request_bytes", (1024..=16 << 20).contains(&self.max_request_bytes)),
            ("max_response_bytes", (1024..=256 << 20).contains(&self.max_response_bytes)),
            ("max_connections", (1..=1_000_000).contains(&self.max_connections)),
            ("max_calls", (1..=1_000_000).contains(&self.max_calls)),
            ("requests_per_minute", (60..=1_000_000).contains(&self.requests_per_minute)),
            ("max_sessions", (1..=1_000_000).contains(&self.max_sessions)),
            ("drain_seconds", self.drain_seconds <= 300),
            ("log", ["error", "warn", "info", "debug"].contains(&self.log.as_str())),
            ("behind_proxy", !self.behind_proxy || https),
            ("tls.certificate", self.tls.certificate.is_empty() || (self.tls.is_set() && https)),
            ("tls.key", self.tls.key.is_empty() || self.tls.is_set()),
            ("serves", self.serves.is_well_formed()),
            ("client_documents.loopback", !self.client_documents.loopback || !https),
        ];
        match checks.iter().find(|(_, holds)| !holds) {
            Some((name, _)) => Err(bad(name)),
            None => provider::check_all(&self.provider),
        }
    }

    /// The public URL in force, without a slash at its end.
    pub(crate) fn public_url(&self) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.trim_end_matches('/').to_owned();
        }
        let port = self.listen.rsplit(':').next().unwrap_or("0");
        format!("http://localhost:{port}")
    }

    /// What a listener at `address` does that is probably not meant.
    pub(crate) fn doubts(&self, address: SocketAddr) -> Vec<CliError> {
        let mut doubts = Vec::new();
        let url = self.public_url();
        if let Some(port) = loopback_port(&url)
            && port != address.port()
        {
            doubts.push(CliError::environment(
                "public-url-port",
                format!("listening on {address}, but agents are told to come to {url}: proofs made for another port are denied"),
                format!(
                    "listen on port {port}, or set `public_url = \"http://localhost:{}\"` in {FILE} and delegate anew; nothing to do where {url} is forwarded to here",
                    address.port()
                ),
            ));
        }
        if self.behind_proxy && !self.tls.is_set() && !address.ip().is_loopback() {
            doubts.push(CliError::environment(
                "listening-in-the-clear",
                format!("{address} speaks plain HTTP beyond loopback: whoever is between the proxy and it reads chains, proofs, arguments and results"),
                "see to it that only the proxy that ends TLS reaches this address, or set `tls.certificate` and `tls.key`",
            ));
        }
        doubts
    }

    /// Refuses plain HTTP beyond loopback, unless the operator answers for a
    /// proxy in front.
    pub(crate) fn check_address(&self, address: SocketAddr) -> Result<(), CliError> {
        if address.ip().is_loopback() || self.tls.is_set() || self.behind_proxy {
            return Ok(());
        }
        Err(CliError::usage(
            "listening-in-the-clear",
            format!("{address} can be reached from other hosts, and this listener has no TLS"),
            format!(
                "set `tls.certificate` and `tls.key` in {FILE}, listen on 127.0.0.1, or read in the documentation what `behind_proxy` means"
            ),
        ))
    }

    /// The gateway's audience.
    pub(crate) fn audience(&self) -> String {
        format!("{}/mcp", self.public_url())
    }

    /// The value of an option as JSON.
    pub(crate) fn value(&self, name: &str) -> Json {
        match name {
            "listen" => self.listen.as_str().into(),
            "public_url" => self.public_url().into(),
            "org" => self.org.as_str().into(),
            "trust_domain" => self.trust_domain.as_str().into(),
            "staleness_seconds" => self.staleness_seconds.into(),
            "pin_check_seconds" => self.pin_check_seconds.into(),
            "root_minutes" => self.root_minutes.into(),
            "upstream_timeout_seconds" => self.upstream_timeout_seconds.into(),
            "max_request_bytes" => (self.max_request_bytes as u64).into(),
            "max_response_bytes" => (self.max_response_bytes as u64).into(),
            "max_connections" => (self.max_connections as u64).into(),
            "max_calls" => (self.max_calls as u64).into(),
            "max_sessions" => (self.max_sessions as u64).into(),
            "drain_seconds" => self.drain_seconds.into(),
            "requests_per_minute" => u64::from(self.requests_per_minute).into(),
            "require_dpop_nonce" => self.require_dpop_nonce.into(),
            "publish_ledger" => self.publish_ledger.into(),
            "log" => self.log.as_str().into(),
            "behind_proxy" => self.behind_proxy.into(),
            "tls.certificate" => self.tls.certificate.as_str().into(),
            "tls.key" => self.tls.key.as_str().into(),
            "serves" => self.serves.to_json().into(),
            "client_documents.loopback" => self.client_documents.loopback.into(),
            _ => Json::Null,
        }
    }

    /// The file that `init` writes: every option with its meaning.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Bailiwick. Flag over environment over this file; `bailiwick config show` explains.\n",
        );
        for row in OPTIONS {
            text.push_str(&format!("\n# {} ({})\n", row.meaning, row.range));
            let value = if row.name == "public_url" {
                Json::from(self.public_url.as_str())
            } else {
                self.value(row.name)
            };
            text.push_str(&format!("{} = {}\n", row.name, value.canonical()));
        }
        text
    }

    /// All options for `config show --json`.
    pub(crate) fn to_json(&self) -> Object {
        OPTIONS
            .iter()
            .map(|row| {
                let option = Object::new()
                    .with("value", self.value(row.name))
                    .with("range", row.range)
                    .with("environment", row.env)
                    .with("meaning", row.meaning)
                    .with("an_attacker_gains", row.attacker);
                (row.name.to_owned(), option.into())
            })
            .collect()
    }
}

/// The host of a public URL.
pub(crate) fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split([':', '/']).next().unwrap_or_default().to_owned()
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .split('.')
            .all(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// `https://HOST[:PORT]`, or http on the loopback name.
fn is_public_url(text: &str) -> bool {
    let (rest, secure) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return false,
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
    is_host(host)
        && port.parse::<u16>().is_ok()
        && (secure || host == "localhost" || host == "127.0.0.1")
}

/// The port of a URL on the loopback name, which nothing but this listener or
/// a forwarded port can serve.
fn loopback_port(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (host, port) = rest.split_once(':').unwrap_or((rest, "80"));
    if host == "localhost" || host == "127.0.0.1" { port.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
