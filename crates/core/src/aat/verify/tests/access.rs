//! Access tokens: one negative test per check (RFC 9068 §4, RFC 9449 §7).

use super::*;
use crate::access;
use crate::dpop;
use crate::guarantee::Assurance;

const RESOURCE: &str = "https://gateway.example/mcp/desk";

fn made(holder: Option<u8>, seconds: i64) -> String {
    let content = access::Content {
        jti: "access-1".to_owned(),
        now: Timestamp::from_seconds(NOW - 60),
        exp: NOW - 60 + seconds,
        nbf: None,
        key: holder.map(|number| key(number).public_key().thumbprint()),
        scope: scope(100),
        shorthands: vec!["refunds".to_owned()],
        aud: RESOURCE.to_owned(),
        budget: Object::new(),
        status: Some((7, "https://issuer.example/statuslists/1".to_owned())),
    };
    let authority = Authority { client: Some("client-1".to_owned()), ..authority() };
    let (signer, limits) = (key(0), ChainLimits::DEFAULT);
    access::issue("https://issuer.example", &content, &authority.to_claims(), &signer, &limits)
        .unwrap()
}

fn bound() -> String {
    made(Some(1), 600)
}

fn bearer() -> String {
    made(None, 300)
}

fn proof(token: &str, by: u8, uri: &str) -> String {
    let now = Timestamp::from_seconds(NOW);
    dpop::prove(&key(by), "proof-1", now, "POST", uri, token)
}

/// What the front door says of a token shown with a proof, or without one.
fn verdict(token: &str, proof: Option<&str>) -> Result<(Assurance, String), Reason> {
    judged(token, proof, |_| (), 50)
}

fn judged(
    token: &str,
    proof: Option<&str>,
    change: impl FnOnce(&mut Register),
    asked: i64,
) -> Result<(Assurance, String), Reason> {
    let limits = ChainLimits::DEFAULT;
    let anchors =
        Anchors::new(vec![("https://issuer.example".to_owned(), key(0).public_key())]).unwrap();
    let audiences = [RESOURCE.to_owned()];
    let context = Context {
        now: Timestamp::from_seconds(NOW),
        anchors: &anchors,
        audiences: &audiences,
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &limits,
    };
    let as_of = Timestamp::from_seconds(NOW);
    let mut register = Register { enrolled: true, revoked: None, as_of };
    change(&mut register);
    let inputs = Inputs { registry: &register, staleness_bound: 10 };
    let arguments = amount(asked);
    let call = Call { tool: TOOL, arguments: &arguments };
    let token = access::Unverified::parse(token, &limits).map_err(|d| d.reason)?;
    let shown = match proof {
        Some(proof) => Shown::Dpop(dpop::Request { proof, method: "POST", uri: RESOURCE }),
        None => Shown::Bearer { request: "request-1" },
    };
    examine_access::<Accountable>(&token, shown, &call, &context, inputs)
        .map(|verified| (verified.assurance(), verified.proof().jti.clone()))
        .map_err(|refused| refused.denial.reason)
}

#[test]
fn what_a_token_proves_is_what_it_is_bound_to() {
    let token = bound();
    let proof = proof(&token, 1, RESOURCE);
    let found = verdict(&token, Some(&proof));
    assert_eq!(found, Ok((Assurance::Token, "proof-1".to_owned())));
    assert_eq!(verdict(&bearer(), None), Ok((Assurance::None, "request-1".to_owned())));
}

#[test]
fn a_bound_token_is_no_bearers_and_a_bearers_is_not_bound() {
    let (bound, bearer) = (bound(), bearer());
    assert_eq!(verdict(&bound, None), Err(Reason::ProofInvalid));
    let of_bearer = proof(&bearer, 1, RESOURCE);
    assert_eq!(verdict(&bearer, Some(&of_bearer)), Err(Reason::ProofInvalid));
}

