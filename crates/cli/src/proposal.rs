//! A first workflow for tools that nobody rated yet, to be read by a person.
//!
//! It is careful on purpose: every tool is rated `high` and as one that writes
//! until somebody rates it, and each argument of each shorthand has a rule.
//! What comes from a tool server stands in it as JSON texts only.

use bailiwick_core::ids::{AgentId, PrincipalId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::catalogue::{Definition, DefinitionKind};

/// Characters of a text argument, until somebody knows better.
const MAX_TEXT: u64 = 2000;
/// Shorthands are for names of this form.
const SHORTHAND_NAME: usize = 64;

/// What one tool server listed.
pub(crate) struct Listed<'a> {
    /// Its name.
    pub(crate) server: &'a ServerName,
    /// What is pinned.
    pub(crate) pinned: &'a [Definition],
    /// The names of what waits for a person.
    pub(crate) waiting: Vec<&'a str>,
    /// Whether it lists resources.
    pub(crate) has_resources: bool,
    /// The tools that a person rated: they only read, at low risk.
    pub(crate) reads: &'a [String],
}

/// A proposed workflow and the shorthands that it has.
pub(crate) struct Proposal {
    /// The file.
    pub(crate) text: String,
    /// The shorthands, by tool.
    pub(crate) shorthands: Vec<String>,
}

/// A text as YAML and JSON write it; what cannot be seen is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in Json::from(text).canonical().chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Makes the file.
pub(crate) fn workflow(listed: &Listed<'_>, owner: &PrincipalId, agent: &AgentId) -> Proposal {
    let server = listed.server;
    let mut text = format!(
        "# Proposed by `bailiwick catalogue learn`: read it, rate the tools, then publish it.\n\
         # A tool that nobody rated counts as one that writes, of high risk.\n\
         # Behind a credential that all principals share a call also needs a person's approval,\n\
         # until its tool says `personal: false`, or `resource: ARGUMENT` for whose data it is.\n\
         # At level manual every effect needs a person. A higher one needs the checklist:\n\
         # `bailiwick workflow check` says what is missing.\n\
         workflow: {server}\nversion: \"1\"\nowner: {owner}\npurpose: Use the tools of {server}.\n\n\
         agents:\n  - {agent}\n\n\
         level: manual\nwindow_seconds: 3600\nmax_depth: 1\n\nbudget:\n  max_calls: 100\n\n\
         tool_servers:\n"
    );
    text.push_str(&ratings(listed));
    let (rules, shorthands) = self::shorthands(listed);
    // A member that holds nothing but remarks would be none.
    text.push_str(if shorthands.is_empty() { "\nshorthands: {}\n" } else { "\nshorthands:\n" });
    text.push_str(&rules);
    Proposal { text, shorthands }
}

/// A tool server under `tool_servers`.
pub(crate) fn ratings(listed: &Listed<'_>) -> String {
    let of = |kind| listed.pinned.iter().filter(move |d| d.kind() == kind);
    let mut text = format!("  {}:\n", listed.server);
    let ratings = |text: &mut String, member: &str, kind, rating: &str| {
        let named: Vec<&Definition> = of(kind).collect();
        if !named.is_empty() {
            text.push_str(&format!("    {member}:\n"));
        }
        for tool in named {
            let rated = kind != DefinitionKind::Prompt
                && listed.reads.iter().any(|name| name == tool.name());
            let rating = if rated { "risk: low, effect: read" } else { rating };
            text.push_str(&format!("      {}: {{{rating}}}\n", quoted(tool.name())));
        }
    };
    ratings(&mut text, "tools", DefinitionKind::Tool, "risk: high, effect: write");
    if listed.has_resources {
        text.push_str("    resources: {risk: high}\n");
    }
    ratings(&mut text, "prompts", DefinitionKind::Prompt, "risk: high");
    ratings(&mut text, "operations", DefinitionKind::Operation, "risk: high, effect: write");
    for name in &listed.waiting {
        text.push_str(&format!(
            "    # {} waits for a person: bailiwick catalogue diff\n",
            quoted(name)
        ));
    }
    text
}

