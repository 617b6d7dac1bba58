//! The JSON API: who gets in, what they see and may change, what is refused.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bailiwick_authority::http::NamedChecks;
use bailiwick_authority::http::api::{Api, api_router};
use bailiwick_authority::http::console::{
    Accounts, Console, Later, RecordedClients, console_router,
};
use bailiwick_authority::http::limits::Rate;
use bailiwick_authority::oauth::pkce::Challenge;
use bailiwick_authority::people::accounts::{AccountConfig, AccountError, TokenSite, Tokens};
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::{FRESH_SECONDS, Method, Secret, Session};
use bailiwick_authority::{LOGIN_SECONDS, Refusal, SignedIn};
use bailiwick_core::crypto::{base64url, sha256};
use bailiwick_core::dpop::Occasion;
use bailiwick_core::ids::{RunId, ServerName};
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_store::{Filter, Status, Ticket, VaultTaken};
use bailiwick_testkit::http::{Request, Response};
use serde_json::{Value, json};

use crate::support::{URL, World, agent, key, principal};

mod approvers;
mod autonomy;
pub(crate) mod inbox;
mod life;
mod names;
mod runs;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// What was handed over to be told to authorization servers.
#[derive(Default)]
struct Ended(Mutex<Vec<VaultTaken>>);

impl Accounts for Ended {
    fn offers(&self, _: &ServerName) -> bool {
        false
    }

    fn config(&self, _: &ServerName) -> Result<AccountConfig, AccountError> {
        Err(AccountError::NotOffered)
    }

    fn keep(&self, _: &SignedIn, _: &ServerName, _: &TokenSite, _: &Tokens) -> Result<(), Refusal> {
        Err(AccountError::NotOffered.into())
    }

    fn end(&self, taken: Vec<VaultTaken>) -> Later<'static, Vec<ServerName>> {
        self.0.lock().unwrap().extend(taken);
        Box::pin(async { Vec::new() })
    }
}

/// Runs whose named checks were asked for.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

impl NamedChecks for Asked {
    fn ask(&self, run: RunId) -> bool {
        self.0.lock().unwrap().push(run.to_string());
        true
    }
}

struct Served {
    world: World,
    ended: Arc<Ended>,
    asked: Arc<Asked>,
    address: SocketAddr,
    jti: Cell<u64>,
    _runtime: tokio::runtime::Runtime,
}

/// A program that somebody let in.
struct Program {
    token: String,
    seed: u8,
}

impl Served {
    fn start() -> Self {
        let world = World::desk();
        let a = world.authority.clone();
        a.role_change(&principal("user:owner"), Role::Owner, true).unwrap();
        let providers = vec![crate::logins::provider("user:1*", false)];
        let clients = Arc::new(RecordedClients(a.clone()));
        let console = Console::new(a.clone(), clients, providers.clone());
        let ended = Arc::new(Ended::default());
        let api = Api::new(a, providers, Rate { burst: 600, per_minute: 6000 });
        let asked = Arc::new(Asked::default());
        let api = api.with_accounts(Arc::clone(&ended) as _).with_checks(Arc::clone(&asked) as _);
        let router = api_router(api).merge(console_router(console));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { world, ended, asked, address, jti: Cell::new(0), _runtime: runtime }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.0.lock().unwrap().clone()
    }

    fn now(&self) -> bailiwick_core::time::Timestamp {
        use bailiwick_authority::host::Host as _;
        self.world.host.now()
    }

    /// A session in a browser, as if this person had just signed in.
    fn browser(&self, name: &str) -> (Secret, SignedIn) {
        let alias = self.world.authority.principal(&principal(name)).unwrap().row.alias;
        let secret = Secret::parse(&base64url(sha256(name.as_bytes()).bytes())).unwrap();
        let session = Session::begin(alias, Method::Passkey, self.now());
        let ticket = Ticket {
            kind: "session",
            key: secret.hash(),
            family: session.principal.to_string(),
            value: session.to_json().canonical(),
            expires: session.expires(),
        };
        let store = self.world.authority.store();
        store.write(move |tx| tx.keep_ticket(&ticket)).wait().unwrap();
        let person = self.world.authority.session(&secret).unwrap().unwrap();
        (secret, person)
    }

