//! `[[federates_with]]`: other trust domains whose agents may be handed tasks.

use bailiwick_authority::federation::{DomainConfig, FederationError, MAX_DOMAINS};
use bailiwick_authority::http::provider::Network;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{PrincipalId, ToolId};
use bailiwick_core::json::{Json, Object};
use serde::Deserialize;

use super::provider::row;
use super::{Fault, OptionRow};
use crate::error::CliError;

/// Why no `principals` can be listed.
const AGENTS_ONLY: &str = "no `principals`: a foreign trust domain speaks for its agents only, never for a principal; roots are signed by this installation's issuer alone";

/// One `[[federates_with]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FederatesWithOptions {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) bundle: String,
    pub(crate) revocations: String,
    pub(crate) owner: String,
    pub(crate) tools: Vec<String>,
    pub(crate) max_guarantee: String,
    pub(crate) network: String,
    /// Read, so that whoever writes it is told why there is no such thing.
    principals: Option<toml::Value>,
}

impl Default for FederatesWithOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            issuer: String::new(),
            bundle: String::new(),
            revocations: String::new(),
            owner: String::new(),
            tools: Vec::new(),
            max_guarantee: Guarantee::Key.as_str().to_owned(),
            network: String::new(),
            principals: None,
        }
    }
}

/// Every member of `[[federates_with]]`, in the order of the documentation.
pub(crate) const FEDERATES_WITH_OPTIONS: &[OptionRow] = &[
    row(
        "name",
        "a trust domain in lower case; another one for each, and none that looks like this installation's own",
        "the other trust domain",
        "nothing without its keys",
    ),
    row(
        "issuer",
        "a URL, exactly as in its identity tokens",
        "who speaks for its agents; never for a principal",
        "nothing without its keys",
    ),
    row(
        "bundle",
        "an https:// URL; http:// on this machine with `network = \"inside\"`",
        "where its trust bundle is (SPIFFE Federation, `https_web`)",
        "can say that anybody is one of its agents, and so be handed what they are handed",
    ),
    row(
        "revocations",
        "an https:// URL; http:// on this machine with `network = \"inside\"`",
        "where its word on whom it revoked is: PUBLIC_URL/spiffe/revocations of a Bailiwick",
        "can hold it back, upon which its agents are denied after ten seconds",
    ),
    row(
        "owner",
        "a registered principal, such as `user:owner`",
        "who answers here for dealings with it; its agents act as long as they are active",
        "whom its agents' actions are put down to",
    ),
    row(
        "tools",
        "a list of tool ids; empty: none",
        "the tools that its agents may be handed, within what the giver holds",
        "can be handed more by agents here",
    ),
    row(
        "max_guarantee",
        "`key`, `jwt`, `mtls` or `attested`; `key` when left out",
        "how sure of one of its agents anybody is at most",
        "passes rules of policy that ask for more",
    ),
    row(
        "network",
        "`public` or `inside`; empty means `public`",
        "where the two URLs may lead: `inside` adds private addresses, and this very machine",
        "makes the authority connect to hosts inside",
    ),
];

impl FederatesWithOptions {
    fn fault(&self, own: &str, earlier: &[Self]) -> Option<(&'static str, CliError)> {
        let names = earlier.iter().map(|other| other.name.as_str());
        let checked = self.config().and_then(|config| config.check(own, names));
        let FederationError::Config { member, expected } = checked.err()? else { return None };
        let said = CliError::usage(
            "config-out-of-range",
            format!("option `{member}` of trust domain `{}` cannot be used", self.name),
            format!("`{member}` takes {expected}"),
        );
        Some((member, said))
    }

