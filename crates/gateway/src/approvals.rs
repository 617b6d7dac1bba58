//! Where a waiting call stands, for the agent that made it.
//!
//! `GET /mcp/{server}/approvals/{id}`, with chain and DPoP proof or with an
//! access token, like any message that is no call. Only the very token that
//! asked gets an answer; for everybody else there is no such question. What it
//! says lets nothing pass: the call itself finds out.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::accountable::Unavailable;
use bailiwick_core::denial::{Denial, Reason, WAIT_SECONDS};
use bailiwick_core::ids::{ApprovalId, ServerName};
use bailiwick_core::json::Object;
use http::{HeaderMap, StatusCode};

use crate::gateway::Gateway;
use crate::holds::QuestionState;
use crate::stages::Stopped;
use crate::stages::boundary::{self, Malformed, Presentation};
use crate::stages::identity::identify_message;
use crate::wire;

/// Answers one poll.
pub(crate) async fn poll(
    State(gateway): State<Gateway>,
    Path((server, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let (Ok(server), Ok(id)) = (ServerName::parse(&server), ApprovalId::parse(&id)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = gateway.answer_poll(&server, &id, &headers).await;
    if let Some(nonce) = gateway.nonce().filter(|_| headers.contains_key("dpop")) {
        wire::with_nonce(&mut response, &nonce);
    }
    response
}

fn presented(gateway: &Gateway, headers: &HeaderMap) -> Result<Presentation, Malformed> {
    boundary::check_headers(&gateway.config, headers)?;
    boundary::of_message(&gateway.config, headers).map_err(|denial| {
        let (status, code) = (StatusCode::UNAUTHORIZED, wire::NOT_AUTHENTICATED);
        let text = wire::NOT_AUTHENTICATED_TEXT;
        Malformed { denial, ..Malformed::new(Reason::PresentationMissing, status, code, text) }
    })
}

impl Gateway {
    async fn answer_poll(
        &self,
        server: &ServerName,
        id: &ApprovalId,
        headers: &HeaderMap,
    ) -> Response {
        let metadata = self.metadata_url(server.as_str());
        let presentation = match presented(self, headers) {
            Ok(presentation) => presentation,
            Err(malformed) => {
                let entry = self.deny_malformed(server, &malformed).await;
                return wire::malformed(&malformed, entry.as_str(), &metadata);
            }
        };
        let stopped = match self.question(server, id, &presentation).await {
            Ok(Some(body)) => return wire::json(StatusCode::OK, &body.into()),
            Ok(None) => return StatusCode::NOT_FOUND.into_response(),
            Err(stopped) => stopped,
        };
        let action = format!("mcp:{server}:rpc:approvals");
        let now = self.ports.host.now();
        let entry = self.deny_message(server, &action, &presentation, &stopped, now).await;
        wire::challenge(&stopped.denial, entry.as_str(), &metadata)
    }

    /// The question as its own caller may see it; nothing for others.
    async fn question(
        &self,
        server: &ServerName,
        id: &ApprovalId,
        presentation: &Presentation,
    ) -> Result<Option<Object>, Stopped> {
        let now = self.ports.host.now();
        let url = self.config.poll_url(server.as_str(), id.as_str());
        let at = ("GET", Some(url.as_str()));
        let caller = identify_message(self, server, presentation, at, None, now).await?;
        let asked = match self.ports.holds.asked_call(id, now) {
            Ok(asked) => asked,
            Err(Unavailable) => {
                let denial = Denial::new(Reason::ApprovalUnavailable);
                return Err(Stopped::known(denial, caller.present));
            }
        };
        // SECURITY: who did not ask must not learn that somebody did.
        let leaf = caller.present.chain().leaf_hash();
        let own = asked.filter(|asked| asked.leaf == leaf && asked.server == *server);
        Ok(own.map(|asked| {
            let body = Object::new()
                .with("approval", id)
                .with("state", asked.state.as_str())
                .with("expires_at", asked.expires.to_string());
            match asked.state {
                QuestionState::Pending => body.with("retry_after", WAIT_SECONDS),
                _ => body,
            }
        }))
    }
}