    fn proof(&self, seed: u8, method: &str, path: &str, token: Option<&str>) -> String {
        self.jti.set(self.jti.get() + 1);
        let path = path.split('?').next().unwrap();
        let (jti, uri) = (format!("jti-{}", self.jti.get()), format!("{URL}{path}"));
        let occasion =
            Occasion { jti: &jti, now: self.now(), method, uri: &uri, token, nonce: None };
        occasion.prove(&*key(seed)).unwrap()
    }

    fn code(&self, name: &str, seed: u8) -> Secret {
        let (_, person) = self.browser(name);
        let key = key(seed).verifying_key().thumbprint();
        self.world.authority.login_code(&person, Challenge::of(VERIFIER), key).unwrap()
    }

    fn redeem(&self, code: &str, verifier: &str, seed: u8) -> Response {
        let body = json!({"code": code, "code_verifier": verifier}).to_string();
        let proof = self.proof(seed, "POST", "/api/v1/login", None);
        Request::post("/api/v1/login", body).and("dpop", &proof).send(self.address).unwrap()
    }

    fn log_in(&self, name: &str, seed: u8) -> Program {
        self.fetched(&self.code(name, seed), seed)
    }

    /// A program that whoever has this session lets in.
    fn let_in(&self, session: &Secret, seed: u8) -> Program {
        let person = self.world.authority.session(session).unwrap().unwrap();
        let key = key(seed).verifying_key().thumbprint();
        let code = self.world.authority.login_code(&person, Challenge::of(VERIFIER), key).unwrap();
        self.fetched(&code, seed)
    }

    fn fetched(&self, code: &Secret, seed: u8) -> Program {
        let answer = self.redeem(&code.reveal(), VERIFIER, seed);
        assert_eq!(answer.status, 201, "{}", answer.text());
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        Program { token, seed }
    }

    fn request(&self, who: &Program, request: Request) -> Request {
        let proof = self.proof(who.seed, request.method, &request.path, Some(&who.token));
        request.and("authorization", &format!("DPoP {}", who.token)).and("dpop", &proof)
    }

    fn get(&self, who: &Program, path: &str) -> Response {
        self.request(who, Request::bare("GET", path)).send(self.address).unwrap()
    }

    fn post(&self, who: &Program, path: &str, body: &Value) -> Response {
        self.request(who, Request::post(path, body.to_string())).send(self.address).unwrap()
    }

    fn entries(&self, kind: &str) -> Vec<String> {
        let filter = Filter { limit: 1000, ..Filter::default() };
        let found = self.world.authority.store().read(|view| view.query(&filter)).unwrap();
        let of_kind = found.iter().filter(|entry| entry.kind == kind);
        of_kind.map(|entry| String::from_utf8_lossy(&entry.leaf).into_owned()).collect()
    }
}

fn refused(answer: &Response) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let problem = answer.json();
    assert!(problem["detail"].is_string() && problem["remedy"].is_string(), "{problem}");
    (answer.status, problem["title"].as_str().unwrap().to_owned())
}

fn stranger(answer: &Response) -> bool {
    assert!(answer.header("www-authenticate").is_some_and(|v| v.starts_with("DPoP ")));
    refused(answer) == (401, "not-authenticated".to_owned())
}

#[test]
fn a_program_gets_in_with_code_verifier_and_key_and_only_once() {
    let served = Served::start();
    let me = served.log_in("user:142", 80);
    let answer = served.get(&me, "/api/v1/me");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["principal"], "user:142");
    assert_eq!(answer.json()["roles"], json!([]));

    let gone = (410, "link-used-or-expired".to_owned());
    let code = served.code("user:142", 80).reveal();
    assert_eq!(refused(&served.redeem(&code, &"x".repeat(43), 80)), gone, "another verifier");
    assert_eq!(refused(&served.redeem(&code, VERIFIER, 80)), gone, "an attempt uses it up");
    let code = served.code("user:142", 80).reveal();
    assert_eq!(refused(&served.redeem(&code, VERIFIER, 81)), gone, "another key");
    let malformed = (400, "request-malformed".to_owned());
    assert_eq!(refused(&served.redeem(&code, "short", 80)), malformed);
    assert_eq!(refused(&served.redeem("x", VERIFIER, 80)), malformed);
    let code = served.code("user:142", 80).reveal();
    served.world.host.advance(61_000);
    assert_eq!(refused(&served.redeem(&code, VERIFIER, 80)), gone, "a minute later");
    let code = served.code("user:142", 80).reveal();
    assert_eq!(served.redeem(&code, VERIFIER, 80).status, 201);
    assert_eq!(refused(&served.redeem(&code, VERIFIER, 80)), gone, "twice");
}

