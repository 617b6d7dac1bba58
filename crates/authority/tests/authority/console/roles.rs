//! Who may open and change what: every route of the console held against every
//! role. The table is the one of the documentation; a route that is not in it
//! fails the test.

use bailiwick_authority::http::console::routes;
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::Secret;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{ActionId, ServerName, StopId};
use bailiwick_core::stop::StopTarget;
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_store::{IdentityMode, Place};

use super::Served;
use crate::handoffs::Desk;
use crate::requests::asker;
use crate::support::{json, principal};

const REFUND: &str = "mcp:support-desk:tools/refund_order";

/// What is to be seen, all of it somebody else's.
struct Things {
    grant: String,
    root: String,
    task: String,
    request: String,
    approval: String,
    handoff: String,
    stop: String,
    person: String,
    action: String,
    bundle: String,
    run: String,
    failure: String,
    workflow: String,
}

/// People with one role each, and one without any, in the order of the columns.
const PEOPLE: [(&str, Option<Role>); 6] = [
    ("user:nobody", None),
    ("user:an-owner", Some(Role::Owner)),
    ("user:an-operator", Some(Role::Operator)),
    ("user:an-approver", Some(Role::Approver)),
    ("user:an-auditor", Some(Role::Auditor)),
    ("user:a-developer", Some(Role::Developer)),
];

fn set_up() -> (Served, Things) {
    let desk = Desk::new();
    let a = &desk.world.authority;
    for (name, role) in PEOPLE {
        a.principal_add(&principal(name), None).unwrap();
        if let Some(role) = role {
            a.role_change(&principal(name), role, true).unwrap();
        }
    }
    let handoff = super::peers::turned_down(&desk).to_string();
    let issued = crate::requests::issued(&desk.world, 60);
    let wanted = bailiwick_authority::rules::requests::Wanted {
        scope: vec!["orders:read".to_owned()],
        reason: "it is linked".to_owned(),
        seconds: None,
    };
    let request = a.request_authority(&asker(&desk.world, &issued), &wanted).unwrap().request;
    let server = ServerName::parse("desk").unwrap();
    a.tool_server_add(NewServer {
        name: server.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: None,
        identity_mode: IdentityMode::Shared,
        replace: false,
    })
    .unwrap();
    let listing = r#"{"tools":[{"name":"get","description":"Reads.","inputSchema":{}}]}"#;
    a.pin(&server, DefinitionKind::Tool, &json(listing), &[]).unwrap();
    let target = StopTarget::Agent(crate::support::agent("agent:order-reader"));
    let stop = a.stop(&target, "it reports nonsense").unwrap().stop;
    let (_, run) = super::runs::played(&desk.world);
    while a.failures_look().unwrap() {}
    let filter = bailiwick_store::FailureFilter { limit: 1, ..Default::default() };
    let failure = a.failures(None, &filter).unwrap().failures[0].failure.row.id.to_string();
    let support = bailiwick_core::ids::WorkflowId::parse("support-tickets").unwrap();
    let (_, workflow) = a.workflow(&support).unwrap();
    let things = Things {
        run: run.to_string(),
        failure,
        workflow: workflow.digest().to_string(),
        grant: issued.grant.to_string(),
        root: issued.root.to_string(),
        task: issued.task.to_string(),
        request: request.to_string(),
        approval: crate::api::inbox::waits(&desk.world, 77, "user:142", REFUND, "high"),
        handoff,
        stop: stop.to_string(),
        person: a.principal(&principal("user:142")).unwrap().row.alias.to_string(),
        action: super::decided(&desk.world, "user:142", "deny"),
        bundle: a
            .store()
            .read(|v| v.policy(Place::Enforced))
            .unwrap()
            .unwrap()
            .digest
            .unwrap()
            .to_string(),
    };
    (Served::of(desk.world, tokio::runtime::Runtime::new().unwrap(), Vec::new()), things)
}

