//! What stands in the vault, before it is sealed: what a tool server is shown
//! or given, and where the secret part of it comes from.

use bailiwick_authority::people::accounts;
use bailiwick_authority::rules::vault::ENVIRONMENT;
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::ports::{Credential, MIN_SECRET_CHARS};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::environment;
use crate::error::CliError;

/// A credential as it is kept.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Form {
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        secret: Source,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        secret: Source,
    },
    /// A header of its own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        secret: Source,
    },
    /// A bearer token that an authorization server gives for a client's secret
    /// (RFC 6749 §4.4).
    ClientCredentials {
        /// Where tokens are given out.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        secret: Source,
        /// What is asked for.
        scopes: Vec<String>,
        /// For which resource (RFC 8707).
        resource: Option<String>,
        /// Whether the authorization server may be in the operator's own network.
        inside: bool,
    },
    /// A bearer token of a person's own consent, with what renews it.
    Account {
        /// The access token.
        secret: Source,
        /// Until when it is good, seconds, if that is known.
        until: Option<i64>,
        /// With what the next one is fetched.
        refresh: Option<String>,
        /// The authorization server's issuer identifier.
        issuer: Option<String>,
        /// Where tokens are given out.
        token_url: String,
        /// Where they are taken back.
        revocation_url: Option<String>,
        /// Our client there.
        client_id: String,
        /// For which resource.
        resource: String,
    },
    /// What a program gets in its environment. No call shows it.
    Environment {
        /// Each under its own name.
        variables: Vec<Variable>,
    },
}

/// A variable of a program's environment.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) secret: Source,
}

/// Where a secret comes from.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// It is kept here.
    Value(String),
    /// A private file.
    File(String),
    /// A file in the folder that systemd made for this service.
    Credential(String),
    /// What a command prints: its path and arguments.
    Exec(Vec<String>),
}

impl Source {
    /// The secret, if it is kept here.
    fn value(&self) -> Option<&str> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// What kind of place it is; of a value, nothing of it.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::File(_) => "file",
            Self::Credential(_) => "credential",
            Self::Exec(_) => "exec",
        }
    }

    /// Reads `file:PATH`, `credential:NAME` or `exec:COMMAND`.
    pub(crate) fn reference(text: &str) -> Result<Self, CliError> {
        let malformed = |remedy: &'static str| {
            CliError::usage("reference-malformed", "the reference cannot be used", remedy)
        };
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        if rest.len() > 4096 || rest.chars().any(char::is_control) {
            return Err(malformed("write at most 4096 plain characters"));
        }
        match scheme {
            "file" => {
                let path = std::path::absolute(rest).map_err(|_| {
                    malformed("write the path of a file, as in file:/run/desk.token")
                })?;
                Ok(Self::File(path.display().to_string()))
            }
            "credential" if is_name(rest) => Ok(Self::Credential(rest.to_owned())),
            "credential" => Err(malformed(
                "write the name that LoadCredential= gives it, as in credential:desk",
            )),
            "exec" => {
                let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
                match words.first() {
                    // No search path: its environment is empty.
                    Some(command) if command.starts_with('/') => Ok(Self::Exec(words)),
                    _ => Err(malformed(
                        "write the command's whole path and its arguments, parted by spaces, as in `exec:/usr/local/bin/token desk`",
                    )),
                }
            }
            _ => Err(malformed("write file:PATH, credential:NAME or exec:COMMAND")),
        }
    }
}

/// A file's name that leads nowhere else.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !text.starts_with('.')
}

