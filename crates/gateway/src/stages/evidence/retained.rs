//! What is retained beside a decision besides what was presented.

use bailiwick_core::aat::verify::Chain;
use bailiwick_core::accountable::Facts;
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::decide::Upstream;
use bailiwick_policy::grades::{RunState, Runs, Source};

use super::{Decision, text_array};
use crate::gateway::Inner;

/// Bytes of a stranger's chain and proof, and of its arguments, that are kept
/// for the operator.
const MAX_CLAIMED_BYTES: usize = 16 * 1024;

/// Everything besides chain, proof and arguments that the decision looked at,
/// so that it can be made again from the record.
pub(super) fn inputs(
    gateway: &Inner,
    decision: &Decision<'_>,
    chain: &Chain,
    facts: &Facts,
) -> Object {
    let mut o = Object::new()
        .with("v", 1u64)
        .with("now", decision.now.to_string())
        .with("audience", gateway.audience.as_str())
        .with("config", gateway.config.to_inputs())
        .with("standing", facts.standing.to_json())
        .with("staleness_bound", gateway.config.staleness_seconds.0)
        .with("workflow_digest", facts.authority.workflow_digest);
    if let Some(ground) = decision.ground {
        let rating = &ground.rating;
        let level = ground.circumstances().level(&ground.workflow);
        let checklist = &ground.workflow.checklist;
        let mut catalogue = Object::new()
            .with("pin", ground.pin)
            .with("risk", rating.risk.as_str())
            .with("effect", rating.effect.as_str())
            .with("data", rating.data.iter().map(|d| Json::from(d.as_str())).collect::<Vec<_>>())
            .with("idempotent", rating.idempotent)
            .with("timeout_seconds", rating.timeout_seconds)
            .with("level", level.as_str());
        if ground.workflow.level != level {
            catalogue.insert("declared_level", ground.workflow.level);
        }
        if rating.bearer {
            catalogue.insert("bearer", true);
        }
        rating.personal.insert_into(&mut catalogue);
        o.insert("catalogue", catalogue);
        let mut policy = Object::new()
            .with("assurance", decision.assurance.as_str())
            .with("guarantee", facts.guarantee.as_str())
            .with("grant_signed", facts.grant_signed);
        if let Some(isolation) = facts.isolation.stated() {
            policy.insert("isolation", isolation);
        }
        let tool = decision.action.and_then(|tool| ToolId::parse(tool).ok());
        let sources = checklist.data_sources.as_ref();
        if let Some(source) = tool.and_then(|tool| Source::of(sources, &tool, rating)) {
            policy.insert("source", source);
        }
        if checklist.runs == Runs::Required {
            policy.insert("runs", checklist.runs);
        }
        let run = ground.run_state();
        if run != RunState::None {
            policy.insert("run", run);
        }
        if let Some(word) = decision.heard.and_then(|heard| heard.enforced.as_ref()) {
            policy.insert("bundle", word.bundle);
        }
        if let Some(identity) = ground.identity {
            policy.insert("upstream_identity", identity.as_str());
            let rules = chain.scope().zip(decision.action).and_then(|(s, tool)| s.rules(tool));
            let upstream = Upstream::of(Some(identity), rating, rules);
            policy.insert("upstream", upstream.as_str());
        }
        o.insert("policy", policy);
    }
    o
}

/// What a stranger said, none of it a fact.
pub(super) fn claimed(decision: &Decision<'_>) -> Object {
    let mut o = Object::new()
        .with("server", decision.server)
        .with("action", decision.action.map(|a| a.chars().take(256).collect::<String>()));
    if let Some(presentation) = decision.presentation {
        let size = presentation
            .chain
            .iter()
            .fold(presentation.proof.len(), |sum, token| sum.saturating_add(token.len()));
        if size <= MAX_CLAIMED_BYTES {
            o.insert("chain", text_array(presentation.chain.iter()));
            o.insert("proof", presentation.proof.as_str());
        } else {
            o.insert("bytes", u64::try_from(size).unwrap_or(u64::MAX));
        }
    }
    if let Some(arguments) = decision.arguments {
        let size = Json::from(arguments.clone()).canonical().len();
        if size <= MAX_CLAIMED_BYTES {
            o.insert("arguments", arguments.clone());
        } else {
            o.insert("argument_bytes", u64::try_from(size).unwrap_or(u64::MAX));
        }
    }
    o
}
