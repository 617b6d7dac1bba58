//! Rules in plain words.

use std::fmt::Write as _;

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::ArgumentRules;

use super::Expansion;
use crate::catalogue::Rating;
use crate::grades::Effect;

pub(super) fn expansion(expansion: &Expansion) -> String {
    let mut out = format!(
        "Under workflow {} (version digest {}):\n",
        expansion.workflow, expansion.workflow_digest
    );
    for part in &expansion.parts {
        let _ = write!(out, "\n{}", part.shorthand);
        if part.template != part.shorthand {
            let _ = write!(out, "  (published as {})", part.template);
        }
        out.push('\n');
        for tool in &part.tools {
            let _ = writeln!(out, "  {}: {}", name(&tool.tool), rating(&tool.rating));
            arguments(&mut out, &tool.rules);
        }
    }
    let repeated = expansion.parts.iter().map(|p| p.tools.len()).sum::<usize>()
        > expansion.scope.tools().len();
    if repeated {
        out.push_str("\nTogether, where several of these reach the same tool:\n");
        for (tool, rules) in expansion.scope.tools() {
            let times = expansion
                .parts
                .iter()
                .filter(|p| p.tools.iter().any(|t| t.tool.as_str() == tool))
                .count();
            if times > 1 {
                let _ = writeln!(out, "  {tool}");
                arguments(&mut out, rules);
            }
        }
    }
    out.push_str("\nNothing else is permitted.\n");
    out
}

/// `server/tool` where that is how a workflow names it.
fn name(tool: &ToolId) -> String {
    match tool.operation().strip_prefix("tools/") {
        Some(name) if tool.as_str().starts_with("mcp:") => {
            format!("{}/{}", tool.server(), shown(name))
        }
        _ => shown(tool.as_str()),
    }
}

fn rating(rating: &Rating) -> String {
    let verb = match rating.effect {
        Effect::Read => "reads",
        Effect::Write => "changes",
    };
    let data: Vec<String> = rating.data.iter().map(|d| shown(d)).collect();
    let data = if data.is_empty() { "data of no class".to_owned() } else { data.join(", ") };
    format!("{verb} {data}; {} risk", rating.risk)
}

fn arguments(out: &mut String, rules: &ArgumentRules) {
    if *rules == ArgumentRules::none() {
        out.push_str("    takes no arguments\n");
        return;
    }
    for argument in rules.named() {
        let optional = if argument.is_optional() { " (may be left out)" } else { "" };
        let words = describe(&argument.constraint().to_json());
        let _ = writeln!(out, "    {}: {words}{optional}", shown(argument.name()));
    }
    if rules.is_open() {
        let other = if rules.named().len() == 0 { "any arguments" } else { "any other arguments" };
        let _ = writeln!(out, "    {other}");
    }
}

/// A constraint in its wire form, in plain words.
#[must_use]
pub fn describe(constraint: &Json) -> String {
    let Some(object) = constraint.as_object() else { return "nothing".to_owned() };
    let member = |name: &str| object.member(name);
    let list = |name: &str| values(member(name));
    match member("constraint_type").and_then(Json::as_str).unwrap_or_default() {
        "exact" => format!("exactly {}", member("value").map(value).unwrap_or_default()),
        "range" => range(object),
        "one_of" => format!("one of {}", list("values")),
        "not_one_of" => format!("anything but {}", list("excluded")),
        "contains" => format!("a list with at least {}", list("required")),
        "subset" => format!("a list of nothing but {}", list("allowed")),
        "wildcard" => "anything".to_owned(),
        "all" => clauses(member("constraints"), ", and "),
        "any" => clauses(member("constraints"), ", or "),
        "length" => between(object, "a text or list of length", "", " or more", " or less"),
        "datetime_range" => between(object, "a time", " from", "", ""),
        "path_under" => {
            format!("a path at or below {}", member("root").map(value).unwrap_or_default())
        }
        "pattern" => format!("a text like {}", member("glob").map(value).unwrap_or_default()),
        "cidr" => {
            format!("an address or network in {}", member("network").map(value).unwrap_or_default())
        }
        "url_within" => url(object),
        // A type without words of its own is shown member by member.
        other => {
            let members: Vec<String> = object
                .iter()
                .filter(|(name, _)| !matches!(*name, "constraint_type" | "optional"))
                .map(|(name, v)| format!("{} {}", name.replace('_', " "), words(v)))
                .collect();
            format!("{} ({})", shown(other).replace('_', " "), members.join(", "))
        }
    }
}

fn range(object: &Object) -> String {
    let bound = |name: &str, flag: &str| {
        let number = value(object.member(name)?);
        let excluded = object.member(flag).and_then(Json::as_bool) == Some(false);
        Some(if excluded { format!("{number} (excluded)") } else { number })
    };
    match (bound("min", "min_inclusive"), bound("max", "max_inclusive")) {
        (None, None) => "any number".to_owned(),
        (Some(min), None) => format!("a number from {min}"),
        (None, Some(max)) => format!("a number up to {max}"),
        (Some(min), Some(max)) => format!("a number from {min} to {max}"),
    }
}

/// Two bounds, each of which may be absent.
fn between(object: &Object, what: &str, from: &str, least: &str, most: &str) -> String {
    let bound = |name: &str| object.member(name).map(value);
    match (bound("min"), bound("max")) {
        (None, None) => format!("{what} without bounds"),
        (Some(min), None) => format!("{what}{from} {min}{least}"),
        (None, Some(max)) if most.is_empty() => format!("{what} up to {max}"),
        (None, Some(max)) => format!("{what} {max}{most}"),
        (Some(min), Some(max)) => format!("{what}{from} {min} to {max}"),
    }
}

fn url(object: &Object) -> String {
    let text = |name: &str| object.member(name).and_then(Json::as_str).map(shown);
    let host = match (text("host"), text("host_suffix")) {
        (Some(host), _) => host,
        (None, Some(suffix)) => format!("{suffix} or a host below it"),
        (None, None) => "any host".to_owned(),
    };
    let port = object.member("port").map(|p| format!(", port {}", value(p))).unwrap_or_default();
    let path = text("path_prefix").map(|p| format!(", at or below {p}")).unwrap_or_default();
    let query = match text("query").as_deref() {
        Some("any") => ", with any query",
        _ => ", without a query",
    };
    let scheme = text("scheme").unwrap_or_default();
    format!("a URL with scheme {scheme} on {host}{port}{path}{query}")
}

fn clauses(json: Option<&Json>, between: &str) -> String {
    let clauses: Vec<String> =
        json.and_then(Json::as_array).unwrap_or_default().iter().map(describe).collect();
    clauses.join(between)
}

fn values(json: Option<&Json>) -> String {
    let items = json.and_then(Json::as_array).unwrap_or_default();
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.iter().map(value).collect::<Vec<_>>().join(", ")
}

fn words(json: &Json) -> String {
    if json.as_array().is_some() { values(Some(json)) } else { value(json) }
}

fn value(json: &Json) -> String {
    shown(&json.canonical())
}

/// A text that cannot change how the text around it is shown: control and
/// format characters are escaped, and it is cut after 200 characters.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == LONGEST {
            out.push('…');
            break;
        }
        // `escape_debug` knows what is not printable; quotes stay as they are.
        if matches!(c, '"' | '\'' | '\\') {
            out.push(c);
        } else {
            out.extend(c.escape_debug());
        }
    }
    out
}
