//! What signs for an agent.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::JsonObject;
use serde::{Deserialize, Serialize};

/// Member of `params._meta` that carries a call's [`Presentation`].
pub const PRESENTATION_META_KEY: &str = "io.bailiwick/presentation";

/// What a call carries: the chain and the proof of possession over its tool and arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presentation {
    /// Token texts, root first.
    pub aat_chain: Vec<String>,
    /// The proof, a JWS by the leaf's holder key.
    pub aat_pop: String,
}

/// What a message that is not a call carries: the chain and a DPoP proof (RFC 9449) over method and URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHeaders {
    /// Value of header `AAT-Chain`: token texts, root first, separated by commas.
    pub aat_chain: String,
    /// Value of header `DPoP`.
    pub dpop: String,
}

/// Why nothing was signed. The message is not sent then.
#[derive(Debug, thiserror::Error)]
#[error("cannot present authority: {reason}")]
pub struct PresentError {
    /// One line, without key material.
    pub reason: String,
}

impl PresentError {
    /// An error with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// Stable kebab-case name of this error.
    pub fn code(&self) -> &'static str {
        "agent-present"
    }

    /// What the agent's operator should do.
    pub fn remedy(&self) -> &'static str {
        "check the delegation file and the key file of this instance"
    }
}

/// Signs for an agent. Called for every attempt to send a message, also when the client sends one again.
pub trait Presenter: Send + Sync + 'static {
    /// Signs a call of `tool_id` (`mcp:<server>:tools/<name>`, `…:resources/read`, `…:prompts/<name>`) with these arguments:
    /// those of the request, `{"uri": …}` when it reads a resource; a retry's `inputResponses` as member `$input` and its `requestState` as `$state`, unless that is a gateway's own (`bailiwick-approval.…`).
    ///
    /// # Errors
    /// [`PresentError`] when there is nothing to sign with.
    fn for_call(&self, tool_id: &str, arguments: &JsonObject)
    -> Result<Presentation, PresentError>;

    /// Signs any other message: `method` is the HTTP method, `url` the endpoint without query and fragment.
    ///
    /// # Errors
    /// [`PresentError`] when there is nothing to sign with.
    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError>;
}

impl<P: Presenter + ?Sized> Presenter for Arc<P> {
    fn for_call(
        &self,
        tool_id: &str,
        arguments: &JsonObject,
    ) -> Result<Presentation, PresentError> {
        (**self).for_call(tool_id, arguments)
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        (**self).for_message(method, url)
    }
}

/// Presents the same thing with every call, whatever it calls: a thief, or a proof that was captured.
///
/// Its other messages are signed by another presenter, so that it gets as far as calling.
pub struct FixedPresenter<P> {
    presentation: Presentation,
    messages: P,
}

impl<P: Presenter> FixedPresenter<P> {
    /// Presents `presentation` with calls and has `messages` sign the rest.
    pub fn new(presentation: Presentation, messages: P) -> Self {
        Self { presentation, messages }
    }
}

impl<P: Presenter> Presenter for FixedPresenter<P> {
    fn for_call(
        &self,
        _tool_id: &str,
        _arguments: &JsonObject,
    ) -> Result<Presentation, PresentError> {
        Ok(self.presentation.clone())
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        self.messages.for_message(method, url)
    }
}

/// Keeps the last presentation another presenter made, as somebody listening would.
pub struct RecordingPresenter<P> {
    inner: P,
    last: Mutex<Option<Presentation>>,
}

impl<P: Presenter> RecordingPresenter<P> {
    /// Listens to `inner`.
    pub fn new(inner: P) -> Self {
        Self { inner, last: Mutex::new(None) }
    }

    /// The presentation of the last call.
    pub fn last(&self) -> Option<Presentation> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<P: Presenter> Presenter for RecordingPresenter<P> {
    fn for_call(
        &self,
        tool_id: &str,
        arguments: &JsonObject,
    ) -> Result<Presentation, PresentError> {
        let presentation = self.inner.for_call(tool_id, arguments)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(presentation.clone());
        Ok(presentation)
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        self.inner.for_message(method, url)
    }
}
