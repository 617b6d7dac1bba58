//! The authority, as an instance asks it: identity, keys, and the record of
//! handshakes and handoffs.

use std::time::Duration;

use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::crypto::{Digest, P256SigningKey, base64url};
use bailiwick_core::guarantee::Grade;
use bailiwick_core::ids::InstanceId;
use bailiwick_core::jose::{self, JwkSet, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::peer::record::Record;
use bailiwick_core::peer::returned::Status;
use bailiwick_core::time::Timestamp;

use crate::anchors::named;
use crate::error::{PeerError, Who};
use crate::transport::{Answer, client, send};

/// The `typ` of a request for an identity token.
const IDENTITY_REQUEST: &str = "bailiwick-identity-request+jwt";
/// The `typ` of word about a peer that was refused.
const REFUSAL: &str = "bailiwick-peer-refusal+jwt";
/// Bytes of the claimed SPIFFE ID in such word.
const MAX_CLAIMED: usize = 2_048;
const MAX_ANSWER: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(15);

/// An authority.
#[derive(Clone, Debug)]
pub struct Authority {
    url: String,
    http: reqwest::Client,
}

/// The published keys of an authority.
pub(crate) struct Published {
    /// Those of identity tokens, by `kid`.
    pub(crate) identities: Vec<(String, VerifyingKey)>,
    /// Those of delegations.
    pub(crate) roots: Anchors,
}

/// How a handoff stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Nobody answered yet.
    Offered,
    /// It was taken over.
    Accepted,
    /// It was not.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// It was taken over, and something came back.
    Returned,
}

impl Stands {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Returned => "returned",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Offered, Self::Accepted, Self::Rejected, Self::Expired, Self::Returned];
        all.into_iter().find(|s| s.as_str() == text)
    }
}

/// A claim, as the authority graded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graded {
    /// What is said.
    pub statement: String,
    /// Who says it first: a SPIFFE ID.
    pub speaker: String,
    /// How well it is founded.
    pub grade: Grade,
}

impl Graded {
    /// As it is told.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("statement", self.statement.as_str())
            .with("speaker", self.speaker.as_str())
            .with("grade", self.grade.as_str())
            .into()
    }

    fn read(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let text = |member: &str| o.member(member).and_then(Json::as_str);
        Some(Self {
            statement: text("statement")?.to_owned(),
            speaker: text("speaker")?.to_owned(),
            grade: Grade::parse(text("grade")?)?,
        })
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// How the taker says that it went.
    pub status: Status,
    /// What it tells.
    pub claims: Vec<Graded>,
}

/// A handoff, as the authority has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffView {
    /// Its id.
    pub handoff: String,
    /// The hash of the signed offer.
    pub hash: Digest,
    /// How it stands.
    pub stands: Stands,
    /// Why it was rejected, in the taker's words, where the authority tells.
    pub reason: Option<String>,
    /// The offer's claims.
    pub claims: Vec<Graded>,
    /// What came back, if anything did.
    pub returned: Option<Returned>,
    /// Whether the delegation behind it was revoked.
    pub revoked: bool,
}

fn unexpected(what: &'static str) -> PeerError {
    PeerError::Unexpected { who: Who::Authority, what }
}

fn claims(o: &Object) -> Option<Vec<Graded>> {
    o.member("claims")?.as_array()?.iter().map(Graded::read).collect()
}

impl HandoffView {
    fn read(o: &Object) -> Result<Self, PeerError> {
        let text = |member: &str| o.member(member).and_then(Json::as_str);
        let returned = match o.member("returned") {
            None | Some(Json::Null) => None,
            Some(json) => Some(returned(json).ok_or(unexpected("what came back"))?),
        };
        Ok(Self {
            handoff: text("handoff").ok_or(unexpected("its id"))?.to_owned(),
            hash: text("hash").and_then(Digest::from_text).ok_or(unexpected("its hash"))?,
            stands: text("status").and_then(Stands::parse).ok_or(unexpected("its status"))?,
            reason: text("reason").map(str::to_owned),
            claims: claims(o).ok_or(unexpected("its claims"))?,
            returned,
            revoked: o.member("revoked").and_then(Json::as_bool).unwrap_or(false),
        })
    }
}

fn returned(json: &Json) -> Option<Returned> {
    let o = json.as_object()?;
    let status = Status::parse(o.member("status")?.as_str()?)?;
    Some(Returned { status, claims: claims(o)? })
}

