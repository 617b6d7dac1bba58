//! Agents as peers, and one handoff.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{AgentId, HandoffId};
use bailiwick_core::peer::handoff::{Answer, Offer};
use bailiwick_core::stop::StopTarget;
use bailiwick_store::{Handoff, HandoffState, Status};
use serde::Deserialize;

use super::views::entry_line;
use super::{Failure, Inner, Me, Visit, page};
use crate::console::{
    Arrow, Between, ClaimLine, ContextLine, FlowLine, Graph, HandoffLine, HandoffPage,
    HandoffStanding, HandshakeLine, Moment, OfferTexts, PeerLine, PeersPage, ReturnTexts, Section,
    Text, ToolCard, Vertex,
};
use crate::people::roles::Deed;
use crate::{Flow, Known, ListedHandoff, Peers, ShownHandoff, Trail};

/// Handoffs on one page.
const PAGE: u32 = 25;
/// Agents and handshakes on one page at most.
const MAX_AGENTS: usize = 200;
const MAX_HANDSHAKES: usize = 20;

#[derive(Clone, Default, Deserialize)]
pub(super) struct PeersQuery {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    before: String,
}

impl PeersQuery {
    /// The two agents whose handoffs are asked for, if both are named.
    fn between(&self) -> Result<Option<(AgentId, AgentId)>, Failure> {
        if self.from.is_empty() && self.to.is_empty() {
            return Ok(None);
        }
        let read = |text: &str| AgentId::parse(text).map_err(|_| Failure::NotFound);
        Ok(Some((read(&self.from)?, read(&self.to)?)))
    }

    fn before(&self) -> Result<Option<HandoffId>, Failure> {
        let text = Some(self.before.as_str()).filter(|text| !text.is_empty());
        text.map(|text| HandoffId::parse(text).map_err(|_| Failure::NotFound)).transpose()
    }
}

/// The address of the handoffs from one agent to another.
fn list_of(between: Option<(&str, &str)>, before: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some((from, to)) = between {
        query.append_pair("from", from).append_pair("to", to);
    }
    if let Some(before) = before {
        query.append_pair("before", before);
    }
    format!("/peers?{}#handoffs", query.finish())
}

