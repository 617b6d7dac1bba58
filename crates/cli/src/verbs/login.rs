//! `login`, `logout`, `whoami`: a command line that acts for a person at an
//! authority elsewhere. The key is made here and stays here; what the
//! authority gives works only with proofs by it.

use std::io::IsTerminal as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use bailiwick_authority::oauth::pkce::Challenge;
use bailiwick_core::crypto::{SigningKey, base64url, from_base64url};
use bailiwick_core::dpop::Occasion;
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_core::json::{Json, Object};
use reqwest::Method;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::address::authority;
use crate::args::LoginArgs;
use crate::error::CliError;
use crate::host;
use crate::keyfile;
use crate::output::Output;
use crate::web::{self, Sent};

/// How long a person may take in the browser.
const PATIENCE: Duration = Duration::from_secs(300);

/// Characters of the key's thumbprint that the page shows as well.
const MARK: usize = 8;

/// A login as it is kept, mode 0600.
pub(super) struct Login {
    authority: String,
    token: Zeroizing<String>,
    key: SigningKey,
}

/// Where logins are kept.
pub(super) fn folder(chosen: Option<&Path>) -> Result<PathBuf, CliError> {
    let beside = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let found = chosen
        .map(Path::to_owned)
        .or_else(|| Some(beside("XDG_CONFIG_HOME")?.join("bailiwick")))
        .or_else(|| Some(beside("HOME")?.join(".config/bailiwick")));
    found.ok_or_else(|| {
        CliError::environment("no-home", "there is no place for logins", "pass --logins DIR")
    })
}

fn file(folder: &Path, authority: &str) -> PathBuf {
    let host = authority.split_once("://").map_or(authority, |(_, host)| host);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    folder.join(format!("login-{}.json", host.chars().map(plain).collect::<String>()))
}

impl Login {
    /// The authority's URL.
    pub(super) fn url(&self) -> &str {
        &self.authority
    }

    pub(super) fn read(at: &str, logins: Option<&Path>) -> Result<Self, CliError> {
        let at = authority(at)?;
        let path = file(&folder(logins)?, &at);
        if !path.exists() {
            return Err(CliError::refused(
                "not-signed-in",
                format!("you are not signed in at `{at}`"),
                format!("bailiwick login {at}"),
            ));
        }
        let json =
            keyfile::own(keyfile::json(&path, &keyfile::own(keyfile::read_private(&path))?))?;
        let text = |name: &str| json.as_object()?.member(name)?.as_str();
        let seed = text("seed").and_then(from_base64url).map(Zeroizing::new);
        let seed: Option<[u8; 32]> = seed.and_then(|seed| seed.as_slice().try_into().ok());
        let malformed = || {
            CliError::environment(
                "login-file-malformed",
                format!("`{}` is no login", path.display()),
                format!("bailiwick login {at}"),
            )
        };
        let seed = Zeroizing::new(seed.ok_or_else(malformed)?);
        let token = text("token").filter(|_| text("authority") == Some(&at));
        let token = Zeroizing::new(token.ok_or_else(malformed)?.to_owned());
        Ok(Self { token, key: keyfile::signing_key(&seed)?, authority: at })
    }

    /// One call of the API.
    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Object, CliError> {
        let url = format!("{}{path}", self.authority);
        let uri = url.split('?').next().unwrap_or(&url);
        let proof = prove(&self.key, method.as_str(), uri, Some(&self.token))?;
        let mut headers =
            vec![("authorization", format!("DPoP {}", self.token.as_str())), ("dpop", proof)];
        if method == Method::POST {
            headers.push(("idempotency-key", host::fresh_id()?));
        }
        let body = body.map(|body| ("application/json", body.canonical()));
        web::api(&Sent { method, url: &url, headers, body })
    }
}

fn prove(
    key: &SigningKey,
    method: &str,
    uri: &str,
    token: Option<&str>,
) -> Result<String, CliError> {
    let jti = base64url(&host::random::<16>()?);
    let occasion = Occasion { jti: &jti, now: host::now(), method, uri, token, nonce: None };
    occasion.prove(key).map_err(|e| CliError::environment("key", e.to_string(), "sign in again"))
}

/// What the browser brings back.
#[derive(Deserialize)]
struct Brought {
    code: String,
    state: String,
    iss: String,
}

type Answers = mpsc::Sender<Brought>;

async fn brought(
    State(to): State<Answers>,
    answer: Result<Query<Brought>, QueryRejection>,
) -> Html<&'static str> {
    let Ok(Query(answer)) = answer else { return Html("<p>Nothing was brought.") };
    let _ = to.send(answer).await;
    Html(
        "<!doctype html><title>Bailiwick</title><p>The command line goes on. You may close this page.",
    )
}

