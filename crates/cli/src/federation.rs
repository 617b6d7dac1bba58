//! Other trust domains beside `serve`: each is asked on its own for its bundle and for
//! whom it revoked, so that one that is gone holds up nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_authority::federation::DomainConfig;
use bailiwick_authority::{Authority, Refusal};

use crate::config::federates_with::FederatesWithOptions;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;

/// How often a domain is asked whom it revoked.
const ASK: Duration = Duration::from_secs(1);
/// How soon a bundle is asked for again that could not be read.
const RETRY: Duration = Duration::from_secs(2);

/// The configured trust domains.
pub(crate) fn configured(data: &DataDir) -> Result<Vec<DomainConfig>, CliError> {
    let config = |options: &FederatesWithOptions| {
        options.config().map_err(|e| CliError::usage(e.code(), e.to_string(), e.remedy()))
    };
    data.config.federates_with.iter().map(config).collect()
}

/// Takes up which are configured, and begins to follow them.
pub(crate) fn start(data: &DataDir) -> Result<Vec<tokio::task::JoinHandle<()>>, CliError> {
    let all = configured(data)?;
    data.authority.federate(&all)?;
    let follow = |domain| tokio::spawn(Follower::new(&data.authority, domain).run());
    Ok(all.into_iter().map(follow).collect())
}

struct Follower {
    authority: Authority,
    domain: Arc<DomainConfig>,
    /// When to ask for the bundle again.
    due: Instant,
    /// The fault that was told last, so that it is told once.
    told: Option<&'static str>,
}

impl Follower {
    fn new(authority: &Authority, domain: DomainConfig) -> Self {
        let (authority, domain) = (authority.clone(), Arc::new(domain));
        Self { authority, domain, due: Instant::now(), told: None }
    }

    async fn run(mut self) {
        loop {
            match self.round().await {
                Ok(()) => {
                    if self.told.take().is_some() {
                        tracing::info!(trust_domain = self.domain.name, "it is followed again");
                    }
                }
                Err(refusal) => self.tell(&refusal),
            }
            tokio::time::sleep(ASK).await;
        }
    }

    fn tell(&mut self, refusal: &Refusal) {
        // Rotated keys are in its bundle before they sign.
        if refusal.code() == "trust-domain-key-unknown" {
            self.due = self.due.min(Instant::now() + RETRY);
        }
        if self.told != Some(refusal.code()) {
            tracing::warn!(
                code = refusal.code(),
                trust_domain = self.domain.name,
                remedy = %refusal.remedy(),
                "another trust domain is not followed, and counts for nothing soon: {refusal}"
            );
        }
        self.told = Some(refusal.code());
    }

    async fn round(&mut self) -> Result<(), Refusal> {
        if Instant::now() >= self.due {
            self.due = Instant::now() + RETRY;
            let bytes = self.domain.fetch_bundle().await.map_err(Refusal::from)?;
            let seconds = self
                .with(move |authority, domain| authority.domain_bundle(&domain.name, &bytes))
                .await?;
            self.due = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
        }
        let asked = host::now();
        let bytes = self.domain.fetch_revocations().await.map_err(Refusal::from)?;
        self.with(move |authority, domain| {
            authority.domain_revocations(&domain.name, &bytes, asked)
        })
        .await
    }

    /// Runs blocking work of the authority.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Authority, &DomainConfig) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (authority, domain) = (self.authority.clone(), Arc::clone(&self.domain));
        let done = tokio::task::spawn_blocking(move || work(&authority, &domain)).await;
        done.unwrap_or(Err(Refusal::Busy))
    }
}
