//! The catalogue of a workflow: its tool servers and our rating of each tool.
//!
//! Ratings are ours, never the server's own hints (`readOnlyHint` and its like
//! are claims of the party that is being rated). What a tool *is* is pinned
//! beside it: see [`Definition`].

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::{PrincipalId, ServerName, ToolId};
use bailiwick_core::json::{Json, Object};

use crate::grades::{Effect, Question, Risk};

mod definition;
mod difference;
mod neighbours;
mod suspicion;

pub use definition::{Definition, DefinitionError, DefinitionKind};
pub use difference::{Difference, differences};
pub use neighbours::Neighbours;
pub(crate) use suspicion::is_hidden;
pub use suspicion::{Flag, Suspicion};

/// Our rating of one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// Who answers for the tool; absent, whoever answers for its server.
    pub owner: Option<PrincipalId>,
    /// How much harm a call can do.
    pub risk: Risk,
    /// Whether a call changes anything.
    pub effect: Effect,
    /// The classes of data that it reads or writes.
    pub data: BTreeSet<String>,
    /// Whether a second call with the same arguments changes nothing more, so
    /// that it may be tried again.
    pub idempotent: bool,
    /// How long a call may take, in seconds; absent, the gateway's own limit.
    pub timeout_seconds: Option<u64>,
    /// Whether callers may use it that prove nothing but that they have a
    /// token (DESIGN rule 1): only reads of low risk can be listed so.
    pub bearer: bool,
    /// Whose data a call touches, for tool servers that know all principals by
    /// one account.
    pub personal: Personal,
}

/// Whose data a tool touches: a tool server that knows all principals by one
/// account cannot keep one's from the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Personal {
    /// Perhaps somebody's own: nobody said.
    #[default]
    Unstated,
    /// Nobody's own: whoever has the tool may see or change them all.
    No,
    /// Those that this argument names, which a delegation can fix to the
    /// principal's.
    ByArgument(String),
}

impl Personal {
    /// Says it in `object`; what nobody said is absent, so that the digests of
    /// older files stay theirs.
    pub fn insert_into(&self, object: &mut Object) {
        match self {
            Self::Unstated => {}
            Self::No => object.insert("personal", false),
            Self::ByArgument(name) => object.insert("resource", name.as_str()),
        }
    }

    /// Reads what [`Personal::insert_into`] wrote.
    #[must_use]
    pub fn read_from(object: &Object) -> Self {
        match (object.member("personal"), object.member("resource").and_then(Json::as_str)) {
            (Some(Json::Bool(false)), _) => Self::No,
            (_, Some(name)) => Self::ByArgument(name.to_owned()),
            _ => Self::Unstated,
        }
    }
}

impl Rating {
    fn to_json(&self, is_tool: bool) -> Json {
        let data: Vec<Json> = self.data.iter().map(|d| Json::from(d.as_str())).collect();
        let mut object = Object::new().with("risk", self.risk).with("data", data);
        if is_tool {
            object.insert("effect", self.effect);
            object.insert("idempotent", self.idempotent);
        }
        if let Some(seconds) = self.timeout_seconds {
            object.insert("timeout_seconds", seconds);
        }
        if let Some(owner) = &self.owner {
            object.insert("owner", owner);
        }
        // Absent is `false`, so that the digests of older files stay theirs.
        if self.bearer {
            object.insert("bearer", true);
        }
        self.personal.insert_into(&mut object);
        object.into()
    }
}

/// One tool server's part of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolServer {
    /// Who answers for its tools; absent, the workflow's owner.
    pub owner: Option<PrincipalId>,
    /// Tools by their MCP name.
    pub tools: BTreeMap<String, Rating>,
    /// Reading of resources, all of them alike.
    pub resources: Option<Rating>,
    /// Prompts by their MCP name.
    pub prompts: BTreeMap<String, Rating>,
    /// Operations of an HTTP API by their name. A tool server that has any is
    /// an HTTP API and has nothing else.
    pub operations: BTreeMap<String, Rating>,
    /// Operations of an agent that speaks A2A, by their name. A tool server that
    /// has any is such an agent and has nothing else.
    pub a2a: BTreeMap<String, Rating>,
    /// What it may ask of the agent's client while a call of it runs.
    pub questions: BTreeSet<Question>,
    /// For how long a call of it may go on as a task, seconds; none: not at all.
    pub task_seconds: Option<u64>,
}

/// The tool servers of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    servers: BTreeMap<ServerName, ToolServer>,
}

impl Catalogue {
    pub(crate) fn new(servers: BTreeMap<ServerName, ToolServer>) -> Self {
        Self { servers }
    }

    /// The tool servers with their names, in order.
    pub fn servers(&self) -> impl Iterator<Item = (&ServerName, &ToolServer)> {
        self.servers.iter()
    }

    /// What a tool server may ask of the agent's client; nothing, if it is not
    /// catalogued.
    pub fn questions(&self, server: &ServerName) -> impl Iterator<Item = Question> {
        self.servers.get(server).into_iter().flat_map(|s| s.questions.iter().copied())
    }

