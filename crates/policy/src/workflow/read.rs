//! From the YAML tree to a [`Workflow`], collecting every problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::{ArgumentRules, ScopeError};

use super::problem::{Place, Problem, ProblemCode as Code};
use super::shorthand::{Parameter, ParameterKind, Segment, Shorthand, segments};
use super::yaml::{Member, Node, Value};
use super::{BudgetCeilings, Workflow, rules};
use crate::catalogue::{Catalogue, Rating, ToolServer};
use crate::expand::nearest;
use crate::grades::{Effect, Risk};
use crate::limits::{
    MAX_CONSTRAINT_DEPTH, MAX_LABEL_CHARS, MAX_PROBLEMS, MAX_TIMEOUT_SECONDS, MAX_WINDOW_SECONDS,
};

const TOP: &[&str] = &[
    "workflow", "version", "owner", "purpose", "agents", "level", "window_seconds", "max_depth",
    "budget", "tool_servers", "shorthands",
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
    fn report(&mut self, code: Code, at: Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem {
            code,
            at: Some(at),
            path: self.path.join(" > "),
            message: message.into(),
            remedy: remedy.into(),
        });
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
                self.report(code, at, format!("`{}`: {e}", text.escape_debug()), "write it in that form");
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
                self.report(Code::ListedTwice, item.at, "this stands in the list already", "keep one of the two");
            }
        }
        Some(set)
    }

    fn not_empty(&mut self, empty: bool, at: Place, what: &str) {
        if empty {
            self.report(Code::Empty, at, format!("there is no {what}"), format!("add at least one {what}"));
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
        let budget = match top.node("budget") {
            Some(node) => self.within("budget", |r| r.budget(node)),
            None => Some(BudgetCeilings::default()),
        };
        let catalogue = self.field(&top, "tool_servers", Self::catalogue);
        // Shorthands are read even without a catalogue, to report their own
        // problems; tools are then not looked up.
        let shorthands =
            self.field(&top, "shorthands", |r, node| r.shorthands(node, catalogue.as_ref()));
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
            catalogue: catalogue?,
            shorthands: shorthands?,
        })
    }

    fn budget(&mut self, node: &Node) -> Option<BudgetCeilings> {
        let members = self.members(node, &["max_calls"])?;
        let max_calls = match members.node("max_calls") {
            Some(node) => Some(self.within("max_calls", |r| r.integer(node, 1, 1_000_000_000))?),
            None => None,
        };
        Some(BudgetCeilings { max_calls })
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
        let members = self.members(node, &["tools", "resources", "prompts"])?;
        let mut server = ToolServer::default();
        if let Some(node) = members.node("tools") {
            server.tools = self.within("tools", |r| r.ratings(name, "tools", node))?;
        }
        if let Some(node) = members.node("resources") {
            server.resources = self.within("resources", |r| r.rating(node, false));
        }
        if let Some(node) = members.node("prompts") {
            server.prompts = self.within("prompts", |r| r.ratings(name, "prompts", node))?;
        }
        let nothing = members.node("tools").is_none()
            && members.node("resources").is_none()
            && members.node("prompts").is_none();
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
                    let id = format!("mcp:{server}:{plane}/{}", member.name);
                    r.parsed::<ToolId>(&id, member.at, Code::Identifier);
                }
                if let Some(rating) = r.rating(&member.node, plane == "tools") {
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
            &["risk", "effect", "data", "idempotent", "timeout_seconds"]
        } else {
            &["risk", "data", "timeout_seconds"]
        };
        let members = self.members(node, known)?;
        let risk: Option<Risk> = self.field(&members, "risk", Self::grade);
        let effect = if is_tool {
            self.field(&members, "effect", Self::grade)
        } else {
            Some(Effect::Read)
        };
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
                let read = self.within("timeout_seconds", |r| r.integer(node, 1, MAX_TIMEOUT_SECONDS));
                Some(read?)
            }
            None => None,
        };
        Some(Rating {
            risk: risk?,
            effect: effect?,
            data: data?,
            idempotent: idempotent?,
            timeout_seconds,
        })
    }

    fn shorthands(&mut self, node: &Node, catalogue: Option<&Catalogue>) -> Option<Vec<Shorthand>> {
        let members = self.map(node)?;
        self.not_empty(members.is_empty(), node.at, "shorthand");
        let mut found: Vec<Shorthand> = Vec::new();
        for member in members {
            let shorthand = self.within(&member.name, |r| r.shorthand(member, catalogue));
            let Some(shorthand) = shorthand else { continue };
            if let Some(other) = found.iter().find(|other| other.overlaps(&shorthand)) {
                let message = format!(
                    "`{}` and `{}` could be meant by one text",
                    other.template, shorthand.template
                );
                self.report(Code::AmbiguousShorthand, member.at, message, "rename one of the two");
            }
            found.push(shorthand);
        }
        found.sort_by(|a, b| a.template.cmp(&b.template));
        Some(found)
    }

    fn shorthand(&mut self, member: &Member, catalogue: Option<&Catalogue>) -> Option<Shorthand> {
        let segments = segments(&member.name);
        if segments.is_none() {
            self.report(
                Code::Shorthand,
                member.at,
                "a shorthand is names and `{parameters}` joined by `:`, a name first",
                "write it like `orders:read` or `ticket:{id}`",
            );
        }
        let members = self.members(&member.node, &["parameters", "tools"])?;
        let parameters = match members.node("parameters") {
            Some(node) => self.within("parameters", |r| r.parameters(node)),
            None => Some(BTreeMap::new()),
        };
        let tools_node = self.required(&members, "tools")?;
        let none = BTreeMap::new();
        let declared = parameters.as_ref().unwrap_or(&none);
        let tools = self.within("tools", |r| r.tools(tools_node, catalogue, declared));
        let (segments, parameters, (tools, used)) = (segments?, parameters?, tools?);
        self.parameters_fit(&segments, &parameters, &used, member.at);
        Some(Shorthand { template: member.name.clone(), segments, parameters, tools })
    }

    /// What the text, the declaration and the rules call a parameter must agree.
    fn parameters_fit(
        &mut self,
        segments: &[Segment],
        declared: &BTreeMap<String, Parameter>,
        used: &BTreeMap<String, Place>,
        at: Place,
    ) {
        let in_text: BTreeSet<&String> = segments
            .iter()
            .filter_map(|s| if let Segment::Parameter(name) = s { Some(name) } else { None })
            .collect();
        for name in &in_text {
            if !declared.contains_key(*name) {
                self.report(
                    Code::ParameterUnknown,
                    at,
                    format!("the parameter `{{{name}}}` is not declared"),
                    format!("add `parameters: {{{name}: integer}}` or `string`"),
                );
            }
            if !used.contains_key(*name) {
                self.report(
                    Code::ParameterUnused,
                    at,
                    format!("the parameter `{{{name}}}` constrains no argument"),
                    "use it in a tool's arguments, or drop it from the shorthand",
                );
            }
        }
        for name in declared.keys().filter(|n| !in_text.contains(n)) {
            self.report(
                Code::ParameterUnused,
                at,
                format!("the parameter `{name}` is declared and not part of the shorthand's text"),
                "drop it, or add it to the text",
            );
        }
        for (name, at) in used.iter().filter(|(n, _)| !in_text.contains(n)) {
            self.report(
                Code::ParameterUnknown,
                *at,
                format!("`{{{name}}}` is not a parameter of the shorthand's text"),
                "name a parameter of the text",
            );
        }
    }

    fn parameters(&mut self, node: &Node) -> Option<BTreeMap<String, Parameter>> {
        let mut parameters = BTreeMap::new();
        for member in self.map(node)? {
            self.within(&member.name, |r| {
                if let Some(parameter) = r.parameter(&member.node) {
                    parameters.insert(member.name.clone(), parameter);
                }
            });
        }
        Some(parameters)
    }

    fn parameter(&mut self, node: &Node) -> Option<Parameter> {
        if let Value::Text(_) = node.value {
            return Some(Parameter { kind: self.kind(node)?, constraint: None });
        }
        let members = self.members(node, &["type", "constraint"])?;
        let kind = self.field(&members, "type", Self::kind)?;
        let constraint = members.node("constraint").map(|node| {
            let json = rules::entry(node.to_json());
            self.within("constraint", |r| r.constraint(&json, node.at, false));
            json
        });
        Some(Parameter { kind, constraint })
    }

    fn kind(&mut self, node: &Node) -> Option<ParameterKind> {
        match self.label(node)?.as_str() {
            "integer" => Some(ParameterKind::Integer),
            "string" => Some(ParameterKind::String),
            other => {
                let message = format!("`{}` is no kind of parameter", other.escape_debug());
                self.report(Code::Value, node.at, message, "write `integer` or `string`");
                None
            }
        }
    }

    fn constraint(&mut self, json: &Json, at: Place, is_entry: bool) {
        let read = if is_entry {
            Constraint::parse_entry(json, Dialect::Extended, MAX_CONSTRAINT_DEPTH).map(|_| ())
        } else {
            Constraint::parse(json, Dialect::Extended, MAX_CONSTRAINT_DEPTH).map(|_| ())
        };
        if let Err(e) = read {
            self.report(Code::Constraint, at, e.to_string(), e.remedy());
        }
    }

    /// The tools of a shorthand, and where each parameter is first used.
    #[expect(clippy::type_complexity, reason = "a pair that one caller takes apart")]
    fn tools(
        &mut self,
        node: &Node,
        catalogue: Option<&Catalogue>,
        declared: &BTreeMap<String, Parameter>,
    ) -> Option<(BTreeMap<ToolId, Object>, BTreeMap<String, Place>)> {
        let mut tools = BTreeMap::new();
        let mut used = BTreeMap::new();
        let members = self.map(node)?;
        self.not_empty(members.is_empty(), node.at, "tool");
        for member in members {
            self.within(&member.name, |r| {
                let tool = r.tool(member);
                let rating = match (&tool, catalogue) {
                    (Some(tool), Some(catalogue)) => r.catalogued(tool, catalogue, member.at),
                    _ => None,
                };
                let arguments = r.arguments(&member.node, declared, &mut used);
                let (Some(tool), Some(arguments)) = (tool, arguments) else { return };
                let open = arguments.member("*").is_some();
                if open && rating.is_some_and(|rating| rating.effect == Effect::Write) {
                    r.report(
                        Code::OpenWrite,
                        member.at,
                        "a tool that writes is left open to any argument",
                        "name every argument; `{constraint_type: wildcard}` leaves one value free",
                    );
                }
                if tools.insert(tool, arguments).is_some() {
                    r.report(Code::ListedTwice, member.at, "this tool stands here already", "keep one of the two");
                }
            });
        }
        Some((tools, used))
    }

    /// `server/tool`, or a tool id in full.
    fn tool(&mut self, member: &Member) -> Option<ToolId> {
        let full = match member.name.split_once('/') {
            Some((server, tool)) if !server.contains(':') => format!("mcp:{server}:tools/{tool}"),
            _ => member.name.clone(),
        };
        match ToolId::parse(&full) {
            Ok(id) => Some(id),
            Err(e) => {
                self.report(
                    Code::Identifier,
                    member.at,
                    e.to_string(),
                    "name the tool as `SERVER/TOOL`, or by its tool id",
                );
                None
            }
        }
    }

    fn catalogued(&mut self, tool: &ToolId, catalogue: &Catalogue, at: Place) -> Option<Rating> {
        let rating = catalogue.rating(tool).cloned();
        if rating.is_none() {
            let known: Vec<String> = catalogue.tools().map(|(id, _)| id.to_string()).collect();
            let remedy = match nearest(tool.as_str(), known.iter().map(String::as_str)).first() {
                Some(near) => format!("rate it under `tool_servers`, or did you mean `{near}`?"),
                None => "rate it under `tool_servers`, or drop it here".to_owned(),
            };
            let message = format!("the tool `{tool}` is not in the workflow's catalogue");
            self.report(Code::ToolUnknown, at, message, remedy);
        }
        rating
    }

    /// An argument map: `any`, `none`, or a rule for each argument.
    fn arguments(
        &mut self,
        node: &Node,
        declared: &BTreeMap<String, Parameter>,
        used: &mut BTreeMap<String, Place>,
    ) -> Option<Object> {
        if let Value::Text(text) = &node.value {
            let rules = match text.as_str() {
                "any" => ArgumentRules::any(),
                "none" => ArgumentRules::none(),
                other => {
                    let message = format!("`{}` is no argument map", other.escape_debug());
                    self.report(Code::Value, node.at, message, "write `any`, `none` or a map of arguments");
                    return None;
                }
            };
            return rules.to_json().as_object().cloned();
        }
        let members = self.map(node)?;
        if members.is_empty() {
            // An empty map means any arguments in a token; few who write one
            // mean that.
            self.report(
                Code::Empty,
                node.at,
                "it is not clear whether any arguments are meant or none",
                "write `any` or `none`",
            );
            return None;
        }
        let mut arguments = Object::new();
        for member in members {
            self.within(&member.name, |r| {
                let json = rules::entry(member.node.to_json());
                let mut names = BTreeSet::new();
                rules::named(&json, &mut names);
                // Any value of the right kind will do to check the form.
                let values =
                    names.iter().map(|n| (n.clone(), sample(declared.get(n)))).collect();
                for name in names {
                    used.entry(name).or_insert(member.node.at);
                }
                if member.name == "*" {
                    r.constraint(&json, member.node.at, false);
                    let is_wildcard = json.as_object().and_then(|o| o.member("constraint_type"))
                        .and_then(Json::as_str) == Some("wildcard");
                    if !is_wildcard {
                        let e = ScopeError::StarNotWildcard { tool: String::new() };
                        r.report(Code::Constraint, member.at, "the entry for `*` must be a wildcard", e.remedy());
                    }
                } else {
                    r.constraint(&rules::fill(&json, &values), member.node.at, true);
                }
                arguments.insert(member.name.as_str(), json);
            });
        }
        Some(arguments)
    }
}

fn sample(parameter: Option<&Parameter>) -> Json {
    match parameter.map(Parameter::kind) {
        Some(ParameterKind::String) => Json::from("x"),
        Some(ParameterKind::Integer) | None => Json::from(1_u64),
    }
}
