//! Foreign trust domains, as they are configured.

use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::jose::{JwkSet, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::peer::Anchor;

use crate::authority::Authority;
use crate::error::PeerError;

/// Trust domains at most.
const MAX_ANCHORS: usize = 64;

const fn bad(what: &'static str) -> PeerError {
    PeerError::Anchors { what }
}

/// Another trust domain, as it is configured.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Its keys, and what they may say.
    pub anchor: Anchor,
    /// The authority of its agents' delegations, letter by letter as it names itself:
    /// what they hand over can be taken over. `None`: nothing is taken over from them.
    pub authority: Option<Authority>,
}

/// Reads a list of foreign trust domains:
/// `[{trust_domain, issuer, jwks, max_guarantee, authority?}]`, each with its keys
/// inline. Nothing is fetched, and nobody is believed who is not listed.
///
/// # Errors
/// [`PeerError::Anchors`], [`PeerError::Keys`].
pub fn read_anchors(bytes: &[u8]) -> Result<Vec<Foreign>, PeerError> {
    let json = Json::parse(bytes, &JsonLimits::DEFAULT).map_err(|_| bad("no strict JSON"))?;
    let list = json.as_array().ok_or(bad("no list"))?;
    if list.len() > MAX_ANCHORS {
        return Err(bad("more than 64 trust domains"));
    }
    let anchors = list.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let is_twice = |(i, one): (usize, &Foreign)| {
        let domain = &one.anchor.trust_domain;
        anchors.iter().take(i).any(|other| other.anchor.trust_domain == *domain)
    };
    // Which of the two speaks for it would be a matter of order.
    if anchors.iter().enumerate().any(is_twice) {
        return Err(bad("a trust domain stands twice"));
    }
    Ok(anchors)
}

fn read(json: &Json) -> Result<Foreign, PeerError> {
    let members = |o: &&Object| o.len() == 4 + usize::from(o.member("authority").is_some());
    let o = json.as_object().filter(members);
    let o = o.ok_or(bad("an entry has not exactly the documented members"))?;
    let text = |member: &'static str| {
        o.member(member).and_then(Json::as_str).filter(|t| !t.is_empty()).ok_or(bad(member))
    };
    let trust_domain = text("trust_domain")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    if !trust_domain.bytes().all(plain) {
        return Err(bad("trust_domain"));
    }
    let authority = match o.member("authority") {
        Some(_) => Some(Authority::new(text("authority")?)?),
        None => None,
    };
    let anchor = Anchor {
        trust_domain: trust_domain.to_owned(),
        issuer: text("issuer")?.to_owned(),
        keys: identity_keys(o)?,
        max_guarantee: Guarantee::parse(text("max_guarantee")?).ok_or(bad("max_guarantee"))?,
    };
    Ok(Foreign { anchor, authority })
}

fn identity_keys(o: &Object) -> Result<Vec<(String, VerifyingKey)>, PeerError> {
    let set = JwkSet::<VerifyingKey>::from_json(o.member("jwks").ok_or(bad("jwks"))?)?;
    Ok(named(&set))
}

/// The keys of a set by their `kid`; identity tokens name theirs.
pub(crate) fn named(set: &JwkSet<VerifyingKey>) -> Vec<(String, VerifyingKey)> {
    set.iter().filter_map(|(kid, key)| Some((kid?.to_owned(), *key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(domain: &str, guarantee: &str) -> String {
        format!(
            r#"{{"trust_domain":"{domain}","issuer":"https://a.example","jwks":{{"keys":[]}},"max_guarantee":"{guarantee}"}}"#
        )
    }

    #[test]
    fn anchors_are_read_strictly() {
        let good = format!("[{},{}]", entry("a.example", "jwt"), entry("b.example", "mtls"));
        let anchors = read_anchors(good.as_bytes()).unwrap();
        assert_eq!(anchors[0].anchor.max_guarantee, Guarantee::Jwt);
        assert!(anchors[0].authority.is_none());
        for bad in [
            "{}".to_owned(),
            "[{}]".to_owned(),
            format!("[{}]", entry("A.example", "jwt")),
            format!("[{}]", entry("a.example/x", "jwt")),
            format!("[{}]", entry("a.example", "sure")),
            format!("[{0},{0}]", entry("a.example", "jwt")),
            format!("[{}]", entry("a.example", "jwt").replace('{', r#"{"jwks_uri":"https://e","#)),
        ] {
            assert!(read_anchors(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
