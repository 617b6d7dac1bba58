//! `[[account]]`: tool servers at which people connect their own account.

use std::path::Path;

use bailiwick_authority::http::provider::Network;
use bailiwick_authority::people::accounts::{AccountConfig, AccountError, Endpoints};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::provider::{client_secret, row};
use super::{Fault, OptionRow};
use crate::error::CliError;

/// Tool servers at most: each is a line on everybody's page.
const MAX_ACCOUNTS: usize = 64;

/// One `[[account]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccountOptions {
    pub(crate) tool_server: String,
    pub(crate) client_id: String,
    pub(crate) client_secret_file: String,
    pub(crate) issuer: String,
    pub(crate) authorization_url: String,
    pub(crate) token_url: String,
    pub(crate) revocation_url: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) network: String,
}

/// Every member of `[[account]]`, in the order of the documentation.
pub(crate) const ACCOUNT_OPTIONS: &[OptionRow] = &[
    row("tool_server", "a catalogued tool server; another one for each", "where", "nothing"),
    row(
        "client_id",
        "a text",
        "our client id there; register PUBLIC_URL/accounts/TOOL_SERVER/callback as its redirect URI",
        "nothing without the authorization server",
    ),
    row(
        "client_secret_file",
        "a file of mode 0600, from the data dir; empty for a public client",
        "our client secret there; PKCE is used either way",
        "can stand in for this installation at the authorization server",
    ),
    row(
        "issuer",
        "an https:// URL, exactly as the authorization server states it; empty: the tool server names it (RFC 9728), without a client secret only",
        "the tool server's authorization server, which publishes its metadata (RFC 8414)",
        "is sent people, codes and the client secret",
    ),
    row(
        "authorization_url",
        "an https:// URL; empty where there is metadata",
        "where people are sent",
        "shows people a login page",
    ),
    row(
        "token_url",
        "an https:// URL, together with `authorization_url`",
        "where codes and refresh tokens are exchanged",
        "is sent codes, refresh tokens and the client secret",
    ),
    row(
        "revocation_url",
        "an https:// URL, or empty",
        "where tokens are taken back (RFC 7009)",
        "is sent the tokens of whoever disconnects",
    ),
    row(
        "scopes",
        "at most 32 names",
        "what people are asked for",
        "can do more with their accounts",
    ),
    row(
        "network",
        "`public` or `inside`; empty means `public`",
        "where the authorization server may be: `inside` adds private addresses, and this very machine",
        "makes the authority connect to hosts inside",
    ),
];

impl AccountOptions {
    fn fault(&self) -> Option<(&'static str, CliError)> {
        let checked =
            self.config(None).and_then(|config| config.check(!self.client_secret_file.is_empty()));
        let AccountError::Config { member, expected } = checked.err()? else { return None };
        let said = CliError::usage(
            "config-out-of-range",
            format!("option `{member}` of account `{}` cannot be used", self.tool_server),
            format!("`{member}` takes {expected}"),
        );
        Some((member, said))
    }

    /// How people connect, with the client secret read from its file.
    pub(crate) fn read(&self, dir: &Path) -> Result<AccountConfig, CliError> {
        let secret = client_secret(dir, &self.client_secret_file)?;
        self.config(secret)
            .map_err(|error| CliError::usage(error.code(), error.to_string(), error.remedy()))
    }

    fn config(
        &self,
        client_secret: Option<Zeroizing<String>>,
    ) -> Result<AccountConfig, AccountError> {
        let bad = |member, expected| AccountError::Config { member, expected };
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let endpoints = match (some(&self.authorization_url), some(&self.token_url)) {
            (Some(authorization), Some(token)) => {
                Some(Endpoints { authorization, token, revocation: some(&self.revocation_url) })
            }
            (None, None) if self.revocation_url.is_empty() => None,
            _ => return Err(bad("token_url", "a URL, together with `authorization_url`")),
        };
        Ok(AccountConfig {
            server: ServerName::parse(&self.tool_server)
                .map_err(|_| bad("tool_server", "the name of a tool server"))?,
            client_id: self.client_id.clone(),
            client_secret,
            issuer: some(&self.issuer),
            endpoints,
            scopes: self.scopes.clone(),
            network: match self.network.as_str() {
                "" | "public" => Network::Public,
                "inside" => Network::Inside,
                _ => return Err(bad("network", "`public` or `inside`")),
            },
        })
    }

    /// As `config show` prints it.
    pub(crate) fn to_json(&self) -> Object {
        let scopes: Vec<Json> = self.scopes.iter().map(|s| Json::from(s.as_str())).collect();
        Object::new()
            .with("tool_server", self.tool_server.as_str())
            .with("client_id", self.client_id.as_str())
            .with("client_secret_file", self.client_secret_file.as_str())
            .with("issuer", self.issuer.as_str())
            .with("authorization_url", self.authorization_url.as_str())
            .with("token_url", self.token_url.as_str())
            .with("revocation_url", self.revocation_url.as_str())
            .with("scopes", scopes)
            .with("network", self.network.as_str())
    }
}

/// The first thing for which the tables cannot stand beside each other.
pub(super) fn fault(accounts: &[AccountOptions]) -> Option<Fault> {
    let out =
        |message: String, remedy: &str| CliError::usage("config-out-of-range", message, remedy);
    if accounts.len() > MAX_ACCOUNTS {
        let error =
            out(format!("there are more than {MAX_ACCOUNTS} accounts"), "remove some of them");
        return Some(Fault { option: format!("account.{MAX_ACCOUNTS}"), error });
    }
    accounts.iter().enumerate().find_map(|(i, account)| {
        let at = |member: &str| format!("account.{i}.{member}");
        if let Some((member, error)) = account.fault() {
            return Some(Fault { option: at(member), error });
        }
        let earlier = accounts.iter().take(i);
        { earlier }.find(|other| other.tool_server == account.tool_server)?;
        let error = out(
            format!("two accounts are for one tool server: `{}`", account.tool_server),
            "keep one of the two",
        );
        Some(Fault { option: at("tool_server"), error })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::{documents, refused};
    use super::*;

    #[test]
    fn the_page_about_configuration_says_what_an_account_takes() {
        documents(ACCOUNT_OPTIONS, &AccountOptions::default().to_json());
    }

    const GOOD: &str = "[[account]]\ntool_server = \"mail\"\nclient_id = \"bailiwick\"\nissuer = \"https://as.example\"\nclient_secret_file = \"keys/mail.secret\"\n";

    #[test]
    fn an_account_that_cannot_be_used_is_named_with_what_is_wrong() {
        toml::from_str::<Config>(GOOD).unwrap().check().unwrap();
        for (member, from, to) in [
            ("tool_server", "\"mail\"", "\"a/b\""),
            ("client_id", "\"bailiwick\"", "\"\""),
            ("issuer", "https://as.example", "http://as.example"),
            // A secret is for a server that the operator named.
            ("issuer", "issuer = \"https://as.example\"\n", ""),
        ] {
            let said = refused(&GOOD.replace(from, to));
            assert!(said.contains(&format!("`{member}`")), "{said}");
        }
        for (member, more) in [
            ("network", "network = \"everywhere\""),
            ("scopes", "scopes = [\"two words\"]"),
            ("token_url", "authorization_url = \"https://as.example/a\""),
        ] {
            assert!(refused(&format!("{GOOD}{more}\n")).contains(member), "{member}");
        }
        assert!(refused(&format!("{GOOD}{GOOD}")).contains("one tool server"));
        assert!(toml::from_str::<Config>(&format!("{GOOD}trusted = true\n")).is_err());
    }
}
