//! `attenuate`: derive a narrower delegation, offline.

use bailiwick_core::aat::make::{Content, Seen, derive};
use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::crypto::PublicKey;
use bailiwick_core::enrolment;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::Scope;

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
    let content = Content {
        jti: host::fresh_id()?,
        now,
        exp,
        nbf: None,
        holder: next,
        scope: scope(args, &parent.scope)?,
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
        .with("expires", exp)
        .with("tools", content.scope.to_json());
    let text = format!(
        "derived {} for key {} (depth {}), written to {}\n{}",
        hash,
        next.thumbprint(),
        parent.depth.saturating_add(1),
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
fn next_holder(document: &Json) -> Result<PublicKey, CliError> {
    Ok(enrolment::Statement::verify(document)?.holder)
}

fn scope(args: &AttenuateArgs, parent: &Scope) -> Result<Scope, CliError> {
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
    if args.tools.is_none() {
        *map = narrowed(args, map)?;
    }
    Scope::parse(map, Dialect::Extended, ChainLimits::DEFAULT.max_constraint_depth)
        .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))
}

/// Keeps the named tools and fixes the named arguments.
fn narrowed(args: &AttenuateArgs, parent: &Object) -> Result<Object, CliError> {
    let fixed = parse::arguments(&args.argument)?;
    let mut kept = Object::new();
    for (tool, rules) in parent.iter() {
        if !args.tool.is_empty() && !args.tool.iter().any(|t| t == tool) {
            continue;
        }
        let mut rules = rules.as_object().cloned().unwrap_or_default();
        for (name, value) in fixed.iter() {
            if rules.member(name).is_none() && rules.member("*").is_none() && !rules.is_empty() {
                continue;
            }
            let exact = Constraint::exact(value.clone())
                .map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))?;
            rules.insert(name, exact.to_json());
        }
        kept.insert(tool, rules);
    }
    if let Some(missing) = args.tool.iter().find(|t| parent.member(t).is_none()) {
        return Err(CliError::usage(
            "tool-not-in-parent",
            format!("the chain does not permit `{missing}`"),
            "`bailiwick inspect` shows what it permits",
        ));
    }
    Ok(kept)
}

/// A scope in plain words, a line per argument.
fn scope_text(scope: &Scope) -> String {
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
