//! `inspect`: what is in a file, without trusting it.

use std::io::Read as _;

use bailiwick_core::aat::make::Seen;
use bailiwick_core::accountable::Authority;
use bailiwick_core::enrolment;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;

use crate::args::InspectArgs;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;

pub(super) fn run(args: &InspectArgs, out: Output) -> Result<(), CliError> {
    let bytes = if args.file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .take(1 << 20)
            .read_to_end(&mut bytes)
            .map_err(|e| CliError::file(&args.file, "read", &e))?;
        bytes
    } else {
        keyfile::read(&args.file)?
    };
    if let Ok(text) = std::str::from_utf8(&bytes)
        && Seen::parse(text.trim(), &ChainLimits::DEFAULT).is_ok()
    {
        return show_chain(&[text.trim().to_owned()], out);
    }
    let json = Json::parse(&bytes, &JsonLimits::DEFAULT)?;
    let o = json.as_object().ok_or_else(unknown)?;
    if let Some(chain) = o.member("aat_chain").and_then(Json::as_array) {
        let chain: Vec<String> =
            chain.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect();
        return show_chain(&chain, out);
    }
    if o.member("signatures").is_some() {
        let s = enrolment::Statement::verify(&json)?;
        let object = Object::new()
            .with("kind", "enrolment")
            .with("instance", &s.instance)
            .with("agent", &s.agent)
            .with("owner", &s.owner)
            .with("authority", s.audience.as_str())
            .with("made_at", s.made_at.to_string())
            .with("holder", s.holder.thumbprint());
        let text = format!(
            "enrolment of instance {} of {}\n  owner      {}\n  authority  {}\n  made       {}\n  holder key {}\n  both signatures hold",
            s.instance, s.agent, s.owner, s.audience, s.made_at, s.holder.thumbprint(),
        );
        out.result(object, text);
        return Ok(());
    }
    if o.member("holder").is_some() || o.member("key").is_some() || o.member("d").is_some() {
        return Err(CliError::refused(
            "private-key",
            "this is a private key file; its content is not shown",
            "inspect the chain or the enrolment document instead",
        ));
    }
    Err(unknown())
}

fn unknown() -> CliError {
    CliError::usage(
        "unknown-file",
        "this is no chain, token or enrolment",
        "pass a file that `delegate`, `attenuate` or `instance new` wrote",
    )
}

fn show_chain(chain: &[String], out: Output) -> Result<(), CliError> {
    let mut tokens = Vec::new();
    let mut text = String::from(
        "read without verifying any signature: a verifier needs the issuer's key\n",
    );
    for (i, token) in chain.iter().enumerate() {
        let seen = Seen::parse(token, &ChainLimits::DEFAULT)?;
        let authority = Authority::from_claims(&seen.claims).ok();
        let expires = Timestamp::from_seconds(seen.exp);
        text.push_str(&format!(
            "\ntoken {i}{}\n  hash     {}\n  holder   {}\n  depth    {} of {}\n  expires  {}\n",
            if i == 0 { " (root)" } else { "" },
            seen.hash,
            seen.holder.thumbprint(),
            seen.depth,
            seen.max_depth,
            expires,
        ));
        if let Some(a) = &authority {
            text.push_str(&format!(
                "  for      {} through {}\n  task     {}\n  purpose  {}\n  workflow {}\n  grant    {}\n",
                a.principal, a.agent, a.task, a.purpose, a.workflow, a.grant,
            ));
        }
        if !seen.budget.is_empty() {
            text.push_str(&format!("  budget   {}\n", Json::from(seen.budget.clone())));
        }
        text.push_str(&scope_text(&seen.scope));
        tokens.push(Json::from(
            Object::new()
                .with("hash", seen.hash)
                .with("claims", seen.claims.clone())
                .with("expires", expires.to_string()),
        ));
    }
    out.result(Object::new().with("kind", "chain").with("tokens", tokens), text);
    Ok(())
}

/// A scope in plain words, a line per argument.
pub(super) fn scope_text(scope: &Scope) -> String {
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
