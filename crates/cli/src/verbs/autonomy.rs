//! `autonomy`: how far a workflow's agents may act without a person.

use bailiwick_authority::Sayer;
use bailiwick_core::approval::Signed;
use bailiwick_core::autonomy::Raise;
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::grades::Level;

use super::place::{Place, text};
use crate::args::AutonomyVerb;
use crate::error::CliError;
use crate::host;
use crate::keyfile::PrincipalKey;
use crate::output::{Output, one_line};
use crate::web;

/// Seconds for which a signature is made: less than what is taken, since clocks
/// differ.
const SIGNED_SECONDS: i64 = 86_000;

impl Place {
    fn autonomy(&self, id: &WorkflowId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.autonomy(id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/workflows/{id}/autonomy")),
        }
    }

    fn lower(&self, id: &WorkflowId, to: Level, reason: &str) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => {
                let level = data.authority.lower_autonomy(None, id, to, reason)?;
                Ok(state(id, level.as_str(), true))
            }
            Self::At(login) => {
                let body = Object::new().with("level", to.as_str()).with("reason", reason);
                Self::post(login, &format!("/workflows/{id}/autonomy/lower"), body)
            }
        }
    }

    fn raise(&self, raise: &Raise, signed: String, key: &PrincipalKey) -> Result<Object, CliError> {
        let id = &raise.workflow;
        match self {
            Self::Here(data) => {
                // SECURITY: known by the key that signed, not by the rights to the data dir.
                let sayer = Sayer::Key(key.key.verifying_key().thumbprint());
                let signed = Signed::Key(signed);
                let done = data.authority.raise_autonomy(sayer, id, raise.clone(), signed)?;
                Ok(state(id, &raise.to, done))
            }
            Self::At(login) => {
                let body = Object::new()
                    .with("version", raise.version)
                    .with("from", raise.from.as_str())
                    .with("to", raise.to.as_str())
                    .with("figures", raise.figures)
                    .with("until", raise.until.seconds())
                    .with("expires_at", raise.expires.seconds())
                    .with("signed", signed);
                Self::post(login, &format!("/workflows/{id}/autonomy/raise"), body)
            }
        }
    }
}

fn state(id: &WorkflowId, level: &str, changed: bool) -> Object {
    Object::new().with("workflow", id).with("level", level).with("changed", changed)
}

pub(super) fn run(verb: &AutonomyVerb, place: &Place, out: Output) -> Result<(), CliError> {
    match verb {
        AutonomyVerb::Show { workflow } => {
            let id = WorkflowId::parse(workflow)?;
            let shown = place.autonomy(&id)?;
            let words = described(&shown);
            let can = next(&shown).is_some() && list(&shown, "unmet").is_empty();
            out.result(shown, words);
            if can {
                out.next(&[&format!("bailiwick autonomy raise {id} --key FILE")]);
            } else {
                out.next(&[&format!("bailiwick metrics --workflow {id}")]);
            }
            Ok(())
        }
        AutonomyVerb::Lower { workflow, to, reason } => {
            let id = WorkflowId::parse(workflow)?;
            let to = to.parse().map_err(|_| {
                CliError::usage(
                    "level-unknown",
                    "this is no level",
                    "choose `manual`, `supervised` or `bounded`",
                )
            })?;
            let done = place.lower(&id, to, reason)?;
            out.result(done, format!("{id} is `{to}` from now on"));
            out.next(&[&format!("bailiwick autonomy show {id}")]);
            Ok(())
        }
        AutonomyVerb::Raise { workflow, key } => {
            let id = WorkflowId::parse(workflow)?;
            let key = PrincipalKey::read(key)?;
            let shown = place.autonomy(&id)?;
            let raise = proposed(&id, &shown)?;
            let signed = raise.sign(&*key.key).map_err(web::signing)?;
            let done = place.raise(&raise, signed, &key)?;
            let words = match done.member("changed") {
                Some(Json::Bool(true)) => format!("{id} is `{}` from now on", raise.to),
                _ => format!(
                    "signed; {id} stays `{}` until the other one signs the same, within a day",
                    raise.from
                ),
            };
            out.result(done, format!("{}\n{words}", described(&shown)));
            out.next(&[&format!("bailiwick autonomy show {id}")]);
            Ok(())
        }
    }
}

