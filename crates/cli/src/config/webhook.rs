//! `[[webhook]]`: who is told that calls wait for people.

use std::path::Path;

use bailiwick_authority::http::provider::Network;
use bailiwick_authority::webhooks::{Event, Secret, WebhookConfig, WebhookError};
use bailiwick_core::json::{Json, Object};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::provider::row;
use super::{Fault, OptionRow};
use crate::error::CliError;
use crate::keyfile;

/// Webhooks at most: each follows the ledger on its own.
const MAX_WEBHOOKS: usize = 16;

/// One `[[webhook]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookOptions {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) secret_file: String,
    pub(crate) events: Vec<String>,
    pub(crate) network: String,
}

/// Every member of `[[webhook]]`, in the order of the documentation.
pub(crate) const WEBHOOK_OPTIONS: &[OptionRow] = &[
    row(
        "name",
        "1 to 32 of `a-z`, `0-9`, `-`; another one for each webhook",
        "its name here",
        "nothing",
    ),
    row(
        "url",
        "an https:// URL; http:// on this machine with `network = \"inside\"`",
        "where messages are sent, by POST",
        "is told who asks for what, but no argument, and decides nothing",
    ),
    row(
        "secret_file",
        "a file of mode 0600, from the data dir",
        "the key that signs messages, `whsec_…`; below it, on a second line, the one before while receivers change over",
        "can send the receiver messages in our name",
    ),
    row(
        "events",
        "a list of `approval.requested` and `approval.settled`; empty for both",
        "what it is told",
        "is told more, or nothing",
    ),
    row(
        "network",
        "`public` or `inside`; empty means `public`",
        "where the receiver may be: `inside` adds private addresses, and this very machine",
        "makes the authority connect to hosts inside",
    ),
];

/// A webhook that can be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) config: WebhookConfig,
    pub(crate) url: url::Url,
    pub(crate) secrets: Vec<Secret>,
}

impl WebhookOptions {
    fn fault(&self) -> Option<(&'static str, CliError)> {
        let checked = self.config().and_then(|config| config.check());
        let (member, expected) = match checked {
            Err(WebhookError::Config { member, expected }) => (member, expected),
            _ if self.secret_file.is_empty() => ("secret_file", "a file of mode 0600"),
            _ => return None,
        };
        let said = CliError::usage(
            "config-out-of-range",
            format!("option `{member}` of webhook `{}` cannot be used", self.name),
            format!("`{member}` takes {expected}"),
        );
        Some((member, said))
    }

    /// The webhook, with its secret read from its file.
    pub(crate) fn read(&self, dir: &Path) -> Result<Webhook, CliError> {
        let told =
            |e: WebhookError| CliError::usage(e.code(), e.to_string(), e.remedy().to_owned());
        let config = self.config().map_err(told)?;
        let url = config.check().map_err(told)?;
        let path = dir.join(&self.secret_file);
        let bytes = Zeroizing::new(keyfile::own(keyfile::read_private(&path))?);
        let secrets = std::str::from_utf8(&bytes)
            .map_err(|_| WebhookError::Secret)
            .and_then(Secret::parse_lines);
        let secrets = secrets.map_err(|e| {
            let said = format!("`{}`: {e}", path.display());
            CliError::environment(e.code(), said, e.remedy())
        })?;
        Ok(Webhook { config, url, secrets })
    }

    fn config(&self) -> Result<WebhookConfig, WebhookError> {
        let bad = |member, expected| WebhookError::Config { member, expected };
        let read = |name: &String| {
            let expected = "a list of `approval.requested` and `approval.settled`";
            Event::parse(name).ok_or(bad("events", expected))
        };
        let events = match self.events.as_slice() {
            [] => Event::ALL.into(),
            names => names.iter().map(read).collect::<Result<_, _>>()?,
        };
        Ok(WebhookConfig {
            name: self.name.clone(),
            url: self.url.clone(),
            events,
            network: match self.network.as_str() {
                "" | "public" => Network::Public,
                "inside" => Network::Inside,
                _ => return Err(bad("network", "`public` or `inside`")),
            },
        })
    }

    /// As `config show` prints it.
    pub(crate) fn to_json(&self) -> Object {
        let events: Vec<Json> = self.events.iter().map(|e| Json::from(e.as_str())).collect();
        Object::new()
            .with("name", self.name.as_str())
            .with("url", self.url.as_str())
            .with("secret_file", self.secret_file.as_str())
            .with("events", events)
            .with("network", self.network.as_str())
    }
}

/// The first thing for which the tables cannot stand beside each other.
pub(super) fn fault(webhooks: &[WebhookOptions]) -> Option<Fault> {
    let out =
        |message: String, remedy: &str| CliError::usage("config-out-of-range", message, remedy);
    if webhooks.len() > MAX_WEBHOOKS {
        let error =
            out(format!("there are more than {MAX_WEBHOOKS} webhooks"), "remove some of them");
        return Some(Fault { option: format!("webhook.{MAX_WEBHOOKS}"), error });
    }
    webhooks.iter().enumerate().find_map(|(i, webhook)| {
        let at = |member: &str| format!("webhook.{i}.{member}");
        if let Some((member, error)) = webhook.fault() {
            return Some(Fault { option: at(member), error });
        }
        { webhooks.iter().take(i) }.find(|other| other.name == webhook.name)?;
        let error = out(
            format!("two webhooks have one name: `{}`", webhook.name),
            "give every webhook a name of its own",
        );
        Some(Fault { option: at("name"), error })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::{documents, refused};
    use super::*;

    #[test]
    fn the_page_about_configuration_says_what_a_webhook_takes() {
        documents(WEBHOOK_OPTIONS, &WebhookOptions::default().to_json());
    }

    const GOOD: &str = "[[webhook]]\nname = \"chat\"\nurl = \"https://hooks.example/x\"\nsecret_file = \"keys/chat.secret\"\n";

    #[test]
    fn a_webhook_that_cannot_be_used_is_named_with_what_is_wrong() {
        toml::from_str::<Config>(GOOD).unwrap().check().unwrap();
        for (member, from, to) in [
            ("name", "\"chat\"", "\"a b\""),
            ("url", "https://hooks.example", "http://hooks.example"),
            ("secret_file", "secret_file = \"keys/chat.secret\"\n", ""),
        ] {
            let said = refused(&GOOD.replace(from, to));
            assert!(said.contains(&format!("`{member}`")), "{said}");
        }
        for (member, more) in [
            ("network", "network = \"everywhere\""),
            ("events", "events = [\"approval.approved\"]"),
        ] {
            assert!(refused(&format!("{GOOD}{more}\n")).contains(member), "{member}");
        }
        assert!(refused(&format!("{GOOD}{GOOD}")).contains("one name"));
        assert!(toml::from_str::<Config>(&format!("{GOOD}verdicts = true\n")).is_err());
    }
}
