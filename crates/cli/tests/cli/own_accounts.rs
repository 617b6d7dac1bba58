//! People who connect their own account at a tool server whose authorization
//! server others wrote: npm's `oidc-provider`. Wiring: the binary serving, the
//! authorization server and a gate in front of the support desk, headless
//! Chromium with a virtual authenticator, an agent's calls.

use std::fs;
use std::process::Command;

use bailiwick_testkit::World;
use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::{OWNER, PRINCIPAL, files, private};
use serde_json::{Value, json};

use crate::EXE;
use crate::stock_clients::{Program, clients};

const DESK: &str = "support-desk";
const CREDENTIAL: &str = "desk-credential-canary-0123456789";
const SECRET: &str = "client-secret-canary-of-the-accounts";
const ACCOUNT: &str = "mrs-account";

/// An installation whose desk knows people by their own accounts, and what
/// stands before the desk.
struct Desk {
    world: World,
    gate: Program,
    port: String,
    browser: Browser,
}

impl Desk {
    async fn new(secret: &str) -> Self {
        let mut world = World::new(EXE);
        // The gate stands where the desk stood, and the desk behind it.
        world.stop_desk();
        let front = std::mem::take(&mut world.desk_url);
        world.start_desk("none");
        let port = front.split(':').nth(2).and_then(|p| p.split('/').next()).unwrap().to_owned();
        let back = format!("{}/accounts/{DESK}/callback", world.public_url);
        let mut command = Command::new("node");
        command
            .arg(clients().join("account_gate.mjs"))
            .args([port.as_str(), &world.desk_url, &back, secret])
            .env("UPSTREAM_CREDENTIAL", CREDENTIAL);
        let gate = Program::start(&mut command);
        gate.expect("listening");
        world.ok(&["tool-server", "identity", DESK, "principal"]);
        let mut table = format!(
            "\n[[account]]\ntool_server = \"{DESK}\"\nclient_id = \"bailiwick\"\n\
             scopes = [\"tickets\"]\nnetwork = \"inside\"\n"
        );
        if !secret.is_empty() {
            private(&world.data.join("keys/desk.secret"), &format!("{secret}\n"));
            table.push_str("client_secret_file = \"keys/desk.secret\"\n");
            table.push_str(&format!("issuer = \"http://127.0.0.1:{port}\"\n"));
        }
        let file = world.data.join("bailiwick.toml");
        let text = fs::read_to_string(&file).unwrap() + &table;
        fs::write(&file, text).unwrap();
        world.stop_serve();
        world.start_serve();
        let browser = signed_in(&world, PRINCIPAL).await;
        Self { world, gate, port, browser }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.public_url)
    }

    /// Skips to the next event of this name.
    #[track_caller]
    fn heard(&self, event: &str) -> Value {
        loop {
            let said = self.gate.next();
            assert!(!said.is_null(), "no `{event}`");
            if said["event"] == event {
                return said;
            }
        }
    }

    fn tell(&self, path: &str) {
        let answer =
            Request::post(path, "").send(format!("127.0.0.1:{}", self.port).parse().unwrap());
        assert_eq!(answer.unwrap().status, 204);
    }

    /// Longer than the pause between two renewals.
    fn pause(&self) {
        std::thread::sleep(std::time::Duration::from_secs(6));
    }

    fn ticket(&self, chain: &Chain) -> Response {
        // Longer than what was read of the vault is kept.
        std::thread::sleep(std::time::Duration::from_millis(700));
        self.world.call(chain, "get_ticket", json!({"ticket_id": 8821}))
    }

    /// Begins a consent; gives its state.
    async fn begin(&self) -> String {
        self.browser.open(&self.url("/accounts")).await;
        self.browser.click(&format!("[data-account={DESK}] a.primary")).await;
        self.browser.arrive("/interaction/").await;
        self.heard("asked")["state"].as_str().unwrap().to_owned()
    }

    async fn connect(&self) {
        self.begin().await;
        self.browser.fill("#login", ACCOUNT).await;
        self.browser.click("button").await;
        // The page of the authorization server has no such element.
        let page = self.browser.text("main").await;
        assert!(page.contains("Disconnect"), "{page}");
    }

    /// What the console says to an answer.
    async fn answered(&self, code: &str, state: &str, iss: &str) -> String {
        let path = format!("/accounts/{DESK}/callback?code={code}&state={state}&iss={iss}");
        self.browser.open(&self.url(&path)).await;
        self.browser.text("main").await
    }

    fn vault(&self) -> Value {
        self.world.ok(&["vault", "list"])["credentials"].clone()
    }
}

