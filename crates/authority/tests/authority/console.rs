//! The console over HTTP, without a browser: who is let in, what is refused.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bailiwick_authority::http::console::{Console, RecordedClients, Setting, console_router};
use bailiwick_authority::oauth::pkce::Challenge;
use bailiwick_authority::people::oidc::ProviderConfig;
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::{FRESH_SECONDS, IDLE_SECONDS, Method, Secret, Session};
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_core::crypto::{base64url, sha256};
use bailiwick_core::ids::{ActionId, EntryId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{ClientSource, Filter, Status, StoreError, Ticket};

use crate::support::{URL, World, agent, key, principal};

mod catalogue;
mod failures;
mod ledger;
pub(crate) mod life;
mod overview;
pub(crate) mod peers;
mod policy;
mod requests;
mod roles;
pub(crate) mod runs;
mod workflows;

pub(crate) struct Served {
    pub(crate) world: World,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// The value of the first input of this name.
    pub(crate) fn input(&self, name: &str) -> String {
        let html = scraper::Html::parse_document(&self.body);
        let selector = scraper::Selector::parse(&format!("input[name='{name}']")).unwrap();
        html.select(&selector).next().and_then(|i| i.attr("value")).unwrap_or_default().to_owned()
    }
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::with(tokio::runtime::Runtime::new().unwrap(), Vec::new())
    }

    /// The same where people may log in at these providers.
    pub(crate) fn with(runtime: tokio::runtime::Runtime, providers: Vec<ProviderConfig>) -> Self {
        Self::of(World::desk(), runtime, providers)
    }

    /// The console of a world with a support desk.
    pub(crate) fn of(
        world: World,
        runtime: tokio::runtime::Runtime,
        providers: Vec<ProviderConfig>,
    ) -> Self {
        let a = &world.authority;
        for (id, mapped) in [("client-1", true), ("stranger", false)] {
            let metadata = r#"{"application_type":"native","grant_types":["authorization_code"],"redirect_uris":["http://127.0.0.1/callback"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#;
            let (id, source) = (id.to_owned(), ClientSource::Configured);
            let (name, metadata) = ("Desk assistant".into(), metadata.into());
            a.client_register(NewClient { id: id.clone(), source, name, metadata }).unwrap();
            if mapped {
                a.client_map(&id, &agent("agent:support-runner")).unwrap();
            }
        }
        a.role_change(&principal("user:owner"), Role::Owner, true).unwrap();
        Self::serving(world, runtime, providers, Vec::new())
    }

    /// The same which shows these settings.
    pub(crate) fn configured(
        world: World,
        runtime: tokio::runtime::Runtime,
        settings: Vec<Setting>,
    ) -> Self {
        world.authority.role_change(&principal("user:owner"), Role::Owner, true).unwrap();
        Self::serving(world, runtime, Vec::new(), settings)
    }

    fn serving(
        world: World,
        runtime: tokio::runtime::Runtime,
        providers: Vec<ProviderConfig>,
        settings: Vec<Setting>,
    ) -> Self {
        let a = &world.authority;
        let clients = Arc::new(RecordedClients(a.clone()));
        let console = Console::new(a.clone(), clients, providers).with_settings(settings);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, console_router(console)).await });
        Self { world, address, _runtime: runtime }
    }

    /// A session of this person, as if they had just signed in.
    pub(crate) fn sign_in(&self, name: &str) -> Secret {
        let now = self.now();
        let alias = self.world.authority.principal(&principal(name)).unwrap().row.alias;
        let secret = Secret::parse(&base64url(sha256(name.as_bytes()).bytes())).unwrap();
        let session = Session::begin(alias, Method::Passkey, now);
        let ticket = Ticket {
            kind: "session",
            key: secret.hash(),
            family: session.principal.to_string(),
            value: session.to_json().canonical(),
            expires: session.expires(),
        };
        let store = self.world.authority.store();
        store.write(move |tx| tx.keep_ticket(&ticket)).wait().unwrap();
        secret
    }

    pub(crate) fn now(&self) -> Timestamp {
        use bailiwick_authority::host::Host as _;
        self.world.host.now()
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn get(&self, path: &str, me: Option<&Secret>) -> Answer {
        let cookie = me.map(|me| ("Cookie", format!("bailiwick={}", me.reveal())));
        self.send("GET", path, &Vec::from_iter(cookie), "")
    }

    /// A form as our own page sends it.
    pub(crate) fn post(&self, path: &str, me: &Secret, fields: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("csrf", &me.csrf_token()).extend_pairs(fields);
        self.send("POST", path, &form_headers(me, URL), &body.finish())
    }

    /// What our script sends.
    pub(crate) fn script(&self, path: &str, me: Option<&Secret>, body: &str) -> Answer {
        let mut headers =
            vec![("Origin", URL.to_owned()), ("Content-Type", "application/json".to_owned())];
        if let Some(me) = me {
            headers.push(("Cookie", format!("bailiwick={}", me.reveal())));
            headers.push(("X-CSRF-Token", me.csrf_token()));
        }
        self.send("POST", path, &headers, body)
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        let filter = Filter { limit: 1000, ..Filter::default() };
        let entries = self.world.authority.store().read(|view| view.query(&filter)).unwrap();
        entries.iter().filter(|e| e.kind == kind).count()
    }

    /// The page of a request with everything said; gives its path.
    pub(crate) fn asking(&self, me: &Secret) -> String {
        let details = r#"[{"type":"urn:bailiwick:delegation","purpose":"Resolve it","scope":["ticket:8821","refund:17"]}]"#;
        let answer =
            self.get(&authorize("client-1", &[("authorization_details", details)]), Some(me));
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location().to_owned()
    }
}

