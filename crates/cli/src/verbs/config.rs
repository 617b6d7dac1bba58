//! `config`: the configuration in force.

use std::path::Path;

use bailiwick_core::json::{Json, Object};

use crate::args::ConfigVerb;
use crate::config::account::ACCOUNT_OPTIONS;
use crate::config::check::CHECK_OPTIONS;
use crate::config::federates_with::FEDERATES_WITH_OPTIONS;
use crate::config::provider::PROVIDER_OPTIONS;
use crate::config::webhook::WEBHOOK_OPTIONS;
use crate::config::{Config, FILE, OPTIONS, OptionRow};
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::federation;
use crate::output::Output;

pub(super) fn run(verb: ConfigVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let config = Config::load(dir)?;
    match verb {
        ConfigVerb::Check => {
            check_federation(&config, dir)?;
            let file = dir.join(FILE);
            let found = file.exists();
            let text = if found {
                format!("`{}` is valid", file.display())
            } else {
                format!("there is no `{}`; the defaults are in force", file.display())
            };
            let file = found.then(|| file.display().to_string());
            out.result(Object::new().with("ok", true).with("file", file), text);
        }
        ConfigVerb::Show => {
            let mut text = String::new();
            for row in OPTIONS {
                text.push_str(&format!(
                    "{} = {}\n  {}\n  range: {}{}\n  who controls it gains: {}\n\n",
                    row.name,
                    config.value(row.name),
                    row.meaning,
                    row.range,
                    row.env.map(|e| format!("; environment: {e}")).unwrap_or_default(),
                    row.attacker,
                ));
            }
            let mut object = config.to_json();
            let providers = config.provider.iter().map(|p| ("provider", p.to_json()));
            let accounts = config.account.iter().map(|a| ("account", a.to_json()));
            let webhooks = config.webhook.iter().map(|w| ("webhook", w.to_json()));
            let domains = config.federates_with.iter().map(|d| ("federates_with", d.to_json()));
            let checks = config.check.iter().map(|c| ("check", c.to_json()));
            let (mut of_provider, mut of_account, mut of_webhook, mut of_check, mut of_domain) =
                (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let tables = providers.chain(accounts).chain(webhooks).chain(checks).chain(domains);
            for (table, members) in tables {
                let (rows, list) = match table {
                    "provider" => (PROVIDER_OPTIONS, &mut of_provider),
                    "account" => (ACCOUNT_OPTIONS, &mut of_account),
                    "webhook" => (WEBHOOK_OPTIONS, &mut of_webhook),
                    "check" => (CHECK_OPTIONS, &mut of_check),
                    _ => (FEDERATES_WITH_OPTIONS, &mut of_domain),
                };
                text.push_str(&format!("[[{table}]]\n"));
                for row in rows {
                    let value = members.member(row.name).cloned().unwrap_or(Json::Null);
                    let OptionRow { name, range, meaning, attacker, .. } = row;
                    text.push_str(&format!(
                        "{name} = {value}\n  {meaning}\n  range: {range}\n  who controls it gains: {attacker}\n\n",
                    ));
                }
                list.push(Json::from(members));
            }
            object.insert("provider", of_provider);
            object.insert("account", of_account);
            object.insert("webhook", of_webhook);
            object.insert("check", of_check);
            object.insert("federates_with", of_domain);
            out.result(object, text.trim_end());
        }
    }
    Ok(())
}

/// Whether owners and tools of other trust domains are registered, where there is an
/// installation already.
fn check_federation(config: &Config, dir: &Path) -> Result<(), CliError> {
    if config.federates_with.is_empty() {
        return Ok(());
    }
    let data = DataDir::open(dir)?;
    Ok(data.authority.check_federation(&federation::configured(&data)?)?)
}
