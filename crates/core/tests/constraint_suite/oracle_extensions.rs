//! Slow and obvious versions of the extension types, from the words of
//! `docs/constraints.md`: lists of segments and labels, addresses and instants
//! as whole numbers counted out, characters one by one.

use super::globs::matches;
use bailiwick_core::json::Json;
use url::Url;

fn text<'j>(c: &'j Json, name: &str) -> Option<&'j str> {
    c.as_object().unwrap().member(name).map(|v| v.as_str().unwrap())
}

fn number(c: &Json, name: &str) -> Option<i64> {
    c.as_object().unwrap().member(name).map(|v| v.as_number().unwrap().as_plain_integer().unwrap())
}

/// `check`, for the extension type `kind`.
pub(super) fn accepts(kind: &str, c: &Json, v: &Json) -> bool {
    if kind == "length" {
        let length = match v {
            Json::String(s) => s.chars().fold(0, |n, _| n + 1),
            Json::Array(a) => a.iter().fold(0, |n, _| n + 1),
            _ => return false,
        };
        return number(c, "min").is_none_or(|min| length >= min)
            && number(c, "max").is_none_or(|max| length <= max);
    }
    let Some(v) = v.as_str() else { return false };
    match kind {
        "cidr" => {
            let own = network(text(c, "network").unwrap()).unwrap();
            network(v).or_else(|| address(v)).is_some_and(|v| own.holds(v) && !v.is_mapped())
        }
        "datetime_range" => instant(v).is_some_and(|v| {
            text(c, "min").is_none_or(|min| instant(min).unwrap() <= v)
                && text(c, "max").is_none_or(|max| v <= instant(max).unwrap())
        }),
        "path_under" => {
            let root = path(text(c, "root").unwrap()).unwrap();
            path(v).is_some_and(|v| v.starts_with(&root))
        }
        "pattern" => {
            let chars = |t: &str| t.chars().collect::<Vec<char>>();
            v.len() <= 16_384 && matches(&chars(text(c, "glob").unwrap()), &chars(v))
        }
        "url_within" => url(v).is_some_and(|v| {
            text(c, "scheme").unwrap() == v.scheme
                && port(c) == v.port
                && host_holds(c, &v.host)
                && path_holds(text(c, "path_prefix").unwrap_or("/"), &v.path)
                && (!v.query || text(c, "query") == Some("any"))
        }),
        other => panic!("{other}"),
    }
}

/// Whether one constraint may stand under another of the same extension type.
pub(super) fn stands_under(kind: &str, parent: &Json, child: &Json) -> bool {
    let tighter = |at: &dyn Fn(&Json, &str) -> Option<i128>| {
        let bound = |name| (at(parent, name), at(child, name));
        let min = match bound("min") {
            (None, _) => true,
            (Some(p), c) => c.is_some_and(|c| c >= p),
        };
        let max = match bound("max") {
            (None, _) => true,
            (Some(p), c) => c.is_some_and(|c| c <= p),
        };
        min && max
    };
    match kind {
        "cidr" => {
            let own = |c| network(text(c, "network").unwrap()).unwrap();
            own(parent).holds(own(child))
        }
        "datetime_range" => tighter(&|c, name| text(c, name).map(|t| instant(t).unwrap())),
        "length" => tighter(&|c, name| number(c, name).map(i128::from)),
        "path_under" => accepts(kind, parent, &Json::from(text(child, "root").unwrap())),
        "pattern" => {
            // Every text that is long enough to tell the globs of these tests
            // apart, with one letter that stands in none of them.
            let language = |c| short_texts().map(move |t| accepts(kind, c, &Json::from(t)));
            language(parent).zip(language(child)).all(|(parent, child)| parent || !child)
        }
        "url_within" => {
            let hosts = match text(child, "host_suffix") {
                None => host_holds(parent, text(child, "host").unwrap()),
                Some(suffix) => text(parent, "host_suffix").is_some() && host_holds(parent, suffix),
            };
            let path = text(child, "path_prefix").unwrap_or("/");
            text(parent, "scheme") == text(child, "scheme")
                && port(parent) == port(child)
                && hosts
                && path_holds(text(parent, "path_prefix").unwrap_or("/"), path)
                && (text(parent, "query") == Some("any") || text(child, "query") != Some("any"))
        }
        other => panic!("{other}"),
    }
}

fn short_texts() -> impl Iterator<Item = String> {
    (0..=4_u32).flat_map(|length| {
        (0..5_u32.pow(length)).map(move |n| {
            (0..length)
                .map(|i| ['a', 'b', '/', '1', 'z'][(n / 5_u32.pow(i) % 5) as usize])
                .collect()
        })
    })
}

