//! Agents' tasks, in memory.

use std::collections::HashMap;
use std::sync::Mutex;

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::lock;
use crate::peers::{NotKept, PeerTask, Peers, Seen};

type Key = (ServerName, String);

/// Keeps whose tasks and contexts are, and signs no card.
#[derive(Default)]
pub struct MemoryPeers {
    tasks: Mutex<HashMap<Key, PeerTask>>,
    contexts: Mutex<HashMap<Key, Digest>>,
}

impl Peers for MemoryPeers {
    fn task(&self, server: &ServerName, task: &str) -> Result<Option<PeerTask>, Unavailable> {
        Ok(lock(&self.tasks).get(&(server.clone(), task.to_owned())).copied())
    }

    fn context(&self, server: &ServerName, context: &str) -> Result<Option<Digest>, Unavailable> {
        Ok(lock(&self.contexts).get(&(server.clone(), context.to_owned())).copied())
    }

    fn remember<'a>(
        &'a self,
        server: &'a ServerName,
        owner: Digest,
        seen: Vec<Seen>,
    ) -> BoxFuture<'a, Result<(), NotKept>> {
        let (mut tasks, mut contexts) = (lock(&self.tasks), lock(&self.contexts));
        let key = |id: String| (server.clone(), id);
        for one in seen {
            if let Some(task) = one.task {
                let ended = one.ended == Some(true);
                let known = tasks.entry(key(task)).or_insert(PeerTask { owner, ended });
                if known.owner != owner {
                    return async { Err(NotKept::Foreign) }.boxed();
                }
                known.ended |= ended;
            }
            if let Some(context) = one.context {
                contexts.entry(key(context)).or_insert(owner);
            }
        }
        async { Ok(()) }.boxed()
    }

    fn sign_card(&self, _card: &Json) -> Option<Object> {
        None
    }
}
