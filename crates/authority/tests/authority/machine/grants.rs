//! Grants that come as a signed request (RFC 7523 §2.1): what a service does,
//! over HTTP, with nothing but its name and its key.

use bailiwick_authority::rules::delegations::Prepared;
use bailiwick_core::crypto::{base64url, from_base64url};
use bailiwick_core::grant::{AssertionClaims, Moment, Proof, Registered, SignedBy, TYPE};
use bailiwick_core::ids::GrantId;
use bailiwick_core::jose::{JwsSigner, VerifyingKey};

use super::*;
use crate::support::{principal, provider_key};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SERVICE: &str = "service:billing";
/// The service's key; 46 is another service's.
const KEY: u8 = 45;
const DETAILS: &str = r#"[{"type":"urn:bailiwick:delegation","agent":"agent:support-runner",
    "workflow":"support-tickets","purpose":"settle the invoice","scope":["orders:read"],
    "expires_in":1800,"max_depth":1,"budget":{"max_calls":20}}]"#;

pub(super) struct Services {
    pub(super) served: Served,
}

/// The claims of an assertion by `name`, some of them changed; one that is set
/// to null is left out.
pub(super) fn claims(served: &Served, name: &str, jti: &str, changes: &[(&str, Json)]) -> Object {
    let mut claims = Object::new()
        .with("iss", name)
        .with("sub", name)
        .with("aud", URL)
        .with("iat", served.world.now().seconds())
        .with("exp", served.world.now().plus_seconds(60).seconds())
        .with("jti", jti);
    for (name, value) in changes {
        match value {
            Json::Null => {
                claims.remove(name);
            }
            value => claims.insert(*name, value.clone()),
        }
    }
    claims
}

impl Services {
    pub(super) fn start() -> Self {
        let served = Served::with(serving_desk());
        for (name, seed) in [(SERVICE, KEY), ("service:other", 46)] {
            let jwk = key(seed).public_key().to_jwk();
            served.world.authority.principal_add(&principal(name), Some(&jwk)).unwrap();
        }
        Self { served }
    }

    /// Asks for the grant as `name` with the key of `seed`.
    fn prepare_as(&self, name: &str, seed: u8, jti: &str, details: &str) -> Answer {
        self.prepare_by(name, &*key(seed), jti, details)
    }

    fn prepare_by(&self, name: &str, key: &dyn JwsSigner, jti: &str, details: &str) -> Answer {
        let claims = claims(&self.served, name, jti, &[]);
        let assertion = jose::sign("client-authentication+jwt", None, &claims.into(), key).unwrap();
        let pairs = [
            ("client_assertion_type", ASSERTION),
            ("client_assertion", &assertion),
            ("authorization_details", details),
        ];
        self.served.post("/prepare", &pairs, &[])
    }

    fn prepared(&self, jti: &str) -> (String, Prepared) {
        let answer = self.prepare_as(SERVICE, KEY, jti, DETAILS);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let prepared = Prepared::from_json(&json(&answer.body)).unwrap();
        (answer.body, prepared)
    }

    fn signed(&self, prepared: &Prepared, jti: &str, by: &dyn JwsSigner) -> String {
        let issued = self.served.world.now();
        let claims = AssertionClaims { jti, issued, expires: issued.plus_seconds(60) };
        prepared.statement.sign_assertion(&claims, by).unwrap()
    }

    fn submit(&self, assertion: &str, prepared: &str, more: &[(&str, &str)]) -> Answer {
        let mut pairs =
            vec![("grant_type", GRANT), ("assertion", assertion), ("prepared", prepared)];
        pairs.extend(more);
        self.served.post("/token", &pairs, &[])
    }

