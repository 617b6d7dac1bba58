//! The policy in force, why something was decided, and what another bundle
//! would have decided.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::ActionId;
use bailiwick_policy::Bundle;
use bailiwick_policy::bundle::About;
use bailiwick_store::{Place, Policy, Stored};

use super::{Failure, Form, Inner, Me, Visit, page};
use crate::console::{
    BundleCard, ExplainPage, FlipLine, Moment, PolicyFile, PolicyLine, PolicyPage, PublicationLine,
    ReplayPage, Section, Text, WordCard,
};
use crate::people::roles::Deed;
use crate::{Explanation, MAX_REPLAYED, SaidPolicy};

/// Publications on the page.
const LATEST: usize = 20;
/// Decisions that would be others, listed.
const MOST_FLIPS: usize = 100;

fn line(about: &About) -> PolicyLine {
    PolicyLine {
        id: Text::of(&about.id),
        does: about.does.as_str(),
        reason: Text::of(&about.reason),
        place: Text::of(format!("{}:{}", about.file, about.line)),
    }
}

fn card(id: &'static str, title: &'static str, bundle: &Bundle) -> BundleCard {
    BundleCard {
        title,
        id,
        digest: bundle.digest().to_string(),
        published: None,
        entry: None,
        policies: bundle.policies().map(line).collect(),
        unscoped: bundle.unscoped(),
        files: bundle
            .files()
            .iter()
            .map(|(name, text)| PolicyFile {
                name: Text::of(name),
                lines: text.lines().map(|line| Text::of(line.replace('\t', "    "))).collect(),
            })
            .collect(),
    }
}

/// The same with when it was published, and by which entry.
fn dated(
    cx: &Inner,
    card: BundleCard,
    row: Option<&Stored<Policy>>,
) -> Result<BundleCard, Failure> {
    let Some(row) = row else { return Ok(card) };
    let entry = cx.authority.store().read(|view| view.entry_by_id(&row.entry))?;
    Ok(BundleCard {
        published: Some(Moment::of(row.published)),
        entry: entry.map(|entry| entry.index),
        ..card
    })
}

fn bundles(cx: &Inner, asked: Option<&Digest>) -> Result<Vec<BundleCard>, Failure> {
    if let Some(digest) = asked {
        let bundle = cx.authority.policy_of(digest)?;
        let row = cx.authority.store().read(|view| view.policy_by_digest(digest))?;
        return Ok(vec![dated(cx, card("bundle", "A bundle", &bundle), row.as_ref())?]);
    }
    let policies = cx.authority.policies()?;
    let mut cards = Vec::new();
    for (place, id, title, bundle) in [
        (Place::Enforced, "enforced", "In force", policies.enforced),
        (Place::Candidate, "candidate", "On trial: recorded, decides nothing", policies.candidate),
    ] {
        let Some(bundle) = bundle else { continue };
        let row = cx.authority.store().read(|view| view.policy(place))?;
        cards.push(dated(cx, card(id, title, &bundle), row.as_ref())?);
    }
    Ok(cards)
}

