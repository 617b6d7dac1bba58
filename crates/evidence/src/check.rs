//! The named checks, in the order in which they are made.

use bailiwick_core::json::{Json, Object};

macro_rules! checks {
    ($($variant:ident, $id:literal, $sentence:literal, $remedy:literal;)*) => {
        /// One check of a bundle.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Check { $(#[doc = $sentence] $variant,)* }

        impl Check {
            /// Every check, in order.
            pub const ALL: &'static [Check] = &[$(Check::$variant,)*];

            /// The stable id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Check::$variant => $id,)* }
            }

            /// What holds when it passed.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Check::$variant => $sentence,)* }
            }

            /// What to do when it did not.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Check::$variant => $remedy,)* }
            }
        }
    };
}

checks! {
    Bundle, "bundle", "the bundle is one well-formed, undamaged text",
        "get the bundle again with `bailiwick evidence get` and keep it byte for byte";
    Makers, "makers", "every entry was sealed by a maker that the trust file lists, in its role and time",
        "compare the trust file's fingerprint with the organisation; if it is right, the entry is not theirs";
    Inclusion, "inclusion", "every entry is in the log, under one checkpoint that the log signed",
        "get the bundle again from the same log; if it stays so, keep it and ask the log's operator";
    Disclosures, "disclosures", "every disclosed value is what its entry committed to, and none that is needed is missing",
        "ask for a bundle with its plaintext; what was erased cannot be verified any more";
    Principal, "principal", "the principal is the registered one whose key and alias the log records",
        "ask the organisation for the principal's registration; do not rely on this action's author";
    Grant, "grant", "the grant in the log is the disclosed statement, signed by the principal itself",
        "ask the principal whether they signed this grant; do not rely on it";
    Enrolment, "enrolment", "every hop's key was enrolled by its instance, for its agent and owner",
        "ask the agents' owners which instances are theirs";
    Peers, "peers", "every hop that took the task over from a peer did so by a handshake and an accepted handoff that both signed",
        "ask both agents' owners about this handoff; do not rely on the taker's authority";
    Delegation, "delegation", "chain and proof of possession hold again at the time of the decision",
        "treat the call as unauthorised and ask the gateway's operator";
    Scope, "scope", "the delegation permits no more than the grant",
        "treat the delegation as unauthorised and ask the authority's operator";
    Agreement, "agreement", "grant, task, workflow, delegation and decision agree, in window and in order",
        "treat the bundle as spliced and ask the organisation for the action's own entries";
    Tool, "tool", "the tool's definition is the pinned one",
        "ask the tool's owner for its pins";
    Action, "action", "the action's digest is that of what was verified",
        "treat the recorded action as another one than the call that was proved";
    Approval, "approval", "people approved this very action or calls like it, with keys of their own, and as the workflow's rules ask",
        "ask the approvers whether they approved this call; do not rely on the decision";
    Decision, "decision", "the decision agrees with what was verified again",
        "ask the gateway's operator why it decided otherwise";
    Outcome, "outcome", "the outcome is this decision's",
        "ask for the action's own outcome entry";
    Witnesses, "witnesses", "witnesses and kept checkpoints do not contradict the log",
        "keep both checkpoints as evidence: the log showed two histories, or too few witnesses saw it";
}

/// The first thing that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which check.
    pub check: Check,
    /// What was found, one sentence; names things, never secret values.
    pub found: String,
}

impl Failure {
    pub(crate) fn new(check: Check, found: impl Into<String>) -> Self {
        Self { check, found: found.into() }
    }

    /// `{check, found, remedy}`
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("check", self.check.id())
            .with("found", self.found.as_str())
            .with("remedy", self.check.remedy())
            .into()
    }
}

/// Fails `check` with `found` unless `holds`.
pub(crate) fn ensure(
    holds: bool,
    check: Check,
    found: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(check, found())) }
}
