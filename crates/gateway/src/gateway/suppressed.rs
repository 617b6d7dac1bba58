//! Denials that were counted, written as one entry once the journal takes it.

use std::time::Duration;

use super::Gateway;
use crate::stages::evidence;

/// How long denials without an entry are counted before the count is written.
const SUPPRESSED_PAUSE: Duration = Duration::from_secs(5);

impl Gateway {
    /// Writes the count of denials without an entry in a while, and tries again
    /// until the journal takes it.
    pub(super) fn write_suppressed_soon(&self) {
        let gateway = self.clone();
        self.tracker.spawn(async move {
            loop {
                let stopping = tokio::select! {
                    () = tokio::time::sleep(SUPPRESSED_PAUSE) => false,
                    () = gateway.stopping.cancelled() => true,
                };
                if gateway.write_suppressed().await || stopping {
                    return;
                }
            }
        });
    }

    /// False, if there is a count that could not be written; it is kept.
    pub(super) async fn write_suppressed(&self) -> bool {
        let Some(counted) = self.strangers.take() else { return true };
        let event = evidence::suppressed(self, &counted);
        if self.ports.journal.record_denial(event, Vec::new()).await.is_ok() {
            return true;
        }
        tracing::error!(count = counted.count, "a count of denials could not be recorded");
        self.strangers.put_back(counted);
        false
    }
}