fn list<'o>(shown: &'o Object, name: &str) -> &'o [Json] {
    shown.member(name).and_then(Json::as_array).unwrap_or_default()
}

/// The level that can be signed next.
fn next(shown: &Object) -> Option<&str> {
    shown.member("next")?.as_object()?.member("level")?.as_str()
}

fn seconds(shown: &Object, name: &str) -> Option<Timestamp> {
    let number = shown.member(name)?.as_number()?.as_plain_integer()?;
    Some(Timestamp::from_seconds(number))
}

/// What would be signed, from what was shown: the figures' digest is recomputed, so
/// that what is read is what is signed.
fn proposed(id: &WorkflowId, shown: &Object) -> Result<Raise, CliError> {
    let wrong = |what: &str| {
        CliError::refused(
            "autonomy-other-digest",
            format!("{what}: what is shown is not what would be raised"),
            "do not sign; tell the operator, and look at the ledger",
        )
    };
    let Some(to) = next(shown) else {
        let next = shown.member("next").and_then(Json::as_object);
        let why = next.map(|next| text(next, "why")).unwrap_or_default();
        return Err(CliError::refused(
            "autonomy-not-raised",
            format!("it cannot be raised: {}", one_line(why)),
            "look at what is missing: `bailiwick autonomy show NAME`",
        ));
    };
    if text(shown, "workflow") != id.as_str() {
        return Err(wrong("the names differ"));
    }
    let figures = shown.member("figures").ok_or_else(|| wrong("there are no figures"))?;
    let figures = sha256(figures.canonical().as_bytes());
    if Digest::from_text(text(shown, "figures_digest")) != Some(figures) {
        return Err(wrong("the figures are others"));
    }
    let version = Digest::from_text(text(shown, "version"));
    let now = Timestamp::from_seconds(host::now().seconds());
    Ok(Raise {
        workflow: id.clone(),
        version: version.ok_or_else(|| wrong("the version cannot be read"))?,
        from: text(shown, "level").to_owned(),
        to: to.to_owned(),
        figures,
        until: seconds(shown, "until").ok_or_else(|| wrong("the window cannot be read"))?,
        expires: seconds(shown, "expires").unwrap_or_else(|| now.plus_seconds(SIGNED_SECONDS)),
    })
}

/// In plain words, control characters escaped.
fn described(shown: &Object) -> String {
    let of = |name| one_line(text(shown, name)).to_string();
    let mut lines = vec![
        format!("{}: {}", of("workflow"), of("level")),
        format!("  why        {}", of("why")),
        format!("  version    {} says {}", of("version"), of("declared")),
        format!("  checklist  supports {}", of("supports")),
    ];
    for missing in list(shown, "missing").iter().filter_map(Json::as_object) {
        let of = |name| one_line(text(missing, name)).to_string();
        lines.push(format!("  missing    {}: {}", of("member"), of("why")));
    }
    for unmet in list(shown, "unmet").iter().filter_map(Json::as_str) {
        lines.push(format!("  not met    {}", one_line(unmet)));
    }
    match next(shown) {
        Some(level) => lines.push(format!("  next       {}", one_line(level))),
        None => {
            let next = shown.member("next").and_then(Json::as_object);
            let why = next.map(|next| text(next, "why")).unwrap_or_default();
            lines.push(format!("  next       none: {}", one_line(why)));
        }
    }
    for signed in list(shown, "waiting").iter().filter_map(Json::as_object) {
        let of = |name| one_line(text(signed, name)).to_string();
        lines.push(format!("  signed     {}, {}", of("principal"), of("signed")));
    }
    for change in list(shown, "changes").iter().filter_map(Json::as_object) {
        let of = |name| one_line(text(change, name)).to_string();
        let who = [of("principal"), of("reason")].into_iter().filter(|t| !t.is_empty());
        let who: String = who.map(|text| format!(", {text}")).collect();
        lines.push(format!("  {}  {} ({}){who}", of("changed"), of("level"), of("cause")));
    }
    lines.join("\n")
}
