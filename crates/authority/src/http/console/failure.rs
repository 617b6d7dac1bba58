//! What did not work, as a page or, for the page's script, as a problem.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::ids::ActionId;
use bailiwick_store::StoreError;

use super::{Asked, Inner, page, see, with_headers};
use crate::ConsentError;
use crate::console::{ErrorPage, Text, headers};
use crate::host::Moment;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::oauth::error::OAuthError;
use crate::people::accounts::AccountError;
use crate::people::oidc::OidcError;
use crate::people::passkeys::PasskeyError;
use crate::refusal::Refusal;

/// Why there is no page.
pub(super) enum Failure {
    /// The rules say no.
    Refused(Refusal),
    /// A client's request that must not be redirected.
    Shown(OAuthError),
    /// A client that is no agent.
    Unmapped(String),
    /// Nothing is there, or nothing of this person's.
    NotFound,
    /// Nobody is signed in.
    NotSignedIn,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ConsentError> for Failure {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::ClientUnmapped { client } => Self::Unmapped(client),
            ConsentError::ToClient { error } => Self::Shown(error),
            ConsentError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// What is said about a failure.
struct Said {
    status: StatusCode,
    title: &'static str,
    message: String,
    remedy: String,
    code: &'static str,
    command: Option<String>,
}

impl Failure {
    fn said(&self) -> Said {
        match self {
            Self::Refused(refusal) => {
                let (status, title) = of_refusal(refusal);
                Said {
                    status,
                    title,
                    message: sentence(&refusal.to_string()),
                    remedy: refusal.remedy().into_owned(),
                    code: refusal.code(),
                    command: match refusal {
                        Refusal::Oidc(error) => login_command(error),
                        _ => None,
                    },
                }
            }
            Self::Shown(error) => Said {
                status: StatusCode::BAD_REQUEST,
                title: "The client asked in a way that is not understood",
                message: sentence(&error.description),
                remedy: "tell whoever makes the client; nothing was allowed".to_owned(),
                code: error.reason,
                command: None,
            },
            Self::Unmapped(client) => Said {
                status: StatusCode::FORBIDDEN,
                title: "This client is not known to act as an agent",
                message: format!(
                    "The client {client} is not mapped to a registered agent, so it gets nothing."
                ),
                remedy: "ask an operator to run this, then start again from the client".to_owned(),
                code: "client-unmapped",
                command: Some(map_command(client)),
            },
            Self::NotFound => Said {
                status: StatusCode::NOT_FOUND,
                title: "There is nothing here",
                message: "This address leads nowhere, or to something that is not yours."
                    .to_owned(),
                remedy: "check the address".to_owned(),
                code: "not-found",
                command: None,
            },
            Self::NotSignedIn => Said {
                status: StatusCode::UNAUTHORIZED,
                title: "You are not signed in",
                message: "For this you must be signed in.".to_owned(),
                remedy: "sign in, then try again".to_owned(),
                code: "not-signed-in",
                command: None,
            },
        }
    }

    /// The page that says so.
    pub(super) fn page(self, cx: &Inner, asked: &Asked) -> Response {
        if let Self::NotSignedIn = self {
            let next: String =
                url::form_urlencoded::byte_serialize(asked.path.as_bytes()).collect();
            let was = if asked.headers.contains_key(header::COOKIE) { "&ended=1" } else { "" };
            return see(&format!("/login?next={next}{was}"));
        }
        let said = self.said();
        // What is not there is no news for whoever runs the installation: an id of it
        // would lead nowhere.
        let logged = match said.status {
            StatusCode::NOT_FOUND => None,
            _ => noted(cx, &said),
        };
        let me = cx.me(&asked.headers).ok().flatten();
        let template = ErrorPage {
            frame: cx.frame(me.as_ref(), None),
            status: said.status.as_u16(),
            title: said.title.to_owned(),
            message: Text::short(said.message, 500),
            remedy: Text::short(said.remedy, 500),
            command: said.command.map(Text::of),
            code: said.code.to_owned(),
            logged,
        };
        page(said.status, &template)
    }

    /// The problem that says so (RFC 9457).
    pub(super) fn problem(self, cx: &Inner) -> Response {
        let said = self.said();
        let problem = Problem {
            status: said.status.as_u16(),
            code: said.code,
            detail: Text::short(said.message.trim_end_matches('.'), 500).to_string(),
            remedy: Text::short(&said.remedy, 500).to_string(),
            entry: noted(cx, &said),
            retry_after_seconds: None,
        };
        let kind = [(header::CONTENT_TYPE, MEDIA_TYPE)];
        let response = (said.status, kind, problem.to_json().canonical()).into_response();
        with_headers(response, &headers::PAGE)
    }
}

/// Writes to the log under an id that the person sees as well.
fn noted(cx: &Inner, said: &Said) -> Option<String> {
    let moment = Moment::of(cx.authority.host());
    let id = ActionId::mint(moment.now(), moment.random().ok()?).to_string();
    let (code, status) = (said.code, said.status.as_u16());
    tracing::info!(%id, code, status, "the console refused");
    Some(id)
}

/// The command with which an operator maps a client.
pub(super) fn map_command(client: &str) -> String {
    format!("bailiwick client map {} --agent agent:NAME", quoted(client))
}

/// The command with which an operator registers somebody's login.
fn login_command(error: &OidcError) -> Option<String> {
    let (OidcError::Unknown { provider, subject } | OidcError::NameTaken { provider, subject }) =
        error
    else {
        return None;
    };
    let subject = quoted(subject);
    Some(format!("bailiwick principal login user:NAME --provider {provider} --subject {subject}"))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/@%+,=".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str().trim_end_matches('.')),
        None => String::new(),
    }
}

fn of_refusal(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::Unknown { .. } => (StatusCode::NOT_FOUND, "There is nothing here"),
        Refusal::NotYours | Refusal::NotYourself | Refusal::NotYourRole(_) => {
            (StatusCode::FORBIDDEN, "This is not yours to do")
        }
        Refusal::Session(_) => (StatusCode::FORBIDDEN, "This request was not taken as yours"),
        Refusal::TicketGone { .. } => (StatusCode::GONE, "This is over"),
        Refusal::Passkey(PasskeyError::Unknown | PasskeyError::Invalid | PasskeyError::Counter) => {
            (StatusCode::FORBIDDEN, "This passkey was not accepted")
        }
        Refusal::Account(
            AccountError::Unreachable(_) | AccountError::Metadata { .. } | AccountError::Exchange,
        ) => (StatusCode::BAD_GATEWAY, "The tool server's authorization server cannot be used now"),
        Refusal::Account(AccountError::NotOffered | AccountError::Config { .. }) => {
            (StatusCode::NOT_FOUND, "No account can be connected there")
        }
        Refusal::Account(AccountError::NotKept) => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
        Refusal::Account(_) => (StatusCode::FORBIDDEN, "The account was not connected"),
        Refusal::Oidc(OidcError::Unreachable(_) | OidcError::Metadata { .. }) => {
            (StatusCode::BAD_GATEWAY, "The identity provider cannot be used now")
        }
        Refusal::Oidc(
            OidcError::Unknown { .. }
            | OidcError::Namespace { .. }
            | OidcError::Name { .. }
            | OidcError::NameTaken { .. },
        ) => (StatusCode::FORBIDDEN, "Nobody is known here by this login"),
        Refusal::Oidc(_) => (StatusCode::FORBIDDEN, "This login was not accepted"),
        Refusal::Grant(_) => (StatusCode::FORBIDDEN, "The signature was not accepted"),
        Refusal::Passkey(_) => (StatusCode::UNPROCESSABLE_ENTITY, "This passkey was not taken"),
        Refusal::Busy | Refusal::NoEntropy | Refusal::ClockBehind | Refusal::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Not now")
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "This cannot be done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_safe_to_paste() {
        let command = map_command("https://c.example/client.json");
        assert_eq!(
            command,
            "bailiwick client map https://c.example/client.json --agent agent:NAME"
        );
        let command = map_command("x'; rm -rf / #");
        assert_eq!(command, "bailiwick client map 'x'\\''; rm -rf / #' --agent agent:NAME");
    }

    #[test]
    fn messages_become_sentences() {
        assert_eq!(sentence("the page is over"), "The page is over.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
    }
}
