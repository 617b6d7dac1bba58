//! A prepared grant: the statement with the authority's seal.
//!
//! Nothing is stored between preparation and submission. The seal proves that
//! the ids were minted here (a task is never minted by the caller) and when.

use bailiwick_core::aat::jws::{Compact, sign};
use bailiwick_core::crypto::{PublicKey, Signer};
use bailiwick_core::grant::{GrantError, Statement};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;

use crate::refusal::Refusal;

/// The `typ` of the seal.
const TYPE: &str = "bailiwick-prepared+jwt";

/// Minutes within which a prepared grant is to be signed and submitted.
pub const PREPARED_MINUTES: i64 = 15;

/// A statement that this authority prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What the principal is to sign.
    pub statement: Statement,
    /// The authority's signature over its digest and the time.
    pub seal: String,
}

impl Prepared {
    /// Seals a statement.
    #[must_use]
    pub fn new(statement: Statement, now: Timestamp, maker: &dyn Signer) -> Self {
        let payload =
            Object::new().with("digest", statement.digest()).with("made_at", now.to_string());
        Self { seal: sign(TYPE, None, &payload.into(), maker), statement }
    }

    /// Whether `key` sealed this very statement, not long ago.
    ///
    /// # Errors
    /// [`Refusal::PreparedUnknown`].
    pub fn check(&self, now: Timestamp, key: &PublicKey) -> Result<(), Refusal> {
        let made_at = || {
            let jws = Compact::parse(&self.seal).ok()?;
            jws.check_header(TYPE).ok()?;
            if !jws.verify(key) {
                return None;
            }
            let payload = jws.claims(&JsonLimits::DEFAULT).ok()?;
            let digest = payload.member("digest")?.as_str()?;
            let made_at: Timestamp = payload.member("made_at")?.as_str()?.parse().ok()?;
            (digest == self.statement.digest().to_string()).then_some(made_at)
        };
        let age = made_at().map(|made_at| now.millis_since(made_at));
        match age {
            Some(age) if (0..=PREPARED_MINUTES * 60_000).contains(&age) => Ok(()),
            _ => Err(Refusal::PreparedUnknown { max_minutes: PREPARED_MINUTES }),
        }
    }

    /// `{statement, seal}`
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("statement", self.statement.to_json())
            .with("seal", self.seal.as_str())
            .into()
    }

    /// Reads what [`Prepared::to_json`] wrote.
    ///
    /// # Errors
    /// [`GrantError::Member`].
    pub fn from_json(json: &Json) -> Result<Self, GrantError> {
        let bad = |member| GrantError::Member { member };
        let o = json.as_object().filter(|o| o.len() == 2).ok_or(bad("statement"))?;
        let statement = o.member("statement").ok_or(bad("statement"))?;
        let seal = o.member("seal").and_then(Json::as_str).ok_or(bad("seal"))?;
        Ok(Self { statement: Statement::from_json(statement)?, seal: seal.to_owned() })
    }
}
