//! Columns to values and back. A column that does not read as what it should
//! be means a damaged database.

use std::str::FromStr;

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::EntryId;
use bailiwick_core::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;

use crate::rows::{
    Agent, Approval, AuthorityRequest, Candidate, Client, Credential, Delegation, Derived,
    Entitlements, Grant, Instance, Pin, Policy, Principal, Revocation, Stored, Subject, Task,
    ToolServer, Verdict, Workflow,
};

#[derive(Debug, thiserror::Error)]
#[error("column {0} does not hold what it should")]
struct BadColumn(usize);

pub(crate) type Read<T> = rusqlite::Result<T>;

pub(crate) fn bad<T>(i: usize, kind: Type) -> Read<T> {
    Err(rusqlite::Error::FromSqlConversionFailure(i, kind, Box::new(BadColumn(i))))
}

pub(crate) fn parsed<T: FromStr>(row: &Row<'_>, i: usize) -> Read<T> {
    match row.get_ref(i)?.as_str()?.parse() {
        Ok(v) => Ok(v),
        Err(_) => bad(i, Type::Text),
    }
}

pub(crate) fn maybe<T: FromStr>(row: &Row<'_>, i: usize) -> Read<Option<T>> {
    if row.get_ref(i)? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    parsed(row, i).map(Some)
}

pub(crate) fn array(row: &Row<'_>, i: usize) -> Read<[u8; 32]> {
    match row.get_ref(i)?.as_blob()?.try_into() {
        Ok(v) => Ok(v),
        Err(_) => bad(i, Type::Blob),
    }
}

pub(crate) fn digest(row: &Row<'_>, i: usize) -> Read<Digest> {
    array(row, i).map(Digest::from_array)
}

pub(crate) fn maybe_digest(row: &Row<'_>, i: usize) -> Read<Option<Digest>> {
    if row.get_ref(i)? == rusqlite::types::ValueRef::Null {
        return Ok(None);
    }
    digest(row, i).map(Some)
}

pub(crate) fn thumbprint(row: &Row<'_>, i: usize) -> Read<Thumbprint> {
    array(row, i).map(Thumbprint::from_array)
}

pub(crate) fn time(row: &Row<'_>, i: usize) -> Read<Timestamp> {
    row.get(i).map(Timestamp::from_millis)
}

pub(crate) fn count(row: &Row<'_>, i: usize) -> Read<u64> {
    match u64::try_from(row.get::<_, i64>(i)?) {
        Ok(v) => Ok(v),
        Err(_) => bad(i, Type::Integer),
    }
}

/// A record read from columns that start at `i`.
pub(crate) trait Record: Sized {
    /// The table's columns, in the order read, without `entry`.
    const COLUMNS: &'static [&'static str];
    /// Reads one.
    fn read(row: &Row<'_>, i: usize) -> Read<Self>;

    /// Reads one with its entry, which follows the columns.
    fn stored(row: &Row<'_>, i: usize) -> Read<Stored<Self>> {
        let entry: EntryId = parsed(row, i + Self::COLUMNS.len())?;
        Ok(Stored { row: Self::read(row, i)?, entry })
    }

    /// The columns and `entry` for a SELECT, each with a table's alias.
    fn select(alias: &str) -> String {
        let mut out = String::new();
        for column in Self::COLUMNS.iter().chain(&["entry"]) {
            if !out.is_empty() {
                out.push_str(", ");
            }
            out.push_str(alias);
            out.push('.');
            out.push_str(column);
        }
        out
    }
}

impl Record for Principal {
    const COLUMNS: &'static [&'static str] = &["alias", "issuer", "id", "jwk", "status"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            alias: parsed(row, i)?,
            issuer: row.get(i + 1)?,
            id: maybe(row, i + 2)?,
            jwk: Some(row.get::<_, String>(i + 3)?).filter(|jwk| !jwk.is_empty()),
            status: parsed(row, i + 4)?,
        })
    }
}

impl Record for Client {
    const COLUMNS: &'static [&'static str] =
        &["id", "source", "name", "metadata", "agent", "instance", "status", "registered"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: row.get(i)?,
            source: parsed(row, i + 1)?,
            name: row.get(i + 2)?,
            metadata: row.get(i + 3)?,
            agent: maybe(row, i + 4)?,
            instance: maybe(row, i + 5)?,
            status: parsed(row, i + 6)?,
            registered: time(row, i + 7)?,
        })
    }
}