#[test]
fn nobody_gets_in_without_a_fresh_proof_of_the_key_for_this_call() {
    let served = Served::start();
    let me = served.log_in("user:142", 80);
    let path = "/api/v1/me";
    let send = |request: Request| request.send(served.address).unwrap();
    let bare = || Request::bare("GET", path);
    let dpop = format!("DPoP {}", me.token);
    let good = || served.proof(80, "GET", path, Some(&me.token));
    assert_eq!(send(bare().and("authorization", &dpop).and("dpop", &good())).status, 200);

    assert!(stranger(&send(bare())), "nothing at all");
    assert!(stranger(&send(bare().and("authorization", &dpop))), "no proof");
    assert!(stranger(&send(bare().and("dpop", &good()))), "no token");
    let bearer = format!("Bearer {}", me.token);
    assert!(stranger(&send(bare().and("authorization", &bearer).and("dpop", &good()))), "bearer");
    let other = served.proof(81, "GET", path, Some(&me.token));
    assert!(stranger(&send(bare().and("authorization", &dpop).and("dpop", &other))), "other key");
    let unbound = served.proof(80, "GET", path, None);
    assert!(stranger(&send(bare().and("authorization", &dpop).and("dpop", &unbound))), "no ath");
    let elsewhere = served.proof(80, "GET", "/api/v1/agents", Some(&me.token));
    assert!(stranger(&send(bare().and("authorization", &dpop).and("dpop", &elsewhere))), "htu");
    let posted = served.proof(80, "POST", path, Some(&me.token));
    assert!(stranger(&send(bare().and("authorization", &dpop).and("dpop", &posted))), "htm");
    let twice = bare().and("authorization", &dpop).and("dpop", &good()).and("dpop", &good());
    assert!(stranger(&send(twice)), "two proofs");
    let old = good();
    served.world.host.advance(61_000);
    assert!(stranger(&send(bare().and("authorization", &dpop).and("dpop", &old))), "an old proof");

    // A browser's session is nothing here, nor a program's login there.
    let (session, _) = served.browser("user:142");
    let cookie = format!("bailiwick={}", session.reveal());
    assert!(stranger(&send(bare().and("cookie", &cookie).and("dpop", &good()))), "a cookie");
    let as_token = served.proof(80, "GET", path, Some(&session.reveal()));
    let as_dpop = format!("DPoP {}", session.reveal());
    assert!(stranger(&send(bare().and("authorization", &as_dpop).and("dpop", &as_token))));
    let page = Request::bare("GET", "/grants").and("cookie", &format!("bailiwick={}", me.token));
    assert_eq!(send(page).status, 303);
}

#[test]
fn a_captured_change_is_not_made_again() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    let body = json!({"status": "suspended"}).to_string();
    let path = "/api/v1/agents/agent:order-reader/status";
    let request = served.request(&owner, Request::post(path, body));
    assert_eq!(request.send(served.address).unwrap().status, 200);
    assert!(stranger(&request.send(served.address).unwrap()));
    assert_eq!(served.entries("agent.changed").len(), 1);
}

#[test]
fn a_login_ends_with_its_time_its_person_and_its_logout() {
    let served = Served::start();
    let a = &served.world.authority;
    let me = served.log_in("user:142", 80);
    assert_eq!(served.post(&me, "/api/v1/logout", &json!({})).status, 204);
    assert!(stranger(&served.get(&me, "/api/v1/me")), "after logout");

    let me = served.log_in("user:142", 80);
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    assert!(stranger(&served.get(&me, "/api/v1/me")), "suspended");
    a.principal_status(&principal("user:142"), Status::Active).unwrap();
    assert!(stranger(&served.get(&me, "/api/v1/me")), "resumed, which brings nothing back");
    let me = served.log_in("user:142", 80);
    assert_eq!(served.get(&me, "/api/v1/me").status, 200);
    let alias = a.principal(&principal("user:142")).unwrap().row.alias;
    assert!(a.sessions_end(&alias).unwrap() > 0);
    assert!(stranger(&served.get(&me, "/api/v1/me")), "sessions ended");

    // It lasts no longer than the session in which the person agreed could.
    let code = served.code("user:142", 80).reveal();
    served.world.host.advance(50_000);
    let token = served.redeem(&code, VERIFIER, 80).json()["token"].as_str().unwrap().to_owned();
    let me = Program { token, seed: 80 };
    served.world.host.advance(LOGIN_SECONDS * 1000 - 51_000);
    assert_eq!(served.get(&me, "/api/v1/me").status, 200);
    served.world.host.advance(1000);
    assert!(stranger(&served.get(&me, "/api/v1/me")), "time is over");
}

