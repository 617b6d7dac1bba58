//! A browser with an authenticator that says yes, and can be told to say no.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A headless browser.
#[derive(Debug)]
pub struct Browser {
    /// The WebDriver session.
    pub client: Client,
    authenticator: String,
    driver: Child,
}

/// A WebDriver command that fantoccini has no method for.
#[derive(Debug)]
struct Raw(Method, String, Value);

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.1))
    }
    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        let body = (self.0 == Method::POST).then(|| self.2.to_string());
        (self.0.clone(), body)
    }
}

impl Browser {
    /// Starts one. Needs `chromium` and `chromedriver`.
    pub async fn start() -> Self {
        let port = crate::world::free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, which ends as a whole.
            .process_group(0)
            .spawn()
            .expect("chromedriver is installed");
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"],
        });
        let wanted = json!({ "goog:chromeOptions": options });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted.as_object().unwrap().clone());
        let began = Instant::now();
        let client = loop {
            match builder.connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(client) => break client,
                Err(_) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(e) => panic!("no browser: {e}"),
            }
        };
        let mut browser = Self { client, authenticator: String::new(), driver };
        let made = browser
            .raw(
                Method::POST,
                "webauthn/authenticator",
                json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
                    "hasUserVerification": true, "isUserVerified": true}),
            )
            .await;
        browser.authenticator = made.as_str().unwrap().to_owned();
        browser
    }

    async fn raw(&self, method: Method, path: &str, body: Value) -> Value {
        self.client.issue_cmd(Raw(method, path.to_owned(), body)).await.unwrap()
    }

    async fn developer(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.raw(Method::POST, "goog/cdp/execute", body).await
    }

    /// Shows pages in this colour scheme (`light` or `dark`), so many pixels
    /// wide and high, and without motion.
    pub async fn appear(&self, scheme: &str, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.developer("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.developer("Emulation.setEmulatedMedia", features).await;
    }

    /// Whether the authenticator verifies its person from now on.
    pub async fn verify_person(&self, verified: bool) {
        let path = format!("webauthn/authenticator/{}/uv", self.authenticator);
        self.raw(Method::POST, &path, json!({ "isUserVerified": verified })).await;
    }

    /// Whether the person prefers dark pages from now on.
    pub async fn prefer_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let command =
            json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.raw(Method::POST, "goog/cdp/execute", command).await;
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The text of the first element, which may take a moment to appear.
    pub async fn text(&self, selector: &str) -> String {
        let began = Instant::now();
        loop {
            let wait = self.client.wait().at_most(PATIENCE);
            let text = match wait.for_element(Locator::Css(selector)).await {
                Ok(found) => found.text().await,
                Err(e) => Err(e),
            };
            match text {
                Ok(text) => return text,
                // The page gave way to the next one meanwhile, which is looked at.
                Err(_) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(e) => panic!("{selector}: {e}"),
            }
        }
    }

    /// How many elements there are.
    pub async fn count(&self, selector: &str) -> usize {
        self.client.find_all(Locator::Css(selector)).await.unwrap().len()
    }

    /// Clicks the first element.
    pub async fn click(&self, selector: &str) {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        found.unwrap_or_else(|e| panic!("{selector}: {e}")).click().await.unwrap();
    }

    /// Writes into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let field = self.client.find(Locator::Css(selector)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Whether an element can be used.
    pub async fn is_enabled(&self, selector: &str) -> bool {
        self.client.find(Locator::Css(selector)).await.unwrap().is_enabled().await.unwrap()
    }

    /// Runs a script on every page from now on, before the page's own.
    pub async fn on_every_page(&self, script: &str) {
        let source = json!({ "source": script });
        self.developer("Page.addScriptToEvaluateOnNewDocument", source).await;
    }

    /// Sends this cookie with every request to `url`.
    pub async fn keep_cookie(&self, url: &str, name: &str, value: &str) {
        let cookie = json!({ "url": url, "name": name, "value": value, "httpOnly": true });
        self.developer("Network.setCookie", cookie).await;
    }

    /// Forgets files that were fetched before.
    pub async fn forget_files(&self) {
        self.developer("Network.clearBrowserCache", json!({})).await;
    }

    /// What a script on the page gives.
    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// What a script on the page hands to its last argument, a function.
    pub async fn script_later(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// Waits until the address has this in it; gives the whole.
    pub async fn arrive(&self, part: &str) -> String {
        let began = Instant::now();
        loop {
            let url = self.client.current_url().await.unwrap().to_string();
            if url.contains(part) {
                return url;
            }
            if began.elapsed() > PATIENCE {
                let text = self.text("body").await;
                panic!("still at {url}, not at {part}:\n{text}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Shows pages from now on as on a screen this wide, by day or by night.
    pub async fn show_as(&self, width: u32, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1,
            "mobile": width < 600});
        for (command, parameters) in [
            ("Emulation.setDeviceMetricsOverride", screen),
            ("Emulation.setEmulatedMedia", json!({ "features": features })),
        ] {
            let body = json!({"cmd": command, "params": parameters});
            self.raw(Method::POST, "goog/cdp/execute", body).await;
        }
    }

    /// Keeps a picture, if somebody wants to look.
    pub async fn picture(&self, name: &str) {
        if let Ok(dir) = std::env::var("BAILIWICK_SCREENSHOTS") {
            std::fs::create_dir_all(&dir).unwrap();
            let picture = self.client.screenshot().await.unwrap();
            std::fs::write(format!("{dir}/{name}.png"), picture).unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser does not end with its driver, but with the group that both are in.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
