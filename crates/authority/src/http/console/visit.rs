//! One request to the console: who asks, what for, and with what. Each handler
//! takes a [`Visit`] and says which of the five ways it is answered in.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::json::Json;

use super::{Console, Failure, Form, Inner, Me, SCRIPT_JSON};
use crate::people::passkeys::PasskeyError;
use crate::refusal::Refusal;

/// What a page is asked for with.
pub(super) struct Asked {
    pub(super) headers: HeaderMap,
    /// Path and query, to come back to after a login.
    pub(super) path: String,
}

/// A request with its body, which is empty when a page is only read.
pub(super) struct Visit {
    pub(super) console: Console,
    pub(super) asked: Asked,
    body: Bytes,
}

impl FromRequest<Console> for Visit {
    type Rejection = BytesRejection;

    async fn from_request(request: Request, console: &Console) -> Result<Self, BytesRejection> {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let asked = Asked { headers: request.headers().clone(), path };
        let body = Bytes::from_request(request, console).await?;
        Ok(Self { console: console.clone(), asked, body })
    }
}

impl Visit {
    /// What follows the `?`.
    pub(super) fn query(&self) -> &str {
        self.asked.path.split_once('?').map_or("", |(_, query)| query)
    }

    /// Runs blocking work; what it fails with becomes a page.
    pub(super) async fn run(
        self,
        work: impl FnOnce(&Inner, &Asked) -> Result<Response, Failure> + Send + 'static,
    ) -> Response {
        let (inner, asked) = (Arc::clone(&self.console.0), self.asked);
        let done = tokio::task::spawn_blocking(move || {
            work(&inner, &asked).unwrap_or_else(|failure| failure.page(&inner, &asked))
        });
        done.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }

    /// A page for whoever is signed in; others are sent to the login and come
    /// back.
    pub(super) async fn read(
        self,
        work: impl FnOnce(&Inner, &Me) -> Result<Response, Failure> + Send + 'static,
    ) -> Response {
        self.run(|cx, asked| {
            let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
            work(cx, &me)
        })
        .await
    }

    /// A change by whoever is signed in, from a form of ours.
    pub(super) async fn change(
        self,
        work: impl FnOnce(&Inner, &Me, &Form) -> Result<Response, Failure> + Send + 'static,
    ) -> Response {
        // A form is not sent again after a login: there is no page to come
        // back to.
        let asked = Asked { path: "/".to_owned(), ..self.asked };
        let body = self.body.clone();
        Self { asked, ..self }
            .run(move |cx, asked| {
                cx.check_origin(&asked.headers)?;
                let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
                let form = Form::parse(&body);
                me.secret.check_csrf(form.first("csrf")).map_err(Refusal::from)?;
                work(cx, &me, &form)
            })
            .await
    }

    /// What the page's script asks; it answers in JSON, also when it fails.
    pub(super) async fn script(
        self,
        work: impl FnOnce(&Inner, &Asked, &Json) -> Result<Response, Failure> + Send + 'static,
    ) -> Response {
        let Self { console, asked, body } = self;
        let inner = Arc::clone(&console.0);
        let done = tokio::task::spawn_blocking(move || {
            let answer = || {
                inner.check_origin(&asked.headers)?;
                let kind = asked.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
                if kind.map(|k| k.split(';').next().unwrap_or_default().trim())
                    != Some("application/json")
                {
                    return Err(Refusal::from(PasskeyError::Form).into());
                }
                let json = Json::parse(&body, &SCRIPT_JSON)
                    .map_err(|_| Refusal::from(PasskeyError::Form))?;
                work(&inner, &asked, &json)
            };
            answer().unwrap_or_else(|failure: Failure| failure.problem(&inner))
        });
        done.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }

    /// [`Visit::script`] for whoever is signed in.
    pub(super) async fn script_signed_in(
        self,
        work: impl FnOnce(&Inner, &Me, &Asked, &Json) -> Result<Response, Failure> + Send + 'static,
    ) -> Response {
        self.script(|cx, asked, json| {
            let me = cx.me(&asked.headers)?.ok_or(Failure::NotSignedIn)?;
            let token = asked.headers.get("x-csrf-token").and_then(|v| v.to_str().ok());
            me.secret.check_csrf(token.unwrap_or_default()).map_err(Refusal::from)?;
            work(cx, &me, asked, json)
        })
        .await
    }
}