#[test]
fn a_proof_is_by_the_bound_key_for_this_token_and_resource() {
    let token = bound();
    for (made, reason) in [
        (proof(&token, 2, RESOURCE), Reason::ProofInvalid),
        (proof(&bearer(), 1, RESOURCE), Reason::ProofInvalid),
        (proof(&token, 1, "https://gateway.example/mcp/other"), Reason::ProofInvalid),
        ("x.y.z".to_owned(), Reason::PresentationMalformed),
    ] {
        assert_eq!(verdict(&token, Some(&made)), Err(reason));
    }
}

#[test]
fn a_bearer_token_lives_five_minutes_at_most_whoever_signed_it() {
    let longer = edited(&bearer(), &key(0), |claims| {
        claims.insert("exp", NOW - 60 + access::MAX_BEARER_SECONDS + 1);
    });
    assert_eq!(verdict(&longer, None), Err(Reason::LifetimeInvalid));
    let content = access::Content {
        jti: "x".to_owned(),
        now: Timestamp::from_seconds(NOW),
        exp: NOW + access::MAX_BEARER_SECONDS + 1,
        nbf: None,
        key: None,
        scope: scope(1),
        shorthands: Vec::new(),
        aud: RESOURCE.to_owned(),
        budget: Object::new(),
        status: None,
    };
    let claims = authority().to_claims();
    let refused =
        access::issue("https://i.example", &content, &claims, &key(0), &ChainLimits::DEFAULT);
    assert!(refused.is_err());
}

#[test]
fn every_claim_is_checked_before_anything_is_looked_up() {
    type Edit = fn(&mut Object);
    let cases: [(Edit, Reason); 9] = [
        (|c| c.insert("exp", NOW), Reason::TokenExpired),
        (|c| c.insert("iat", NOW + 3600), Reason::TokenNotYetValid),
        (|c| c.insert("iss", "https://other.example"), Reason::IssuerUntrusted),
        (|c| c.insert("aud", "https://gateway.example/mcp/other"), Reason::AudienceMismatch),
        // One audience, also where ours is among several.
        (
            |c| c.insert("aud", vec![Json::from(RESOURCE), Json::from("https://x.example")]),
            Reason::AudienceMismatch,
        ),
        (
            |c| {
                c.remove("client_id");
            },
            Reason::ClaimsMalformed,
        ),
        (|c| c.insert("cnf", Object::new().with("jwk", Object::new())), Reason::ClaimsMalformed),
        (|c| c.insert("authorization_details", Vec::<Json>::new()), Reason::ClaimsMalformed),
        (
            |c| {
                c.remove("act");
            },
            Reason::AccountabilityMissing,
        ),
    ];
    for (i, (edit, reason)) in cases.into_iter().enumerate() {
        assert_eq!(verdict(&edited(&bearer(), &key(0), edit), None), Err(reason), "case {i}");
    }
    assert_eq!(verdict(&edited(&bearer(), &key(5), |_| ()), None), Err(Reason::SignatureInvalid));
}

#[test]
fn a_token_of_another_kind_is_no_access_token() {
    let chain = root(&content(0), &key(0));
    assert_eq!(verdict(&chain, None), Err(Reason::HeaderUnacceptable));
    // And an access token is no chain.
    let token = [bearer()];
    let refused = Unverified::parse(&token, &ChainLimits::DEFAULT).unwrap_err();
    assert_eq!(refused.reason, Reason::HeaderUnacceptable);
}

#[test]
fn scope_registry_and_revocations_count_as_for_a_chain() {
    let token = bearer();
    assert_eq!(judged(&token, None, |_| (), 101), Err(Reason::ArgumentNotDelegated));
    assert_eq!(judged(&token, None, |r| r.enrolled = false, 50), Err(Reason::KeyNotEnrolled));
    let revoked = |r: &mut Register| r.revoked = Some("delegation".to_owned());
    assert_eq!(judged(&token, None, revoked, 50), Err(Reason::Revoked));
    let stale = |r: &mut Register| r.as_of = Timestamp::from_seconds(NOW - 60);
    assert_eq!(judged(&token, None, stale, 50), Err(Reason::RevocationStale));
}
