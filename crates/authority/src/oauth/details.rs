//! Authorization details (RFC 9396): what exactly is asked for.
//!
//! Two types are known. [`TYPE`] asks for a delegation in the words of a
//! workflow; the delegation draft's own type narrows an exchange to certain
//! tools and arguments. Whatever is not understood is refused (RFC 9396 §5),
//! because it would be granted as something else than was meant.

use bailiwick_core::aat::DETAILS_TYPE;
use bailiwick_core::accountable::BudgetMember;
use bailiwick_core::constraint::Dialect;
use bailiwick_core::ids::{AgentId, TaskId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::Scope;
use bailiwick_policy::limits::MAX_BUDGET_MEMBERS;

use super::error::{Code, OAuthError};

/// The type that asks for a delegation.
pub const TYPE: &str = "urn:bailiwick:delegation";

/// The types of the metadata.
pub const TYPES: [&str; 2] = [DETAILS_TYPE, TYPE];

const JSON: JsonLimits = JsonLimits { max_bytes: 64 * 1024, max_depth: 96, max_values: 10_000 };
/// Shorthands in one request, as when a workflow expands them.
const MAX_SHORTHANDS: usize = 64;
const MAX_SHORTHAND_BYTES: usize = 256;
const MAX_PURPOSE_BYTES: usize = 2000;

/// A delegation as it is asked for. What is absent is chosen by the workflow,
/// the client's agent and the person who consents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelegationDetails {
    /// The agent that is to act; the client's own, if absent.
    pub agent: Option<AgentId>,
    /// The workflow.
    pub workflow: Option<WorkflowId>,
    /// A task that exists; a new one, if absent.
    pub task: Option<TaskId>,
    /// What for, in words.
    pub purpose: Option<String>,
    /// Shorthands such as `ticket:8821`.
    pub scope: Vec<String>,
    /// Seconds from now until the delegation ends.
    pub expires_in_seconds: Option<i64>,
    /// How deep it may be delegated further.
    pub max_depth: Option<u64>,
    /// Budget members; empty for none.
    pub budget: Object,
}

/// What `authorization_details` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizationDetails {
    /// The delegation asked for.
    pub delegation: Option<DelegationDetails>,
    /// Tools and arguments to which an exchange is narrowed.
    pub narrowing: Option<Scope>,
}

fn refused(reason: &'static str, text: impl AsRef<str>) -> OAuthError {
    OAuthError::new(Code::InvalidAuthorizationDetails, reason, text)
}

fn malformed(member: &str) -> OAuthError {
    let member: String = member.chars().take(64).collect();
    refused("details-malformed", format!("`{member}` in `authorization_details` is malformed"))
}

impl AuthorizationDetails {
    /// Reads the parameter.
    ///
    /// # Errors
    /// `invalid_authorization_details` names the type or member.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let json = Json::parse(text.as_bytes(), &JSON).map_err(|e| {
            refused("details-malformed", format!("`authorization_details` is no JSON: {e}"))
        })?;
        let list = json.as_array().ok_or_else(|| {
            refused("details-malformed", "`authorization_details` must be an array")
        })?;
        let mut details = Self::default();
        for item in list {
            let item = item.as_object().ok_or_else(|| malformed("(element)"))?;
            let kind =
                item.member("type").and_then(Json::as_str).ok_or_else(|| malformed("type"))?;
            let twice = if kind == TYPE {
                details.delegation.replace(DelegationDetails::read(item)?).is_some()
            } else if kind == DETAILS_TYPE {
                details.narrowing.replace(narrowing(item)?).is_some()
            } else {
                let kind: String = kind.chars().take(64).collect();
                let text = format!("the authorization details type `{kind}` is unknown");
                return Err(refused("details-type-unknown", text));
            };
            if twice {
                return Err(refused("details-repeated", format!("`{kind}` stands there twice")));
            }
        }
        Ok(details)
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let delegation = self.delegation.iter().map(DelegationDetails::to_json);
        let narrowing = self.narrowing.iter().map(|scope| {
            Object::new().with("type", DETAILS_TYPE).with("tools", scope.to_json()).into()
        });
        Json::Array(delegation.chain(narrowing).collect())
    }
}

fn narrowing(item: &Object) -> Result<Scope, OAuthError> {
    if item.len() != 2 {
        return Err(refused("details-member-unknown", "only `type` and `tools` are understood"));
    }
    let tools = item.member("tools").and_then(Json::as_object).ok_or_else(|| malformed("tools"))?;
    let depth = ChainLimits::DEFAULT.max_constraint_depth;
    Scope::parse(tools, Dialect::Extended, depth)
        .map_err(|e| refused("details-malformed", format!("`tools` is malformed: {e}")))
}