    /// For how long a call of a tool server may go on as a task, seconds; none:
    /// not at all.
    #[must_use]
    pub fn task_seconds(&self, server: &ServerName) -> Option<u64> {
        self.servers.get(server)?.task_seconds
    }

    /// The rating of `tool`; none, if it is not catalogued: deny.
    #[must_use]
    pub fn rating(&self, tool: &ToolId) -> Option<&Rating> {
        // The plane stands in the id.
        let (plane, rest) = tool.as_str().split_once(':')?;
        let (server, operation) = rest.split_once(':')?;
        let server = self.servers.get(&ServerName::parse(server).ok()?)?;
        match plane {
            "a2a" => return server.a2a.get(operation),
            "http" => return server.operations.get(operation),
            "mcp" => {}
            _ => return None,
        }
        if operation == "resources/read" {
            return server.resources.as_ref();
        }
        match operation.split_once('/')? {
            ("tools", name) => server.tools.get(name),
            ("prompts", name) => server.prompts.get(name),
            _ => None,
        }
    }

    /// Who answers for `tool`, if its rating or its server says so.
    #[must_use]
    pub fn owner(&self, tool: &ToolId) -> Option<&PrincipalId> {
        let rated = self.rating(tool).and_then(|rating| rating.owner.as_ref());
        rated.or_else(|| {
            let server = ServerName::parse(tool.server()).ok()?;
            self.servers.get(&server)?.owner.as_ref()
        })
    }

    /// Every catalogued tool with its rating, in the order of the ids' parts.
    pub fn tools(&self) -> impl Iterator<Item = (ToolId, &Rating)> {
        self.servers.iter().flat_map(|(name, server)| {
            let tools = server.tools.iter().map(move |(t, r)| (format!("mcp:{name}:tools/{t}"), r));
            let resources =
                server.resources.iter().map(move |r| (format!("mcp:{name}:resources/read"), r));
            let prompts =
                server.prompts.iter().map(move |(p, r)| (format!("mcp:{name}:prompts/{p}"), r));
            let operations =
                server.operations.iter().map(move |(o, r)| (format!("http:{name}:{o}"), r));
            let of_agent = server.a2a.iter().map(move |(o, r)| (format!("a2a:{name}:{o}"), r));
            tools
                .chain(resources)
                .chain(prompts)
                .chain(operations)
                .chain(of_agent)
                .filter_map(|(id, r)| Some((ToolId::parse(&id).ok()?, r)))
        })
    }

    pub(crate) fn to_json(&self) -> Json {
        let ratings = |map: &BTreeMap<String, Rating>, is_tool: bool| -> Object {
            map.iter().map(|(name, r)| (name.clone(), r.to_json(is_tool))).collect()
        };
        let servers: Object = self
            .servers
            .iter()
            .map(|(name, server)| {
                let mut object = Object::new().with("tools", ratings(&server.tools, true));
                if let Some(owner) = &server.owner {
                    object.insert("owner", owner);
                }
                if let Some(resources) = &server.resources {
                    object.insert("resources", resources.to_json(false));
                }
                if !server.prompts.is_empty() {
                    object.insert("prompts", ratings(&server.prompts, false));
                }
                // Absent for MCP, so that the digests of older files stay theirs.
                if !server.operations.is_empty() {
                    object.insert("operations", ratings(&server.operations, true));
                }
                if !server.a2a.is_empty() {
                    object.insert("a2a", ratings(&server.a2a, true));
                }
                // Absent is `none`, so that the digests of older files stay theirs.
                if !server.questions.is_empty() {
                    let asked = server.questions.iter().map(|q| Json::from(*q));
                    object.insert("questions", asked.collect::<Vec<_>>());
                }
                if let Some(seconds) = server.task_seconds {
                    object.insert("task_seconds", seconds);
                }
                (name.to_string(), object.into())
            })
            .collect();
        servers.into()
    }
}

#[cfg(test)]
mod tests {
    use crate::workflow::Workflow;

    use super::*;

    #[test]
    fn only_what_is_catalogued_has_a_rating() {
        let text = include_str!("../../../workflows/support-tickets.yaml");
        let catalogue = Workflow::parse(text).unwrap().catalogue;
        for (tool, risk) in [
            ("mcp:support-desk:tools/refund_order", Some(Risk::High)),
            ("mcp:support-desk:resources/read", Some(Risk::Low)),
            ("mcp:support-desk:prompts/reply_to_ticket", Some(Risk::Low)),
            ("mcp:support-desk:prompts/refund_order", None),
            ("mcp:support-desk:tools/Refund_order", None),
            ("mcp:support-desk2:tools/refund_order", None),
            ("http:support-desk:tools/refund_order", None),
        ] {
            let found = catalogue.rating(&ToolId::parse(tool).unwrap()).map(|r| r.risk);
            assert_eq!(found, risk, "{tool}");
        }
        assert!(catalogue.tools().all(|(id, rating)| catalogue.rating(&id) == Some(rating)));
    }
}
