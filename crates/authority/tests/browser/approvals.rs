//! A waiting call on the page where its approver decides.

use bailiwick_authority::rules::approvals::question;
use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_authority::{relying_party, spoken, suggestion};
use bailiwick_core::approval::Verdict;
use bailiwick_core::crypto::{base64url, sha256};
use bailiwick_core::ids::{
    AgentId, Alias, ApprovalId, EntryId, InstanceId, ServerName, ToolId, WorkflowId,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::approvers::{Approvals, Held};
use bailiwick_policy::catalogue::DefinitionKind;
use bailiwick_policy::grades::Risk;
use bailiwick_store::{Approval, ApprovalState, IdentityMode, Row, StoreError};
use bailiwick_testkit::browser::Browser;

use crate::consent::enrol;
use crate::site::{Site, key, principal};

const TOOL: &str = "mcp:support-desk:tools/refund_order";

pub(crate) fn random() -> [u8; 10] {
    let mut out = [0; 10];
    aws_lc_rs::rand::fill(&mut out).unwrap();
    out
}

/// What a gateway writes when a call has to wait.
pub(crate) fn waits(authority: &bailiwick_authority::Authority, note: &str) -> ApprovalId {
    let now = crate::site::now();
    let store = authority.store();
    let alias = |name: &str| authority.principal(&principal(name)).unwrap().row.alias;
    let workflow = WorkflowId::parse("support-tickets").unwrap();
    let version = store.read(|view| view.workflow(&workflow)).unwrap().unwrap().row.digest;
    let task = authority
        .task_new(
            &principal("user:142"),
            &AgentId::parse("agent:support-runner").unwrap(),
            &workflow,
            "Resolve ticket 8821: the parcel arrived broken",
        )
        .unwrap();
    let (id, tool) = (ApprovalId::mint(now, random()), ToolId::parse(TOOL).unwrap());
    let arguments = Object::new().with("order_id", 17u64).with("reason", note);
    let action: Json = Object::new()
        .with("v", 1u64)
        .with("salt", base64url(&[7; 32]))
        .with("tool", &tool)
        .with("arguments", arguments)
        .into();
    let approval = Approval {
        id: id.clone(),
        state: ApprovalState::Pending,
        action: sha256(action.canonical().as_bytes()),
        policy: sha256(b"policy"),
        rule: "policy:refunds".into(),
        risk: "high".into(),
        server: tool.server().parse().unwrap(),
        tool: tool.clone(),
        principal: alias("user:142"),
        agent: AgentId::parse("agent:support-runner").unwrap(),
        instance: Some(InstanceId::mint(now, random())),
        workflow,
        workflow_digest: version,
        task: task.id.clone(),
        root: sha256(b"root"),
        leaf: sha256(b"leaf"),
        needed: 1,
        asked: now,
        expires: Timestamp::from_seconds(now.seconds() + 900),
        settled: None,
    };
    let event = Event {
        id: EntryId::mint(now, random()),
        org: authority.installation().org.clone(),
        time: now,
        kind: Kind::ActionDecided,
        subjects: Subjects { decision: Some("approval_required".into()), ..Subjects::default() },
        body: Object::new(),
        disclosures: vec![("action".into(), Disclosure { salt: [1; 32], value: action })],
    };
    let maker = authority.installation().makers[1].id.clone();
    let row = Row::Approval(Box::new(approval));
    store
        .write(move |tx| -> Result<(), StoreError> {
            tx.record(&maker, &*key(3), event, &row).map(drop)
        })
        .wait()
        .unwrap();
    id
}

pub(crate) fn state(authority: &bailiwick_authority::Authority, id: &ApprovalId) -> Approval {
    authority.store().read(|view| view.approval(id)).unwrap().unwrap().row
}

/// Whether what was signed on the page lets exactly this question pass.
pub(crate) fn settles(authority: &bailiwick_authority::Authority, id: &ApprovalId) -> bool {
    let row = state(authority, id);
    let said = authority.store().read(|view| spoken(view, id, crate::site::now())).unwrap();
    let party = relying_party(&authority.installation().issuer);
    let voices: Vec<_> = said.iter().map(|spoken| spoken.voice(party.as_ref())).collect();
    let (person, owner) = (principal("user:142"), principal("user:owner"));
    let held =
        Held { principal: &person, workflow_owner: &owner, tool_owner: &owner, risk: Risk::High };
    let settled = Approvals::default().settle(&question(&row), &held, &voices, crate::site::now());
    settled.is_ok_and(|approved| {
        approved.question().digest(Verdict::Approve) == question(&row).digest(Verdict::Approve)
    })
}

/// The page by day and by night, wide and on a phone.
async fn pictures(browser: &Browser, name: &str) {
    for (more, width, is_dark) in
        [("-dark", 1280, true), ("-phone", 390, false), ("-phone-dark", 390, true)]
    {
        browser.show_as(width, is_dark).await;
        browser.picture(&format!("{name}{more}")).await;
    }
    browser.show_as(1280, false).await;
    browser.picture(name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_signs_what_the_page_shows_and_a_denial_is_none() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    browser.open(&format!("{}/approvals", site.url)).await;
    assert!(browser.text("main").await.contains("No call waits"));
    browser.picture("approvals-empty").await;

    let hostile = "lost\u{202e}drawot \u{1b}[31m<b>not bold</b>";
    let id = site.ask(move |a| waits(a, hostile)).await;
    // The inbox changes by itself.
    browser.text("main .rows .badge.warn").await;
    pictures(&browser, "approvals").await;
    browser.click("main .rows a").await;
    browser.arrive(&format!("/approvals/{id}")).await;
    let page = browser.text("main").await;
    for shown in
        ["agent:support-runner", TOOL, "user:142", "the parcel arrived broken", "policy:refunds"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // What is hidden is written out, and nothing of it is markup.
    assert!(page.contains("\\u{202e}") && page.contains("<b>not bold</b>"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
    pictures(&browser, "approval").await;

    // An authenticator that does not know its person signs nothing.
    browser.verify_person(false).await;
    browser.click("[data-verdict=approve] button").await;
    browser.text("[data-problem]:not([hidden])").await;
    browser.verify_person(true).await;
    browser.fill("#note", "the photo shows it").await;
    browser.click("[data-verdict=approve] button").await;
    browser.text("main .badge.good").await;
    browser.picture("approval-approved").await;
    let of = id.clone();
    assert!(site.ask(move |a| settles(a, &of)).await);
    let of = id.clone();
    assert_eq!(site.ask(move |a| state(a, &of)).await.state, ApprovalState::Approved);

    // A denial is signed as well, and settles nothing but the denial.
    let second = site.ask(|a| waits(a, "again")).await;
    browser.open(&format!("{}/approvals/{second}", site.url)).await;
    browser.click("[data-verdict=deny] button").await;
    browser.text("[role=status] .badge.bad").await;
    let of = second.clone();
    assert!(!site.ask(move |a| settles(a, &of)).await);
    let of = second.clone();
    assert_eq!(site.ask(move |a| state(a, &of)).await.state, ApprovalState::Denied);
    browser.picture("approvals-settled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_decide_sees_no_button_and_strangers_nothing() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:142").await;
    let id = site.ask(|a| waits(a, "broken")).await;
    // The agent acts for them, so they see it; the workflow does not name them.
    browser.open(&format!("{}/approvals/{id}", site.url)).await;
    assert!(browser.text("main").await.contains("does not name you"));
    assert_eq!(browser.count("[data-decide]").await, 0);
    browser.client.delete_all_cookies().await.unwrap();
    enrol(&browser, &site, "user:owner").await;
    // A second person's passkey is new: it counts tomorrow.
    browser.open(&format!("{}/approvals/{id}", site.url)).await;
    assert!(browser.text("main").await.contains("counts after a while"));
    assert_eq!(browser.count("[data-decide]").await, 0);
    let alias: Alias = site.ask(|a| a.principal(&principal("user:owner")).unwrap().row.alias).await;
    assert!(!alias.as_str().is_empty());
}

/// The tool as it was accepted, so that something else can be suggested.
fn pins(authority: &bailiwick_authority::Authority) {
    let name = ServerName::parse("support-desk").unwrap();
    authority
        .tool_server_add(NewServer {
            name: name.clone(),
            url: "http://127.0.0.1:1/mcp".into(),
            credential: None,
            identity_mode: IdentityMode::Shared,
            replace: false,
        })
        .unwrap();
    let listing = r#"{"tools":[{"name":"refund_order","inputSchema":{"type":"object","properties":{
        "order_id":{"type":"integer"},"reason":{"type":"string"},"amount":{"type":"integer"}}}}]}"#;
    let listing = Json::parse(listing.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    authority.pin(&name, DefinitionKind::Tool, &listing, &[]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tighter_call_is_suggested_and_a_delegation_taken_back_with_a_no() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    site.ask(pins).await;
    let id = site.ask(|a| waits(a, "lost\u{202e}parcel")).await;
    browser.open(&format!("{}/approvals/{id}", site.url)).await;
    let page = browser.text("main").await;
    for shown in ["costly, or hard to undo", "left", "Deny and take the delegation back"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    browser.picture("approval-narrow").await;
    browser.click("details.narrowing summary").await;
    // What is hidden is written out here as well, and is still JSON.
    browser.fill("#suggestion", "not json").await;
    browser.click("details.narrowing button").await;
    assert!(browser.text("[data-problem]:not([hidden])").await.contains("not JSON"));
    browser.fill("#suggestion", r#"{"order_id": 17, "reason": "half", "amount": 20}"#).await;
    browser.picture("approval-suggesting").await;
    browser.click("details.narrowing button").await;
    browser.text("[role=status] .badge.bad").await;
    let page = browser.text("main").await;
    assert!(page.contains(r#"suggests {"amount":20,"order_id":17,"reason":"half"}"#), "{page}");
    let of = id.clone();
    let told = site.ask(move |a| a.store().read(|view| suggestion(view, &of)).unwrap()).await;
    let told = Json::from(told.unwrap()).canonical();
    assert_eq!(told, r#"{"amount":20,"order_id":17,"reason":"half"}"#);

    // The fixture's root was never issued: then nothing is denied either.
    let second = site.ask(|a| waits(a, "again")).await;
    browser.open(&format!("{}/approvals/{second}/revoke", site.url)).await;
    browser.picture("approval-revoke").await;
    browser.click("[data-revokes] button").await;
    browser.text("[data-problem]:not([hidden])").await;
    let of = second.clone();
    assert_eq!(site.ask(move |a| state(a, &of)).await.state, ApprovalState::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_searched_and_follows_by_itself() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    enrol(&browser, &site, "user:owner").await;
    for n in 0..52 {
        site.ask(move |a| waits(a, &format!("parcel {n}"))).await;
    }
    browser.open(&format!("{}/approvals", site.url)).await;
    assert_eq!(browser.count("main section[aria-labelledby=waiting] .rows > li").await, 50);
    browser.picture("approvals-many").await;
    browser.click(".more a").await;
    browser.arrive("/approvals?after=").await;
    assert_eq!(browser.count("main .rows > li").await, 2);
    browser.open(&format!("{}/approvals?search=refund&risk=low", site.url)).await;
    assert!(browser.text("main").await.contains("Nothing fits"));
    browser.open(&format!("{}/approvals?search=REFUND+user:142", site.url)).await;
    assert_eq!(browser.count("main .rows > li").await, 50);
    browser.picture("approvals-searched").await;
}
