//! Settings and limits, each with its default, its reason and what an attacker
//! who controls it gains.

use std::time::Duration;

use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::ids::OrgId;
use bailiwick_core::json::Json;
use bailiwick_core::limits::{ChainLimits, JsonLimits};

/// The key that seals what a client keeps of a call that waits for a person.
/// Whoever has it can make such states, which grant nothing.
#[derive(Clone)]
pub struct StateKey([u8; 32]);

impl StateKey {
    /// 32 bytes that nobody can guess.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateKey")
    }
}

/// How the gateway is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where callers reach it, without a trailing slash: the only source of
    /// audience and `htu`. An attacker who sets it can have proofs for another
    /// gateway accepted here.
    pub public_url: String,
    /// The organisation.
    pub org: OrgId,
    /// The trust domain of SPIFFE IDs.
    pub trust_domain: String,
    /// Whose roots are accepted. An attacker who sets it issues authority.
    pub anchors: Anchors,
    /// Bounds on chains and proofs.
    pub chain: ChainLimits,
    /// `authorization_servers` of the metadata (RFC 9728).
    pub authorization_servers: Vec<String>,
    /// The page where people connect their own accounts at tool servers, if
    /// there is one: denials name it. An attacker who sets it sends people to
    /// another page.
    pub accounts_url: Option<String>,
    /// The console's page of calls that wait for a person, to which an id is
    /// added.
    pub approvals_url: Option<String>,
    /// Seals what a client keeps of a call that waits. Without one a key is drawn
    /// at start: then a client that waited over a restart hears
    /// `request-state-invalid`, and sends the bare call again.
    pub state_key: Option<StateKey>,
    /// Values of `Origin` that are let in besides `public_url`'s own; default
    /// none. An attacker who sets it lets a web page reach the gateway from a
    /// browser; it still needs chain and proof.
    pub allowed_origins: Vec<String>,
    /// Hosts to which agents behind the gateway may be told to send push
    /// notifications; default none. An attacker who sets it has agents send what
    /// happens to a caller's tasks there.
    pub push_hosts: Vec<String>,
    /// Bytes of a request's body; default 1 MiB.
    pub max_request_bytes: usize,
    /// Bytes of a tool server's answer, and of one event; default 16 MiB.
    pub max_response_bytes: usize,
    /// Bytes of chain and proof in headers of a call; default 8 KiB.
    pub max_call_header_bytes: usize,
    /// Bytes of chain and proof in headers of another message; default 64 KiB.
    pub max_message_header_bytes: usize,
    /// How long a request's body may take to arrive; default 30 s.
    pub body_timeout: Duration,
    /// How long a connection to a tool server may take; default 5 s.
    pub connect_timeout: Duration,
    /// How long a call may take unless the workflow says otherwise; default 60 s.
    pub call_timeout: Duration,
    /// How long anything else may take at a tool server; default 15 s.
    pub message_timeout: Duration,
    /// Seconds after which what is known of revocations is stale: `(any risk,
    /// high risk)`; default 10 and 2.
    pub staleness_seconds: (i64, i64),
    /// Seconds after which definitions are compared with their pins again:
    /// `(any risk, high risk)`; default 10 and 2. Larger values widen the time
    /// in which a changed tool is still called.
    pub pin_check_seconds: (i64, i64),
    /// Open sessions in all, and per leaf key; default 10,000 and 64.
    pub max_sessions: (usize, usize),
    /// Seconds without a message after which a session ends; default 1,800.
    pub session_idle_seconds: i64,
    /// Bytes of events that are kept for clients whose connection breaks, in
    /// all and of one stream; default 64 MiB and 4 MiB. Who exceeds them loses
    /// his oldest events, and never a call.
    pub max_kept_bytes: (usize, usize),
    /// Events that are kept of one stream; default 256.
    pub max_kept_events: usize,
    /// Seconds for which a stream that nobody reads is kept; default 120. An
    /// attacker who has a session's key and proofs may read so much of before.
    pub kept_seconds: i64,
    /// Calls under way at once in all, and per leaf key; default 256 and 64.
    /// Each may hold an answer of `max_response_bytes` and a connection to a
    /// tool server.
    pub max_calls: (usize, usize),
    /// Calls that go on as tasks at once in all, and per leaf key; default 1,024
    /// and 64. Each holds a few hundred bytes here, and work at a tool server.
    pub max_tasks: (usize, usize),
    /// Whether DPoP proofs beside access tokens must carry a nonce of this
    /// gateway; default no. Without one, a proof made ahead of time with a
    /// stolen key is taken once its time has come.
    pub require_dpop_nonce: bool,
    /// Entries for unknown callers: how many at once and how many a second;
    /// default 100 and 20. Larger values let strangers fill the ledger.
    pub stranger_entries: (u32, u32),
}

impl Config {
    /// The defaults for a gateway reached at `public_url`.
    #[must_use]
    pub fn new(public_url: &str, org: OrgId, trust_domain: &str, anchors: Anchors) -> Self {
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            org,
            trust_domain: trust_domain.to_owned(),
            anchors,
            chain: ChainLimits::DEFAULT,
            authorization_servers: Vec::new(),
            accounts_url: None,
            approvals_url: None,
            state_key: None,
            allowed_origins: Vec::new(),
            push_hosts: Vec::new(),
            max_request_bytes: 1 << 20,
            max_response_bytes: 16 << 20,
            max_call_header_bytes: 8 << 10,
            max_message_header_bytes: 64 << 10,
            body_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(60),
            message_timeout: Duration::from_secs(15),
            staleness_seconds: (10, 2),
            pin_check_seconds: (10, 2),
            max_sessions: (10_000, 64),
            session_idle_seconds: 1_800,
            max_kept_bytes: (64 << 20, 4 << 20),
            max_kept_events: 256,
            kept_seconds: 120,
            max_calls: (256, 64),
            max_tasks: (1_024, 64),
            require_dpop_nonce: false,
            stranger_entries: (100, 20),
        }
    }

    /// The audience that delegations and proofs must name.
    #[must_use]
    pub fn audience(&self) -> String {
        format!("{}/mcp", self.public_url)
    }

    /// The endpoint of one tool server, which is also the `htu` of proofs.
    #[must_use]
    pub fn endpoint(&self, server: &str) -> String {
        format!("{}/mcp/{server}", self.public_url)
    }

    /// Where the caller of a waiting call may ask how it stands.
    pub(crate) fn poll_url(&self, server: &str, approval: &str) -> String {
        format!("{}/approvals/{approval}", self.endpoint(server))
    }

    /// Bounds on the JSON of a request.
    pub(crate) fn request_json(&self) -> JsonLimits {
        JsonLimits { max_bytes: self.max_request_bytes, ..JsonLimits::DEFAULT }
    }

    /// The settings that the retained inputs of a decision name.
    pub(crate) fn to_inputs(&self) -> Json {
        let limits = &self.chain;
        bailiwick_core::json::Object::new()
            .with("staleness_seconds", self.staleness_seconds.0)
            .with("staleness_seconds_high", self.staleness_seconds.1)
            .with("max_delegation_depth", limits.max_delegation_depth)
            .with("max_iat_skew", limits.max_iat_skew)
            .with("max_token_lifetime", limits.max_token_lifetime)
            .with("pop_window", limits.pop_window)
            .into()
    }
}
