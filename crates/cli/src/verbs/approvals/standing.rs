//! `approvals standing`: the same again.

use bailiwick_authority::Sayer;
use bailiwick_core::approval::Signed;
use bailiwick_core::approval::standing::{Bounds, Terms, TermsError, Use, exactly};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ApprovalId, StandingId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::{ArgumentRules, Scope};

use super::super::place::{Place, text};
use super::{Recomputed, described, recomputed};
use crate::args::{StandingArgs, StandingVerb};
use crate::error::CliError;
use crate::host;
use crate::keyfile::PrincipalKey;
use crate::output::{Output, one_line};
use crate::table::table;
use crate::verbs::parse;
use crate::web;

/// Shown at most.
const MOST: u32 = 200;

impl Place {
    fn standings(&self, all: bool) -> Result<Vec<Json>, CliError> {
        match self {
            Self::Here(data) => {
                let found = data.authority.standings(None, all, MOST)?;
                Ok(found.iter().map(|shown| shown.to_json().into()).collect())
            }
            Self::At(login) => {
                let path = "/standing-approvals";
                let path = if all { format!("{path}?all=true") } else { path.to_owned() };
                let answer = Self::get(login, &path)?;
                let list = answer.member("standings").and_then(Json::as_array);
                Ok(list.unwrap_or_default().to_vec())
            }
        }
    }

    fn standing(&self, id: &StandingId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.standing(None, id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/standing-approvals/{id}")),
        }
    }

    /// Hands in a signature on terms; gives where they stand then.
    fn stand(
        &self,
        asked: &ApprovalId,
        terms: &Terms,
        key: &PrincipalKey,
        note: Option<String>,
    ) -> Result<String, CliError> {
        let signed = terms.sign(&*key.key).map_err(web::signing)?;
        match self {
            Self::Here(data) => {
                // SECURITY: known by the key that signed, not by the rights to the data dir.
                let sayer = Sayer::Key(key.key.verifying_key().thumbprint());
                let (terms, signed) = (terms.clone(), Signed::Key(signed));
                let state = data.authority.standing_approve(sayer, asked, terms, signed, note)?;
                Ok(state.to_owned())
            }
            Self::At(login) => {
                let body = Object::new()
                    .with("terms", terms.statement())
                    .with("signed", signed)
                    .with("note", note);
                let path = format!("/approvals/{asked}/standing-approvals");
                Ok(text(&Self::post(login, &path, body)?, "state").to_owned())
            }
        }
    }

    fn revoke_standing(&self, id: &StandingId, reason: &str) -> Result<(), CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.standing_revoke(None, id, reason)?),
            Self::At(login) => {
                let body = Object::new().with("reason", reason);
                Self::post(login, &format!("/standing-approvals/{id}/revoke"), body).map(drop)
            }
        }
    }
}

pub(super) fn run(verb: StandingVerb, place: &Place, out: Output) -> Result<(), CliError> {
    match verb {
        StandingVerb::Approve(args) => approve(place, args, out),
        StandingVerb::Sign { id, key, note } => {
            let id = StandingId::parse(&id)?;
            sign(place, &id, &PrincipalKey::read(&key)?, note, out)
        }
        StandingVerb::List { all } => list(place, all, out),
        StandingVerb::Show { id } => {
            let id = StandingId::parse(&id)?;
            let shown = place.standing(&id)?;
            let words = words(&shown, &terms_of(&id, &shown)?);
            out.result(shown, words);
            out.next(&[&format!("bailiwick approvals standing revoke {id} --reason 'why'")]);
            Ok(())
        }
        StandingVerb::Revoke { id, reason } => {
            let id = StandingId::parse(&id)?;
            place.revoke_standing(&id, &reason)?;
            let done = format!("{id} lets nothing pass any more");
            out.result(Object::new().with("standing", &id).with("state", "revoked"), done);
            Ok(())
        }
    }
}

fn refused(e: &TermsError) -> CliError {
    CliError::usage(e.code(), e.to_string(), e.remedy())
}

fn approve(place: &Place, args: StandingArgs, out: Output) -> Result<(), CliError> {
    let id = ApprovalId::parse(&args.id)?;
    let key = PrincipalKey::read(&args.key)?;
    let shown = place.approval(&id)?;
    let recomputed = recomputed(&id, &shown)?;
    let terms = offered(&args, &shown, &recomputed)?;
    let state = place.stand(&id, &terms, &key, args.note)?;
    told(&described(&shown, &recomputed), &terms, &state, out);
    Ok(())
}

