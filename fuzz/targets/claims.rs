//! What stands inside signed tokens. The target holds the keys and signs whatever the fuzzer
//! writes, as a hostile holder could; a permit is then one that every token of the chain gives.
//!
//! Input: tool, arguments, time, the proof's claims, then each token's claims, root first.
#![no_main]

use bailiwick_core::aat::verify::{Call, Core, Unverified, verify};
use bailiwick_core::aat::{PROOF_TYPE, TOKEN_TYPE};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::{Signer, SigningKey, base64url, sha256};
use bailiwick_core::json::Json;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::Scope;
use bailiwick_fuzz::{AUDIENCE, CASES, JSON, KEYS, context, fields, joined, payload, seed, tools};
use libfuzzer_sys::fuzz_target;

/// What may stand beside the token's own entry, and speaks of tools too.
const OTHER_ENTRY: &str = r#"{"type":"other","tools":{"tool":{"v":{}}}}"#;

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let beside = |claims: &[u8]| {
        let opened = r#""authorization_details":["#;
        let with_other = format!("{opened}{OTHER_ENTRY},");
        String::from_utf8_lossy(claims).replacen(opened, &with_other, 1).into_bytes()
    };
    seeds_with(<[u8]>::to_vec).chain(seeds_with(beside))
}

/// The cases with each token's claims changed.
fn seeds_with(change: impl Fn(&[u8]) -> Vec<u8>) -> impl Iterator<Item = Vec<u8>> {
    CASES.iter().filter_map(move |c| {
        let mut fields =
            vec![c.tool.clone().into(), c.arguments.clone().into(), c.now.clone().into()];
        fields.push(payload(&c.proof)?);
        for token in &c.chain {
            fields.push(change(&payload(token)?));
        }
        Some(joined(&fields))
    })
}

/// The key that a token's `cnf` names, or the last of ours.
fn holder(claims: &str) -> &'static SigningKey {
    let named = |key: &&SigningKey| claims.contains(&base64url(key.public_key().as_bytes()));
    KEYS.iter().find(named).unwrap_or(&KEYS[4])
}

/// Puts `hash` where `claims` state one of another token, so that a change of the parent does
/// not end every path at the parent's hash.
fn with_hash(claims: &str, member: &str, hash: &str) -> String {
    let mark = format!("\"{member}\":\"");
    let Some((before, after)) = claims.split_once(&mark) else {
        return claims.to_owned();
    };
    let Some((_, after)) = after.split_once('"') else {
        return claims.to_owned();
    };
    format!("{before}{mark}{hash}\"{after}")
}

fn signed(typ: &str, claims: &str, key: &SigningKey) -> String {
    let header = base64url(format!(r#"{{"alg":"Ed25519","typ":"{typ}"}}"#).as_bytes());
    let input = format!("{header}.{}", base64url(claims.as_bytes()));
    let signature = base64url(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn hash(token: &str) -> String {
    let input = token.rsplit_once('.').map(|(input, _)| input).unwrap_or_default();
    sha256(input.as_bytes()).to_string()
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [tool, arguments, now, proof, written @ ..] = fields.as_slice() else { return };
        if written.len() > 4 {
            return;
        }
        let Ok(arguments) = Json::parse(arguments.as_bytes(), &JSON) else { return };
        let Ok(call) = Call::new(tool, &arguments) else { return };
        let (mut key, mut chain) = (&KEYS[0], Vec::<String>::new());
        for claims in written {
            let parent = chain.last().map(|t| hash(t)).unwrap_or_default();
            chain.push(signed(TOKEN_TYPE, &with_hash(claims, "par_hash", &parent), key));
            key = holder(claims);
        }
        let Some(leaf) = chain.last() else { return };
        let proof = signed(PROOF_TYPE, &with_hash(proof, "aat_hash", &hash(leaf)), key);
        let limits = ChainLimits::DEFAULT;
        let Ok(unverified) = Unverified::parse(&chain, &limits) else { return };
        let audiences = [AUDIENCE.to_owned()];
        let context = context(now.parse().unwrap_or(1_704_067_500), &audiences, &limits);
        if verify::<Core>(&unverified, &proof, &call, &context, ()).is_err() {
            return;
        }
        for token in &chain {
            let claims = payload(token).and_then(|p| Json::parse(&p, &JSON).ok());
            let claims = claims.expect("verified claims are JSON");
            let tools = tools(&claims).expect("a permit comes from a tools map");
            let scope = Scope::parse(tools, Dialect::Core, limits.max_constraint_depth);
            let scope = scope.expect("verified scopes are well-formed");
            assert!(scope.permits(call.tool, call.arguments).is_ok(), "authority was widened");
        }
    }
);
