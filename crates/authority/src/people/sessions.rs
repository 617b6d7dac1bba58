//! Sessions of people in a browser: how long they last, and how a request
//! proves that it comes from our own page.
//!
//! A session is a random secret in a cookie; the server keeps only its SHA-256.
//! Requests that change something must also carry the session's CSRF token and
//! must come from our origin.

use bailiwick_core::crypto::{base64url, from_base64url, sha256};
use bailiwick_core::ids::Alias;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::host::Moment;
use crate::refusal::Refusal;

/// Seconds without a request after which a session ends.
pub const IDLE_SECONDS: i64 = 30 * 60;
/// Seconds after which a session ends however busy it is.
pub const ABSOLUTE_SECONDS: i64 = 12 * 60 * 60;
/// Seconds since the person last proved who they are, within which a grant
/// above low risk may be signed.
pub const FRESH_SECONDS: i64 = 10 * 60;
/// How often the time of the last request is written down, seconds: a write per
/// request would cost more than the precision is worth.
pub const TOUCH_SECONDS: i64 = 60;

/// A secret that a browser keeps: 32 random bytes. Never logged or shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A fresh one.
    ///
    /// # Errors
    /// [`Refusal::NoEntropy`].
    pub fn mint(moment: &Moment<'_>) -> Result<Self, Refusal> {
        Ok(Self(Zeroizing::new(moment.random()?)))
    }

    /// Reads base64url of exactly 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(from_base64url(text)?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// What the browser keeps.
    #[must_use]
    pub fn reveal(&self) -> String {
        base64url(self.0.as_slice())
    }

    /// What the server keeps.
    #[must_use]
    pub fn hash(&self) -> bailiwick_core::crypto::Digest {
        sha256(self.0.as_slice())
    }

    /// The CSRF token of the session with this secret. It is derived, so that
    /// it needs no storage, dies with the session, and cannot be turned back
    /// into the cookie.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        self.derived("bailiwick-csrf-v1")
    }

    /// A value that only who has the secret can make, another one for each
    /// purpose. It tells nothing about the secret or about the others.
    #[must_use]
    pub(crate) fn derived(&self, purpose: &str) -> String {
        let mut input = Zeroizing::new(format!("{purpose}\n").into_bytes());
        input.extend_from_slice(self.0.as_slice());
        base64url(sha256(&input).bytes())
    }

    /// Whether `given` is this session's CSRF token, in constant time.
    ///
    /// # Errors
    /// [`SessionError::CsrfToken`].
    pub fn check_csrf(&self, given: &str) -> Result<(), SessionError> {
        let expected = self.csrf_token();
        if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            Ok(())
        } else {
            Err(SessionError::CsrfToken)
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How a person proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A passkey of this installation, with user verification.
    Passkey,
    /// A login at a configured OpenID Connect provider.
    OpenId,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::OpenId => "openid",
        }
    }
}

/// A signed-in person, as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who: the principal's alias, which survives a change of name.
    pub principal: Alias,
    /// How they proved it.
    pub method: Method,
    /// The credential with which they proved it, by its id; `None` in sessions
    /// of before it was kept, and where it was made in the same step.
    pub credential: Option<String>,
    /// When the session began.
    pub started: Timestamp,
    /// When they last proved who they are.
    pub authenticated: Timestamp,
    /// When the last request was noted.
    pub seen: Timestamp,
}

/// Why a browser's request is not taken as the person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// It comes from another site.
    #[error("the request does not come from a page of this installation")]
    CrossSite,
    /// The CSRF token is missing or not the session's.
    #[error("the form does not belong to your present session")]
    CsrfToken,
    /// The session lasted as long as any may.
    #[error("you have been signed in for as long as is allowed")]
    Ended,
    /// Nobody used it for a while.
    #[error("you were signed out because nothing happened for a while")]
    Idle,
    /// The last proof is too old for what is asked.
    #[error("for this you must prove again that it is you")]
    NotFresh,
}

impl SessionError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CrossSite => "cross-site",
            Self::CsrfToken => "csrf-token-invalid",
            Self::Ended => "session-ended",
            Self::Idle => "session-idle",
            Self::NotFresh => "authentication-not-fresh",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::CrossSite => "open the console itself and do it there",
            Self::CsrfToken => "load the page again, then try once more",
            Self::Ended | Self::Idle | Self::NotFresh => "sign in again",
        }
    }
}

impl Session {
    /// A session that begins now.
    #[must_use]
    pub const fn begin(principal: Alias, method: Method, now: Timestamp) -> Self {
        Self { principal, method, credential: None, started: now, authenticated: now, seen: now }
    }

    /// The session, begun with this credential.
    #[must_use]
    pub fn with_credential(self, id: String) -> Self {
        Self { credential: Some(id), ..self }
    }

    /// A session that begins now, of a person who was last asked to prove who
    /// they are at `authenticated`: providers remember their people. Without a
    /// time it counts as long ago.
    #[must_use]
    pub fn begin_remembered(
        principal: Alias,
        method: Method,
        authenticated: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let long_ago = now.plus_seconds(-ABSOLUTE_SECONDS);
        let authenticated = authenticated.map_or(long_ago, |time| time.min(now));
        Self { authenticated, ..Self::begin(principal, method, now) }
    }

