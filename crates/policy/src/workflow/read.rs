//! From the YAML tree to a [`Workflow`], collecting every problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::limits::ChainLimits;

use super::problem::{Place, Problem, ProblemCode as Code};
use super::yaml::{Member, Node, Value};
use super::{BudgetCeilings, Workflow};
use crate::a2a::Operation;
use crate::catalogue::{Catalogue, Personal, Rating, ToolServer};
use crate::expand::nearest;
use crate::grades::{Effect, Risk};
use crate::limits::{
    MAX_LABEL_CHARS, MAX_PROBLEMS, MAX_TASK_SECONDS, MAX_TIMEOUT_SECONDS, MAX_WINDOW_SECONDS,
};

mod approvals;
mod budget;
mod cases;
mod checklist;
mod entitlements;
mod evaluation;
mod shorthands;

pub(in crate::workflow) use cases::{call, cases};
pub(in crate::workflow) use entitlements::entitlements;

pub(super) const TOP: &[&str] = &[
    "workflow",
    "version",
    "owner",
    "purpose",
    "agents",
    "level",
    "window_seconds",
    "max_depth",
    "budget",
    "approvals",
    "tool_servers",
    "shorthands",
    "data_sources",
    "completion",
    "review",
    "rollback",
    "evaluation",
    "runs",
];

pub(super) fn workflow(document: &Node) -> Result<Workflow, Vec<Problem>> {
    let mut reading = Reading::default();
    let workflow = reading.workflow(document);
    let mut problems = reading.problems;
    match workflow {
        Some(workflow) if problems.is_empty() => Ok(workflow),
        _ => {
            problems.sort_by_key(|p| p.at);
            problems.truncate(MAX_PROBLEMS);
            Err(problems)
        }
    }
}

#[derive(Default)]
struct Reading {
    problems: Vec<Problem>,
    path: Vec<String>,
}

/// A map whose members are known.
struct Members<'n> {
    at: Place,
    members: &'n [Member],
}

impl<'n> Members<'n> {
    fn node(&self, name: &str) -> Option<&'n Node> {
        self.members.iter().find(|m| m.name == name).map(|m| &m.node)
    }
}

impl Reading {
    fn report(
        &mut self,
        code: Code,
        at: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.is_full() {
            return;
        }
        self.problems.push(Problem {
            code,
            at: Some(at),
            path: self.path.join(" > "),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// Whether there are more problems than anybody will read. Those that are
    /// kept are then merely some of the first.
    fn is_full(&self) -> bool {
        self.problems.len() >= 10 * MAX_PROBLEMS
    }

    fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let value = read(self);
        self.path.pop();
        value
    }

    fn wrong_type(&mut self, node: &Node, expected: &str) {
        self.report(
            Code::Type,
            node.at,
            format!("expected {expected}, found {}", node.kind()),
            format!("write {expected} here"),
        );
    }

    /// The members of a map, in the order of the file.
    fn map<'n>(&mut self, node: &'n Node) -> Option<&'n [Member]> {
        match &node.value {
            Value::Map(members) => Some(members),
            _ => {
                self.wrong_type(node, "a map");
                None
            }
        }
    }

