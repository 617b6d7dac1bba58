//! Approvals for more than one call: standing ones, and many at once.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::approval::standing::{Bounds, Terms, TermsError, Use, exactly};
use bailiwick_core::approval::{ApprovalError, Batch, MAX_BATCH, Signed, SignedBatch, Verdict};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::{Digest, base64url};
use bailiwick_core::ids::{ApprovalId, StandingId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::{ArgumentRules, Scope};
use bailiwick_core::webauthn::Assertion;
use url::form_urlencoded;

use super::approvals::{arguments, id, line, name};
use super::confirm::Question;
use super::door::member;
use super::{Failure, Inner, Me, Visit, json, page, see};
use crate::console::{
    BatchLine, BatchPage, BoundLine, LooseLine, Moment, NewStandingPage, SaidLine, Section,
    Signable, StandingLine, StandingPage, TermsView, Text,
};
use crate::refusal::Refusal;
use crate::{Sayer, ShownApproval, ShownStanding};

/// What the form has before anybody fills it in.
const COUNT: u64 = 5;
const MINUTES: u64 = 60;
/// The reason of what a person takes back in the console.
const REASON: &str = "taken back in the console";

pub(super) fn standing_line(shown: &ShownStanding) -> StandingLine {
    let s = &shown.standing;
    StandingLine {
        id: s.id.to_string(),
        agent: Text::of(s.agent.as_str()),
        principal: name(shown.principal.as_ref()),
        tool: Text::of(s.tool.as_str()),
        state: shown.state,
        used: s.used,
        count: s.count,
        until: Moment::of(s.ends),
    }
}

fn view(terms: &Terms) -> (TermsView, String) {
    let constraints = terms.constraints();
    let bounds = constraints.as_object().map(|map| {
        let line = |(name, value): (&str, &Json)| BoundLine {
            name: Text::of(name),
            constraint: Text::of(value.canonical()),
        };
        map.iter().map(line).collect()
    });
    let view = TermsView {
        bounds: bounds.unwrap_or_default(),
        count: terms.count,
        from: Moment::of(terms.from),
        until: Moment::of(terms.until),
        rule: Text::of(&terms.rule),
        root: terms.root.to_string(),
        digest: terms.digest().to_string(),
    };
    (view, terms.statement().canonical())
}

/// How this person can sign `challenge`.
fn signing(cx: &Inner, me: &Me, challenge: &Digest) -> Result<Signable, Failure> {
    let Ok(party) = cx.passkeys.as_ref() else {
        return Ok(Signable::Not("Passkeys need this console on localhost or https.".to_owned()));
    };
    let credentials = cx.authority.signing_passkeys(&me.person.principal.alias)?;
    if credentials.is_empty() {
        let why = "None of your passkeys may sign verdicts yet: a new one counts after a day, or \
                   when another owner vouches for it.";
        return Ok(Signable::Not(why.to_owned()));
    }
    Ok(Signable::Passkey {
        credentials: credentials.join(" "),
        relying_party: party.relying_party().to_owned(),
        challenge: base64url(challenge.bytes()),
    })
}

fn not(refusal: &Refusal) -> Signable {
    Signable::Not(format!("{refusal}: {}.", refusal.remedy()))
}

/// What was filled in about a standing approval.
struct Filled {
    count: u64,
    minutes: u64,
    /// By argument: the highest number, or further values between commas.
    may: Vec<(String, String)>,
    is_filled: bool,
}

impl Filled {
    fn read(query: &str) -> Self {
        let mut filled = Self { count: COUNT, minutes: MINUTES, may: Vec::new(), is_filled: false };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            filled.is_filled = true;
            match (&*name, name.strip_prefix("may.")) {
                ("count", _) => filled.count = value.trim().parse().unwrap_or(0),
                ("minutes", _) => filled.minutes = value.trim().parse().unwrap_or(0),
                (_, Some(argument)) => {
                    filled.may.push((argument.to_owned(), value.trim().to_owned()));
                }
                _ => {}
            }
        }
        filled
    }

    fn of(&self, argument: &str) -> &str {
        self.may.iter().find(|(name, _)| name == argument).map_or("", |(_, value)| value)
    }

    /// What each argument may be.
    fn bounds(&self, tool: &str, own: &Object) -> Result<ArgumentRules, TermsError> {
        let exact = exactly(own)?;
        let Json::Object(mut map) = exact.to_json() else { return Ok(exact) };
        for (name, value) in own.iter() {
            let filled = self.of(name);
            if filled.is_empty() {
                continue;
            }
            let read = |text: &str| {
                let text = text.trim();
                Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap_or_else(|_| text.into())
            };
            let loose = if value.as_number().is_some() {
                let least =
                    if value.canonical().starts_with('-') { value.clone() } else { 0u64.into() };
                Object::new()
                    .with("constraint_type", "range")
                    .with("min", least)
                    .with("max", read(filled))
            } else {
                let mut values = vec![value.clone()];
                values.extend(filled.split(',').map(read));
                Object::new().with("constraint_type", "one_of").with("values", values)
            };
            map.insert(name, loose);
        }
        let depth = ChainLimits::DEFAULT.max_constraint_depth;
        let scope = Scope::parse(&Object::new().with(tool, map), Dialect::Extended, depth)?;
        Ok(scope.rules(tool).cloned().unwrap_or(exact))
    }
}

