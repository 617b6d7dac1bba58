//! The document of entitlements, read as strictly as a workflow.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::WorkflowId;
use bailiwick_core::limits::ChainLimits;

use super::{Code, MAX_PROBLEMS, MAX_WINDOW_SECONDS, Node, Problem, Reading, Value};
use crate::entitlements::{Allowance, Entitlements, Rule};

const WHO: &[&str] = &["principals", "groups", "claims", "everybody"];
const ALLOWANCE: &[&str] = &["workflow", "scope", "max_risk", "max_window_seconds", "max_depth"];

/// Everything of its kind.
const ALL: &str = "*";

pub(in crate::workflow) fn entitlements(document: &Node) -> Result<Entitlements, Vec<Problem>> {
    let mut reading = Reading::default();
    let rules = reading.entitlements(document);
    let mut problems = reading.problems;
    match rules {
        Some(rules) if problems.is_empty() => Ok(Entitlements { rules }),
        _ => {
            problems.sort_by_key(|p| p.at);
            problems.truncate(MAX_PROBLEMS);
            Err(problems)
        }
    }
}

impl Reading {
    fn entitlements(&mut self, document: &Node) -> Option<Vec<Rule>> {
        let top = self.members(document, &["rules"])?;
        self.field(&top, "rules", |r, node| r.each(node, Self::rule))
    }

    /// A list in its order; every item is read, to report all problems.
    pub(super) fn each<T>(
        &mut self,
        node: &Node,
        read: impl Fn(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(node)?;
        let read = |(n, item): (usize, &Node)| self.within(&(n + 1).to_string(), |r| read(r, item));
        let items: Vec<Option<T>> = items.iter().enumerate().map(read).collect();
        items.into_iter().collect()
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let rule = self.members(node, &["who", "may_do", "may_grant"])?;
        let half = |r: &mut Self, name: &str| match rule.node(name) {
            Some(node) => r.within(name, |r| r.each(node, Self::allowance)),
            None => Some(Vec::new()),
        };
        let (may_do, may_grant) = (half(self, "may_do"), half(self, "may_grant"));
        let who = self.field(&rule, "who", Self::who);
        let (principals, groups, claims) = who?;
        Some(Rule { principals, groups, claims, may_do: may_do?, may_grant: may_grant? })
    }

    #[expect(clippy::type_complexity, reason = "three members of one value, read together")]
    fn who<P: Ord + std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        node: &Node,
    ) -> Option<(BTreeSet<P>, BTreeSet<String>, BTreeMap<String, String>)> {
        let who = self.members(node, WHO)?;
        let principals = match who.node("principals") {
            Some(node) => self.within("principals", |r| r.some(node, Self::id)),
            None => Some(BTreeSet::new()),
        };
        let groups = match who.node("groups") {
            Some(node) => self.within("groups", |r| r.some(node, Self::label)),
            None => Some(BTreeSet::new()),
        };
        let claims = match who.node("claims") {
            Some(node) => self.within("claims", |r| r.claims(node)),
            None => Some(BTreeMap::new()),
        };
        let everybody = match who.node("everybody") {
            Some(node) => self.within("everybody", |r| r.boolean(node)),
            None => Some(false),
        };
        let (principals, groups, claims, everybody) = (principals?, groups?, claims?, everybody?);
        let nobody = principals.is_empty() && groups.is_empty() && claims.is_empty();
        // A rule that speaks of all has to say so, and of nobody else.
        if nobody != everybody {
            self.report(
                Code::Value,
                node.at,
                "it is not clear of whom the rule speaks",
                "name `principals`, `groups` or `claims`, or write `everybody: true` alone",
            );
            return None;
        }
        Some((principals, groups, claims))
    }

    /// A set that is not empty.
    pub(super) fn some<T: Ord>(
        &mut self,
        node: &Node,
        read: impl Fn(&mut Self, &Node) -> Option<T>,
    ) -> Option<BTreeSet<T>> {
        let set = self.set(node, read)?;
        self.not_empty(set.is_empty(), node.at, "name");
        Some(set)
    }

    fn claims(&mut self, node: &Node) -> Option<BTreeMap<String, String>> {
        let members = self.map(node)?;
        self.not_empty(members.is_empty(), node.at, "claim");
        let mut claims = BTreeMap::new();
        for member in members {
            let value = self.within(&member.name, |r| r.label(&member.node))?;
            claims.insert(member.name.clone(), value);
        }
        Some(claims)
    }

    fn allowance(&mut self, node: &Node) -> Option<Allowance> {
        let members = self.members(node, ALLOWANCE)?;
        let workflow = self.field(&members, "workflow", |r, node| match &node.value {
            Value::Text(text) if text == ALL => Some(None),
            _ => r.id::<WorkflowId>(node).map(Some),
        });
        let scope = self.field(&members, "scope", |r, node| match &node.value {
            Value::Text(text) if text == ALL => Some(None),
            _ => {
                let named = r.some(node, Self::label)?;
                Some(if named.contains(ALL) { None } else { Some(named) })
            }
        });
        let max_risk = self.field(&members, "max_risk", Self::grade);
        let longest = MAX_WINDOW_SECONDS;
        let max_window_seconds = match members.node("max_window_seconds") {
            Some(node) => self.within("max_window_seconds", |r| r.integer(node, 1, longest)),
            None => Some(longest),
        };
        let deepest = ChainLimits::DEFAULT.max_delegation_depth;
        let max_depth = match members.node("max_depth") {
            Some(node) => self.within("max_depth", |r| r.integer(node, 0, deepest)),
            None => Some(deepest),
        };
        Some(Allowance {
            workflow: workflow?,
            scope: scope?,
            max_risk: max_risk?,
            max_window_seconds: max_window_seconds?,
            max_depth: max_depth?,
        })
    }
}
