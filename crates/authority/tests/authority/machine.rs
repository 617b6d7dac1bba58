//! The machine side over HTTP: what a client that knows OAuth gets and does not
//! get.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bailiwick_authority::http::documents::DocumentClients;
use bailiwick_authority::http::fetch::WebFetch;
use bailiwick_authority::http::machine::{Machine, Options, machine_router};
use bailiwick_authority::oauth::parameters::MAX_BYTES;
use bailiwick_authority::oauth::pkce::Challenge;
use bailiwick_authority::oauth::status_list::{Status, StatusList};
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::{DelegationRef, Target};
use bailiwick_core::crypto::{Signer as _, sha256};
use bailiwick_core::jose::{self, sign_with};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{ClientSource, StoreError, Ticket};
use url::form_urlencoded::Serializer;

use crate::support::{URL, World, agent, json, key};

mod exchange;
mod grants;
mod sections;
mod standing;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://127.0.0.1/callback";
const RESOURCE: &str = "http://localhost:4000/mcp/support-desk";
const PUBLIC: &str = r#"{"grant_types":["authorization_code","refresh_token"],"redirect_uris":["http://127.0.0.1/callback"]}"#;

struct Served {
    world: World,
    address: SocketAddr,
    machine: Machine,
    _runtime: tokio::runtime::Runtime,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    fn text(&self, member: &str) -> String {
        let body = json(&self.body);
        let found = body.as_object().unwrap().member(member);
        found.and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn error(&self) -> (u16, String) {
        (self.status, self.text("error"))
    }
}

impl Served {
    fn start() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let world = World::desk();
        let a = &world.authority;
        let keyed = Object::new()
            .with("grant_types", vec![Json::from("authorization_code")])
            .with("redirect_uris", vec![Json::from(REDIRECT)])
            .with("token_endpoint_auth_method", "private_key_jwt")
            .with("jwks", Object::new().with("keys", vec![key(77).public_key().to_jwk().into()]));
        let keyed = Json::from(keyed).canonical();
        for (id, metadata, mapped) in [
            ("client-1", PUBLIC, true),
            ("client-2", PUBLIC, true),
            ("stranger", PUBLIC, false),
            ("desk", keyed.as_str(), true),
        ] {
            let (id, source) = (id.to_owned(), ClientSource::Configured);
            let (name, metadata) = ("A client".into(), metadata.into());
            a.client_register(NewClient { id: id.clone(), source, name, metadata }).unwrap();
            if mapped {
                a.client_map(&id, &agent("agent:support-runner")).unwrap();
            }
        }
        let fetch = Arc::new(WebFetch::default());
        let documents = Arc::new(DocumentClients::new(a.clone(), fetch, false));
        let machine = Machine::new(a.clone(), documents, options, [9; 32]);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service =
            machine_router(machine.clone()).into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { world, address, machine, _runtime: runtime }
    }

    fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        let text = format!(
            "{head}\r\nhost: localhost:4000\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), "")
    }

    fn post(&self, path: &str, pairs: &[(&str, &str)], headers: &[&str]) -> Answer {
        let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut head =
            format!("POST {path} HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded");
        for header in headers {
            head.push_str("\r\n");
            head.push_str(header);
        }
        self.send(&head, &body)
    }

    /// A code as the consent page hands it out, for a grant of user 142.
    fn code(&self, client: &str, changes: &[(&str, Json)]) -> String {
        let issued = self.world.delegate();
        let secret: [u8; 32] = *sha256(issued.grant.as_str().as_bytes()).bytes();
        let mut value = Object::new()
            .with("client", client)
            .with("redirect_uri", REDIRECT)
            .with("challenge", Challenge::of(VERIFIER).to_string())
            .with("grant", &issued.grant)
            .with("resource", RESOURCE);
        for (name, change) in changes {
            value.insert(*name, change.clone());
        }
        let ticket = Ticket {
            kind: "code",
            key: sha256(&secret),
            family: issued.grant.to_string(),
            value: Json::from(value).canonical(),
            expires: self.world.now().plus_seconds(60),
        };
        let store = self.world.authority.store();
        store.write(move |tx| tx.keep_ticket(&ticket)).wait().map_err(|e: StoreError| e).unwrap();
        bailiwick_core::crypto::base64url(&secret)
    }