impl DelegationDetails {
    fn read(item: &Object) -> Result<Self, OAuthError> {
        let mut details = Self::default();
        for (name, value) in item.iter() {
            let text = || value.as_str().ok_or_else(|| malformed(name));
            let integer = || {
                let number = value.as_number().and_then(|n| n.as_plain_integer());
                number.filter(|n| *n >= 0).ok_or_else(|| malformed(name))
            };
            match name {
                "type" => {}
                "agent" => {
                    details.agent = Some(AgentId::parse(text()?).map_err(|_| malformed(name))?);
                }
                "workflow" => {
                    let id = WorkflowId::parse(text()?).map_err(|_| malformed(name))?;
                    details.workflow = Some(id);
                }
                "task" => {
                    details.task = Some(TaskId::parse(text()?).map_err(|_| malformed(name))?);
                }
                "purpose" => {
                    let purpose = text()?;
                    if purpose.trim().is_empty() || purpose.len() > MAX_PURPOSE_BYTES {
                        return Err(malformed(name));
                    }
                    details.purpose = Some(purpose.to_owned());
                }
                "scope" => {
                    let list = value.as_array().ok_or_else(|| malformed(name))?;
                    let texts = list.iter().map(|t| t.as_str().filter(|t| is_shorthand(t)));
                    let scope: Option<Vec<_>> = texts.collect();
                    let scope = scope.ok_or_else(|| malformed(name))?;
                    details.scope = distinct(scope).ok_or_else(|| malformed(name))?;
                }
                "expires_in" => {
                    let seconds = Some(integer()?).filter(|s| *s > 0);
                    details.expires_in_seconds = Some(seconds.ok_or_else(|| malformed(name))?);
                }
                "max_depth" => {
                    details.max_depth =
                        Some(u64::try_from(integer()?).map_err(|_| malformed(name))?);
                }
                "budget" => {
                    let budget = value.as_object().ok_or_else(|| malformed(name))?;
                    // A limit that is not understood cannot be kept.
                    let fits = |(member, limit): (&str, &Json)| {
                        let limit = limit.as_number().and_then(|n| n.as_plain_integer());
                        BudgetMember::parse(member).is_some() && limit.is_some_and(|n| n >= 0)
                    };
                    if budget.len() > MAX_BUDGET_MEMBERS || !budget.iter().all(fits) {
                        return Err(malformed(name));
                    }
                    details.budget = budget.clone();
                }
                _ => {
                    let name: String = name.chars().take(64).collect();
                    let text = format!("the member `{name}` of `{TYPE}` is not understood");
                    return Err(refused("details-member-unknown", text));
                }
            }
        }
        Ok(details)
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut object = Object::new().with("type", TYPE);
        if let Some(agent) = &self.agent {
            object.insert("agent", agent);
        }
        if let Some(workflow) = &self.workflow {
            object.insert("workflow", workflow);
        }
        if let Some(task) = &self.task {
            object.insert("task", task);
        }
        if let Some(purpose) = &self.purpose {
            object.insert("purpose", purpose.as_str());
        }
        if !self.scope.is_empty() {
            let scope: Vec<Json> = self.scope.iter().map(|s| s.as_str().into()).collect();
            object.insert("scope", scope);
        }
        if let Some(seconds) = self.expires_in_seconds {
            object.insert("expires_in", seconds);
        }
        if let Some(depth) = self.max_depth {
            object.insert("max_depth", depth);
        }
        if !self.budget.is_empty() {
            object.insert("budget", self.budget.clone());
        }
        object.into()
    }
}

/// Reads the parameter `scope`: shorthands between spaces (RFC 6749 §3.3).
///
/// # Errors
/// `invalid_scope`.
pub fn parse_scope(text: &str) -> Result<Vec<String>, OAuthError> {
    let texts: Vec<&str> = text.split(' ').filter(|t| !t.is_empty()).collect();
    if !texts.iter().all(|t| is_shorthand(t)) {
        let text = "`scope` holds a text that is no shorthand";
        return Err(OAuthError::new(Code::InvalidScope, "scope-malformed", text));
    }
    distinct(texts).ok_or_else(|| {
        let text = format!("`scope` must hold at most {MAX_SHORTHANDS} shorthands");
        OAuthError::new(Code::InvalidScope, "scope-count", text)
    })
}

