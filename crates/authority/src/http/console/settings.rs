//! What the installation is, what it signs with, and what it is told.

use axum::http::StatusCode;
use axum::response::Response;

use super::{Failure, Inner, Me, Visit, page};
use crate::PublishedKey;
use crate::console::{KeyLine, Moment, ProviderLine, Section, SettingLine, SettingsPage, Text};
use crate::people::roles::Deed;

/// One option of the configuration, as it is in force. The composition root knows
/// them; none of them is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it means.
    pub meaning: String,
}

fn line(name: &str, value: impl AsRef<str>, meaning: &str) -> SettingLine {
    SettingLine { name: Text::of(name), value: Text::of(value), meaning: Text::of(meaning) }
}

fn installation(cx: &Inner) -> Vec<SettingLine> {
    let found = cx.authority.installation();
    vec![
        line("Public URL", &found.issuer, "issuer, audience and redirects are named after it"),
        line("Trust domain", &found.trust_domain, "agents are spiffe://… of it"),
        line("Organisation", found.org.as_str(), ""),
        line("Log", found.log_key.name(), "the origin of its checkpoints"),
        line("Version", env!("CARGO_PKG_VERSION"), "of this program"),
        line("Schema", bailiwick_store::schema_version().to_string(), "of state.db"),
    ]
}

fn limits(cx: &Inner) -> Vec<SettingLine> {
    let found = cx.authority.installation();
    let limits = &found.limits;
    let number = |name, value: i64, meaning| line(name, value.to_string(), meaning);
    let size = |name, value: usize, meaning| line(name, value.to_string(), meaning);
    vec![
        number("Root", found.max_root_seconds, "seconds that a root lives at most"),
        number("New key", found.new_key_seconds, "seconds after which a new key may sign verdicts"),
        size("Token", limits.max_token_size, "bytes of one token at most"),
        size("Chain", limits.max_chain_size, "bytes of all tokens of a call at most"),
        line("Depth", limits.max_delegation_depth.to_string(), "times that authority is passed on"),
        size("Constraints", limits.max_constraint_depth, "levels of one constraint at most"),
        number("Clock skew", limits.max_iat_skew, "seconds that a token may be of the future"),
        number("Proof", limits.pop_window, "seconds around now for a proof of possession"),
    ]
}

fn key_line(key: &PublishedKey, began: bailiwick_core::time::Timestamp) -> KeyLine {
    KeyLine {
        purpose: key.purpose.as_str(),
        fingerprint: key.key.kid(),
        from: Moment::of(key.from.unwrap_or(began)),
        until: key.until.map(Moment::of),
        state: key.state(),
    }
}

fn view(cx: &Inner, me: &Me) -> Result<SettingsPage, Failure> {
    let began = cx.authority.started()?;
    let mut keys = cx.authority.all_keys();
    keys.sort_by_key(|key| key.until.is_some());
    let now = cx.authority.host().now();
    let domains = cx.authority.trust_domains()?;
    Ok(SettingsPage {
        frame: cx.frame(Some(me), Some(Section::Settings)),
        installation: installation(cx),
        limits: limits(cx),
        options: cx
            .settings
            .iter()
            .map(|s| line(&s.name, &s.value, &s.meaning.replace('`', "")))
            .collect(),
        keys: keys.iter().map(|key| key_line(key, began)).collect(),
        log_key: cx.authority.installation().log_key.to_string(),
        trust: cx.authority.trust()?.fingerprint(),
        providers: cx
            .providers
            .configs()
            .map(|config| ProviderLine {
                name: Text::of(&config.name),
                issuer: Text::of(&config.issuer),
            })
            .collect(),
        domains: domains
            .iter()
            .map(|known| {
                let seconds = now.millis_since(known.as_of).max(0) / 1_000;
                let heard = format!("its last word on revocations was heard {seconds} s ago");
                line(&known.domain.name, &known.domain.issuer, &heard)
            })
            .collect(),
    })
}

pub(super) async fn show(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            me.require(Deed::SeeSettings)?;
            Ok(page(StatusCode::OK, &view(cx, me)?))
        })
        .await
}