    fn redeem(&self, code: &str, changes: &[(&str, &str)], headers: &[&str]) -> Answer {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", "client-1"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT),
        ];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            pairs.push((name, value));
        }
        self.post("/token", &pairs, headers)
    }

    fn refresh(&self, token: &str, changes: &[(&str, &str)], headers: &[&str]) -> Answer {
        let mut pairs = vec![
            ("grant_type", "refresh_token"),
            ("client_id", "client-1"),
            ("refresh_token", token),
        ];
        for (name, value) in changes {
            pairs.retain(|(n, _)| n != name);
            pairs.push((name, value));
        }
        self.post("/token", &pairs, headers)
    }

    /// A DPoP header by the key of `seed`.
    fn proof(&self, seed: u8, jti: &str, nonce: Option<&str>) -> String {
        let header =
            Object::new().with("typ", "dpop+jwt").with("jwk", key(seed).public_key().to_jwk());
        let mut claims = Object::new()
            .with("jti", jti)
            .with("htm", "POST")
            .with("htu", format!("{URL}/token"))
            .with("iat", self.world.now().seconds());
        if let Some(nonce) = nonce {
            claims.insert("nonce", nonce);
        }
        format!("DPoP: {}", sign_with(header, &claims.into(), &*key(seed)).unwrap())
    }

    fn assertion(&self, jti: &str) -> String {
        let claims = Object::new()
            .with("iss", "desk")
            .with("sub", "desk")
            .with("aud", URL)
            .with("exp", self.world.now().plus_seconds(60).seconds())
            .with("jti", jti);
        jose::sign("client-authentication+jwt", None, &claims.into(), &*key(77)).unwrap()
    }

    fn introspect(&self, token: &str, jti: &str) -> Answer {
        self.introspect_as(token, jti, &[])
    }

    fn introspect_as(&self, token: &str, jti: &str, headers: &[&str]) -> Answer {
        let assertion = self.assertion(jti);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let pairs =
            [("token", token), ("client_assertion_type", kind), ("client_assertion", &assertion)];
        self.post("/introspect", &pairs, headers)
    }

    fn is_active(&self, token: &str, jti: &str) -> bool {
        let answer = self.introspect(token, jti);
        assert_eq!(answer.status, 200, "{}", answer.body);
        json(&answer.body).as_object().unwrap().member("active").unwrap().as_bool().unwrap()
    }

    fn refusals(&self) -> usize {
        self.world.kinds().iter().filter(|k| *k == "authorization.refused").count()
    }
}

fn serving_desk() -> Options {
    let serves = [("desk".to_owned(), vec![RESOURCE.to_owned()])].into_iter().collect();
    Options { serves, ..Options::default() }
}

#[test]
fn a_code_becomes_a_bound_token_once_and_a_refresh_token_the_next() {
    let served = Served::with(serving_desk());
    let code = served.code("client-1", &[]);
    let answer = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.text("token_type"), "DPoP");
    assert_eq!(answer.text("scope"), "ticket:8821 orders:read");
    assert!(served.is_active(&answer.text("access_token"), "i1"));
    let refresh = answer.text("refresh_token");
    let next = served.refresh(&refresh, &[], &[&served.proof(50, "p2", None)]);
    assert_eq!(next.status, 200, "{}", next.body);
    assert!(served.is_active(&next.text("access_token"), "i2"));
    assert_ne!(next.text("refresh_token"), refresh);
}

#[test]
fn a_code_that_comes_twice_ends_what_it_gave() {
    let served = Served::with(serving_desk());
    let code = served.code("client-1", &[]);
    let first = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    let token = first.text("access_token");
    // Who is not its client ends nothing.
    let other = served.redeem(&code, &[("client_id", "client-2")], &[]);
    assert_eq!(other.error(), (400, "invalid_grant".to_owned()));
    assert!(served.is_active(&token, "i1"));
    let again = served.redeem(&code, &[], &[&served.proof(50, "p2", None)]);
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    assert!(!served.is_active(&token, "i2"));
    let refresh = first.text("refresh_token");
    let refreshed = served.refresh(&refresh, &[], &[&served.proof(50, "p3", None)]);
    assert_eq!(refreshed.error(), (400, "invalid_grant".to_owned()));
    assert!(served.world.kinds().contains(&"revoked".to_owned()));
}

