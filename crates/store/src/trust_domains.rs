//! Reading and writing other trust domains.

use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Row, params};

use crate::apply::execute;
use crate::columns::{Read, bad, count, parsed, time};
use crate::error::StoreError;
use crate::rows::{KnownDomain, TrustDomain};
use crate::tx::Tx;
use crate::view::View;

const COLUMNS: &str = "name, issuer, owner, tools, max_guarantee, keys, sequence, issued, as_of, \
                       revoked";
/// Revoked names in a domain's word, and what they take.
const LIMITS: JsonLimits = JsonLimits { max_bytes: 1 << 20, max_depth: 4, max_values: 16_384 };

fn list<T>(row: &Row<'_>, i: usize, read: impl Fn(&Json) -> Option<T>) -> Read<Vec<T>> {
    let json = Json::parse(row.get_ref(i)?.as_str()?.as_bytes(), &LIMITS).ok();
    let read = json.as_ref().and_then(|json| json.as_array()?.iter().map(read).collect());
    read.map_or_else(|| bad(i, Type::Text), Ok)
}

fn key(json: &Json) -> Option<(String, VerifyingKey)> {
    let jwk = json.as_object()?;
    Some((jwk.member("kid")?.as_str()?.to_owned(), VerifyingKey::from_jwk(jwk).ok()?))
}

fn known(row: &Row<'_>) -> Read<KnownDomain> {
    Ok(KnownDomain {
        domain: TrustDomain {
            name: row.get(0)?,
            issuer: row.get(1)?,
            owner: parsed(row, 2)?,
            tools: list(row, 3, |tool| tool.as_str()?.parse().ok())?,
            max_guarantee: parsed(row, 4)?,
        },
        keys: list(row, 5, key)?,
        sequence: count(row, 6)?,
        issued: row.get(7)?,
        as_of: time(row, 8)?,
        revoked: list(row, 9, |id| id.as_str().map(str::to_owned))?,
    })
}

fn text(list: Vec<Json>) -> String {
    Json::Array(list).canonical()
}

impl View<'_> {
    /// The configured trust domain of this name.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn trust_domain(&self, name: &str) -> Result<Option<KnownDomain>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM trust_domains WHERE org = ?1 AND name = ?2 AND configured"
        );
        self.one(&sql, (self.org().as_str(), name), known)
    }

    /// Every configured trust domain.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn trust_domains(&self) -> Result<Vec<KnownDomain>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM trust_domains WHERE org = ?1 AND configured ORDER BY name"
        );
        self.many(&sql, [self.org().as_str()], known)
    }
}

impl Tx<'_> {
    /// Takes up which trust domains are configured; what others said counts for
    /// nothing from then on. A domain with another issuer than before has said
    /// nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn configure_trust_domains(&mut self, all: &[TrustDomain]) -> Result<(), StoreError> {
        let (c, what) = (self.view.c, "trust domain");
        let org = self.org().as_str().to_owned();
        execute(c, "UPDATE trust_domains SET configured = 0 WHERE org = ?1", [&org], what)?;
        for domain in all {
            let tools = domain.tools.iter().map(Json::from).collect();
            execute(
                c,
                "INSERT INTO trust_domains (org, name, configured, issuer, owner, tools,
                     max_guarantee, keys, sequence, issued, as_of, revoked)
                 VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, '[]', 0, 0, 0, '[]')
                 ON CONFLICT (org, name) DO UPDATE SET configured = 1,
                     keys = CASE WHEN issuer = excluded.issuer THEN keys ELSE '[]' END,
                     sequence = CASE WHEN issuer = excluded.issuer THEN sequence ELSE 0 END,
                     issued = CASE WHEN issuer = excluded.issuer THEN issued ELSE 0 END,
                     as_of = CASE WHEN issuer = excluded.issuer THEN as_of ELSE 0 END,
                     revoked = CASE WHEN issuer = excluded.issuer THEN revoked ELSE '[]' END,
                     issuer = excluded.issuer, owner = excluded.owner, tools = excluded.tools,
                     max_guarantee = excluded.max_guarantee",
                params![
                    org,
                    domain.name,
                    domain.issuer,
                    domain.owner.as_str(),
                    text(tools),
                    domain.max_guarantee.as_str(),
                ],
                what,
            )?;
        }
        Ok(())
    }

    /// Takes up the bundle of a configured domain, unless it is older than the one
    /// that is known; tells whether it was taken.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn take_bundle(
        &mut self,
        name: &str,
        keys: &[(String, VerifyingKey)],
        sequence: u64,
    ) -> Result<bool, StoreError> {
        let jwk = |(kid, key): &(String, VerifyingKey)| {
            Json::from(key.to_jwk().with("kid", kid.as_str()))
        };
        let keys = text(keys.iter().map(jwk).collect());
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        let sql = "UPDATE trust_domains SET keys = ?3, sequence = ?4
                   WHERE org = ?1 AND name = ?2 AND configured AND sequence <= ?4";
        let params = params![self.org().as_str(), name, keys, sequence];
        Ok(execute(self.view.c, sql, params, "trust domain")? > 0)
    }

    /// Takes up the word of a configured domain on whom it revoked, made at
    /// `issued` seconds and known to be its last at `as_of`, unless it is older than
    /// the one that is known; tells whether it was taken.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn take_revoked(
        &mut self,
        name: &str,
        revoked: &[String],
        issued: i64,
        as_of: Timestamp,
    ) -> Result<bool, StoreError> {
        let revoked = text(revoked.iter().map(|id| Json::from(id.as_str())).collect());
        let sql = "UPDATE trust_domains SET revoked = ?3, issued = ?4, as_of = MAX(as_of, ?5)
                   WHERE org = ?1 AND name = ?2 AND configured AND issued <= ?4";
        let params = params![self.org().as_str(), name, revoked, issued, as_of.millis()];
        Ok(execute(self.view.c, sql, params, "trust domain")? > 0)
    }
}
