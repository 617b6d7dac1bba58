//! Token exchange: an agent's instance acts on a principal's own word.

use bailiwick_authority::rules::identities::{REQUEST_TYPE, request_claims};
use bailiwick_core::enrolment::IdentitySigningKey;

use super::*;
use crate::support::identity;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const DELEGATION: &str = "urn:bailiwick:token-type:delegation";

pub(super) struct Agents {
    pub(super) served: Served,
    /// An instance of the support runner, holder key 31.
    identity: IdentitySigningKey,
    pub(super) wit: String,
}

/// Enrols an instance with the holder key of `seed`; gives its identity token.
fn enrol(served: &Served, name: &str, seed: u8, identity: &IdentitySigningKey) -> String {
    let world = &served.world;
    let statement = world.statement(name, seed, identity);
    let enrolled = statement.sign(&*key(seed), identity).unwrap();
    let instance = world.authority.instance_enrol(&enrolled).unwrap();
    let claims = request_claims(&instance.id, URL, world.now(), "w1");
    let request = jose::sign(REQUEST_TYPE, None, &claims, identity).unwrap();
    world.authority.identity_renew(&request).unwrap().token
}

impl Agents {
    pub(super) fn start() -> Self {
        let served = Served::with(serving_desk());
        let a = &served.world.authority;
        let metadata = format!(r#"{{"grant_types":["{EXCHANGE}"]}}"#);
        let (id, source, name) = ("runner".to_owned(), ClientSource::Configured, "R".to_owned());
        a.client_register(NewClient { id, source, name, metadata }).unwrap();
        a.client_map("runner", &agent("agent:support-runner")).unwrap();
        served.world.delegate();
        let identity = identity();
        let wit = enrol(&served, "agent:support-runner", 31, &identity);
        Self { served, identity, wit }
    }

    /// User 142's word that the runner may act, some of it changed.
    pub(super) fn subject(&self, jti: &str, changes: &[(&str, Json)]) -> String {
        let mut claims = Object::new()
            .with("iss", "user:142")
            .with("sub", "user:142")
            .with("aud", URL)
            .with("exp", self.served.world.now().plus_seconds(60).seconds())
            .with("jti", jti)
            .with("may_act", Object::new().with("sub", "agent:support-runner"));
        for (name, value) in changes {
            claims.insert(*name, value.clone());
        }
        jose::sign("JWT", None, &claims.into(), &*key(11)).unwrap()
    }

    pub(super) fn es256_proof(&self, jti: &str) -> String {
        let jwk = self.identity.public_key().to_jwk();
        let header = Object::new().with("typ", "dpop+jwt").with("jwk", jwk);
        let claims = Object::new()
            .with("jti", jti)
            .with("htm", "POST")
            .with("htu", format!("{URL}/token"))
            .with("iat", self.served.world.now().seconds());
        format!("DPoP: {}", sign_with(header, &claims.into(), &self.identity).unwrap())
    }

    pub(super) fn exchange(&self, changes: &[(&str, &str)], headers: &[&str]) -> Answer {
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("client_id", "runner"),
            ("subject_token_type", JWT),
            ("actor_token", self.wit.as_str()),
            ("actor_token_type", JWT),
            ("requested_token_type", DELEGATION),
        ];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            pairs.push((name, value));
        }
        self.served.post("/token", &pairs, headers)
    }
}