#[test]
fn a_refresh_token_that_comes_twice_ends_its_family() {
    let served = Served::with(serving_desk());
    let code = served.code("client-1", &[]);
    let first = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    let old = first.text("refresh_token");
    let next = served.refresh(&old, &[], &[&served.proof(50, "p2", None)]);
    let stolen = served.refresh(&old, &[], &[&served.proof(50, "p3", None)]);
    assert_eq!(stolen.error(), (400, "invalid_grant".to_owned()));
    for token in [&first, &next] {
        assert!(!served.is_active(&token.text("access_token"), &token.text("refresh_token")));
    }
    let newest = next.text("refresh_token");
    let refused = served.refresh(&newest, &[], &[&served.proof(50, "p4", None)]);
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()));
}

#[test]
fn a_refresh_token_is_its_clients_keys_and_scopes_only() {
    let served = Served::start();
    let code = served.code("client-1", &[]);
    let first = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    let token = first.text("refresh_token");
    let bound = served.proof(50, "p2", None);
    let other_key = served.refresh(&token, &[], &[&served.proof(51, "p2", None)]);
    assert_eq!(other_key.error(), (400, "invalid_dpop_proof".to_owned()));
    assert_eq!(served.refresh(&token, &[], &[]).error().1, "invalid_dpop_proof");
    let other = served.refresh(&token, &[("client_id", "client-2")], &[&bound]);
    assert_eq!(other.error(), (400, "invalid_grant".to_owned()));
    let wider = [("scope", "orders:read ticket:8821 refunds:write")];
    let wider = served.refresh(&token, &wider, &[&served.proof(50, "p3", None)]);
    assert_eq!(wider.error(), (400, "invalid_scope".to_owned()));
    let elsewhere = [("resource", "http://localhost:4000/mcp/mail")];
    let elsewhere = served.refresh(&token, &elsewhere, &[&served.proof(50, "p4", None)]);
    assert_eq!(elsewhere.error(), (400, "invalid_target".to_owned()));
    // None of these spent it.
    assert_eq!(served.refresh(&token, &[], &[&served.proof(50, "p5", None)]).status, 200);
}

