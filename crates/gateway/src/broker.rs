//! The credential broker: which credential a call carries to its tool server.
//!
//! It is chosen by the tool server and, where that knows each principal by an
//! account of their own, by the verified principal; nothing of a request has a
//! part in it. The vault says what is held; here it is kept for as long as it
//! is good, and made once however many calls wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{PrincipalId, ServerName};
use bailiwick_core::time::Timestamp;
use tokio_util::task::TaskTracker;

use crate::credential::Credential;
use crate::ports::{Host, Opened, ToolServer, UpstreamIdentity, Vault, VaultFault};

/// Credentials that are kept open at once; beyond it they are opened anew.
const MAX_KEPT: usize = 10_000;

/// A tool server that refuses everything must not become a flood of requests
/// for tokens.
const RENEW_PAUSE_SECONDS: i64 = 5;

/// A failure that took this long is not waited for again at once.
const SLOW_MS: i64 = 1_000;

/// Whose credential, and where; no principal for the gateway's own.
type Place = (ServerName, Option<PrincipalId>);

/// One place: whoever opens it is alone.
#[derive(Default)]
struct Slot {
    kept: Mutex<Option<Opened>>,
    /// Until when a slow failure counts for those who ask again.
    failed: Mutex<Option<(Timestamp, VaultFault)>>,
    /// Held by whoever opens it: when it was last renewed.
    opening: tokio::sync::Mutex<Option<Timestamp>>,
}

impl Slot {
    /// What is kept, if it is of this version and still good.
    fn good(&self, version: &str, now: Timestamp) -> Option<Credential> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref()
            .filter(|k| k.version == version && k.until.is_none_or(|until| now < until))
            .map(|k| k.credential.clone())
    }

    fn keep(&self, opened: Option<Opened>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = opened;
    }

    /// Opens it, once for all who wait.
    async fn open(
        &self,
        vault: &dyn Vault,
        host: &dyn Host,
        place: &Place,
        version: &str,
    ) -> Result<Option<Credential>, VaultFault> {
        let _alone = self.opening.lock().await;
        let began = host.now();
        if let Some(credential) = self.good(version, began) {
            return Ok(Some(credential));
        }
        if let Some((until, fault)) = self.failed()
            && began < until
        {
            return Err(fault);
        }
        match vault.open(&place.0, place.1.as_ref()).await {
            Ok(opened) => {
                self.keep(opened.clone());
                Ok(opened.map(|o| o.credential))
            }
            Err(fault) => {
                let now = host.now();
                // Calls must not queue up behind somebody who does not answer.
                if now.millis_since(began) >= SLOW_MS {
                    let until = now.plus_seconds(RENEW_PAUSE_SECONDS);
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some((until, fault));
                }
                Err(fault)
            }
        }
    }

    fn failed(&self) -> Option<(Timestamp, VaultFault)> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker.
pub(crate) struct Broker {
    vault: Arc<dyn Vault>,
    host: Arc<dyn Host>,
    /// Where people connect their accounts.
    page: Option<String>,
    slots: Mutex<HashMap<Place, Arc<Slot>>>,
    /// What is being opened, whoever waits for it.
    opening: TaskTracker,
}

impl Broker {
    pub(crate) fn new(vault: Arc<dyn Vault>, host: Arc<dyn Host>, page: Option<String>) -> Self {
        Self { vault, host, page, slots: Mutex::default(), opening: TaskTracker::new() }
    }

    /// Waits until nothing is being opened any more; false, if something still
    /// was after `limit`. A process that ended before would lose a token that was
    /// just given out in place of the one that the vault still holds.
    pub(crate) async fn settle(&self, limit: Duration) -> bool {
        self.opening.close();
        tokio::time::timeout(limit, self.opening.wait()).await.is_ok()
    }

    fn slot(&self, place: &Place) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(place) {
            return Arc::clone(slot);
        }
        if slots.len() >= MAX_KEPT {
            // What somebody opens stays: two would renew with the same token.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(place.clone()).or_default())
    }

    /// The tool server with the credential that it is shown on behalf of
    /// `principal`.
    ///
    /// # Errors
    /// [`Reason::UpstreamAccountMissing`], [`Reason::CredentialUnavailable`].
    pub(crate) async fn equip(
        &self,
        server: Arc<ToolServer>,
        principal: &PrincipalId,
    ) -> Result<Arc<ToolServer>, Denial> {
        let whose = match server.identity {
            UpstreamIdentity::Shared => None,
            UpstreamIdentity::Principal => Some(principal.clone()),
        };
        let own = whose.is_some();
        let place = (server.name.clone(), whose);
        match self.open(&place).await {
            // SECURITY: never the gateway's own credential, nor another's.
            Ok(None) if own => {
                let about = match &self.page {
                    Some(page) => format!("{}, connect it at {page}", server.name),
                    None => server.name.to_string(),
                };
                Err(Denial::new(Reason::UpstreamAccountMissing).about(about))
            }
            Ok(None) => Ok(server),
            Ok(Some(credential)) => Ok(equipped(&server, credential, place)),
            Err(VaultFault { code }) => {
                tracing::error!(server = %server.name, code, "no credential");
                Err(Denial::new(Reason::CredentialUnavailable).about(code))
            }
        }
    }

