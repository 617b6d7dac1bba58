//! `stop`, `stops` and `resume`: the stop button.

use bailiwick_authority::Sayer;
use bailiwick_core::approval::Signed;
use bailiwick_core::crypto::{Digest, from_base64url};
use bailiwick_core::ids::StopId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Disclosure;
use bailiwick_core::stop::{Resumption, StopTarget};
use bailiwick_core::time::Timestamp;

use super::place::{Place, text};
use crate::args::{ResumeArgs, StopArgs, StopsVerb};
use crate::error::CliError;
use crate::host;
use crate::keyfile::PrincipalKey;
use crate::output::{Output, one_line};
use crate::table::table;
use crate::web;

/// Shown at most.
const MOST: u32 = 200;
/// Seconds for which a signature is made: less than what is taken, since clocks
/// differ.
const SIGNED_SECONDS: i64 = 300;

impl Place {
    fn stop(&self, target: &StopTarget, reason: &str) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => {
                let made = data.authority.stop(target, reason)?;
                Ok(Object::new()
                    .with("stop", &made.stop)
                    .with("target", target)
                    .with("changed", made.changed))
            }
            Self::At(login) => {
                let body = Object::new().with("target", target).with("reason", reason);
                Self::post(login, "/stops", body)
            }
        }
    }

    fn stops(&self, all: bool) -> Result<Vec<Json>, CliError> {
        match self {
            Self::Here(data) => {
                let found = data.authority.stops(all, MOST)?;
                Ok(found.iter().map(|listed| listed.to_json().into()).collect())
            }
            Self::At(login) => {
                let path = if all { "/stops?all=true" } else { "/stops" };
                Self::list_of(login, path, "stops")
            }
        }
    }

    fn stop_shown(&self, id: &StopId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.stop_shown(None, id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/stops/{id}")),
        }
    }

    fn resume(
        &self,
        resumption: &Resumption,
        signed: String,
        key: &PrincipalKey,
    ) -> Result<Object, CliError> {
        let id = &resumption.stop;
        match self {
            Self::Here(data) => {
                // SECURITY: known by the key that signed, not by the rights to the data dir.
                let sayer = Sayer::Key(key.key.verifying_key().thumbprint());
                let signed = Signed::Key(signed);
                let done = data.authority.resume(sayer, id, resumption.expires, signed)?;
                Ok(done.to_json().with("stop", id))
            }
            Self::At(login) => {
                let body = Object::new()
                    .with("signed", signed)
                    .with("expires_at", resumption.expires.seconds());
                Self::post(login, &format!("/stops/{id}/resumptions"), body)
            }
        }
    }
}

pub(super) fn stop(args: &StopArgs, place: &Place, out: Output) -> Result<(), CliError> {
    let target = StopTarget::parse(&args.target)?;
    let made = place.stop(&target, &args.reason)?;
    let id = text(&made, "stop").to_owned();
    let head = match made.member("changed") {
        Some(Json::Bool(false)) => "is stopped already",
        _ => "is stopped",
    };
    out.result(
        made,
        format!(
            "{target} {head}\n  stop  {id}\nno call under it passes from now on; an owner resumes it, by signing"
        ),
    );
    out.next(&[
        &format!("bailiwick stops show {id}"),
        &format!("bailiwick resume {id} --key FILE"),
    ]);
    Ok(())
}

pub(super) fn stops(verb: StopsVerb, place: &Place, out: Output) -> Result<(), CliError> {
    match verb {
        StopsVerb::List { all } => list(place, all, out),
        StopsVerb::Show { id } => {
            let shown = place.stop_shown(&StopId::parse(&id)?)?;
            let words = described(&shown);
            let stands = text(&shown, "state") == "stands";
            out.result(shown, words);
            if stands {
                out.next(&[&format!("bailiwick resume {id} --key FILE")]);
            }
            Ok(())
        }
    }
}