#[test]
fn a_code_opens_only_to_its_client_verifier_key_and_redirect_uri() {
    let served = Served::start();
    type Change = (&'static str, &'static str);
    let cases: [(Change, u16, &str); 6] = [
        (("client_id", "client-2"), 400, "invalid_grant"),
        (("client_id", "nobody"), 401, "invalid_client"),
        (("code_verifier", "aBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), 400, "invalid_grant"),
        (("code_verifier", ""), 400, "invalid_request"),
        (("redirect_uri", "http://127.0.0.1/other"), 400, "invalid_grant"),
        (("resource", "http://localhost:4000/mcp/mail"), 400, "invalid_target"),
    ];
    for (change, status, error) in cases {
        let code = served.code("client-1", &[]);
        let proof = served.proof(50, &code, None);
        let answer = served.redeem(&code, &[change], &[&proof]);
        assert_eq!(answer.error(), (status, error.to_owned()), "{change:?}");
    }
    let bound = served.code("client-1", &[("dpop_jkt", key(52).public_key().thumbprint().into())]);
    let answer = served.redeem(&bound, &[], &[&served.proof(50, "x1", None)]);
    assert_eq!(answer.error(), (400, "invalid_dpop_proof".to_owned()));
    let unknown = served.redeem(&"A".repeat(43), &[], &[]);
    assert_eq!(unknown.error(), (400, "invalid_grant".to_owned()));
    let late = served.code("client-1", &[]);
    served.world.host.advance(60_000);
    assert_eq!(served.redeem(&late, &[], &[]).error(), (400, "invalid_grant".to_owned()));
    assert!(served.refusals() > 0);
}

#[test]
fn a_client_without_agent_or_key_gets_nothing() {
    let served = Served::start();
    let code = served.code("stranger", &[]);
    let answer =
        served.redeem(&code, &[("client_id", "stranger")], &[&served.proof(50, "p1", None)]);
    assert_eq!(answer.error(), (400, "unauthorized_client".to_owned()));
    // The workflow lists none of its tools for bearer clients.
    let code = served.code("client-1", &[]);
    let bearer = served.redeem(&code, &[], &[]);
    assert_eq!(bearer.error(), (400, "invalid_dpop_proof".to_owned()));
    assert_eq!(served.refusals(), 2);
}

#[test]
fn proofs_count_once_and_come_alone() {
    let served = Served::start();
    let proof = served.proof(50, "p1", None);
    let code = served.code("client-1", &[]);
    let two = served.redeem(&code, &[], &[&proof, &served.proof(50, "p2", None)]);
    assert_eq!(two.error(), (400, "invalid_dpop_proof".to_owned()));
    assert_eq!(served.redeem(&code, &[], &[&proof]).status, 200);
    let code = served.code("client-1", &[]);
    let again = served.redeem(&code, &[], &[&proof]);
    assert_eq!(again.error(), (400, "invalid_dpop_proof".to_owned()));
    assert!(again.text("error_description").contains("before"));
    served.world.host.advance(31_000);
    let stale = served.redeem(&code, &[], &[&proof]);
    assert_eq!(stale.error(), (400, "invalid_dpop_proof".to_owned()));
}

#[test]
fn where_nonces_are_asked_for_the_first_answer_has_one() {
    let served = Served::with(Options { require_nonce: true, ..Options::default() });
    let code = served.code("client-1", &[]);
    let first = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    assert_eq!(first.error(), (400, "use_dpop_nonce".to_owned()));
    let nonce = first.header("dpop-nonce").unwrap().to_owned();
    let second = served.redeem(&code, &[], &[&served.proof(50, "p2", Some(&nonce))]);
    assert_eq!(second.status, 200, "{}", second.body);
    assert!(second.header("dpop-nonce").is_some());
}

#[test]
fn an_assertion_counts_once_and_introspection_needs_one() {
    let served = Served::with(serving_desk());
    let code = served.code("client-1", &[]);
    let token = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]).text("access_token");
    assert!(served.is_active(&token, "j1"));
    assert_eq!(served.introspect(&token, "j1").error(), (401, "invalid_client".to_owned()));
    let public = served.post("/introspect", &[("token", &token), ("client_id", "client-1")], &[]);
    assert_eq!(public.error(), (401, "invalid_client".to_owned()));
    let nobody = served.post("/introspect", &[("token", &token)], &[]);
    assert_eq!(nobody.error(), (401, "invalid_client".to_owned()));
    for (n, other) in ["x", "a.b.c", &token[..token.len() - 2]].into_iter().enumerate() {
        let answer = served.introspect(other, &format!("other-{n}"));
        assert_eq!(answer.body, r#"{"active":false}"#);
    }
    // Whoever serves something else learns nothing.
    let elsewhere = Served::start();
    let code = elsewhere.code("client-1", &[]);
    let token =
        elsewhere.redeem(&code, &[], &[&elsewhere.proof(50, "p1", None)]).text("access_token");
    assert_eq!(elsewhere.introspect(&token, "j1").body, r#"{"active":false}"#);
}

#[test]
fn a_client_gives_its_own_tokens_back_and_no_others() {
    let served = Served::with(serving_desk());
    let code = served.code("client-1", &[]);
    let first = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    let (token, refresh) = (first.text("access_token"), first.text("refresh_token"));
    let revoke = |client: &str, token: &str| {
        served.post("/revoke", &[("token", token), ("client_id", client)], &[])
    };
    assert_eq!(revoke("client-2", &token).error(), (400, "unauthorized_client".to_owned()));
    assert_eq!(revoke("client-2", &refresh).error(), (400, "unauthorized_client".to_owned()));
    assert!(served.is_active(&token, "i1"));
    assert_eq!(revoke("client-1", "unknown").status, 200);
    assert_eq!(revoke("client-1", &token).status, 200);
    assert_eq!(revoke("client-1", &token).status, 200);
    assert!(!served.is_active(&token, "i2"));
    let next = served.refresh(&refresh, &[], &[&served.proof(50, "p2", None)]);
    let (token, refresh) = (next.text("access_token"), next.text("refresh_token"));
    assert_eq!(revoke("client-1", &refresh).status, 200);
    assert!(!served.is_active(&token, "i3"));
    let gone = served.refresh(&refresh, &[], &[&served.proof(50, "p3", None)]);
    assert_eq!(gone.error(), (400, "invalid_grant".to_owned()));
}

#[test]
fn the_status_list_says_what_was_taken_back() {
    let served = Served::start();
    let code = served.code("client-1", &[]);
    let token = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]).text("access_token");
    let payload = token.split('.').nth(1).unwrap();
    let claims = bailiwick_core::crypto::from_base64url(payload).unwrap();
    let claims = json(std::str::from_utf8(&claims).unwrap());
    let place = claims.as_object().unwrap().member("status").unwrap().as_object().unwrap();
    let place = place.member("status_list").unwrap().as_object().unwrap();
    let index = place.member("idx").unwrap().as_number().unwrap().as_plain_integer().unwrap();
    let uri = place.member("uri").unwrap().as_str().unwrap();
    let status = || {
        let answer = served.get("/statuslists/1");
        assert_eq!(answer.header("content-type"), Some("application/statuslist+jwt"));
        let (now, key) = (served.world.now(), key(1).public_key());
        let list = StatusList::verify(&answer.body, uri, &key, now, now).unwrap();
        list.status(u64::try_from(index).unwrap()).unwrap()
    };
    assert_eq!(status(), Status::Valid);
    let revoked = served.post("/revoke", &[("token", &token), ("client_id", "client-1")], &[]);
    assert_eq!(revoked.status, 200);
    assert_eq!(status(), Status::Invalid);
    assert!(served.get("/statuslists").body.contains(uri));
    // One list is enough here, and it has one name.
    for other in ["/statuslists/0", "/statuslists/2", "/statuslists/01", "/statuslists/x"] {
        assert_eq!(served.get(other).status, 404, "{other}");
    }
}

