//! One test per MUST of token exchange (RFC 8693), introspection (RFC 7662, RFC 9701) and
//! revocation (RFC 7009), over HTTP, filed under its section. Client
//! authentication (RFC 7523) and signed grants are in [`super::grants`].

use super::exchange::Agents;
use super::*;

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const DELEGATION: &str = "urn:bailiwick:token-type:delegation";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn bound_token(agents: &Agents, jti: &str) -> Answer {
    let subject = agents.subject(jti, &[]);
    let pairs = [
        ("subject_token", subject.as_str()),
        ("requested_token_type", ACCESS),
        ("resource", RESOURCE),
    ];
    let answer = agents.exchange(&pairs, &[&agents.es256_proof(jti)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

mod rfc_8693 {
    use super::*;

    /// The error of an exchange whose pairs are changed so; a value that is
    /// empty leaves its parameter out.
    fn error(agents: &Agents, jti: &str, changes: &[(&str, &str)]) -> (u16, String) {
        let subject = agents.subject(jti, &[]);
        let mut pairs = vec![("subject_token", subject.as_str())];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            pairs.push((name, value));
        }
        agents.exchange(&pairs, &[&agents.es256_proof(jti)]).error()
    }

    #[test]
    fn section_2_1_a_subject_token_and_its_type_are_required() {
        let agents = Agents::start();
        let invalid = (400, "invalid_request".to_owned());
        assert_eq!(error(&agents, "a", &[("subject_token", "")]), invalid);
        assert_eq!(error(&agents, "b", &[("subject_token_type", "")]), invalid);
    }

    #[test]
    fn section_2_1_actor_token_and_type_come_both_or_not_at_all() {
        let agents = Agents::start();
        let invalid = (400, "invalid_request".to_owned());
        assert_eq!(error(&agents, "a", &[("actor_token_type", "")]), invalid);
        assert_eq!(error(&agents, "b", &[("actor_token", "")]), invalid);
        let neither = [("actor_token", ""), ("actor_token_type", "")];
        assert_eq!(error(&agents, "c", &neither), invalid);
    }

    #[test]
    fn section_2_2_1_an_answer_says_what_was_issued_and_is_not_kept() {
        let agents = Agents::start();
        let answer = bound_token(&agents, "a");
        assert_eq!(answer.text("issued_token_type"), ACCESS);
        assert_eq!(answer.text("token_type"), "DPoP");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.text("access_token").is_empty() && !answer.text("scope").is_empty());
        // §2.2.1: a refresh token would outlive what it was exchanged for.
        assert!(answer.text("refresh_token").is_empty());
    }

    #[test]
    fn section_2_2_2_a_token_that_is_not_accepted_is_an_invalid_request() {
        let agents = Agents::start();
        let invalid = (400, "invalid_request".to_owned());
        let expired = [("exp", (agents.served.world.now().seconds() - 120).into())];
        let expired = agents.subject("old", &expired);
        for (i, (token, kind)) in [
            ("x", JWT),
            (expired.as_str(), JWT),
            ("x", ACCESS),
            ("x", DELEGATION),
            ("x", "urn:ietf:params:oauth:token-type:id_token"),
            ("x", "urn:ietf:params:oauth:token-type:saml2"),
        ]
        .into_iter()
        .enumerate()
        {
            let changes = [("subject_token", token), ("subject_token_type", kind)];
            assert_eq!(error(&agents, &format!("s{i}"), &changes), invalid, "{token} {kind}");
        }
        assert_eq!(error(&agents, "a", &[("actor_token", "x")]), invalid);
    }

    #[test]
    fn section_2_2_2_a_target_that_is_none_of_ours_is_an_invalid_target() {
        let agents = Agents::start();
        for (i, name) in ["resource", "audience"].into_iter().enumerate() {
            let found = error(&agents, &i.to_string(), &[(name, "https://other.example/mcp")]);
            assert_eq!(found, (400, "invalid_target".to_owned()), "{name}");
        }
    }

    /// A token of one type is none of another, whatever the request calls it.
    #[test]
    fn section_3_a_tokens_own_type_decides() {
        let agents = Agents::start();
        let access = bound_token(&agents, "t").text("access_token");
        let word = agents.subject("w", &[]);
        let identity = agents.wit.clone();
        let invalid = (400, "invalid_request".to_owned());
        for (i, (token, kind)) in [
            (&access, JWT),
            (&access, DELEGATION),
            (&word, ACCESS),
            (&word, DELEGATION),
            (&identity, JWT),
            (&identity, ACCESS),
        ]
        .into_iter()
        .enumerate()
        {
            let changes = [("subject_token", token.as_str()), ("subject_token_type", kind)];
            assert_eq!(error(&agents, &format!("s{i}"), &changes), invalid, "{i}");
        }
        for (i, token) in [&access, &word].into_iter().enumerate() {
            let changes = [("actor_token", token.as_str())];
            assert_eq!(error(&agents, &format!("a{i}"), &changes), invalid, "{i}");
        }
    }

    #[test]
    fn section_4_1_the_token_names_its_actor_and_section_4_4_only_a_permitted_one() {
        let agents = Agents::start();
        let answer = bound_token(&agents, "t");
        let known = agents.served.introspect(&answer.text("access_token"), "i");
        let known = json(&known.body);
        let act = known.as_object().unwrap().member("act").unwrap().as_object().unwrap();
        assert_eq!(act.member("sub").unwrap().as_str(), Some("agent:support-runner"));
        let other = Object::new().with("sub", "agent:order-reader");
        let subject = agents.subject("m", &[("may_act", other.into())]);
        let found = error(&agents, "n", &[("subject_token", &subject)]);
        assert_eq!(found, (400, "invalid_request".to_owned()));
    }
}

mod rfc_7662 {
    use super::*;

    #[test]
    fn section_2_1_the_request_is_a_post_of_an_authenticated_caller_with_a_token() {
        let agents = Agents::start();
        let served = &agents.served;
        assert_eq!(served.get("/introspect").status, 405);
        let unauthorized = (401, "invalid_client".to_owned());
        assert_eq!(served.post("/introspect", &[("token", "x")], &[]).error(), unauthorized);
        let assertion = served.assertion("none");
        let pairs =
            [("client_assertion_type", ASSERTION), ("client_assertion", assertion.as_str())];
        let found = served.post("/introspect", &pairs, &[]).error();
        assert_eq!(found, (400, "invalid_request".to_owned()));
        // A bearer token opens nothing here.
        let header = "authorization: Bearer x";
        let found = served.post("/introspect", &[("token", "x")], &[header]).error();
        assert_eq!(found, unauthorized);
    }

    #[test]
    fn section_2_2_whatever_is_not_active_is_inactive_and_nothing_else() {
        let agents = Agents::start();
        let served = &agents.served;
        let token = bound_token(&agents, "t").text("access_token");
        // A hint is only a hint (§2.1).
        let assertion = served.assertion("h");
        let pairs = [
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.as_str()),
            ("token", token.as_str()),
            ("token_type_hint", "refresh_token"),
        ];
        let hinted = served.post("/introspect", &pairs, &[]);
        let active = json(&hinted.body);
        assert_eq!(active.as_object().unwrap().member("active"), Some(&Json::Bool(true)));
        let inactive = r#"{"active":false}"#;
        let mut forged = token.clone();
        forged.truncate(token.len() - 4);
        forged.push_str("AAAA");
        for (i, unknown) in ["x", "a.b.c", forged.as_str(), agents.wit.as_str()].iter().enumerate()
        {
            let answer = served.introspect(unknown, &format!("u{i}"));
            assert_eq!((answer.status, answer.body.as_str()), (200, inactive), "{unknown}");
        }
        served.world.host.advance(16 * 60_000);
        assert_eq!(served.introspect(&token, "late").body, inactive);
    }
}

