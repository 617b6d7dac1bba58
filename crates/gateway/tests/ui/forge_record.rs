//! Nobody but `record` makes the witness of a durable decision.
use bailiwick_gateway::stages::effect::Recorded;
use bailiwick_policy::permit::Permit;

fn forge(permit: Permit) -> Recorded<Permit> {
    Recorded { permit }
}

fn main() {}
