//! One TOML file; flag over environment over file. Every option is a row of
//! one table, from which `config show`, `config check` and the documentation
//! are made. No security switch can be set by environment.

use std::net::SocketAddr;
use std::path::Path;

use bailiwick_core::json::{Json, Object};
use serde::Deserialize;

use crate::error::CliError;

mod file;
mod options;
mod serves;
use file::File;
pub(crate) use options::{OPTIONS, OptionRow};
pub(crate) use serves::Serves;
pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod federates_with;
pub(crate) mod provider;
pub(crate) mod webhook;
use account::AccountOptions;
use check::CheckOptions;
use federates_with::FederatesWithOptions;
use provider::ProviderOptions;
use webhook::WebhookOptions;

/// The file's name in the data dir.
pub(crate) const FILE: &str = "bailiwick.toml";

/// The port when nothing else is said.
pub(crate) const DEFAULT_PORT: u16 = 7417;

/// An option that cannot be used.
struct Fault {
    /// Its name, dotted; a provider's as `provider.INDEX.MEMBER`.
    option: String,
    error: CliError,
}

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
    pub(crate) max_tasks: usize,
    pub(crate) max_kept_bytes: usize,
    pub(crate) max_kept_events: usize,
    pub(crate) kept_seconds: i64,
    pub(crate) drain_seconds: u64,
    pub(crate) requests_per_minute: u32,
    pub(crate) require_dpop_nonce: bool,
    pub(crate) publish_ledger: bool,
    pub(crate) log: String,
    pub(crate) behind_proxy: bool,
    pub(crate) tls: TlsOptions,
    pub(crate) serves: Serves,
    pub(crate) client_documents: ClientDocuments,
    pub(crate) ext_authz: ExtAuthz,
    pub(crate) a2a: A2aOptions,
    pub(crate) provider: Vec<ProviderOptions>,
    pub(crate) account: Vec<AccountOptions>,
    pub(crate) webhook: Vec<WebhookOptions>,
    pub(crate) check: Vec<CheckOptions>,
    pub(crate) federates_with: Vec<FederatesWithOptions>,
    pub(crate) approvals: ApprovalOptions,
    pub(crate) metrics: MetricsOptions,
}

/// Where a monitoring system reads figures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetricsOptions {
    pub(crate) listen: String,
    pub(crate) token_file: String,
}

impl MetricsOptions {
    /// The address; nothing, where it is not offered.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// SECURITY: beyond loopback nobody reads without the token.
    fn is_guarded(&self) -> bool {
        is_loopback(&self.listen) || (self.address().is_some() && !self.token_file.is_empty())
    }
}

/// How people decide on calls that wait.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApprovalOptions {
    pub(crate) new_key_hours: i64,
}

impl Default for ApprovalOptions {
    fn default() -> Self {
        Self { new_key_hours: 24 }
    }
}

/// Where the metadata documents of OAuth clients may lie.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientDocuments {
    pub(crate) loopback: bool,
}

/// How agents are called.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct A2aOptions {
    pub(crate) push_hosts: Vec<String>,
}

/// Where Envoy asks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExtAuthz {
    pub(crate) listen: String,
    pub(crate) grpc_listen: String,
}

impl ExtAuthz {
    /// The address of the HTTP form; nothing, where it is not offered.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// The address of the gRPC form; nothing, where it is not offered.
    pub(crate) fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc_listen.parse().ok()
    }
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
            max_tasks: 1024,
            max_kept_bytes: 64 << 20,
            max_kept_events: 256,
            kept_seconds: 120,
            drain_seconds: 10,
            requests_per_minute: 6000,
            require_dpop_nonce: false,
            publish_ledger: false,
            log: "info".into(),
            behind_proxy: false,
            tls: TlsOptions::default(),
            serves: Serves::default(),
            client_documents: ClientDocuments::default(),
            ext_authz: ExtAuthz::default(),
            a2a: A2aOptions::default(),
            provider: Vec::new(),
            account: Vec::new(),
            webhook: Vec::new(),
            check: Vec::new(),
            federates_with: Vec::new(),
            approvals: ApprovalOptions::default(),
            metrics: MetricsOptions::default(),
        }
    }
}

impl Config {
    /// Reads `DIR/bailiwick.toml` where there is one, then the environment.
    pub(crate) fn load(dir: &Path) -> Result<Self, CliError> {
        let file = File::read(dir)?;
        let mut config = file.as_ref().map(File::parse).transpose()?.unwrap_or_default();
        let variables = OPTIONS.iter().filter_map(|row| Some((row.name, row.env?)));
        let told: Vec<(&str, &str, String)> = variables
            .filter_map(|(name, variable)| Some((name, variable, std::env::var(variable).ok()?)))
            .collect();
        for (name, _, value) in &told {
            match *name {
                "listen" => config.listen.clone_from(value),
                "log" => config.log.clone_from(value),
                _ => {}
            }
        }
        let Some(Fault { option, mut error }) = config.fault() else { return Ok(config) };
        let variable = told.iter().find(|(name, ..)| *name == option);
        let place = match variable {
            Some((_, variable, _)) => Some(format!("environment variable {variable}")),
            None => file.map(|file| file.place(&option)),
        };
        if let Some(place) = place {
            error.message = format!("{place}: {}", error.message);
        }
        Err(error)
    }

