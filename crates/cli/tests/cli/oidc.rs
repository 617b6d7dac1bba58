//! People who log in at an identity provider that others wrote: npm's
//! `oidc-provider`, in a process of its own. Wiring: the binary serving, the
//! provider, the support desk, npm's MCP client, headless Chromium.

use std::process::Command;

use bailiwick_testkit::World;
use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::world::{free_port, private};
use serde_json::Value;

use crate::EXE;
use crate::stock_clients::{AGENT, Program, WORKFLOW, calls, clients};

const PERSON: &str = "user:idp-support-bob";
const SUBJECT: &str = "support-bob";
const SECRET: &str = "client-secret-canary-of-the-provider";

/// The provider, its port and what it says.
fn provider(world: &World, port: u16) -> Program {
    let mut command = Command::new("node");
    command
        .arg(clients().join("oidc-provider.mjs"))
        .arg(port.to_string())
        .arg(format!("{}/login/callback", world.public_url))
        .arg(SECRET);
    let program = Program::start(&mut command);
    program.expect("listening");
    program
}

/// A world whose people log in at the provider on `port`.
fn world_with_provider(port: u16, more: &str) -> World {
    let mut world = World::new(EXE);
    std::fs::write(world.base.path().join("assistant.yaml"), WORKFLOW).unwrap();
    world.ok(&["agent", "add", AGENT, "--owner", "user:owner"]);
    world.ok(&["workflow", "publish", &world.path("assistant.yaml")]);
    let secret = world.data.join("keys/idp.secret");
    private(&secret, &format!("{SECRET}\n"));
    let file = world.data.join("bailiwick.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(&format!(
        "\n[[provider]]\nname = \"idp\"\nlabel = \"Example Identity\"\n\
         issuer = \"http://127.0.0.1:{port}\"\nclient_id = \"bailiwick\"\n\
         client_secret_file = \"keys/idp.secret\"\nscopes = [\"groups\"]\n\
         groups_claim = \"groups\"\nnetwork = \"inside\"\nprincipals = \"user:idp-*\"\n{more}"
    ));
    std::fs::write(&file, text).unwrap();
    world.stop_serve();
    world.start_serve();
    world
}