    /// A grant of the service: its id and the first root.
    pub(super) fn grant(&self, jti: &str) -> (GrantId, String) {
        let (text, prepared) = self.prepared(jti);
        let answer = self.submit(&self.signed(&prepared, jti, &*key(KEY)), &text, &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        (GrantId::parse(&answer.text("grant_id")).unwrap(), answer.text("access_token"))
    }
}

#[test]
fn a_service_grants_with_one_signature_that_evidence_verifies() {
    let services = Services::start();
    let world = &services.served.world;
    let before = world.log_size();
    let (text, prepared) = services.prepared("p1");
    assert_eq!(world.log_size(), before, "a preparation writes nothing");
    assert_eq!(prepared.statement.principal.as_str(), SERVICE);
    let assertion = services.signed(&prepared, "g1", &*key(KEY));
    let answer = services.submit(&assertion, &text, &[]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.text("token_type"), "aat");
    assert_eq!(answer.text("issued_token_type"), "urn:bailiwick:token-type:delegation");
    assert_eq!(answer.text("scope"), "orders:read");
    let root = answer.text("access_token");
    assert_eq!(world.verdict(&[&root], 21), "allow");
    // The grant is in the ledger before its root, and what is kept is the very
    // text that was sent: the principal's signature over the digest.
    assert_eq!(
        world.kinds().split_off(usize::try_from(before).unwrap()),
        ["task.created", "grant.recorded", "delegation.issued"]
    );
    let id = GrantId::parse(&answer.text("grant_id")).unwrap();
    let (statement, signature) = world.authority.grant_texts(&id).unwrap().unwrap();
    assert_eq!(signature, assertion);
    let statement = bailiwick_core::grant::Statement::from_json(&json(&statement)).unwrap();
    let keys = [VerifyingKey::Ed25519(key(KEY).public_key())];
    let registered = Registered { keys: &keys, ..Registered::NOTHING };
    let moment = Moment { signed_at: world.now(), skew_seconds: 30 };
    let proof = Proof::from_text(Some(&signature)).unwrap();
    let signed_by = statement.verify_proof(&proof, &registered, &moment).unwrap();
    assert_eq!(signed_by, SignedBy::Service);
    // It counts once.
    assert_eq!(services.submit(&assertion, &text, &[]).error(), (400, "invalid_grant".into()));
    let again = services.signed(&prepared, "g2", &*key(KEY));
    let again = services.submit(&again, &text, &[]);
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    assert!(again.text("error_description").contains("submitted before"), "{}", again.body);
}

/// The signature's twin (`n - s` for `s`), which holds as well.
fn twin(jws: &str) -> String {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let mut bytes = from_base64url(signature).unwrap();
    let mut borrow = 0;
    for i in (0..32).rev() {
        let difference = i16::from(N[i]) - i16::from(bytes[32 + i]) - borrow;
        borrow = i16::from(difference < 0);
        bytes[32 + i] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{input}.{}", base64url(&bytes))
}

#[test]
fn a_service_with_a_p256_key_grants_by_es256_and_by_nothing_that_looks_like_it() {
    let services = Services::start();
    let world = &services.served.world;
    let (own, name) = (provider_key(), "service:modern");
    world.authority.principal_add(&principal(name), Some(&own.public_key().to_jwk())).unwrap();
    // Whoever it is not does not even get a statement.
    for other in [&provider_key() as &dyn JwsSigner, &*key(KEY)] {
        let answer = services.prepare_by(name, other, "p0", DETAILS);
        assert_eq!(answer.error(), (401, "invalid_client".to_owned()), "{}", answer.body);
    }
    let answer = services.prepare_by(name, &own, "p1", DETAILS);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (text, prepared) = (answer.body.clone(), Prepared::from_json(&json(&answer.body)).unwrap());
    let good = services.signed(&prepared, "g1", &own);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (_, payload) = input.split_once('.').unwrap();
    let resigned = |header: &str, key: &dyn JwsSigner| {
        let input = format!("{}.{payload}", base64url(header.as_bytes()));
        format!("{input}.{}", base64url(&key.sign_jws(input.as_bytes()).unwrap()))
    };
    let bytes = from_base64url(signature).unwrap();
    let with = |signature: &[u8]| format!("{input}.{}", base64url(signature));
    let half = |from: &[u8]| [from, &[0; 32]].concat();
    for (what, assertion) in [
        // RFC 8725 §3.1: the key settles the algorithm, not the header.
        ("EdDSA over P-256", resigned(r#"{"alg":"EdDSA","typ":"bailiwick-grant+jwt"}"#, &own)),
        ("Ed25519 over P-256", resigned(r#"{"alg":"Ed25519","typ":"bailiwick-grant+jwt"}"#, &own)),
        ("ES384", resigned(r#"{"alg":"ES384","typ":"bailiwick-grant+jwt"}"#, &own)),
        (
            "an Ed25519 key's ES256",
            resigned(r#"{"alg":"ES256","typ":"bailiwick-grant+jwt"}"#, &*key(KEY)),
        ),
        ("another P-256 key", services.signed(&prepared, "g2", &provider_key())),
        ("no s", with(&half(&bytes[..32]))),
        ("short", with(&bytes[..63])),
        ("long", with(&[&bytes[..], &[0]].concat())),
        (
            "in DER",
            with(&[&[0x30, 0x44, 0x02, 0x20], &bytes[..32], &[0x02, 0x20], &bytes[32..]].concat()),
        ),
        ("empty", with(&[])),
    ] {
        let answer = services.submit(&assertion, &text, &[]);
        assert_eq!(answer.error(), (400, "invalid_grant".to_owned()), "{what}: {}", answer.body);
    }
    assert!(!world.kinds().iter().any(|k| k == "grant.recorded"));
    let answer = services.submit(&good, &text, &[]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.verdict(&[&answer.text("access_token")], 21), "allow");
    // Another `s` for the same words is not another assertion.
    for again in [good.clone(), twin(&good)] {
        let again = services.submit(&again, &text, &[]);
        assert_eq!(again.error(), (400, "invalid_grant".to_owned()), "{}", again.body);
    }
}

/// RFC 7523 §3, items 1 to 10; draft-ietf-oauth-rfc7523bis §4.
#[test]
fn an_assertion_that_is_not_this_principals_for_this_authority_now_grants_nothing() {
    let services = Services::start();
    let (text, prepared) = services.prepared("p1");
    let now = services.served.world.now().seconds();
    let with = |jti: &str, changes: &[(&str, Json)]| {
        let mut claims = claims(&services.served, SERVICE, jti, changes);
        if claims.member("digest").is_none() {
            claims.insert("digest", prepared.statement.digest());
        }
        claims.insert("grant", &prepared.statement.id);
        jose::sign(TYPE, None, &claims.into(), &*key(KEY)).unwrap()
    };
    let raw = |header: &str, claims: Object, signature: &[u8]| {
        let claims = base64url(Json::from(claims).canonical().as_bytes());
        format!("{}.{claims}.{}", base64url(header.as_bytes()), base64url(signature))
    };
    let claimed = |jti: &str| claims(&services.served, SERVICE, jti, &[]);
    let two = Json::Array(vec![URL.into(), "https://other.example".into()]);
    let none: [u8; 0] = [];
    for (what, assertion) in [
        ("another issuer", with("a1", &[("iss", "service:other".into())])),
        ("another subject", with("a2", &[("sub", "service:other".into())])),
        (
            "nobody",
            with("a3", &[("sub", "service:nobody".into()), ("iss", "service:nobody".into())]),
        ),
        ("no subject", with("a4", &[("sub", Json::Null)])),
        ("another audience", with("a5", &[("aud", "https://other.example".into())])),
        ("two audiences", with("a6", &[("aud", two)])),
        ("the token endpoint", with("a7", &[("aud", format!("{URL}/token").into())])),
        ("no audience", with("a8", &[("aud", Json::Null)])),
        ("over", with("a9", &[("exp", (now - 60).into())])),
        ("for longer than minutes", with("a10", &[("exp", (now + 3600).into())])),
        ("without an end", with("a11", &[("exp", Json::Null)])),
        ("of the future", with("a12", &[("iat", (now + 120).into())])),
        ("not yet", with("a13", &[("nbf", (now + 120).into())])),
        ("without a jti", with("a14", &[("jti", Json::Null)])),
        ("with a claim that nobody looks at", with("a15", &[("scope", "refund:1".into())])),
        ("over another grant", with("a16", &[("digest", "x".into())])),
        ("another's signature", services.signed(&prepared, "a17", &*key(46))),
        ("unsigned", raw(r#"{"alg":"none","typ":"bailiwick-grant+jwt"}"#, claimed("a18"), &none)),
        (
            "by the public key as a secret",
            raw(r#"{"alg":"HS256","typ":"bailiwick-grant+jwt"}"#, claimed("a19"), &[1; 32]),
        ),
        ("of another type", jose::sign("JWT", None, &claimed("a20").into(), &*key(KEY)).unwrap()),
        ("no JWS", "a.b.c".to_owned()),
    ] {
        let answer = services.submit(&assertion, &text, &[]);
        assert_eq!(answer.error(), (400, "invalid_grant".to_owned()), "{what}: {}", answer.body);
    }
    assert!(!services.served.world.kinds().iter().any(|k| k == "grant.recorded"));
    // What was wrong with the others was not the rest of the request.
    let good = services.submit(&with("a30", &[]), &text, &[]);
    assert_eq!(good.status, 200, "{}", good.body);
}

#[test]
fn what_is_submitted_is_what_was_prepared_for_the_same_principal_a_while_ago() {
    let services = Services::start();
    let (text, prepared) = services.prepared("p1");
    let good = |jti: &str| services.signed(&prepared, jti, &*key(KEY));
    // Somebody else's grant, under the own key.
    let theirs = services.prepare_as("service:other", 46, "p2", DETAILS);
    let other = Prepared::from_json(&json(&theirs.body)).unwrap();
    let claims = claims(&services.served, SERVICE, "o1", &[])
        .with("digest", other.statement.digest())
        .with("grant", &other.statement.id);
    let own = jose::sign(TYPE, None, &claims.into(), &*key(KEY)).unwrap();
    let refused = services.submit(&own, &theirs.body, &[]);
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()));
    // A statement that was changed, or sealed by nobody.
    let mut longer = prepared.clone();
    longer.statement.not_after += 600;
    let changed = services.signed(&longer, "c1", &*key(KEY));
    let answer = services.submit(&changed, &longer.to_json().canonical(), &[]);
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    assert!(answer.text("error_description").contains("prepared"), "{}", answer.body);
    let answer = services.submit(&good("c2"), "{}", &[]);
    assert_eq!(answer.error(), (400, "invalid_request".to_owned()));
    // What was settled is not said again.
    for extra in [("scope", "refund:1"), ("resource", RESOURCE)] {
        let answer = services.submit(&good("c3"), &text, &[extra]);
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{extra:?}");
    }
    // Another party may not send it along.
    let answer = services.submit(&good("c4"), &text, &[("client_id", "client-1")]);
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    // An instance that the agent does not have.
    let holder = Object::new().with("jwk", key(22).public_key().to_jwk());
    let holder = Json::from(holder).canonical();
    let answer = services.submit(&good("c5"), &text, &[("req_cnf", &holder)]);
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()), "{}", answer.body);
    services.served.world.host.advance(15 * 60_000 + 1);
    let late = services.submit(&good("c6"), &text, &[]);
    assert_eq!(late.error(), (400, "invalid_grant".to_owned()));
    // Refusals to somebody who is known are on record.
    assert!(services.served.refusals() >= 4);
}

#[test]
fn of_several_instances_the_one_with_the_named_key_gets_the_root() {
    let services = Services::start();
    let world = &services.served.world;
    world.enrol("agent:support-runner", 31).unwrap();
    let (text, prepared) = services.prepared("p1");
    let unsaid = services.submit(&services.signed(&prepared, "s1", &*key(KEY)), &text, &[]);
    assert_eq!(unsaid.error(), (400, "invalid_grant".to_owned()));
    assert!(unsaid.text("error_description").contains("2 active instances"), "{}", unsaid.body);
    let holder = Object::new().with("jwk", key(31).public_key().to_jwk());
    let holder = Json::from(holder).canonical();
    let assertion = services.signed(&prepared, "s2", &*key(KEY));
    let answer = services.submit(&assertion, &text, &[("req_cnf", &holder)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.verdict(&[&answer.text("access_token")], 31), "allow");
}

#[test]
fn a_preparation_is_for_a_principal_with_a_key_and_names_what_cannot_be_granted() {
    let services = Services::start();
    let refused = |jti: &str, details: &str| {
        let answer = services.prepare_as(SERVICE, KEY, jti, details);
        (answer.text("error"), answer.text("error_description"))
    };
    for (i, (from, to, error, names)) in [
        ("orders:read", "nonsense", "invalid_scope", "nonsense"),
        ("\"max_depth\":1", "\"max_depth\":9", "invalid_authorization_details", "depth 9"),
        ("\"max_calls\":20", "\"max_calls\":501", "invalid_authorization_details", "max_calls"),
        ("1800", "3601", "invalid_authorization_details", "3601"),
        ("support-tickets", "unknown", "invalid_authorization_details", "unknown"),
        ("support-runner", "unknown", "invalid_authorization_details", "agent"),
    ]
    .into_iter()
    .enumerate()
    {
        let (found, description) = refused(&format!("r{i}"), &DETAILS.replace(from, to));
        assert_eq!(found, error, "{to}: {description}");
        assert!(description.contains(names), "{to}: {description}");
    }
    assert_eq!(services.served.refusals(), 6);
    let world = &services.served.world;
    world.authority.entitlements_publish("rules: []").unwrap();
    let (error, description) = refused("r9", DETAILS);
    assert_eq!(error, "invalid_authorization_details");
    assert!(description.contains("principal's ceiling"), "{description}");
    // Names of principals cannot be tried out: one answer for all.
    let wrong_key = services.prepare_as(SERVICE, 46, "x1", DETAILS);
    let nobody = services.prepare_as("service:nobody", 46, "x2", DETAILS);
    let keyless = principal("user:keyless");
    world.authority.principal_add(&keyless, None).unwrap();
    let keyless = services.prepare_as("user:keyless", 46, "x3", DETAILS);
    assert_eq!(wrong_key.error(), (401, "invalid_client".to_owned()));
    assert_eq!(wrong_key.body, nobody.body);
    assert_eq!(wrong_key.body, keyless.body);
    // A client is no principal.
    let assertion = services.served.assertion("x4");
    let pairs = [
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion.as_str()),
        ("authorization_details", DETAILS),
    ];
    let client = services.served.post("/prepare", &pairs, &[]);
    assert_eq!(client.error(), (400, "unauthorized_client".to_owned()), "{}", client.body);
}

#[test]
fn a_principal_that_is_suspended_or_revoked_neither_prepares_nor_grants() {
    let services = Services::start();
    let (text, prepared) = services.prepared("p1");
    let target = bailiwick_authority::Target::Principal(principal(SERVICE));
    services.served.world.authority.revoke(&target, "stolen-key", None).unwrap();
    let assertion = services.signed(&prepared, "g1", &*key(KEY));
    let answer = services.submit(&assertion, &text, &[]);
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    let again = services.prepare_as(SERVICE, KEY, "p2", DETAILS);
    assert_eq!(again.error(), (401, "invalid_client".to_owned()));
}

/// RFC 7523 §3 and draft-ietf-oauth-rfc7523bis §4, at every endpoint where a
/// client authenticates.
#[test]
fn a_client_assertion_that_does_not_hold_opens_no_endpoint() {
    let services = Services::start();
    let served = &services.served;
    let now = served.world.now().seconds();
    let signed = |claims: Object, typ: &str, seed: u8| {
        jose::sign(typ, None, &claims.into(), &*key(seed)).unwrap()
    };
    let pairs: [(&str, &[(&str, &str)]); 3] = [
        ("/token", &[("grant_type", "authorization_code"), ("code", "x")]),
        ("/introspect", &[("token", "x")]),
        ("/revoke", &[("token", "x")]),
    ];
    for (n, (path, pairs)) in pairs.into_iter().enumerate() {
        let of = |jti: &str, changes: &[(&str, Json)]| {
            let claims = claims(served, "desk", &format!("{n}-{jti}"), changes);
            signed(claims, "client-authentication+jwt", 77)
        };
        let ask = |assertion: &str| {
            let mut pairs = pairs.to_vec();
            pairs.extend([("client_assertion_type", ASSERTION), ("client_assertion", assertion)]);
            served.post(path, &pairs, &[])
        };
        let two = Json::Array(vec![URL.into(), "https://other.example".into()]);
        let may_act = Json::from(Object::new().with("sub", "agent:support-runner"));
        let plain = |jti: &str| claims(served, "desk", &format!("{n}-{jti}"), &[]);
        let unsigned = {
            let body = base64url(Json::from(plain("c1")).canonical().as_bytes());
            format!("{}.{body}.", base64url(br#"{"alg":"none","typ":"JWT"}"#))
        };
        let hmac = {
            let body = base64url(Json::from(plain("c2")).canonical().as_bytes());
            let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
            format!("{header}.{body}.{}", base64url(&[7; 32]))
        };
        for (what, assertion) in [
            ("wrong aud", of("a", &[("aud", "https://other.example".into())])),
            ("multi-valued aud", of("b", &[("aud", two)])),
            ("the endpoint as aud", of("c", &[("aud", format!("{URL}{path}").into())])),
            ("no aud", of("d", &[("aud", Json::Null)])),
            ("expired", of("e", &[("exp", (now - 31).into())])),
            ("for two hours", of("f", &[("exp", (now + 7200).into())])),
            ("a statement for an exchange", of("o", &[("may_act", may_act.clone())])),
            ("no exp", of("g", &[("exp", Json::Null)])),
            ("of the future", of("h", &[("iat", (now + 60).into())])),
            ("no jti", of("i", &[("jti", Json::Null)])),
            ("another iss", of("j", &[("iss", "client-1".into())])),
            ("another client", of("k", &[("sub", "client-1".into()), ("iss", "client-1".into())])),
            ("unsigned", unsigned),
            ("signed with the public key as secret", hmac),
            ("another client's key", signed(plain("l"), "client-authentication+jwt", 78)),
            ("an access token's type", signed(plain("m"), "at+jwt", 77)),
            ("a signed grant's type", signed(plain("n"), TYPE, 77)),
        ] {
            let answer = ask(&assertion);
            let expected = (401, "invalid_client".to_owned());
            assert_eq!(answer.error(), expected, "{path}, {what}: {}", answer.body);
        }
        let good = of("z", &[]);
        let first = ask(&good);
        assert_ne!(first.status, 401, "{path}: {}", first.body);
        assert_eq!(ask(&good).error(), (401, "invalid_client".to_owned()), "{path}: replayed");
    }
}

#[test]
fn refusals_to_strangers_are_counted_and_do_not_fill_the_ledger() {
    let services = Services::start();
    let served = &services.served;
    let before = served.world.log_size();
    for i in 0..50 {
        let name = format!("service:nobody-{i}");
        let answer = services.prepare_as(&name, 46, &format!("n{i}"), DETAILS);
        assert_eq!(answer.status, 401);
        let pairs = [("grant_type", "authorization_code"), ("client_id", "nobody"), ("code", "x")];
        assert_eq!(served.post("/token", &pairs, &[]).status, 401);
    }
    assert_eq!(served.world.log_size(), before);
    served.machine.tell_uncounted();
    assert_eq!(served.world.log_size(), before + 1);
    assert_eq!(served.world.kinds().last().unwrap(), "denials.suppressed");
    served.machine.tell_uncounted();
    assert_eq!(served.world.log_size(), before + 1, "a count is written once");
}
