//! `policy explain`: which policies settled a decision, and why.

use std::path::Path;

use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::Reason;
use bailiwick_core::ids::ActionId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::call::Call;
use bailiwick_policy::decide::{Rule, decide};
use bailiwick_policy::in_force::Word;
use bailiwick_policy::{Bundle, Policies};

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

/// The sentence of a rule: a built-in one's, or that of a policy.
fn sentence(rule: &str, bundle: Option<&Bundle>) -> Option<String> {
    match rule.strip_prefix("policy:") {
        Some(id) => Some(bundle?.policy(id)?.reason.clone()),
        None => Rule::ALL.iter().find(|r| r.id() == rule).map(|rule| rule.explanation().to_owned()),
    }
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

/// A recorded word: the bundle, what it answered, and by which policies.
fn recorded(
    data: &DataDir,
    word: &Object,
) -> Option<(Digest, String, Vec<String>, Option<Bundle>)> {
    let digest = Digest::from_text(word.member("bundle")?.as_str()?)?;
    let reasons = word.member("reasons")?.as_array()?.iter();
    let reasons = reasons.filter_map(Json::as_str).map(str::to_owned).collect();
    let answer = word.member("answer")?.as_str()?.to_owned();
    Some((digest, answer, reasons, data.authority.policy_of(&digest).ok()))
}

/// A past decision, from its entry alone: no text is opened.
pub(super) fn past(data: &DataDir, action: &ActionId, out: Output) -> Result<(), CliError> {
    let entries = data.store().read(|view| view.entries_of_action(action))?;
    let decided = entries.into_iter().find(|e| e.kind == Kind::ActionDecided.as_str());
    let unknown = || {
        CliError::not_found(
            "unknown-action",
            format!("there is no action `{action}`"),
            "look it up with `bailiwick audit query`",
        )
    };
    let decided = decided.ok_or_else(unknown)?;
    let leaf = Json::parse(&decided.leaf, &JsonLimits::DEFAULT)?;
    let leaf = leaf.as_object().ok_or_else(unknown)?;
    let none = Object::new();
    let body = leaf.member("body").and_then(Json::as_object).unwrap_or(&none);
    let text = |name| leaf.member(name).and_then(Json::as_str);
    let decision = text("decision").unwrap_or_default();
    let rule = body.member("rule").and_then(Json::as_str);
    let mut object = Object::new()
        .with("action", action)
        .with("at", decided.time.to_string())
        .with("decision", decision)
        .with("reason", text("reason"))
        .with("rule", rule);
    let why = text("reason").map(|code| format!(" ({code})")).unwrap_or_default();
    let mut page = format!("action {action}\n  decided    {decision}{why}, at {}", decided.time);
    let mut words = Vec::new();
    let mut enforced = None;
    for (name, title) in [("policy", "policy"), ("candidate", "candidate")] {
        let said = body.member(name).and_then(Json::as_object).and_then(|w| recorded(data, w));
        let Some((digest, answer, reasons, bundle)) = said else { continue };
        let (said, told) = word(&answer, &reasons, bundle.as_ref());
        object.insert(name, said.with("bundle", digest));
        words.push(format!("\n  {title:<10} {digest} said {told}"));
        if name == "policy" {
            enforced = bundle;
        }
    }
    match rule {
        Some(rule) => {
            let sentence = sentence(rule, enforced.as_ref());
            let told = sentence.as_deref().map(|s| format!(": {s}")).unwrap_or_default();
            page.push_str(&format!("\n  settled by {rule}{told}"));
            object.insert("sentence", sentence);
        }
        None => {
            let reason = text("reason").and_then(Reason::parse);
            let told = reason.map_or("it did not come to policy", Reason::message);
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