async fn log_in(browser: &Browser, port: u16, name: &str) {
    browser.arrive(&format!("127.0.0.1:{port}/interaction/")).await;
    browser.fill("#login", name).await;
    browser.click("button").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_passkey_logs_in_at_a_provider_and_signs_a_grant_there() {
    let port = free_port();
    let mut world = world_with_provider(port, "");
    let idp = provider(&world, port);
    world.ok(&["principal", "add", PERSON, "--provider", "idp", "--subject", SUBJECT]);
    let browser = Browser::start().await;
    let client = Program::npm(&world, &calls(), true);
    let id = client.expect("registered")["client_id"].as_str().unwrap().to_owned();
    let url = client.expect("authorize")["url"].as_str().unwrap().to_owned();
    world.ok(&["client", "map", &id, "--agent", AGENT]);

    browser.open(&url).await;
    browser.arrive("/login?").await;
    pictures(&browser, "login-provider").await;
    browser.click("a[href^='/login/provider/idp']").await;
    log_in(&browser, port, SUBJECT).await;
    browser.arrive("/consent/").await;
    assert_eq!(idp.expect("asked")["prompt"], Value::Null);
    browser.fill("#purpose", "Look up what ticket 8821 is about").await;
    browser.fill("#scope", "tickets:read customers:search").await;
    browser.click("form.stack button.primary").await;
    browser.text("[data-sign-at]").await;
    pictures(&browser, "consent-provider").await;
    // The provider remembers the person, and must ask all the same.
    browser.click("[data-sign-at]").await;
    idp.expect("answered");
    log_in(&browser, port, SUBJECT).await;
    assert_eq!(idp.expect("asked")["prompt"], "login");
    browser.arrive("/callback").await;

    client.expect("tokens");
    client.expect("tools");
    let allowed = client.expect("result");
    assert_eq!(allowed["tool"], "get_ticket");
    assert_eq!(client.expect("result")["tool"], "search_customers");
    assert_eq!(client.expect("refused")["tool"], "refund_order");
    let decision = allowed["decision"].as_str().unwrap().to_owned();
    let (bundle, trust) = (world.path(&decision), world.path("trust.json"));
    std::thread::sleep(std::time::Duration::from_millis(1200));
    // The provider is gone, and so is what it remembered.
    drop(idp);
    world.ok(&["evidence", "get", &decision, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let verdict = world.ok(&["evidence", "verify", &bundle, "--trust", &trust]);
    assert!(verdict.to_string().contains("\"signed\":\"id_token\""), "{verdict}");
    // Only the trust file vouches for the provider's key, not the bundle.
    let mut without: Value =
        serde_json::from_slice(&std::fs::read(&trust).unwrap()).expect("it is JSON");
    without.as_object_mut().unwrap().remove("id_tokens").expect("the provider's key is there");
    let poorer = world.path("trust-without-provider.json");
    std::fs::write(&poorer, without.to_string()).unwrap();
    let refused = world.run(&["evidence", "verify", &bundle, "--trust", &poorer]);
    assert_ne!(refused.status, 0, "{}", refused.out);
    assert!(refused.out.contains("not registered"), "{}", refused.out);
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket", "search_customers"]);
    world.stop_serve();
    let log = std::fs::read_to_string(world.path("serve.log")).unwrap();
    assert!(!log.contains(SECRET) && !log.contains("code="), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_refusals_and_a_dead_provider_get_a_page_that_says_what_to_do() {
    let port = free_port();
    // The provider is not there when `serve` starts, and `serve` starts.
    let mut world = world_with_provider(port, "");
    let browser = Browser::start().await;
    let login = format!("{}/login", world.public_url);
    let button = "a[href^='/login/provider/idp']";
    browser.open(&login).await;
    browser.click(button).await;
    assert!(browser.text("main").await.contains("provider-unreachable"));
    let idp = provider(&world, port);
    // As soon as the provider is asked again, it works.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    browser.open(&login).await;
    browser.click(button).await;
    log_in(&browser, port, "mallory").await;
    let page = browser.text("main").await;
    assert!(page.contains("login-unknown"), "{page}");
    assert!(page.contains("principal login user:NAME --provider idp --subject mallory"), "{page}");
    // The provider remembers them, and must ask for another account now; and
    // then they go away there.
    browser.open(&login).await;
    browser.click(button).await;
    browser.arrive("/interaction/").await;
    browser.click("button").await;
    let page = browser.text("main").await;
    assert!(page.contains("login-refused") && page.contains("access_denied"), "{page}");
    // The answer once more: it is over.
    let used = browser.client.current_url().await.unwrap().to_string();
    browser.open(&used).await;
    assert!(browser.text("main").await.contains("login-state-unknown"));
    drop(idp);
    world.stop_serve();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_for_the_first_time_becomes_a_principal_where_the_operator_says_so() {
    let port = free_port();
    let mut world = world_with_provider(port, "provision = true\n");
    let _idp = provider(&world, port);
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", world.public_url)).await;
    browser.click("a[href^='/login/provider/idp']").await;
    log_in(&browser, port, SUBJECT).await;
    browser.arrive(&format!("{}/", world.public_url)).await;
    assert!(browser.text(".who").await.contains(PERSON));
    let logins = world.ok(&["principal", "login", PERSON]);
    assert_eq!(logins["logins"][0]["subject"], SUBJECT, "{logins}");
    let listed = world.ok(&["principal", "list"]).to_string();
    assert!(listed.contains(PERSON), "{listed}");
    // Taken away: the session ends, and the login counts no more.
    world.ok(&[
        "principal",
        "login",
        PERSON,
        "--provider",
        "idp",
        "--subject",
        SUBJECT,
        "--remove",
    ]);
    browser.open(&format!("{}/grants", world.public_url)).await;
    browser.arrive("/login?").await;
    browser.click("a[href^='/login/provider/idp']").await;
    assert!(browser.text("main").await.contains("login-unknown"));
    world.ok(&["doctor"]);
    world.stop_serve();
}

/// Pictures for people to look at: light and dark, wide and narrow.
async fn pictures(browser: &Browser, name: &str) {
    for (dark, width) in [(false, 1280), (true, 1280), (false, 390), (true, 390)] {
        browser.client.set_window_size(width, 900).await.unwrap();
        browser.prefer_dark(dark).await;
        browser.script("document.querySelector('[data-sign-at]')?.scrollIntoView()").await;
        let shade = if dark { "dark" } else { "light" };
        browser.picture(&format!("{name}-{width}-{shade}")).await;
    }
    browser.prefer_dark(false).await;
    browser.client.set_window_size(1280, 900).await.unwrap();
}
