//! `failure`: what went wrong, what kind it is, and what keeps it from coming back.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bailiwick_authority::{Classification, Kept, Named, Resolution, trend_json};
use bailiwick_core::ids::{FailureId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::bundle::Answer;
use bailiwick_policy::cases;
use bailiwick_store::FailureFilter;
use url::form_urlencoded::Serializer;

use super::place::{Place, text};
use crate::args::{Expect, FailureVerb};
use crate::error::CliError;
use crate::output::{Output, one_line};
use crate::table::table;

/// Days that trends are about.
const TREND_DAYS: i64 = 91;
/// How a file of cases begins.
const HEAD: &str = "# Recorded decisions, kept as cases: bailiwick policy test FOLDER\ncases:\n";

impl From<Expect> for Answer {
    fn from(expect: Expect) -> Self {
        match expect {
            Expect::Allow => Self::Allow,
            Expect::ApprovalRequired => Self::ApprovalRequired,
            Expect::Deny => Self::Deny,
        }
    }
}

pub(super) fn run(verb: FailureVerb, place: &Place, out: Output) -> Result<(), CliError> {
    match verb {
        FailureVerb::List { all, workflow, agent, state, class, limit } => {
            let unresolved = !all && state.is_none();
            let filter = FailureFilter {
                workflow,
                agent,
                state: state.map(Into::into),
                class: class.map(Into::into),
                unresolved,
                before: None,
                limit,
            };
            list(place, &filter, out)
        }
        FailureVerb::Show { id } => show(place, &FailureId::parse(&id)?, out),
        FailureVerb::Trends => trends(place, out),
        FailureVerb::Classify { id, class, owner, note } => {
            let owner = owner.as_deref().map(PrincipalId::parse).transpose()?;
            let said = Classification { class: class.into(), owner, note };
            classify(place, &FailureId::parse(&id)?, said, out)
        }
        FailureVerb::Resolve { id, cases, no_regression: _, dismiss, link, why } => {
            let regression = match (cases, dismiss) {
                (Some(file), _) => Kept::Case(read(&file)?),
                (None, true) => Kept::Dismissed,
                (None, false) => Kept::None,
            };
            resolve(place, &FailureId::parse(&id)?, Resolution { link, why, regression }, out)
        }
        FailureVerb::Regression { id, expect, out: file } => {
            regression(place, &FailureId::parse(&id)?, expect.into(), &file, out)
        }
    }
}

fn read(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|e| {
        CliError::usage(
            "file-unreadable",
            format!("cannot read {}: {e}", file.display()),
            "name the file that `bailiwick failure regression` wrote",
        )
    })
}