    /// Checks every range.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        self.fault().map_or(Ok(()), |fault| Err(fault.error))
    }

    /// The first option that cannot be used.
    fn fault(&self) -> Option<Fault> {
        let bad = |name: &str| {
            let range = OPTIONS.iter().find(|o| o.name == name).map_or("", |o| o.range);
            let error = CliError::usage(
                "config-out-of-range",
                format!("option `{name}` is out of range"),
                format!("`{name}` takes {range}"),
            );
            Fault { option: name.to_owned(), error }
        };
        let https = self.public_url.starts_with("https://");
        let checks: [(&str, bool); 30] = [
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
            ("max_tasks", (1..=100_000).contains(&self.max_tasks)),
            ("max_kept_bytes", (64 << 10..=4 << 30).contains(&self.max_kept_bytes)),
            ("max_kept_events", (16..=65_536).contains(&self.max_kept_events)),
            ("kept_seconds", (1..=3600).contains(&self.kept_seconds)),
            ("drain_seconds", self.drain_seconds <= 300),
            ("log", ["error", "warn", "info", "debug"].contains(&self.log.as_str())),
            ("behind_proxy", !self.behind_proxy || https),
            ("tls.certificate", self.tls.certificate.is_empty() || (self.tls.is_set() && https)),
            ("tls.key", self.tls.key.is_empty() || self.tls.is_set()),
            ("serves", self.serves.is_well_formed()),
            ("client_documents.loopback", !self.client_documents.loopback || !https),
            ("ext_authz.listen", is_loopback(&self.ext_authz.listen)),
            ("ext_authz.grpc_listen", is_loopback(&self.ext_authz.grpc_listen)),
            ("a2a.push_hosts", self.a2a.push_hosts.iter().all(|host| is_host(host))),
            ("approvals.new_key_hours", (1..=720).contains(&self.approvals.new_key_hours)),
            ("metrics.listen", self.metrics.is_guarded()),
        ];
        match checks.iter().find(|(_, holds)| !holds) {
            Some((name, _)) => Some(bad(name)),
            None => provider::fault(&self.provider)
                .or_else(|| account::fault(&self.account))
                .or_else(|| webhook::fault(&self.webhook))
                .or_else(|| check::fault(&self.check))
                .or_else(|| federates_with::fault(&self.trust_domain, &self.federates_with)),
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
            "max_tasks" => (self.max_tasks as u64).into(),
            "max_kept_bytes" => (self.max_kept_bytes as u64).into(),
            "max_kept_events" => (self.max_kept_events as u64).into(),
            "kept_seconds" => self.kept_seconds.into(),
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
            "ext_authz.listen" => self.ext_authz.listen.as_str().into(),
            "ext_authz.grpc_listen" => self.ext_authz.grpc_listen.as_str().into(),
            "a2a.push_hosts" => {
                let hosts = self.a2a.push_hosts.iter().map(|host| Json::from(host.as_str()));
                hosts.collect::<Vec<_>>().into()
            }
            "approvals.new_key_hours" => self.approvals.new_key_hours.into(),
            "metrics.listen" => self.metrics.listen.as_str().into(),
            "metrics.token_file" => self.metrics.token_file.as_str().into(),
            _ => Json::Null,
        }
    }

    /// The file that `init` writes: every option with its meaning. Those of `metrics`
    /// are commented out where they are as without a line: the page about metrics has
    /// a table to paste, and an option stands once.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Bailiwick. Flag over environment over this file; `bailiwick config show` explains.\n",
        );
        let without = Self::default();
        for row in OPTIONS {
            text.push_str(&format!("\n# {} ({})\n", row.meaning, row.range));
            let value = if row.name == "public_url" {
                Json::from(self.public_url.as_str())
            } else {
                self.value(row.name)
            };
            let is_left_out = row.name.starts_with("metrics.") && value == without.value(row.name);
            let mark = if is_left_out { "# " } else { "" };
            text.push_str(&format!("{mark}{} = {}\n", row.name, value.canonical()));
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

/// An address that nothing outside this machine reaches, or none.
fn is_loopback(listen: &str) -> bool {
    listen.is_empty() || listen.parse().is_ok_and(|a: SocketAddr| a.ip().is_loopback())
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
pub(crate) fn loopback_port(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (host, port) = rest.split_once(':').unwrap_or((rest, "80"));
    if host == "localhost" || host == "127.0.0.1" { port.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
