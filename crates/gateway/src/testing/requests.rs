//! Requests for more authority, in memory.

use std::sync::Mutex;

use bailiwick_core::ids::RequestId;
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::lock;
use crate::requests::{Answered, Asker, Asking, RequestRefusal, Requests};

/// Takes every request, and nobody decides.
#[derive(Default)]
pub struct MemoryRequests(Mutex<Vec<(Asker, Asking)>>);

impl MemoryRequests {
    /// What was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<(Asker, Asking)> {
        lock(&self.0).clone()
    }
}

impl Requests for MemoryRequests {
    fn ask<'a>(
        &'a self,
        asker: Asker,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Answered, RequestRefusal>> {
        let id = match &asking {
            Asking::Stands(id) => id.clone(),
            Asking::More { .. } => RequestId::mint(Timestamp::from_seconds(1), [7; 10]),
        };
        lock(&self.0).push((asker, asking));
        let answer = Object::new().with("request", &id).with("status", "pending");
        async move { Ok(Answered { answer, delegation: None }) }.boxed()
    }
}