fn list(place: &Place, all: bool, out: Output) -> Result<(), CliError> {
    let found = place.stops(all)?;
    let columns = ["stop", "target", "state", "by", "principal", "stopped", "reason"];
    let rows: Vec<Vec<String>> = found
        .iter()
        .filter_map(Json::as_object)
        .map(|o| columns.iter().map(|name| one_line(text(o, name)).to_string()).collect())
        .collect();
    let shown = match rows.as_slice() {
        [] => "nothing is stopped".to_owned(),
        rows => table(&columns, rows),
    };
    let first = found.first().and_then(Json::as_object).map(|o| text(o, "stop").to_owned());
    out.result(Object::new().with("stops", found), shown);
    if let Some(id) = first {
        out.next(&[&format!("bailiwick stops show {id}")]);
    }
    Ok(())
}

/// In plain words, control characters escaped.
fn described(shown: &Object) -> String {
    let of = |name| one_line(text(shown, name)).to_string();
    let signed = shown.member("signed").and_then(Json::as_array).unwrap_or_default();
    let signed: String = signed
        .iter()
        .filter_map(Json::as_object)
        .map(|s| {
            let of = |name| one_line(text(s, name)).to_string();
            let (who, grade, at) = (of("principal"), of("grade"), of("signed"));
            format!("\n  signed     {who} ({grade}), {at}")
        })
        .collect();
    let resumed = match text(shown, "resumed") {
        "" => String::new(),
        at => format!("\n  resumed    {}, by {}", one_line(at), of("resumed_by")),
    };
    let needed = shown.member("needed").map(Json::canonical).unwrap_or_default();
    format!(
        "{target}: {state}\n  by         {by} {principal}\n  since      {stopped}\n  reason     {reason}\n  to resume  {needed} owner(s) must sign{signed}{resumed}",
        target = of("target"),
        state = of("state"),
        by = of("by"),
        principal = of("principal"),
        stopped = of("stopped"),
        reason = of("reason"),
    )
}

/// What would be signed, from what was shown: the commitment to the reason is
/// recomputed.
fn recomputed(id: &StopId, shown: &Object, expires: Timestamp) -> Result<Resumption, CliError> {
    let wrong = |what: &str| {
        CliError::refused(
            "stop-other-digest",
            format!("{what}: what is shown is not what would be resumed"),
            "do not sign; tell the operator, and look at the ledger",
        )
    };
    if text(shown, "stop") != id.as_str() {
        return Err(wrong("the names differ"));
    }
    let target = StopTarget::parse(text(shown, "target"));
    let target = target.map_err(|_| wrong("the target cannot be read"))?;
    let digest = Digest::from_text(text(shown, "reason_digest"));
    let reason = digest.ok_or_else(|| wrong("the reason's commitment cannot be read"))?;
    // An erased reason has a commitment only.
    if let Some(words) = shown.member("reason").and_then(Json::as_str) {
        let salt = from_base64url(text(shown, "reason_salt")).and_then(|s| s.try_into().ok());
        let salt = salt.ok_or_else(|| wrong("the reason's salt cannot be read"))?;
        let disclosure = Disclosure { salt, value: words.into() };
        if disclosure.commitment() != reason {
            return Err(wrong("the reason is another one"));
        }
    }
    Ok(Resumption { stop: id.clone(), target, reason, expires })
}

pub(super) fn resume(args: &ResumeArgs, place: &Place, out: Output) -> Result<(), CliError> {
    let id = StopId::parse(&args.id)?;
    let key = PrincipalKey::read(&args.key)?;
    let shown = place.stop_shown(&id)?;
    let expires = Timestamp::from_seconds(host::now().seconds()).plus_seconds(SIGNED_SECONDS);
    let resumption = recomputed(&id, &shown, expires)?;
    let signed = resumption.sign(&*key.key).map_err(web::signing)?;
    let done = place.resume(&resumption, signed, &key)?;
    let target = &resumption.target;
    let ended = text(&done, "state") == "resumed";
    let words = match ended {
        true => format!("{target} is resumed: calls under it pass again if they still may"),
        false => format!(
            "{target} is still stopped: another owner must sign too, within {} minutes",
            SIGNED_SECONDS / 60
        ),
    };
    out.result(done.with("target", target), format!("{}\n{words}", described(&shown)));
    out.next(&["bailiwick stops list"]);
    Ok(())
}
