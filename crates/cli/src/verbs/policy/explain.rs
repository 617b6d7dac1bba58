//! `policy explain`: which policies settled a decision, and why.

use std::path::Path;

use bailiwick_authority::Refusal;
use bailiwick_core::ids::ActionId;
use bailiwick_core::json::Object;
use bailiwick_policy::call::Call;
use bailiwick_policy::decide::decide;
use bailiwick_policy::in_force::Word;
use bailiwick_policy::{Bundle, Policies};
use bailiwick_store::Place;

use super::about;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;

/// A described call.
pub(super) fn described(path: &Path) -> Result<Call, CliError> {
    let text = String::from_utf8(keyfile::read(path)?).map_err(|_| {
        CliError::usage("call-not-utf8", "the file is not UTF-8", "save it as UTF-8")
    })?;
    Call::parse(&text).map_err(|problems| {
        super::super::workflow::invalid(path, "description of a call", &problems)
    })
}

/// What one bundle said: its answer, and each policy behind it in a sentence.
fn word(answer: &str, reasons: &[String], bundle: Option<&Bundle>) -> (Object, String) {
    let mut text = answer.to_owned();
    if reasons.is_empty() {
        text.push_str(": none of its policies permits the call");
    }
    let mut policies = Vec::new();
    for name in reasons {
        let id = name.strip_prefix("policy:").unwrap_or(name);
        match bundle.and_then(|bundle| bundle.policy(id)) {
            Some(policy) => {
                let (does, file, line) = (policy.does.as_str(), &policy.file, policy.line);
                text.push_str(&format!(
                    "\n    {does:<9} {id} ({file}:{line})\n              {}",
                    policy.reason
                ));
                policies.push(about(policy));
            }
            None => {
                text.push_str(&format!("\n    {id}"));
                policies.push(Object::new().with("id", id).into());
            }
        }
    }
    (Object::new().with("answer", answer).with("policies", policies), text)
}

/// A past decision, from its entry alone: no text is opened.
pub(super) fn past(data: &DataDir, action: &ActionId, out: Output) -> Result<(), CliError> {
    let found = data.authority.explain(action).map_err(|refusal| match refusal {
        Refusal::Unknown { .. } => CliError::not_found(
            "unknown-action",
            format!("there is no action `{action}`"),
            "look it up with `bailiwick audit query`",
        ),
        other => other.into(),
    })?;
    let (decision, reason) = (found.decision.as_str(), found.reason.as_deref());
    let mut object = Object::new()
        .with("action", action)
        .with("at", found.at.to_string())
        .with("decision", decision)
        .with("reason", reason)
        .with("rule", found.rule.as_deref());
    let why = reason.map(|code| format!(" ({code})")).unwrap_or_default();
    let mut page = format!("action {action}\n  decided    {decision}{why}, at {}", found.at);
    let mut words = Vec::new();
    for w in &found.words {
        let (name, digest) = (place(w.place), w.bundle.digest);
        let reasons: Vec<String> = w.policies.iter().map(|policy| policy.id.clone()).collect();
        let (said, told) = word(&w.answer, &reasons, w.bundle.kept.as_deref());
        object.insert(name, said.with("bundle", digest));
        words.push(format!("\n  {name:<10} {digest} said {told}"));
    }
    let sentence = found.sentence;
    match &found.rule {
        Some(rule) => {
            let told = sentence.as_deref().map(|s| format!(": {s}")).unwrap_or_default();
            page.push_str(&format!("\n  settled by {rule}{told}"));
            object.insert("sentence", sentence);
        }
        None => {
            let told = sentence.unwrap_or_default();
            page.push_str(&format!("\n  settled    not by policy: {told}"));
        }
    }
    page.push_str(&words.concat());
    if words.is_empty() {
        page.push_str("\n  policy     was not asked");
    }
    out.result(object, page);
    Ok(())
}

/// What records call the bundle that was published for a place.
const fn place(place: Place) -> &'static str {
    match place {
        Place::Enforced => "policy",
        Place::Candidate => "candidate",
    }
}

/// A described call, decided by nobody.
pub(super) fn call(call: &Call, policies: &Policies, out: Output) {
    let (decision, heard) = policies.decide(&call.input());
    let (rules, finding) = (decide(&call.input()), decision.finding());
    let mut object = Object::new()
        .with("decision", decision.as_str())
        .with("rule", finding.rule.as_ref())
        .with("sentence", finding.reason.as_ref())
        .with("built_in", rules.as_str());
    let mut page = format!(
        "a call of {} by {} would get {}\n  settled by {}: {}\n  built-in   said {}",
        call.tool,
        call.agent,
        decision.as_str(),
        finding.rule,
        finding.reason,
        rules.as_str(),
    );
    let said = |w: &Word, bundle: Option<&Bundle>| {
        let reasons: Vec<String> = w.reasons().collect();
        word(w.evaluation.answer.as_str(), &reasons, bundle)
    };
    for (name, heard, bundle) in [
        ("policy", &heard.enforced, &policies.enforced),
        ("candidate", &heard.candidate, &policies.candidate),
    ] {
        if let Some(w) = heard {
            let (words, told) = said(w, bundle.as_deref());
            object.insert(name, words.with("bundle", w.bundle));
            page.push_str(&format!("\n  {name:<10} {} said {told}", w.bundle));
        }
    }
    out.result(object, page);
}
