//! Constraints and scopes, tested over their public interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "constraint_suite/extensions.rs"]
mod extensions;
#[path = "constraint_suite/globs.rs"]
mod globs;
#[path = "constraint_suite/laws.rs"]
mod laws;
#[path = "constraint_suite/oracle.rs"]
mod oracle;
#[path = "constraint_suite/oracle_extensions.rs"]
mod oracle_extensions;
#[path = "constraint_suite/paths_and_urls.rs"]
mod paths_and_urls;
#[path = "constraint_suite/scopes.rs"]
mod scopes;
#[path = "constraint_suite/table.rs"]
mod table;
#[path = "constraint_suite/values.rs"]
mod values;
#[path = "constraint_suite/vectors.rs"]
mod vectors;
#[path = "constraint_suite/well_formed.rs"]
mod well_formed;

use bailiwick_core::constraint::{Constraint, ConstraintError, Dialect};
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;

const LIMITS: JsonLimits = JsonLimits { max_bytes: 1 << 22, max_depth: 120, max_values: 1_000_000 };

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &LIMITS).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn read(text: &str) -> Result<Constraint, ConstraintError> {
    Constraint::parse(&json(text), Dialect::Extended, 32)
}

fn constraint(text: &str) -> Constraint {
    read(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}