/// How a workflow names a tool.
pub(crate) fn named(server: &ServerName, tool: &Definition) -> String {
    quoted(&match tool.kind() {
        DefinitionKind::Operation => tool.kind().tool_id(server.as_str(), tool.name()),
        _ => format!("{server}/{}", tool.name()),
    })
}

/// A shorthand for each tool, below `shorthands`, and their names.
pub(crate) fn shorthands(listed: &Listed<'_>) -> (String, Vec<String>) {
    let server = listed.server;
    let mut shorthands = Vec::new();
    let mut text = String::new();
    for tool in listed.pinned.iter().filter(|d| d.kind() != DefinitionKind::Prompt) {
        let name = tool.name();
        match arguments(tool) {
            Some(rules) if is_plain(name) => {
                let shorthand = format!("{server}:{name}");
                text.push_str(&format!("  {}:\n    tools:\n", quoted(&shorthand)));
                text.push_str(&format!("      {}: ", named(server, tool)));
                text.push_str(&if rules.is_empty() {
                    "none".to_owned()
                } else {
                    rules_text(&rules)
                });
                text.push_str("\n\n");
                shorthands.push(shorthand);
            }
            _ => text.push_str(&format!(
                "  # {}: write a shorthand with a rule for each of its arguments.\n\n",
                quoted(name)
            )),
        }
    }
    (text, shorthands)
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    name.len() <= SHORTHAND_NAME && !name.is_empty() && name.bytes().all(plain)
}

fn rules_text(rules: &[(String, Json)]) -> String {
    let lines = rules.iter().map(|(name, rule)| {
        // The rule's own texts are the schema's: escaped like every other.
        format!("\n        {}: {}", quoted(name), escaped(&rule.canonical()))
    });
    lines.collect()
}