pub(super) async fn list(
    query: Result<Query<PeersQuery>, QueryRejection>,
    visit: Visit,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    visit
        .read(move |cx, me| {
            // What everybody's agents hand on is nobody's own: without the role
            // there is nothing here.
            if !me.may(Deed::SeeActivity) {
                return Err(Failure::NotFound);
            }
            let between = query.between()?;
            let named = between.as_ref().map(|(from, to)| (from, to));
            let before = query.before()?;
            let (peers, flows) = (cx.authority.peers()?, cx.authority.flows()?);
            let who = &me.person;
            let mut found = cx.authority.handoffs_before(
                who,
                named,
                before.as_ref(),
                PAGE.saturating_add(1),
            )?;
            let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
            let has_more = found.len() > most;
            found.truncate(most);
            let texts = between.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
            let last = found.last().filter(|_| has_more);
            let older = last.map(|l| list_of(texts, Some(l.handoff.id.as_str())));
            let agents = agents_of(&peers, &flows);
            let template = PeersPage {
                frame: cx.frame(Some(me), Some(Section::Peers)),
                graph: graph_of(&peers, &flows),
                flows: flows.iter().map(flow_line).collect(),
                agents_left_out: peers.agents.len().saturating_sub(agents.len()),
                agents,
                handoffs: found.iter().map(handoff_line).collect(),
                between: texts.map(|(from, to)| Between { from: Text::of(from), to: Text::of(to) }),
                older,
                handshakes: peers
                    .handshakes
                    .iter()
                    .take(MAX_HANDSHAKES)
                    .map(|shaken| HandshakeLine {
                        initiator: Text::short(&shaken.initiator, 300),
                        responder: Text::short(&shaken.responder, 300),
                        bound: shaken.bound,
                        at: Moment::of(shaken.seen),
                    })
                    .collect(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn graph_of(peers: &Peers, flows: &[Flow]) -> Graph {
    let vertices = peers.agents.iter().map(|(id, agent)| {
        let count = agent.instances;
        let instances = if count == 1 { "instance" } else { "instances" };
        let is_active = agent.status == Some(Status::Active);
        let status = agent.status.filter(|_| !is_active).map_or("", Status::as_str);
        let sub = format!("{count} {instances} {status}").trim_end().to_owned();
        Vertex { agent: id.to_string(), sub, is_active }
    });
    let arrows = flows.iter().map(|flow| Arrow {
        from: flow.from.to_string(),
        to: flow.to.to_string(),
        count: flow.offered,
        failed: failed(flow),
        guarantee: flow.guarantee,
        href: list_of(Some((flow.from.as_str(), flow.to.as_str())), None),
    });
    Graph::of(&vertices.collect::<Vec<_>>(), &arrows.collect::<Vec<_>>())
}

/// What came to nothing.
fn failed(flow: &Flow) -> u64 {
    flow.refused.saturating_add(flow.revoked)
}

fn flow_line(flow: &Flow) -> FlowLine {
    FlowLine {
        from: Text::of(flow.from.as_str()),
        to: Text::of(flow.to.as_str()),
        href: list_of(Some((flow.from.as_str(), flow.to.as_str())), None),
        offered: flow.offered,
        accepted: flow.accepted,
        waiting: flow.waiting,
        refused: flow.refused,
        revoked: flow.revoked,
        guarantee: flow.guarantee.as_str(),
        last: Moment::of(flow.last),
    }
}

fn agents_of(peers: &Peers, flows: &[Flow]) -> Vec<PeerLine> {
    let line = |(id, agent): (&AgentId, &crate::PeerAgent)| {
        let handed = flows.iter().filter(|f| f.from == *id).map(|f| f.offered);
        let taken = flows.iter().filter(|f| f.to == *id).map(|f| f.accepted);
        PeerLine {
            agent: Text::of(id.as_str()),
            path: format!("/agents/{id}"),
            spiffe_id: Text::of(id.spiffe_id(&peers.trust_domain)),
            status: agent.status.map_or("unknown", Status::as_str),
            class: match agent.status {
                Some(Status::Active) => "good",
                Some(Status::Suspended) => "warn",
                Some(Status::Retired) | None => "plain",
            },
            instances: agent.instances,
            handed: handed.sum(),
            taken: taken.sum(),
            refused: agent.refused,
            last_handshake: agent.last_handshake.map(Moment::of),
        }
    };
    peers.agents.iter().take(MAX_AGENTS).map(line).collect()
}

fn handoff_line(listed: &ListedHandoff) -> HandoffLine {
    let principal = listed.principal.as_ref().map(|id| Text::of(id.as_str()));
    line(&listed.handoff, listed.state, listed.revoked, principal)
}

fn line(h: &Handoff, state: &str, is_revoked: bool, principal: Option<Text>) -> HandoffLine {
    HandoffLine {
        path: format!("/handoffs/{}", h.id),
        from: Text::of(h.from_agent.as_str()),
        to: Text::of(h.to_agent.as_str()),
        principal,
        workflow: Text::of(h.workflow.as_str()),
        guarantee: h.guarantee.as_str(),
        standing: HandoffStanding::of(state, is_revoked),
        at: Moment::of(h.offered),
    }
}

pub(super) async fn handoff(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let id = HandoffId::parse(&id).map_err(|_| Failure::NotFound)?;
            // Those of others are unknown to whoever may not see them.
            let (shown, trail) = cx.authority.handoff_trail(&me.person, &id)?;
            Ok(page(StatusCode::OK, &handoff_page(cx, me, &shown, &trail)?))
        })
        .await
}

fn handoff_page(
    cx: &Inner,
    me: &Me,
    shown: &ShownHandoff,
    trail: &Trail,
) -> Result<HandoffPage, Failure> {
    let h = &shown.handoff;
    let principal = trail.principal.as_ref().map(|id| Text::of(id.as_str()));
    let reason = trail.answer.as_ref().and_then(|answered| match &answered.answer {
        Answer::Accepted => None,
        Answer::Rejected { reason } => Some(Text::short(reason, 2_000)),
    });
    let pages = || (format!("/agents/{}", h.from_agent), format!("/agents/{}", h.to_agent));
    let sees_peers = me.may(Deed::SeeActivity);
    let section = if sees_peers { Section::Peers } else { Section::Grants };
    Ok(HandoffPage {
        frame: cx.frame(Some(me), Some(section)),
        line: line(h, shown.state, shown.revoked, principal),
        ids: (Text::short(&h.from_id, 300), Text::short(&h.to_id, 300)),
        paths: me.may(Deed::SeeAgents).then(pages),
        task: h.task.to_string(),
        expires: Moment::of(h.expires),
        answered: h.settled.map(|at| (answer_word(h.state), Moment::of(at))),
        reason,
        leaf: h.leaf.to_string(),
        offer: shown.offer.as_ref().map(|offer| offer_texts(offer, &shown.claims)),
        tools: trail.permits.as_ref().and_then(|tools| ToolCard::list(tools, None)),
        returned_at: h.returned.map(Moment::of),
        returned: shown.returned.as_ref().map(|(back, known)| ReturnTexts {
            status: back.status.as_str(),
            claims: claim_lines(known),
        }),
        entries: trail.entries.iter().map(entry_line).collect(),
        ends: ends_of(cx, me, h)?,
        sees_peers,
    })
}

const fn answer_word(state: HandoffState) -> &'static str {
    match state {
        HandoffState::Offered => "none",
        HandoffState::Accepted => "taken over",
        HandoffState::Rejected => "turned down",
    }
}

fn offer_texts(offer: &Offer, claims: &[Known]) -> OfferTexts {
    OfferTexts {
        purpose: Text::of(&offer.purpose),
        context: offer
            .context
            .iter()
            .map(|item| ContextLine {
                digest: item.digest.to_string(),
                source: Text::of(&item.source),
                label: Text::of(&item.label),
            })
            .collect(),
        constraints: offer.constraints.iter().map(Text::of).collect(),
        claims: claim_lines(claims),
    }
}

fn claim_lines(all: &[Known]) -> Vec<ClaimLine> {
    all.iter()
        .map(|known| ClaimLine {
            statement: Text::of(&known.statement),
            speaker: Text::of(&known.speaker),
            grade: known.grade,
        })
        .collect()
}

/// What of a handoff this person may end, with the addresses that ask.
fn ends_of(cx: &Inner, me: &Me, h: &Handoff) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut ends = Vec::new();
    let targets = [
        ("Stop the task", StopTarget::Task(h.task.clone())),
        ("Stop its taker", StopTarget::Agent(h.to_agent.clone())),
    ];
    for (word, target) in targets {
        if cx.authority.may_stop(&me.person, &target)? {
            ends.push((word, format!("/stop?target={target}")));
        }
    }
    if h.principal == me.person.principal.alias || me.may(Deed::RevokeAny) {
        ends.push(("Take the delegation back", format!("/delegations/{}/revoke", h.root)));
    }
    Ok(ends)
}
