//! Configurations of MCP clients: which servers they start or reach, and what
//! of it is a credential. Pure: nothing is started, reached or written here.

use std::collections::BTreeSet;

use bailiwick_core::crypto::from_base64url;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use zeroize::Zeroizing;

use crate::error::CliError;

/// Servers of one file.
const MAX_SERVERS: usize = 100;

/// Headers that carry no credential.
const PLAIN_HEADERS: [&str; 5] =
    ["accept", "accept-language", "content-type", "mcp-protocol-version", "user-agent"];

/// Parts of names under which credentials are kept.
const TELLING: [&str; 14] = [
    "APIKEY",
    "API_KEY",
    "AUTH",
    "BEARER",
    "CONNECTION_STRING",
    "COOKIE",
    "CREDENTIAL",
    "DATABASE_URL",
    "DSN",
    "KEY",
    "PASS",
    "PAT",
    "SECRET",
    "TOKEN",
];

/// How the credentials that services hand out begin.
const SHAPES: [&str; 14] = [
    "AKIA",
    "AIza",
    "Bearer ",
    "Basic ",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "npm_",
    "sk-",
    "sk_live_",
    "xox",
];

/// Where a value stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Argument,
    Environment,
    Header,
    Query,
}

impl Place {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Argument => "argument",
            Self::Environment => "environment",
            Self::Header => "header",
            Self::Query => "query of the URL",
        }
    }
}

/// How a tool server of ours could be shown a credential, or given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Bearer,
    Basic {
        user: String,
    },
    /// In the header of its name.
    Header,
    /// In the variable of its name.
    Variable,
    /// Not at all.
    Nothing,
}

/// A credential of one server. It goes into the vault or a file, and is shown
/// nowhere.
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) usage: Use,
    /// Its file, below the folder for credentials.
    pub(crate) file: String,
    pub(crate) value: Zeroizing<String>,
}

impl Found {
    /// Whether its name or its form says that it is one; a header may be none.
    pub(crate) fn is_telling(&self) -> bool {
        is_telling(&self.name) || has_shape(&self.value)
    }
}

/// A value of a program's environment or command line.
pub(crate) enum Value {
    Plain(String),
    /// In this file.
    Kept(String),
}

/// How a server is reached.
pub(crate) enum How {
    Url(String),
    Program { command: String, arguments: Vec<Value>, environment: Vec<(String, Value)> },
}

/// One server of the file.
pub(crate) struct Imported {
    /// Its name in the client.
    pub(crate) was: String,
    pub(crate) name: ServerName,
    pub(crate) how: How,
    pub(crate) found: Vec<Found>,
    /// The same configuration with references in place of the credentials.
    pub(crate) config: Object,
}

fn malformed(message: impl Into<String>) -> CliError {
    CliError::usage(
        "client-config-malformed",
        message,
        "pass the configuration of an MCP client: an object with `mcpServers` or `servers`",
    )
}

/// Reads a configuration; `folder` is where the files for credentials will be,
/// as references name it.
pub(crate) fn read(json: &Json, folder: &str) -> Result<Vec<Imported>, CliError> {
    let top = json.as_object().ok_or_else(|| malformed("the file holds no object"))?;
    // VS Code's settings hold the same one level deeper.
    let inner = top.member("mcp").and_then(Json::as_object);
    let servers = [Some(top), inner]
        .into_iter()
        .flatten()
        .find_map(|o| o.member("mcpServers").or_else(|| o.member("servers")))
        .and_then(Json::as_object)
        .ok_or_else(|| malformed("the file has neither `mcpServers` nor `servers`"))?;
    if servers.is_empty() || servers.len() > MAX_SERVERS {
        return Err(malformed(format!("the file names no server, or more than {MAX_SERVERS}")));
    }
    let mut taken = BTreeSet::new();
    servers.iter().map(|(was, server)| one(was, server, folder, &mut taken)).collect()
}