#[test]
fn a_root_has_a_place_of_its_own_in_the_status_list() {
    let served = Served::start();
    let place = |token: &str| {
        let payload = token.split('.').nth(1).unwrap();
        let claims = bailiwick_core::crypto::from_base64url(payload).unwrap();
        let claims = json(std::str::from_utf8(&claims).unwrap());
        let status = claims.as_object().unwrap().member("status").unwrap();
        let place = status.as_object().unwrap().member("status_list").unwrap();
        let index = place.as_object().unwrap().member("idx").unwrap().as_number().unwrap();
        u64::try_from(index.as_plain_integer().unwrap()).unwrap()
    };
    let first = served.world.delegate();
    let again = served.world.authority.reissue(&first.grant, None).unwrap();
    let (one, two) = (place(&first.token), place(&again.token));
    assert_ne!(one, two);
    let root = DelegationRef::Hash(first.root);
    served.world.authority.revoke(&Target::Delegation(root), "operator", None).unwrap();
    let (now, key) = (served.world.now(), key(1).public_key());
    let uri = format!("{URL}/statuslists/1");
    let list = StatusList::verify(&served.get("/statuslists/1").body, &uri, &key, now, now);
    let list = list.unwrap();
    assert_eq!(list.status(one), Ok(Status::Invalid));
    assert_eq!(list.status(two), Ok(Status::Valid));
}

#[test]
fn a_client_registers_itself_within_bounds() {
    let served = Served::start();
    let register = |kind: &str, body: &str| {
        served.send(&format!("POST /register HTTP/1.1\r\ncontent-type: {kind}"), body)
    };
    let answer = register("application/json", PUBLIC);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let id = answer.text("client_id");
    assert!(served.world.authority.client(&id).unwrap().row.agent.is_none());
    for (kind, body, error) in [
        ("application/json", "{", "invalid_client_metadata"),
        ("application/json", "[]", "invalid_client_metadata"),
        ("text/plain", PUBLIC, "invalid_request"),
        (
            "application/json",
            r#"{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"client_secret_post"}"#,
            "invalid_client_metadata",
        ),
        (
            "application/json",
            r#"{"redirect_uris":["http://a.example/cb"]}"#,
            "invalid_redirect_uri",
        ),
    ] {
        assert_eq!(register(kind, body).error(), (400, error.to_owned()), "{body}");
    }
    let many: Vec<u16> = (0..10).map(|_| register("application/json", PUBLIC).status).collect();
    assert!(many.contains(&429), "{many:?}");
    let limited = register("application/json", PUBLIC);
    assert!(limited.header("retry-after").is_some());
}

