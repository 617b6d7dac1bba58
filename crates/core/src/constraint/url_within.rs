//! `url_within`: URLs of one scheme, host (or its subdomains), port and path
//! prefix.
//!
//! | | |
//! |---|---|
//! | members | `scheme`: `https`, `http`, `wss` or `ws`, required; exactly one of `host` and `host_suffix`; `port`: integer, default the scheme's; `path_prefix`: clean path, default `/`; `query`: `none` (default) or `any` |
//! | check | the value is a string, a URL in canonical spelling, and each part is the one named |
//! | covers | the same type when each part of the child is one that the parent permits; `exact` and `one_of` when every value is permitted |
//! | cost | linear in the length of the value (at most 8192 bytes) |
//!
//! A URL is read twice: by the strict reader here and by crate `url` (WHATWG).
//! It is permitted only if both agree and the text is what `url` would write,
//! so a tool's parser has nothing left to repair. Userinfo, fragments, control
//! characters, non-ASCII text, backslashes, a dot at the end of the host and an
//! explicit default port are refused. In paths every escape is refused but
//! `%20` and those of letters and digits beyond ASCII.
//!
//! Labels in punycode (`xn--`) are permitted only where the constraint spells
//! them: a subdomain that a suffix admits has none, so no homograph comes in.
//!
//! **Soundness**: scheme and port are compared for equality; the hosts of a
//! suffix lie under every shorter suffix on a label boundary, and the labels
//! between are checked by the same rule as a value's; paths are containment on
//! segments; a query is admitted only where the parent admits any.

use url::{Host, Url};

use super::ConstraintError;
use super::clean;
use super::parse::Members;
use crate::json::{Json, Object};

const LONGEST: usize = 8192;
const HOST: &str = "a host name in lower case or an IP address, in canonical form";
const HOST_SUFFIX: &str = "a host name in lower case with at least two labels";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct UrlWithin {
    scheme: &'static str,
    default_port: u16,
    host: HostRule,
    port: u16,
    /// A clean path.
    path_prefix: String,
    any_query: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum HostRule {
    Exact(String),
    /// The host itself and every host below it.
    Suffix(String),
}

impl HostRule {
    fn permits(&self, host: &str) -> bool {
        match self {
            Self::Exact(expected) => host == expected,
            Self::Suffix(suffix) => match host.strip_suffix(suffix.as_str()) {
                Some("") => true,
                Some(below) => below.strip_suffix('.').is_some_and(|labels| {
                    !labels.split('.').any(|label| label.starts_with("xn--"))
                }),
                None => false,
            },
        }
    }

    fn covers(&self, child: &Self) -> bool {
        match (self, child) {
            (_, Self::Exact(host)) => self.permits(host),
            // What a suffix adds in front of itself never has `xn--`, so
            // whatever is below a permitted suffix is permitted.
            (Self::Suffix(_), Self::Suffix(suffix)) => self.permits(suffix),
            (Self::Exact(_), Self::Suffix(_)) => false,
        }
    }
}

impl UrlWithin {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        let (scheme, default_port) = scheme(members.text("scheme")?)
            .ok_or_else(|| members.invalid("scheme", "`https`, `http`, `wss` or `ws`"))?;
        let host = match (members.get("host"), members.get("host_suffix")) {
            (Some(host), None) => HostRule::Exact(
                host.as_str()
                    .filter(|host| canonical_host(host).is_some())
                    .ok_or_else(|| members.invalid("host", HOST))?
                    .to_owned(),
            ),
            (None, Some(suffix)) => HostRule::Suffix(
                suffix
                    .as_str()
                    .filter(|suffix| suffix.contains('.'))
                    .filter(|suffix| matches!(canonical_host(suffix), Some(Host::Domain(_))))
                    .ok_or_else(|| members.invalid("host_suffix", HOST_SUFFIX))?
                    .to_owned(),
            ),
            (Some(_), Some(_)) => {
                return Err(members.invalid("host_suffix", "absent beside `host`"));
            }
            (None, None) => return Err(members.missing("`host` or `host_suffix`")),
        };
        let port = match members.get("port") {
            None => default_port,
            Some(port) => port
                .as_number()
                .and_then(crate::json::Number::as_plain_integer)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0)
                .ok_or_else(|| members.invalid("port", "an integer from 1 to 65535"))?,
        };
        let path_prefix = match members.get("path_prefix") {
            None => "/",
            Some(prefix) => {
                prefix.as_str().filter(|prefix| is_url_path(prefix)).ok_or_else(|| {
                    members.invalid("path_prefix", "a clean path that begins with `/`")
                })?
            }
        };
        let any_query = match members.get("query").map(Json::as_str) {
            None | Some(Some("none")) => false,
            Some(Some("any")) => true,
            Some(_) => return Err(members.invalid("query", "`none` or `any`")),
        };
        Ok(Self {
            scheme,
            default_port,
            host,
            port,
            path_prefix: path_prefix.to_owned(),
            any_query,
        })
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let Some(parts) = value.as_str().and_then(Parts::read) else { return false };
        parts.scheme == self.scheme
            && parts.port == self.port
            && self.host.permits(parts.host)
            && clean::lies_under(&self.path_prefix, parts.path)
            && (self.any_query || parts.query.is_none())
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        child.scheme == self.scheme
            && child.port == self.port
            && self.host.covers(&child.host)
            && clean::lies_under(&self.path_prefix, &child.path_prefix)
            && (self.any_query || !child.any_query)
    }

    pub(super) fn write(&self, mut object: Object) -> Object {
        object.insert("scheme", self.scheme);
        match &self.host {
            HostRule::Exact(host) => object.insert("host", host.as_str()),
            HostRule::Suffix(suffix) => object.insert("host_suffix", suffix.as_str()),
        }
        if self.port != self.default_port {
            object.insert("port", u64::from(self.port));
        }
        if self.path_prefix != "/" {
            object.insert("path_prefix", self.path_prefix.as_str());
        }
        if self.any_query {
            object.insert("query", "any");
        }
        object
    }
}

