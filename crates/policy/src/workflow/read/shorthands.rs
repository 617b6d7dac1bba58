//! The shorthands of a workflow file.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::{ArgumentRules, ScopeError};

use super::super::problem::{Place, ProblemCode as Code};
use super::super::rules;
use super::super::shorthand::{Parameter, ParameterKind, Segment, Shorthand, segments};
use super::super::yaml::{Member, Node, Value};
use super::Reading;
use crate::catalogue::{Catalogue, Rating};
use crate::expand::nearest;
use crate::grades::Effect;
use crate::limits::MAX_CONSTRAINT_DEPTH;

impl Reading {
    pub(super) fn shorthands(
        &mut self,
        node: &Node,
        catalogue: Option<&Catalogue>,
    ) -> Option<Vec<Shorthand>> {
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
                    r.report(
                        Code::ListedTwice,
                        member.at,
                        "this tool stands here already",
                        "keep one of the two",
                    );
                }
            });
        }
        Some((tools, used))
    }

    /// `server/tool`, or a tool id in full.
    fn tool(&mut self, member: &Member) -> Option<ToolId> {
        self.tool_named(&member.name, member.at)
    }

    /// The tool that `text` names as `server/tool`, or by its id in full.
    pub(super) fn tool_named(&mut self, text: &str, at: Place) -> Option<ToolId> {
        let full = match text.split_once('/') {
            Some((server, tool)) if !server.contains(':') => format!("mcp:{server}:tools/{tool}"),
            _ => text.to_owned(),
        };
        match ToolId::parse(&full) {
            Ok(id) => Some(id),
            Err(e) => {
                let remedy = "name the tool as `SERVER/TOOL`, or by its tool id";
                self.report(Code::Identifier, at, e.to_string(), remedy);
                None
            }
        }
    }

    pub(super) fn catalogued(
        &mut self,
        tool: &ToolId,
        catalogue: &Catalogue,
        at: Place,
    ) -> Option<Rating> {
        let rating = catalogue.rating(tool).cloned();
        // Looking for similar names costs the more, the more there is wrong.
        if rating.is_none() && !self.is_full() {
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
                    self.report(
                        Code::Value,
                        node.at,
                        message,
                        "write `any`, `none` or a map of arguments",
                    );
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
                let values = names.iter().map(|n| (n.clone(), sample(declared.get(n)))).collect();
                for name in names {
                    used.entry(name).or_insert(member.node.at);
                }
                if member.name == "*" {
                    r.constraint(&json, member.node.at, false);
                    let is_wildcard = json
                        .as_object()
                        .and_then(|o| o.member("constraint_type"))
                        .and_then(Json::as_str)
                        == Some("wildcard");
                    if !is_wildcard {
                        let e = ScopeError::StarNotWildcard { tool: String::new() };
                        r.report(
                            Code::Constraint,
                            member.at,
                            "the entry for `*` must be a wildcard",
                            e.remedy(),
                        );
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