fn told(of: &str, terms: &Terms, state: &str, out: Output) {
    let done = match state {
        "waiting" => "signed by you; others must sign the same terms",
        _ => "calls within these terms pass from now on",
    };
    let object = Object::new()
        .with("standing", &terms.id)
        .with("state", state)
        .with("digest", terms.digest())
        .with("terms", terms.statement());
    out.result(object, format!("{of}\n{}\n{done}", bounds(terms)));
    let (show, sign, revoke) = (
        format!("bailiwick approvals standing show {}", terms.id),
        format!("bailiwick approvals standing sign {} --key FILE", terms.id),
        format!("bailiwick approvals standing revoke {} --reason 'why'", terms.id),
    );
    match state {
        "waiting" => out.next(&[&sign, &revoke]),
        _ => out.next(&[&show, &revoke]),
    }
}

/// The terms that the arguments ask for, about the call as it was recomputed.
fn offered(
    args: &StandingArgs,
    shown: &Object,
    recomputed: &Recomputed,
) -> Result<Terms, CliError> {
    let wrong = || {
        CliError::refused(
            "approval-other-digest",
            "root or tool are missing: what is shown cannot be approved",
            "do not decide; tell the operator, and look at the ledger",
        )
    };
    let action = shown.member("action").and_then(Json::as_object).ok_or_else(wrong)?;
    let digest = |name| action.member(name).and_then(Json::as_str).and_then(Digest::from_text);
    let tool = ToolId::parse(text(action, "tool")).map_err(|_| wrong())?;
    let arguments = recomputed.arguments.as_object().ok_or_else(wrong)?;
    let call = Use {
        root: digest("root").ok_or_else(wrong)?,
        tool: tool.as_str(),
        pin: digest("pin"),
        arguments,
        policy: recomputed.question.policy,
        rule: &recomputed.question.rule,
    };
    let now = host::now();
    let random = host::random().map_err(|_| {
        CliError::environment("no-entropy", "the system gives no random bytes", "try again")
    })?;
    let bounds = Bounds {
        arguments: loosened(args, arguments, &tool)?,
        count: args.count,
        from: now,
        until: now.plus_seconds(parse::seconds(&args.lasts)?),
    };
    let id = StandingId::mint(now, random);
    let terms = Terms::new(id, tool.clone(), &call, bounds).map_err(|e| refused(&e))?;
    if !terms.covers(&call) {
        return Err(CliError::usage(
            "standing-elsewhere",
            "the terms do not cover the call that waits",
            "let them permit its own arguments",
        ));
    }
    Ok(terms)
}

/// The call's own arguments, loosened where that was asked for.
fn loosened(
    args: &StandingArgs,
    arguments: &Object,
    tool: &ToolId,
) -> Result<ArgumentRules, CliError> {
    let own = exactly(arguments).map_err(|e| refused(&e.into()))?;
    let Json::Object(mut map) = own.to_json() else { return Ok(own) };
    let loose = |text: &str| -> Result<(String, String), CliError> {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            CliError::usage("argument-malformed", "expected NAME=VALUE", "see --help")
        })?;
        if arguments.member(name).is_none() {
            return Err(CliError::usage(
                "argument-unknown",
                format!("the call has no argument `{name}`"),
                "name one that `bailiwick approvals show` shows",
            ));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    let json = |text: &str| Json::parse(text.as_bytes(), &JsonLimits::DEFAULT);
    for text in &args.most {
        let (name, value) = loose(text)?;
        let most = json(&value).ok().filter(|value| value.as_number().is_some());
        let most = most.ok_or_else(|| {
            CliError::usage("number-malformed", "expected NAME=NUMBER", "write `--most amount=50`")
        })?;
        let range = Object::new().with("constraint_type", "range");
        let range = match most.canonical().starts_with('-') {
            true => range,
            false => range.with("min", 0u64),
        };
        map.insert(name, range.with("max", most));
    }
    for text in &args.one_of {
        let (name, value) = loose(text)?;
        let values = value.split(',').map(|v| json(v).unwrap_or_else(|_| Json::from(v)));
        let values: Vec<Json> = values.collect();
        map.insert(name, Object::new().with("constraint_type", "one_of").with("values", values));
    }
    for text in &args.constraint {
        let (name, value) = loose(text)?;
        let constraint = json(&value).map_err(|e| {
            CliError::usage("constraint-malformed", e.to_string(), "write the constraint as JSON")
        })?;
        map.insert(name, constraint);
    }
    let depth = ChainLimits::DEFAULT.max_constraint_depth;
    let scope = Scope::parse(&Object::new().with(tool.as_str(), map), Dialect::Extended, depth);
    let scope = scope.map_err(|e| refused(&e.into()))?;
    Ok(scope.rules(tool.as_str()).cloned().unwrap_or(own))
}

