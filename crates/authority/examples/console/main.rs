//! The console's pages over made-up values, to look at them without an
//! installation: `cargo run --example console -p bailiwick-authority -- 4099`,
//! then `http://localhost:4099/`, which lists them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool for people who work on the pages"
)]

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bailiwick_authority::console::assets::Asset;
use bailiwick_authority::console::{
    ActivityFilter, ActivityPage, AgentCard, AgentLine, AgentPage, AgentsPage, Beside,
    ChooseTaskPage, ClientCard, ClientLine, ClientsPage, ConfirmPage, ConsentPage, EnrolPage,
    EntryLine, EntryPage, ErrorPage, Frame, GrantLine, GrantPage, GrantsPage, InstanceLine,
    LeavePage, Limit, LoginLine, LoginPage, Moment, OverviewPage, PasskeyLine, PasskeysPage,
    Person, Provider, RootLine, Section, Signing, Standing, Text, ToolCard, WorkflowChoice,
    headers,
};
use bailiwick_authority::people::roles::Role;
use bailiwick_core::crypto::sha256;
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{AgentId, GrantId, OrgId, PrincipalId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::expand::expand;
use bailiwick_store::Status;

mod people;

const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");
const PAGES: [&str; 29] = [
    "login",
    "login-notice",
    "enrol",
    "home",
    "home-empty",
    "consent",
    "consent-narrowed",
    "consent-again",
    "consent-hostile",
    "choose",
    "choose-empty",
    "grants",
    "grants-empty",
    "grant",
    "agents",
    "agents-empty",
    "agent",
    "clients",
    "clients-empty",
    "activity",
    "activity-empty",
    "entry",
    "account",
    "confirm",
    "error",
    "people",
    "person",
    "offboard",
    "link",
];

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).unwrap_or_else(|| "4099".to_owned());
    let router = Router::new()
        .route("/", get(index))
        .route("/look/{name}", get(look))
        .route("/static/{name}", get(asset));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    println!("http://localhost:{port}/");
    axum::serve(listener, router).await.unwrap();
}

async fn index() -> Html<String> {
    let names = PAGES.iter().chain(&["leave"]);
    Html(names.map(|n| format!("<p><a href=/look/{n}>{n}</a></p>")).collect())
}

async fn asset(Path(name): Path<String>) -> Response {
    let asset = Asset::named(&name).expect("an asset");
    ([("content-type", asset.media_type)], asset.bytes).into_response()
}

async fn look(Path(name): Path<String>) -> Response {
    let mut response = Html(render(&name).expect("a page")).into_response();
    for (name, value) in headers::PAGE {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().insert(name, value);
    }
    response
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_705_200 + seconds)
}

fn moment(seconds: i64) -> Moment {
    Moment::of(at(seconds))
}

fn frame(here: Option<Section>) -> Frame {
    Frame {
        host: "bailiwick.example".into(),
        person: Some(Person {
            name: Text::of("user:142"),
            roles: vec![Role::Owner, Role::Auditor],
            csrf: "token".into(),
        }),
        all_stopped: false,
        here,
    }
}

fn nobody() -> Frame {
    Frame { host: "bailiwick.example".into(), ..Frame::default() }
}

fn workflow() -> Workflow {
    Workflow::parse(WORKFLOW).unwrap()
}

fn statement(requested: &[&str], purpose: &str) -> Statement {
    let workflow = workflow();
    let requested: Vec<String> = requested.iter().map(|r| (*r).to_owned()).collect();
    let expansion = expand(&workflow, &requested).unwrap();
    let Json::Object(tools) = expansion.scope.to_json() else { panic!("a map of tools") };
    Statement {
        id: GrantId::mint(at(0), [1; 10]),
        org: OrgId::parse("default").unwrap(),
        principal_issuer: "https://bailiwick.example".into(),
        principal: PrincipalId::parse("user:142").unwrap(),
        agent: AgentId::parse("agent:support-runner").unwrap(),
        task: TaskId::mint(at(0), [2; 10]),
        purpose: purpose.into(),
        workflow: workflow.id.clone(),
        workflow_digest: workflow.digest(),
        requested,
        tools,
        not_before: at(0).seconds(),
        not_after: at(2700).seconds(),
        max_depth: 2,
        budget: Object::new().with("max_calls", 500u64),
        audience: vec!["https://bailiwick.example/mcp".into()],
        salt: [3; 32],
        request: None,
    }
}

