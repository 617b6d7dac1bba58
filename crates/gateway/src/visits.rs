//! A call that waits for a person, as a client hears it that can send its user
//! to a page: the page of the approval, and the way back to the call.
//!
//! Nothing here lets a call pass. Who knows neither form hears the denial as it
//! is, with the page in it.

use axum::response::Response;
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::{Era, is_reserved};

use crate::gateway::Gateway;
use crate::request_state::{Bound, seal};
use crate::stages::Stopped;
use crate::stages::boundary::{CallRequest, META_CAPABILITIES, Speech};
use crate::wire;

/// Whether a client with these capabilities opens pages for its user
/// (elicitation in URL mode).
pub(crate) fn opens_urls(capabilities: Option<&Object>) -> bool {
    let elicitation = capabilities.and_then(|c| c.member("elicitation")?.as_object());
    elicitation
        .is_some_and(|modes| modes.member("url").is_some_and(|url| url.as_object().is_some()))
}

/// The same of one call that states its client's capabilities (2026-07-28).
fn call_opens_urls(request: &CallRequest) -> bool {
    let Speech::Mcp { params, .. } = &request.speech else { return false };
    let meta = params.member("_meta").and_then(Json::as_object);
    opens_urls(meta.and_then(|meta| meta.member(META_CAPABILITIES)?.as_object()))
}

impl Gateway {
    /// The answer to a waiting call for a client that can send its user to the
    /// page; nothing for all others, and for a user who would not go there.
    pub(crate) fn visit_first(
        &self,
        request: &CallRequest,
        stopped: &Stopped,
        entry: &EntryId,
    ) -> Option<Response> {
        let waits = stopped.denial.waits.as_deref().filter(|waits| waits.url.is_some())?;
        let (id, tool, entry) = (&request.id, &request.call.tool, entry.as_str());
        match request.era {
            Era::Sessions => {
                let opens = self.sessions.opens_urls(request.session.as_deref()?);
                opens.then(|| wire::url_required(id, entry, tool, &stopped.denial, waits))
            }
            Era::Stateless => {
                let declined = request.waited.as_ref().is_some_and(|waited| waited.declined);
                // A client sends back the state that it got last. That of a tool
                // server would be lost to it, and with it another call.
                let carries = request.call.arguments.iter().any(|(name, _)| is_reserved(name));
                if declined || carries || !call_opens_urls(request) {
                    return None;
                }
                let known = stopped.known.as_deref()?;
                let bound = Bound::of(request, known.chain(), known.facts())?;
                let host = self.ports.host.as_ref();
                let state = seal(&self.state_key, host, &bound, waits.expires)?;
                Some(wire::input_required(id, entry, tool, waits, &state))
            }
        }
    }
}
