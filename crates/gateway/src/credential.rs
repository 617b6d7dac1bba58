//! What the gateway presents to a tool server, and how an answer is searched
//! for it.

use std::fmt;
use std::sync::Arc;

use bailiwick_core::crypto::base64url;
use http::{HeaderName, HeaderValue, header};
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use crate::upstream::headers::base64;

/// Characters that a secret has at least: a shorter one would be found by
/// chance in answers that do not show it.
pub const MIN_SECRET_CHARS: usize = 8;

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(value.into())))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Every way in which the search knows it, as it may stand in a text.
    fn forms(&self) -> Vec<Zeroizing<String>> {
        let secret = self.as_str();
        let mut forms = vec![Zeroizing::new(secret.to_owned())];
        if secret.chars().count() < MIN_SECRET_CHARS {
            return forms;
        }
        let hex = |upper: bool| {
            let mut text = Zeroizing::new(String::with_capacity(secret.len().saturating_mul(2)));
            for byte in secret.bytes() {
                let digits = [byte >> 4, byte & 15];
                let digit = |d: &u8| char::from_digit(u32::from(*d), 16).unwrap_or_default();
                let pair = digits.iter().map(digit);
                text.extend(pair.map(|c| if upper { c.to_ascii_uppercase() } else { c }));
            }
            text
        };
        forms.extend([hex(false), hex(true)]);
        // Base64 of a text that has the secret in it depends on where it stands:
        // three ways, and of each the characters that it alone decides.
        for before in 0..3usize {
            let mut padded = Zeroizing::new(vec![0; before]);
            padded.extend_from_slice(secret.as_bytes());
            let whole = Zeroizing::new(base64url(&padded));
            let from = if before == 0 { 0 } else { before.saturating_add(1) };
            let to = whole.len().saturating_sub(usize::from(!padded.len().is_multiple_of(3)));
            let Some(url_safe) = whole.get(from..to) else { continue };
            forms.push(Zeroizing::new(url_safe.replace('-', "+").replace('_', "/")));
            forms.push(Zeroizing::new(url_safe.to_owned()));
        }
        forms
    }

    /// Whether a text shows it: as it is, as JSON escapes it, in base64, in
    /// hexadecimal or percent-encoded.
    pub(crate) fn is_shown_by(&self, text: &[u8]) -> bool {
        if self.as_str().is_empty() {
            return false;
        }
        let Ok(plain) = std::str::from_utf8(text) else { return false };
        let forms = self.forms();
        let shown = |text: &str| forms.iter().any(|form| text.contains(form.as_str()));
        let decoded = |text: &str| {
            text.contains('%')
                && shown(&Zeroizing::new(
                    percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned(),
                ))
        };
        if shown(plain) || decoded(plain) {
            return true;
        }
        // A text with escapes is read before it is searched.
        plain.contains('\\') && unescaped(text).is_some_and(|text| shown(&text) || decoded(&text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a tool server is shown, in one header. It is never shown to anybody
/// else.
#[derive(Clone)]
pub struct Credential {
    header: HeaderName,
    value: HeaderValue,
    secrets: Arc<[Secret]>,
    /// Whether another one can be had when the tool server refuses this one.
    renewable: bool,
}

impl Credential {
    fn sent(header: HeaderName, value: &str, secret: Secret) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Self { header, value, secrets: [secret].into(), renewable: false })
    }

    /// One sent as `Authorization: Bearer`; `None` if no header can hold it.
    #[must_use]
    pub fn bearer(token: &str) -> Option<Self> {
        let value = Zeroizing::new(format!("Bearer {token}"));
        Self::sent(header::AUTHORIZATION, &value, Secret::new(token))
    }

    /// One sent as `Authorization: Basic` (RFC 7617).
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Option<Self> {
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let value = Zeroizing::new(format!("Basic {}", base64(pair.as_bytes())));
        Self::sent(header::AUTHORIZATION, &value, Secret::new(password))
    }

    /// One sent in a header of this name; `None` if it is no name of a header,
    /// or one that the gateway itself sets.
    #[must_use]
    pub fn header(name: &str, value: &str) -> Option<Self> {
        let header = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let own = ["host", "connection", "transfer-encoding", "upgrade", "te", "trailer"];
        if own.contains(&header.as_str())
            || ["content-", "accept", "mcp-", "proxy-"]
                .iter()
                .any(|p| header.as_str().starts_with(p))
        {
            return None;
        }
        Self::sent(header, value, Secret::new(value))
    }

    /// The same, with further secrets that no answer may show, such as those
    /// that it was made with.
    #[must_use]
    pub fn with_secrets(mut self, more: impl IntoIterator<Item = Secret>) -> Self {
        self.secrets = self.secrets.iter().cloned().chain(more).collect();
        self
    }

    /// The same, of which another one can be had.
    #[must_use]
    pub fn renewable(self) -> Self {
        Self { renewable: true, ..self }
    }

    /// Whether it is this very one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.secrets, &other.secrets)
    }

    pub(crate) const fn is_renewable(&self) -> bool {
        self.renewable
    }

    /// The header that shows it.
    pub(crate) fn to_header(&self) -> (HeaderName, HeaderValue) {
        (self.header.clone(), self.value.clone())
    }

    pub(crate) fn is_shown_by(&self, text: &[u8]) -> bool {
        self.secrets.iter().any(|secret| secret.is_shown_by(text))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// Every string of a JSON text, one after the other.
fn unescaped(text: &[u8]) -> Option<Zeroizing<String>> {
    fn collect(value: &serde_json::Value, all: &mut String) {
        match value {
            serde_json::Value::String(text) => all.push_str(text),
            serde_json::Value::Array(items) => items.iter().for_each(|v| collect(v, all)),
            serde_json::Value::Object(members) => members.iter().for_each(|(name, v)| {
                all.push_str(name);
                all.push('\0');
                collect(v, all);
            }),
            _ => {}
        }
        all.push('\0');
    }
    let mut all = Zeroizing::new(String::new());
    collect(&serde_json::from_slice(text).ok()?, &mut all);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret/of+the~desk?>";

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = Secret::new(SECRET);
        let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
        let percent: String = SECRET.bytes().map(|b| format!("%{b:02X}")).collect();
        let escaped: String = SECRET.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let mut shown = vec![
            format!("it is {SECRET}."),
            hex.to_uppercase(),
            hex,
            percent.clone(),
            percent.replace("%73", "s"),
            format!("{{\"a\":\"{escaped}\"}}"),
            format!("{{\"a\":\"x\\n{percent}\"}}"),
            format!("{{\"{}\":1}}", SECRET.replace('/', "\\/")),
        ];
        for before in ["", "u", "us", "user:", "x: "] {
            for after in ["", "1", "22", "333"] {
                let pair = format!("{before}{SECRET}{after}");
                shown.push(base64(pair.as_bytes()));
                shown.push(base64url(pair.as_bytes()));
                shown.push(format!(
                    "{{\"a\":\"{}\\n\"}}",
                    base64(pair.as_bytes()).replace('/', "\\/")
                ));
            }
        }
        for text in shown {
            assert!(secret.is_shown_by(text.as_bytes()), "{text}");
        }
        for text in ["", "s3cret", "{\"a\":\"s3cret\\u002fof\"}", "100%", "{\"a\":\"\\n%zz\"}"] {
            assert!(!secret.is_shown_by(text.as_bytes()), "{text}");
        }
        assert!(!Secret::new("").is_shown_by(b"anything"));
    }

    #[test]
    fn a_credential_is_one_header_and_its_debug_says_nothing() {
        let bearer = Credential::bearer(SECRET).unwrap();
        let (name, value) = bearer.to_header();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("authorization", &*format!("Bearer {SECRET}"))
        );
        assert!(value.is_sensitive() && !format!("{bearer:?}{value:?}").contains("s3cret"));
        let basic = Credential::basic("user", SECRET).unwrap();
        let (_, value) = basic.to_header();
        assert!(basic.is_shown_by(value.as_bytes()) && basic.is_shown_by(SECRET.as_bytes()));
        let header = Credential::header("X-Api-Key", SECRET).unwrap();
        assert_eq!(header.to_header().0.as_str(), "x-api-key");
        let more = header.with_secrets([Secret::new("another-secret")]);
        assert!(more.is_shown_by(b"another-secret") && more.is_shown_by(SECRET.as_bytes()));
    }

    #[test]
    fn a_header_that_the_gateway_sets_holds_no_credential() {
        for name in
            ["Host", "Content-Type", "content-length", "Accept", "Mcp-Session-Id", "te", "a b", ""]
        {
            assert!(Credential::header(name, SECRET).is_none(), "{name}");
        }
        for value in ["line\nbreak", "nul\0"] {
            assert!(Credential::bearer(value).is_none());
        }
    }
}