impl Record for Credential {
    const COLUMNS: &'static [&'static str] =
        &["id", "principal", "kind", "lookup", "data", "label", "status", "added", "trusted"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: row.get(i)?,
            principal: parsed(row, i + 1)?,
            kind: parsed(row, i + 2)?,
            lookup: digest(row, i + 3)?,
            data: row.get(i + 4)?,
            label: row.get(i + 5)?,
            status: parsed(row, i + 6)?,
            added: time(row, i + 7)?,
            trusted: row.get::<_, Option<i64>>(i + 8)?.map(Timestamp::from_millis),
        })
    }
}

impl Record for Policy {
    const COLUMNS: &'static [&'static str] = &["place", "digest", "document", "published"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        let digest = match row.get_ref(i + 1)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(digest(row, i + 1)?),
        };
        Ok(Self {
            place: parsed(row, i)?,
            digest,
            document: row.get(i + 2)?,
            published: time(row, i + 3)?,
        })
    }
}

impl Record for Entitlements {
    const COLUMNS: &'static [&'static str] = &["digest", "document", "published"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            digest: digest(row, i)?,
            document: row.get(i + 1)?,
            published: time(row, i + 2)?,
        })
    }
}

impl Record for Agent {
    const COLUMNS: &'static [&'static str] =
        &["id", "owner", "status", "publisher", "version", "artifact"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        let artifact = match row.get_ref(i + 5)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(digest(row, i + 5)?),
        };
        Ok(Self {
            id: parsed(row, i)?,
            owner: parsed(row, i + 1)?,
            status: parsed(row, i + 2)?,
            publisher: row.get(i + 3)?,
            version: row.get(i + 4)?,
            artifact,
        })
    }
}

impl Record for Instance {
    const COLUMNS: &'static [&'static str] =
        &["id", "agent", "holder", "holder_jwk", "identity_jwk", "statement", "status"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            agent: parsed(row, i + 1)?,
            holder: thumbprint(row, i + 2)?,
            holder_jwk: row.get(i + 3)?,
            identity_jwk: row.get(i + 4)?,
            statement: row.get(i + 5)?,
            status: parsed(row, i + 6)?,
        })
    }
}

impl Record for Workflow {
    const COLUMNS: &'static [&'static str] = &["id", "digest", "document", "published"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            digest: digest(row, i + 1)?,
            document: row.get(i + 2)?,
            published: time(row, i + 3)?,
        })
    }
}

impl Record for ToolServer {
    const COLUMNS: &'static [&'static str] =
        &["name", "url", "credential", "identity_mode", "status"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            name: parsed(row, i)?,
            url: row.get(i + 1)?,
            credential: row.get(i + 2)?,
            identity_mode: parsed(row, i + 3)?,
            status: parsed(row, i + 4)?,
        })
    }
}

impl Record for Pin {
    const COLUMNS: &'static [&'static str] = &["tool", "digest", "definition", "status", "pinned"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            tool: parsed(row, i)?,
            digest: digest(row, i + 1)?,
            definition: row.get(i + 2)?,
            status: parsed(row, i + 3)?,
            pinned: time(row, i + 4)?,
        })
    }
}

impl Record for Candidate {
    const COLUMNS: &'static [&'static str] = &["tool", "digest", "definition", "seen"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            tool: parsed(row, i)?,
            digest: digest(row, i + 1)?,
            definition: row.get(i + 2)?,
            seen: time(row, i + 3)?,
        })
    }
}

impl Record for Task {
    const COLUMNS: &'static [&'static str] =
        &["id", "workflow", "workflow_digest", "agent", "principal", "created"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            workflow: parsed(row, i + 1)?,
            workflow_digest: digest(row, i + 2)?,
            agent: parsed(row, i + 3)?,
            principal: parsed(row, i + 4)?,
            created: time(row, i + 5)?,
        })
    }
}

impl Record for Grant {
    const COLUMNS: &'static [&'static str] =
        &["id", "digest", "task", "agent", "principal", "attested", "starts", "expires", "account"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            digest: digest(row, i + 1)?,
            task: parsed(row, i + 2)?,
            agent: parsed(row, i + 3)?,
            principal: parsed(row, i + 4)?,
            attested: row.get(i + 5)?,
            starts: time(row, i + 6)?,
            expires: time(row, i + 7)?,
            account: maybe_digest(row, i + 8)?,
            statement: String::new(),
            proof: String::new(),
        })
    }
}

