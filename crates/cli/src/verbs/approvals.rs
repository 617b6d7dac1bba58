//! `approvals`: calls that wait for a person.

use std::path::Path;

use bailiwick_authority::{Denying, Sayer};
use bailiwick_core::approval::{Question, Signed, Verdict};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{ApprovalId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use reqwest::Method;

use super::parse::seconds;
use super::place::{Place, text};
use crate::args::{ApprovalsVerb, ApproverKeyVerb};
use crate::error::CliError;
use crate::host;
use crate::keyfile::{Algorithm, PrincipalKey};
use crate::output::{Output, one_line};
use crate::table::table;
use crate::web;

mod batch;
mod inbox;
mod standing;

impl Place {
    fn approval(&self, id: &ApprovalId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.approval_read(None, id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/approvals/{id}")),
        }
    }

    fn say(&self, saying: &Saying, signed: String, key: &PrincipalKey) -> Result<String, CliError> {
        let Saying { id, verdict, note, suggestion, revoke } = saying;
        match self {
            Self::Here(data) => {
                // SECURITY: known by the key that signed, not by the rights to the data dir.
                let sayer = Sayer::Key(key.key.verifying_key().thumbprint());
                let (signed, note) = (Signed::Key(signed), note.clone());
                let state = match verdict {
                    Verdict::Approve => {
                        data.authority.approval_say(sayer, id, *verdict, signed, note)?
                    }
                    Verdict::Deny => {
                        let suggestion = suggestion.clone();
                        let denying = Denying { note, suggestion, revoke: *revoke };
                        data.authority.approval_deny(sayer, id, signed, denying)?
                    }
                };
                Ok(state.as_str().to_owned())
            }
            Self::At(login) => {
                let mut body =
                    Object::new().with("verdict", verdict.as_str()).with("signed", signed);
                if let Some(note) = note {
                    body.insert("note", note.as_str());
                }
                if let Some(suggestion) = suggestion {
                    body.insert("suggestion", suggestion.clone());
                }
                if *revoke {
                    body.insert("revoke", true);
                }
                let answer = Self::post(login, &format!("/approvals/{id}/verdicts"), body)?;
                let state = answer.member("state").and_then(Json::as_str);
                Ok(state.unwrap_or("pending").to_owned())
            }
        }
    }
}

pub(super) fn run(
    verb: ApprovalsVerb,
    at: Option<&str>,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    let place = Place::open(at, dir, logins)?;
    match verb {
        ApprovalsVerb::List(args) => inbox::list(&place, *args, out),
        ApprovalsVerb::Metrics { since } => inbox::metrics(&place, seconds(&since)?, out),
        ApprovalsVerb::Show { id } => show(&place, &ApprovalId::parse(&id)?, out),
        ApprovalsVerb::Approve { ids, key, note } => {
            let key = PrincipalKey::read(&key)?;
            let mut parsed = Vec::with_capacity(ids.len());
            for id in &ids {
                parsed.push(ApprovalId::parse(id)?);
            }
            match <[ApprovalId; 1]>::try_from(parsed) {
                Ok([id]) => {
                    let verdict = Verdict::Approve;
                    let saying = Saying { id, verdict, note, suggestion: None, revoke: false };
                    say(&place, &saying, &key, out)
                }
                Err(many) => batch::approve(&place, &many, note, &key, out),
            }
        }
        ApprovalsVerb::Standing(verb) => standing::run(verb, &place, out),
        ApprovalsVerb::Deny { id, key, note, suggest, revoke } => {
            let suggestion = suggest.as_deref().map(suggested).transpose()?;
            let (id, verdict) = (ApprovalId::parse(&id)?, Verdict::Deny);
            let saying = Saying { id, verdict, note, suggestion, revoke };
            say(&place, &saying, &PrincipalKey::read(&key)?, out)
        }
        ApprovalsVerb::Key(verb) => key(verb, &place, out),
        ApprovalsVerb::Vouch { credential } => vouch(&place, &credential, out),
    }
}

/// The arguments of a suggestion as they are written on the command line.
fn suggested(text: &str) -> Result<Json, CliError> {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).map_err(|e| {
        CliError::usage(
            "suggestion-malformed",
            format!("the suggestion is no JSON: {e}"),
            "write an object of arguments, such as --suggest '{\"amount\": 20}'",
        )
    })
}

/// What would be signed, from what was shown: the action's digest is recomputed.
struct Recomputed {
    question: Question,
    arguments: Json,
}

