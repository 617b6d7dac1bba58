//! Reading ceilings on budgets.

use std::collections::BTreeMap;

use bailiwick_core::accountable::BudgetMember;
use bailiwick_core::ids::ToolId;

use super::super::yaml::Node;
use super::{BudgetCeilings, Code, Reading};
use crate::catalogue::Catalogue;
use crate::limits::{MAX_BUDGET, MAX_BUDGET_MEMBERS};

const FORMS: &str = "use `max_calls`, `max_calls/TOOL` or `sum/TOOL/ARGUMENT`, with `per/SECONDS/` before it for each window";

impl Reading {
    /// Ceilings, of tools that `catalogue` has; without one they are not
    /// looked up.
    pub(super) fn budget(
        &mut self,
        node: &Node,
        catalogue: Option<&Catalogue>,
    ) -> Option<BudgetCeilings> {
        let list = self.map(node)?;
        if list.len() > MAX_BUDGET_MEMBERS {
            let message = format!("a budget has at most {MAX_BUDGET_MEMBERS} members");
            self.report(Code::OutOfRange, node.at, message, "limit less");
            return None;
        }
        let mut members = BTreeMap::new();
        for member in list {
            let name = member.name.as_str();
            let Some(read) = BudgetMember::parse(name) else {
                let message = format!("unknown member `{}`", name.escape_debug());
                self.report(Code::MemberUnknown, member.at, message, FORMS);
                continue;
            };
            // A ceiling on a tool that is not there would look like one and
            // limit nothing.
            if let Some(tool) = read.counted.tool()
                && let Some(tool) = self.parsed::<ToolId>(tool, member.at, Code::Identifier)
                && catalogue.is_some_and(|c| c.rating(&tool).is_none())
            {
                let message = format!("the catalogue has no `{tool}`");
                let remedy = "name a tool of `tool_servers` by its whole id";
                self.report(Code::ToolUnknown, member.at, message, remedy);
            }
            // Zero grants nothing, which is what leaving the tool out says.
            if let Some(most) = self.within(name, |r| r.integer(&member.node, 1, MAX_BUDGET)) {
                members.insert(name.to_owned(), most);
            }
        }
        Some(BudgetCeilings { members })
    }
}