pub(super) fn run(args: &LoginArgs, logins: Option<&Path>, out: Output) -> Result<(), CliError> {
    let at = authority(&args.authority)?;
    let folder = folder(logins)?;
    let seed = keyfile::fresh_seed()?;
    let key = keyfile::signing_key(&seed)?;
    let thumbprint = key.verifying_key().thumbprint().to_string();
    let verifier = base64url(&host::random::<32>()?);
    let state = base64url(&host::random::<16>()?);
    let answer = super::runtime()?.block_on(async {
        let unable = |e: std::io::Error| {
            CliError::environment("cannot-listen", e.to_string(), "check the loopback interface")
        };
        let listener =
            tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unable)?;
        let port = listener.local_addr().map_err(unable)?.port();
        let (to, mut answers) = mpsc::channel(4);
        let router = Router::new().route("/", get(brought)).with_state(to);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let mut url = reqwest::Url::parse(&format!("{at}/login/program")).map_err(|e| {
            CliError::usage("authority-url", e.to_string(), "pass the authority's public URL")
        })?;
        url.query_pairs_mut()
            .append_pair("code_challenge", &Challenge::of(&verifier).to_string())
            .append_pair("dpop_jkt", &thumbprint)
            .append_pair("redirect_uri", &format!("http://127.0.0.1:{port}/"))
            .append_pair("state", &state)
            .append_pair("name", &args.name);
        ask(url.as_str(), &thumbprint, args.no_browser, out);
        let late =
            || CliError::refused("login-late", "nobody answered within five minutes", "try again");
        let answer = async {
            // Whatever else comes to the port is not an answer to this login.
            while let Some(answer) = answers.recv().await {
                let is_ours = answer.state.as_bytes().ct_eq(state.as_bytes());
                if bool::from(is_ours) && answer.iss == at {
                    return Some(answer);
                }
            }
            None
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok().flatten();
        // The page is answered before the port goes.
        tokio::time::sleep(Duration::from_millis(200)).await;
        serving.abort();
        answer.ok_or_else(late)
    })?;
    let url = format!("{at}/api/v1/login");
    let headers = vec![("dpop", prove(&key, "POST", &url, None)?)];
    let body: Json = Object::new().with("code", answer.code).with("code_verifier", verifier).into();
    let body = Some(("application/json", body.canonical()));
    let made = web::api(&Sent { method: Method::POST, url: &url, headers, body })?;
    keep(&at, &made, &seed, &folder)?;
    told(&at, &made, out);
    out.next(&[&format!("bailiwick --at {at} grant list"), &format!("bailiwick logout {at}")]);
    Ok(())
}

/// Sends the person to the page; opens it where there is somebody to see it.
fn ask(url: &str, thumbprint: &str, no_browser: bool, out: Output) {
    let mark: String = thumbprint.chars().take(MARK).collect();
    let object = Object::new().with("event", "open").with("url", url).with("mark", mark.as_str());
    let text = format!(
        "sign in and let this command line in, in a browser on this device:\n\n  {url}\n\nthe page shows the mark {mark}"
    );
    out.result(object, text);
    if !no_browser && !out.json && std::io::stdout().is_terminal() {
        let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let quiet = std::process::Stdio::null;
        let _ = std::process::Command::new(opener)
            .arg(url)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn();
    }
}

fn keep(at: &str, made: &Object, seed: &[u8; 32], folder: &Path) -> Result<(), CliError> {
    let kept = Object::new()
        .with("authority", at)
        .with("token", made.member("token").cloned())
        .with("expires_at", made.member("expires_at").cloned())
        .with("seed", base64url(seed));
    std::fs::create_dir_all(folder).map_err(|e| CliError::file(folder, "create", &e))?;
    let text = Zeroizing::new(Json::from(kept).canonical());
    Ok(bailiwick_store::write_durably(&file(folder, at), text.as_bytes())?)
}

fn told(at: &str, who: &Object, out: Output) {
    let text = |name: &str| who.member(name).and_then(Json::as_str).unwrap_or_default();
    let roles = who.member("roles").and_then(Json::as_array).unwrap_or_default();
    let roles: Vec<&str> = roles.iter().filter_map(Json::as_str).collect();
    let roles = if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") };
    let object = Object::new()
        .with("authority", at)
        .with("principal", text("principal"))
        .with("roles", who.member("roles").cloned())
        .with("expires_at", text("expires_at"));
    out.result(
        object,
        format!("{} ({roles}) at {at}, until {}", text("principal"), text("expires_at")),
    );
}

pub(super) fn whoami(at: &str, logins: Option<&Path>, out: Output) -> Result<(), CliError> {
    let login = Login::read(at, logins)?;
    told(&login.authority, &login.call(Method::GET, "/api/v1/me", None)?, out);
    Ok(())
}

pub(super) fn logout(at: &str, logins: Option<&Path>, out: Output) -> Result<(), CliError> {
    let login = Login::read(at, logins)?;
    let path = file(&folder(logins)?, &login.authority);
    let ended = login.call(Method::POST, "/api/v1/logout", None);
    std::fs::remove_file(&path).map_err(|e| CliError::file(&path, "remove", &e))?;
    match ended {
        // It had ended there already.
        Err(e) if e.code != "not-authenticated" => return Err(e),
        _ => {}
    }
    let object = Object::new().with("authority", login.authority.as_str()).with("signed_in", false);
    out.result(object, format!("signed out at {}", login.authority));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_authority_has_a_file_of_its_own() {
        let name = |at: &str| file(Path::new("f"), at).display().to_string();
        assert_eq!(name("https://gate.example.com"), "f/login-gate.example.com.json");
        assert_eq!(name("http://localhost:7417"), "f/login-localhost-7417.json");
        assert_eq!(name("https://a/../b"), "f/login-a-..-b.json");
    }
}