fn one(
    was: &str,
    server: &Json,
    folder: &str,
    taken: &mut BTreeSet<String>,
) -> Result<Imported, CliError> {
    let name = free_name(was, taken)?;
    let bad = |what: &str| malformed(format!("the server `{name}` {what}"));
    let mut config = server.as_object().ok_or_else(|| bad("is no object"))?.clone();
    let text = |member: &str| config.member(member).and_then(Json::as_str).map(str::to_owned);
    let (url, command) = (text("url").or_else(|| text("serverUrl")), text("command"));
    let mut keeper = Keeper { folder, server: name.as_str(), found: Vec::new() };
    let how = match (url, command) {
        (Some(url), None) => {
            let headers = pairs(&config, "headers").ok_or_else(|| bad("has odd headers"))?;
            let headers = headers.into_iter().map(|(name, value)| {
                let is_plain = PLAIN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
                let value = keeper.keep(Place::Header, &name, value, !is_plain);
                (name, value)
            });
            let headers: Vec<_> = headers.collect();
            put(&mut config, "headers", &headers, folder);
            let url = keeper.url(&url).ok_or_else(|| bad("has a URL that cannot be read"))?;
            let member = if config.member("url").is_some() { "url" } else { "serverUrl" };
            config.insert(member, url.as_str());
            How::Url(url)
        }
        (None, Some(command)) => {
            let environment = pairs(&config, "env").ok_or_else(|| bad("has an odd `env`"))?;
            // SECURITY: the names stand in a command that a person pastes.
            if environment.iter().any(|(name, _)| !is_variable(name)) {
                return Err(bad("has an odd `env`"));
            }
            let environment: Vec<_> = environment
                .into_iter()
                .map(|(name, value)| {
                    let is_credential = is_telling(&name) || has_shape(&value);
                    let value = keeper.keep(Place::Environment, &name, value, is_credential);
                    (name, value)
                })
                .collect();
            put(&mut config, "env", &environment, folder);
            let arguments = match config.member("args") {
                None => Some(Vec::new()),
                Some(all) => all.as_array().and_then(|all| {
                    all.iter().map(|a| a.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
                }),
            };
            let arguments = keeper.arguments(arguments.ok_or_else(|| bad("has odd `args`"))?);
            if config.member("args").is_some() {
                let all = arguments.iter().map(|a| Json::from(reference(a, folder)));
                config.insert("args", all.collect::<Vec<_>>());
            }
            How::Program { command, arguments, environment }
        }
        _ => return Err(bad("has neither a `command` nor a `url`, or both")),
    };
    Ok(Imported { was: was.to_owned(), name: name.clone(), how, found: keeper.found, config })
}

/// A name of ours for a client's, which no other server of the file has.
fn free_name(was: &str, taken: &mut BTreeSet<String>) -> Result<ServerName, CliError> {
    let mut name = String::new();
    for c in was.chars().take(48) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_matches('-');
    let base = if name.is_empty() { "server" } else { name };
    let mut free = base.to_owned();
    for nth in 2..=MAX_SERVERS {
        if taken.insert(free.clone()) {
            break;
        }
        free = format!("{base}-{nth}");
    }
    Ok(ServerName::parse(&free)?)
}

/// The texts of a member that maps names to texts; `None`: it is something else.
fn pairs(config: &Object, member: &str) -> Option<Vec<(String, String)>> {
    match config.member(member) {
        None | Some(Json::Null) => Some(Vec::new()),
        Some(json) => json
            .as_object()?
            .iter()
            .map(|(name, value)| Some((name.to_owned(), value.as_str()?.to_owned())))
            .collect(),
    }
}

fn put(config: &mut Object, member: &str, pairs: &[(String, Value)], folder: &str) {
    if config.member(member).is_some() {
        let all: Object =
            pairs.iter().map(|(n, v)| (n.clone(), Json::from(reference(v, folder)))).collect();
        config.insert(member, all);
    }
}

fn reference(value: &Value, folder: &str) -> String {
    match value {
        Value::Plain(text) => text.clone(),
        Value::Kept(file) => format!("file:{folder}/{file}"),
    }
}

fn is_variable(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(fits)
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    TELLING.iter().any(|part| {
        // `PAT` is a token; `PATH` is not.
        if *part == "PAT" { name.split('_').any(|word| word == "PAT") } else { name.contains(part) }
    })
}

fn has_shape(value: &str) -> bool {
    let long = value.len() >= 32
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+=".contains(&b))
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_alphabetic());
    let with_password = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .is_some_and(|host| host.contains('@'));
    long || with_password || SHAPES.iter().any(|shape| value.starts_with(shape))
}

/// A value that the client asks for or looks up: there is nothing to keep.
fn is_asked(value: &str) -> bool {
    value.contains("${")
}

/// What of an `Authorization` header is secret, and how it is sent: a token alone,
/// a password alone, or the header as it stands.
fn authorization(value: &str) -> (Use, Zeroizing<String>) {
    let whole = || (Use::Header, Zeroizing::new(value.to_owned()));
    let Some((scheme, rest)) = value.trim().split_once(' ') else { return whole() };
    if scheme.eq_ignore_ascii_case("bearer") {
        return (Use::Bearer, Zeroizing::new(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return whole();
    }
    let plain = rest.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    let pair = from_base64url(&plain).and_then(|pair| String::from_utf8(pair).ok());
    let pair = pair.map(Zeroizing::new);
    match pair.as_ref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) => {
            (Use::Basic { user: user.to_owned() }, Zeroizing::new(password.to_owned()))
        }
        None => whole(),
    }
}