fn agent_card() -> AgentCard {
    AgentCard {
        id: Text::of("agent:support-runner"),
        owner: Some(Text::of("user:owner")),
        publisher: Some(Text::of("Example Support GmbH")),
        version: Some(Text::of("2.4.1")),
        artifact: Some(sha256(b"artifact").to_string()),
    }
}

fn client_card() -> ClientCard {
    ClientCard {
        name: Text::of("MCP Inspector"),
        id: Text::of("https://inspector.example/client.json"),
        returns_to: Text::of("127.0.0.1:53112"),
        is_local: true,
    }
}

fn consent(
    statement: &Statement,
    signing: Signing,
    is_narrowed: bool,
    client: ClientCard,
) -> String {
    let workflow = workflow();
    let beside = Beside {
        frame: frame(None),
        path: "/consent/X".into(),
        client,
        agent: agent_card(),
        catalogue: Some(&workflow.catalogue),
        signing,
        is_narrowed,
        notice: None,
    };
    ConsentPage::of(statement, beside).unwrap().render().unwrap()
}

fn grant(n: u8, purpose: Option<&str>, standing: Standing) -> GrantLine {
    GrantLine {
        id: GrantId::mint(at(0), [n; 10]).to_string(),
        agent: Text::of("agent:support-runner"),
        purpose: purpose.map(Text::of),
        workflow: Text::of("support-tickets"),
        until: moment(2700 + i64::from(n) * 600),
        standing,
    }
}

fn entry(index: u64, what: &str, about: Option<&str>, decided: Option<(&str, &str)>) -> EntryLine {
    EntryLine {
        index,
        id: GrantId::mint(at(0), [9; 10]).to_string(),
        time: moment(-60 * i64::try_from(index).unwrap()),
        what: what.into(),
        kind: "action.decided".into(),
        agent: Some(Text::of("agent:support-runner")),
        about: about.map(Text::of),
        decision: decided.map(|(d, _)| d.to_owned()),
        reason: decided.map(|(_, r)| Text::of(r)).filter(|r| !r.is_empty()),
    }
}

fn entries() -> Vec<EntryLine> {
    vec![
        entry(
            57,
            "Call decided",
            Some("mcp:support-desk:tools/refund_order"),
            Some(("deny", "scope-argument")),
        ),
        entry(56, "Call completed", Some("mcp:support-desk:tools/get_ticket"), None),
        entry(55, "Call decided", Some("mcp:support-desk:tools/get_ticket"), Some(("allow", ""))),
        entry(
            54,
            "Call decided",
            Some("mcp:support-desk:tools/add_note"),
            Some(("approval_required", "risk")),
        ),
        entry(53, "Delegation issued", None, None),
        entry(52, "Grant recorded", None, None),
    ]
}

fn agent(name: &str, status: Status, instances: usize) -> AgentLine {
    AgentLine {
        id: Text::of(name),
        path: format!("/agents/{name}"),
        owner: Some(Text::of("user:owner")),
        status,
        revoked: false,
        stopped: false,
        publisher: Some(Text::of("Example Support GmbH")),
        version: Some(Text::of("2.4.1")),
        instances,
    }
}

fn passkey() -> Signing {
    Signing::Passkey { credentials: "QUFB".into(), relying_party: "localhost".into() }
}