/// The arguments of a waiting call, from its text.
fn own_arguments(shown: &ShownApproval) -> Option<&Object> {
    shown.action.as_ref()?.as_object()?.member("arguments")?.as_object()
}

/// The terms that were filled in about a waiting call.
fn offered(cx: &Inner, shown: &ShownApproval, filled: &Filled) -> Result<Terms, Refusal> {
    let held = &shown.listed.approval;
    let arguments = own_arguments(shown).ok_or(Refusal::StandingElsewhere)?;
    let pin = shown.action.as_ref().and_then(|a| a.as_object()?.member("pin")?.as_str());
    let call = Use {
        root: held.root,
        tool: held.tool.as_str(),
        pin: pin.and_then(Digest::from_text),
        arguments,
        policy: held.policy,
        rule: &held.rule,
    };
    let now = cx.authority.host().now();
    let minutes = i64::try_from(filled.minutes).unwrap_or(i64::MAX);
    let bounds = Bounds {
        arguments: filled.bounds(held.tool.as_str(), arguments)?,
        count: filled.count,
        from: now,
        until: now.plus_seconds(minutes.saturating_mul(60)),
    };
    let mut random = [0; 10];
    if !cx.authority.host().fill(&mut random) {
        return Err(Refusal::NoEntropy);
    }
    let terms = Terms::new(StandingId::mint(now, random), held.tool.clone(), &call, bounds)?;
    let ends = cx.authority.standing_ends(&held.id)?;
    let action = shown.action.as_ref().ok_or(Refusal::StandingElsewhere)?;
    crate::rules::standings::about(held, action, &terms, ends, now)?;
    Ok(terms)
}

pub(super) async fn ask(Path(text): Path<String>, visit: Visit) -> Response {
    let filled = Filled::read(visit.query());
    visit
        .read(move |cx, me| {
            let shown = cx.authority.approval_read(Some(&me.person), &id(&text)?)?;
            let own = own_arguments(&shown);
            let loose = |(name, value): (&str, &Json)| LooseLine {
                name: Text::of(name),
                value: Text::of(value.canonical()),
                is_number: value.as_number().is_some(),
                filled: filled.of(name).to_owned(),
            };
            let offered = filled.is_filled.then(|| offered(cx, &shown, &filled));
            let (terms, problem) = match offered {
                None => (None, None),
                Some(Ok(terms)) => (Some(terms), None),
                Some(Err(e)) => (None, Some(format!("{e}: {}.", e.remedy()))),
            };
            let tool = shown.listed.approval.tool.clone();
            let signing = match (&terms, cx.authority.may_decide(&me.person, &shown, &tool)) {
                (_, Err(refusal)) => not(&refusal),
                (Some(terms), Ok(())) => signing(cx, me, &terms.digest())?,
                (None, Ok(())) => Signable::Not(String::new()),
            };
            let template = NewStandingPage {
                frame: cx.frame(Some(me), Some(Section::Approvals)),
                line: line(&shown.listed),
                arguments: own.map(|own| own.iter().map(loose).collect()).unwrap_or_default(),
                count: filled.count,
                minutes: filled.minutes,
                problem,
                terms: terms.as_ref().map(view),
                signing,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn assertion(sent: &Json) -> Result<Signed, Failure> {
    let assertion = Assertion::from_browser(member(sent, "credential")?);
    let assertion = assertion.map_err(ApprovalError::Assertion).map_err(Refusal::from)?;
    Ok(Signed::Passkey(assertion))
}

fn sent_text<'a>(sent: &'a Json, name: &str) -> Option<&'a str> {
    sent.as_object()?.member(name)?.as_str()
}

fn note(sent: &Json) -> Option<String> {
    sent_text(sent, "note").map(str::trim).filter(|note| !note.is_empty()).map(str::to_owned)
}

pub(super) async fn approve(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .script_signed_in(move |cx, me, _, sent| {
            let terms = sent_text(sent, "terms").ok_or(Failure::NotFound)?;
            let terms = Json::parse(terms.as_bytes(), &JsonLimits::DEFAULT);
            let terms = Terms::from_json(&terms.map_err(|_| Failure::NotFound)?);
            let terms = terms.map_err(Refusal::from)?;
            let sayer = Sayer::Person(me.person.principal.alias.clone());
            let (standing, signed) = (terms.id.clone(), assertion(sent)?);
            cx.authority.standing_approve(sayer, &id(&text)?, terms, signed, note(sent))?;
            Ok(json(Object::new().with("location", format!("/standing-approvals/{standing}"))))
        })
        .await
}

fn standing_id(text: &str) -> Result<StandingId, Failure> {
    StandingId::parse(text).map_err(|_| Failure::NotFound)
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let shown = cx.authority.standing(Some(&me.person), &standing_id(&text)?)?;
            let said = shown.signatures.iter().map(|s| SaidLine {
                approver: name(s.approver.as_ref()),
                approved: true,
                suggestion: None,
                grade: Text::of(&s.grade),
                at: Moment::of(s.said),
                note: None,
            });
            let own = shown.signatures.iter().any(|s| s.approver.as_ref() == Some(&me.person.id));
            let signing = match &shown.terms {
                Some(terms) if shown.state == "waiting" && !own => {
                    Some(signing(cx, me, &terms.digest())?)
                }
                _ => None,
            };
            let template = StandingPage {
                frame: cx.frame(Some(me), Some(Section::Approvals)),
                line: standing_line(&shown),
                approval: shown.standing.approval.to_string(),
                terms: shown.terms.as_ref().map(view),
                signed: said.collect(),
                needed: shown.standing.needed,
                signing,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn ask_revoke(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let shown = cx.authority.standing(Some(&me.person), &standing_id(&text)?)?;
            let id = &shown.standing.id;
            let question = Question {
                title: "Take this standing approval back?",
                what: Text::of(shown.standing.tool.as_str()),
                consequences: vec![
                    "No call passes by it from now on: people are asked again.".to_owned(),
                    "What it let pass stays done, and stays in the ledger.".to_owned(),
                ],
                action: format!("/standing-approvals/{id}/revoke"),
                button: "Take it back",
                back: format!("/standing-approvals/{id}"),
                is_final: true,
            };
            Ok(question.page(cx, me, Section::Approvals))
        })
        .await
}

pub(super) async fn revoke(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let id = standing_id(&text)?;
            cx.authority.standing_revoke(Some(&me.person), &id, REASON)?;
            Ok(see(&format!("/standing-approvals/{id}")))
        })
        .await
}

