//! What the gateway needs to know of agents behind it: whose their tasks are,
//! and who signs the cards that are published for them.

use bailiwick_core::accountable::{Facts, Unavailable};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
pub use bailiwick_policy::a2a::answer::Seen;
use futures_util::future::BoxFuture;

/// A task of an agent, as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTask {
    /// Whose it is, see [`owner`].
    pub owner: Digest,
    /// Whether it has ended.
    pub ended: bool,
}

/// A task or context was not taken note of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// It is somebody else's.
    #[error("the task or context is somebody else's")]
    Foreign,
    /// It could not be written.
    #[error("the tasks of agents cannot be written")]
    Unavailable,
}

/// Tasks and contexts of agents, kept durably, and cards.
pub trait Peers: Send + Sync {
    /// A task of the agent catalogued as `server`, if somebody began it here.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn task(&self, server: &ServerName, task: &str) -> Result<Option<PeerTask>, Unavailable>;

    /// Whose a context is.
    ///
    /// # Errors
    /// When it cannot be read: the call is denied.
    fn context(&self, server: &ServerName, context: &str) -> Result<Option<Digest>, Unavailable>;

    /// Takes note of what an answer to `owner` spoke of. What is somebody else's
    /// stays theirs, and then nothing is noted.
    fn remember<'a>(
        &'a self,
        server: &'a ServerName,
        owner: Digest,
        seen: Vec<Seen>,
    ) -> BoxFuture<'a, Result<(), NotKept>>;

    /// The signature over a card in its signed form, as `{protected,
    /// signature}`; none, if it cannot be signed.
    fn sign_card(&self, card: &Json) -> Option<Object>;
}

/// Whose tasks are a caller's: those that the same instance began for the same
/// principal and task.
pub(crate) fn owner(facts: &Facts) -> Option<Digest> {
    let caller = facts.caller()?;
    let whose = Object::new()
        .with("principal", &facts.authority.principal)
        .with("task", &facts.authority.task)
        .with("instance", &caller.instance);
    Some(sha256(Json::from(whose).canonical().as_bytes()))
}
