//! Framing and verification of a presentation in both profiles: nobody without a key makes one
//! that is permitted.
//!
//! Input: tool, arguments, time, proof, then the tokens, root first.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use bailiwick_core::aat::verify::{Call, Core, Unverified, verify};
use bailiwick_core::json::Json;
use bailiwick_core::limits::ChainLimits;
use bailiwick_fuzz::{AUDIENCE, CASES, JSON, context, fields, joined, seed};
use libfuzzer_sys::fuzz_target;

/// The signing inputs of every proof in the vectors: signatures that exist.
static MADE: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    CASES
        .iter()
        .filter_map(|c| Some(c.proof.rsplit_once('.')?.0))
        .collect()
});

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    CASES.iter().map(|c| {
        let mut fields = vec![&c.tool, &c.arguments, &c.now, &c.proof];
        fields.extend(&c.chain);
        joined(&fields)
    })
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [tool, arguments, now, proof, chain @ ..] = fields.as_slice() else { return };
        let Ok(arguments) = Json::parse(arguments.as_bytes(), &JSON) else { return };
        let Ok(call) = Call::new(tool, &arguments) else { return };
        let limits = ChainLimits::DEFAULT;
        let Ok(chain) = Unverified::parse(chain, &limits) else { return };
        let audiences = [AUDIENCE.to_owned()];
        let context = context(now.parse().unwrap_or(1_704_067_500), &audiences, &limits);
        if verify::<Core>(&chain, proof, &call, &context, ()).is_ok() {
            let signed = proof.rsplit_once('.').map(|(signed, _)| signed).unwrap_or_default();
            assert!(MADE.contains(signed), "a proof that nobody made is permitted");
        }
    }
);