#[test]
fn what_is_no_form_of_a_client_is_refused_before_anything_else() {
    let served = Served::start();
    let answer = served.send("POST /token HTTP/1.1\r\ncontent-type: application/json", "{}");
    assert_eq!(answer.error(), (400, "invalid_request".to_owned()));
    let query = served.post("/token?grant_type=x", &[], &[]);
    assert_eq!(query.error(), (400, "invalid_request".to_owned()));
    let basic = served.post("/token", &[], &["authorization: Basic YTpi"]);
    assert_eq!(basic.error(), (401, "invalid_client".to_owned()));
    let credentials = [("grant_type", "client_credentials"), ("client_id", "client-1")];
    let answer = served.post("/token", &credentials, &[]);
    assert_eq!(answer.error(), (400, "unsupported_grant_type".to_owned()));
    // Little more than is allowed: what is not read would break the connection.
    let large = "x".repeat(MAX_BYTES);
    let answer = served.post("/token", &[("client_id", &large)], &[]);
    assert_eq!(answer.status, 400);
    assert_eq!(served.get("/token").status, 405);
    let inner = [("client_id", "https://127.0.0.1/client.json"), ("grant_type", "refresh_token")];
    let answer = served.post("/token", &inner, &[]);
    assert_eq!(answer.error(), (401, "invalid_client".to_owned()));
}

#[test]
fn metadata_and_keys_are_where_clients_look() {
    let served = Served::start();
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let answer = served.get(path);
        assert_eq!((answer.status, answer.text("issuer").as_str()), (200, URL));
    }
    let keys = served.get("/jwks");
    assert!(keys.body.contains(&key(1).public_key().thumbprint().to_string()));
}

#[test]
fn tokens_of_somebody_who_left_end_and_are_not_refreshed() {
    use bailiwick_authority::rules::life::Administrator;
    let served = Served::with(serving_desk());
    let code = served.code("client-1", &[]);
    let answer = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    let waiting = served.code("client-1", &[]);
    let (token, refresh) = (answer.text("access_token"), answer.text("refresh_token"));
    assert!(served.is_active(&token, "i1"));
    let who = crate::support::principal("user:142");
    served.world.authority.offboard(&who, None, &Administrator::OnHost, "left").unwrap();
    assert!(!served.is_active(&token, "i2"));
    let refreshed = served.refresh(&refresh, &[], &[&served.proof(50, "p2", None)]);
    assert_eq!(refreshed.error(), (400, "invalid_grant".to_owned()));
    let redeemed = served.redeem(&waiting, &[], &[&served.proof(50, "p3", None)]);
    assert_eq!(redeemed.error(), (400, "invalid_grant".to_owned()));
}

#[test]
fn a_client_of_an_agent_that_moved_gets_nothing_until_it_is_mapped_again() {
    use bailiwick_authority::rules::life::Administrator;
    let served = Served::with(serving_desk());
    let a = &served.world.authority;
    let code = served.code("client-1", &[]);
    let answer = served.redeem(&code, &[], &[&served.proof(50, "p1", None)]);
    let refresh = answer.text("refresh_token");
    let to = crate::support::principal("user:143");
    a.agent_transfer(&agent("agent:support-runner"), &to, &Administrator::OnHost).unwrap();
    let refused = served.refresh(&refresh, &[], &[&served.proof(50, "p2", None)]);
    assert_eq!(refused.error(), (400, "unauthorized_client".to_owned()), "{}", refused.body);
    a.client_map("client-1", &agent("agent:support-runner")).unwrap();
    let refreshed = served.refresh(&refresh, &[], &[&served.proof(50, "p3", None)]);
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
}
