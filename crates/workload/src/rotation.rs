//! SVIDs that are replaced at half their life, each with a key of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::material::{Bundle, Issued, Key, Material, MaterialError};

/// The share of its life after which an SVID is replaced, in percent.
const RENEW_AFTER: u64 = 50;
/// The pause after an attempt that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the bundle is looked at: a new authority of the trust domain signs at
/// once.
const BUNDLE: Duration = Duration::from_secs(10);

/// Nothing was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unissued {
    /// The authority does not answer, or not in a way that is understood: ask again.
    #[error("nothing was issued yet: {0}")]
    Away(String),
    /// The authority says no: the instance is nobody any more.
    #[error("no SVID is issued: {0}")]
    Refused(String),
}

impl From<MaterialError> for Unissued {
    fn from(error: MaterialError) -> Self {
        Self::Away(error.to_string())
    }
}

/// An authority, as a sidecar asks it. Calls may block.
pub trait Issuer: Send + Sync + 'static {
    /// Issues for the key of a certificate request.
    ///
    /// # Errors
    /// See [`Unissued`].
    fn issue(&self, request: &[u8]) -> Result<Issued, Unissued>;

    /// The bundle of the trust domain as of now.
    ///
    /// # Errors
    /// See [`Unissued`].
    fn bundle(&self) -> Result<Bundle, Unissued>;
}

/// What there is at the moment.
#[derive(Clone, Debug)]
pub enum Current {
    /// SVIDs; they may have run out while the authority was away.
    Some(Arc<Material>),
    /// Nothing any more: the authority said why.
    Refused(String),
}

/// SVIDs that are kept fresh while somebody holds this or a clone of it.
#[derive(Clone, Debug)]
pub struct Rotation(watch::Receiver<Current>);

impl Rotation {
    /// Gets the first SVIDs, so that what is wrong is said at once, and keeps them
    /// fresh from then on.
    ///
    /// # Errors
    /// See [`Unissued`].
    pub async fn start(issuer: Arc<dyn Issuer>) -> Result<Self, Unissued> {
        let (first, seconds) = issue(Arc::clone(&issuer)).await?;
        let (to, current) = watch::channel(Current::Some(Arc::new(first)));
        tokio::spawn(keep(issuer, to, seconds));
        Ok(Self(current))
    }

    /// What is given and changed by somebody else.
    #[must_use]
    pub fn of(current: watch::Receiver<Current>) -> Self {
        Self(current)
    }

    /// What there is now.
    #[must_use]
    pub fn now(&self) -> Current {
        self.0.borrow().clone()
    }

    /// What there is now, after which [`Self::changed`] waits for the next.
    pub(crate) fn take(&mut self) -> Current {
        self.0.borrow_and_update().clone()
    }

    /// Waits until there is something else; `false` when there will not be.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Unissued> + Send + 'static,
) -> Result<T, Unissued> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Unissued::Away("the request was given up".to_owned())))
}

async fn issue(issuer: Arc<dyn Issuer>) -> Result<(Material, u64), Unissued> {
    blocking(move || {
        let key = Key::fresh()?;
        let issued = issuer.issue(&key.request()?)?;
        let seconds = issued.seconds;
        Ok((Material::new(key, issued)?, seconds))
    })
    .await
}

fn pause(seconds: u64) -> Duration {
    Duration::from_millis(seconds.saturating_mul(1000).saturating_mul(RENEW_AFTER) / 100)
        .max(Duration::from_secs(1))
}

async fn keep(issuer: Arc<dyn Issuer>, to: watch::Sender<Current>, seconds: u64) {
    let mut renewal = tokio::time::Instant::now() + pause(seconds);
    loop {
        let look = tokio::time::Instant::now() + BUNDLE;
        tokio::select! {
            () = to.closed() => return,
            () = tokio::time::sleep_until(renewal.min(look)) => {}
        }
        if tokio::time::Instant::now() < renewal && vouched_for(&issuer, &to).await {
            continue;
        }
        let next = match issue(Arc::clone(&issuer)).await {
            Ok((material, seconds)) => {
                tracing::info!(spiffe_id = %material.spiffe_id(), not_after = %material.not_after(), "the SVIDs are replaced");
                to.send_replace(Current::Some(Arc::new(material)));
                pause(seconds)
            }
            // The SVIDs of before live on for a while.
            Err(Unissued::Away(why)) => {
                tracing::warn!("the SVIDs are not replaced yet: {why}");
                AGAIN
            }
            // A suspension may be lifted: it is asked again, and nobody has anything until then.
            Err(Unissued::Refused(why)) => {
                tracing::error!("the SVIDs are given up: {why}");
                to.send_replace(Current::Refused(why));
                AGAIN
            }
        };
        renewal = tokio::time::Instant::now() + next;
    }
}

/// Takes up another bundle beside the same SVIDs; `false` when no authority in it
/// vouches for them any more, after one was given up.
async fn vouched_for(issuer: &Arc<dyn Issuer>, to: &watch::Sender<Current>) -> bool {
    let issuer = Arc::clone(issuer);
    let bundle = match blocking(move || issuer.bundle()).await {
        Ok(bundle) => bundle,
        Err(why) => {
            tracing::debug!("the trust bundle was not looked at: {why}");
            return true;
        }
    };
    to.send_if_modified(|current| match current {
        Current::Some(material) if *material.bundle() != bundle => {
            *material = Arc::new(material.with_bundle(bundle));
            true
        }
        _ => false,
    });
    match &*to.borrow() {
        Current::Some(material) => material.is_vouched_for(),
        Current::Refused(_) => true,
    }
}