/// A call as a gateway records it; the call's id.
pub(crate) fn decided(world: &World, of: &str, decision: &str) -> String {
    let (authority, now) = (&world.authority, world.now());
    let alias = authority.principal(&principal(of)).unwrap().row.alias;
    let installation = authority.installation();
    let action = ActionId::parse(&world.jti()).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let event = Event {
        id: EntryId::parse(&world.jti()).unwrap(),
        org: installation.org.clone(),
        time: now,
        kind: Kind::ActionDecided,
        subjects: Subjects {
            principal: text(alias.as_str()),
            agent: text("agent:support-runner"),
            workflow: text("support-tickets"),
            action: text(action.as_str()),
            tool: text("mcp:support-desk:tools/get_ticket"),
            decision: text(decision),
            reason: (decision == "deny").then(|| "argument-not-delegated".to_owned()),
            ..Subjects::default()
        },
        body: Object::new().with("staleness_ms", 3u64),
        disclosures: Vec::new(),
    };
    let maker = installation.makers[1].id.clone();
    let written = authority.store().write(move |tx| -> Result<(), StoreError> {
        tx.append(&maker, &*key(3), event).map(drop)
    });
    written.wait().unwrap();
    action.to_string()
}

fn form_headers(me: &Secret, origin: &str) -> [(&'static str, String); 3] {
    [
        ("Cookie", format!("bailiwick={}", me.reveal())),
        ("Origin", origin.to_owned()),
        ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
    ]
}

fn authorize(client: &str, pairs: &[(&str, &str)]) -> String {
    let challenge = Challenge::of("a-code-verifier-that-nobody-else-knows-012345").to_string();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let said = |name: &str| pairs.iter().any(|(n, _)| *n == name);
    for (name, value) in [
        ("client_id", client),
        ("response_type", "code"),
        ("redirect_uri", "http://127.0.0.1:5151/callback"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("state", "s"),
    ] {
        if !said(name) {
            query.append_pair(name, value);
        }
    }
    query.extend_pairs(pairs);
    format!("/authorize?{}", query.finish())
}

#[test]
fn every_page_has_the_strict_headers_also_when_something_is_wrong() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    let pages = [
        ("/login", None, 200),
        ("/", Some(&me), 200),
        ("/grants", Some(&me), 200),
        ("/agents", Some(&me), 200),
        ("/activity", Some(&me), 200),
        ("/activity/999999", Some(&me), 404),
        ("/clients", Some(&me), 403),
        ("/static/nothing.js", None, 404),
        ("/enrol/nonsense", None, 410),
    ];
    for (path, me, status) in pages {
        let answer = served.get(path, me);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn files_are_kept_until_they_change() {
    let served = Served::start();
    let first = served.get("/static/console.css", None);
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.status, 200);
    let again = served.send("GET", "/static/console.css", &[("If-None-Match", tag)], "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}

#[test]
fn whoever_is_not_signed_in_is_sent_to_the_login_and_back() {
    let served = Served::start();
    let answer = served.get("/activity?agent=agent%3Ax", None);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.location(), "/login?next=%2Factivity%3Fagent%3Dagent%253Ax");
    // A made-up cookie is nobody's.
    let made_up = Secret::parse(&base64url(&[7; 32])).unwrap();
    assert_eq!(served.get("/", Some(&made_up)).status, 303);
}

#[test]
fn a_session_ends_when_idle_when_signed_out_and_with_its_person() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    assert_eq!(served.get("/", Some(&me)).status, 200);
    served.world.host.advance(IDLE_SECONDS * 1000);
    assert_eq!(served.get("/", Some(&me)).status, 303);
    let me = served.sign_in("user:142");
    let out = served.post("/logout", &me, &[]);
    assert_eq!((out.status, out.location()), (303, "/login"));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(served.get("/", Some(&me)).status, 303);
    let me = served.sign_in("user:142");
    let a = &served.world.authority;
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    assert_eq!(served.get("/", Some(&me)).status, 303);
}

#[test]
fn a_change_needs_our_own_page_and_the_sessions_token() {
    let served = Served::start();
    let owner = served.sign_in("user:owner");
    let other = served.sign_in("user:142");
    let path = "/agents/agent:support-runner/suspend";
    let body = |token: &str| format!("csrf={token}");
    let token = owner.csrf_token();
    for (origin, token, code) in [
        (URL, "", "csrf-token-invalid"),
        (URL, other.csrf_token().as_str(), "csrf-token-invalid"),
        ("https://evil.example", token.as_str(), "cross-site"),
        ("null", token.as_str(), "cross-site"),
    ] {
        let answer = served.send("POST", path, &form_headers(&owner, origin), &body(token));
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains(code), "{code}: {}", answer.body);
    }
    assert_eq!(served.count("agent.changed"), 0);
    let done = served.post(path, &owner, &[]);
    assert_eq!((done.status, done.location()), (303, "/agents/agent:support-runner"));
    assert_eq!(served.count("agent.changed"), 1);
}

#[test]
fn roles_are_asked_again_where_something_is_done() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    for verb in ["suspend", "resume", "retire"] {
        let path = format!("/agents/agent:support-runner/{verb}");
        assert_eq!(served.get(&path, Some(&me)).status, 403, "{verb}");
        let refused = served.post(&path, &me, &[]);
        assert_eq!(refused.status, 403, "{verb}");
        assert!(refused.body.contains("role-missing"));
    }
    assert_eq!(served.count("agent.changed"), 0);
    let a = &served.world.authority;
    a.role_change(&principal("user:142"), Role::Operator, true).unwrap();
    assert_eq!(served.post("/agents/agent:support-runner/suspend", &me, &[]).status, 303);
    assert_eq!(served.post("/agents/agent:support-runner/retire", &me, &[]).status, 403);
    // The last owner stays one.
    let last = a.role_change(&principal("user:owner"), Role::Owner, false).unwrap_err();
    assert_eq!(last.code(), "last-owner");
}