/// Takes credentials out.
struct Keeper<'a> {
    folder: &'a str,
    server: &'a str,
    found: Vec<Found>,
}

impl Keeper<'_> {
    fn keep(&mut self, place: Place, name: &str, value: String, is_credential: bool) -> Value {
        if !is_credential || value.is_empty() || is_asked(&value) {
            return Value::Plain(value);
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let label: String = name.chars().take(64).map(plain).collect();
        let base = format!("{}.{label}", self.server);
        let mut file = base.clone();
        let mut nth = 2u32;
        while self.found.iter().any(|f| f.file == file) {
            file = format!("{base}-{nth}");
            nth = nth.saturating_add(1);
        }
        let (usage, kept) = match place {
            Place::Header if name.eq_ignore_ascii_case("authorization") => authorization(&value),
            Place::Header => (Use::Header, Zeroizing::new(value)),
            Place::Environment => (Use::Variable, Zeroizing::new(value)),
            Place::Argument | Place::Query => (Use::Nothing, Zeroizing::new(value)),
        };
        let (name, value) = (name.to_owned(), Zeroizing::new(kept.trim().to_owned()));
        self.found.push(Found { place, name, usage, file: file.clone(), value });
        Value::Kept(file)
    }

    /// `--token VALUE`, `--token=VALUE`, and what looks like a credential.
    fn arguments(&mut self, all: Vec<String>) -> Vec<Value> {
        let mut out = Vec::with_capacity(all.len());
        let mut option: Option<String> = None;
        for argument in all {
            let before = option.take();
            if let Some((name, value)) = argument.split_once('=')
                && name.starts_with('-')
                && (is_telling(name) || has_shape(value))
            {
                // The option and its value are two arguments then: most
                // programs take both forms, and a file holds a value only.
                out.push(Value::Plain(name.to_owned()));
                let name = name.trim_start_matches('-').to_owned();
                out.push(self.keep(Place::Argument, &name, value.to_owned(), true));
                continue;
            }
            if argument.starts_with('-') && argument.len() > 1 {
                option = Some(argument.clone());
                out.push(Value::Plain(argument));
                continue;
            }
            let is_credential = before.as_deref().is_some_and(is_telling) || has_shape(&argument);
            let name = before.unwrap_or_default();
            let name = name.trim_start_matches('-');
            let name = if name.is_empty() { "argument" } else { name };
            out.push(self.keep(Place::Argument, name, argument, is_credential));
        }
        out
    }

    /// The URL without credentials in its query or before its host.
    fn url(&mut self, text: &str) -> Option<String> {
        if is_asked(text) {
            return Some(text.to_owned());
        }
        let mut url: reqwest::Url = text.parse().ok()?;
        if let Some(password) = url.password().map(str::to_owned) {
            self.keep(Place::Query, "password", password, true);
        }
        if !url.username().is_empty() {
            url.set_username("").ok()?;
        }
        if url.password().is_some() {
            url.set_password(None).ok()?;
        }
        let query: Vec<(String, String)> =
            url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        if query.iter().any(|(name, value)| is_telling(name) || has_shape(value)) {
            url.set_query(None);
            for (name, value) in query {
                if is_telling(&name) || has_shape(&value) {
                    let kept = self.keep(Place::Query, &name, value, true);
                    let kept = reference(&kept, self.folder);
                    url.query_pairs_mut().append_pair(&name, &kept);
                } else {
                    url.query_pairs_mut().append_pair(&name, &value);
                }
            }
        }
        Some(url.to_string())
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn imported(text: &str) -> Result<Vec<Imported>, CliError> {
        read(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap(), "DIR")
    }

    fn names(server: &Imported) -> Vec<(&'static str, &str, &str)> {
        server.found.iter().map(|f| (f.place.as_str(), f.name.as_str(), f.value.as_str())).collect()
    }

    #[test]
    fn the_forms_of_claude_cursor_and_vs_code_are_read() {
        // After the documentation of each client.
        let claude = r#"{"mcpServers":{"GitHub":{"command":"npx","args":["-y","@modelcontextprotocol/server-github"],
            "env":{"GITHUB_PERSONAL_ACCESS_TOKEN":"ghp_hunter2","LOG_LEVEL":"debug"}}}}"#;
        let cursor = r#"{"mcpServers":{"remote":{"url":"https://mcp.example.com/mcp",
            "headers":{"Authorization":"Bearer hunter2","Accept":"text/event-stream"}}}}"#;
        let code = r#"{"inputs":[],"servers":{"perplexity":{"type":"stdio","command":"npx","args":["-y","server"],
            "env":{"PERPLEXITY_API_KEY":"${input:key}"}}}}"#;
        let settings = format!(r#"{{"editor.fontSize":12,"mcp":{code}}}"#);
        let claude = imported(claude).unwrap().remove(0);
        assert_eq!(claude.name.as_str(), "github");
        let expected = [("environment", "GITHUB_PERSONAL_ACCESS_TOKEN", "ghp_hunter2")];
        assert_eq!(names(&claude), expected);
        let cursor = imported(cursor).unwrap().remove(0);
        assert_eq!(names(&cursor), [("header", "Authorization", "hunter2")]);
        for text in [code, &settings] {
            // What the client asks for is no value.
            let server = imported(text).unwrap().remove(0);
            assert_eq!((server.name.as_str(), names(&server)), ("perplexity", vec![]));
        }
    }

    #[test]
    fn no_credential_stays_in_what_is_written() {
        let text = r#"{"mcpServers":{
            "a":{"command":"x","args":["--api-key","hunter2-1","--token=hunter2-2","sk-hunter2-3",
                "postgres://u:hunter2-4@db/x","--verbose","plain"],"env":{"DB_PASSWORD":"hunter2-5","SITE":"eyJhunter2-6"}},
            "b":{"url":"https://u:hunter2-7@h.example/mcp?api_key=hunter2-8&page=1","headers":{"X-Custom":"hunter2-9"}}}}"#;
        let all = imported(text).unwrap();
        let written: String =
            all.iter().map(|s| Json::from(s.config.clone()).canonical()).collect();
        assert!(!written.contains("hunter2"), "{written}");
        assert!(written.contains("file:DIR/a.DB_PASSWORD") && written.contains("page=1"));
        assert!(written.contains("plain") && written.contains("--verbose"));
        assert_eq!(all.iter().map(|s| s.found.len()).sum::<usize>(), 9);
        assert!(all.iter().all(|s| s.found.iter().all(|f| f.value.contains("hunter2"))));
    }

    #[test]
    fn what_is_secret_of_an_authorization_header_is_taken_alone() {
        for (value, usage, secret) in [
            ("Bearer hunter2", Use::Bearer, "hunter2"),
            ("bearer  hunter2 ", Use::Bearer, "hunter2"),
            ("Basic cm9ib3Q6aHVudGVyOjI=", Use::Basic { user: "robot".into() }, "hunter:2"),
            ("Basic nothing-of-the-kind", Use::Header, "Basic nothing-of-the-kind"),
            ("Token hunter2", Use::Header, "Token hunter2"),
            ("hunter2", Use::Header, "hunter2"),
        ] {
            let text = format!(
                r#"{{"mcpServers":{{"a":{{"url":"https://h/","headers":{{"authorization":"{value}"}}}}}}}}"#
            );
            let server = imported(&text).unwrap().remove(0);
            let found = server.found.first().unwrap();
            assert_eq!((&found.usage, found.value.as_str()), (&usage, secret), "{value}");
        }
        // Of any other header the whole value is the secret.
        let text =
            r#"{"mcpServers":{"a":{"url":"https://h/","headers":{"X-Auth":"Bearer hunter2"}}}}"#;
        let server = imported(text).unwrap().remove(0);
        let found = server.found.first().unwrap();
        assert_eq!((&found.usage, found.value.as_str()), (&Use::Header, "Bearer hunter2"));
    }

    #[test]
    fn names_are_made_fit_and_stay_different() {
        let text = r#"{"mcpServers":{"My Server!":{"command":"x"},"my server":{"command":"x"},
            "../../etc":{"command":"x"},"日本":{"command":"x"}}}"#;
        let all = imported(text).unwrap();
        let names: Vec<_> = all.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["my-server", "my-server-2", "etc", "server"]);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"mcpServers":[]}"#,
            r#"{"mcpServers":{}}"#,
            r#"{"mcpServers":{"a":{}}}"#,
            r#"{"mcpServers":{"a":{"command":"x","url":"https://h/"}}}"#,
            r#"{"mcpServers":{"a":{"command":"x","args":[1]}}}"#,
            r#"{"mcpServers":{"a":{"command":"x","env":{"A":1}}}}"#,
            r#"{"mcpServers":{"a":{"command":"x","env":{"A;rm -rf /;B":"1"}}}}"#,
            r#"{"mcpServers":{"a":{"url":"not a url"}}}"#,
        ] {
            assert_eq!(
                imported(text).err().map(|e| e.code),
                Some("client-config-malformed".into()),
                "{text}"
            );
        }
    }
}