/// The address that stands for a route. `None`: the route is not in the matrix.
fn address(path: &str, t: &Things) -> Option<String> {
    let of = |text: &str| Some(text.to_owned());
    let unknown = sha256(b"unknown").to_string();
    let now = bailiwick_core::time::Timestamp::from_seconds(1_800_000_000);
    let (stop, action) = (StopId::mint(now, [9; 10]), ActionId::mint(now, [9; 10]));
    match path {
        "/stop" => of("/stop?target=agent:support-runner"),
        "/catalogue/tool" => of("/catalogue/tool?id=mcp%3Adesk%3Atools%2Fget"),
        "/approvals/batch" => Some(format!("/approvals/batch?id={}", t.approval)),
        "/policy/replay" => Some(format!("/policy/replay?bundle={}&last=5", t.bundle)),
        "/policy/explain/{action}" => Some(format!("/policy/explain/{}", t.action)),
        "/authorize" => of("/authorize?client_id=nobody"),
        "/activity/{index}" | "/activity/{index}/proof" => Some(path.replace("{index}", "0")),
        "/static/{name}" => of("/static/console.css"),
        "/grants/{id}" | "/grants/{id}/revoke" => Some(path.replace("{id}", &t.grant)),
        "/delegations/{root}/revoke" => Some(path.replace("{root}", &t.root)),
        "/tasks/{id}" => Some(path.replace("{id}", &t.task)),
        "/handoffs/{id}" => Some(path.replace("{id}", &t.handoff)),
        "/agents/{id}" => of("/agents/agent:support-runner"),
        "/workflows/{id}/changes" => {
            let of = &t.workflow;
            Some(format!("/workflows/support-tickets/changes?from={of}&to={of}"))
        }
        "/runs/{id}/report" => Some(format!("/runs/{}/report?format=json", t.run)),
        _ if path.starts_with("/workflows/{id}") => Some(path.replace("{id}", "support-tickets")),
        _ if path.starts_with("/runs/{id}") => Some(path.replace("{id}", &t.run)),
        _ if path.starts_with("/failures/{id}") => Some(path.replace("{id}", &t.failure)),
        "/agents/{id}/{verb}" => of("/agents/agent:support-runner/suspend"),
        "/people/{alias}/{verb}" => Some(format!("/people/{}/suspend", t.person)),
        "/stops/{id}" => Some(path.replace("{id}", &t.stop)),
        "/stops/{id}/resume" => Some(path.replace("{id}", &stop.to_string())),
        _ if path.starts_with("/people/{alias}") => Some(path.replace("{alias}", &t.person)),
        _ if path.starts_with("/requests/{id}") => Some(path.replace("{id}", &t.request)),
        _ if path.starts_with("/approvals/{id}") => Some(path.replace("{id}", &t.approval)),
        // One that is not there: whose it is, is tested where standing approvals are.
        _ if path.starts_with("/standing-approvals/") => {
            Some(path.replace("{id}", &action.to_string()))
        }
        _ if path.starts_with("/enrol/") || path.starts_with("/consent/") => {
            Some(path.replace("{secret}", &unknown).replace("{name}", "nobody"))
        }
        _ if path.starts_with("/login/") || path.starts_with("/account") => Some(
            path.replace("{name}", "nobody").replace("{server}", "desk").replace("{id}", "QUFB"),
        ),
        _ if path.contains('{') => None,
        _ => of(path),
    }
}