pub(super) async fn show(visit: Visit) -> Response {
    let asked = Form::parse(visit.query().as_bytes()).first("digest").to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::SeePolicy)?;
            let asked = match asked.as_str() {
                "" => None,
                text => Some(Digest::from_text(text).ok_or(Failure::NotFound)?),
            };
            let bundles = bundles(cx, asked.as_ref())?;
            let history = cx.authority.policy_history()?;
            // Whoever has a candidate wants to know what it would change.
            let replay = bundles.last().map(|card| card.digest.clone());
            let template = PolicyPage {
                frame: cx.frame(Some(me), Some(Section::Policy)),
                bundles,
                is_one: asked.is_some(),
                history: history
                    .iter()
                    .take(LATEST)
                    .map(|row| PublicationLine {
                        place: row.place.as_str(),
                        digest: row.digest.map(|digest| digest.to_string()),
                        is_current: row.digest.is_some()
                            && history
                                .iter()
                                .find(|newest| newest.place == row.place)
                                .is_some_and(|newest| std::ptr::eq(newest, row)),
                        at: Moment::of(row.published),
                    })
                    .collect(),
                replay,
                reads_decisions: me.may(Deed::SeeActivity),
                most: MAX_REPLAYED,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn said(policy: &SaidPolicy) -> PolicyLine {
    match &policy.about {
        Some(about) => line(about),
        None => PolicyLine {
            id: Text::of(&policy.id),
            does: "",
            reason: Text::default(),
            place: Text::default(),
        },
    }
}

/// The decision's words and the badge's class.
fn decided(decision: &str) -> (Text, &'static str) {
    match decision {
        "allow" => (Text::of("allowed"), "good"),
        "deny" => (Text::of("denied"), "bad"),
        "approval_required" => (Text::of("needs approval"), "warn"),
        other => (Text::of(other), "plain"),
    }
}

fn explained(cx: &Inner, me: &Me, found: &Explanation) -> ExplainPage {
    let (decided, class) = decided(&found.decision);
    let text = |text: &Option<String>| text.as_ref().map(Text::of);
    ExplainPage {
        frame: cx.frame(Some(me), Some(Section::Policy)),
        action: Text::of(found.action.as_str()),
        tool: text(&found.tool),
        agent: text(&found.agent),
        entry: found.entry,
        at: Moment::of(found.at),
        decided,
        class,
        reason: text(&found.reason),
        rule: text(&found.rule),
        sentence: Text::of(found.sentence.as_deref().unwrap_or("The rule is not known any more.")),
        words: found
            .words
            .iter()
            .map(|word| WordCard {
                title: match word.place {
                    Place::Enforced => "The policy in force said",
                    Place::Candidate => "The candidate said",
                },
                digest: word.bundle.digest.to_string(),
                answer: Text::of(&word.answer),
                policies: word.policies.iter().map(said).collect(),
            })
            .collect(),
    }
}

pub(super) async fn explain(Path(action): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            me.require(Deed::SeePolicy)?;
            let action = ActionId::parse(&action).map_err(|_| Failure::NotFound)?;
            let found = cx.authority.explain(&action)?;
            let own = found.principal.as_deref() == Some(me.person.principal.alias.as_str());
            // SECURITY: somebody else's call is not there for who may not read it.
            if !own && !me.may(Deed::SeeActivity) {
                return Err(Failure::NotFound);
            }
            Ok(page(StatusCode::OK, &explained(cx, me, &found)))
        })
        .await
}

pub(super) async fn replay(visit: Visit) -> Response {
    let form = Form::parse(visit.query().as_bytes());
    let (digest, last) = (form.first("bundle").to_owned(), form.number::<u32>("last"));
    visit
        .read(move |cx, me| {
            me.require(Deed::SeePolicy)?;
            me.require(Deed::SeeActivity)?;
            let digest = Digest::from_text(digest.trim()).ok_or(Failure::NotFound)?;
            let by = &me.person.principal.alias;
            let last = last.ok().flatten().unwrap_or(MAX_REPLAYED).clamp(1, MAX_REPLAYED);
            let found = cx.authority.replay_last(&digest, last, MOST_FLIPS, by)?;
            let pairs = |all: Vec<(String, u64)>| {
                all.into_iter().map(|(name, n)| (Text::of(name), n)).collect::<Vec<_>>()
            };
            let changes = found.by_change.iter().map(|(change, n)| (change.clone(), *n));
            let rules = found.by_rule.iter().map(|(rule, n)| (rule.clone(), *n));
            let without = found.not_replayable.iter().map(|(why, n)| (why.to_string(), *n));
            let template = ReplayPage {
                frame: cx.frame(Some(me), Some(Section::Policy)),
                digest: digest.to_string(),
                last,
                same: found.same,
                approved: found.approved,
                flipped: found.flipped(),
                by_change: pairs(changes.collect()),
                by_rule: pairs(rules.collect()),
                not_replayable: pairs(without.collect()),
                flips: found
                    .flips
                    .iter()
                    .map(|flip| FlipLine {
                        action: Text::of(&flip.action),
                        at: Moment::of(flip.at),
                        agent: Text::of(&flip.agent),
                        tool: Text::of(&flip.tool),
                        was: decided(&flip.was).0,
                        would: decided(flip.would).0,
                        rule: Text::of(&flip.rule),
                        sentence: Text::of(&flip.sentence),
                    })
                    .collect(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}
