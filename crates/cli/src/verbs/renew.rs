//! `delegation renew`: an instance keeps its chain file fresh under a grant that
//! stands, by its own keys, with nobody present.

use std::path::Path;
use std::time::Duration;

use bailiwick_core::crypto::base64url;
use bailiwick_core::dpop::Occasion;
use bailiwick_core::ids::GrantId;
use bailiwick_core::json::{Json, Object};

use super::identity;
use crate::address;
use crate::chainfile::ChainFile;
use crate::error::{Class, CliError};
use crate::host;
use crate::keyfile::InstanceKeys;
use crate::output::{Output, one_line};
use crate::web;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const DELEGATION: &str = "urn:bailiwick:token-type:delegation";
const GRANT: &str = "urn:bailiwick:token-type:grant";

/// The share of its life after which a root is replaced, in percent.
const RENEW_AFTER: u64 = 50;
/// The least pause between two requests, and the one after a failure.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// What to renew, and where.
pub(super) struct Renewal<'a> {
    pub(super) authority: &'a str,
    pub(super) key: &'a Path,
    pub(super) grant: &'a str,
    pub(super) scope: &'a [String],
    pub(super) out: &'a Path,
    pub(super) keep: bool,
}

/// A root that was issued.
pub(super) struct Renewed {
    root: String,
    scope: String,
    pub(super) seconds: u64,
}

impl Renewed {
    /// The chain of the root alone, for the gateway that the authority serves.
    pub(super) fn chain(&self, authority: &str) -> ChainFile {
        ChainFile { chain: vec![self.root.clone()], audience: format!("{authority}/mcp") }
    }
}

pub(super) fn run(renewal: &Renewal<'_>, out: Output) -> Result<(), CliError> {
    let authority = &address::authority(renewal.authority)?;
    let grant = GrantId::parse(renewal.grant)?;
    let keys = InstanceKeys::read(renewal.key)?;
    loop {
        let renewed = ask(authority, &keys, &grant, renewal.scope).and_then(|renewed| {
            write(renewal.out, &renewed.chain(authority))?;
            Ok(renewed)
        });
        let pause = match renewed {
            Ok(renewed) => {
                tell(&grant, renewal, &renewed, out);
                pause(renewed.seconds)
            }
            // An authority that is away for a moment costs nothing: the root of
            // before lives on. A refusal is the end: the grant does not stand.
            Err(e) if renewal.keep && e.class == Class::Environment => {
                out.warn(&e);
                AGAIN
            }
            Err(e) => return Err(e),
        };
        if !renewal.keep {
            return Ok(());
        }
        std::thread::sleep(pause);
    }
}

/// One token exchange (RFC 8693): the grant as subject, the instance's identity
/// as actor, and the proof of its key.
pub(super) fn ask(
    authority: &str,
    keys: &InstanceKeys,
    grant: &GrantId,
    scope: &[String],
) -> Result<Renewed, CliError> {
    let identity = identity::renew(authority, keys)?;
    let text = |name: &str| identity.member(name).and_then(Json::as_str);
    let (Some(token), Some(name)) = (text("identity_token"), text("spiffe_id")) else {
        return Err(web::unexpected("it has no identity token"));
    };
    let assertion = web::client_assertion(authority, name, &keys.identity)?;
    let scope = scope.join(" ");
    let mut pairs = vec![
        ("grant_type", EXCHANGE),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion.as_str()),
        ("subject_token", grant.as_str()),
        ("subject_token_type", GRANT),
        ("actor_token", token),
        ("actor_token_type", JWT),
        ("requested_token_type", DELEGATION),
    ];
    if !scope.is_empty() {
        pairs.push(("scope", scope.as_str()));
    }
    let uri = format!("{authority}/token");
    let proof = |nonce: Option<&str>| {
        let jti = base64url(&host::random::<16>()?);
        let occasion =
            Occasion { jti: &jti, now: host::now(), method: "POST", uri: &uri, token: None, nonce };
        occasion.prove(&keys.identity).map_err(web::signing)
    };
    let answer = web::form(authority, "/token", &pairs, Some(&proof))?;
    let text = |name: &str| answer.member(name).and_then(Json::as_str);
    let seconds = answer
        .member("expires_in")
        .and_then(|s| u64::try_from(s.as_number()?.as_plain_integer()?).ok());
    match (text("issued_token_type"), text("access_token"), seconds) {
        (Some(DELEGATION), Some(root), Some(seconds)) => Ok(Renewed {
            root: root.to_owned(),
            scope: text("scope").unwrap_or_default().to_owned(),
            seconds,
        }),
        _ => Err(web::unexpected("it has no delegation")),
    }
}

/// Replaces the chain file: a reader sees the one before or this one, whole.
fn write(file: &Path, chain: &ChainFile) -> Result<(), CliError> {
    let text = Json::Object(chain.to_json()).canonical();
    bailiwick_store::write_durably(file, text.as_bytes()).map_err(CliError::from)
}

fn tell(grant: &GrantId, renewal: &Renewal<'_>, renewed: &Renewed, out: Output) {
    let until = host::now().plus_seconds(i64::try_from(renewed.seconds).unwrap_or(i64::MAX));
    let file = renewal.out.display().to_string();
    let again = pause(renewed.seconds).as_secs();
    let text = format!(
        "renewed the chain {file}\n  under  {grant}\n  scope  {}\n  until  {until}",
        one_line(&renewed.scope),
    );
    out.result(
        Object::new()
            .with("grant", grant)
            .with("scope", renewed.scope.as_str())
            .with("not_after", until.to_string())
            .with("expires_in", renewed.seconds)
            .with("chain", file.as_str()),
        text,
    );
    if renewal.keep {
        out.say(format!(
            "  next   renewed again in {again} s; a running `call --stdin` takes it up"
        ));
        return;
    }
    let key = renewal.key.display();
    out.next(&[
        &format!(
            "bailiwick call --url {}/mcp/SERVER --chain {file} --key {key}   # lists what is permitted",
            renewal.authority.trim_end_matches('/'),
        ),
        "the same again before it ends, or --keep to have it done",
    ]);
}

/// How long a root of this life is used before it is replaced.
pub(super) fn pause(seconds: u64) -> Duration {
    Duration::from_secs(seconds.saturating_mul(RENEW_AFTER) / 100).max(AGAIN)
}