fn recomputed(id: &ApprovalId, shown: &Object) -> Result<Recomputed, CliError> {
    let wrong = |what: &str| {
        CliError::refused(
            "approval-other-digest",
            format!("{what}: what is shown is not what would be approved"),
            "do not decide; tell the operator, and look at the ledger",
        )
    };
    let action = shown.member("action").filter(|a| a.as_object().is_some()).ok_or_else(|| {
        CliError::refused(
            "approval-text-gone",
            "the text of the action was erased, so nobody can see what it is",
            "deny it, or let it expire",
        )
    })?;
    let stated = Digest::from_text(text(shown, "action_digest"));
    let digest = sha256(action.canonical().as_bytes());
    if stated != Some(digest) {
        return Err(wrong("the action's digest is another one"));
    }
    let preimage = action.as_object();
    let tool = preimage.and_then(|o| o.member("tool")?.as_str());
    if tool != Some(text(shown, "tool")) || text(shown, "approval") != id.as_str() {
        return Err(wrong("the names differ"));
    }
    let policy = Digest::from_text(text(shown, "policy"));
    let expires = shown.member("expires_at").and_then(|e| e.as_number()?.as_plain_integer());
    let (Some(policy), Some(expires)) = (policy, expires) else {
        return Err(wrong("policy or end are missing"));
    };
    Ok(Recomputed {
        question: Question {
            id: id.clone(),
            action: digest,
            policy,
            rule: text(shown, "rule").to_owned(),
            expires: Timestamp::from_seconds(expires),
        },
        arguments: preimage.and_then(|o| o.member("arguments")).cloned().unwrap_or(Json::Null),
    })
}

fn show(place: &Place, id: &ApprovalId, out: Output) -> Result<(), CliError> {
    let shown = place.approval(id)?;
    let recomputed = recomputed(id, &shown)?;
    let question = &recomputed.question;
    let (approve, deny) = (question.digest(Verdict::Approve), question.digest(Verdict::Deny));
    let words = described(&shown, &recomputed);
    let object = shown
        .with("digest", Object::new().with("approve", approve).with("deny", deny))
        .with("recomputed", true);
    out.result(
        object,
        format!("{words}\n  to sign    approve {approve}\n             deny    {deny}"),
    );
    out.next(&[
        &format!("bailiwick approvals approve {id} --key FILE"),
        &format!("bailiwick approvals deny {id} --key FILE --note 'why'"),
    ]);
    Ok(())
}

