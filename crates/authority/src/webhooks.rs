//! Webhooks: what receivers are told about calls that wait for people, by the
//! [Standard Webhooks](https://www.standardwebhooks.com/) specification.
//!
//! SECURITY: a message says that something waits and where to look, never what
//! was decided and nothing that decides: whoever reads or forges one can do
//! nothing with it but look, as whom they sign in.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::hmac;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Approval, Noticed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;
use zeroize::Zeroizing;

use crate::http::provider::Network;
use crate::installation::url_fault;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Secrets that one webhook has at most: the one in force, and the one before
/// while receivers change over.
const MAX_SECRETS: usize = 2;
/// Characters of a name at most.
const MAX_NAME: usize = 32;

/// Seconds after each failed try until the next; after the last nothing follows.
const RETRIES: [i64; 7] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000];

/// When a message is tried again that failed at `now` for the `tries`th time;
/// `None` when it is given up: eight tries in about 18 hours.
#[must_use]
pub fn again(tries: u64, now: Timestamp) -> Option<Timestamp> {
    let done = usize::try_from(tries).unwrap_or(usize::MAX);
    RETRIES.get(done.checked_sub(1)?).map(|seconds| now.plus_seconds(*seconds))
}

/// What a webhook can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A call waits for people.
    ApprovalRequested,
    /// A call does not wait any more: people decided, or it became void. How,
    /// is said where one signs in.
    ApprovalSettled,
    /// Somebody tries the webhook.
    Test,
}

impl Event {
    /// Those that can be asked for.
    pub const ALL: [Self; 2] = [Self::ApprovalRequested, Self::ApprovalSettled];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalRequested => "approval.requested",
            Self::ApprovalSettled => "approval.settled",
            Self::Test => "webhook.test",
        }
    }

    /// Reads the name of one that can be asked for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }
}

/// A webhook that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// A member of the configuration.
    #[error("option `{member}` of a webhook cannot be used: expected {expected}")]
    Config {
        /// Which.
        member: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A secret that is none.
    #[error("the webhook's secret is not `{PREFIX}` and the base64 of 24 to 64 bytes")]
    Secret,
}

impl WebhookError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Config { .. } => "webhook-config",
            Self::Secret => "webhook-secret-malformed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Config { .. } => "correct it in `bailiwick.toml`",
            Self::Secret => {
                "write `whsec_` and the base64 of 32 random bytes on the file's one line; while receivers change over, the old secret on a second"
            }
        }
    }
}

/// A key that signs messages.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`WebhookError::Secret`].
    pub fn parse(text: &str) -> Result<Self, WebhookError> {
        let text = text.strip_prefix(PREFIX).ok_or(WebhookError::Secret)?;
        let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| WebhookError::Secret)?);
        // Standard Webhooks, "Symmetric": between 24 and 64 bytes.
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(WebhookError::Secret) }
    }

    /// Reads a file's lines: the secret in force, and below it the one before.
    ///
    /// # Errors
    /// [`WebhookError::Secret`].
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, WebhookError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<Self> = lines.map(Self::parse).collect::<Result<_, _>>()?;
        if (1..=MAX_SECRETS).contains(&secrets.len()) {
            Ok(secrets)
        } else {
            Err(WebhookError::Secret)
        }
    }

    fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body.as_bytes());
        format!("v1,{}", BASE64.encode(context.sign().as_ref()))
    }
}

/// A receiver, as it is configured.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Its name here.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What it is told.
    pub events: BTreeSet<Event>,
    /// Where it may be.
    pub network: Network,
}

impl WebhookConfig {
    /// Whether it can be used, as far as can be said without its secret.
    ///
    /// # Errors
    /// [`WebhookError::Config`].
    pub fn check(&self) -> Result<Url, WebhookError> {
        let bad = |member, expected| Err(WebhookError::Config { member, expected });
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.bytes().all(plain) {
            return bad("name", "1 to 32 of `a-z`, `0-9`, `-`");
        }
        if self.events.is_empty() {
            return bad("events", "`approval.requested`, `approval.settled` or both");
        }
        let expected =
            "an https:// URL, or an http:// URL on this very machine with `network = \"inside\"`";
        let fault = url_fault(&self.url);
        let url = Url::parse(&self.url).ok().filter(|_| fault.is_none());
        match url {
            Some(url) if url.scheme() == "https" || self.network == Network::Inside => Ok(url),
            _ => bad("url", expected),
        }
    }
}

