//! What the installation is, what it signs with, and what it is told.

use askama::Template;

use super::{Frame, Moment, Text};

/// A name with its value, and where it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingLine {
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
    /// What it means.
    pub meaning: Text,
}

/// A key of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    /// What it is for.
    pub purpose: &'static str,
    /// Its thumbprint (RFC 7638), or how its kind is named.
    pub fingerprint: String,
    /// Since when what it signs is accepted.
    pub from: Moment,
    /// Until when, exclusive.
    pub until: Option<Moment>,
    /// `present`, `former` or `compromised`.
    pub state: &'static str,
}

impl KeyLine {
    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.state {
            "present" => "good",
            "former" => "plain",
            _ => "bad",
        }
    }
}

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLine {
    /// Its name.
    pub name: Text,
    /// Its issuer.
    pub issuer: Text,
}

/// `/settings`
#[derive(Clone, Debug, Template)]
#[template(path = "settings.html")]
pub struct SettingsPage {
    /// The frame.
    pub frame: Frame,
    /// Names and versions.
    pub installation: Vec<SettingLine>,
    /// Limits on tokens, and how long things last.
    pub limits: Vec<SettingLine>,
    /// The options of the configuration file, as they are in force.
    pub options: Vec<SettingLine>,
    /// Keys, the present ones first.
    pub keys: Vec<KeyLine>,
    /// The log's public key, as checkpoints are verified with it.
    pub log_key: String,
    /// The trust file's fingerprint.
    pub trust: String,
    /// Identity providers.
    pub providers: Vec<ProviderLine>,
    /// Other trust domains that are configured.
    pub domains: Vec<SettingLine>,
}