#[test]
fn an_instance_gets_a_root_for_its_own_key_on_the_principals_word() {
    let agents = Agents::start();
    let subject = agents.subject("s1", &[]);
    let answer = agents.exchange(&[("subject_token", &subject)], &[&agents.es256_proof("p1")]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.text("issued_token_type"), DELEGATION);
    assert_eq!(answer.text("token_type"), "aat");
    let root = answer.text("access_token");
    assert_eq!(agents.served.world.verdict(&[&root], 31), "allow");
    // The root itself is a subject token: it goes on, no longer than it lives.
    let again = [
        ("subject_token", root.as_str()),
        ("subject_token_type", DELEGATION),
        ("requested_token_type", ACCESS),
        ("resource", RESOURCE),
        ("scope", "orders:read"),
    ];
    let answer = agents.exchange(&again, &[&agents.served.proof(31, "p2", None)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.text("token_type"), "DPoP");
    assert_eq!(answer.text("scope"), "orders:read");
    assert!(agents.served.is_active(&answer.text("access_token"), "i1"));
}

#[test]
fn a_root_may_be_narrowed_and_never_widened() {
    let agents = Agents::start();
    let narrow = r#"[{"type":"urn:bailiwick:delegation","max_depth":0,"expires_in":60,"budget":{"max_calls":1},"scope":["orders:read"]}]"#;
    let subject = agents.subject("s1", &[]);
    let pairs = [("subject_token", subject.as_str()), ("authorization_details", narrow)];
    let answer = agents.exchange(&pairs, &[&agents.es256_proof("p1")]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lives = json(&answer.body);
    let lives = lives.as_object().unwrap().member("expires_in").unwrap().as_number().unwrap();
    assert!(lives.as_plain_integer().unwrap() <= 60);
    let root = answer.text("access_token");
    assert_eq!(agents.served.world.verdict(&[&root], 31), "allow");
    let beyond = [
        (
            r#"[{"type":"urn:bailiwick:delegation","max_depth":99}]"#,
            "invalid_authorization_details",
        ),
        (
            r#"[{"type":"urn:bailiwick:delegation","scope":["ticket:1"]}]"#,
            "invalid_authorization_details",
        ),
        (r#"[{"type":"urn:bailiwick:delegation","scope":["nonsense"]}]"#, "invalid_scope"),
        (
            r#"[{"type":"urn:bailiwick:delegation","budget":{"max_calls":999999}}]"#,
            "invalid_authorization_details",
        ),
    ];
    for (i, (details, error)) in beyond.into_iter().enumerate() {
        let jti = format!("n{i}");
        let subject = agents.subject(&jti, &[]);
        let pairs = [("subject_token", subject.as_str()), ("authorization_details", details)];
        let answer = agents.exchange(&pairs, &[&agents.es256_proof(&jti)]);
        assert_eq!(answer.error(), (400, error.to_owned()), "{details}: {}", answer.body);
    }
}

#[test]
fn only_the_actors_own_keys_and_the_principals_own_word_count() {
    let agents = Agents::start();
    let other = enrol(&agents.served, "agent:order-reader", 32, &identity());
    let reader = Object::new().with("sub", "agent:order-reader");
    let subject = |jti: &str, changes: &[(&str, Json)]| agents.subject(jti, changes);
    let plain = |jti: &str| subject(jti, &[]);
    let now = agents.served.world.now().seconds();
    type Case<'a> = (&'a str, String, Vec<(&'static str, &'a str)>, bool, &'static str);
    let cases: Vec<Case<'_>> = vec![
        ("another key's proof", plain("c1"), vec![], false, "invalid_dpop_proof"),
        (
            "another agent's instance",
            plain("c2"),
            vec![("actor_token", &other)],
            true,
            "unauthorized_client",
        ),
        ("no identity token", plain("c3"), vec![("actor_token", "a.b.c")], true, "invalid_request"),
        (
            "another agent in may_act",
            subject("c4", &[("may_act", reader.into())]),
            vec![],
            true,
            "invalid_request",
        ),
        ("no may_act", subject("c5", &[("may_act", Json::Null)]), vec![], true, "invalid_request"),
        (
            "another issuer",
            subject("c6", &[("iss", "user:143".into())]),
            vec![],
            true,
            "invalid_request",
        ),
        (
            "another audience",
            subject("c7", &[("aud", "https://other.example".into())]),
            vec![],
            true,
            "invalid_request",
        ),
        (
            "a principal who did not sign",
            subject("c8", &[("sub", "user:143".into()), ("iss", "user:143".into())]),
            vec![],
            true,
            "invalid_request",
        ),
        ("over", subject("c9", &[("exp", (now - 60).into())]), vec![], true, "invalid_request"),
        ("long", subject("c0", &[("exp", (now + 700).into())]), vec![], true, "invalid_request"),
        (
            "another type",
            plain("c10"),
            vec![("subject_token_type", ACCESS)],
            true,
            "invalid_request",
        ),
        (
            "an unmapped client",
            plain("c11"),
            vec![("client_id", "stranger")],
            true,
            "unauthorized_client",
        ),
        (
            "a tool server's root",
            plain("c12"),
            vec![("resource", RESOURCE)],
            true,
            "invalid_target",
        ),
        (
            "an access token for all",
            plain("c13"),
            vec![("requested_token_type", ACCESS)],
            true,
            "invalid_target",
        ),
    ];
    for (i, (what, subject, changes, own, error)) in cases.into_iter().enumerate() {
        let jti = format!("p{i}");
        let proof =
            if own { agents.es256_proof(&jti) } else { agents.served.proof(33, &jti, None) };
        let mut pairs = vec![("subject_token", subject.as_str())];
        pairs.extend(changes);
        let answer = agents.exchange(&pairs, &[&proof]);
        assert_eq!(answer.error(), (400, error.to_owned()), "{what}: {}", answer.body);
    }
    let bare = plain("c20");
    let without = agents.exchange(&[("subject_token", &bare)], &[]);
    assert_eq!(without.error(), (400, "invalid_dpop_proof".to_owned()));
}

#[test]
fn a_principals_word_counts_once_and_needs_a_grant_that_stands() {
    let agents = Agents::start();
    let subject = agents.subject("s1", &[]);
    let pairs = [("subject_token", subject.as_str())];
    assert_eq!(agents.exchange(&pairs, &[&agents.es256_proof("p1")]).status, 200);
    let again = agents.exchange(&pairs, &[&agents.es256_proof("p2")]);
    assert_eq!(again.error(), (400, "invalid_request".to_owned()));
    // The grant is for a quarter of an hour.
    agents.served.world.host.advance(15 * 60_000);
    let wit = enrol(&agents.served, "agent:support-runner", 34, &identity());
    let late = agents.subject("s2", &[]);
    let pairs = [("subject_token", late.as_str()), ("actor_token", wit.as_str())];
    let refused = agents.exchange(&pairs, &[&agents.served.proof(34, "p3", None)]);
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()), "{}", refused.body);
}

