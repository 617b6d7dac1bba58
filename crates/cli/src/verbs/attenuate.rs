//! `attenuate`: derive a narrower delegation, offline.

use bailiwick_core::aat::make::{Content, Seen, derive};
use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::crypto::PublicKey;
use bailiwick_core::enrolment;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;

use crate::args::AttenuateArgs;
use crate::chainfile::ChainFile;
use crate::error::CliError;
use crate::host;
use crate::keyfile::{self, InstanceKeys};
use crate::output::Output;

use super::parse;

pub(super) fn run(args: &AttenuateArgs, out: Output) -> Result<(), CliError> {
    let limits = ChainLimits::DEFAULT;
    let mut chain = ChainFile::read(&args.chain)?;
    let keys = InstanceKeys::read(&args.key)?;
    let next = next_holder(&keyfile::read_json(&args.to)?)?;
    let parent = Seen::parse(chain.leaf(), &limits)?;
    let now = host::now();
    let exp = match &args.lasts {
        None => parent.exp,
        Some(text) => parent.exp.min(now.seconds().saturating_add(parse::seconds(text)?)),
    };
    let (scope, untouched) = scope(args, &parent.scope)?;
    let content = Content {
        jti: host::fresh_id()?,
        now,
        exp,
        nbf: None,
        holder: next,
        scope,
        max_depth: if args.further { parent.max_depth } else { parent.depth.saturating_add(1) },
        aud: Vec::new(),
        budget: parse::budget(&args.budget)?,
    };
    let child = derive(chain.leaf(), &content, &keys.holder, &limits)?;
    let hash = Seen::parse(&child, &limits)?.hash;
    chain.chain.push(child);
    chain.write(&args.out)?;
    let result = Object::new()
        .with("chain", args.out.display().to_string())
        .with("token", hash)
        .with("depth", parent.depth.saturating_add(1))
        .with("expires", Timestamp::from_seconds(exp).to_string())
        .with("tools", content.scope.to_json())
        .with("untouched", untouched.iter().map(Untouched::to_json).collect::<Vec<_>>());
    let notes: String = untouched.iter().map(Untouched::note).collect();
    let text = format!(
        "derived {} for key {} (depth {}), until {}, written to {}\n{}{notes}",
        hash,
        next.thumbprint(),
        parent.depth.saturating_add(1),
        Timestamp::from_seconds(exp),
        args.out.display(),
        scope_text(&content.scope),
    );
    out.result(result, text);
    out.next(&[
        "hand the chain file to the next holder; it presents it with proofs by its own key",
    ]);
    Ok(())
}

/// The holder key of an enrolment document, whose signatures must hold: a key
/// that nobody proved is not delegated to.
pub(super) fn next_holder(document: &Json) -> Result<PublicKey, CliError> {
    Ok(enrolment::Statement::verify(document)?.holder)
}

/// A kept tool that an argument does not narrow, because it does not take it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Untouched {
    pub(crate) tool: String,
    pub(crate) argument: String,
}

impl Untouched {
    fn to_json(&self) -> Json {
        Object::new()
            .with("tool", self.tool.as_str())
            .with("argument", self.argument.as_str())
            .into()
    }

    fn note(&self) -> String {
        format!("  note: `{}` does not take `{}` and stays as it was\n", self.tool, self.argument)
    }
}

fn scope(args: &AttenuateArgs, parent: &Scope) -> Result<(Scope, Vec<Untouched>), CliError> {
    let mut tools = match &args.tools {
        Some(path) => keyfile::read_json(path)?,
        None => parent.to_json(),
    };
    let Json::Object(map) = &mut tools else {
        return Err(CliError::usage(
            "tools-malformed",
            "the tools file is no JSON object",
            "map tool ids to argument constraints",
        ));
    };
    let mut untouched = Vec::new();
    if args.tools.is_none() {
        (*map, untouched) = narrowed(&args.tool, &parse::arguments(&args.argument)?, map)?;
    }
    let scope = Scope::parse(map, Dialect::Extended, ChainLimits::DEFAULT.max_constraint_depth)
        .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))?;
    Ok((scope, untouched))
}