// ---------------------------------------------------------------- paths

/// A letter, digit or diacritic beyond ASCII that can be seen.
fn beyond_ascii(c: char) -> bool {
    const UNSEEN: [u32; 5] = [0x34f, 0x115f, 0x1160, 0x3164, 0xffa0];
    !c.is_ascii()
        && !UNSEEN.contains(&u32::from(c))
        && (c.is_alphabetic() || c.is_numeric() || (0x300..=0x36f).contains(&u32::from(c)))
}

fn is_clean(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment.get(..2) != Some("..")
        && !segment.ends_with('.')
        && segment.trim_matches(' ') == segment
}

/// The segments of a clean path: none for `/`.
fn path(text: &str) -> Option<Vec<&str>> {
    if text == "/" {
        return Some(Vec::new());
    }
    let fine = |c: char| beyond_ascii(c) || (' '..='~').contains(&c) && c != '\\' && c != '%';
    if text.len() > 4096 || !text.chars().all(fine) || !text.starts_with('/') {
        return None;
    }
    let segments: Vec<&str> = text[1..].split('/').collect();
    segments.iter().all(|s| is_clean(s)).then_some(segments)
}

// ---------------------------------------------------------------- URLs

struct Parts {
    scheme: String,
    host: String,
    port: i64,
    path: String,
    query: bool,
}

/// What crate `url` reads, if it would write just this text and every part is of
/// the permitted kind.
fn url(text: &str) -> Option<Parts> {
    let printable = |c: char| ('!'..='~').contains(&c) && !"\"#<>\\^`{|}".contains(c);
    if text.len() > 8192 || !text.chars().all(printable) {
        return None;
    }
    let read = Url::parse(text).ok()?;
    // The `/` after a bare host may be missing.
    let bare = read.path() == "/" && format!("{text}/") == read.as_str();
    if !["http", "https", "ws", "wss"].contains(&read.scheme())
        || (read.as_str() != text && !bare)
        || !read.username().is_empty()
        || read.password().is_some()
        // An empty user, which `url` drops.
        || text.split(['/', '?']).nth(2)?.contains('@')
    {
        return None;
    }
    let host = read.host_str()?.to_owned();
    let path = read.path().to_owned();
    (is_host(&host) && is_url_path(&path)).then(|| Parts {
        scheme: read.scheme().to_owned(),
        port: i64::from(read.port_or_known_default().unwrap()),
        query: read.query().is_some(),
        host,
        path,
    })
}

fn is_host(host: &str) -> bool {
    if host.starts_with('[') {
        return true;
    }
    let label = |l: &str| {
        (1..64).contains(&l.len())
            && !(l.starts_with('-') || l.ends_with('-'))
            && l.chars().all(|c| "abcdefghijklmnopqrstuvwxyz0123456789-_".contains(c))
    };
    host.len() < 254 && host.split('.').all(label)
}

fn is_url_path(path: &str) -> bool {
    let mut segments: Vec<&str> = path[1..].split('/').collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    segments.iter().all(|segment| {
        // Read every escape, then write the segment as only one way is allowed.
        let Some(meant) = unescaped(segment) else { return false };
        let written: String = meant
            .chars()
            .map(|c| match c {
                ' ' => "%20".to_owned(),
                c if beyond_ascii(c) => {
                    c.to_string().bytes().map(|b| format!("%{b:02X}")).collect()
                }
                c => c.to_string(),
            })
            .collect();
        let letter = |c: char| {
            c.is_ascii_alphanumeric() || " -._~!$&'()*+,=:@".contains(c) || beyond_ascii(c)
        };
        written == *segment && is_clean(&meant) && meant.chars().all(letter)
    })
}

