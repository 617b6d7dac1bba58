//! Accounts of people in the vault: kept, renewed before they end, and gone
//! when their server renews them no more.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_authority::http::console::{Accounts, Later};
use bailiwick_authority::people::accounts::{
    AccountConfig, AccountError, KIND, SOURCE, TokenSite, Tokens,
};
use bailiwick_authority::{Authority, NewCredential, Refusal, SignedIn};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::ServerName;
use bailiwick_gateway::ports::VaultFault;
use bailiwick_store::{Claim, Store, StoreError, VaultPlace, VaultRow, VaultTaken};
use futures_util::future::join_all;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::form::{Form, Source};
use super::source::fault;
use super::{good_seconds, key, key_of};
use crate::config::account::AccountOptions;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;

/// How long somebody else may be at the vault.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Accounts of which it is remembered what was handed out.
const MAX_HANDED: usize = 10_000;
/// How long a process that stops waits until the ends of consents are told.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Waits while another process, or another thread of this one, changes the
/// vault.
fn claim(store: &Store) -> Result<Claim, StoreError> {
    let began = Instant::now();
    loop {
        match store.claim("vault") {
            Err(StoreError::AlreadyRunning { .. }) if began.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

fn form(site: &TokenSite, tokens: &Tokens) -> Form {
    Form::Account {
        secret: Source::Value(tokens.access.to_string()),
        until: tokens
            .lasts
            .map(|lasts| host::now().plus_seconds(good_seconds(Some(lasts))).seconds()),
        refresh: tokens.refresh.as_ref().map(|refresh| refresh.to_string()),
        issuer: site.issuer.clone(),
        token_url: site.token.clone(),
        revocation_url: site.revocation.clone(),
        client_id: site.client_id.clone(),
        resource: site.resource.clone(),
    }
}

fn parts(form: &Form) -> Option<(TokenSite, Tokens)> {
    let Form::Account {
        secret: Source::Value(access),
        refresh,
        issuer,
        token_url,
        revocation_url,
        client_id,
        resource,
        ..
    } = form
    else {
        return None;
    };
    let site = TokenSite {
        issuer: issuer.clone(),
        token: token_url.clone(),
        revocation: revocation_url.clone(),
        client_id: client_id.clone(),
        resource: resource.clone(),
    };
    let refresh = refresh.clone().map(Zeroizing::new);
    Some((site, Tokens { access: Zeroizing::new(access.clone()), refresh, lasts: None }))
}

/// What the console and the API need of the vault.
pub(crate) struct StoreAccounts {
    data: Arc<DataDir>,
    /// Ends of consents that are being told.
    ending: TaskTracker,
}

impl StoreAccounts {
    pub(crate) fn new(data: &Arc<DataDir>) -> Self {
        Self { data: Arc::clone(data), ending: TaskTracker::new() }
    }

    /// Waits, not for ever, until what began to be told is told.
    pub(crate) async fn settle(&self) {
        self.ending.close();
        if tokio::time::timeout(LAST_WORDS, self.ending.wait()).await.is_err() {
            tracing::warn!("the end of a consent was not told to its authorization server");
        }
    }

    fn put(&self, person: &SignedIn, new: NewCredential) -> Result<(), Refusal> {
        let not_kept = |error: &CliError| {
            tracing::error!(code = %error.code, remedy = %error.remedy, "{}", error.message);
            Refusal::from(AccountError::NotKept)
        };
        let _alone = claim(self.data.store())?;
        let key = key(&self.data).map_err(|e| not_kept(&e))?;
        let replaced = self.data.authority.by(person).vault_set(new, &key)?;
        // Another consent of theirs that was finished at the same time.
        drop(self.end(replaced.into_iter().collect()));
        Ok(())
    }
}

/// Tells the authorization server of a consent that was taken out of the vault
/// that it ended; whether it was told.
async fn end(data: &DataDir, taken: &VaultTaken) -> bool {
    let server = &taken.row.place.server;
    let parts = key_of(&data.dir, &taken.row).ok().and_then(|key| {
        let form = Form::parse(&taken.open(&key).ok()?)?;
        parts(&form)
    });
    let (Some((site, tokens)), Some(options)) = (parts, data.account(server)) else {
        return false;
    };
    let revoked = match configured(options, &data.dir) {
        Ok(config) => site.revoke(&config, &tokens).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &revoked {
        tracing::warn!(code = error.code(), %server, "a consent was not revoked");
    }
    matches!(revoked, Ok(true))
}

/// Tells all of them, at once; gives the tool servers where nobody could be told.
pub(crate) async fn end_all(data: &DataDir, taken: &[VaultTaken]) -> Vec<ServerName> {
    let told = join_all(taken.iter().map(|taken| end(data, taken))).await;
    let untold = taken.iter().zip(told).filter(|(_, told)| !told);
    untold.map(|(taken, _)| taken.row.place.server.clone()).collect()
}

impl Accounts for StoreAccounts {
    fn offers(&self, server: &ServerName) -> bool {
        self.data.account(server).is_some()
    }

    fn config(&self, server: &ServerName) -> Result<AccountConfig, AccountError> {
        let options = self.data.account(server).ok_or(AccountError::NotOffered)?;
        configured(options, &self.data.dir)
    }

    fn keep(
        &self,
        person: &SignedIn,
        server: &ServerName,
        site: &TokenSite,
        tokens: &Tokens,
    ) -> Result<(), Refusal> {
        let sealed = form(site, tokens).to_bytes().map_err(|_| AccountError::NotKept)?;
        let new = NewCredential {
            server: server.clone(),
            principal: Some(person.id.clone()),
            kind: KIND,
            source: SOURCE,
            sealed,
        };
        self.put(person, new)
    }

    fn end(&self, taken: Vec<VaultTaken>) -> Later<'static, Vec<ServerName>> {
        let data = Arc::clone(&self.data);
        let all = taken.iter().map(|taken| taken.row.place.server.clone()).collect();
        let ending = self.ending.spawn(async move { end_all(&data, &taken).await });
        Box::pin(async move { ending.await.unwrap_or(all) })
    }
}

fn configured(
    options: &AccountOptions,
    dir: &std::path::Path,
) -> Result<AccountConfig, AccountError> {
    options.read(dir).map_err(|error| {
        tracing::error!(code = %error.code, remedy = %error.remedy, "{}", error.message);
        AccountError::Config { member: "client_secret_file", expected: "a readable file" }
    })
}

/// Renews accounts for the gateway, which alone does: a refresh token that is
/// used twice counts as stolen at its server.
pub(super) struct Renewer {
    authority: Authority,
    dir: PathBuf,
    options: Vec<AccountOptions>,
    /// The access token that was handed out last. Whoever comes for another
    /// one while it is good was refused with it.
    handed: Mutex<HashMap<VaultPlace, Digest>>,
}

impl Renewer {
    pub(super) fn new(data: &DataDir) -> Self {
        Self {
            authority: data.authority.clone(),
            dir: data.dir.clone(),
            options: data.config.account.clone(),
            handed: Mutex::default(),
        }
    }

    /// Whether it is the one that was handed out before; remembers it.
    fn again(&self, place: &VaultPlace, access: &str) -> bool {
        let digest = sha256(access.as_bytes());
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        if handed.len() >= MAX_HANDED {
            handed.clear();
        }
        handed.insert(place.clone(), digest) == Some(digest)
    }

    /// The account as it is good now; `None`, if it ended. The broker asks for
    /// one account once at a time.
    pub(super) async fn current(
        &self,
        row: &VaultRow,
        held: Form,
    ) -> Result<Option<Form>, VaultFault> {
        let unreadable = || fault("vault-unreadable");
        let (site, tokens) = parts(&held).ok_or_else(unreadable)?;
        let Form::Account { until, .. } = &held else { return Err(unreadable()) };
        let ended = until.is_some_and(|until| host::now().seconds() >= until);
        if !self.again(&row.place, &tokens.access) && !ended {
            return Ok(Some(held));
        }
        let Some(refresh) = &tokens.refresh else {
            // Without an end it is refused or not; there is nothing else to show.
            return if ended { self.lapse(row).await } else { Ok(Some(held)) };
        };
        let options = self.options.iter().find(|o| o.tool_server == row.place.server.as_str());
        let options = options.ok_or(fault("account-not-offered"))?;
        let config = configured(options, &self.dir).map_err(|e| fault(e.code()))?;
        let renewed = match site.renew(&config, refresh).await {
            Ok(renewed) => renewed,
            Err(AccountError::Lapsed) => return self.lapse(row).await,
            Err(error) => return Err(fault(error.code())),
        };
        self.again(&row.place, &renewed.access);
        let kept = self.keep(row, form(&site, &renewed)).await?;
        // The person disconnected meanwhile; what was renewed ends there too.
        if kept.is_none()
            && let Err(error) = site.revoke(&config, &renewed).await
        {
            tracing::warn!(code = error.code(), server = %row.place.server, "a consent was not revoked");
        }
        Ok(kept)
    }

    /// Seals what was renewed. If the person disconnected meanwhile, nothing is
    /// there any more.
    async fn keep(&self, row: &VaultRow, renewed: Form) -> Result<Option<Form>, VaultFault> {
        let (authority, dir, row) = (self.authority.clone(), self.dir.clone(), row.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let unkept = |what: &dyn std::fmt::Display| {
                tracing::error!(error = %what, "a renewed account was not kept");
                fault("account-not-kept")
            };
            let _alone = claim(authority.store()).map_err(|e| unkept(&e))?;
            let sealed = renewed.to_bytes().map_err(|e| unkept(&e.message))?;
            // The vault may have another key by now.
            let now = authority.store().read(|view| view.vault_row(&row.place));
            let Some(now) = now.map_err(|e| unkept(&e))? else { return Ok(None) };
            let key = key_of(&dir, &now).map_err(|e| unkept(&e.message))?;
            let kept = authority.vault_renew(&row.place, &row.entry, sealed, &key);
            kept.map_err(|e| unkept(&e)).map(|kept| kept.then_some(renewed))
        });
        kept.await.unwrap_or(Err(fault("account-not-kept")))
    }

    /// Removes what was refused. If somebody renewed it meanwhile, what they
    /// keep is not what was refused, and stays; it is used from the next call on.
    async fn lapse(&self, row: &VaultRow) -> Result<Option<Form>, VaultFault> {
        let (authority, refused) = (self.authority.clone(), row.clone());
        let gone = tokio::task::spawn_blocking(move || authority.vault_lapsed(&refused));
        match gone.await {
            Ok(Ok(true)) => {
                tracing::warn!(server = %row.place.server, "an account is not renewed any more");
                Ok(None)
            }
            Ok(Ok(false)) => Err(fault("account-renewed-elsewhere")),
            _ => Err(fault("account-lapsed")),
        }
    }
}