fn render(name: &str) -> Option<String> {
    let html = match name {
        "login" | "login-notice" => LoginPage {
            frame: nobody(),
            next: "/".into(),
            providers: vec![Provider { name: Text::of("Example SSO"), path: "/login/sso".into() }],
            notice: (name == "login-notice").then(|| {
                "You were signed out because nothing happened for a while.".to_owned()
            }),
        }
        .render(),
        "enrol" => EnrolPage {
            frame: nobody(),
            principal: Text::of("user:142"),
            until: moment(86_400),
        }
        .render(),
        "home" => OverviewPage {
            frame: frame(Some(Section::Home)),
            health: Vec::new(),
            todo: Vec::new(),
            activity: None,
            figures: Vec::new(),
            grants: vec![
                grant(1, Some("Resolve ticket 8821: the parcel arrived broken"), Standing::Active),
                grant(2, Some("Weekly report"), Standing::Waiting),
            ],
            entries: entries(),
            endpoint: "https://bailiwick.example/mcp/support-desk".into(),
            is_new: false,
        }
        .render(),
        "home-empty" => OverviewPage {
            frame: frame(Some(Section::Home)),
            health: Vec::new(),
            todo: Vec::new(),
            activity: None,
            figures: Vec::new(),
            grants: Vec::new(),
            entries: Vec::new(),
            endpoint: "https://bailiwick.example/mcp/NAME".into(),
            is_new: true,
        }
        .render(),
        "consent" | "consent-narrowed" | "consent-again" => {
            let requested = ["ticket:8821", "ticket:8821:note", "orders:read", "refund:17"];
            let requested = if name == "consent" { &requested[..] } else { &requested[..2] };
            let statement =
                statement(requested, "Resolve ticket 8821: the parcel arrived broken");
            let signing = match name {
                "consent-again" => Signing::SignInAgain { path: "/login".into() },
                _ => passkey(),
            };
            return Some(consent(&statement, signing, name == "consent-narrowed", client_card()));
        }
        "consent-hostile" => {
            let long = "very-long-purpose-without-any-break-".repeat(12);
            let purpose = format!("\u{202e}{long} <script>alert(1)</script>\u{200b}");
            let client = ClientCard {
                name: Text::of("Bailiwick\u{202e} <b>official</b> ".repeat(6)),
                id: Text::of(format!("https://{}.example/client.json", "a".repeat(180))),
                returns_to: Text::of("client.example"),
                is_local: false,
            };
            let statement = statement(&["ticket:8821", "policies:read"], &purpose);
            return Some(consent(&statement, Signing::Impossible, false, client));
        }
        "choose" | "choose-empty" => ChooseTaskPage {
            frame: frame(None),
            path: "/consent/X".into(),
            client: client_card(),
            agent: agent_card(),
            scope: Text::of("ticket:8821 orders:read"),
            workflows: if name == "choose" {
                vec![WorkflowChoice::of(&workflow(), true), WorkflowChoice::of(&workflow(), false)]
            } else {
                Vec::new()
            },
            purpose: Text::default(),
            notice: (name == "choose").then(|| "Say what it is for.".to_owned()),
        }
        .render(),
        "grants" => GrantsPage {
            frame: frame(Some(Section::Grants)),
            open: vec![
                grant(1, Some("Resolve ticket 8821: the parcel arrived broken"), Standing::Active),
                grant(2, Some("Weekly report"), Standing::Waiting),
            ],
            closed: vec![
                grant(3, None, Standing::Ended),
                grant(4, Some("Look up the orders of customer 12"), Standing::Revoked),
            ],
        }
        .render(),
        "grants-empty" => GrantsPage {
            frame: frame(Some(Section::Grants)),
            open: Vec::new(),
            closed: Vec::new(),
        }
        .render(),
        "grant" => {
            let statement = statement(&["ticket:8821", "refund:17"], "x");
            let workflow = workflow();
            GrantPage {
                has_older: false,
                frame: frame(Some(Section::Grants)),
                grant: grant(1, Some("Resolve ticket 8821: the parcel arrived broken"), Standing::Active),
                task: Text::of(statement.task.as_str()),
                from: moment(0),
                digest: statement.digest().to_string(),
                requested: statement.requested.iter().map(Text::of).collect(),
                tools: ToolCard::list(&statement.tools, Some(&workflow.catalogue)).unwrap(),
                limits: Limit::list(&statement.budget),
                roots: vec![RootLine {
                    hash: sha256(b"root").to_string(),
                    issued: moment(10),
                    until: moment(910),
                    standing: Standing::Active,
                }],
                signed: "by your passkey “Work laptop”".into(),
                stops: vec![("Stop the task", "/stop?target=everything".into())],
            }
            .render()
        }
        "agents" => AgentsPage {
            next: None,
            frame: frame(Some(Section::Agents)),
            agents: vec![
                agent("agent:order-reader", Status::Active, 1),
                agent("agent:night-shift", Status::Suspended, 3),
                agent("agent:support-runner", Status::Active, 2),
                agent("agent:old-runner", Status::Retired, 0),
            ],
            own_only: false,
        }
        .render(),
        "agents-empty" => AgentsPage {
            next: None,
            frame: frame(Some(Section::Agents)),
            agents: Vec::new(),
            own_only: true,
        }
        .render(),
        "agent" => AgentPage {
            frame: frame(Some(Section::Agents)),
            agent: agent("agent:support-runner", Status::Active, 1),
            spiffe_id: Text::of("spiffe://bailiwick.example/agent/support-runner"),
            artifact: Some(sha256(b"artifact").to_string()),
            instances: vec![InstanceLine {
                id: TaskId::mint(at(0), [2; 10]).to_string(),
                holder: sha256(b"k").to_string(),
                status: Status::Active,
            }],
            can_stop: true,
            can_pause: true,
            can_retire: true,
        }
        .render(),
        "clients" => ClientsPage {
            next: None,
            endpoint: "https://bailiwick.example/mcp/NAME".into(),
            frame: frame(Some(Section::Clients)),
            clients: vec![
                ClientLine {
                    id: Text::of("https://inspector.example/client.json"),
                    name: Text::of("MCP Inspector"),
                    origin: Text::of("metadata document at inspector.example"),
                    redirects: vec![Text::of("http://127.0.0.1/callback")],
                    since: Some(moment(-4000)),
                    agent: None,
                    command: Text::of("bailiwick client map https://inspector.example/client.json --agent agent:NAME"),
                },
                ClientLine {
                    id: Text::of("client-0192f3"),
                    name: Text::of("Support desk assistant"),
                    origin: Text::of("registered"),
                    redirects: vec![Text::of("https://desk.example/callback")],
                    since: Some(moment(-900_000)),
                    agent: Some(Text::of("agent:support-runner")),
                    command: Text::default(),
                },
            ],
        }
        .render(),
        "clients-empty" => ClientsPage {
            next: None,
            endpoint: "https://bailiwick.example/mcp/NAME".into(),
            frame: frame(Some(Section::Clients)),
            clients: Vec::new(),
        }
        .render(),
        "activity" | "activity-empty" => ActivityPage {
            frame: frame(Some(Section::Activity)),
            entries: if name == "activity" { entries() } else { Vec::new() },
            filter: ActivityFilter {
                decision: Text::of(if name == "activity" { "" } else { "deny" }),
                ..ActivityFilter::default()
            },
            kinds: Kind::ALL.iter().map(|k| k.as_str()).collect(),
            older: Some("/activity?before=52".into()),
            own_only: false,
            mark: "57".into(),
            live: None,
        }
        .render(),
        "entry" => EntryPage {
            frame: frame(Some(Section::Activity)),
            entry: entries().remove(0),
            subjects: vec![
                ("Agent", Text::of("agent:support-runner")),
                ("Tool", Text::of("mcp:support-desk:tools/refund_order")),
                ("Decision", Text::of(sha256(b"d").to_string())),
            ],
            made: Vec::new(),
            body: Vec::new(),
            commitments: Vec::new(),
            explained: None,
            leaf_hash: sha256(b"leaf").to_string(),
            leaf: Text::of("{\"v\": 1, \"kind\": \"action.decided\"}"),
        }
        .render(),
        "account" => PasskeysPage {
            frame: frame(Some(Section::Account)),
            passkeys: vec![
                PasskeyLine {
                    id: "a".into(),
                    label: Text::of("Work laptop"),
                    added: moment(-900_000),
                    used: Some(moment(-60)),
                },
                PasskeyLine {
                    id: "b".into(),
                    label: Text::of("Security key, blue"),
                    added: moment(-800_000),
                    used: None,
                },
            ],
            logins: vec![LoginLine {
                provider: Text::of("Acme"),
                subject: Text::of("00u142"),
                added: moment(-700_000),
            }],
            providers: vec![Provider {
                name: Text::of("Example Login"),
                path: "/account/logins/example".into(),
            }],
            entries: people::history(),
        }
        .render(),
        "confirm" => ConfirmPage {
            frame: frame(Some(Section::Grants)),
            title: "Take this grant back?".into(),
            what: Text::of("Resolve ticket 8821: the parcel arrived broken"),
            consequences: vec![
                "agent:support-runner may no longer act for you on this task.".into(),
                "Calls under way are cut off, and everything passed on to other agents ends too.".into(),
            ],
            action: "/grants/x/revoke".into(),
            button: "Take it back".into(),
            back: "/grants/x".into(),
            is_final: true,
        }
        .render(),
        "error" => ErrorPage {
            frame: frame(None),
            status: 403,
            title: "This client is not known to act as an agent".into(),
            message: Text::of("MCP Inspector (inspector.example) is not mapped to a registered agent, so it gets nothing."),
            remedy: Text::of("ask an operator to run this, then start again from the client"),
            command: Some(Text::of("bailiwick client map https://inspector.example/client.json --agent agent:NAME")),
            code: "client-unmapped".into(),
            logged: Some(TaskId::mint(at(0), [2; 10]).to_string()),
        }
        .render(),
        "leave" => LeavePage {
            frame: frame(None),
            title: "You refused".into(),
            client: Text::of("MCP Inspector"),
            host: Text::of("127.0.0.1:53112"),
            url: "/".into(),
        }
        .render(),
        other => return people::page(other),
    };
    Some(html.unwrap())
}
