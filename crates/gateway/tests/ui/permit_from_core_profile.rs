//! What only the draft's rules verified cannot become a permit.
use bailiwick_core::aat::verify::{Core, Verified};
use bailiwick_policy::Workflow;
use bailiwick_policy::permit::{Ruling, rule};

fn shortcut(verified: Verified<Core>, workflow: &Workflow) -> Ruling {
    rule(verified, workflow, &[], None)
}

fn main() {}