/// JSON text with everything beyond ASCII escaped.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A rule for each argument; none, if there is one for which no rule of ours
/// says what it may be: objects, and arguments without a type.
fn arguments(tool: &Definition) -> Option<Vec<(String, Json)>> {
    let schema = tool.input_schema()?.as_object()?;
    let Some(properties) = schema.member("properties") else { return Some(Vec::new()) };
    let required: Vec<&str> = schema
        .member("required")
        .and_then(Json::as_array)
        .map(|all| all.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    let mut rules = Vec::new();
    for (name, property) in properties.as_object()?.iter() {
        match rule(property) {
            Some(rule) => {
                let rule =
                    if required.contains(&name) { rule } else { rule.with("optional", true) };
                rules.push((name.to_owned(), rule.into()));
            }
            // What may be left out is left out.
            None if !required.contains(&name) => {}
            None => return None,
        }
    }
    Some(rules)
}

fn rule(property: &Json) -> Option<Object> {
    let property = property.as_object()?;
    let of = |kind: &str| Object::new().with("constraint_type", kind);
    if let Some(values) = property.member("enum").and_then(Json::as_array) {
        let simple = |v: &Json| v.as_object().is_none() && v.as_array().is_none();
        let fits = !values.is_empty() && values.iter().all(simple);
        return fits.then(|| of("one_of").with("values", values.to_vec()));
    }
    let bound = |rule: Object, from: &str, to: &str| match property.member(from) {
        Some(Json::Number(number)) => rule.with(to, number.clone()),
        _ => rule,
    };
    Some(match property.member("type")?.as_str()? {
        "string" => of("length").with("min", 0u64).with("max", MAX_TEXT),
        "integer" | "number" => {
            let rule = bound(bound(of("range"), "minimum", "min"), "maximum", "max");
            let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
            let rule = if rule.member("min").is_none() { rule.with("min", least) } else { rule };
            if rule.member("max").is_none() { rule.with("max", most) } else { rule }
        }
        "boolean" => of("one_of").with("values", vec![Json::from(false), Json::from(true)]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;
    use bailiwick_policy::Workflow;
    use bailiwick_policy::grades::{Effect, Risk};

    use super::*;

    fn tool(text: &str) -> Definition {
        Definition::of_tool(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()).unwrap()
    }

    fn propose(tools: &[&str]) -> (Proposal, Result<Workflow, String>) {
        let listed = Listed {
            server: &ServerName::parse("desk").unwrap(),
            pinned: &tools.iter().map(|t| tool(t)).collect::<Vec<_>>(),
            waiting: vec!["odd\nlevel: autonomous"],
            has_resources: true,
            reads: &["now".to_owned()],
        };
        let owner = PrincipalId::parse("user:owner").unwrap();
        let proposal = workflow(&listed, &owner, &AgentId::parse("agent:desk-runner").unwrap());
        let parsed = Workflow::parse(&proposal.text).map_err(|problems| format!("{problems:?}"));
        (proposal, parsed)
    }

    #[test]
    fn what_nobody_rated_is_high_and_writes_and_every_argument_has_a_rule() {
        let (proposal, parsed) = propose(&[
            r#"{"name":"get","inputSchema":{"type":"object","properties":{
                "id":{"type":"integer","minimum":1},"state":{"enum":["open","closed"]},
                "text":{"type":"string"},"deep":{"type":"boolean"},"extra":{"type":"object"}},
                "required":["id","state"]}}"#,
            r#"{"name":"now","inputSchema":{"type":"object"}}"#,
            r#"{"name":"odd","inputSchema":{"type":"object","properties":{"x":{}},"required":["x"]}}"#,
        ]);
        let parsed = parsed.unwrap_or_else(|e| panic!("{e}\n{}", proposal.text));
        for (id, rating) in parsed.catalogue.tools() {
            let rated = id.operation() == "tools/now";
            assert_eq!(rating.risk, if rated { Risk::Low } else { Risk::High }, "{id}");
            if id.operation().starts_with("tools/") {
                assert_eq!(rating.effect, if rated { Effect::Read } else { Effect::Write }, "{id}");
            }
        }
        assert_eq!(proposal.shorthands, ["desk:get", "desk:now"]);
        assert!(!proposal.text.contains("extra"), "{}", proposal.text);
    }

    #[test]
    fn operations_of_an_http_api_are_rated_and_named_by_their_ids() {
        let described = bailiwick_policy::api::openapi::read(
            r#"{"openapi":"3.1.0","paths":{"/orders/{id}":{"get":{"operationId":"getOrder","parameters":
            [{"name":"id","in":"path","required":true,"schema":{"type":"integer","minimum":1}}]}}}}"#,
        );
        let listing = described.unwrap().listing;
        let item = listing.as_object().unwrap().member("operations").unwrap();
        let item = item.as_array().unwrap().first().unwrap();
        let server = ServerName::parse("orders").unwrap();
        let listed = Listed {
            server: &server,
            pinned: &[Definition::of_operation(item).unwrap()],
            waiting: Vec::new(),
            has_resources: false,
            reads: &[],
        };
        let owner = PrincipalId::parse("user:owner").unwrap();
        let proposal = workflow(&listed, &owner, &AgentId::parse("agent:runner").unwrap());
        let parsed = Workflow::parse(&proposal.text).unwrap();
        let tools: Vec<String> = parsed.catalogue.tools().map(|(id, _)| id.to_string()).collect();
        assert_eq!(tools, ["http:orders:getOrder"]);
        assert_eq!(proposal.shorthands, ["orders:getOrder"]);
    }

    #[test]
    fn names_cannot_change_the_file_that_they_stand_in() {
        let (proposal, parsed) = propose(&[
            r#"{"name":"a\": {risk: low} #\u2028level: autonomous #","inputSchema":{"type":"object"}}"#,
            r#"{"name":"b","inputSchema":{"type":"object","properties":{
                "c\": 1\nlevel: autonomous\u2028\u202e\ud83d\ude00":{"enum":["d\u202e"]}}}}"#,
        ]);
        let parsed = parsed.unwrap_or_else(|e| panic!("{e}\n{}", proposal.text));
        assert_eq!(parsed.catalogue.tools().filter(|(_, r)| r.risk != Risk::High).count(), 0);
        assert!(proposal.text.is_ascii() && proposal.shorthands == ["desk:b"]);
        assert!(!proposal.text.lines().any(|line| line.starts_with("level: autonomous")));
    }
}