/// What each gets: the signed-out, then [`PEOPLE`]. `y` is the page, `n` a refusal
/// by role or person, `-` nothing there, `>` another page, `g` over, `b` a request
/// that is not understood.
const PAGES: &[(&str, &str)] = &[
    ("/login/provider/{name}", "-------"),
    ("/login/callback", "nnnnnnn"),
    ("/accounts/{server}/connect", ">------"),
    ("/accounts/{server}/callback", ">nnnnnn"),
    ("/", ">yyyyyy"),
    ("/login", "yyyyyyy"),
    ("/login/program", ">bbbbbb"),
    ("/enrol/{secret}", "ggggggg"),
    ("/account", ">yyyyyy"),
    ("/account/logins/{name}", ">------"),
    ("/account/passkeys/{id}/remove", ">------"),
    ("/accounts", ">yyyyyy"),
    ("/accounts/{server}/disconnect", ">------"),
    ("/authorize", "nnnnnnn"),
    ("/consent/{secret}", ">gggggg"),
    ("/consent/{secret}/provider/{name}", ">gggggg"),
    ("/approvals", ">yyyyyy"),
    ("/approvals/mark", ">yyyyyy"),
    ("/approvals/batch", ">-yyyy-"),
    ("/approvals/{id}", ">-yyyy-"),
    ("/approvals/{id}/mark", ">-yyyy-"),
    ("/approvals/{id}/revoke", ">-yynn-"),
    ("/approvals/{id}/standing", ">-yyyy-"),
    ("/standing-approvals/{id}", ">------"),
    ("/standing-approvals/{id}/revoke", ">------"),
    ("/requests", ">yyyyyy"),
    ("/requests/mark", ">yyyyyy"),
    ("/requests/{id}", ">-yy-y-"),
    ("/stop", ">-yyy--"),
    ("/stops", ">yyyyyy"),
    ("/stops/{id}", ">-yyyy-"),
    ("/grants", ">yyyyyy"),
    ("/grants/{id}", ">-yy-y-"),
    ("/grants/{id}/revoke", ">-yy---"),
    ("/delegations/{root}/revoke", ">-yy---"),
    ("/workflows", ">yyyyyy"),
    ("/workflows/{id}", ">-yyyyy"),
    ("/workflows/{id}/changes", ">-yyyyy"),
    ("/runs", ">yyyyyy"),
    ("/runs/{id}", ">-yyyyy"),
    ("/runs/{id}/report", ">-bbbb-"),
    ("/failures", ">nyynyy"),
    ("/failures/{id}", ">-yy-yy"),
    ("/figures", ">nyynyy"),
    ("/figures/compare", ">nyynyy"),
    ("/agents", ">yyyyyy"),
    ("/agents/{id}", ">-yyyyy"),
    ("/agents/{id}/{verb}", ">nyynnn"),
    ("/peers", ">-yy-y-"),
    ("/handoffs/{id}", ">-yy-y-"),
    ("/tasks/{id}", ">-yy-y-"),
    ("/catalogue", ">nyyyyy"),
    ("/catalogue/tool", ">nyyyyy"),
    ("/people", ">nynnnn"),
    ("/people/{alias}", ">nynnnn"),
    ("/people/{alias}/offboard", ">nynnnn"),
    ("/people/{alias}/link", ">nynnnn"),
    ("/people/{alias}/{verb}", ">nynnnn"),
    ("/clients", ">nyynyy"),
    ("/activity", ">yyyyyy"),
    ("/activity/mark", ">yyyyyy"),
    ("/activity/{index}", ">-yy-y-"),
    ("/ledger", ">nyynyn"),
    ("/activity/{index}/proof", ">-yy-y-"),
    ("/policy", ">nyyyyy"),
    ("/policy/explain/{action}", ">nyy-y-"),
    ("/policy/replay", ">nyynyn"),
    ("/settings", ">nyynyy"),
    ("/static/{name}", "yyyyyyy"),
];

fn letter(status: u16) -> char {
    match status {
        200 => 'y',
        403 => 'n',
        404 => '-',
        303 => '>',
        410 => 'g',
        400 | 422 => 'b',
        _ => '?',
    }
}