    /// The domain as the authority takes it.
    pub(crate) fn config(&self) -> Result<DomainConfig, FederationError> {
        let bad = |member, expected| FederationError::Config { member, expected };
        if self.principals.is_some() {
            return Err(bad("principals", AGENTS_ONLY));
        }
        let tool = |id: &String| ToolId::parse(id).map_err(|_| bad("tools", "a list of tool ids"));
        let guarantee = "`key`, `jwt`, `mtls` or `attested`";
        Ok(DomainConfig {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            bundle: self.bundle.clone(),
            revocations: self.revocations.clone(),
            owner: PrincipalId::parse(&self.owner)
                .map_err(|_| bad("owner", "a registered principal, such as `user:owner`"))?,
            tools: self.tools.iter().map(tool).collect::<Result<_, _>>()?,
            max_guarantee: Guarantee::parse(&self.max_guarantee)
                .ok_or_else(|| bad("max_guarantee", guarantee))?,
            network: match self.network.as_str() {
                "" | "public" => Network::Public,
                "inside" => Network::Inside,
                _ => return Err(bad("network", "`public` or `inside`")),
            },
        })
    }

    /// As `config show` prints it.
    pub(crate) fn to_json(&self) -> Object {
        let tools: Vec<Json> = self.tools.iter().map(|t| Json::from(t.as_str())).collect();
        Object::new()
            .with("name", self.name.as_str())
            .with("issuer", self.issuer.as_str())
            .with("bundle", self.bundle.as_str())
            .with("revocations", self.revocations.as_str())
            .with("owner", self.owner.as_str())
            .with("tools", tools)
            .with("max_guarantee", self.max_guarantee.as_str())
            .with("network", self.network.as_str())
    }
}

/// The first thing for which the tables cannot stand beside each other and the own
/// trust domain.
pub(super) fn fault(own: &str, domains: &[FederatesWithOptions]) -> Option<Fault> {
    if domains.len() > MAX_DOMAINS {
        let said = format!("there are more than {MAX_DOMAINS} trust domains");
        let error = CliError::usage("config-out-of-range", said, "remove some of them");
        return Some(Fault { option: format!("federates_with.{MAX_DOMAINS}"), error });
    }
    domains.iter().enumerate().find_map(|(i, domain)| {
        let earlier = domains.get(..i).unwrap_or_default();
        let (member, error) = domain.fault(own, earlier)?;
        Some(Fault { option: format!("federates_with.{i}.{member}"), error })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::{documents, refused};
    use super::*;

    #[test]
    fn the_page_about_configuration_says_what_a_trust_domain_takes() {
        documents(FEDERATES_WITH_OPTIONS, &FederatesWithOptions::default().to_json());
    }

    const GOOD: &str = "[[federates_with]]\nname = \"b.example\"\nissuer = \"https://b.example\"\nbundle = \"https://b.example/spiffe/bundle.json\"\nrevocations = \"https://b.example/spiffe/revocations\"\nowner = \"user:owner\"\ntools = [\"mcp:desk:tools/get_order\"]\n";

    #[test]
    fn a_trust_domain_that_cannot_be_used_is_named_with_what_is_wrong() {
        toml::from_str::<Config>(GOOD).unwrap().check().unwrap();
        for (member, from, to) in [
            ("name", "\"b.example\"", "\"B.example\""),
            ("name", "\"b.example\"", "\"b.example.\""),
            ("name", "\"b.example\"", "\"bailiwick.local\""),
            ("name", "\"b.example\"", "\"Bailiwick.Local.\""),
            ("issuer", "\"https://b.example\"\n", "\"\"\n"),
            ("bundle", "https://b.example/spiffe/bundle.json", "http://b.example/bundle"),
            ("revocations", "https://b.example/spiffe/rev", "http://127.0.0.1:1/rev"),
            ("owner", "\"user:owner\"", "\"agent:owner\""),
            ("tools", "mcp:desk:tools/get_order", "get_order"),
        ] {
            let said = refused(&GOOD.replacen(from, to, 1));
            assert!(said.contains(&format!("`{member}`")), "{said}");
        }
        for (member, more) in
            [("max_guarantee", "max_guarantee = \"sure\""), ("network", "network = \"everywhere\"")]
        {
            assert!(refused(&format!("{GOOD}{more}\n")).contains(member), "{member}");
        }
        assert!(refused(&format!("{GOOD}{GOOD}")).contains("each trust domain once"));
        let people = refused(&format!("{GOOD}principals = [\"user:142\"]\n"));
        assert!(people.contains("never for a principal"), "{people}");
        assert!(toml::from_str::<Config>(&format!("{GOOD}roots = true\n")).is_err());
    }
}