    /// The tool server with the gateway's own credential, if it has one: to
    /// read definitions for itself.
    ///
    /// # Errors
    /// [`VaultFault`].
    pub(crate) async fn equip_own(
        &self,
        server: Arc<ToolServer>,
    ) -> Result<Arc<ToolServer>, VaultFault> {
        let place = (server.name.clone(), None);
        Ok(match self.open(&place).await? {
            Some(credential) => equipped(&server, credential, place),
            None => server,
        })
    }

    async fn open(&self, place: &Place) -> Result<Option<Credential>, VaultFault> {
        let (server, principal) = (&place.0, place.1.as_ref());
        let Some(version) = self.vault.version(server, principal)? else { return Ok(None) };
        let slot = self.slot(place);
        if let Some(credential) = slot.good(&version, self.host.now()) {
            return Ok(Some(credential));
        }
        // Nobody who goes away leaves a token half renewed: its authorization server
        // has forgotten the old one by then.
        let (vault, host, place) = (Arc::clone(&self.vault), Arc::clone(&self.host), place.clone());
        let opening = async move { slot.open(&*vault, &*host, &place, &version).await };
        self.opening.spawn(opening).await.unwrap_or(Err(VaultFault { code: "vault-unreadable" }))
    }

    /// Another credential in place of one that the tool server refused: once,
    /// however many calls it refused. `None`, if there is no other.
    pub(crate) async fn renew(&self, carried: &Carried) -> Option<Credential> {
        let slot = self.slot(&carried.place);
        {
            let mut last = slot.opening.lock().await;
            let mut kept = slot.kept.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have renewed it meanwhile.
            if kept.as_ref().is_some_and(|k| k.credential.is(&carried.credential)) {
                let now = self.host.now();
                if last.is_some_and(|last| now < last.plus_seconds(RENEW_PAUSE_SECONDS)) {
                    return None;
                }
                *last = Some(now);
                *kept = None;
            }
        }
        let renewed = self.open(&carried.place).await.ok().flatten()?;
        (!renewed.is(&carried.credential)).then_some(renewed)
    }
}

/// A credential on its way, and the place that it came from.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) credential: Credential,
    place: Place,
}

impl Carried {
    /// One that was given, not brokered.
    pub(crate) fn of(server: &ServerName, credential: Credential) -> Self {
        Self { credential, place: (server.clone(), None) }
    }
}

fn equipped(server: &ToolServer, credential: Credential, place: Place) -> Arc<ToolServer> {
    Arc::new(ToolServer { carried: Some(Carried { credential, place }), ..server.clone() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;
    use tokio::sync::Notify;

    use super::*;

    /// Renews when it is told to, and counts.
    #[derive(Default)]
    struct Renewing {
        asked: Notify,
        go: Notify,
        opened: AtomicUsize,
    }

    impl Vault for Renewing {
        fn version(
            &self,
            _: &ServerName,
            _: Option<&PrincipalId>,
        ) -> Result<Option<String>, VaultFault> {
            Ok(Some("1".to_owned()))
        }

        fn open<'a>(
            &'a self,
            _: &'a ServerName,
            _: Option<&'a PrincipalId>,
        ) -> BoxFuture<'a, Result<Option<Opened>, VaultFault>> {
            Box::pin(async {
                self.asked.notify_one();
                self.go.notified().await;
                self.opened.fetch_add(1, Ordering::SeqCst);
                let credential = Credential::bearer("a-token-that-is-long-enough").unwrap();
                Ok(Some(Opened { credential, version: "1".to_owned(), until: None }))
            })
        }
    }

    struct Clock;

    impl Host for Clock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_704_067_500_000)
        }

        fn fill(&self, _: &mut [u8]) {}
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_token_half_renewed() {
        let vault = Arc::new(Renewing::default());
        let broker = Arc::new(Broker::new(Arc::clone(&vault) as _, Arc::new(Clock), None));
        let place = (ServerName::parse("mail").unwrap(), None);
        let (asking, at) = (Arc::clone(&broker), place.clone());
        let gone = tokio::spawn(async move { asking.open(&at).await });
        vault.asked.notified().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        // Nor does a process that stops, as long as it may wait.
        assert!(!broker.settle(Duration::from_millis(50)).await);
        vault.go.notify_one();
        assert!(broker.settle(Duration::from_secs(60)).await);
        assert_eq!(vault.opened.load(Ordering::SeqCst), 1);
        // What the first began is kept; nothing is asked for again.
        assert!(broker.open(&place).await.unwrap().is_some());
        assert_eq!(vault.opened.load(Ordering::SeqCst), 1);
    }
}