/// What was signed, as it is recomputed here.
fn terms_of(id: &StandingId, shown: &Object) -> Result<Terms, CliError> {
    let wrong = |what: &str| {
        CliError::refused(
            "standing-other-digest",
            format!("{what}: what is shown is not what was signed"),
            "do not sign; tell the operator, and look at the ledger",
        )
    };
    let stated = shown.member("terms").filter(|terms| terms.as_object().is_some());
    let terms = Terms::from_json(stated.ok_or_else(|| wrong("the terms were erased"))?);
    let terms = terms.map_err(|e| refused(&e))?;
    let digest = Digest::from_text(text(shown, "digest"));
    let same = terms.id == *id
        && digest == Some(terms.digest())
        && terms.tool().as_str() == text(shown, "tool");
    if same { Ok(terms) } else { Err(wrong("the digest is another one")) }
}

fn sign(
    place: &Place,
    id: &StandingId,
    key: &PrincipalKey,
    note: Option<String>,
    out: Output,
) -> Result<(), CliError> {
    let shown = place.standing(id)?;
    let terms = terms_of(id, &shown)?;
    let asked = ApprovalId::parse(text(&shown, "approval"))?;
    let state = place.stand(&asked, &terms, key, note)?;
    told(&head(&shown), &terms, &state, out);
    Ok(())
}

fn list(place: &Place, all: bool, out: Output) -> Result<(), CliError> {
    let found = place.standings(all)?;
    let columns = ["standing", "agent", "tool", "principal", "state", "until"];
    let number = |o: &Object, name: &str| o.member(name).map(|n| n.canonical()).unwrap_or_default();
    let rows: Vec<Vec<String>> = found
        .iter()
        .filter_map(Json::as_object)
        .map(|o| {
            let mut row: Vec<String> =
                columns.iter().map(|name| one_line(text(o, name)).to_string()).collect();
            row.push(format!("{} of {}", number(o, "used"), number(o, "count")));
            row
        })
        .collect();
    let mut heads = columns.to_vec();
    heads.push("used");
    let shown = match rows.as_slice() {
        [] => "no standing approval lets anything pass".to_owned(),
        rows => table(&heads, rows),
    };
    let first = found.first().and_then(Json::as_object).map(|o| text(o, "standing").to_owned());
    out.result(Object::new().with("standings", found), shown);
    if let Some(id) = first {
        out.next(&[&format!("bailiwick approvals standing show {id}")]);
    }
    Ok(())
}

fn head(shown: &Object) -> String {
    let of = |name| one_line(text(shown, name)).to_string();
    format!("{} may call {} for {}", of("agent"), of("tool"), of("principal"))
}

/// The terms in words.
fn bounds(terms: &Terms) -> String {
    let constraints = terms.constraints();
    let constraints = constraints.as_object().map(|map| {
        let line = |(name, value): (&str, &Json)| {
            format!("    {} {}", one_line(name), one_line(&value.canonical()))
        };
        map.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    format!(
        "  arguments within\n{}\n  calls      {}\n  from       {}\n  until      {}\n  asked by   {}\n  root       {}\n  to sign    {}",
        constraints.unwrap_or_default(),
        terms.count,
        terms.from,
        terms.until,
        one_line(&terms.rule),
        terms.root,
        terms.digest(),
    )
}

fn words(shown: &Object, terms: &Terms) -> String {
    let used = shown.member("used").map(Json::canonical).unwrap_or_default();
    let signatures = shown.member("signatures").and_then(Json::as_array).unwrap_or_default();
    let signed: String = signatures
        .iter()
        .filter_map(Json::as_object)
        .map(|s| format!("\n  signed by  {} ({})", text(s, "approver"), text(s, "grade")))
        .collect();
    format!(
        "{}\n{}\n  used       {used}\n  state      {}{signed}",
        head(shown),
        bounds(terms),
        one_line(text(shown, "state")),
    )
}