fn list(place: &Place, filter: &FailureFilter, out: Output) -> Result<(), CliError> {
    let answer = match place {
        Place::Here(data) => {
            data.authority.check_names(None, &Named::from(filter))?;
            data.authority.failures(None, filter)?.to_json()
        }
        Place::At(login) => {
            let mut query = Serializer::new(String::new());
            let state = match filter.state {
                Some(state) => state.as_str(),
                None if filter.unresolved => "unresolved",
                None => "any",
            };
            query.append_pair("failure_state", state);
            query.append_pair("limit", &filter.limit.to_string());
            let class = filter.class.map(|class| class.as_str().to_owned());
            for (name, value) in
                [("workflow", &filter.workflow), ("agent", &filter.agent), ("class", &class)]
            {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            Place::get(login, &format!("/failures?{}", query.finish()))?
        }
    };
    let all = answer.member("failures").and_then(Json::as_array).unwrap_or_default();
    let columns = ["failure", "what", "reason", "times", "workflow", "tool", "class", "state"];
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter_map(Json::as_object)
        .map(|o| {
            let cell = |name: &&str| match *name {
                "times" => o.member("times").map(Json::canonical).unwrap_or_default(),
                "class" if text(o, "class").is_empty() => format!("{}?", text(o, "suggested")),
                name => one_line(text(o, name)).to_string(),
            };
            columns.iter().map(cell).collect()
        })
        .collect();
    let shown = match rows.as_slice() {
        [] => "nothing failed that is not resolved".to_owned(),
        rows => table(&columns, rows),
    };
    let first = all.first().and_then(Json::as_object).map(|o| text(o, "failure").to_owned());
    out.result(answer, shown);
    if let Some(id) = first {
        out.next(&[&format!("bailiwick failure show {id}")]);
    }
    Ok(())
}

fn show(place: &Place, id: &FailureId, out: Output) -> Result<(), CliError> {
    let shown = match place {
        Place::Here(data) => data.authority.failure_read(None, id)?.to_json(),
        Place::At(login) => Place::get(login, &format!("/failures/{id}"))?,
    };
    let of = |name: &str| one_line(text(&shown, name)).to_string();
    let mut lines = vec![format!(
        "{}: {} ({}), seen {} times",
        of("what"),
        of("reason"),
        of("state"),
        shown.member("times").map(Json::canonical).unwrap_or_default()
    )];
    for (title, name) in [
        ("first", "detected"),
        ("last", "last"),
        ("workflow", "workflow"),
        ("agent", "agent"),
        ("task", "task"),
        ("run", "run"),
        ("tool", "tool"),
        ("action", "action"),
        ("entry", "entry"),
        ("again", "again"),
        ("class", "class"),
        ("classified", "classified"),
        ("by", "classifier"),
        ("owner", "owner"),
        ("note", "note"),
        ("resolved", "resolved"),
        ("regression", "regression"),
        ("link", "link"),
        ("why", "why"),
    ] {
        if !text(&shown, name).is_empty() {
            lines.push(format!("  {title:<12} {}", of(name)));
        }
    }
    match shown.member("held_before").and_then(Json::as_bool) {
        None => {}
        Some(false) => lines.push("  its case     did not hold when it was detected".to_owned()),
        Some(true) => lines.push("  its case     held already: it shows no mend".to_owned()),
    }
    lines.push(format!("  suggested    {}: {}", of("suggested"), of("suggested_why")));
    if let Some(fix) = shown.member("fix").and_then(Json::as_object) {
        let less = fix.member("narrower").and_then(Json::as_array).unwrap_or_default();
        let less: Vec<&str> = less.iter().filter_map(Json::as_str).collect();
        lines.push(match less.as_slice() {
            [] => format!("  fix          by review: {}", one_line(text(fix, "review"))),
            tools => {
                format!("  fix          grant less: nobody used {}", one_line(&tools.join(", ")))
            }
        });
    }
    let suggested = text(&shown, "suggested").to_owned();
    let state = text(&shown, "state").to_owned();
    let replayable = shown.member("replayable").and_then(Json::as_bool) == Some(true);
    out.result(shown, lines.join("\n"));
    match (state.as_str(), replayable) {
        ("resolved", _) => {}
        ("detected", _) => {
            out.next(&[&format!("bailiwick failure classify {id} --class {suggested}")]);
        }
        (_, true) => {
            out.next(&[&format!(
                "bailiwick failure regression {id} --expect deny --out policies/cases.yaml"
            )]);
        }
        (_, false) => {
            out.next(&[&format!("bailiwick failure resolve {id} --no-regression --why '…'")]);
        }
    }
    Ok(())
}

fn trends(place: &Place, out: Output) -> Result<(), CliError> {
    let all = match place {
        Place::Here(data) => {
            let found = data.authority.failure_trends(None, TREND_DAYS)?;
            found.iter().map(|trend| trend_json(trend).into()).collect()
        }
        Place::At(login) => Place::list_of(login, "/failures/trends", "trends")?,
    };
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter_map(Json::as_object)
        .map(|o| {
            let class = match text(o, "class") {
                "" => "not classified",
                class => class,
            };
            let n = o.member("failures").map(Json::canonical).unwrap_or_default();
            vec![text(o, "week").to_owned(), one_line(class).to_string(), n]
        })
        .collect();
    let shown = match rows.as_slice() {
        [] => "nothing failed in the last quarter of a year".to_owned(),
        rows => table(&["week from", "class", "failures"], rows),
    };
    out.result(Object::new().with("trends", all), shown);
    Ok(())
}

fn classify(
    place: &Place,
    id: &FailureId,
    said: Classification,
    out: Output,
) -> Result<(), CliError> {
    let class = said.class;
    // Only what policy decided makes a case.
    let replayable = match place {
        Place::Here(data) => {
            data.authority.failure_classify(None, id, said)?;
            data.authority.failure_read(None, id)?.is_replayable
        }
        Place::At(login) => {
            let mut body = Object::new().with("class", class.as_str());
            if let Some(owner) = &said.owner {
                body.insert("owner", owner);
            }
            if let Some(note) = said.note {
                body.insert("note", note);
            }
            Place::post(login, &format!("/failures/{id}/classify"), body)?;
            let shown = Place::get(login, &format!("/failures/{id}"))?;
            shown.member("replayable").and_then(Json::as_bool).unwrap_or(false)
        }
    };
    let answer = Object::new()
        .with("failure", id)
        .with("class", class.as_str())
        .with("replayable", replayable);
    let mut shown = format!("{id} is one of {}", class.as_str());
    if replayable {
        out.result(answer, shown);
        out.next(&[
            &format!("bailiwick failure regression {id} --expect deny --out policies/cases.yaml"),
            &format!("bailiwick failure resolve {id} --cases policies/cases.yaml --link URL"),
        ]);
    } else {
        shown.push_str("\nit makes no case: policy decided nothing of it, or its texts are gone");
        out.result(answer, shown);
        out.next(&[&format!(
            "bailiwick failure resolve {id} --no-regression --why 'what was mended' --link URL"
        )]);
    }
    Ok(())
}

fn resolve(place: &Place, id: &FailureId, said: Resolution, out: Output) -> Result<(), CliError> {
    let regression = match &said.regression {
        Kept::Case(_) => "case",
        Kept::None => "none",
        Kept::Dismissed => "dismissed",
    };
    let held_before = match place {
        Place::Here(data) => data.authority.failure_resolve(None, id, said)?,
        Place::At(login) => {
            let mut body = Object::new().with("regression", regression);
            let cases = match said.regression {
                Kept::Case(cases) => Some(cases),
                Kept::None | Kept::Dismissed => None,
            };
            for (name, value) in [("cases", cases), ("link", said.link), ("why", said.why)] {
                if let Some(value) = value {
                    body.insert(name, value);
                }
            }
            let answer = Place::post(login, &format!("/failures/{id}/resolve"), body)?;
            answer.member("held_before").and_then(Json::as_bool)
        }
    };
    let answer = Object::new()
        .with("failure", id)
        .with("regression", regression)
        .with("held_before", held_before);
    let mut shown = format!("{id} is resolved ({regression})");
    shown.push_str(match held_before {
        None => "",
        Some(false) => ": the case holds under the policy in force, and did not when it was detected",
        Some(true) => {
            ": the case holds under the policy in force, and held already when it was detected.\nSo it shows no mend: it keeps what was decided"
        }
    });
    out.result(answer, shown);
    out.next(&["bailiwick failure list", "bailiwick failure trends"]);
    Ok(())
}

fn regression(
    place: &Place,
    id: &FailureId,
    expect: Answer,
    file: &Path,
    out: Output,
) -> Result<(), CliError> {
    let before = match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(read(file)?),
    };
    let name = cases::case_name(id);
    let known = before.as_deref().and_then(|text| cases::parse(text).ok()).unwrap_or_default();
    if known.iter().any(|case| case.name == name) {
        return Err(CliError::refused(
            "case-exists",
            format!("{} has the case `{name}` already", file.display()),
            "change what it expects there, or remove it first",
        ));
    }
    let case = match place {
        Place::Here(data) => data.authority.failure_case(None, id, expect)?,
        Place::At(login) => {
            let body = Object::new().with("expect", expect.as_str());
            let answer = Place::post(login, &format!("/failures/{id}/case"), body)?;
            text(&answer, "case").to_owned()
        }
    };
    let mut whole = before.clone().unwrap_or_else(|| HEAD.to_owned());
    if !whole.ends_with('\n') {
        whole.push('\n');
    }
    whole.push_str(&case);
    // What is added must be one more case of the list at the file's end, and nothing else.
    let count = |text: &str| cases::parse(text).map(|all| all.len()).unwrap_or(0);
    if count(&whole) != before.as_deref().map_or(0, count) + 1 {
        return Err(CliError::refused(
            "cases-elsewhere",
            format!("the case cannot be added at the end of {}", file.display()),
            "let the list `cases` be the last thing in the file, or name another file",
        ));
    }
    let failed = |e: std::io::Error| {
        CliError::environment(
            "file-unwritable",
            format!("cannot write {}: {e}", file.display()),
            "choose another file",
        )
    };
    // It holds what the call held: for nobody else.
    let mut opened =
        OpenOptions::new().create(true).append(true).mode(0o600).open(file).map_err(failed)?;
    let added = whole.get(before.as_deref().map_or(0, str::len)..).unwrap_or_default();
    opened.write_all(added.as_bytes()).map_err(failed)?;
    let answer = Object::new()
        .with("failure", id)
        .with("file", file.display().to_string())
        .with("case", cases::case_name(id))
        .with("expect", expect.as_str());
    let shown = format!(
        "{}: case `{}`, expecting `{}`\nit holds the call's arguments and the principal's name in clear text",
        file.display(),
        cases::case_name(id),
        expect.as_str()
    );
    out.result(answer, shown);
    out.next(&[
        "bailiwick policy test policies",
        &format!("bailiwick failure resolve {id} --cases {} --link URL", file.display()),
    ]);
    Ok(())
}
