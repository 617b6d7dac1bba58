//! Every limit of the core in one place. Limits are counts and sizes, never
//! wall time; the durations here are bounds on claims, compared as values.

/// Bounds on one JSON text read from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// Bytes of the whole text.
    pub max_bytes: usize,
    /// Nesting of arrays and objects; a scalar alone has depth 0.
    pub max_depth: usize,
    /// Values in the whole text (scalars, arrays, objects and member names).
    pub max_values: usize,
}

impl JsonLimits {
    /// For token claims, arguments and messages: 1 MiB, 100,000 values, and 96
    /// levels, which leaves room for constraint trees of depth 32 at two levels
    /// each. serde_json itself stops at 128 levels.
    pub const DEFAULT: Self = Self { max_bytes: 1 << 20, max_depth: 96, max_values: 100_000 };
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bounds on chains and proofs (draft -02 §4.3.1, §4.3, §3.4, §4.4, §9.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLimits {
    /// Bytes of one encoded token, and of the proof (step 2a).
    pub max_token_size: usize,
    /// Bytes of all encoded tokens together (step 2b).
    pub max_chain_size: usize,
    /// Ceiling on `del_max_depth` and on any depth (steps 3i, 4f). The draft
    /// asks for at least [`ChainLimits::LEAST_DELEGATION_DEPTH`]: an
    /// enforcement point that sets less denies chains that conform.
    pub max_delegation_depth: u64,
    /// Depth of one constraint tree (steps 3n, 4o).
    pub max_constraint_depth: usize,
    /// Seconds that a token's `iat` may lie ahead of our clock (steps 3f, 4k).
    pub max_iat_skew: i64,
    /// Seconds from `iat` to `exp` of a root (step 3h).
    pub max_token_lifetime: i64,
    /// Seconds on both sides of now for a proof's `iat` (step 7g), that of a
    /// DPoP proof as well; both edges are inside.
    pub pop_window: i64,
    /// Bounds on the JSON of claims, header and arguments.
    pub json: JsonLimits,
}

impl ChainLimits {
    /// The least that `max_delegation_depth` may be (§4.3).
    pub const LEAST_DELEGATION_DEPTH: u64 = 8;

    /// The draft's recommended values with its conformance suite's depth.
    pub const DEFAULT: Self = Self {
        max_token_size: 65_536,
        max_chain_size: 262_144,
        max_delegation_depth: 8,
        max_constraint_depth: 32,
        max_iat_skew: 30,
        max_token_lifetime: 7_776_000,
        pop_window: 30,
        json: JsonLimits::DEFAULT,
    };
}

impl Default for ChainLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_in_force_are_those_that_the_draft_allows() {
        let limits = ChainLimits::default();
        assert_eq!(limits, ChainLimits::DEFAULT);
        assert!(limits.max_delegation_depth >= ChainLimits::LEAST_DELEGATION_DEPTH);
        // A window beyond 60 seconds is not recommended (§9.10).
        assert!((1..=60).contains(&limits.pop_window) && (1..=60).contains(&limits.max_iat_skew));
        assert!((1..=7_776_000).contains(&limits.max_token_lifetime));
        assert!(limits.max_token_size <= limits.max_chain_size);
        // What fits into a token can be read, and its constraint trees too.
        assert!(limits.max_chain_size <= limits.json.max_bytes);
        assert!(2 * limits.max_constraint_depth < limits.json.max_depth);
    }
}
