//! The bodies of the exchange between two agents, as JSON.
//!
//! | path | asked | answered |
//! |---|---|---|
//! | `/peer/hello` | the handshake's first message | `{session, reply}` |
//! | `/peer/finish` | `{session, finish}` | `{challenge}` |
//! | `/peer/challenge` | `{session}` | `{challenge}` |
//! | `/peer/offer` | `{session, offer, chain, context}` | `{status: "received"}` |

use bailiwick_core::crypto::{Digest, base64url, from_base64url};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::peer::handoff::MAX_ITEMS;
use bailiwick_core::peer::handshake::{Finish, Reply};

use crate::error::{PeerError, Who};

pub(crate) const HELLO: &str = "/peer/hello";
pub(crate) const FINISH: &str = "/peer/finish";
pub(crate) const CHALLENGE: &str = "/peer/challenge";
pub(crate) const OFFER: &str = "/peer/offer";

/// Bytes of an offer's message at most: offer, chain and one MiB of context.
pub(crate) const MAX_OFFER_MESSAGE: usize = 2 << 20;
/// Tokens of a chain at most.
const MAX_TOKENS: usize = 16;
const JSON: JsonLimits =
    JsonLimits { max_bytes: MAX_OFFER_MESSAGE, max_depth: 6, max_values: 1_024 };

const fn bad(member: &'static str) -> PeerError {
    PeerError::Malformed { member }
}

fn object(bytes: &[u8], members: usize) -> Result<Object, PeerError> {
    let json = Json::parse(bytes, &JSON).map_err(|_| bad("message"))?;
    json.as_object().filter(|o| o.len() == members).cloned().ok_or(bad("message"))
}

fn text(o: &Object, member: &'static str) -> Result<String, PeerError> {
    o.member(member).and_then(Json::as_str).map(str::to_owned).ok_or(bad(member))
}

fn texts(o: &Object, member: &'static str, most: usize) -> Result<Vec<String>, PeerError> {
    let list = o.member(member).and_then(Json::as_array).filter(|l| l.len() <= most);
    let texts = list.ok_or(bad(member))?.iter().map(|t| t.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or(bad(member))
}

/// The asking side's last message.
pub(crate) struct Finishing {
    pub(crate) session: String,
    pub(crate) finish: Finish,
}

impl Finishing {
    pub(crate) fn to_json(&self) -> Json {
        let session = Object::new().with("session", self.session.as_str());
        session.with("finish", self.finish.to_json()).into()
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, PeerError> {
        let o = object(bytes, 2)?;
        let finish = o.member("finish").ok_or(bad("finish"))?.canonical();
        Ok(Self { session: text(&o, "session")?, finish: Finish::parse(finish.as_bytes())? })
    }
}

/// Which session is meant.
pub(crate) fn read_session(bytes: &[u8]) -> Result<String, PeerError> {
    text(&object(bytes, 1)?, "session")
}

/// A signed offer with what travels beside it.
pub(crate) struct Offering {
    pub(crate) session: String,
    pub(crate) offer: String,
    pub(crate) chain: Vec<String>,
    pub(crate) context: Vec<Vec<u8>>,
}

impl Offering {
    pub(crate) fn to_json(&self) -> Json {
        let list = |items: &[String]| -> Vec<Json> {
            items.iter().map(|t| Json::from(t.as_str())).collect()
        };
        let context: Vec<String> = self.context.iter().map(|c| base64url(c)).collect();
        Object::new()
            .with("session", self.session.as_str())
            .with("offer", self.offer.as_str())
            .with("chain", list(&self.chain))
            .with("context", list(&context))
            .into()
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, PeerError> {
        let o = object(bytes, 4)?;
        let context = texts(&o, "context", MAX_ITEMS)?;
        let context: Option<Vec<Vec<u8>>> = context.iter().map(|c| from_base64url(c)).collect();
        Ok(Self {
            session: text(&o, "session")?,
            offer: text(&o, "offer")?,
            chain: texts(&o, "chain", MAX_TOKENS)?,
            context: context.ok_or(bad("context"))?,
        })
    }
}

/// What answers a hello.
pub(crate) fn greeted(session: &str, reply: &Reply) -> Json {
    Object::new().with("session", session).with("reply", reply.to_json()).into()
}

/// Reads [`greeted`].
pub(crate) fn read_greeted(o: &Object) -> Result<(String, Reply), PeerError> {
    let stranger = |what| PeerError::Unexpected { who: Who::Peer, what };
    let session = o.member("session").and_then(Json::as_str).ok_or(stranger("no session"))?;
    let reply = o.member("reply").ok_or(stranger("no reply"))?.canonical();
    Ok((session.to_owned(), Reply::parse(reply.as_bytes())?))
}

/// A challenge, for one offer.
pub(crate) fn challenge(bytes: [u8; 32]) -> Json {
    Object::new().with("challenge", Digest::from_array(bytes)).into()
}

/// Reads [`challenge`].
pub(crate) fn read_challenge(o: &Object) -> Result<[u8; 32], PeerError> {
    let digest = o.member("challenge").and_then(Json::as_str).and_then(Digest::from_text);
    let digest = digest.ok_or(PeerError::Unexpected { who: Who::Peer, what: "no challenge" })?;
    Ok(*digest.bytes())
}