impl Form {
    /// Its code in the vault and in entries.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Bearer { .. } => "bearer",
            Self::Basic { .. } => "basic",
            Self::Header { .. } => "header",
            Self::ClientCredentials { .. } => "client_credentials",
            Self::Account { .. } => accounts::KIND,
            Self::Environment { .. } => ENVIRONMENT,
        }
    }

    /// Where each of its secrets comes from.
    pub(crate) fn sources(&self) -> Vec<&Source> {
        match self {
            Self::Bearer { secret }
            | Self::Basic { secret, .. }
            | Self::Header { secret, .. }
            | Self::ClientCredentials { secret, .. }
            | Self::Account { secret, .. } => vec![secret],
            Self::Environment { variables } => variables.iter().map(|v| &v.secret).collect(),
        }
    }

    /// The codes of where its secrets come from, each once.
    pub(crate) fn source_codes(&self) -> String {
        let mut codes: Vec<_> = self.sources().into_iter().map(Source::code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes.join(", ")
    }

    /// The names of a program's variables.
    pub(crate) fn names(&self) -> String {
        let Self::Environment { variables } = self else { return String::new() };
        variables.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether what is known now can be shown, or given to a program.
    ///
    /// # Errors
    /// `secret-too-short`, `credential-unusable`, and what a variable may not be.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let values = self.sources().into_iter().filter_map(Source::value);
        if values.clone().any(|value| value.chars().count() < MIN_SECRET_CHARS) {
            return Err(CliError::usage(
                "secret-too-short",
                format!("the secret has fewer than {MIN_SECRET_CHARS} characters"),
                "use a longer one: answers are searched for it, and a short one would be found by chance",
            ));
        }
        let value = values.clone().next().unwrap_or("a-value-to-come");
        let sendable = match self {
            Self::Bearer { .. } | Self::ClientCredentials { .. } | Self::Account { .. } => {
                Credential::bearer(value)
            }
            Self::Basic { user, .. } => Credential::basic(user, value),
            Self::Header { name, .. } => Credential::header(name, value),
            Self::Environment { variables } => {
                return variables.iter().try_for_each(|Variable { name, secret }| {
                    environment::check_name(name)?;
                    environment::check_value(name, secret.value().unwrap_or_default().as_ref())
                });
            }
        };
        sendable.map(drop).ok_or_else(|| {
            CliError::usage(
                "credential-unusable",
                "no header can hold this credential, or the header is one that the gateway sets itself",
                "use one line of plain characters, and another header",
            )
        })
    }

    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, CliError> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|_| {
            CliError::environment("vault-form", "the credential cannot be written", "try again")
        })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// What a person may see of it.
    pub(crate) fn to_json(&self) -> Object {
        let object = Object::new().with("kind", self.kind()).with("source", self.source_codes());
        match self {
            Self::Bearer { .. } => object,
            Self::Environment { variables } => {
                let variables = variables.iter().map(|variable| -> Json {
                    let source = variable.secret.code();
                    Object::new().with("name", variable.name.as_str()).with("source", source).into()
                });
                object.with("variables", variables.collect::<Vec<_>>())
            }
            Self::Basic { user, .. } => object.with("user", user.as_str()),
            Self::Header { name, .. } => object.with("header", name.as_str()),
            Self::ClientCredentials { token_url, client_id, .. }
            | Self::Account { token_url, client_id, .. } => {
                object.with("token_url", token_url.as_str()).with("client_id", client_id.as_str())
            }
        }
    }
}

/// The URL of a token endpoint.
pub(crate) fn token_url(text: &str) -> Result<Url, CliError> {
    let url = Url::parse(text).ok().filter(|url| {
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let secure = url.scheme() == "https" || url.scheme() == "http" && local;
        secure && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    });
    url.ok_or_else(|| {
        CliError::usage(
            "token-url-malformed",
            "the token endpoint's URL cannot be used",
            "write an https:// URL; plain http only for this machine",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_and_shows_no_secret() {
        let value = || Source::Value("canary-in-the-form".to_owned());
        let forms = [
            Form::Bearer { secret: value() },
            Form::Basic { user: "u".into(), secret: value() },
            Form::Header { name: "x-key".into(), secret: value() },
            Form::ClientCredentials {
                token_url: "https://as.example/token".into(),
                client_id: "c".into(),
                secret: value(),
                scopes: vec!["read".into()],
                resource: None,
                inside: false,
            },
            Form::Account {
                secret: value(),
                until: Some(1),
                refresh: Some("canary-that-renews".into()),
                issuer: None,
                token_url: "https://as.example/token".into(),
                revocation_url: None,
                client_id: "c".into(),
                resource: "https://mail.example/mcp".into(),
            },
            Form::Environment {
                variables: vec![Variable { name: "TOKEN".into(), secret: value() }],
            },
        ];
        for form in forms {
            let bytes = form.to_bytes().unwrap();
            let again = Form::parse(&bytes).unwrap();
            assert_eq!(again.to_bytes().unwrap(), bytes);
            let shown = bailiwick_core::json::Json::from(again.to_json()).canonical();
            assert!(!shown.contains("canary"), "{shown}");
        }
        assert!(Form::parse(b"{\"kind\":\"bearer\"}").is_none());
    }

    #[test]
    fn a_reference_names_a_file_a_credential_or_a_command_by_its_path() {
        for (text, code) in [
            ("file:/run/token", "file"),
            ("file:token", "file"),
            ("credential:desk.token", "credential"),
            ("exec:/usr/bin/printf x", "exec"),
        ] {
            assert_eq!(Source::reference(text).map(|s| s.code()).ok(), Some(code), "{text}");
        }
        for text in [
            "",
            "token",
            "value:x",
            "credential:",
            "credential:../x",
            "credential:.x",
            "credential:a/b",
            "exec:",
            "exec:printf x",
            "exec: ",
            "file:",
            "file:/a\nb",
        ] {
            assert!(Source::reference(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_endpoint_is_reached_by_https_or_on_this_machine() {
        for url in ["https://as.example/token", "http://localhost:9/t", "http://127.0.0.1/t"] {
            assert!(token_url(url).is_ok(), "{url}");
        }
        for url in ["http://as.example/t", "https://u:p@as.example/t", "ftp://as.example", "x", ""]
        {
            assert!(token_url(url).is_err(), "{url}");
        }
    }
}