#[test]
fn what_is_somebody_elses_is_as_if_it_were_not_there() {
    let served = Served::start();
    let (me, other) = (served.sign_in("user:142"), served.sign_in("user:143"));
    let issued = served.world.delegate();
    let path = format!("/grants/{}", issued.grant);
    assert_eq!(served.get(&path, Some(&me)).status, 200);
    assert_eq!(served.get(&path, Some(&other)).status, 404);
    assert_eq!(served.post(&format!("{path}/revoke"), &other, &[]).status, 403);
    let root = format!("/delegations/{}/revoke", issued.root);
    assert_eq!(served.get(&root, Some(&other)).status, 404);
    assert_eq!(served.post(&root, &other, &[]).status, 403);
    let all = served.get("/activity", Some(&other));
    assert!(!all.body.contains("Grant recorded"));
    assert_eq!(served.count("revoked"), 0);
    // One's own is taken back, and the entry says who did.
    assert_eq!(served.post(&root, &me, &[]).status, 303);
    assert_eq!(served.post(&format!("{path}/revoke"), &me, &[]).status, 303);
    assert_eq!(served.count("revoked"), 2);
    assert!(served.get(&path, Some(&me)).body.contains("revoked"));
}

#[test]
fn a_clients_mistake_is_shown_or_sent_back_and_never_the_other_way_round() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    let get = |client: &str, pairs: &[(&str, &str)], me| served.get(&authorize(client, pairs), me);
    // Where the answer may go is not known: shown.
    for pairs in [
        &[("redirect_uri", "https://evil.example/callback")][..],
        &[("redirect_uri", "http://127.0.0.1/other")],
        &[("client_id", "")],
    ] {
        let answer = get("client-1", pairs, Some(&me));
        assert_eq!((answer.status, answer.location()), (400, ""), "{pairs:?}");
    }
    for client in ["stranger", "nobody"] {
        let answer = get(client, &[("scope", "ticket:1")], Some(&me));
        assert_eq!((answer.status, answer.location()), (403, ""), "{client}");
        assert!(answer.body.contains(&format!("bailiwick client map {client} --agent")));
    }
    // It is: sent back, with issuer and state.
    for (pairs, code) in [
        (&[("response_type", "token")][..], "unsupported_response_type"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("prompt", "none")], "interaction_required"),
        (&[("resource", "https://elsewhere.example/")], "invalid_target"),
        (
            &[(
                "authorization_details",
                r#"[{"type":"urn:bailiwick:delegation","agent":"agent:order-reader"}]"#,
            )],
            "access_denied",
        ),
    ] {
        let answer = get("client-1", pairs, Some(&me));
        let location = answer.location();
        assert!(location.starts_with("http://127.0.0.1:5151/callback?"), "{code}: {location}");
        assert!(location.contains(&format!("error={code}")), "{location}");
        assert!(location.contains("iss=http%3A%2F%2Flocalhost%3A4000"), "{location}");
        assert!(location.contains("state=s"), "{location}");
    }
    let none = get("client-1", &[("prompt", "none")], None);
    assert!(none.location().contains("error=login_required"));
    let some = get("client-1", &[("scope", "ticket:1")], None);
    assert!(some.location().starts_with("/login?next=%2Fauthorize%3F"), "{}", some.location());
}

