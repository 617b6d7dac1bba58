//! What tools are, and the person who accepts it.

use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ToolId, WorkflowId};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::catalogue::{Personal, Rating};
use url::form_urlencoded;

use super::form::Part;
use super::{Failure, Form, Me, Visit, page, see};
use crate::console::{
    CataloguePage, DefinitionPage, DifferenceLine, FlagLine, Moment, RatingLine, RiskMark, Section,
    Text, ToolLine,
};
use crate::people::roles::Deed;
use crate::rules::life::Administrator;
use crate::{Catalogued, Ratings};

/// The reason code of what a person withdraws in the console.
const REASON: &str = "withdrawn";

fn path(tool: &ToolId) -> String {
    let id: String = form_urlencoded::byte_serialize(tool.as_str().as_bytes()).collect();
    format!("/catalogue/tool?id={id}")
}

fn line(tool: &Catalogued, ratings: &Ratings) -> ToolLine {
    let accepted = tool.pin.as_ref().map(|pin| pin.pinned);
    let seen = tool.candidate.as_ref().map(|candidate| candidate.seen);
    ToolLine {
        id: Text::of(tool.tool.as_str()),
        path: path(&tool.tool),
        state: tool.state(),
        flags: tool.flags.len(),
        since: Moment::of(seen.or(accepted).unwrap_or(Timestamp::from_seconds(0))),
        risk: ratings.highest(&tool.tool).map(RiskMark),
    }
}

fn rating_line((workflow, rating): (&WorkflowId, &Rating)) -> RatingLine {
    let data: Vec<&str> = rating.data.iter().map(String::as_str).collect();
    RatingLine {
        workflow: Text::of(workflow.as_str()),
        risk: RiskMark(rating.risk),
        effect: rating.effect.as_str(),
        data: Text::of(data.join(", ")),
        whose: match &rating.personal {
            Personal::Unstated => Text::of("nobody said"),
            Personal::No => Text::of("nobody's own"),
            Personal::ByArgument(name) => Text::of(format!("named by {name}")),
        },
    }
}

pub(super) async fn list(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeCatalogue)?;
            let all = cx.authority.catalogued()?;
            let ratings = cx.authority.ratings()?;
            // What waits comes first.
            let Part { rows, next } = Part::of(all, &query);
            let lines = rows.iter().map(|tool| line(tool, &ratings));
            let (waiting, pinned) = lines.partition(|line: &ToolLine| line.state.waits());
            let frame = cx.frame(Some(me), Some(Section::Catalogue));
            Ok(page(StatusCode::OK, &CataloguePage { frame, waiting, pinned, next }))
        })
        .await
}

pub(super) async fn tool(visit: Visit) -> Response {
    let id = form_urlencoded::parse(visit.query().as_bytes())
        .find(|(name, _)| name == "id")
        .map(|(_, id)| id.into_owned());
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeCatalogue)?;
            let id = ToolId::parse(&id.unwrap_or_default()).map_err(|_| Failure::NotFound)?;
            let (tool, ratings) = (cx.authority.catalogued_tool(&id)?, cx.authority.ratings()?);
            let flags = tool.flags.iter().map(|flag| FlagLine {
                code: flag.suspicion.as_str(),
                sentence: flag.suspicion.sentence(),
                place: Text::short(&flag.place, 200),
                found: Text::short(&flag.found, 200),
            });
            let differences = tool.differences.iter().map(|d| DifferenceLine {
                place: Text::short(&d.place, 200),
                before: d.before.as_ref().map(Text::of),
                after: d.after.as_ref().map(Text::of),
            });
            let template = DefinitionPage {
                frame: cx.frame(Some(me), Some(Section::Catalogue)),
                tool: line(&tool, &ratings),
                ratings: ratings.of(&id).map(rating_line).collect(),
                id: id.to_string(),
                pinned: tool.pin.as_ref().map(|pin| pin.digest.to_string()),
                digest: tool.digest().map(|digest| digest.to_string()).unwrap_or_default(),
                compares: tool.pin.is_some() && tool.candidate.is_some(),
                flags: flags.collect(),
                differences: differences.collect(),
                can_decide: me.may(Deed::TendCatalogue),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// The tool that a form names, for somebody who may decide.
fn named(me: &Me, form: &Form) -> Result<(ToolId, Administrator), Failure> {
    me.require(Deed::TendCatalogue)?;
    let tool = ToolId::parse(form.first("tool")).map_err(|_| Failure::NotFound)?;
    Ok((tool, Administrator::SignedIn(me.person.principal.alias.clone())))
}

pub(super) async fn accept(visit: Visit) -> Response {
    visit
        .change(|cx, me, form| {
            let (tool, by) = named(me, form)?;
            // What was shown is what is accepted.
            let digest = Digest::from_text(form.first("digest")).ok_or(Failure::NotFound)?;
            cx.authority.definition_accept(&tool, &digest, &by)?;
            Ok(see(&path(&tool)))
        })
        .await
}

pub(super) async fn quarantine(visit: Visit) -> Response {
    visit
        .change(|cx, me, form| {
            let (tool, by) = named(me, form)?;
            cx.authority.definition_quarantine(&tool, REASON, &by)?;
            Ok(see(&path(&tool)))
        })
        .await
}
