//! A well-formed request to an agent that speaks A2A.

use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_policy::a2a::Asked;
use bailiwick_policy::mcp_methods::Call;

use super::{CallRequest, Enforcement, Presentation, Speech};
use crate::wire::peer::Binding;

/// A request to an agent. What is sent is made of the arguments.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    /// What is asked of it.
    pub(crate) asked: Asked,
    /// Method and URL of the request, which a DPoP proof names.
    pub(crate) at: (&'static str, String),
    /// How the caller speaks.
    pub(crate) binding: Binding,
    /// The extensions that the caller wants to be active.
    pub(crate) extensions: Vec<String>,
}

impl CallRequest {
    /// What is asked of an agent, if it is one that is called.
    pub(crate) fn spoken(&self) -> Option<&Spoken> {
        match &self.speech {
            Speech::Peer(spoken) => Some(spoken),
            Speech::Http { .. } | Speech::Mcp { .. } => None,
        }
    }

    /// A call of an agent's operation.
    pub(crate) fn of_agent(
        server: ServerName,
        id: Json,
        call: Call,
        spoken: Spoken,
        presentation: Presentation,
    ) -> Self {
        let call = Self::of_api(server, call, None, presentation, Enforcement::Gateway);
        Self { id, speech: Speech::Peer(Box::new(spoken)), ..call }
    }
}
