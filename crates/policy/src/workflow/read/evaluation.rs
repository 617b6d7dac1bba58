//! Reading evaluation targets and the error budget.

use std::collections::BTreeMap;

use super::super::yaml::{Member, Node, Value};
use super::{Code, Reading};
use crate::checklist::{Bound, ErrorBudget, Evaluation, MILLION, Measure};
use crate::limits::{
    CONFIDENCE_PERCENT, MAX_ERROR_WINDOW_HOURS, MAX_EVALUATION_DAYS, MAX_EVALUATION_RUNS,
    MAX_FAILED_RUNS,
};

const MEMBERS: &[&str] =
    &["targets", "window_days", "minimum_runs", "confidence_percent", "error_budget"];

/// Whether every share is within it.
const fn misses_nothing(bound: Bound) -> bool {
    match bound {
        Bound::AtLeast(least) => least == 0,
        Bound::AtMost(most) => most >= MILLION,
    }
}

impl Reading {
    pub(super) fn evaluation(&mut self, node: &Node) -> Option<Evaluation> {
        let members = self.members(node, MEMBERS)?;
        let targets = self.field(&members, "targets", Self::targets);
        let window_days =
            self.field(&members, "window_days", |r, n| r.small(n, 1, MAX_EVALUATION_DAYS));
        let minimum_runs =
            self.field(&members, "minimum_runs", |r, n| r.small(n, 1, MAX_EVALUATION_RUNS));
        let (least, most) = CONFIDENCE_PERCENT;
        let confidence = self.field(&members, "confidence_percent", |r, n| r.small(n, least, most));
        let error_budget = match members.node("error_budget") {
            Some(node) => self.within("error_budget", |r| r.error_budget(node)).map(Some),
            None => Some(None),
        };
        Some(Evaluation {
            targets: targets?,
            window_days: window_days?,
            minimum_runs: minimum_runs?,
            confidence_percent: u8::try_from(confidence?).ok()?,
            error_budget: error_budget?,
        })
    }

    fn small(&mut self, node: &Node, min: u64, max: u64) -> Option<u32> {
        u32::try_from(self.integer(node, min, max)?).ok()
    }

    fn targets(&mut self, node: &Node) -> Option<BTreeMap<Measure, Bound>> {
        let list = self.map(node)?;
        self.not_empty(list.is_empty(), node.at, "target");
        let mut targets = BTreeMap::new();
        for member in list {
            let measure = self.parsed::<Measure>(&member.name, member.at, Code::Value);
            let bound = self.within(&member.name, |r| r.bound(member, measure));
            if let (Some(measure), Some(bound)) = (measure, bound) {
                targets.insert(measure, bound);
            }
        }
        Some(targets)
    }

    fn bound(&mut self, member: &Member, measure: Option<Measure>) -> Option<Bound> {
        let node = &member.node;
        let members = self.members(node, &["at_least", "at_most"])?;
        let bound = match (members.node("at_least"), members.node("at_most")) {
            (Some(node), None) => {
                self.within("at_least", |r| r.millionths(node)).map(Bound::AtLeast)
            }
            (None, Some(node)) => self.within("at_most", |r| r.millionths(node)).map(Bound::AtMost),
            _ => {
                let message = "a target is one bound";
                let remedy = "write `{at_least: NUMBER}` or `{at_most: NUMBER}`";
                self.report(Code::Value, node.at, message, remedy);
                None
            }
        }?;
        let measure = measure?;
        // A target that nothing can miss, or that rewards the worse, is none.
        if measure.more_is_better() != matches!(bound, Bound::AtLeast(_)) {
            let (right, which) =
                if measure.more_is_better() { ("at_least", "more") } else { ("at_most", "less") };
            let message = format!("of `{measure}` {which} is better");
            self.report(Code::Value, node.at, message, format!("write `{right}`"));
        }
        if measure.is_rate() && bound.millionths() > MILLION {
            let message = format!("`{measure}` is a share, from 0 to 1");
            self.report(Code::OutOfRange, node.at, message, "write 0.95 for 95 percent");
        } else if measure.is_rate() && misses_nothing(bound) {
            let message = format!("no run could miss `{measure}` {bound}: a share is from 0 to 1");
            let remedy = "write a bound that bad work misses, or leave the target out";
            self.report(Code::OutOfRange, node.at, message, remedy);
        }
        Some(bound)
    }

    fn millionths(&mut self, node: &Node) -> Option<u64> {
        let Value::Number(number) = &node.value else {
            self.wrong_type(node, "a number");
            return None;
        };
        let value = Bound::parse_millionths(number.text());
        if value.is_none() {
            let message = format!("`{}` is no bound", number.text());
            let remedy = "write a plain number from 0 to 1000000000, with at most six digits after the point";
            self.report(Code::OutOfRange, node.at, message, remedy);
        }
        value
    }

    fn error_budget(&mut self, node: &Node) -> Option<ErrorBudget> {
        let members = self.members(node, &["failed_runs", "window_hours"])?;
        let failed_runs =
            self.field(&members, "failed_runs", |r, n| r.small(n, 0, MAX_FAILED_RUNS));
        let window_hours =
            self.field(&members, "window_hours", |r, n| r.small(n, 1, MAX_ERROR_WINDOW_HOURS));
        Some(ErrorBudget { failed_runs: failed_runs?, window_hours: window_hours? })
    }
}