#[test]
fn every_page_opens_for_the_roles_of_the_matrix_and_no_other() {
    let (served, things) = set_up();
    let people: Vec<Secret> = PEOPLE.iter().map(|(name, _)| served.sign_in(name)).collect();
    let mut wrong = Vec::new();
    let pages = routes().filter(|route| route.methods.contains(&"get"));
    for route in pages.clone() {
        let address = address(route.path, &things);
        let address = address.unwrap_or_else(|| panic!("{} is not in the matrix", route.path));
        let mut seen = String::new();
        for me in std::iter::once(None).chain(people.iter().map(Some)) {
            seen.push(letter(served.get(&address, me).status));
        }
        let expected = PAGES.iter().find(|(path, _)| *path == route.path);
        if expected.map(|(_, letters)| *letters) != Some(seen.as_str()) {
            wrong.push(format!("    (\"{}\", \"{seen}\"),", route.path));
        }
    }
    assert!(wrong.is_empty(), "not as the matrix says:\n{}", wrong.join("\n"));
    assert_eq!(PAGES.len(), pages.count(), "the matrix has pages that are not there");
}

/// Forms that are a person's own business, whatever their role.
const OWN: [&str; 2] = ["/logout", "/account/sign-out-everywhere"];

#[test]
fn an_auditor_and_a_developer_change_nothing() {
    let (served, things) = set_up();
    let fields = |path: &str| -> Vec<(&'static str, String)> {
        let text = |text: &str| text.to_owned();
        let digest = served.world.authority.catalogued().unwrap()[0].digest().unwrap();
        match path {
            "/catalogue/accept" | "/catalogue/quarantine" => {
                vec![("tool", text("mcp:desk:tools/get")), ("digest", digest.to_string())]
            }
            "/stop" => vec![("target", text("everything")), ("reason", text("for the test"))],
            "/people/{alias}/offboard" => vec![("reason", text("for the test"))],
            "/requests/{id}/grant" => vec![("scope", text("orders:read")), ("minutes", text("5"))],
            _ => Vec::new(),
        }
    };
    for name in ["user:an-auditor", "user:a-developer"] {
        let me = served.sign_in(name);
        for route in routes().filter(|route| route.methods.contains(&"post")) {
            if OWN.contains(&route.path) {
                continue;
            }
            let address = address(route.path, &things);
            let address = address.unwrap_or_else(|| panic!("{} is not in the matrix", route.path));
            let before = served.world.kinds().len();
            let fields = fields(route.path);
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let form = served.post(&address, &me, &fields).status;
            let script = served.script(&address, Some(&me), "{}").status;
            // To begin a login, or to add a passkey of one's own, changes no record.
            let begins = route.path.ends_with("/begin") && script == 200;
            assert!((400..500).contains(&form), "{name}: {form} for {address}");
            assert!(begins || (400..500).contains(&script), "{name}: {script} for {address}");
            // That somebody looked at a text is recorded; nothing else may be.
            let written = served.world.kinds().split_off(before);
            let reads = written.iter().all(|kind| kind == "plaintext.read");
            assert!(reads, "{name}: {address} wrote {written:?}");
        }
    }
}

#[test]
fn what_needs_a_role_is_refused_as_that_and_not_by_accident() {
    let (served, things) = set_up();
    let auditor = served.sign_in("user:an-auditor");
    let digest = served.world.authority.catalogued().unwrap()[0].digest().unwrap().to_string();
    let person = format!("/people/{}", things.person);
    let suspend = format!("{person}/suspend");
    let link = format!("{person}/link");
    let tool = ("tool", "mcp:desk:tools/get");
    for (path, fields) in [
        ("/catalogue/accept", vec![tool, ("digest", digest.as_str())]),
        ("/catalogue/quarantine", vec![tool]),
        ("/agents/agent:support-runner/suspend", vec![]),
        ("/agents/agent:support-runner/retire", vec![]),
        ("/stop", vec![("target", "everything"), ("reason", "for the test")]),
        (suspend.as_str(), vec![]),
        (link.as_str(), vec![]),
    ] {
        let answer = served.post(path, &auditor, &fields);
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
        assert!(
            answer.body.contains("role-missing") || answer.body.contains("not-yours"),
            "{path}"
        );
    }
}
