//! `[[provider]]`: OpenID Connect providers at which people log in.

use std::path::Path;

use bailiwick_authority::http::provider::Network;
use bailiwick_authority::people::oidc::{Namespace, OidcError, ProviderConfig};
use bailiwick_core::json::{Json, Object};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Fault, OptionRow};
use crate::error::CliError;
use crate::keyfile;

/// Providers at most: each is a button on the login page.
pub(crate) const MAX_PROVIDERS: usize = 16;
/// Bytes of a client secret at most.
const MAX_SECRET: usize = 1024;

/// One `[[provider]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProviderOptions {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret_file: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) groups_claim: String,
    pub(crate) claims: Vec<String>,
    pub(crate) network: String,
    pub(crate) principals: String,
    pub(crate) provision: bool,
    pub(crate) name_claim: String,
}

/// Every member of `[[provider]]`, in the order of the documentation.
pub(crate) const PROVIDER_OPTIONS: &[OptionRow] = &[
    row(
        "name",
        "1 to 32 of `a-z`, `0-9`, `-`; another one for each provider",
        "its name here: in addresses, and to register logins by",
        "nothing",
    ),
    row(
        "label",
        "a short text; empty means `name`",
        "what people read on the button",
        "misleads people about where they log in",
    ),
    row(
        "issuer",
        "an https:// URL, exactly as the provider states it; http:// on this machine with `network = \"inside\"`",
        "the provider; another one for each",
        "says who somebody is, for everyone in `principals`",
    ),
    row(
        "client_id",
        "a text",
        "our client id there; register PUBLIC_URL/login/callback as its redirect URI",
        "nothing without the provider",
    ),
    row(
        "client_secret_file",
        "a file of mode 0600, from the data dir; empty for a public client",
        "our client secret there; PKCE is used either way",
        "can stand in for this installation at the provider",
    ),
    row("scopes", "at most 16 names", "what to ask for besides `openid`", "sees more of people"),
    row(
        "groups_claim",
        "a claim's name; empty for none",
        "the claim that lists a person's groups, for entitlements",
        "chooses which claim counts as groups",
    ),
    row(
        "claims",
        "at most 16 names",
        "text claims that entitlements may ask for",
        "chooses which claims count",
    ),
    row(
        "network",
        "`public` or `inside`; empty means `public`",
        "where the provider may be: `inside` adds private addresses, and this very machine",
        "makes the authority connect to hosts inside",
    ),
    row(
        "principals",
        "`user:NAME`, or the begin of a name and `*`: `user:acme-*`; empty for nobody",
        "for whom it may speak: no login there signs anybody else in, or signs for them",
        "whoever controls the provider becomes anyone in it",
    ),
    row(
        "provision",
        "true or false; true only with a `*` in `principals`",
        "whether a person who comes for the first time becomes a principal",
        "anyone with an account there becomes a principal without roles",
    ),
    row(
        "name_claim",
        "a claim's name; empty means `sub`",
        "the claim that is put in place of the `*` for such a person, once",
        "chooses how new people are called; a name that is taken is refused",
    ),
];

pub(super) const fn row(
    name: &'static str,
    range: &'static str,
    meaning: &'static str,
    attacker: &'static str,
) -> OptionRow {
    OptionRow { name, range, env: None, meaning, attacker }
}

impl ProviderOptions {
    /// The member that cannot be used, as far as can be said without the
    /// secret's file.
    fn fault(&self) -> Option<(&'static str, CliError)> {
        let error = self.config(None).and_then(|config| config.check()).err()?;
        let OidcError::Config { member, expected } = &error else {
            // The namespace is the one member that is parsed.
            let said = CliError::usage(error.code(), error.to_string(), error.remedy());
            return Some(("principals", said));
        };
        let said = CliError::usage(
            "config-out-of-range",
            format!("option `{member}` of provider `{}` cannot be used", self.name),
            format!("`{member}` takes {expected}"),
        );
        Some((member, said))
    }

    /// The provider, with its client secret read from its file.
    pub(crate) fn read(&self, dir: &Path) -> Result<ProviderConfig, CliError> {
        let secret = client_secret(dir, &self.client_secret_file)?;
        self.config(secret)
            .map_err(|error| CliError::usage(error.code(), error.to_string(), error.remedy()))
    }

    fn config(
        &self,
        client_secret: Option<Zeroizing<String>>,
    ) -> Result<ProviderConfig, OidcError> {
        let or = |text: &str, other: &str| {
            if text.is_empty() { other.to_owned() } else { text.to_owned() }
        };
        Ok(ProviderConfig {
            name: self.name.clone(),
            label: or(&self.label, &self.name),
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            scopes: self.scopes.clone(),
            groups_claim: Some(self.groups_claim.clone()).filter(|claim| !claim.is_empty()),
            claims: self.claims.clone(),
            network: match self.network.as_str() {
                "" | "public" => Network::Public,
                "inside" => Network::Inside,
                _ => {
                    let expected = "`public` or `inside`";
                    return Err(OidcError::Config { member: "network", expected });
                }
            },
            principals: match self.principals.as_str() {
                "" => None,
                text => Some(Namespace::parse(text)?),
            },
            provision: self.provision,
            name_claim: or(&self.name_claim, "sub"),
        })
    }