/// A message with what is sent beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `webhook-id`: the same for every try.
    pub id: String,
    /// `webhook-timestamp`: that of this try, seconds.
    pub seconds: i64,
    /// `webhook-signature`: one for each secret.
    pub signature: String,
    /// The body.
    pub body: String,
}

impl Message {
    /// Signs a body for a try at `now`.
    #[must_use]
    pub fn sign(id: &str, body: &Json, secrets: &[Secret], now: Timestamp) -> Self {
        let (seconds, body) = (now.seconds(), body.canonical());
        let signatures: Vec<String> =
            secrets.iter().map(|secret| secret.sign(id, seconds, &body)).collect();
        Self { id: id.to_owned(), seconds, signature: signatures.join(" "), body }
    }
}

/// What is said about a waiting call: names and codes, where to look, and
/// nothing of its arguments.
#[must_use]
pub fn body(noticed: &Noticed, approval: &Approval, issuer: &str) -> Json {
    let data = Object::new()
        .with("approval", &approval.id)
        .with("url", format!("{issuer}/approvals/{}", approval.id))
        .with("tool", &approval.tool)
        .with("risk", approval.risk.as_str())
        .with("workflow", &approval.workflow)
        .with("agent", &approval.agent)
        .with("expires", approval.expires.to_string());
    envelope(&noticed.event, noticed.time, data)
}

/// What is said when somebody tries a webhook.
#[must_use]
pub fn test_body(now: Timestamp, issuer: &str) -> Json {
    let data = Object::new().with("url", format!("{issuer}/approvals"));
    envelope(Event::Test.as_str(), now, data)
}

fn envelope(event: &str, time: Timestamp, data: Object) -> Json {
    Object::new().with("type", event).with("timestamp", time.to_string()).with("data", data).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_specification_has_it() {
        // Made with npm's `standardwebhooks` 1.1.1.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secrets = [Secret::parse(secret).unwrap()];
        let message = secrets[0].sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(message, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let of = |count: usize| {
            let now = Timestamp::from_seconds(1_614_265_330);
            let both = [secrets[0].clone(), secrets[0].clone()];
            Message::sign("a", &Json::Null, &both[..count], now).signature
        };
        assert_eq!(of(2), format!("{} {}", of(1), of(1)));
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![7; bytes]));
        for good in [24, 32, 64] {
            assert!(Secret::parse(&of(good)).is_ok(), "{good}");
        }
        for bad in [of(23), of(65), of(32).replace("whsec_", ""), "whsec_!".to_owned()] {
            assert_eq!(Secret::parse(&bad).unwrap_err(), WebhookError::Secret, "{bad}");
        }
        let one = of(32);
        assert_eq!(Secret::parse_lines(&format!("{one}\n{one}\n")).unwrap().len(), 2);
        for bad in [String::new(), format!("{one}\n{one}\n{one}\n")] {
            assert!(Secret::parse_lines(&bad).is_err());
        }
    }

    #[test]
    fn a_message_is_tried_eight_times_within_a_day() {
        let (mut now, mut tries) = (Timestamp::from_seconds(0), 1);
        while let Some(next) = again(tries, now) {
            assert!(next > now);
            (now, tries) = (next, tries + 1);
        }
        assert_eq!(tries, 8);
        assert!(now.seconds() < 86_400, "{now}");
    }

    #[test]
    fn a_receiver_is_reached_by_https_or_on_this_very_machine() {
        let config = |url: &str, network| WebhookConfig {
            name: "chat".to_owned(),
            url: url.to_owned(),
            events: Event::ALL.into(),
            network,
        };
        for (url, network) in [
            ("https://hooks.example/x", Network::Public),
            ("http://127.0.0.1:8080/x", Network::Inside),
            ("https://10.0.0.7/x", Network::Inside),
        ] {
            assert!(config(url, network).check().is_ok(), "{url}");
        }
        for (url, network) in [
            ("http://127.0.0.1:8080/x", Network::Public),
            ("http://hooks.example/x", Network::Inside),
            ("https://user:secret@hooks.example/", Network::Public),
            ("ftp://hooks.example/", Network::Inside),
            ("", Network::Inside),
        ] {
            let refused = config(url, network).check().unwrap_err();
            assert_eq!(refused.code(), "webhook-config", "{url}");
        }
        let nothing = WebhookConfig {
            events: BTreeSet::new(),
            ..config("https://hooks.example/x", Network::Public)
        };
        assert!(nothing.check().is_err());
    }
}