fn unescaped(segment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = segment;
    while let Some(c) = rest.chars().next() {
        if c == '%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = &rest[3..];
        } else {
            bytes.extend(c.to_string().bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    String::from_utf8(bytes).ok()
}

fn port(c: &Json) -> i64 {
    let default = if text(c, "scheme").unwrap().ends_with('s') && text(c, "scheme") != Some("ws") {
        443
    } else {
        80
    };
    number(c, "port").unwrap_or(default)
}

fn host_holds(c: &Json, host: &str) -> bool {
    let Some(suffix) = text(c, "host_suffix") else { return text(c, "host") == Some(host) };
    let (labels, own): (Vec<&str>, Vec<&str>) =
        (host.split('.').collect(), suffix.split('.').collect());
    labels.ends_with(&own)
        && labels[..labels.len() - own.len()].iter().all(|l| !l.starts_with("xn--"))
}

/// `/p` holds itself and what is below it, `/p/` only what is below it.
fn path_holds(prefix: &str, path: &str) -> bool {
    let mut own: Vec<&str> = prefix[1..].split('/').collect();
    let path: Vec<&str> = path[1..].split('/').collect();
    if own.last() == Some(&"") {
        own.pop();
        return path.len() > own.len() && path.starts_with(&own);
    }
    path.starts_with(&own)
}

// ---------------------------------------------------------------- addresses

#[derive(Clone, Copy)]
struct Addresses {
    bits: u32,
    first: u128,
    last: u128,
}

impl Addresses {
    fn holds(self, other: Self) -> bool {
        self.bits == other.bits && self.first <= other.first && other.last <= self.last
    }

    /// Whether an IPv4-mapped address is among them.
    fn is_mapped(self) -> bool {
        let mapped = 0xffff_u128 << 32;
        self.bits == 128 && self.first <= mapped + 0xffff_ffff && mapped <= self.last
    }
}

/// The numbers of an address, read only as it is to be written.
fn address(text: &str) -> Option<Addresses> {
    let (bits, number) = match text.parse::<std::net::IpAddr>().ok()? {
        std::net::IpAddr::V4(v4) => (32, u128::from(u32::from(v4))),
        std::net::IpAddr::V6(v6) => (128, u128::from(v6)),
    };
    let written = if bits == 32 { dotted(number) } else { colons(number) };
    (written == text).then_some(Addresses { bits, first: number, last: number })
}

fn dotted(number: u128) -> String {
    let parts: Vec<String> = (0..4).rev().map(|i| (number >> (8 * i) & 0xff).to_string()).collect();
    parts.join(".")
}

/// RFC 5952: lower case, no leading zeros, the first of the longest runs of two
/// or more zero groups is `::`; mapped addresses end in dotted decimal.
fn colons(number: u128) -> String {
    if number >> 32 == 0xffff {
        return format!("::ffff:{}", dotted(number & 0xffff_ffff));
    }
    let groups: Vec<u128> = (0..8).rev().map(|i| number >> (16 * i) & 0xffff).collect();
    let hex =
        |groups: &[u128]| groups.iter().map(|g| format!("{g:x}")).collect::<Vec<_>>().join(":");
    for length in (2..=8).rev() {
        for at in 0..=8 - length {
            if groups[at..at + length].iter().all(|g| *g == 0) {
                return format!("{}::{}", hex(&groups[..at]), hex(&groups[at + length..]));
            }
        }
    }
    hex(&groups)
}

fn network(text: &str) -> Option<Addresses> {
    let (start, length) = text.split_once('/')?;
    let start = address(start)?;
    let prefix: u32 = length.parse().ok()?;
    if prefix > start.bits || prefix.to_string() != length {
        return None;
    }
    let mut last = start.first;
    for bit in 0..start.bits - prefix {
        if start.first >> bit & 1 == 1 {
            return None;
        }
        last |= 1 << bit;
    }
    Some(Addresses { last, ..start })
}

// ---------------------------------------------------------------- instants

/// Nanoseconds since the year 0, counted year by year and month by month.
fn instant(text: &str) -> Option<i128> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let digits =
        |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<i128>().ok()).flatten();
    let (main, rest) = text.split_at(19);
    let shape: String = main.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape != "0000-00-00T00:00:00" {
        return None;
    }
    let at = |from: usize, to: usize| digits(&main[from..to]).unwrap();
    let (year, month, day) = (at(0, 4), at(5, 7), at(8, 10));
    let (hour, minute, second) = (at(11, 13), at(14, 16), at(17, 19));
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let nanos = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => 0,
        Some(f) if (1..10).contains(&f.len()) => digits(&format!("{f:0<9}"))?,
        _ => return None,
    };
    let offset = match zone {
        "Z" => 0,
        "-00:00" => return None,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 {
                return None;
            }
            let (hours, minutes) = (digits(hours)?, digits(minutes)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    let leap = |year: i128| year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
    let months = |year: i128| {
        [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31_i128]
    };
    let length = *months(year).get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if day < 1 || day > length || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut days = day - 1;
    for earlier in 0..year {
        days += months(earlier).iter().sum::<i128>();
    }
    days += months(year)[..usize::try_from(month).unwrap() - 1].iter().sum::<i128>();
    let seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second;
    Some(seconds * 1_000_000_000 + nanos)
}
