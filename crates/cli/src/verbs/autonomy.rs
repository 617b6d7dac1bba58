//! `autonomy`: how far a workflow's agents may act without a person.

use bailiwick_authority::Sayer;
use bailiwick_core::approval::Signed;
use bailiwick_core::autonomy::Raise;
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::autonomy::RaiseError;
use bailiwick_policy::checklist::Measure;
use bailiwick_policy::grades::Level;

use super::place::{Place, text};
use crate::args::AutonomyVerb;
use crate::confirm::confirmed;
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
                    .with("changes", u64::from(raise.changes))
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
        AutonomyVerb::Raise { workflow, key, yes } => {
            raise(place, &WorkflowId::parse(workflow)?, &PrincipalKey::read(key)?, *yes, out)
        }
    }
}

/// Shows what is signed, asks, and signs.
fn raise(
    place: &Place,
    id: &WorkflowId,
    key: &PrincipalKey,
    yes: bool,
    out: Output,
) -> Result<(), CliError> {
    let shown = place.autonomy(id)?;
    let raise = proposed(id, &shown)?;
    out.say(format!(
        "{}\n  to sign    {} (recomputed here): from `{}` to `{}`",
        described(&shown),
        raise.digest(),
        raise.from,
        raise.to,
    ));
    // What keeps it from being raised is told before anybody is asked to sign.
    let unmet: Vec<&str> = list(&shown, "unmet").iter().filter_map(Json::as_str).collect();
    if let Some(why) = unmet.first() {
        let refusal = RaiseError::Targets { why: one_line(why) };
        return Err(CliError::refused(refusal.code(), refusal.to_string(), refusal.remedy()));
    }
    let question = format!("sign that {id} is raised to `{}`?", raise.to);
    if !yes && !confirmed(&question, "`raise` asks before it signs")? {
        let remedy = "look at the figures, and sign when they convince you";
        return Err(CliError::refused("not-confirmed", "nothing was signed", remedy));
    }
    let signed = raise.sign(&*key.key).map_err(web::signing)?;
    let done = place.raise(&raise, signed, key)?;
    let words = match done.member("changed") {
        Some(Json::Bool(true)) => format!("{id} is `{}` from now on", raise.to),
        _ => {
            let needed = needed(&place.autonomy(id)?);
            format!(
                "signed; {id} stays `{}` until {needed} signs the same, before {}",
                raise.from, raise.expires
            )
        }
    };
    out.result(done.with("digest", raise.digest()), words);
    out.next(&[&format!("bailiwick autonomy show {id}")]);
    Ok(())
}

/// Whose signatures are still needed, in words.
fn needed(shown: &Object) -> String {
    let needed = list(shown, "needed").iter().filter_map(Json::as_str);
    let needed: Vec<String> = needed.map(one_line).collect();
    match needed.is_empty() {
        true => "the other part".to_owned(),
        false => needed.join(", and "),
    }
}

fn list<'o>(shown: &'o Object, name: &str) -> &'o [Json] {
    shown.member(name).and_then(Json::as_array).unwrap_or_default()
}

/// The level that can be signed next.
fn next(shown: &Object) -> Option<&str> {
    shown.member("next")?.as_object()?.member("level")?.as_str()
}

fn time(shown: &Object, name: &str) -> Option<Timestamp> {
    shown.member(name)?.as_str()?.parse().ok()
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
    let stated = Digest::from_text(text(shown, "figures_digest"));
    let hidden = *figures == Json::Null;
    let figures = sha256(figures.canonical().as_bytes());
    if hidden && stated != Some(figures) {
        return Err(CliError::refused(
            "autonomy-signer",
            "you may neither see its figures nor sign that it is raised",
            RaiseError::Signer.remedy(),
        ));
    }
    if stated != Some(figures) {
        return Err(wrong("the figures are others"));
    }
    let version = Digest::from_text(text(shown, "version"));
    let changes = shown.member("change_count").and_then(|n| n.as_number()?.as_plain_integer());
    let changes = changes.and_then(|n| u32::try_from(n).ok());
    let now = Timestamp::from_seconds(host::now().seconds());
    Ok(Raise {
        workflow: id.clone(),
        version: version.ok_or_else(|| wrong("the version cannot be read"))?,
        from: text(shown, "level").to_owned(),
        to: to.to_owned(),
        changes: changes.ok_or_else(|| wrong("the count of changes cannot be read"))?,
        figures,
        until: time(shown, "until").ok_or_else(|| wrong("the window cannot be read"))?,
        expires: time(shown, "expires").unwrap_or_else(|| now.plus_seconds(SIGNED_SECONDS)),
    })
}

/// The figures that are signed, a line each.
fn figures(shown: &Object) -> Vec<String> {
    let Some(figures) = shown.member("figures").and_then(Json::as_object) else {
        return Vec::new();
    };
    let whole = |of: &Object, name: &str| of.member(name)?.as_number()?.as_plain_integer();
    let runs = whole(figures, "runs").unwrap_or_default();
    let mut lines = vec![
        format!("  figures    {runs} runs up to {}, a whole hour", one_line(text(shown, "until"))),
        format!("             {}", one_line(text(shown, "figures_digest"))),
    ];
    for measure in Measure::ALL {
        let name = measure.as_str();
        let Some(of) = figures.member(name).and_then(Json::as_object) else { continue };
        if let (Some(hits), Some(all)) = (whole(of, "hits"), whole(of, "of")) {
            lines.push(format!("             {name}: {hits} of {all}"));
        }
        // Means have a sum and how many; costs, by currency.
        let by = of.iter().filter_map(|(unit, of)| Some((unit, of.as_object()?)));
        for (unit, of) in std::iter::once(("", of)).chain(by) {
            if let Some(n) = whole(of, "n").filter(|n| *n > 0) {
                let (unit, sum) = (one_line(unit), one_line(text(of, "sum")));
                lines.push(format!("             {name}: {sum} {unit} in {n}"));
            }
        }
    }
    lines
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
    lines.extend(figures(shown));
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
        let part = match text(signed, "part") {
            "owner" => "as its owner",
            "second" => "as the second one",
            _ => "counts no more",
        };
        lines.push(format!("  signed     {} {part}, {}", of("principal"), of("signed")));
    }
    if !list(shown, "waiting").is_empty() && !list(shown, "needed").is_empty() {
        lines.push(format!("  needed     {}, before {}", needed(shown), of("expires")));
    }
    for change in list(shown, "changes").iter().filter_map(Json::as_object) {
        let of = |name| one_line(text(change, name)).to_string();
        let signers = list(change, "signers").iter().filter_map(Json::as_str);
        let signers: Vec<String> = signers.map(one_line).collect();
        let who = match signers.is_empty() {
            true => of("principal"),
            false => format!("signed by {}", signers.join(" and ")),
        };
        let who = [who, of("reason")].into_iter().filter(|t| !t.is_empty());
        let who: String = who.map(|text| format!(", {text}")).collect();
        lines.push(format!("  {}  {} ({}){who}", of("changed"), of("level"), of("cause")));
    }
    lines.join("\n")
}