fn scheme(name: &str) -> Option<(&'static str, u16)> {
    Some(match name {
        "https" => ("https", 443),
        "http" => ("http", 80),
        "wss" => ("wss", 443),
        "ws" => ("ws", 80),
        _ => return None,
    })
}

/// A URL in canonical spelling, cut into its parts.
struct Parts<'u> {
    scheme: &'u str,
    host: &'u str,
    port: u16,
    path: &'u str,
    query: Option<&'u str>,
}

impl<'u> Parts<'u> {
    fn read(text: &'u str) -> Option<Self> {
        if text.len() > LONGEST || !text.bytes().all(is_url_byte) {
            return None;
        }
        let (name, rest) = text.split_once("://")?;
        let (_, default_port) = scheme(name)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // Userinfo is refused with the host: `@` is no character of one.
        let host_end = if authority.starts_with('[') {
            authority.find(']')?.checked_add(1)?
        } else {
            authority.find(':').unwrap_or(authority.len())
        };
        let (host, port) = authority.split_at_checked(host_end)?;
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => default_port,
            None => return None,
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None if target.is_empty() => ("/", None),
            None => (target, None),
        };
        if !is_host(host) || !is_url_path(path) {
            return None;
        }
        // SECURITY: a second opinion by the parser that browsers' rules come
        // from; any disagreement, also over spelling, refuses.
        let url = Url::parse(text).ok()?;
        let same_text = match url.as_str().strip_prefix(text) {
            Some("") => true,
            Some("/") => target.is_empty(),
            _ => false,
        };
        let same_parts = url.scheme() == name
            && url.host_str() == Some(host)
            && url.port_or_known_default() == Some(port)
            && url.path() == path
            && url.query() == query;
        (same_text && same_parts).then_some(Self { scheme: name, host, port, path, query })
    }
}

/// Printable ASCII that RFC 3986 allows in a URI, without `#`.
fn is_url_byte(b: u8) -> bool {
    b.is_ascii_graphic()
        && !matches!(b, b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}')
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    }
    host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        })
}

/// The host as crate `url` reads it, if that is how it was spelled.
fn canonical_host(host: &str) -> Option<Host<String>> {
    let parsed = Host::parse(host).ok()?;
    (is_host(host) && parsed.to_string() == host).then_some(parsed)
}

/// Whether a URL path can be read in one way only. Beyond the rules for
/// segments ([`clean::is_path`]) there are no path parameters (`;`) and no
/// escapes but `%20` inside a segment and those of visible letters, digits and
/// diacritics beyond ASCII, in upper case. The last segment may be empty.
fn is_url_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let (above, last) = rest.rsplit_once('/').map_or((None, rest), |(a, l)| (Some(a), l));
    above.is_none_or(|above| above.split('/').all(is_url_segment))
        && (last.is_empty() || is_url_segment(last))
}

fn is_url_segment(segment: &str) -> bool {
    if segment.is_empty()
        || segment.starts_with("..")
        || segment.ends_with('.')
        || segment.starts_with("%20")
        || segment.ends_with("%20")
    {
        return false;
    }
    let mut bytes = segment.bytes();
    while let Some(b) = bytes.next() {
        let fine = match b {
            b'%' => escape(&mut bytes).is_some_and(|first| {
                first == b' ' || (first >= 0x80 && word_char(first, &mut bytes))
            }),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b'=' | b':' | b'@' => true,
            b => b.is_ascii_alphanumeric(),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// The byte of an escape whose `%` was read, in upper-case hexadecimal.
fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || match bytes.next()? {
        b @ b'0'..=b'9' => Some(b - b'0'),
        b @ b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    Some(digit()? << 4 | digit()?)
}

/// Whether the UTF-8 sequence that begins with `first` goes on in escapes and
/// is one permitted character. Overlong forms are not UTF-8.
fn word_char(first: u8, bytes: &mut impl Iterator<Item = u8>) -> bool {
    let length = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return false,
    };
    let mut sequence = [first, 0, 0, 0];
    for slot in sequence.iter_mut().take(length).skip(1) {
        if bytes.next() != Some(b'%') {
            return false;
        }
        let Some(byte) = escape(bytes) else { return false };
        *slot = byte;
    }
    sequence
        .get(..length)
        .and_then(|sequence| std::str::from_utf8(sequence).ok())
        .and_then(|text| text.chars().next())
        .is_some_and(clean::is_word_char)
}
