//! Budgets: numbers that a delegation may use up.
//!
//! A budget is a flat object. Its members are `max_calls`,
//! `max_calls/<tool id>` and `sum/<tool id>/<argument>`, each a non-negative
//! integer. A call is charged to the budget of every token of its chain, so
//! that siblings cannot overspend; the charging is atomic with the record.

use crate::aat::verify::Chain;
use crate::crypto::Digest;
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::time::Timestamp;

use super::{BUDGET, Facts};

/// One counter that a call adds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose budget it is: a derived token's hash; for the root, the digest of
    /// its grant, so that roots issued again do not start anew.
    pub account: Digest,
    /// When that ends: its counters count until then, however long the rest
    /// of the chain lives.
    pub expires: Timestamp,
    /// The budget's member.
    pub member: String,
    /// What this call adds.
    pub amount: i64,
    /// The most that the counter may reach.
    pub limit: i64,
}

/// A call that cannot be charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument `{argument}` must be there and a non-negative integer: a budget sums it")]
pub struct ChargeError {
    /// The summed argument.
    pub argument: String,
}

fn member_limit(value: &Json) -> Option<i64> {
    value.as_number()?.as_plain_integer().filter(|n| *n >= 0)
}

fn is_known(member: &str) -> bool {
    member == "max_calls"
        || member.strip_prefix("max_calls/").is_some_and(|tool| !tool.is_empty())
        || member.strip_prefix("sum/").is_some_and(|rest| {
            rest.rsplit_once('/').is_some_and(|(tool, arg)| !tool.is_empty() && !arg.is_empty())
        })
}

/// The first member of `child` that is beyond the same member of `parent`.
#[must_use]
pub fn budget_beyond(parent: &Object, child: &Object) -> Option<String> {
    child
        .iter()
        .find(|(name, value)| {
            let Some(value) = member_limit(value) else { return true };
            match parent.member(name).map(member_limit) {
                None => false,
                Some(Some(limit)) => value > limit,
                Some(None) => true,
            }
        })
        .map(|(name, _)| name.to_owned())
}

/// Every token's budget is well-formed, of known members, and within the
/// effective budget above it.
pub(super) fn check(chain: &Chain) -> Result<(), Denial> {
    let mut effective = Object::new();
    for (i, link) in chain.links().iter().enumerate() {
        let Some(budget) = link.claims.all.member(BUDGET) else { continue };
        let malformed = |m: &str| Denial::new(Reason::ClaimsMalformed).of_token(i).about(m);
        let budget = budget.as_object().ok_or_else(|| malformed("budget"))?;
        for (name, value) in budget.iter() {
            // Fail closed: a limit that we do not understand cannot be kept.
            if !is_known(name) || member_limit(value).is_none() {
                return Err(malformed(name));
            }
        }
        if let Some(member) = budget_beyond(&effective, budget) {
            return Err(Denial::new(Reason::BudgetWidened).of_token(i).about(member));
        }
        for (name, value) in budget.iter() {
            effective.insert(name, value.clone());
        }
    }
    Ok(())
}

impl Charge {
    /// What a call of `tool` with `arguments` costs, for every token of the
    /// chain that has a budget.
    ///
    /// # Errors
    /// [`ChargeError`] when a summed argument is absent, because only the tool
    /// knows what it would take instead, or is no non-negative integer.
    pub fn of(
        chain: &Chain,
        facts: &Facts,
        tool: &str,
        arguments: &Object,
    ) -> Result<Vec<Self>, ChargeError> {
        let mut charges = Vec::new();
        for (depth, link) in chain.links().iter().enumerate() {
            let end = Timestamp::from_seconds(link.claims.exp);
            let (account, expires) = match &facts.standing.grant {
                Some(grant) if depth == 0 => (grant.digest, grant.not_after.max(end)),
                _ => (link.hash, end),
            };
            let Some(budget) = link.claims.all.member(BUDGET).and_then(Json::as_object) else {
                continue;
            };
            for (member, limit) in budget.iter() {
                let Some(limit) = member_limit(limit) else { continue };
                let Some(amount) = amount(member, tool, arguments)? else { continue };
                let member = member.to_owned();
                charges.push(Self { account, expires, member, amount, limit });
            }
        }
        Ok(charges)
    }
}

/// What `member` is charged for this call; `None` when it does not concern it.
fn amount(member: &str, tool: &str, arguments: &Object) -> Result<Option<i64>, ChargeError> {
    if member == "max_calls" || member.strip_prefix("max_calls/") == Some(tool) {
        return Ok(Some(1));
    }
    let Some((summed_tool, argument)) =
        member.strip_prefix("sum/").and_then(|rest| rest.rsplit_once('/'))
    else {
        return Ok(None);
    };
    if summed_tool != tool {
        return Ok(None);
    }
    let amount = arguments.member(argument).and_then(member_limit);
    amount.map(Some).ok_or_else(|| ChargeError { argument: argument.to_owned() })
}