/// Keeps the named tools and fixes the named arguments. An argument that would
/// narrow nothing is refused: whoever wrote it believes that it does.
pub(crate) fn narrowed(
    keep: &[String],
    fixed: &Object,
    parent: &Object,
) -> Result<(Object, Vec<Untouched>), CliError> {
    if let Some(missing) = keep.iter().find(|t| parent.member(t).is_none()) {
        return Err(CliError::usage(
            "tool-not-in-parent",
            format!("the chain does not permit `{missing}`"),
            "`bailiwick inspect` shows what it permits",
        ));
    }
    let mut kept = Object::new();
    let mut untouched = Vec::new();
    for (tool, rules) in parent.iter() {
        if !keep.is_empty() && !keep.iter().any(|t| t == tool) {
            continue;
        }
        let mut rules = rules.as_object().cloned().unwrap_or_default();
        // Without any rule, or with one for every name, a tool takes any
        // argument.
        let takes_any = rules.is_empty() || rules.member("*").is_some();
        for (name, value) in fixed.iter() {
            if !takes_any && rules.member(name).is_none() {
                untouched.push(Untouched { tool: tool.to_owned(), argument: name.to_owned() });
                continue;
            }
            let exact = Constraint::exact(value.clone())
                .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))?;
            rules.insert(name, exact.to_json());
        }
        kept.insert(tool, rules);
    }
    let nowhere =
        |name: &str| untouched.iter().filter(|u| u.argument == name).count() == kept.len();
    if let Some((name, _)) = fixed.iter().find(|(name, _)| nowhere(name)) {
        return Err(CliError::usage(
            "argument-not-in-parent",
            format!(
                "none of the kept tools takes an argument `{name}`, so nothing would be narrower"
            ),
            "`bailiwick inspect` shows which arguments each tool takes",
        ));
    }
    Ok((kept, untouched))
}

/// A scope in plain words, a line per argument.
pub(crate) fn scope_text(scope: &Scope) -> String {
    let mut text = String::from("  permits\n");
    for (tool, rules) in scope.tools() {
        text.push_str(&format!("    {tool}\n"));
        if let Json::Object(map) = rules.to_json() {
            if map.is_empty() {
                text.push_str("      any arguments\n");
            }
            for (name, constraint) in map.iter() {
                text.push_str(&format!("      {name}: {constraint}\n"));
            }
        }
    }
    if scope.is_empty() {
        text.push_str("    nothing\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::limits::JsonLimits;

    fn object(text: &str) -> Object {
        Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn an_argument_narrows_the_tools_that_take_it_and_others_are_named() {
        let parent = object(r#"{"get":{"id":{"constraint_type":"wildcard"}},"list":{"of":{}}}"#);
        let (kept, untouched) = narrowed(&[], &object(r#"{"id":7}"#), &parent).unwrap();
        let id = kept.member("get").unwrap().as_object().unwrap().member("id").unwrap();
        assert_eq!(id.canonical(), r#"{"constraint_type":"exact","value":7}"#);
        assert_eq!(untouched, [Untouched { tool: "list".into(), argument: "id".into() }]);
        assert!(untouched.iter().all(|u| u.note().contains("stays as it was")));
    }

    #[test]
    fn an_argument_that_narrows_nothing_is_refused() {
        let parent = object(r#"{"get":{"id":{}},"list":{"of":{}}}"#);
        let refused = |keep: &[String], fixed: &str, parent: &Object| {
            narrowed(keep, &object(fixed), parent).unwrap_err().code
        };
        assert_eq!(refused(&[], r#"{"idd":7}"#, &parent), "argument-not-in-parent");
        assert_eq!(refused(&["list".into()], r#"{"id":7}"#, &parent), "argument-not-in-parent");
        assert_eq!(refused(&[], r#"{"id":7}"#, &Object::new()), "argument-not-in-parent");
        // A tool without rules takes any argument.
        let any = object(r#"{"get":{}}"#);
        assert!(narrowed(&[], &object(r#"{"idd":7}"#), &any).unwrap().1.is_empty());
    }
}