/// RFC 6749 §3.3 (`scope-token`), bounded.
fn is_shorthand(text: &str) -> bool {
    (1..=MAX_SHORTHAND_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// Each text once, in order; none when there are too many.
fn distinct(texts: Vec<&str>) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        if !found.iter().any(|f| f == text) {
            found.push(text.to_owned());
        }
        if found.len() > MAX_SHORTHANDS {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> &'static str {
        let error = AuthorizationDetails::parse(text).unwrap_err();
        assert_eq!(error.code, Code::InvalidAuthorizationDetails, "{text}");
        error.reason
    }

    #[test]
    fn a_delegation_and_a_narrowing_read_back() {
        let text = r#"[{"agent":"agent:runner","budget":{"max_calls":3,"per/3600/max_calls":2},"expires_in":900,
            "max_depth":0,"purpose":"p","scope":["orders:read","ticket:8821"],
            "task":"018cc251-f400-7000-8000-000000000000","type":"urn:bailiwick:delegation",
            "workflow":"support-tickets"},
            {"tools":{"mcp:d:tools/t":{"id":{"constraint_type":"exact","value":1}}},
            "type":"attenuating_agent_token"}]"#;
        let details = AuthorizationDetails::parse(text).unwrap();
        let delegation = details.delegation.as_ref().unwrap();
        assert_eq!(delegation.scope, ["orders:read", "ticket:8821"]);
        assert_eq!(delegation.expires_in_seconds, Some(900));
        assert_eq!(delegation.max_depth, Some(0));
        assert!(details.narrowing.as_ref().unwrap().rules("mcp:d:tools/t").is_some());
        let again = details.to_json();
        assert_eq!(again, Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap());
        assert_eq!(AuthorizationDetails::parse(&again.canonical()), Ok(details));
        assert_eq!(AuthorizationDetails::parse("[]"), Ok(AuthorizationDetails::default()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(reason(r#"[{"type":"payment_initiation"}]"#), "details-type-unknown");
        let ours = |members: &str| format!(r#"[{{"type":"urn:bailiwick:delegation"{members}}}]"#);
        assert_eq!(reason(&ours(r#","locations":["x"]"#)), "details-member-unknown");
        let aat = r#"[{"type":"attenuating_agent_token","tools":{},"extra":1}]"#;
        assert_eq!(reason(aat), "details-member-unknown");
        let twice = r#"[{"type":"urn:bailiwick:delegation"},{"type":"urn:bailiwick:delegation"}]"#;
        assert_eq!(reason(twice), "details-repeated");
        for bad in [
            "",
            "{}",
            "[1]",
            "[{}]",
            r#"[{"type":1}]"#,
            r#"[{"type":"urn:bailiwick:delegation","type":"urn:bailiwick:delegation"}]"#,
            r#"[{"type":"attenuating_agent_token","tools":[]}]"#,
            r#"[{"type":"attenuating_agent_token","tools":{"t":{"a":{"constraint_type":"x"}}}}]"#,
        ] {
            assert_eq!(reason(bad), "details-malformed", "{bad}");
        }
        for member in [
            r#""agent":"runner""#,
            r#""workflow":"a b""#,
            r#""task":"1""#,
            r#""purpose":" ""#,
            r#""scope":"orders:read""#,
            r#""scope":["a b"]"#,
            r#""scope":[1]"#,
            r#""expires_in":0"#,
            r#""expires_in":1.5"#,
            r#""expires_in":-1"#,
            r#""expires_in":1e3"#,
            r#""max_depth":-1"#,
            r#""max_depth":"1""#,
            r#""budget":[]"#,
            r#""budget":{"max_calls":-1}"#,
            r#""budget":{"max_call":1}"#,
            r#""budget":{"per/0/max_calls":1}"#,
            r#""budget":{"per/060/max_calls":1}"#,
            r#""budget":{"per/31536001/max_calls":1}"#,
        ] {
            assert_eq!(reason(&ours(&format!(",{member}"))), "details-malformed", "{member}");
        }
        let long = format!(r#""purpose":"{}""#, "x".repeat(2001));
        assert_eq!(reason(&ours(&format!(",{long}"))), "details-malformed");
        let many: Vec<String> = (0..65).map(|i| format!("\"s{i}\"")).collect();
        let many = format!(r#","scope":[{}]"#, many.join(","));
        assert_eq!(reason(&ours(&many)), "details-malformed");
        let budget: Vec<String> =
            (0..17).map(|i| format!("\"per/{}/max_calls\":1", i + 1)).collect();
        let budget = format!(r#","budget":{{{}}}"#, budget.join(","));
        assert_eq!(reason(&ours(&budget)), "details-malformed");
    }

    #[test]
    fn a_scope_is_shorthands_between_spaces_each_once() {
        assert_eq!(parse_scope("orders:read ticket:8821  orders:read").unwrap().len(), 2);
        assert_eq!(parse_scope("").unwrap(), Vec::<String>::new());
        for bad in ["a\tb", "a\"b", "a\\b", "é"] {
            assert_eq!(parse_scope(bad).unwrap_err().reason, "scope-malformed", "{bad}");
        }
        assert!(parse_scope(&"x".repeat(257)).is_err());
        let many: Vec<String> = (0..65).map(|i| format!("s{i}")).collect();
        assert_eq!(parse_scope(&many.join(" ")).unwrap_err().reason, "scope-count");
    }
}