#[test]
fn a_person_sees_and_takes_back_what_is_their_own_and_nothing_else() {
    let served = Served::start();
    let grant = served.world.delegate();
    let id = grant.grant.to_string();
    let (me, other) = (served.log_in("user:142", 80), served.log_in("user:143", 81));
    let own = served.get(&me, "/api/v1/grants").json();
    assert_eq!(own["grants"][0]["grant"], json!(id));
    assert_eq!(own["grants"][0]["state"], "active");
    assert_eq!(served.get(&other, "/api/v1/grants").json()["grants"], json!([]));
    let shown = served.get(&me, &format!("/api/v1/grants/{id}")).json();
    assert_eq!(shown["statement"]["principal"]["subject"], "user:142");
    assert_eq!(shown["roots"][0]["root"], json!(grant.root.to_string()));

    let (path, root) = (
        format!("/api/v1/grants/{id}/revoke"),
        format!("/api/v1/delegations/{}/revoke", grant.root),
    );
    for path in [&path, &root] {
        assert_eq!(served.post(&other, path, &json!({})).status, 404, "{path}");
    }
    let unknown = (404, "unknown-name".to_owned());
    assert_eq!(refused(&served.get(&other, &format!("/api/v1/grants/{id}"))), unknown);
    assert_eq!(refused(&served.get(&other, "/api/v1/grants?principal=user:142")), unknown);
    assert_eq!(served.get(&other, "/api/v1/agents").json()["agents"], json!([]));
    assert_eq!(served.get(&other, "/api/v1/agents/agent:support-runner").status, 404);
    let about = served.get(&other, "/api/v1/activity?limit=200").json();
    assert!(about["entries"].as_array().unwrap().iter().all(|e| e["kind"] != "grant.given"));

    assert_eq!(served.post(&me, &root, &json!({})).status, 204);
    let shown = served.get(&me, &format!("/api/v1/grants/{id}")).json();
    assert_eq!(
        (&shown["state"], &shown["roots"][0]["state"]),
        (&json!("active"), &json!("revoked"))
    );
    assert_eq!(served.post(&me, &path, &json!({})).status, 204);
    let shown = served.get(&me, &format!("/api/v1/grants/{id}")).json();
    assert_eq!(shown["state"], "revoked");
}

