//! The configured providers, with what was learned of each: asked for when it
//! is needed, kept for a while, asked for again when a key is unknown.

use std::sync::Arc;

use bailiwick_core::time::Timestamp;
use tokio::sync::Mutex;

use super::{Begun, Callback, LoggedIn, OidcError, Provider, ProviderConfig};
use crate::host::Host;
use crate::people::sessions::Secret;

/// Seconds for which a provider's metadata and keys are used.
const KEPT_SECONDS: i64 = 3600;
/// Seconds between two questions at most, whatever comes in: a provider that
/// is down, or tokens that name keys of nobody, cost no more than that.
const PAUSE_SECONDS: i64 = 10;

/// Where a provider sends the browser back to.
const CALLBACK: &str = "/login/callback";

/// The configured providers.
#[derive(Debug)]
pub struct Providers {
    list: Vec<Source>,
    redirect_uri: String,
}

#[derive(Debug)]
struct Source {
    config: ProviderConfig,
    learned: Mutex<Learned>,
}

/// What was learned last.
#[derive(Debug, Default)]
struct Learned {
    provider: Option<Arc<Provider>>,
    /// Why the last question was not answered.
    error: Option<OidcError>,
    /// When it was asked.
    asked: Option<Timestamp>,
}

impl Providers {
    /// The providers of an installation whose URL is `issuer`. Nothing is
    /// asked yet: a provider that is down keeps nobody else out.
    #[must_use]
    pub fn new(issuer: &str, configs: Vec<ProviderConfig>) -> Self {
        let source = |config| Source { config, learned: Mutex::default() };
        Self {
            list: configs.into_iter().map(source).collect(),
            redirect_uri: format!("{issuer}{CALLBACK}"),
        }
    }

    /// As the operator configured them, in that order.
    pub fn configs(&self) -> impl Iterator<Item = &ProviderConfig> {
        self.list.iter().map(|source| &source.config)
    }

    /// The one with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ProviderConfig> {
        self.configs().find(|config| config.name == name)
    }

    /// The one with this issuer identifier.
    #[must_use]
    pub fn of_issuer(&self, issuer: &str) -> Option<&ProviderConfig> {
        self.configs().find(|config| config.issuer == issuer)
    }

    fn source(&self, issuer: &str) -> Result<&Source, OidcError> {
        self.list.iter().find(|s| s.config.issuer == issuer).ok_or(OidcError::MixUp)
    }

    /// A provider's metadata and keys, at most an hour old.
    ///
    /// # Errors
    /// See [`Provider::discover`].
    pub async fn current(&self, issuer: &str, now: Timestamp) -> Result<Arc<Provider>, OidcError> {
        let source = self.source(issuer)?;
        // One question at a time: who comes meanwhile gets its answer.
        let mut learned = source.learned.lock().await;
        let age = learned.asked.map(|asked| now.millis_since(asked) / 1000);
        match (&learned.provider, age) {
            (Some(provider), Some(age)) if (0..KEPT_SECONDS).contains(&age) => {
                return Ok(Arc::clone(provider));
            }
            _ => {}
        }
        self.ask(source, &mut learned, now).await
    }

    /// Asks again because a token names a key that `known` does not have.
    async fn again(
        &self,
        known: &Arc<Provider>,
        now: Timestamp,
    ) -> Result<Option<Arc<Provider>>, OidcError> {
        let source = self.source(&known.config().issuer)?;
        let mut learned = source.learned.lock().await;
        match &learned.provider {
            // Somebody else asked meanwhile.
            Some(newer) if !Arc::ptr_eq(newer, known) => return Ok(Some(Arc::clone(newer))),
            _ => {}
        }
        if learned.is_recent(now) {
            return Ok(None);
        }
        self.ask(source, &mut learned, now).await.map(Some)
    }

    async fn ask(
        &self,
        source: &Source,
        learned: &mut Learned,
        now: Timestamp,
    ) -> Result<Arc<Provider>, OidcError> {
        if let Some(error) = learned.error.clone().filter(|_| learned.is_recent(now)) {
            return Err(error);
        }
        let found = Provider::discover(source.config.clone(), &self.redirect_uri).await;
        learned.asked = Some(now);
        match found {
            Ok(provider) => {
                let provider = Arc::new(provider);
                (learned.provider, learned.error) = (Some(Arc::clone(&provider)), None);
                Ok(provider)
            }
            Err(error) => {
                let (name, code) = (source.config.name.as_str(), error.code());
                tracing::warn!(provider = name, code, error = %error, "a provider cannot be used");
                // SECURITY: keys that may have been withdrawn are not used on.
                (learned.provider, learned.error) = (None, Some(error.clone()));
                Err(error)
            }
        }
    }

    /// Finishes a login with what the browser brought back. `begun` must be
    /// taken away from where it was kept before, so that it serves once.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn finish(
        &self,
        begun: &Begun,
        secret: &Secret,
        callback: &Callback,
        host: &dyn Host,
    ) -> Result<LoggedIn, OidcError> {
        let provider = self.current(&begun.issuer, host.now()).await?;
        let token = provider.exchange(begun, secret, callback).await?;
        let now = host.now();
        match provider.read(&token, begun, secret, now) {
            Err(error) if error.is_unknown_key() => match self.again(&provider, now).await? {
                Some(newer) => newer.read(&token, begun, secret, now),
                None => Err(error),
            },
            read => read,
        }
    }
}

impl Learned {
    fn is_recent(&self, now: Timestamp) -> bool {
        self.asked.is_some_and(|asked| (0..PAUSE_SECONDS * 1000).contains(&now.millis_since(asked)))
    }
}
