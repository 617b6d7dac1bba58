//! `webhook`: who is told that calls wait for people.

use std::path::Path;

use bailiwick_authority::http::webhooks::send;
use bailiwick_authority::webhooks::{Event, Message, test_body};
use bailiwick_core::json::{Json, Object};

use crate::args::WebhookVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::output::Output;
use crate::table::table_or;

pub(super) fn run(verb: WebhookVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        WebhookVerb::List => list(&data, out),
        WebhookVerb::Test { name } => test(&data, &name, out),
    }
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let (mut list, mut lines) = (Vec::new(), Vec::new());
    for options in &data.config.webhook {
        let state = data.store().read(|view| view.webhook_state(&options.name))?;
        let delivered = state.delivered.map(|at| at.to_string());
        let (failed, failure) = state.failed.map(|(at, why)| (at.to_string(), why)).unzip();
        lines.push(vec![
            options.name.clone(),
            options.url.clone(),
            state.waiting.to_string(),
            state.given_up.to_string(),
            delivered.clone().unwrap_or_else(|| "never".to_owned()),
            failure.clone().map_or_else(
                || "none".to_owned(),
                |why| format!("{}: {why}", failed.as_deref().unwrap_or_default()),
            ),
        ]);
        list.push(Json::from(
            options
                .to_json()
                .with("waiting", state.waiting)
                .with("given_up", state.given_up)
                .with("delivered", delivered)
                .with("failed", failed)
                .with("failure", failure),
        ));
    }
    let heads = ["webhook", "url", "waiting", "given up", "delivered last", "failed last"];
    let none = "no webhook is configured: add a [[webhook]] table to bailiwick.toml";
    let first = data.config.webhook.first().map(|options| options.name.clone());
    out.result(Object::new().with("webhooks", list), table_or(&heads, &lines, none));
    if let Some(name) = first {
        out.next(&[&format!("bailiwick webhook test {name}")]);
    }
    Ok(())
}

fn test(data: &DataDir, name: &str, out: Output) -> Result<(), CliError> {
    let options = data.config.webhook.iter().find(|options| options.name == name);
    let options = options.ok_or_else(|| {
        CliError::not_found(
            "webhook-unknown",
            format!("no webhook is called `{name}`"),
            "see `bailiwick webhook list`",
        )
    })?;
    let webhook = options.read(&data.dir)?;
    let (now, random) = (host::now(), host::random::<16>()?);
    let id = format!("test_{}", bailiwick_core::crypto::base64url(&random));
    let body = test_body(now, &data.authority.installation().issuer);
    let message = Message::sign(&id, &body, &webhook.secrets, now);
    let sent = super::runtime()?.block_on(send(&webhook.url, webhook.config.network, &message));
    sent.map_err(|e| CliError::environment(e.code(), e.to_string(), e.remedy()))?;
    let object = Object::new()
        .with("webhook", name)
        .with("id", id.as_str())
        .with("type", Event::Test.as_str())
        .with("delivered", true);
    out.result(object, format!("{name} took the message {id}"));
    out.next(&["bailiwick webhook list"]);
    Ok(())
}
