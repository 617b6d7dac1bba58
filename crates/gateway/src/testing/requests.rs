//! Requests for more authority, in memory.

use std::sync::Mutex;

use bailiwick_core::ids::RequestId;
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::lock;
use crate::ports::{Answered, Asker, Asking, RequestRefusal, Requests};

/// Takes every request, and nobody decides.
#[derive(Default)]
pub struct MemoryRequests(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    asked: Vec<(Asker, Asking)>,
    fault: Option<RequestRefusal>,
}

impl MemoryRequests {
    /// What was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<(Asker, Asking)> {
        lock(&self.0).asked.clone()
    }

    /// Refuses like this from now on, or not any more.
    pub fn set_fault(&self, fault: Option<RequestRefusal>) {
        lock(&self.0).fault = fault;
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
        let mut kept = lock(&self.0);
        kept.asked.push((asker, asking));
        let answer = Object::new().with("request", &id).with("status", "pending");
        let answered = match kept.fault.clone() {
            Some(fault) => Err(fault),
            None => Ok(Answered { answer, delegation: None }),
        };
        async move { answered }.boxed()
    }
}
