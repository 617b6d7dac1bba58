//! Clients whose id is the URL of their metadata document.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::json::{Json, JsonError};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::ClientSource;

use super::console::{Clients, Later, RecordedClients};
use super::fetch::{Fetch, MAX_BYTES};
use super::limits::{Rate, RateLimiter};
use crate::Authority;
use crate::oauth::client::{ClientId, ClientMetadata, DocumentUrl, Source};
use crate::oauth::error::{Code, OAuthError};
use crate::rules::clients::NewClient;

/// Documents remembered at once.
const MAX_DOCUMENTS: usize = 1024;
/// Seconds for which a document is kept, whatever its server says.
const KEPT_SECONDS: std::ops::RangeInclusive<i64> = 60..=86_400;
/// How often documents are fetched at all: strangers name them.
const FETCHES: Rate = Rate { burst: 60, per_minute: 60 };
/// How often one host is asked.
const PER_HOST: Rate = Rate { burst: 6, per_minute: 6 };
const JSON: JsonLimits = JsonLimits { max_bytes: MAX_BYTES, max_depth: 8, max_values: 512 };

/// The clients on record, and those that publish a document. What a document
/// says is registered, so that an operator finds the client and can map it.
pub struct DocumentClients {
    authority: Authority,
    recorded: RecordedClients,
    fetch: Arc<dyn Fetch>,
    loopback: bool,
    fetched: Mutex<HashMap<String, Timestamp>>,
    all: RateLimiter<()>,
    hosts: RateLimiter<String>,
}

impl std::fmt::Debug for DocumentClients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocumentClients").finish_non_exhaustive()
    }
}

impl DocumentClients {
    /// Clients of `authority`. `loopback` also lets documents be on this very
    /// machine, for tests: an operator's choice.
    #[must_use]
    pub fn new(authority: Authority, fetch: Arc<dyn Fetch>, loopback: bool) -> Self {
        let now = authority.host().now();
        Self {
            recorded: RecordedClients(authority.clone()),
            authority,
            fetch,
            loopback,
            fetched: Mutex::new(HashMap::new()),
            all: RateLimiter::new(FETCHES, 1, now),
            hosts: RateLimiter::new(PER_HOST, MAX_DOCUMENTS, now),
        }
    }

    /// Makes sure that what the document of `id` says is on record. For a
    /// client that is on record already a document that cannot be had changes
    /// nothing for a while.
    ///
    /// # Errors
    /// `invalid_client` when the document cannot be had or is not acceptable.
    pub async fn refresh(&self, id: &ClientId) -> Result<(), OAuthError> {
        let url = DocumentUrl::parse(id.as_str(), self.loopback)?;
        let now = self.authority.host().now();
        if self.kept().get(url.as_str()).is_some_and(|until| now < *until) {
            return Ok(());
        }
        let limited = self.hosts.admit(url.host().to_owned(), now);
        limited.and_then(|()| self.all.admit((), now)).map_err(OAuthError::rate_limited)?;
        let fetched = self.fetch.fetch(&url).await.map_err(|error| {
            let text = format!("the client's metadata document: {error}; {}", error.remedy());
            OAuthError::new(Code::InvalidClient, error.code(), text)
        })?;
        let metadata = read(&fetched.body, &url)?;
        let new = NewClient {
            id: url.as_str().to_owned(),
            source: ClientSource::Document,
            name: metadata.name.clone().unwrap_or_else(|| url.host().to_owned()),
            metadata: Json::from(metadata.to_json()).canonical(),
        };
        let authority = self.authority.clone();
        let registered = tokio::task::spawn_blocking(move || authority.client_register(new)).await;
        registered.map_err(|_| OAuthError::unavailable("state-unavailable"))?.map_err(
            |refusal| OAuthError::new(Code::InvalidClient, refusal.code(), refusal.to_string()),
        )?;
        // Only what was acceptable is kept, and for a bounded time.
        let seconds = fetched
            .max_age_seconds
            .unwrap_or(*KEPT_SECONDS.start())
            .clamp(*KEPT_SECONDS.start(), *KEPT_SECONDS.end());
        let mut kept = self.kept();
        if kept.len() >= MAX_DOCUMENTS {
            kept.retain(|_, until| now < *until);
        }
        if kept.len() < MAX_DOCUMENTS {
            kept.insert(url.as_str().to_owned(), now.plus_seconds(seconds));
        }
        Ok(())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Timestamp>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(body: &[u8], url: &DocumentUrl) -> Result<ClientMetadata, OAuthError> {
    let bad = |text: String| OAuthError::new(Code::InvalidClient, "document-unacceptable", text);
    let json = Json::parse(body, &JSON)
        .map_err(|e: JsonError| bad(format!("the client's metadata document: {e}")))?;
    let object = json
        .as_object()
        .ok_or_else(|| bad("the client's metadata document is no JSON object".to_owned()))?;
    ClientMetadata::parse(object, Source::Document(url))
        .map_err(|e| bad(format!("the client's metadata document: {}", e.description)))
}

impl Clients for DocumentClients {
    fn metadata<'a>(
        &'a self,
        id: &'a ClientId,
    ) -> Later<'a, Result<Option<ClientMetadata>, OAuthError>> {
        Box::pin(async move {
            if id.is_url() {
                self.refresh(id).await?;
            }
            self.recorded.metadata(id).await
        })
    }
}
