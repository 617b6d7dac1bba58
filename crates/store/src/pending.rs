//! An answer that arrives once the write is durable: a future for async
//! callers, [`Pending::wait`] for others.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::StoreError;

struct Slot<V> {
    value: Option<V>,
    closed: bool,
    waker: Option<Waker>,
}

struct Shared<V> {
    slot: Mutex<Slot<V>>,
    arrived: Condvar,
}

/// The outcome of a write, once it is durable.
///
/// Dropping it does not undo the write: what was handed to the writer runs,
/// also when the caller has gone away.
#[must_use = "a write is durable only once its outcome arrived"]
pub struct Pending<T, E>(Arc<Shared<Result<T, E>>>);

/// The writer's side; dropping it unanswered reports an interruption.
pub(crate) struct Answer<T, E>(Arc<Shared<Result<T, E>>>);

pub(crate) fn pending<T, E>() -> (Answer<T, E>, Pending<T, E>) {
    let slot = Mutex::new(Slot { value: None, closed: false, waker: None });
    let shared = Arc::new(Shared { slot, arrived: Condvar::new() });
    (Answer(Arc::clone(&shared)), Pending(shared))
}

impl<T, E> Answer<T, E> {
    pub(crate) fn send(self, value: Result<T, E>) {
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    }
}

impl<T, E> Drop for Answer<T, E> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.closed = true;
            slot.waker.take()
        };
        self.0.arrived.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T, E: From<StoreError>> Pending<T, E> {
    /// Blocks until the outcome arrives. Not for async code: await the value
    /// instead.
    ///
    /// # Errors
    /// What the unit of work failed with, or a [`StoreError`].
    pub fn wait(self) -> Result<T, E> {
        let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        while !slot.closed {
            slot = self.0.arrived.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        slot.value.take().unwrap_or_else(|| Err(StoreError::Interrupted.into()))
    }
}

impl<T, E: From<StoreError>> Future for Pending<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.closed {
            let value = slot.value.take();
            return Poll::Ready(value.unwrap_or_else(|| Err(StoreError::Interrupted.into())));
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