/// The key of an SVID is handed to programs; what it can do ends at their peers.
#[test]
fn a_wit_svid_is_no_credential_here() {
    let agents = Agents::start();
    let world = &agents.served.world;
    let fresh = identity();
    let named = bailiwick_core::wit::read_instance_spiffe_id;
    let payload = agents.wit.split('.').nth(1).unwrap();
    let claims = bailiwick_core::crypto::from_base64url(payload).unwrap();
    let claims = json(&String::from_utf8(claims).unwrap());
    let subject = claims.as_object().unwrap().member("sub").unwrap().as_str().unwrap().to_owned();
    let (_, instance) = named(&subject, "example.test").unwrap();
    let csr = bailiwick_svid::request(&fresh).unwrap();
    let claims = request_claims(&instance, URL, world.now(), "svid");
    let claims = bailiwick_authority::rules::svids::request_claims(claims, &csr, None);
    let typ = bailiwick_authority::rules::svids::REQUEST_TYPE;
    let request = jose::sign(typ, None, &claims, &agents.identity).unwrap();
    let (issued, _) = world.authority.svid_issue(&request).unwrap();
    let subject = agents.subject("s1", &[]);
    let with = [("subject_token", subject.as_str()), ("actor_token", &issued.identity.token)];
    let proof = Agents { identity: fresh, ..agents };
    let answer = proof.exchange(&with, &[&proof.es256_proof("p1")]);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.body.contains("its instance is not active"), "{}", answer.body);
}