#[test]
fn roles_open_what_the_table_says_and_the_ledger_names_who_did_it() {
    let served = Served::start();
    let (owner, me) = (served.log_in("user:owner", 80), served.log_in("user:142", 81));
    let new = json!({"agent": "agent:new", "owner": "user:142", "publisher": "us"});
    let missing = (403, "role-missing".to_owned());
    let deeds = [
        ("/api/v1/agents", new.clone()),
        ("/api/v1/clients", json!({"metadata": {"redirect_uris": ["http://127.0.0.1/c"]}})),
        ("/api/v1/principals", json!({"principal": "user:new"})),
        ("/api/v1/principals/user:143/links", json!({})),
        ("/api/v1/principals/user:143/roles", json!({"role": "auditor", "held": true})),
        ("/api/v1/principals/user:143/status", json!({"status": "suspended"})),
    ];
    for (path, body) in &deeds {
        assert_eq!(refused(&served.post(&me, path, body)), missing, "{path}");
    }
    for path in ["/api/v1/clients", "/api/v1/principals"] {
        assert_eq!(refused(&served.get(&me, path)), missing, "{path}");
    }
    for (path, body) in &deeds {
        let answer = served.post(&owner, path, body);
        assert!([201, 204].contains(&answer.status), "{path} {}", answer.text());
    }
    let alias = served.world.authority.principal(&principal("user:owner")).unwrap().row.alias;
    for kind in ["client.registered", "role.changed", "principal.changed"] {
        let named = served.entries(kind);
        assert!(!named.is_empty(), "{kind}");
        assert!(named[0].contains(&format!(r#""session_of":"{alias}""#)), "{kind}: {named:?}");
    }
    // Their own agent: they see it and invite its instances, and do not retire it.
    assert_eq!(served.get(&me, "/api/v1/agents/agent:new").json()["owner"], "user:142");
    let invited = served.post(&me, "/api/v1/agents/agent:new/invitations", &json!({}));
    assert_eq!(invited.status, 201, "{}", invited.text());
    assert_eq!(invited.json()["enrolment_token"].as_str().unwrap().len(), 43);
    let alias = served.world.authority.principal(&principal("user:142")).unwrap().row.alias;
    let entry = &served.entries("instance.invited")[0];
    assert!(entry.contains(&format!(r#""session_of":"{alias}""#)), "{entry}");
    let retire = served.post(&me, "/api/v1/agents/agent:new/status", &json!({"status": "retired"}));
    assert_eq!(refused(&retire), missing);
}

#[test]
fn who_can_act_as_whom_changes_only_soon_after_a_person_proved_who_they_are() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    served.world.host.advance(FRESH_SECONDS * 1000);
    let stale = (403, "authentication-not-fresh".to_owned());
    let stop = json!({"status": "suspended"});
    let metadata = json!({"redirect_uris": ["http://127.0.0.1/c"]});
    for (path, body) in [
        ("/api/v1/agents/agent:support-runner/invitations", json!({})),
        ("/api/v1/clients", json!({"metadata": metadata})),
        ("/api/v1/clients/c/agent", json!({"agent": "agent:support-runner"})),
        ("/api/v1/principals", json!({"principal": "user:new"})),
        ("/api/v1/principals/user:143/links", json!({})),
        ("/api/v1/principals/user:143/status", stop.clone()),
        ("/api/v1/principals/user:143/roles", json!({"role": "owner", "held": true})),
        ("/api/v1/principals/user:143/offboard", json!({"reason": "left"})),
        ("/api/v1/agents/agent:support-runner/owner", json!({"owner": "user:142"})),
        ("/api/v1/approver-keys", json!({})),
        ("/api/v1/credentials/c/vouch", json!({})),
    ] {
        assert_eq!(refused(&served.post(&owner, path, &body)), stale, "{path}");
    }
    // What only stops an agent is never made to wait.
    assert_eq!(served.post(&owner, "/api/v1/agents/agent:order-reader/status", &stop).status, 200);
    let owner = served.log_in("user:owner", 80);
    let end = json!({"status": "retired"});
    let ended = served.post(&owner, "/api/v1/principals/user:143/status", &end);
    assert_eq!(refused(&ended), (422, "offboard-instead".to_owned()));
    let own = served.post(&owner, "/api/v1/principals/user:owner/status", &stop);
    assert_eq!(refused(&own).1, "not-yourself");
}

#[test]
fn a_client_whose_id_is_an_address_is_mapped_and_suspended() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    let metadata = json!({"client_name": "desk", "redirect_uris": ["http://127.0.0.1/c"]});
    let added = served.post(&owner, "/api/v1/clients", &json!({"metadata": metadata}));
    let id = added.json()["client_id"].as_str().unwrap().to_owned();
    assert_eq!(added.json()["agent"], Value::Null);
    let mapping = json!({"agent": "agent:support-runner"});
    let mapped = served.post(&owner, &format!("/api/v1/clients/{id}/agent"), &mapping);
    assert_eq!(mapped.json()["agent"], "agent:support-runner");
    let path = format!("/api/v1/clients/{id}/status");
    let suspended = served.post(&owner, &path, &json!({"status": "suspended"}));
    assert_eq!(suspended.json()["status"], "suspended");
    let url = "/api/v1/clients/https%3A%2F%2Fc.example%2Foauth.json/agent";
    assert_eq!(refused(&served.post(&owner, url, &mapping)), (404, "unknown-name".to_owned()));
    let bad = json!({"metadata": {"client_secret": "x"}});
    assert_eq!(served.post(&owner, "/api/v1/clients", &bad).status, 422);
}

#[test]
fn a_creating_call_that_is_sent_again_has_its_effect_once() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    let path = "/api/v1/agents/agent:support-runner/invitations";
    let call = |key: &str, path: &str| {
        let request = Request::post(path, "{}").and("idempotency-key", key);
        served.request(&owner, request).send(served.address).unwrap()
    };
    let first = call("a", path);
    assert_eq!(first.status, 201);
    assert_eq!(call("a", path).json(), first.json());
    assert_ne!(call("b", path).json(), first.json());
    let other = call("a", "/api/v1/agents/agent:order-reader/invitations");
    assert_eq!(refused(&other), (422, "idempotency-key-reused".to_owned()));
    assert_eq!(refused(&call("a b", path)), (400, "idempotency-key-malformed".to_owned()));
    // What was refused may be tried again with the same key.
    let new = json!({"agent": "agent:n", "owner": "user:nobody"});
    let add = |body: &Value| {
        let request = Request::post("/api/v1/agents", body.to_string()).and("idempotency-key", "c");
        served.request(&owner, request).send(served.address).unwrap()
    };
    assert_eq!(add(&new).status, 404);
    assert_eq!(add(&json!({"agent": "agent:n", "owner": "user:142"})).status, 201);
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    let path = "/api/v1/agents";
    let malformed = (400, "request-malformed".to_owned());
    let send = |body: &str| {
        served.request(&owner, Request::post(path, body.to_owned())).send(served.address).unwrap()
    };
    for body in [
        "",
        "[]",
        "{",
        r#"{"agent":"agent:a"}"#,
        r#"{"agent":"agent:a","owner":7}"#,
        r#"{"agent":"agent:a","owner":"user:142","x":1}"#,
        r#"{"agent":"agent:a","agent":"agent:b","owner":"user:142"}"#,
        r#"{"agent":"someone","owner":"user:142"}"#,
        r#"{"agent":"agent:a","owner":"user:142","artifact":"x"}"#,
    ] {
        assert_eq!(refused(&send(body)), malformed, "{body}");
    }
    assert_eq!(refused(&send(&format!("\"{}\"", "x".repeat(70_000)))), malformed, "too large");
    let text = Request::post(path, "{}").with("content-type", "text/plain");
    let text = served.request(&owner, text).send(served.address).unwrap();
    assert_eq!(refused(&text), (415, "content-type".to_owned()));
    for query in ["limit=0", "limit=201", "limit=x", "before=-1", "kind=x", "agent=a&agent=b"] {
        let answer = served.get(&owner, &format!("/api/v1/activity?{query}"));
        assert_eq!(refused(&answer), malformed, "{query}");
    }
    assert_eq!(served.get(&owner, "/api/v1/grants/x").status, 404);
    assert_eq!(served.get(&owner, "/api/v1/grants/%FF").status, 400);
    assert_eq!(served.get(&owner, "/api/v1/nowhere").status, 404);
}

#[test]
fn whoever_calls_too_often_waits() {
    let served = Served::start();
    let me = served.log_in("user:142", 80);
    let last = (0..800).map(|_| served.get(&me, "/api/v1/me")).find(|a| a.status != 200).unwrap();
    assert_eq!(refused(&last), (429, "rate-limited".to_owned()));
    assert!(last.header("retry-after").is_some());
    served.world.host.advance(5_000);
    assert_eq!(served.get(&me, "/api/v1/me").status, 200);
}

#[test]
fn logins_begun_from_one_address_are_bounded_and_one_may_sign_out_everywhere() {
    let served = Served::start();
    let (session, _) = served.browser("user:142");
    let me = served.log_in("user:142", 80);
    let cookie = format!("bailiwick={}", session.reveal());
    let out =
        Request::post("/account/sign-out-everywhere", format!("csrf={}", session.csrf_token()))
            .with("content-type", "application/x-www-form-urlencoded")
            .and("origin", URL)
            .and("cookie", &cookie);
    assert_eq!(out.send(served.address).unwrap().status, 303);
    assert!(stranger(&served.get(&me, "/api/v1/me")));
    assert!(served.world.authority.session(&session).unwrap().is_none());

    let begin = || {
        let begin = Request::post("/login/passkey/begin", "{}").and("origin", URL);
        begin.send(served.address).unwrap().status
    };
    let first: Vec<u16> = (0..600).map(|_| begin()).collect();
    assert!(first.iter().all(|status| *status == 200), "{first:?}");
    assert_eq!(begin(), 429);
    served.world.host.advance(1000);
    assert_eq!(begin(), 200);
}

#[test]
fn strangers_who_redeem_nothing_leave_nothing_behind() {
    let served = Served::start();
    let before =
        served.world.authority.store().read(|v| v.tickets_of("login-proof", "", served.now()));
    let code = base64url(sha256(b"no code").bytes());
    assert_eq!(served.redeem(&code, VERIFIER, 80).status, 410);
    let after =
        served.world.authority.store().read(|v| v.tickets_of("login-proof", "", served.now()));
    assert_eq!((before.unwrap(), after.unwrap()), (0, 0));
}

#[test]
fn the_description_is_served_and_a_person_lets_a_program_in_on_its_page() {
    let served = Served::start();
    let described = Request::bare("GET", "/openapi.json").send(served.address).unwrap();
    assert_eq!(described.json()["openapi"], "3.1.0");

    let key = key(80).verifying_key().thumbprint().to_string();
    let query = |redirect: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("code_challenge", &Challenge::of(VERIFIER).to_string())
            .append_pair("dpop_jkt", &key)
            .append_pair("redirect_uri", redirect)
            .append_pair("state", "s1")
            .append_pair("name", "bailiwick on <laptop>");
        format!("/login/program?{}", query.finish())
    };
    let path = query("http://127.0.0.1:4242/");
    let send = |request: Request| request.send(served.address).unwrap();
    let asked = send(Request::bare("GET", &path));
    assert_eq!(asked.status, 303, "the login comes first");
    let (session, _) = served.browser("user:142");
    let cookie = format!("bailiwick={}", session.reveal());
    // Whoever sits down at an open session lets no program of theirs in.
    served.world.host.advance(FRESH_SECONDS * 1000);
    let stale = send(Request::bare("GET", &path).and("cookie", &cookie));
    assert_eq!(stale.status, 303);
    assert!(stale.header("location").unwrap().starts_with("/login?next=%2Flogin%2Fprogram"));
    let csrf = format!("csrf={}", session.csrf_token());
    let agree = Request::post(&path, csrf).and("origin", URL).and("cookie", &cookie);
    let agree = agree.with("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(agree).status, 403);
    let (session, _) = served.browser("user:142");
    let page = send(Request::bare("GET", &path).and("cookie", &cookie));
    assert!(page.text().contains(&key[..8]) && page.text().contains("on &#60;laptop&#62;"));

    let form = |path: &str, csrf: &str| {
        Request::post(path, format!("csrf={csrf}"))
            .with("content-type", "application/x-www-form-urlencoded")
            .and("origin", URL)
            .and("cookie", &cookie)
    };
    assert_eq!(send(form(&path, "x")).status, 403, "no page of ours");
    for bad in ["http://evil.example:1/", "http://localhost:4242/"] {
        let refused = send(form(&query(bad), &session.csrf_token()));
        assert_eq!(refused.status, 400, "{bad}");
    }
    let agreed = send(form(&path, &session.csrf_token())).text();
    let html = scraper::Html::parse_document(&agreed);
    let link = scraper::Selector::parse("a.primary").unwrap();
    let url = html.select(&link).next().unwrap().attr("href").unwrap().to_owned();
    let url = url::Url::parse(&url).unwrap();
    let found: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!((url.port(), found["state"].as_str()), (Some(4242), "s1"));
    assert_eq!(found["iss"], URL);
    assert_eq!(served.redeem(&found["code"], VERIFIER, 80).status, 201);
}

#[test]
fn an_agent_is_registered_with_its_provenance() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    let digest = sha256(b"artifact").to_string();
    let new = json!({"agent": "agent:built", "owner": "user:owner", "publisher": "us",
        "version": "1.2", "artifact": digest});
    let added = served.post(&owner, "/api/v1/agents", &new).json();
    for member in ["publisher", "version", "artifact", "owner"] {
        assert_eq!(added[member], new[member], "{member}");
    }
    assert_eq!(added["spiffe_id"], "spiffe://example.test/agent/built");
    assert_eq!(served.post(&owner, "/api/v1/agents", &new).status, 409);
    let kept = served.world.authority.agents().unwrap();
    assert!(kept.iter().any(|a| a.id == agent("agent:built")));
}