    /// As `config show` prints it.
    pub(crate) fn to_json(&self) -> Object {
        let texts = |list: &[String]| -> Json {
            list.iter().map(|t| Json::from(t.as_str())).collect::<Vec<_>>().into()
        };
        Object::new()
            .with("name", self.name.as_str())
            .with("label", self.label.as_str())
            .with("issuer", self.issuer.as_str())
            .with("client_id", self.client_id.as_str())
            .with("client_secret_file", self.client_secret_file.as_str())
            .with("scopes", texts(&self.scopes))
            .with("groups_claim", self.groups_claim.as_str())
            .with("claims", texts(&self.claims))
            .with("network", self.network.as_str())
            .with("principals", self.principals.as_str())
            .with("provision", self.provision)
            .with("name_claim", self.name_claim.as_str())
    }
}

/// The client secret in a file, from the data dir; none, where no file is named.
pub(super) fn client_secret(dir: &Path, file: &str) -> Result<Option<Zeroizing<String>>, CliError> {
    if file.is_empty() {
        return Ok(None);
    }
    let path = dir.join(file);
    let bytes = keyfile::own(keyfile::read_private(&path))?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_end();
    if !(1..=MAX_SECRET).contains(&text.len()) || text.chars().any(char::is_control) {
        return Err(CliError::environment(
            "client-secret-malformed",
            format!("`{}` holds no client secret", path.display()),
            "write the secret on one line of the file",
        ));
    }
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// The first thing for which the providers cannot stand beside each other.
pub(super) fn fault(providers: &[ProviderOptions]) -> Option<Fault> {
    if providers.len() > MAX_PROVIDERS {
        let error = CliError::usage(
            "config-out-of-range",
            format!("there are more than {MAX_PROVIDERS} providers"),
            "remove some of them",
        );
        return Some(Fault { option: format!("provider.{MAX_PROVIDERS}"), error });
    }
    providers.iter().enumerate().find_map(|(i, provider)| {
        let at = |member: &str| format!("provider.{i}.{member}");
        if let Some((member, error)) = provider.fault() {
            return Some(Fault { option: at(member), error });
        }
        let same = |other: &&ProviderOptions| {
            other.name == provider.name || other.issuer == provider.issuer
        };
        let other = providers.iter().take(i).find(same)?;
        let error = CliError::usage(
            "config-out-of-range",
            format!("two providers are alike: `{}` and `{}`", other.name, provider.name),
            "give every provider a name and an issuer of its own",
        );
        Some(Fault {
            option: at(if other.name == provider.name { "name" } else { "issuer" }),
            error,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::documents;
    use super::*;

    #[test]
    fn the_page_about_configuration_says_what_a_provider_takes() {
        documents(PROVIDER_OPTIONS, &ProviderOptions::default().to_json());
    }

    const GOOD: &str = "[[provider]]\nname = \"acme\"\nissuer = \"https://login.acme.example\"\nclient_id = \"bailiwick\"\nprincipals = \"user:acme-*\"\n";

    fn refused(text: &str) -> String {
        let config: Config = toml::from_str(text).unwrap();
        let error = config.check().unwrap_err();
        assert_eq!(error.code, "config-out-of-range");
        format!("{} {}", error.message, error.remedy)
    }

    #[test]
    fn a_provider_that_cannot_be_used_is_named_with_what_is_wrong() {
        let config: Config = toml::from_str(GOOD).unwrap();
        config.check().unwrap();
        for (member, wrong) in [
            ("name", "name = \"Acme\""),
            ("issuer", "issuer = \"http://login.acme.example\""),
            ("issuer", "issuer = \"https://u:p@login.acme.example\""),
            ("client_id", "client_id = \"\""),
            ("principals", "principals = \"*\""),
            ("principals", "principals = \"service:*\""),
        ] {
            let line = GOOD.lines().find(|l| l.starts_with(&format!("{member} = "))).unwrap();
            let said = refused(&GOOD.replace(line, wrong));
            assert!(said.contains(&format!("`{member}`")), "{said}");
        }
        for (member, more) in [
            ("network", "network = \"everywhere\""),
            ("name_claim", "name_claim = \"nonce\""),
            ("scopes", "scopes = [\"two words\"]"),
        ] {
            assert!(refused(&format!("{GOOD}{more}\n")).contains(member), "{member}");
        }
        let nobody = GOOD.replace("principals = \"user:acme-*\"", "provision = true");
        assert!(refused(&nobody).contains("provision"));
        assert!(refused(&format!("{GOOD}{GOOD}")).contains("alike"));
        assert!(toml::from_str::<Config>(&format!("{GOOD}trusted = true\n")).is_err());
    }
}