    /// A map with these members and no others.
    fn members<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<Members<'n>> {
        let members = self.map(node)?;
        for member in members {
            if !known.contains(&member.name.as_str()) {
                let remedy = match nearest(&member.name, known.iter().copied()).first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("use only `{}`", known.join("`, `")),
                };
                let message = format!("unknown member `{}`", member.name);
                self.report(Code::MemberUnknown, member.at, message, remedy);
            }
        }
        Some(Members { at: node.at, members })
    }

    fn required<'n>(&mut self, members: &Members<'n>, name: &str) -> Option<&'n Node> {
        let found = members.node(name);
        if found.is_none() {
            self.report(
                Code::MemberMissing,
                members.at,
                format!("the member `{name}` is missing"),
                format!("add `{name}`"),
            );
        }
        found
    }

    /// Reads the required member `name` with `read`.
    fn field<T>(
        &mut self,
        members: &Members<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        let node = self.required(members, name)?;
        self.within(name, |r| read(r, node))
    }

    /// A text that says something.
    fn label(&mut self, node: &Node) -> Option<String> {
        let Value::Text(text) = &node.value else {
            self.wrong_type(node, "text (quote it if it looks like a number or a truth value)");
            return None;
        };
        if text.trim().is_empty() {
            self.report(Code::Empty, node.at, "the text is empty", "write a text");
            return None;
        }
        if text.chars().count() > MAX_LABEL_CHARS {
            let message = format!("the text has more than {MAX_LABEL_CHARS} characters");
            self.report(Code::OutOfRange, node.at, message, "shorten it");
            return None;
        }
        Some(text.clone())
    }

    /// An identifier of core.
    fn id<T: FromStr<Err: Display>>(&mut self, node: &Node) -> Option<T> {
        let text = self.label(node)?;
        self.parsed(&text, node.at, Code::Identifier)
    }

    /// One of the listed texts.
    fn grade<T: FromStr<Err: Display>>(&mut self, node: &Node) -> Option<T> {
        let text = self.label(node)?;
        self.parsed(&text, node.at, Code::Value)
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, text: &str, at: Place, code: Code) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(e) => {
                let e: T::Err = e;
                let remedy = match code {
                    Code::Value => "choose one of these",
                    _ => "write the name in that form",
                };
                self.report(code, at, format!("`{}`: {e}", text.escape_debug()), remedy);
                None
            }
        }
    }

    fn integer(&mut self, node: &Node, min: u64, max: u64) -> Option<u64> {
        let Value::Number(number) = &node.value else {
            self.wrong_type(node, "a whole number");
            return None;
        };
        let value = number.as_plain_integer().and_then(|i| u64::try_from(i).ok());
        let value = value.filter(|v| (min..=max).contains(v));
        if value.is_none() {
            self.report(
                Code::OutOfRange,
                node.at,
                format!("expected a whole number from {min} to {max}, found `{}`", number.text()),
                "choose a number within the bounds",
            );
        }
        value
    }

    fn boolean(&mut self, node: &Node) -> Option<bool> {
        if let Value::Bool(b) = node.value {
            return Some(b);
        }
        self.wrong_type(node, "`true` or `false`");
        None
    }

    fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.wrong_type(node, "a list");
                None
            }
        }
    }

    /// A list without repetition.
    fn set<T: Ord>(
        &mut self,
        node: &Node,
        read: impl Fn(&mut Self, &Node) -> Option<T>,
    ) -> Option<BTreeSet<T>> {
        let mut set = BTreeSet::new();
        for item in self.list(node)? {
            if let Some(value) = read(self, item)
                && !set.insert(value)
            {
                self.report(
                    Code::ListedTwice,
                    item.at,
                    "this stands in the list already",
                    "keep one of the two",
                );
            }
        }
        Some(set)
    }

    fn not_empty(&mut self, empty: bool, at: Place, what: &str) {
        if empty {
            self.report(
                Code::Empty,
                at,
                format!("there is no {what}"),
                format!("add at least one {what}"),
            );
        }
    }

    fn workflow(&mut self, document: &Node) -> Option<Workflow> {
        let top = self.members(document, TOP)?;
        let id = self.field(&top, "workflow", Self::id);
        let version = self.field(&top, "version", Self::label);
        let owner = self.field(&top, "owner", Self::id);
        let purpose = self.field(&top, "purpose", Self::label);
        let agents = self.field(&top, "agents", |r, node| {
            let agents = r.set(node, Self::id)?;
            r.not_empty(matches!(&node.value, Value::List(l) if l.is_empty()), node.at, "agent");
            Some(agents)
        });
        let level = self.field(&top, "level", Self::grade);
        let window_seconds =
            self.field(&top, "window_seconds", |r, n| r.integer(n, 1, MAX_WINDOW_SECONDS));
        let max_depth = self.field(&top, "max_depth", |r, n| {
            r.integer(n, 0, ChainLimits::DEFAULT.max_delegation_depth)
        });
        let catalogue = self.field(&top, "tool_servers", Self::catalogue);
        let budget = match top.node("budget") {
            Some(node) => self.within("budget", |r| r.budget(node, catalogue.as_ref())),
            None => Some(BudgetCeilings::default()),
        };
        let approvals = match top.node("approvals") {
            Some(node) => self.within("approvals", |r| r.approvals(node)).map(Some),
            None => Some(None),
        };
        // Shorthands are read even without a catalogue, to report their own
        // problems; tools are then not looked up.
        let shorthands =
            self.field(&top, "shorthands", |r, node| r.shorthands(node, catalogue.as_ref()));
        let checklist = self.checklist(&top, catalogue.as_ref());
        Some(Workflow {
            id: id?,
            version: version?,
            owner: owner?,
            purpose: purpose?,
            agents: agents?,
            level: level?,
            window_seconds: window_seconds?,
            max_depth: max_depth?,
            budget: budget?,
            approvals: approvals?,
            catalogue: catalogue?,
            shorthands: shorthands?,
            checklist: checklist?,
            // Its name comes from all of the above.
            digest: Digest::from_array([0; 32]),
        })
    }

    fn catalogue(&mut self, node: &Node) -> Option<Catalogue> {
        let mut servers = BTreeMap::new();
        let members = self.map(node)?;
        self.not_empty(members.is_empty(), node.at, "tool server");
        for member in members {
            self.within(&member.name, |r| {
                let name: Option<ServerName> = r.parsed(&member.name, member.at, Code::Identifier);
                let server = r.server(name.as_ref(), &member.node);
                if let (Some(name), Some(server)) = (name, server) {
                    servers.insert(name, server);
                }
            });
        }
        Some(Catalogue::new(servers))
    }

    fn server(&mut self, name: Option<&ServerName>, node: &Node) -> Option<ToolServer> {
        let known = [
            "owner",
            "tools",
            "resources",
            "prompts",
            "operations",
            "a2a",
            "questions",
            "task_seconds",
        ];
        let members = self.members(node, &known)?;
        let mut server = ToolServer::default();
        if let Some(node) = members.node("owner") {
            server.owner = Some(self.within("owner", |r| r.id(node))?);
        }
        if let Some(node) = members.node("tools") {
            server.tools = self.within("tools", |r| r.ratings(name, "tools", node))?;
        }
        if let Some(node) = members.node("resources") {
            server.resources = self.within("resources", |r| r.rating(node, false));
        }
        if let Some(node) = members.node("prompts") {
            server.prompts = self.within("prompts", |r| r.ratings(name, "prompts", node))?;
        }
        if let Some(node) = members.node("operations") {
            server.operations =
                self.within("operations", |r| r.ratings(name, "operations", node))?;
        }
        if let Some(node) = members.node("a2a") {
            server.a2a = self.within("a2a", |r| r.ratings(name, "a2a", node))?;
        }
        if let Some(node) = members.node("questions") {
            server.questions = self.within("questions", |r| r.set(node, Self::grade))?;
        }
        if let Some(node) = members.node("task_seconds") {
            let read = self.within("task_seconds", |r| r.integer(node, 1, MAX_TASK_SECONDS));
            server.task_seconds = Some(read?);
        }
        let of_mcp = ["tools", "resources", "prompts"].into_iter().find_map(|m| members.node(m));
        let asides = ["questions", "task_seconds"].into_iter().find_map(|m| members.node(m));
        let of_http = members.node("operations");
        let of_agent = members.node("a2a");
        let twice = [(of_mcp.or(asides), of_http), (of_mcp.or(asides).or(of_http), of_agent)];
        if let Some(node) = twice.into_iter().find_map(|(one, other)| one.and(other)) {
            let message =
                "a tool server speaks MCP, is an HTTP API or is an agent, not two of them";
            let remedy = "list each under a name of its own";
            self.report(Code::Value, node.at, message, remedy);
        }
        let nothing = of_mcp.is_none() && of_http.is_none() && of_agent.is_none();
        self.not_empty(nothing, node.at, "tool");
        Some(server)
    }

    fn ratings(
        &mut self,
        server: Option<&ServerName>,
        plane: &str,
        node: &Node,
    ) -> Option<BTreeMap<String, Rating>> {
        let mut ratings = BTreeMap::new();
        for member in self.map(node)? {
            self.within(&member.name, |r| {
                if let Some(server) = server {
                    let id = match plane {
                        "operations" => format!("http:{server}:{}", member.name),
                        // A card is nothing that is called, and there is one.
                        "a2a" if !is_called(&member.name) => String::new(),
                        "a2a" => format!("a2a:{server}:{}", member.name),
                        _ => format!("mcp:{server}:{plane}/{}", member.name),
                    };
                    r.parsed::<ToolId>(&id, member.at, Code::Identifier);
                }
                if let Some(rating) = r.rating(&member.node, plane != "prompts") {
                    ratings.insert(member.name.clone(), rating);
                }
            });
        }
        Some(ratings)
    }

    /// A rating. Resources and prompts are reads by their nature, so that
    /// only tools state their effect.
    fn rating(&mut self, node: &Node, is_tool: bool) -> Option<Rating> {
        let known: &[&str] = if is_tool {
            &[
                "owner",
                "risk",
                "effect",
                "data",
                "idempotent",
                "timeout_seconds",
                "bearer",
                "personal",
                "resource",
            ]
        } else {
            &["owner", "risk", "data", "timeout_seconds", "bearer", "personal", "resource"]
        };
        let members = self.members(node, known)?;
        let risk: Option<Risk> = self.field(&members, "risk", Self::grade);
        let effect =
            if is_tool { self.field(&members, "effect", Self::grade) } else { Some(Effect::Read) };
        let data = match members.node("data") {
            Some(node) => self.within("data", |r| r.set(node, Self::label)),
            None => Some(BTreeSet::new()),
        };
        let idempotent = match members.node("idempotent") {
            Some(node) => self.within("idempotent", |r| r.boolean(node)),
            // A resource or prompt is asked for again freely; a tool only if
            // somebody says so.
            None => Some(!is_tool),
        };
        let timeout_seconds = match members.node("timeout_seconds") {
            Some(node) => {
                let read =
                    self.within("timeout_seconds", |r| r.integer(node, 1, MAX_TIMEOUT_SECONDS));
                Some(read?)
            }
            None => None,
        };
        let bearer = match members.node("bearer") {
            Some(node) => {
                let read = self.within("bearer", |r| r.boolean(node))?;
                if read && (risk, effect) != (Some(Risk::Low), Some(Effect::Read)) {
                    let message = "only a read of low risk may be listed for bearer tokens";
                    let remedy = "take `bearer` out, or lower the rating if it is wrong";
                    self.report(Code::BearerTooRisky, node.at, message, remedy);
                }
                read
            }
            None => false,
        };
        let personal = self.personal(&members)?;
        let owner = match members.node("owner") {
            Some(node) => Some(self.within("owner", |r| r.id(node))?),
            None => None,
        };
        Some(Rating {
            owner,
            risk: risk?,
            effect: effect?,
            data: data?,
            idempotent: idempotent?,
            timeout_seconds,
            bearer,
            personal,
        })
    }

    /// Whose data it touches: `personal: false`, or `resource` with the argument
    /// that says whose.
    fn personal(&mut self, members: &Members<'_>) -> Option<Personal> {
        let stated = match members.node("personal") {
            Some(node) => Some(self.within("personal", |r| r.boolean(node))?),
            None => None,
        };
        let Some(node) = members.node("resource") else {
            return Some(if stated == Some(false) { Personal::No } else { Personal::Unstated });
        };
        let name = self.within("resource", |r| r.label(node))?;
        if stated == Some(false) {
            let message = "what is nobody's own has no argument that says whose it is";
            let remedy = "keep `personal: false` or `resource`, not both";
            self.report(Code::PersonalTwice, node.at, message, remedy);
        }
        Some(Personal::ByArgument(name))
    }
}

/// Whether an agent is asked for an operation of this name through the gateway.
fn is_called(name: &str) -> bool {
    Operation::parse(name).is_some_and(|o| o != Operation::GetExtendedAgentCard)
}
