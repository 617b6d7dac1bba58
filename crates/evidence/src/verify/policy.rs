//! Policy, asked again: the rules are a function of values that the gateway
//! retained, so its answer can be made again from them. What the catalogue
//! said stays the gateway's record.

use std::collections::BTreeSet;

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::catalogue::{Personal, Rating};
use bailiwick_policy::decide::{CallFacts, PolicyDecision, PolicyInput, Upstream, decide};
use bailiwick_policy::grades::{Consent, Level};

use super::delegation::{Presented, Redone};
use super::{Case, agree};
use crate::check::{Check, Failure};

const CHECK: Check = Check::Decision;

/// What the rules say; `None` when the decision did not come to the catalogue,
/// or its maker did not retain it.
pub(super) fn asked(
    case: &Case<'_>,
    presented: &Presented,
    redone: &Redone,
    grant_signed: bool,
) -> Result<Option<PolicyDecision>, Failure> {
    let decided = case.decided;
    let inputs = decided.value_object(CHECK, "inputs")?;
    let Some(catalogue) = inputs.member("catalogue") else { return Ok(None) };
    let malformed = || Failure::new(CHECK, "the retained `inputs.catalogue` is malformed");
    let catalogue = catalogue.as_object().ok_or_else(malformed)?;
    let (rating, level) = read(catalogue).ok_or_else(malformed)?;
    agree(CHECK, decided.body("risk") == catalogue.member("risk"), "the retained risk")?;
    agree(CHECK, decided.body("pin") == catalogue.member("pin"), "the retained pin")?;
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
    let rules = redone.chain.scope().and_then(|scope| scope.rules(&presented.tool));
    let decision = decide(&PolicyInput {
        agent: &caller.agent,
        tool: &tool,
        rating: Some(&rating),
        level,
        assurance: presented.form.assurance(),
        guarantee: redone.guarantee,
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
    });
    // The rule that the entry names is the one that settles it.
    if let Some(rule) = decided.body("rule") {
        let same = rule.as_str() == Some(decision.finding().rule.as_ref());
        agree(CHECK, same, "the rule that settled it")?;
    }
    Ok(Some(decision))
}

/// The rating without its data classes, which no rule looks at.
fn read(catalogue: &Object) -> Option<(Rating, Level)> {
    let text = |name| catalogue.member(name).and_then(Json::as_str);
    let timeout_seconds = match catalogue.member("timeout_seconds") {
        None | Some(Json::Null) => None,
        Some(seconds) => Some(u64::try_from(seconds.as_number()?.as_plain_integer()?).ok()?),
    };
    let rating = Rating {
        risk: text("risk")?.parse().ok()?,
        effect: text("effect")?.parse().ok()?,
        data: BTreeSet::new(),
        idempotent: catalogue.member("idempotent")?.as_bool()?,
        timeout_seconds,
        bearer: catalogue.member("bearer").and_then(Json::as_bool).unwrap_or(false),
        personal: Personal::read_from(catalogue),
    };
    Some((rating, text("level")?.parse().ok()?))
}

pub(super) fn contradicts(recorded: &str, again: &PolicyDecision) -> Failure {
    let rule = &again.finding().rule;
    Failure::new(
        CHECK,
        format!("it says `{recorded}`, but policy says `{}` (`{rule}`)", again.as_str()),
    )
}
