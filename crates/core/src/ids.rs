//! Names of things, each its own type, checked when read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::Json;
use crate::time::Timestamp;

/// Why a text is no identifier of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: expected {expected}")]
pub struct IdError {
    /// What was expected, in DESIGN's words.
    pub what: &'static str,
    /// Its form.
    pub expected: &'static str,
}

/// A name part: 1 to 128 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// `peer:TRUST_DOMAIN/agent/NAME`: an agent of another trust domain, by its
/// SPIFFE ID's own parts.
fn is_peer_agent(text: &str) -> bool {
    let parts = text.strip_prefix("peer:").and_then(|t| t.split_once("/agent/"));
    parts.is_some_and(|(domain, name)| is_trust_domain(domain) && is_name(name))
}

/// Whether a text is the name of a trust domain in its one spelling: lower case,
/// without a dot at its end (SPIFFE-ID §2.1).
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    text.len() <= 253 && text.split('.').all(|label| !label.is_empty() && label.bytes().all(plain))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && uuid::Uuid::try_parse(text).is_ok()
        && !text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_tool_id(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let (Some(plane), Some(server), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let fits = match plane {
        "mcp" => {
            rest == "resources/read"
                || rest.strip_prefix("tools/").is_some_and(|n| !n.is_empty())
                || rest.strip_prefix("prompts/").is_some_and(|n| !n.is_empty())
        }
        "http" => !rest.is_empty(),
        "a2a" => {
            rest == "card"
                || (rest.starts_with(|c: char| c.is_ascii_uppercase())
                    && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
        }
        _ => false,
    };
    fits && is_name(server) && text.len() <= 256 && !text.chars().any(char::is_control)
}

macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $what:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// Reads the identifier.
            ///
            /// # Errors
            /// [`IdError`] names the expected form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { what: $what, expected: $expected })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
            }
        }

        impl From<&$type> for Json {
            fn from(v: &$type) -> Json {
                Json::from(v.as_str())
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        id!($(#[$doc])* $type, $what, "a lowercase, hyphenated UUID", is_uuid);

        impl $type {
            /// A fresh UUIDv7 from a time and ten random bytes.
            #[must_use]
            pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }
        }
    };
}

/// A UUIDv7 (RFC 9562) from a time and ten random bytes.
#[must_use]
pub fn uuid_v7(now: Timestamp, random: [u8; 10]) -> String {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

id!(
    /// A principal: `user:142`, `service:billing`. The issuer stands beside it
    /// in the registry; local principals are issued by the installation.
    PrincipalId, "principal", "`user:NAME` or `service:NAME`",
    |t| t.strip_prefix("user:").or_else(|| t.strip_prefix("service:")).is_some_and(is_name)
);
id!(
    /// A registered software identity: `agent:support-runner`. An agent of another
    /// trust domain is `peer:b.example/agent/billing`: no local one has that form.
    AgentId, "agent", "`agent:NAME`",
    |t| t.strip_prefix("agent:").is_some_and(is_name) || is_peer_agent(t)
);
id!(
    /// A workflow's name, for example `support-tickets`.
    WorkflowId, "workflow", "letters, digits, `.`, `_`, `-`", is_name
);
id!(
    /// A tool server's name, for example `support-desk`.
    ServerName, "tool server", "letters, digits, `.`, `_`, `-`", is_name
);
id!(
    /// A tool: `mcp:<server>:tools/<name>`, `mcp:<server>:resources/read`,
    /// `mcp:<server>:prompts/<name>`, `http:<server>:<operation>` or
    /// `a2a:<server>:<Operation>`; `a2a:<server>:card` is an agent's card, which
    /// nobody calls.
    ToolId, "tool id",
    "`mcp:SERVER:tools/NAME`, `mcp:SERVER:resources/read`, `mcp:SERVER:prompts/NAME`, `http:SERVER:OPERATION` or `a2a:SERVER:OPERATION`",
    is_tool_id
);
id!(
    /// The organisation of an installation.
    OrgId, "organisation", "letters, digits, `.`, `_`, `-`", is_name
);
uuid_id!(
    /// One running process of an agent.
    InstanceId, "instance id"
);
uuid_id!(
    /// One piece of work under a workflow; minted by Bailiwick.
    TaskId, "task id"
);
uuid_id!(
    /// What a principal consented to.
    GrantId, "grant id"
);
uuid_id!(
    /// One requested call; also the id of its decision.
    ActionId, "action id"
);
uuid_id!(
    /// One question to a person about one requested call.
    ApprovalId, "approval id"
);
uuid_id!(
    /// One signed offer of a task to another agent.
    HandoffId, "handoff id"
);
uuid_id!(
    /// One request of an agent for more authority.
    RequestId, "request id"
);
uuid_id!(
    /// One standing approval: a person's consent to the same call again.
    StandingId, "standing approval id"
);
uuid_id!(
    /// One stop of an agent, a task, a workflow or everything.
    StopId, "stop id"
);
uuid_id!(
    /// One attempt at a task by an agent.
    RunId, "run id"
);
uuid_id!(
    /// One failure of an agent, a tool or people, from which something is learned.
    FailureId, "failure id"
);
uuid_id!(
    /// One ledger entry.
    EntryId, "entry id"
);
uuid_id!(
    /// The random name under which a principal stands in the ledger.
    Alias, "alias"
);

impl ToolId {
    /// The tool server's name.
    #[must_use]
    pub fn server(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// What follows the server: `tools/NAME`, `resources/read`, …
    #[must_use]
    pub fn operation(&self) -> &str {
        self.0.splitn(3, ':').nth(2).unwrap_or_default()
    }
}

/// The id under which the definition of `tool` is pinned: its own, or that of its
/// agent's card, on which all operations of an agent rest.
#[must_use]
pub fn pinned_as(tool: &str) -> String {
    let agent = tool.strip_prefix("a2a:").and_then(|rest| rest.split(':').next());
    agent.map_or_else(|| tool.to_owned(), |agent| format!("a2a:{agent}:card"))
}

impl AgentId {
    /// The agent's SPIFFE ID: in `trust_domain`, or in its own one if that is
    /// another.
    #[must_use]
    pub fn spiffe_id(&self, trust_domain: &str) -> String {
        if let Some(path) = self.0.strip_prefix("peer:") {
            return format!("spiffe://{path}");
        }
        let name = self.0.strip_prefix("agent:").unwrap_or(&self.0);
        format!("spiffe://{trust_domain}/agent/{name}")
    }

    /// The other trust domain whose agent it is; `None` for a local one.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        Some(self.0.strip_prefix("peer:")?.split_once('/')?.0)
    }

    /// How the agent that is this one in `trust_domain` is named elsewhere.
    #[must_use]
    pub fn of_peer(&self, trust_domain: &str) -> Option<Self> {
        let name = self.0.strip_prefix("agent:")?;
        Self::parse(&format!("peer:{trust_domain}/agent/{name}")).ok()
    }
}

impl InstanceId {
    /// The id under which an instance of another trust domain is known: made of its
    /// whole SPIFFE ID (UUIDv8), so that no domain can choose the id of an instance
    /// here or of a third one.
    #[must_use]
    pub fn of_peer(spiffe_id: &str) -> Self {
        let digest = crate::crypto::sha256(format!("peer-instance {spiffe_id}").as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.bytes()).for_each(|(to, from)| *to = *from);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_take_only_their_own_form() {
        assert!(PrincipalId::parse("user:142").is_ok());
        for bad in ["user:", "142", "agent:x", "user:a b", "user:../x", "user:é"] {
            assert!(PrincipalId::parse(bad).is_err(), "{bad}");
        }
        assert!(ToolId::parse("mcp:support-desk:tools/get_ticket").is_ok());
        assert!(ToolId::parse("mcp:d:resources/read").is_ok());
        assert!(ToolId::parse("a2a:billing:SendMessage").is_ok());
        assert!(ToolId::parse("a2a:billing:card").is_ok());
        for bad in ["a2a:b:message/send", "a2a:b:", "a2a::GetTask", "a2a:b:cards"] {
            assert!(ToolId::parse(bad).is_err(), "{bad}");
        }
        for bad in ["mcp:d:tools/", "mcp::tools/x", "mcp:d:x", "x:d:tools/y", "get_ticket"] {
            assert!(ToolId::parse(bad).is_err(), "{bad}");
        }
        let id = TaskId::mint(Timestamp::from_millis(1_704_067_500_042), [7; 10]);
        assert_eq!(TaskId::parse(id.as_str()), Ok(id.clone()));
        assert!(TaskId::parse(&id.as_str().to_uppercase()).is_err());
    }

    #[test]
    fn operations_of_an_agent_rest_on_its_card() {
        assert_eq!(pinned_as("a2a:billing:SendMessage"), "a2a:billing:card");
        assert_eq!(pinned_as("mcp:desk:tools/a2a:b"), "mcp:desk:tools/a2a:b");
    }

    #[test]
    fn an_agent_of_another_trust_domain_is_no_local_one() {
        let local = AgentId::parse("agent:billing").unwrap();
        let peer = local.of_peer("b.example").unwrap();
        assert_eq!(peer.as_str(), "peer:b.example/agent/billing");
        assert_eq!(peer.spiffe_id("a.example"), "spiffe://b.example/agent/billing");
        assert_eq!((peer.trust_domain(), local.trust_domain()), (Some("b.example"), None));
        assert_eq!(peer.of_peer("c.example"), None);
        for bad in [
            "peer:B.example/agent/x",
            "peer:b.example./agent/x",
            "peer:/agent/x",
            "peer:b.example/x",
            "peer:b.example/agent/",
            "peer:b.example/agent/x/y",
            "peer:b.example/agent/agent:x",
        ] {
            assert!(AgentId::parse(bad).is_err(), "{bad}");
        }
        let instance = "01890a5d-ac96-7b7c-8f1a-0123456789ab";
        let of = |domain: &str| {
            InstanceId::of_peer(&format!("spiffe://{domain}/agent/billing/{instance}"))
        };
        assert!(InstanceId::parse(of("b.example").as_str()).is_ok());
        assert_ne!(of("b.example"), of("c.example"));
        assert_ne!(of("b.example").as_str(), instance);
    }

    #[test]
    fn a_tool_id_names_its_server_and_operation() {
        let id = ToolId::parse("mcp:desk:tools/a:b").unwrap();
        assert_eq!((id.server(), id.operation()), ("desk", "tools/a:b"));
    }
}