impl Authority {
    /// The authority at its public URL, letter by letter as it names itself.
    ///
    /// # Errors
    /// [`PeerError::Away`] when no HTTP client can be made.
    pub fn new(url: &str) -> Result<Self, PeerError> {
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, http: client(Who::Authority, PATIENCE)? })
    }

    /// Its public URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn post(&self, path: &str, body: Object) -> Result<Option<Object>, PeerError> {
        let json = (reqwest::header::CONTENT_TYPE, "application/json");
        let request = self.http.post(format!("{}{path}", self.url)).header(json.0, json.1);
        let request = request.body(Json::from(body).canonical());
        read(Who::Authority, send(Who::Authority, request, MAX_ANSWER).await?)
    }

    async fn ask(&self, path: &str, body: Object) -> Result<Object, PeerError> {
        self.post(path, body).await?.ok_or(unexpected("it is empty"))
    }

    /// A fresh identity token.
    pub(crate) async fn identity(
        &self,
        instance: &InstanceId,
        identity: &P256SigningKey,
        now: Timestamp,
        jti: [u8; 16],
    ) -> Result<String, PeerError> {
        let claims = Object::new()
            .with("iss", instance)
            .with("aud", self.url.as_str())
            .with("iat", now.seconds())
            .with("jti", base64url(&jti));
        let request = jose::sign(IDENTITY_REQUEST, None, &claims.into(), identity)?;
        let body = Object::new().with("request", request);
        let answer = self.ask("/instances/identity", body).await?;
        let token = answer.member("identity_token").and_then(Json::as_str);
        token.map(str::to_owned).ok_or(unexpected("no identity token"))
    }

    /// The keys that it publishes.
    pub(crate) async fn keys(&self) -> Result<Published, PeerError> {
        let request = self.http.get(format!("{}/jwks", self.url));
        let answer = send(Who::Authority, request, MAX_ANSWER).await?;
        if answer.status != 200 {
            return Err(unexpected("it publishes no keys"));
        }
        let keys = named(&JwkSet::<VerifyingKey>::parse(&answer.body)?);
        let root = |(_, key): &(String, VerifyingKey)| match key {
            VerifyingKey::Ed25519(key) => Some((self.url.clone(), *key)),
            VerifyingKey::P256(_) => None,
        };
        let roots = keys.iter().filter_map(root).collect();
        let roots = Anchors::new(roots).map_err(|_| unexpected("a key of two issuers"))?;
        let is_identity = |(_, key): &(String, VerifyingKey)| matches!(key, VerifyingKey::P256(_));
        Ok(Published { identities: keys.into_iter().filter(is_identity).collect(), roots })
    }

    /// Records a handshake.
    pub(crate) async fn handshake(&self, record: &Record) -> Result<(), PeerError> {
        let body = Object::new().with("handshake", record.to_json());
        self.post("/peers/handshakes", body).await.map(drop)
    }

    /// Records an offer.
    pub(crate) async fn offered(
        &self,
        offer: &str,
        record: &Record,
        chain: &[String],
    ) -> Result<HandoffView, PeerError> {
        let chain: Vec<Json> = chain.iter().map(|t| Json::from(t.as_str())).collect();
        let body = Object::new()
            .with("offer", offer)
            .with("handshake", record.to_json())
            .with("chain", chain);
        HandoffView::read(&self.ask("/handoffs", body).await?)
    }

    /// Records an answer. The authority takes one, and no second.
    pub(crate) async fn answered(
        &self,
        handoff: Digest,
        answer: &str,
    ) -> Result<HandoffView, PeerError> {
        let body = Object::new().with("handoff", handoff).with("answer", answer);
        HandoffView::read(&self.ask("/handoffs/answer", body).await?)
    }

    /// Records what came back.
    pub(crate) async fn came_back(
        &self,
        handoff: Digest,
        returned: &str,
    ) -> Result<HandoffView, PeerError> {
        let body = Object::new().with("handoff", handoff).with("return", returned);
        HandoffView::read(&self.ask("/handoffs/return", body).await?)
    }

    /// How a handoff stands; its hash is known to those who have the offer.
    ///
    /// # Errors
    /// [`PeerError::Refused`] for one that the authority does not have,
    /// [`PeerError::Away`], [`PeerError::Unexpected`].
    pub async fn view(&self, handoff: Digest) -> Result<HandoffView, PeerError> {
        let body = Object::new().with("handoff", handoff);
        let view = HandoffView::read(&self.ask("/handoffs/view", body).await?)?;
        if view.hash == handoff { Ok(view) } else { Err(unexpected("another handoff")) }
    }

    /// Tells that somebody was refused.
    pub(crate) async fn refused(
        &self,
        instance: &InstanceId,
        identity: &P256SigningKey,
        told: &Told<'_>,
    ) -> Result<(), PeerError> {
        // A longer one is no SPIFFE ID; its beginning says enough.
        let ends = told.claimed.floor_char_boundary(MAX_CLAIMED);
        let claimed = told.claimed.get(..ends).unwrap_or_default();
        let claims = Object::new()
            .with("iss", instance)
            .with("aud", self.url.as_str())
            .with("iat", told.now.seconds())
            .with("jti", base64url(&told.jti))
            .with("code", told.code)
            .with("claimed", claimed);
        let refusal = jose::sign(REFUSAL, None, &claims.into(), identity)?;
        self.post("/peers/refusals", Object::new().with("refusal", refusal)).await.map(drop)
    }
}

/// Word about a peer that was refused.
pub(crate) struct Told<'a> {
    pub(crate) code: &'a str,
    pub(crate) claimed: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) jti: [u8; 16],
}

/// An answer's object; a problem becomes an error. Nothing for an empty body.
pub(crate) fn read(who: Who, answer: Answer) -> Result<Option<Object>, PeerError> {
    let is_good = (200..300).contains(&answer.status);
    if is_good && answer.body.is_empty() {
        return Ok(None);
    }
    let json = Json::parse(&answer.body, &JsonLimits::DEFAULT).ok();
    let object = json.as_ref().and_then(Json::as_object);
    if is_good {
        let stranger = PeerError::Unexpected { who, what: "no JSON object" };
        return object.cloned().map(Some).ok_or(stranger);
    }
    let text = |member: &str| object?.member(member)?.as_str().map(str::to_owned);
    let code = text("code").or_else(|| text("title"));
    let is_code = |code: &String| {
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    };
    match code.filter(is_code) {
        Some(code) => Err(PeerError::Refused {
            who,
            code,
            detail: text("detail").unwrap_or_default(),
            remedy: text("remedy").unwrap_or_default(),
        }),
        None if answer.status >= 500 => {
            Err(PeerError::Away { who, why: format!("it answers {}", answer.status) })
        }
        None => Err(PeerError::Unexpected { who, what: "no problem details" }),
    }
}