#[test]
fn a_consent_page_is_one_persons_and_ends_when_it_is_narrowed() {
    let served = Served::start();
    let (me, other) = (served.sign_in("user:142"), served.sign_in("user:143"));
    let path = served.asking(&me);
    assert_eq!(served.get(&path, Some(&me)).status, 200);
    assert_eq!(served.get(&path, Some(&other)).status, 410);
    for verb in ["narrow", "deny", "task"] {
        assert_eq!(served.post(&format!("{path}/{verb}"), &other, &[]).status, 410, "{verb}");
    }
    let tool = "mcp:support-desk:tools/get_ticket";
    let keep = [("requested", "ticket:8821"), ("tool", tool), ("max_calls", "3")];
    let next = served.post(&format!("{path}/narrow"), &me, &keep);
    assert_eq!(next.status, 303, "{}", next.body);
    assert_eq!(served.get(&path, Some(&me)).status, 410);
    let narrowed = served.get(next.location(), Some(&me));
    assert!(narrowed.body.contains("at most 3 calls in all"));
    assert!(!narrowed.body.contains("refund_order"));
    assert_eq!(served.count("grant.recorded"), 0);
}

#[test]
fn nothing_can_be_added_on_the_consent_page() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    let path = served.asking(&me);
    let (ticket, refund) =
        ("mcp:support-desk:tools/get_ticket", "mcp:support-desk:tools/refund_order");
    let all = [
        ("requested", "ticket:8821"),
        ("requested", "refund:17"),
        ("tool", ticket),
        ("tool", refund),
    ];
    for (more, code) in [
        (("requested", "orders:read"), "narrower"),
        (("tool", "mcp:support-desk:tools/add_note"), "narrowed"),
        (("max_calls", "501"), "narrowed"),
        (("max_depth", "9"), "narrowed"),
        (("minutes", "61"), "narrowed"),
        (("minutes", "soon"), "whole number"),
    ] {
        let mut fields = all.to_vec();
        fields.push(more);
        let answer = served.post(&format!("{path}/narrow"), &me, &fields);
        assert_eq!(answer.status, 422, "{more:?}");
        let said = if code == "narrower" { "narrowed" } else { code };
        assert!(answer.body.contains(said), "{more:?}");
    }
    let nothing = served.post(&format!("{path}/narrow"), &me, &[("requested", "ticket:8821")]);
    assert!(nothing.body.contains("nothing would be left"));
    // A part of the client's own scope may be chosen, and nothing else.
    let open = served.get(&authorize("client-1", &[("scope", "ticket:8821")]), Some(&me));
    let choose = format!("{}/task", open.location());
    let fields = [("workflow", "support-tickets"), ("purpose", "x"), ("scope", "orders:read")];
    assert_eq!(served.post(&choose, &me, &fields).status, 422);
    let fields = [("workflow", "support-tickets"), ("purpose", " "), ("scope", "ticket:8821")];
    assert_eq!(served.post(&choose, &me, &fields).status, 422);
    let fields = [("workflow", "support-tickets"), ("purpose", "x"), ("scope", "ticket:8821")];
    assert_eq!(served.post(&choose, &me, &fields).status, 303);
}