    /// Whether it still stands.
    ///
    /// # Errors
    /// [`SessionError::Ended`], [`SessionError::Idle`].
    pub const fn check(&self, now: Timestamp) -> Result<(), SessionError> {
        let age = now.millis_since(self.started);
        let idle = now.millis_since(self.seen);
        // A clock that was stepped back behind the begin ends the session too.
        if age < 0 || age >= ABSOLUTE_SECONDS * 1000 {
            return Err(SessionError::Ended);
        }
        if idle >= IDLE_SECONDS * 1000 {
            return Err(SessionError::Idle);
        }
        Ok(())
    }

    /// Whether the last proof is recent enough for a grant above low risk.
    ///
    /// # Errors
    /// [`SessionError::NotFresh`].
    pub const fn check_fresh(&self, now: Timestamp) -> Result<(), SessionError> {
        let age = now.millis_since(self.authenticated);
        if age < 0 || age >= FRESH_SECONDS * 1000 { Err(SessionError::NotFresh) } else { Ok(()) }
    }

    /// The session after a request, if that is worth writing down.
    #[must_use]
    pub fn touched(&self, now: Timestamp) -> Option<Self> {
        (now.millis_since(self.seen) >= TOUCH_SECONDS * 1000)
            .then(|| Self { seen: now, ..self.clone() })
    }

    /// When the server may forget it.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.seen.plus_seconds(IDLE_SECONDS).min(self.started.plus_seconds(ABSOLUTE_SECONDS))
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("principal", &self.principal)
            .with("method", self.method.as_str())
            .with("credential", self.credential.as_deref())
            .with("started", self.started.millis())
            .with("authenticated", self.authenticated.millis())
            .with("seen", self.seen.millis())
            .into()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let time = |name: &str| {
            let millis = o.member(name)?.as_number()?.as_plain_integer()?;
            Some(Timestamp::from_millis(millis))
        };
        Some(Self {
            principal: Alias::parse(o.member("principal")?.as_str()?).ok()?,
            method: match o.member("method")?.as_str()? {
                "passkey" => Method::Passkey,
                "openid" => Method::OpenId,
                _ => return None,
            },
            credential: o.member("credential").and_then(Json::as_str).map(str::to_owned),
            started: time("started")?,
            authenticated: time("authenticated")?,
            seen: time("seen")?,
        })
    }
}

/// How the console's cookies are written: by the scheme under which it is
/// reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookies {
    secure: bool,
}

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The session.
    Session,
    /// A login or enrolment under way, before there is a session.
    Ceremony,
}

impl Cookies {
    /// For the public URL `issuer`: over https with `Secure` and the `__Host-`
    /// prefix, which keeps siblings of the host from setting them. Plain http
    /// is served on loopback only, where browsers refuse that prefix.
    #[must_use]
    pub fn of(issuer: &str) -> Self {
        Self { secure: issuer.starts_with("https://") }
    }

    const fn name(self, cookie: Cookie) -> &'static str {
        match (self.secure, cookie) {
            (true, Cookie::Session) => "__Host-bailiwick",
            (true, Cookie::Ceremony) => "__Host-bailiwick-login",
            (false, Cookie::Session) => "bailiwick",
            (false, Cookie::Ceremony) => "bailiwick-login",
        }
    }

    /// The `Set-Cookie` value that hands out `secret`.
    #[must_use]
    pub fn set(self, cookie: Cookie, secret: &Secret) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name(cookie);
        format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", secret.reveal())
    }

    /// The `Set-Cookie` value that takes it back.
    #[must_use]
    pub fn clear(self, cookie: Cookie) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name(cookie);
        format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}")
    }

    /// The secret among `Cookie` header values. A name that is given twice is
    /// nobody's: somebody may have planted the other one.
    #[must_use]
    pub fn find<'a>(
        self,
        cookie: Cookie,
        headers: impl IntoIterator<Item = &'a str>,
    ) -> Option<Secret> {
        let name = self.name(cookie);
        let mut found = headers
            .into_iter()
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(given, _)| *given == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Secret::parse(value),
            _ => None,
        }
    }
}

/// Whether a request that changes something comes from a page of `issuer`:
/// `Origin` must be it, and `Sec-Fetch-Site`, where the browser sends it, must
/// say the same. A request with neither header is refused.
///
/// Our pages send no referrer, and then browsers send `null` as the origin of
/// their forms (Fetch, *append a request `Origin` header*); that is taken only
/// with the other header, which says `cross-site` for any opaque origin.
///
/// # Errors
/// [`SessionError::CrossSite`].
pub fn check_origin(
    issuer: &str,
    origin: Option<&str>,
    fetch_site: Option<&str>,
) -> Result<(), SessionError> {
    let fits = match (origin, fetch_site) {
        (Some(origin), None) => origin == issuer,
        (Some(origin), Some("same-origin")) => origin == issuer || origin == "null",
        (None, Some("same-origin")) => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(SessionError::CrossSite) }
}

/// Where to go after a login, if it is a page of ours: an absolute path without
/// a host in any spelling that browsers know.
#[must_use]
pub fn local_path(next: &str) -> Option<&str> {
    let local = next.len() <= 8192
        && next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\');
    // The browser's own reading has the last word.
    let base = url::Url::parse("https://console.invalid/").ok()?;
    let stays = base.join(next).is_ok_and(|url| url.origin() == base.origin());
    (local && stays).then_some(next)
}

#[cfg(test)]
mod tests;