pub(super) async fn batch(visit: Visit) -> Response {
    let asked: Vec<String> = form_urlencoded::parse(visit.query().as_bytes())
        .filter(|(name, _)| name == "id")
        .map(|(_, id)| id.into_owned())
        .collect();
    visit
        .read(move |cx, me| {
            if asked.is_empty() {
                return Ok(see("/approvals"));
            }
            // Each text that is read is an entry.
            if asked.len() > MAX_BATCH {
                return Err(Refusal::from(ApprovalError::Batch).into());
            }
            let (mut calls, mut digests, mut barred) = (Vec::new(), Vec::new(), None);
            for text in &asked {
                let shown = cx.authority.approval_read(Some(&me.person), &id(text)?)?;
                let held = &shown.listed.approval;
                let may = cx.authority.may_decide(&me.person, &shown, &held.tool);
                barred = barred.or(may.err());
                digests.push(shown.question.digest(Verdict::Approve));
                calls.push(BatchLine {
                    line: line(&shown.listed),
                    arguments: arguments(&shown),
                    purpose: shown.purpose.as_ref().map(Text::of),
                    rule: Text::of(&held.rule),
                    action: held.action.to_string(),
                });
            }
            let batch = Batch::new(digests).map_err(Refusal::from);
            let signing = match (batch, barred) {
                (Ok(batch), None) => signing(cx, me, batch.signable().digest())?,
                (Err(refusal), _) | (Ok(_), Some(refusal)) => not(&refusal),
            };
            let template = BatchPage {
                frame: cx.frame(Some(me), Some(Section::Approvals)),
                calls,
                ids: asked.join(" "),
                signing,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn say_batch(visit: Visit) -> Response {
    visit
        .script_signed_in(move |cx, me, _, sent| {
            let ids = sent_text(sent, "approvals").ok_or(Failure::NotFound)?;
            let ids = ids.split(' ').map(id).collect::<Result<Vec<ApprovalId>, _>>()?;
            // What was signed must be exactly what stands there now.
            let mut digests = Vec::with_capacity(ids.len());
            for id in &ids {
                let question = cx.authority.approval_question(id)?;
                digests.push(question.digest(Verdict::Approve));
            }
            let batch = Batch::new(digests).map_err(Refusal::from)?;
            let signed = SignedBatch::new(batch, assertion(sent)?).map_err(Refusal::from)?;
            let signed = Signed::Batch(Box::new(signed));
            let sayer = Sayer::Person(me.person.principal.alias.clone());
            cx.authority.approvals_say(sayer, &ids, Verdict::Approve, signed, note(sent))?;
            Ok(json(Object::new().with("location", "/approvals")))
        })
        .await
}
