//! Budgets: numbers that a delegation may use up.
//!
//! A budget is a flat object of [`BudgetMember`]s, each a non-negative integer.
//! A call is charged to the budget of every token of its chain, so that
//! siblings cannot overspend; the charging is atomic with the record.

use std::cmp::Reverse;

use crate::aat::verify::Chain;
use crate::crypto::Digest;
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::time::Timestamp;

use super::{BUDGET, Facts, GrantStanding};

mod member;
pub use member::{BudgetMember, BudgetWindow, Counted};

/// Seconds that a window's counter is kept after its window: a call that was
/// decided in the window may be recorded a little later.
const KEPT_AFTER_WINDOW_SECONDS: i64 = 60;

/// One counter that a call adds to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose budget it is: a derived token's hash; for the root, the digest of
    /// its grant, so that roots issued again do not start anew, or that of the
    /// grant under which more was asked for, so that more authority is no new
    /// budget.
    pub account: Digest,
    /// When the counter may be forgotten: with the account's own end, however
    /// long the rest of the chain lives; after its window, if it has one.
    pub expires: Timestamp,
    /// The budget's member.
    pub member: String,
    /// The counter's name within the account: the member's, followed by `@`
    /// and the seconds at which its window began, if it has one.
    pub counter: String,
    /// When a counter that is spent now counts from nothing again; `None` when
    /// waiting does not help.
    pub reopens: Option<Timestamp>,
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
            if BudgetMember::parse(name).is_none() || member_limit(value).is_none() {
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
    /// What a call of `tool` with `arguments`, decided at `now`, costs, for
    /// every token of the chain that has a budget. What is spent the longest
    /// comes first, so that who is told to wait need not wait again.
    ///
    /// # Errors
    /// [`ChargeError`] when a summed argument is absent, because only the tool
    /// knows what it would take instead, or is no non-negative integer.
    pub fn of(
        chain: &Chain,
        facts: &Facts,
        tool: &str,
        arguments: &Object,
        now: Timestamp,
    ) -> Result<Vec<Self>, ChargeError> {
        let mut charges = Vec::new();
        for (depth, link) in chain.links().iter().enumerate() {
            let end = Timestamp::from_seconds(link.claims.exp);
            let account = match &facts.standing.grant {
                // SECURITY: counters stand as long as the grant whose they are. One that
                // counts in them may end earlier, and must not take them along.
                Some(GrantStanding { account: Some(account), not_after, .. }) if depth == 0 => {
                    (account.digest, account.not_after.max(*not_after).max(end))
                }
                Some(grant) if depth == 0 => (grant.digest, grant.not_after.max(end)),
                _ => (link.hash, end),
            };
            let Some(budget) = link.claims.all.member(BUDGET).and_then(Json::as_object) else {
                continue;
            };
            for (name, limit) in budget.iter() {
                // Both hold of a chain that was checked.
                let Some(limit) = member_limit(limit) else { continue };
                let Some(member) = BudgetMember::parse(name) else { continue };
                let Some(amount) = amount(member.counted, tool, arguments)? else { continue };
                charges.push(Self::to(account, name, member.window, (amount, limit), now));
            }
        }
        charges.sort_by_key(|c| c.reopens.map(Reverse));
        Ok(charges)
    }

    fn to(
        (account, end): (Digest, Timestamp),
        name: &str,
        window: Option<BudgetWindow>,
        (amount, limit): (i64, i64),
        now: Timestamp,
    ) -> Self {
        let member = name.to_owned();
        let Some(window) = window else {
            let counter = member.clone();
            return Self { account, expires: end, member, counter, reopens: None, amount, limit };
        };
        let (start, next) = (window.start(now), window.end(now));
        Self {
            account,
            // SECURITY: never before the window is over, also when the account
            // ends earlier: what is forgotten while its window is open would
            // open it again.
            expires: next.plus_seconds(KEPT_AFTER_WINDOW_SECONDS),
            counter: format!("{member}@{}", start.seconds()),
            member,
            reopens: (amount <= limit && next < end).then_some(next),
            amount,
            limit,
        }
    }
}

/// What a call is charged where `counted` is; `None` when it does not concern it.
fn amount(
    counted: Counted<'_>,
    tool: &str,
    arguments: &Object,
) -> Result<Option<i64>, ChargeError> {
    if counted.tool().is_some_and(|counted| counted != tool) {
        return Ok(None);
    }
    let Counted::Sum { argument, .. } = counted else { return Ok(Some(1)) };
    let amount = arguments.member(argument).and_then(member_limit);
    amount.map(Some).ok_or_else(|| ChargeError { argument: argument.to_owned() })
}