mod rfc_9701 {
    use bailiwick_core::aat::jws::Compact;
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    const SIGNED: &str = "accept: application/token-introspection+jwt";

    /// The claims of a signed answer, its signature verified by the issuer's key.
    fn claims(served: &Served, token: &str, jti: &str) -> (Answer, Object) {
        let answer = served.introspect_as(token, jti, &[SIGNED]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/token-introspection+jwt"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let jws = Compact::parse(&answer.body).unwrap();
        jws.check_header("token-introspection+jwt").unwrap();
        assert!(jws.verify(&key(1).public_key()));
        let claims = jws.claims(&JsonLimits::DEFAULT).unwrap();
        (answer, claims)
    }

    #[test]
    fn section_5_a_signed_answer_is_for_its_caller_and_says_what_the_plain_one_does() {
        let agents = Agents::start();
        let served = &agents.served;
        let token = bound_token(&agents, "t").text("access_token");
        let (_, claims) = claims(served, &token, "s1");
        // Neither `sub` nor `exp`: that would look like an access token (§5).
        let names: Vec<&str> = claims.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(claims.member("iss").unwrap().as_str(), Some(URL));
        assert_eq!(claims.member("aud").unwrap().as_str(), Some("desk"));
        let now = served.world.now().seconds();
        assert_eq!(claims.member("iat").unwrap().canonical(), now.to_string());
        let inside = claims.member("token_introspection").unwrap();
        let plain = served.introspect(&token, "s2");
        assert_eq!(plain.header("content-type"), Some("application/json"));
        assert_eq!(inside.canonical(), plain.body);
        assert!(plain.body.contains(r#""active":true"#));
    }

    #[test]
    fn section_5_what_is_not_active_or_not_for_the_caller_is_inactive_and_nothing_else() {
        let agents = Agents::start();
        let served = &agents.served;
        let token = bound_token(&agents, "t").text("access_token");
        let inside = |served: &Served, token: &str, jti: &str| {
            claims(served, token, jti).1.member("token_introspection").unwrap().canonical()
        };
        assert_eq!(inside(served, "x", "s1"), r#"{"active":false}"#);
        served.world.host.advance(16 * 60_000);
        assert_eq!(inside(served, &token, "s2"), r#"{"active":false}"#);
        // Whoever serves something else learns nothing, and that signed.
        let other = Served::start();
        let code = other.code("client-1", &[]);
        let token = other.redeem(&code, &[], &[&other.proof(50, "p1", None)]).text("access_token");
        assert_eq!(inside(&other, &token, "s3"), r#"{"active":false}"#);
    }

    #[test]
    fn section_4_a_refusal_is_json_and_nobody_unknown_gets_a_signature() {
        let served = Served::with(serving_desk());
        let public = [("token", "x"), ("client_id", "client-1")];
        let found = served.post("/introspect", &public, &[SIGNED]);
        assert_eq!(found.header("content-type"), Some("application/json"));
        assert_eq!(found.error(), (401, "invalid_client".to_owned()));
    }

    #[test]
    fn section_8_1_a_signed_answer_is_no_token_of_any_kind() {
        let agents = Agents::start();
        let served = &agents.served;
        let token = bound_token(&agents, "t").text("access_token");
        let answer = claims(served, &token, "s1").0.body;
        assert_eq!(served.introspect(&answer, "s2").body, r#"{"active":false}"#);
        for (i, kind) in [ACCESS, JWT, DELEGATION].into_iter().enumerate() {
            let pairs = [("subject_token", answer.as_str()), ("subject_token_type", kind)];
            let found = agents.exchange(&pairs, &[&agents.es256_proof(&format!("e{i}"))]);
            assert_eq!(found.error(), (400, "invalid_request".to_owned()), "{kind}");
        }
    }
}

mod rfc_7009 {
    use super::*;

    #[test]
    fn section_2_1_the_request_is_a_post_with_a_token_of_its_own_client() {
        let agents = Agents::start();
        let served = &agents.served;
        assert_eq!(served.get("/revoke").status, 405);
        let missing = served.post("/revoke", &[("client_id", "runner")], &[]);
        assert_eq!(missing.error(), (400, "invalid_request".to_owned()));
        let unknown = served.post("/revoke", &[("client_id", "nobody"), ("token", "x")], &[]);
        assert_eq!(unknown.error(), (401, "invalid_client".to_owned()));
        let token = bound_token(&agents, "t").text("access_token");
        let other = served.post("/revoke", &[("client_id", "client-1"), ("token", &token)], &[]);
        assert_eq!(other.error(), (400, "unauthorized_client".to_owned()));
        assert!(served.is_active(&token, "i1"));
        // A client with a key must use it, also to give something back.
        let keyed = served.post("/revoke", &[("client_id", "desk"), ("token", &token)], &[]);
        assert_eq!(keyed.error(), (401, "invalid_client".to_owned()));
    }

    #[test]
    fn section_2_2_an_unknown_token_is_none_and_a_wrong_hint_does_no_harm() {
        let agents = Agents::start();
        let served = &agents.served;
        let token = bound_token(&agents, "t").text("access_token");
        let revoke = |token: &str, hint: &str| {
            let pairs = [("client_id", "runner"), ("token", token), ("token_type_hint", hint)];
            served.post("/revoke", &pairs, &[])
        };
        assert_eq!(revoke("x", "access_token").status, 200);
        assert_eq!(revoke("a.b.c", "nonsense").status, 200);
        let gone = revoke(&token, "refresh_token");
        assert_eq!((gone.status, gone.body.as_str()), (200, ""));
        assert!(!served.is_active(&token, "i1"));
        assert_eq!(revoke(&token, "access_token").status, 200);
    }

    #[test]
    fn section_2_1_a_root_without_a_client_is_no_clients_to_give_back() {
        let agents = Agents::start();
        let served = &agents.served;
        let subject = agents.subject("s", &[]);
        let root = agents.exchange(&[("subject_token", &subject)], &[&agents.es256_proof("p")]);
        let root = root.text("access_token");
        // The root is bound to an instance and was issued to no client.
        let found = served.post("/revoke", &[("client_id", "client-1"), ("token", &root)], &[]);
        assert_eq!(found.error(), (400, "unauthorized_client".to_owned()));
        assert_eq!(served.world.verdict(&[&root], 31), "allow");
    }
}