/// In plain words, control characters escaped.
fn described(shown: &Object, recomputed: &Recomputed) -> String {
    let of = |name| one_line(text(shown, name)).to_string();
    let arguments = recomputed.arguments.as_object().map(|arguments| {
        let line = |(name, value): (&str, &Json)| {
            format!("    {} = {}", one_line(name), one_line(&value.canonical()))
        };
        arguments.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    let verdicts = shown.member("verdicts").and_then(Json::as_array).unwrap_or_default();
    let said = verdicts.iter().filter_map(Json::as_object).map(|v| {
        let note = match text(v, "note") {
            "" => String::new(),
            note => format!(": {}", one_line(note)),
        };
        let suggestion = v.member("suggestion").filter(|s| s.as_object().is_some());
        let suggestion = suggestion.map_or(String::new(), |suggestion| {
            format!("\n             suggests {}", one_line(&suggestion.canonical()))
        });
        format!(
            "\n  said       {} {} ({}){note}{suggestion}",
            text(v, "approver"),
            text(v, "verdict"),
            text(v, "grade")
        )
    });
    let said: String = said.collect();
    format!(
        "{agent} wants to call {tool} for {principal}\n{arguments}\n  purpose    {purpose}\n  risk       {risk}\n  asked by   {rule}\n  state      {state}\n  until      {expires}{said}\n  action     {digest} (recomputed here)",
        agent = of("agent"),
        tool = of("tool"),
        principal = of("principal"),
        arguments = arguments.unwrap_or_default(),
        purpose = of("purpose"),
        risk = of("risk"),
        rule = of("rule"),
        state = of("state"),
        expires = of("expires"),
        digest = recomputed.question.action,
    )
}

struct Saying {
    id: ApprovalId,
    verdict: Verdict,
    note: Option<String>,
    suggestion: Option<Json>,
    revoke: bool,
}

fn say(place: &Place, saying: &Saying, key: &PrincipalKey, out: Output) -> Result<(), CliError> {
    let (id, verdict) = (&saying.id, saying.verdict);
    let shown = place.approval(id)?;
    let recomputed = recomputed(id, &shown)?;
    let signed = recomputed.question.sign(verdict, &*key.key).map_err(web::signing)?;
    let words = described(&shown, &recomputed);
    let state = place.say(saying, signed, key)?;
    let done = match (verdict, state.as_str()) {
        (Verdict::Approve, "pending") => "approved by you; others must agree",
        (Verdict::Approve, _) => "approved: it happens once, when the agent asks again",
        (Verdict::Deny, _) if saying.revoke => "denied, and the delegation is taken back",
        (Verdict::Deny, _) => "denied: the agent is told when it asks again",
    };
    let object = Object::new()
        .with("approval", id)
        .with("verdict", verdict.as_str())
        .with("state", state.as_str())
        .with("revoked", saying.revoke)
        .with("action_digest", recomputed.question.action);
    out.result(object, format!("{words}\n{done}"));
    out.next(&["bailiwick approvals list"]);
    Ok(())
}

fn whose(whose: Option<String>, place: &Place) -> Result<PrincipalId, CliError> {
    match (whose, place) {
        (Some(name), Place::Here(_)) => Ok(PrincipalId::parse(&name)?),
        (None, Place::At(login)) => {
            let me = Place::get(login, "/me")?;
            Ok(PrincipalId::parse(text(&me, "principal"))?)
        }
        (None, Place::Here(_)) => Err(CliError::usage(
            "argument-missing",
            "whose key is it?",
            "pass --for user:NAME, or sign in and use --at",
        )),
        (Some(_), Place::At(_)) => {
            Err(CliError::usage("not-at", "with --at it is your own key", "leave --for out"))
        }
    }
}

fn key(verb: ApproverKeyVerb, place: &Place, out: Output) -> Result<(), CliError> {
    match verb {
        ApproverKeyVerb::New { whose: name, out: file, name: label } => {
            let id = whose(name, place)?;
            let key = PrincipalKey::create(&file, &id, Algorithm::Ed25519)?;
            let enrolled = match place {
                Place::Here(data) => {
                    let public = key.key.verifying_key();
                    let made = data.authority.approver_key_add(&id, &public, &label);
                    // A key that signs nothing is not left behind.
                    let made = made.inspect_err(|_| drop(std::fs::remove_file(&file)))?;
                    Object::new()
                        .with("credential", made.id.as_str())
                        .with("trusted", made.trusted.map(|at| at.to_string()))
                }
                Place::At(login) => {
                    let body = Object::new().with("jwk", key.jwk()).with("name", label.as_str());
                    Place::post(login, "/approver-keys", body)?
                }
            };
            let from = text(&enrolled, "trusted").to_owned();
            let credential = text(&enrolled, "credential").to_owned();
            // RFC 3339 in UTC and of one length: later is greater.
            let waits = from > host::now().to_string();
            let why = if waits {
                " (a new key counts after `approvals.new_key_hours`,\n              or when another owner vouches for it)"
            } else {
                ""
            };
            let words = format!(
                "{id} signs verdicts with this key\n  key         {}\n  credential  {credential}\n  counts from {from}{why}",
                file.display(),
            );
            let url = match place {
                Place::Here(data) => data.config.public_url(),
                Place::At(login) => login.url().to_owned(),
            };
            let object = enrolled.with("principal", &id).with("key", file.display().to_string());
            out.result(object, words);
            if waits {
                out.next(&[&format!(
                    "bailiwick --at {url} approvals vouch {credential}   # another owner, signed in"
                )]);
            } else {
                out.next(&["bailiwick approvals list"]);
            }
            Ok(())
        }
        ApproverKeyVerb::List { whose: name } => {
            let id = whose(name, place)?;
            let keys: Vec<Json> = match place {
                Place::Here(data) => {
                    let keys = data.authority.approver_keys(&id)?;
                    keys.iter().map(|key| key.to_json().into()).collect()
                }
                Place::At(login) => {
                    let answer = Place::get(login, "/approver-keys")?;
                    answer.member("keys").and_then(Json::as_array).unwrap_or_default().to_vec()
                }
            };
            let columns = ["credential", "name", "trusted", "thumbprint"];
            let rows: Vec<Vec<String>> = keys
                .iter()
                .filter_map(Json::as_object)
                .map(|o| columns.iter().map(|name| one_line(text(o, name)).to_string()).collect())
                .collect();
            let shown = match rows.as_slice() {
                [] => format!("{id} has no approver key"),
                rows => table(&columns, rows),
            };
            out.result(Object::new().with("principal", &id).with("keys", keys), shown);
            Ok(())
        }
    }
}

fn vouch(place: &Place, credential: &str, out: Output) -> Result<(), CliError> {
    let Place::At(login) = place else {
        return Err(CliError::usage(
            "owner-missing",
            "it takes an owner who is signed in, not the rights to a data dir",
            "sign in with `bailiwick login URL`, then use --at URL",
        ));
    };
    login.call(
        Method::POST,
        &format!("/api/v1/credentials/{credential}/vouch"),
        Some(&Object::new().into()),
    )?;
    let done = format!("{credential} may sign verdicts from now on");
    out.result(Object::new().with("credential", credential), done);
    Ok(())
}
