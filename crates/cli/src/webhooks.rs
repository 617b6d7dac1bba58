//! Webhooks beside `serve`: each follows the ledger on its own, so that a receiver
//! that is slow or gone holds up nobody else, and no call.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_authority::http::webhooks::send;
use bailiwick_authority::{Authority, Due, Refusal};
use futures_util::StreamExt as _;

use crate::config::webhook::{Webhook, WebhookOptions};
use crate::datadir::DataDir;
use crate::error::CliError;

/// How often it is looked for something to tell.
const LOOK: Duration = Duration::from_millis(500);
/// Messages under way to one receiver at once.
const AT_ONCE: usize = 4;

/// Begins to tell those that are configured. One that is new is told of what happens from this
/// moment on.
pub(crate) fn start(data: &DataDir) -> Result<Vec<tokio::task::JoinHandle<()>>, CliError> {
    let read = |options: &WebhookOptions| {
        let webhook = options.read(&data.dir)?;
        data.authority.webhook_look(&webhook.config.name, &webhook.config.events)?;
        Ok(webhook)
    };
    let webhooks: Result<Vec<Webhook>, CliError> = data.config.webhook.iter().map(read).collect();
    let begin = |webhook: Webhook| {
        let authority = data.authority.clone();
        tokio::spawn(tend(authority, Arc::new(webhook)))
    };
    Ok(webhooks?.into_iter().map(begin).collect())
}

async fn tend(authority: Authority, webhook: Arc<Webhook>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(refusal) = round(&authority, &webhook).await {
            let name = webhook.config.name.as_str();
            tracing::warn!(
                code = refusal.code(),
                webhook = name,
                "a webhook is not told: {refusal}"
            );
        }
    }
}

/// Runs blocking work of the authority.
async fn with<T: Send + 'static>(
    authority: &Authority,
    webhook: &Arc<Webhook>,
    work: impl FnOnce(&Authority, &Webhook) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (authority, webhook) = (authority.clone(), Arc::clone(webhook));
    let done = tokio::task::spawn_blocking(move || work(&authority, &webhook)).await;
    done.unwrap_or(Err(Refusal::Busy))
}

async fn round(authority: &Authority, webhook: &Arc<Webhook>) -> Result<(), Refusal> {
    let due = with(authority, webhook, |authority, webhook| {
        authority.webhook_look(&webhook.config.name, &webhook.config.events)?;
        authority.webhook_due(&webhook.config.name, &webhook.secrets)
    });
    let mut sent = Vec::new();
    let mut under_way = futures_util::stream::iter(due.await?)
        .map(async |due: Due| {
            let became = send(&webhook.url, webhook.config.network, &due.message).await;
            (due, became)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((due, became)) = under_way.next().await {
        if let Err(error) = became {
            let name = webhook.config.name.as_str();
            tracing::warn!(code = error.code(), webhook = name, entry = %due.entry, "{error}");
        }
        sent.push((due, became));
    }
    if sent.is_empty() {
        return Ok(());
    }
    with(authority, webhook, |authority, webhook| {
        authority.webhook_sent(&webhook.config.name, sent)
    })
    .await
}