#[test]
fn without_the_persons_own_signature_nothing_is_recorded() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    let path = served.asking(&me);
    let sign = format!("{path}/sign");
    let made_up = format!(
        r#"{{"credential":{{"id":"{id}","rawId":"{id}","type":"public-key","response":{{"authenticatorData":"{id}","clientDataJSON":"{id}","signature":"{id}"}}}}}}"#,
        id = base64url(&[7; 64])
    );
    let refused = served.script(&sign, Some(&me), &made_up);
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body.contains("grant-signer-not-registered"), "{}", refused.body);
    for bad in ["{}", "[]", "nonsense", r#"{"credential":{}}"#] {
        let refused = served.script(&sign, Some(&me), bad);
        assert!((400..500).contains(&refused.status), "{bad}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    // Another site's form cannot send JSON, and has no token.
    let form = served.send("POST", &sign, &form_headers(&me, URL), &made_up);
    assert_eq!(form.status, 422);
    assert_eq!(served.count("grant.recorded"), 0);
}

#[test]
fn a_grant_above_low_risk_wants_a_fresh_login() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    let path = served.asking(&me);
    served.world.host.advance(FRESH_SECONDS * 1000);
    let stale = served.get(&path, Some(&me));
    assert!(stale.body.contains(&format!("/login?next={path}")), "{}", stale.body);
    assert!(!stale.body.contains("data-challenge"));
    // Reading alone is low risk.
    let low = r#"[{"type":"urn:bailiwick:delegation","purpose":"Read it","scope":["ticket:1"]}]"#;
    let low = served.get(&authorize("client-1", &[("authorization_details", low)]), Some(&me));
    let page = served.get(low.location(), Some(&me));
    assert!(!page.body.contains("Sign in again"));
}

#[test]
fn a_refusal_goes_back_to_the_client_and_into_the_ledger() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    let path = served.asking(&me);
    let left = served.post(&format!("{path}/deny"), &me, &[]);
    assert_eq!(left.status, 200);
    assert!(left.body.contains("http-equiv=\"refresh\"") && left.body.contains("access_denied"));
    assert_eq!(served.count("authorization.refused"), 1);
    assert_eq!(served.get(&path, Some(&me)).status, 410);
}

#[test]
fn an_enrolment_link_is_for_one_person_and_a_later_one_replaces_it() {
    let served = Served::start();
    let a = &served.world.authority;
    let link = a.enrolment_link(&principal("user:142")).unwrap();
    let page = served.get(&format!("/enrol/{}", link.reveal()), None);
    assert!(page.status == 200 && page.body.contains("user:142"));
    let later = a.enrolment_link(&principal("user:142")).unwrap();
    assert_eq!(served.get(&format!("/enrol/{}", link.reveal()), None).status, 410);
    assert_eq!(served.get(&format!("/enrol/{}", later.reveal()), None).status, 200);
    // A ceremony of one link finishes no other, and an answer that is made up
    // uses up nothing but the ceremony.
    let begun = served.script(&format!("/enrol/{}/begin", later.reveal()), None, "{}");
    assert!(begun.header("set-cookie").unwrap().starts_with("bailiwick-login="));
    let without = served.script(&format!("/enrol/{}/finish", later.reveal()), None, "{}");
    assert_eq!(without.status, 410);
    assert_eq!(served.count("credential.added"), 0);
    served.world.host.advance(25 * 60 * 60 * 1000);
    assert_eq!(served.get(&format!("/enrol/{}", later.reveal()), None).status, 410);
}

#[test]
fn a_token_on_the_page_is_the_sessions_own() {
    let served = Served::start();
    let me = served.sign_in("user:142");
    assert_eq!(served.get("/", Some(&me)).input("csrf"), me.csrf_token());
    let tickets = served
        .world
        .authority
        .store()
        .read(|view| view.ticket("session", &me.hash(), served.now()));
    let ticket: Result<_, StoreError> = tickets;
    // What the server keeps is neither the cookie nor the token.
    let kept = ticket.unwrap().unwrap().value;
    assert!(!kept.contains(&me.reveal()) && !kept.contains(&me.csrf_token()));
}
