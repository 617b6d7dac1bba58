//! Nobody but the rules makes a permit.
use bailiwick_policy::permit::{Case, Permit};

fn forge(case: Case) -> Permit {
    Permit { case }
}

fn main() {}
