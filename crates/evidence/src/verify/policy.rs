//! Policy, asked again: the rules and the organisation's bundle are a function
//! of values that the gateway retained, so its answer can be made again from
//! them. What the catalogue said stays the gateway's record.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::decide::{CallFacts, PolicyDecision, PolicyInput, Upstream, decide};
use bailiwick_policy::grades::{Consent, Isolation, RunState};
use bailiwick_policy::{Bundle, Policies};

use super::delegation::{Presented, Redone};
use super::{Case, agree};
use crate::check::{Check, Failure, ensure};
use crate::retained::{data, of_checklist, rated};

const CHECK: Check = Check::Decision;

/// The bundle that the decision was put to, as the entry says.
pub(super) fn named(case: &Case<'_>) -> Result<Option<Digest>, Failure> {
    let Some(policy) = case.decided.body("policy") else { return Ok(None) };
    let digest = policy.as_object().and_then(|p| p.member("bundle")?.as_str());
    let digest = digest.and_then(Digest::from_text);
    digest.map(Some).ok_or_else(|| Failure::new(CHECK, "`body.policy` is malformed"))
}

/// The bundle itself: published before the decision, of the digest that the
/// entry names. `None` when its text is neither carried along nor given.
fn bundle(case: &Case<'_>, digest: Digest) -> Result<Option<Policies>, Failure> {
    let published = case.receipts.policy(CHECK, digest)?;
    ensure(published.index < case.decided.index, CHECK, || {
        "the policy was published after the decision".to_owned()
    })?;
    let bundle = match published.disclosed("document") {
        Some(document) => {
            agree(CHECK, sha256(document.canonical().as_bytes()) == digest, "the policy's digest")?;
            Bundle::from_json(Some(document)).map_err(|problems| {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                Failure::new(CHECK, format!("the policy does not read here: {first}"))
            })?
        }
        None => match case.policies.iter().find(|given| given.digest() == digest) {
            Some(given) => given.clone(),
            None => return Ok(None),
        },
    };
    Ok(Some(Policies::enforcing(bundle)))
}

/// What policy says; `None` when the decision did not come to the catalogue,
/// its maker did not retain it, or the bundle's text is not at hand.
pub(super) fn asked(
    case: &Case<'_>,
    presented: &Presented,
    redone: &Redone,
    grant_signed: bool,
) -> Result<Option<PolicyDecision>, Failure> {
    let decided = case.decided;
    let named = named(case)?;
    let policies = named.map(|digest| bundle(case, digest)).transpose()?.flatten();
    let inputs = decided.value_object(CHECK, "inputs")?;
    let retained = inputs.member("policy").and_then(|p| p.as_object()?.member("bundle"));
    agree(CHECK, retained == named.map(Json::from).as_ref(), "the retained policy")?;
    let Some(catalogue) = inputs.member("catalogue") else { return Ok(None) };
    let malformed = || Failure::new(CHECK, "the retained `inputs.catalogue` is malformed");
    let catalogue = catalogue.as_object().ok_or_else(malformed)?;
    let (mut rating, level) = rated(catalogue).ok_or_else(malformed)?;
    agree(CHECK, decided.body("risk") == catalogue.member("risk"), "the retained risk")?;
    agree(CHECK, decided.body("pin") == catalogue.member("pin"), "the retained pin")?;
    if named.is_some() {
        rating.data = data(catalogue).ok_or_else(malformed)?;
        if policies.is_none() {
            return Ok(None);
        }
    }
    let tool = ToolId::parse(&presented.tool).map_err(|_| malformed())?;
    let caller = redone.hops.last().ok_or_else(malformed)?;
    // By whose account the tool server was to know the call is the gateway's
    // record; entries from before that was recorded do not say it.
    let policy = inputs.member("policy").and_then(Json::as_object);
    let identity = policy.and_then(|p| p.member("upstream_identity"));
    agree(CHECK, decided.body("upstream_identity") == identity, "the retained upstream identity")?;
    let identity = match identity {
        None => None,
        Some(text) => Some(text.as_str().and_then(|t| t.parse().ok()).ok_or_else(malformed)?),
    };
    // So is what the workflow says of sources and runs.
    let asked = of_checklist(policy.unwrap_or(&Object::new())).ok_or_else(malformed)?;
    // A call that was judged as part of a run is one of the run that its entry names.
    let of_run = decided.entry.subjects.run.is_some();
    agree(CHECK, of_run == (asked.run != RunState::None), "the retained run")?;
    let rules = redone.chain.scope().and_then(|scope| scope.rules(&presented.tool));
    let input = PolicyInput {
        agent: &caller.agent,
        tool: &tool,
        rating: Some(&rating),
        level,
        source: asked.source,
        runs: asked.runs,
        run: asked.run,
        assurance: presented.form.assurance(),
        guarantee: redone.guarantee,
        isolation: redone.hops.iter().map(|h| h.isolation).min().unwrap_or(Isolation::None),
        consent: if grant_signed { Consent::Signed } else { Consent::Attested },
        upstream: Upstream::of(identity, &rating, rules),
        call: CallFacts {
            principal: &redone.authority.principal,
            task: &redone.authority.task,
            workflow: &redone.authority.workflow,
            arguments: &presented.arguments,
            hops: redone.hops.len(),
            staleness_ms: redone.staleness_ms,
            now: decided.entry.time,
        },
    };
    let decision = match policies {
        // A record of before the organisation's policy was asked.
        None => decide(&input),
        Some(policies) => {
            let (decision, heard) = policies.decide(&input);
            let word = heard.enforced.map(|word| word.to_json());
            agree(CHECK, decided.body("policy") == word.as_ref(), "what the policy said")?;
            decision
        }
    };
    // The rule that the entry names is the one that settles it.
    if let Some(rule) = decided.body("rule") {
        let same = rule.as_str() == Some(decision.finding().rule.as_ref());
        agree(CHECK, same, "the rule that settled it")?;
    }
    Ok(Some(decision))
}

pub(super) fn contradicts(recorded: &str, again: &PolicyDecision) -> Failure {
    let rule = &again.finding().rule;
    Failure::new(
        CHECK,
        format!("it says `{recorded}`, but policy says `{}` (`{rule}`)", again.as_str()),
    )
}