/// A browser of somebody who just made a passkey.
async fn signed_in(world: &World, who: &str) -> Browser {
    let link = world.ok(&["principal", "link", who]);
    let browser = Browser::start().await;
    browser.open(link["enrolment_link"].as_str().unwrap()).await;
    browser.fill("#label", "Work laptop").await;
    browser.click("[data-passkey-enrol] button").await;
    browser.text(".who-name").await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_their_own_account_and_nobody_elses_is_used() {
    let mut desk = Desk::new(SECRET).await;
    let issuer = format!("http://127.0.0.1:{}", desk.port);
    let chain = desk.world.chain();
    // The gateway's own credential would open the desk, and is not used.
    let denied = desk.ticket(&chain);
    desk.world.assert_denied(&denied, "upstream-account-missing");
    assert!(denied.text().contains(&desk.url("/accounts")), "{}", denied.text());
    desk.browser.open(&desk.url("/accounts")).await;
    pictures(&desk.browser, "accounts-none-connected").await;

    desk.connect().await;
    let used = desk.heard("code");
    let first = desk.heard("granted");
    assert_eq!(first["type"], "authorization_code");
    pictures(&desk.browser, "accounts-connected").await;
    desk.world.assert_allowed(&desk.ticket(&chain), "ok");
    assert_eq!(desk.heard("call")["account"], ACCOUNT);
    let held = desk.vault();
    assert_eq!((&held[0]["kind"], &held[0]["principal"]), (&json!("account"), &json!(PRINCIPAL)));

    // The answer once more: it is over.
    let (code, state) = (used["code"].as_str().unwrap(), used["state"].as_str().unwrap());
    assert!(desk.answered(code, state, &issuer).await.contains("account-state-unknown"));

    // Connected over a consent that is there, where they are still logged in: the
    // old one ends at its server, and only that.
    desk.browser.open(&desk.url(&format!("/accounts/{DESK}/connect"))).await;
    desk.browser.text(&format!("[data-account={DESK}] a[href$=disconnect]")).await;
    assert_eq!(desk.heard("revoked")["token"], first["refresh_token"]);
    let first = desk.heard("granted");
    assert_eq!(first["type"], "authorization_code");
    desk.world.assert_allowed(&desk.ticket(&chain), "ok");
    assert_eq!(desk.heard("call")["account"], ACCOUNT);

    // Refused once, another token is fetched for the consent, and the new
    // refresh token is kept.
    for _ in 0..2 {
        desk.pause();
        desk.tell("/forget");
        desk.world.assert_allowed(&desk.ticket(&chain), "ok");
        let granted = desk.heard("granted");
        assert_eq!(granted["type"], "refresh_token", "{granted}");
        assert_ne!(granted["refresh_token"], first["refresh_token"]);
        assert_eq!(desk.heard("call")["account"], ACCOUNT);
    }

    // The consent ended at its server: calls are denied, and the person is told.
    desk.pause();
    desk.tell("/end");
    let answer = desk.ticket(&chain);
    assert!(answer.json().get("error").is_some(), "{}", answer.text());
    let denied = desk.ticket(&chain);
    desk.world.assert_denied(&denied, "upstream-account-missing");
    assert_eq!(desk.vault(), json!([]));
    desk.browser.open(&desk.url("/accounts")).await;
    let line = desk.browser.text(&format!("[data-account={DESK}]")).await;
    assert!(line.contains("ended by the tool server"), "{line}");
    pictures(&desk.browser, "accounts-ended").await;

    // Connected again, where they are still logged in, and disconnected: the
    // server is told.
    desk.browser.click(&format!("[data-account={DESK}] a.primary")).await;
    desk.browser.text(&format!("[data-account={DESK}] a[href$=disconnect]")).await;
    desk.world.assert_allowed(&desk.ticket(&chain), "ok");
    // What was renewed since is what is given back.
    desk.pause();
    desk.tell("/forget");
    desk.world.assert_allowed(&desk.ticket(&chain), "ok");
    let mut newest = desk.heard("granted");
    while newest["type"] != "refresh_token" {
        newest = desk.heard("granted");
    }
    desk.browser.click(&format!("[data-account={DESK}] a.button")).await;
    desk.browser.text("button.danger").await;
    desk.browser.picture("accounts-disconnect").await;
    desk.browser.click("button.danger").await;
    assert_eq!(desk.heard("revoked")["token"], newest["refresh_token"]);
    assert!(!desk.browser.arrive("/accounts").await.contains("untold"));
    desk.world.assert_denied(&desk.ticket(&chain), "upstream-account-missing");
    assert_eq!(desk.vault(), json!([]));

    let tail = desk.world.run(&["audit", "tail", "-n", "200"]).out;
    assert!(tail.contains("\"source\":\"consent\""), "{tail}");
    assert!(tail.contains("\"reason\":\"lapsed\""), "{tail}");
    assert!(tail.contains("\"reason\":\"reconnected\""), "{tail}");
    let doctor = desk.world.run(&["doctor"]).out;
    assert!(doctor.contains("can be connected"), "{doctor}");
    desk.world.stop_serve();
    let mut places = vec![desk.world.base.path().join("serve.log")];
    places.extend(
        files(&desk.world.data)
            .into_iter()
            .filter(|f| !f.starts_with(desk.world.data.join("keys"))),
    );
    let tokens = [&first["access_token"], &first["refresh_token"]];
    for text in tokens.map(|t| t.as_str().unwrap()).into_iter().chain([SECRET, code]) {
        for place in &places {
            let bytes = fs::read(place).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(text), "in {}", place.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_only_from_the_server_and_in_the_session_that_began() {
    // A public client: the tool server names its authorization server.
    let desk = Desk::new("").await;
    let issuer = format!("http://127.0.0.1:{}", desk.port);
    let chain = desk.world.chain();
    let other = signed_in(&desk.world, OWNER).await;
    // Somebody else's consent, brought to another browser.
    let state = desk.begin().await;
    let path = format!("/accounts/{DESK}/callback?code=x&state={state}&iss={issuer}");
    other.open(&desk.url(&path)).await;
    let page = other.text("main").await;
    assert!(page.contains("account-state-unknown"), "{page}");
    // Another session of the same browser.
    desk.browser.open(&desk.url("/account")).await;
    desk.browser.click("form[action='/account/sign-out-everywhere'] button").await;
    desk.browser.click("[data-passkey-login] button").await;
    desk.browser.text(".who-name").await;
    assert!(desk.answered("x", &state, &issuer).await.contains("account-state-unknown"));
    // Another server's answer ends it: it is not taken later either.
    let state = desk.begin().await;
    let page = desk.answered("x", &state, "http://evil.example").await;
    assert!(page.contains("account-other-server"), "{page}");
    assert!(desk.answered("x", &state, &issuer).await.contains("account-state-unknown"));
    // A code that the server does not know.
    let state = desk.begin().await;
    let page = desk.answered("x", &state, &issuer).await;
    assert!(page.contains("account-code-refused"), "{page}");
    // The person says no there.
    desk.begin().await;
    desk.browser.click("button").await;
    let page = desk.browser.text("main").await;
    assert!(page.contains("account-refused") && page.contains("access_denied"), "{page}");
    assert_eq!(desk.vault(), json!([]));
    desk.world.assert_denied(&desk.ticket(&chain), "upstream-account-missing");
    // And after all that, it works.
    desk.connect().await;
    desk.world.assert_allowed(&desk.ticket(&chain), "ok");
    assert_eq!(desk.heard("call")["account"], ACCOUNT);
    // The other person has none, and no part in this one.
    other.open(&desk.url("/accounts")).await;
    let line = other.text(&format!("[data-account={DESK}]")).await;
    assert!(line.contains("not connected"), "{line}");
    other.open(&desk.url("/accounts/nowhere/connect")).await;
    assert!(other.text("main").await.contains("not-found"));
    // Nobody can be told any more, and the person hears that.
    let Desk { world, gate, browser, .. } = desk;
    drop(gate);
    browser.open(&format!("{}/accounts/{DESK}/disconnect", world.public_url)).await;
    browser.click("button.danger").await;
    browser.arrive("untold").await;
    assert!(browser.text("main").await.contains("could not be told"));
    pictures(&browser, "accounts-untold").await;
    assert_eq!(world.ok(&["vault", "list"])["credentials"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn consents_of_whoever_leaves_end_at_their_servers() {
    const OTHER: &str = "user:other";
    let mut desk = Desk::new(SECRET).await;
    desk.connect().await;
    let theirs = desk.heard("granted");
    let left = desk.world.ok(&["principal", "offboard", PRINCIPAL, "--reason", "left the company"]);
    assert_eq!(desk.heard("revoked")["token"], theirs["refresh_token"]);
    assert_eq!((&left["accounts_removed"], &left["accounts_untold"]), (&json!(1), &json!([])));

    // The same in the console.
    desk.world.ok(&["principal", "add", OTHER, "--key", &desk.world.path("other.key")]);
    desk.browser = signed_in(&desk.world, OTHER).await;
    desk.connect().await;
    let theirs = desk.heard("granted");
    desk.world.ok(&["principal", "role", OWNER, "owner"]);
    let owner = signed_in(&desk.world, OWNER).await;
    let known = desk.world.ok(&["principal", "list"]);
    let known = known["principals"].as_array().unwrap();
    let alias = &known.iter().find(|p| p["principal"] == OTHER).unwrap()["alias"];
    let path = format!("/people/{}", alias.as_str().unwrap());
    owner.open(&desk.url(&format!("{path}/offboard"))).await;
    owner.fill("#reason", "left the company").await;
    owner.click("main form button.danger").await;
    owner.arrive(&path).await;
    assert_eq!(desk.heard("revoked")["token"], theirs["refresh_token"]);
    assert_eq!(desk.vault(), json!([]));
    // Where the server is away, the operator hears that nobody was told.
    desk.world.ok(&["principal", "add", "user:late", "--key", &desk.world.path("late.key")]);
    desk.browser = signed_in(&desk.world, "user:late").await;
    desk.connect().await;
    let Desk { world, gate, browser: _browser, .. } = desk;
    drop(gate);
    let left = world.ok(&["principal", "offboard", "user:late", "--reason", "left the company"]);
    assert_eq!(left["accounts_untold"], json!([DESK]), "{left}");
    assert_eq!(world.ok(&["vault", "list"])["credentials"], json!([]));
}

/// Pictures for people to look at: light and dark, wide and narrow.
async fn pictures(browser: &Browser, name: &str) {
    for (dark, width) in [(false, 1280), (true, 1280), (false, 390), (true, 390)] {
        browser.show_as(width, dark).await;
        let shade = if dark { "dark" } else { "light" };
        browser.picture(&format!("{name}-{width}-{shade}")).await;
    }
    browser.show_as(1280, false).await;
}
