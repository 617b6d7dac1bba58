//! Letting a command line act for whoever is signed in (RFC 8252: the program
//! listens on this device's loopback address for the answer).

use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::Thumbprint;
use url::form_urlencoded::byte_serialize;
use url::{Host, Url};

use super::{Failure, Visit, page, see};
use crate::LOGIN_SECONDS;
use crate::console::{LeavePage, ProgramPage, Text};
use crate::oauth::error::OAuthError;
use crate::oauth::parameters::Parameters;
use crate::oauth::pkce::{Challenge, METHOD};
use crate::refusal::Refusal;

const PATH: &str = "/login/program";
/// Characters of the key's thumbprint that people compare.
const MARK: usize = 8;

/// What a program asks for in the address that it opens.
struct Asking {
    challenge: Challenge,
    key: Thumbprint,
    redirect: Url,
    state: String,
    name: String,
}

impl Asking {
    fn read(query: &str) -> Result<Self, OAuthError> {
        let parameters = Parameters::parse(query)?;
        let bad = |name: &str| {
            let text = format!("the parameter `{name}` is missing or malformed");
            OAuthError::request("login-request-malformed", text)
        };
        let key = parameters.one("dpop_jkt")?.and_then(Thumbprint::from_text);
        let redirect = parameters.one("redirect_uri")?.and_then(loopback);
        let state = parameters.one("state")?.filter(|s| (1..=128).contains(&s.len()));
        Ok(Self {
            challenge: Challenge::parse(parameters.one("code_challenge")?, Some(METHOD))?,
            key: key.ok_or_else(|| bad("dpop_jkt"))?,
            redirect: redirect.ok_or_else(|| bad("redirect_uri"))?,
            state: state.ok_or_else(|| bad("state"))?.to_owned(),
            name: parameters.one("name")?.unwrap_or("a program").to_owned(),
        })
    }

    /// What program and page both show, so that a person can compare them.
    fn mark(&self) -> String {
        self.key.to_string().chars().take(MARK).collect()
    }
}

/// A program on this very device, by address: a name could lead elsewhere.
fn loopback(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let here = match url.host()? {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(_) => false,
    };
    let plain = url.scheme() == "http"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (here && plain && url.port().is_some()).then_some(url)
}

pub(super) async fn ask(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let asking = Asking::read(&query).map_err(Failure::Shown)?;
            if me.person.session.check_fresh(cx.authority.host().now()).is_err() {
                let next: String = byte_serialize(format!("{PATH}?{query}").as_bytes()).collect();
                return Ok(see(&format!("/login?next={next}")));
            }
            let template = ProgramPage {
                frame: cx.frame(Some(me), None),
                name: Text::short(&asking.name, 80),
                mark: asking.mark(),
                hours: LOGIN_SECONDS / 3600,
                action: format!("{PATH}?{query}"),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn agree(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .change(move |cx, me, _| {
            let asking = Asking::read(&query).map_err(Failure::Shown)?;
            // Whoever sits down at an open session must not let a program of
            // theirs in.
            me.person.session.check_fresh(cx.authority.host().now()).map_err(Refusal::from)?;
            let code = cx.authority.login_code(&me.person, asking.challenge, asking.key)?;
            let issuer = cx.authority.installation().issuer.clone();
            let mut url = asking.redirect;
            url.query_pairs_mut()
                .append_pair("code", &code.reveal())
                .append_pair("state", &asking.state)
                .append_pair("iss", &issuer);
            let template = LeavePage {
                frame: cx.frame(Some(me), None),
                title: "It may act for you".to_owned(),
                client: Text::short(&asking.name, 80),
                host: Text::of("this device"),
                url: url.to_string(),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_answered_on_this_device_and_nowhere_else() {
        for good in ["http://127.0.0.1:4242/", "http://[::1]:4242/done"] {
            assert!(loopback(good).is_some(), "{good}");
        }
        for bad in [
            "http://localhost:4242/",
            "http://10.0.0.1:4242/",
            "https://127.0.0.1:4242/",
            "http://127.0.0.1/",
            "http://user@127.0.0.1:4242/",
            "http://127.0.0.1:4242/?a=b",
            "http://127.0.0.1:4242/#a",
            "http://127.0.0.1.example:4242/",
            "program:/done",
        ] {
            assert!(loopback(bad).is_none(), "{bad}");
        }
    }
}
