//! Reading a workflow's rules about human decisions.

use super::super::yaml::Node;
use super::{Code, Reading};
use crate::approvers::{Approvals, Approver, MAX_NEEDED, MAX_WAIT_SECONDS};

const MEMBERS: &[&str] = &["by", "needed", "separate", "wait_seconds", "key_max_risk"];

impl Reading {
    /// What is not said is as [`Approvals::default`] has it.
    pub(super) fn approvals(&mut self, node: &Node) -> Option<Approvals> {
        let members = self.members(node, MEMBERS)?;
        let default = Approvals::default();
        let by = match members.node("by") {
            Some(by) => self.within("by", |r| r.some(by, Self::grade)),
            None => Some(default.by),
        };
        let needed = match members.node("needed") {
            Some(node) => self.within("needed", |r| r.integer(node, 1, MAX_NEEDED)),
            None => Some(default.needed),
        };
        let separate = match members.node("separate") {
            Some(node) => self.within("separate", |r| r.boolean(node)),
            None => Some(default.separate),
        };
        let wait_seconds = match members.node("wait_seconds") {
            Some(node) => self.within("wait_seconds", |r| r.integer(node, 1, MAX_WAIT_SECONDS)),
            None => Some(default.wait_seconds),
        };
        let key_max_risk = match members.node("key_max_risk") {
            Some(node) => self.within("key_max_risk", |r| r.grade(node)),
            None => Some(default.key_max_risk),
        };
        let read = Approvals {
            by: by?,
            needed: needed?,
            separate: separate?,
            wait_seconds: wait_seconds?,
            key_max_risk: key_max_risk?,
        };
        // More than could ever agree would hold every call for ever.
        let single = |a: &Approver| !matches!(a, Approver::Role | Approver::Group(_));
        let most = u64::try_from(read.by.len()).unwrap_or(u64::MAX);
        if read.by.iter().all(single) && read.needed > most {
            let message = format!("{} people must agree, and `by` names {most}", read.needed);
            let remedy = "name more of them, or ask for fewer";
            self.report(Code::OutOfRange, node.at, message, remedy);
        }
        Some(read)
    }
}