impl Record for Delegation {
    const COLUMNS: &'static [&'static str] = &[
        "root",
        "grant_id",
        "task",
        "agent",
        "holder",
        "issued",
        "expires",
        "form",
        "client",
        "status_index",
        "guarantee",
    ];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            root: digest(row, i)?,
            grant: parsed(row, i + 1)?,
            task: parsed(row, i + 2)?,
            agent: parsed(row, i + 3)?,
            holder: thumbprint(row, i + 4)?,
            issued: time(row, i + 5)?,
            expires: time(row, i + 6)?,
            form: parsed(row, i + 7)?,
            client: row.get(i + 8)?,
            status_index: row.get(i + 9)?,
            guarantee: parsed(row, i + 10)?,
            token: String::new(),
        })
    }
}

impl Record for Derived {
    const COLUMNS: &'static [&'static str] =
        &["token", "parent", "root", "depth", "holder", "seen", "expires"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            token: digest(row, i)?,
            parent: digest(row, i + 1)?,
            root: digest(row, i + 2)?,
            depth: row.get(i + 3)?,
            holder: thumbprint(row, i + 4)?,
            seen: time(row, i + 5)?,
            expires: time(row, i + 6)?,
        })
    }
}

impl Record for Approval {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "action",
        "policy",
        "rule",
        "risk",
        "server",
        "tool",
        "principal",
        "agent",
        "instance",
        "workflow",
        "workflow_digest",
        "task",
        "root",
        "leaf",
        "needed",
        "asked",
        "expires",
        "settled",
    ];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            state: parsed(row, i + 1)?,
            action: digest(row, i + 2)?,
            policy: digest(row, i + 3)?,
            rule: row.get(i + 4)?,
            risk: row.get(i + 5)?,
            server: parsed(row, i + 6)?,
            tool: parsed(row, i + 7)?,
            principal: parsed(row, i + 8)?,
            agent: parsed(row, i + 9)?,
            instance: maybe(row, i + 10)?,
            workflow: parsed(row, i + 11)?,
            workflow_digest: digest(row, i + 12)?,
            task: parsed(row, i + 13)?,
            root: digest(row, i + 14)?,
            leaf: digest(row, i + 15)?,
            needed: count(row, i + 16)?,
            asked: time(row, i + 17)?,
            expires: time(row, i + 18)?,
            settled: row.get::<_, Option<i64>>(i + 19)?.map(Timestamp::from_millis),
        })
    }
}

impl Record for AuthorityRequest {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "principal",
        "agent",
        "instance",
        "holder",
        "workflow",
        "workflow_digest",
        "task",
        "grant_id",
        "root",
        "leaf",
        "seconds",
        "asked",
        "expires",
        "settled",
        "granted",
    ];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            state: parsed(row, i + 1)?,
            principal: parsed(row, i + 2)?,
            agent: parsed(row, i + 3)?,
            instance: parsed(row, i + 4)?,
            holder: thumbprint(row, i + 5)?,
            workflow: parsed(row, i + 6)?,
            workflow_digest: digest(row, i + 7)?,
            task: parsed(row, i + 8)?,
            grant: parsed(row, i + 9)?,
            root: digest(row, i + 10)?,
            leaf: digest(row, i + 11)?,
            seconds: count(row, i + 12)?,
            asked: time(row, i + 13)?,
            expires: time(row, i + 14)?,
            settled: row.get::<_, Option<i64>>(i + 15)?.map(Timestamp::from_millis),
            granted: maybe(row, i + 16)?,
        })
    }
}

impl Record for Verdict {
    const COLUMNS: &'static [&'static str] =
        &["approval", "approver", "verdict", "grade", "credential", "signed", "said"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            approval: parsed(row, i)?,
            approver: parsed(row, i + 1)?,
            verdict: parsed(row, i + 2)?,
            grade: row.get(i + 3)?,
            credential: row.get(i + 4)?,
            signed: row.get(i + 5)?,
            said: time(row, i + 6)?,
        })
    }
}

/// `seq, kind, key, root, reason, time, entry`
pub(crate) fn revocation(row: &Row<'_>) -> Read<Revocation> {
    let (kind, key, root) =
        (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?, row.get_ref(3)?.as_blob()?);
    let Some(subject) = Subject::from_columns(kind, key, root) else {
        return bad(2, Type::Text);
    };
    Ok(Revocation {
        seq: count(row, 0)?,
        subject,
        reason: row.get(4)?,
        time: time(row, 5)?,
        entry: parsed(row, 6)?,
    })
}
