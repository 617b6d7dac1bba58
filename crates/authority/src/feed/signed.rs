//! A batch of revocations and stops under a signature.

use bailiwick_core::aat::jws::{Compact, sign};
use bailiwick_core::crypto::{Digest, PublicKey, Signer, sha256};
use bailiwick_core::ids::{EntryId, StopId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Change, Notice};

use crate::follower::{Batch, FeedError, MAX_BATCH};
use crate::rules::revocations::subject_json;

/// The `typ` of a head.
pub const TYPE: &str = "bailiwick-revocations+jwt";

/// Bytes of a batch at most.
pub const MAX_BYTES: usize = 4 << 20;

/// Values in a batch at most: 16 for a row leave room.
const MAX_VALUES: usize = 16 * 4_097;

const LIMITS: JsonLimits =
    JsonLimits { max_bytes: MAX_BYTES, max_depth: 6, max_values: MAX_VALUES };

fn row_json(row: &Notice) -> Json {
    let object = Object::new().with("seq", row.seq);
    let object = match &row.change {
        Change::Revoked { subject, reason } => {
            object.with("subject", subject_json(subject)).with("reason", reason.as_str())
        }
        Change::Stopped { stop, target } => object.with("stopped", target).with("stop", stop),
        Change::Resumed { stop, target } => object.with("resumed", target).with("stop", stop),
    };
    object.with("time", row.time.to_string()).with("entry", &row.entry).into()
}

fn read_change(row: &Object) -> Option<Change> {
    let text = |name| row.member(name).and_then(Json::as_str);
    let stop = || StopId::parse(text("stop")?).ok();
    if let Some(target) = text("stopped") {
        return Some(Change::Stopped { stop: stop()?, target: target.parse().ok()? });
    }
    if let Some(target) = text("resumed") {
        return Some(Change::Resumed { stop: stop()?, target: target.parse().ok()? });
    }
    let subject = serde_json::from_str(&row.member("subject")?.canonical()).ok()?;
    Some(Change::Revoked { subject, reason: text("reason")?.to_owned() })
}

fn read_row(json: &Json) -> Option<Notice> {
    let row = json.as_object()?;
    let text = |name| row.member(name).and_then(Json::as_str);
    let row = Notice {
        seq: unsigned(row, "seq")?,
        change: read_change(row)?,
        time: text("time")?.parse().ok()?,
        entry: EntryId::parse(text("entry")?).ok()?,
    };
    // What is not understood is not followed.
    (row_json(&row) == *json).then_some(row)
}

fn unsigned(object: &Object, name: &str) -> Option<u64> {
    u64::try_from(object.member(name)?.as_number()?.as_plain_integer()?).ok()
}

fn digest(rows: &[Json]) -> Digest {
    sha256(Json::Array(rows.to_vec()).canonical().as_bytes())
}

/// The batch after number `after` as JSON, signed.
#[must_use]
pub fn seal(issuer: &str, after: u64, batch: &Batch, key: &dyn Signer) -> Json {
    let rows: Vec<Json> = batch.rows.iter().map(row_json).collect();
    let head = Object::new()
        .with("iss", issuer)
        .with("after", after)
        .with("previous", batch.previous.as_ref().map(Json::from))
        .with("seq", batch.next)
        .with("more", batch.more)
        .with("as_of", batch.as_of.to_string())
        .with("digest", digest(&rows));
    let kid = key.public_key().thumbprint().to_string();
    let head = sign(TYPE, Some(&kid), &head.into(), key);
    Object::new().with("head", head).with("rows", rows).into()
}

/// Reads the batch after number `after`, under one of `keys`.
///
/// # Errors
/// [`FeedError::Forged`].
pub fn open(
    issuer: &str,
    after: u64,
    bytes: &[u8],
    keys: &[PublicKey],
) -> Result<Batch, FeedError> {
    let bad = |what| FeedError::Forged { what };
    let json = Json::parse(bytes, &LIMITS).map_err(|_| bad("it is malformed"))?;
    let object = json.as_object().ok_or(bad("it is malformed"))?;
    let member = |name| object.member(name).ok_or(bad("it is malformed"));
    let head = member("head")?.as_str().ok_or(bad("it is malformed"))?;
    let rows = member("rows")?.as_array().ok_or(bad("it is malformed"))?;
    let jws = Compact::parse(head).map_err(|_| bad("its head is malformed"))?;
    jws.check_header(TYPE).map_err(|_| bad("its head is malformed"))?;
    if !keys.iter().any(|key| jws.verify(key)) {
        return Err(bad("no snapshot key that is known signed it"));
    }
    let claims = jws.claims(&JsonLimits::DEFAULT).map_err(|_| bad("its head is malformed"))?;
    let text =
        |name| claims.member(name).and_then(Json::as_str).ok_or(bad("its head is malformed"));
    let number = |name| unsigned(&claims, name).ok_or(bad("its head is malformed"));
    if text("iss")? != issuer {
        return Err(bad("another authority made it"));
    }
    if number("after")? != after {
        return Err(bad("it answers another question"));
    }
    if Digest::from_text(text("digest")?) != Some(digest(rows)) {
        return Err(bad("its rows are not those that were signed"));
    }
    if u32::try_from(rows.len()).is_ok_and(|n| n > MAX_BATCH) {
        return Err(bad("it has too many rows"));
    }
    let previous = match claims.member("previous") {
        None | Some(Json::Null) => None,
        Some(entry) => {
            let entry = entry.as_str().and_then(|e| EntryId::parse(e).ok());
            Some(entry.ok_or(bad("its head is malformed"))?)
        }
    };
    let more = match claims.member("more") {
        Some(Json::Bool(more)) => *more,
        _ => return Err(bad("its head is malformed")),
    };
    let as_of: Timestamp = text("as_of")?.parse().map_err(|_| bad("its head is malformed"))?;
    let rows = rows.iter().map(read_row).collect::<Option<Vec<_>>>();
    let rows = rows.ok_or(bad("a row is malformed"))?;
    Ok(Batch { previous, rows, next: number("seq")?, more, as_of })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::crypto::SigningKey;
    use bailiwick_core::crypto::Thumbprint;
    use bailiwick_core::ids::{
        AgentId, Alias, GrantId, InstanceId, ServerName, TaskId, WorkflowId,
    };
    use bailiwick_core::stop::StopTarget;
    use bailiwick_store::Subject;

    const ISSUER: &str = "https://gate.example";

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32]).unwrap()
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_seconds(s)
    }

    fn entry(n: u8) -> EntryId {
        EntryId::mint(at(i64::from(n)), [n; 10])
    }

    fn batch() -> Batch {
        let hash = sha256(b"token");
        let holder: Thumbprint = key(9).public_key().thumbprint();
        let subjects = [
            Subject::Agent { id: AgentId::parse("agent:a").unwrap() },
            Subject::Delegation { token: hash },
            Subject::Grant { id: GrantId::mint(at(1), [1; 10]) },
            Subject::HolderKey { holder, root: hash },
            Subject::Instance { id: InstanceId::mint(at(1), [1; 10]) },
            Subject::Principal {
                alias: Alias::parse("ffffffff-ffff-4fff-bfff-ffffffffffff").unwrap(),
            },
            Subject::Task { id: TaskId::mint(at(1), [1; 10]) },
            Subject::ToolServer { name: ServerName::parse("desk").unwrap() },
            Subject::Workflow { id: WorkflowId::parse("support").unwrap() },
        ];
        let rows: Vec<_> = subjects
            .into_iter()
            .map(|subject| Change::Revoked { subject, reason: "finished".into() })
            .chain(["agent:a", "everything", "workflow:support"].into_iter().flat_map(|target| {
                let (stop, target) = (StopId::mint(at(1), [1; 10]), target.parse().unwrap());
                let (stop, target): (StopId, StopTarget) = (stop, target);
                let stopped = Change::Stopped { stop: stop.clone(), target: target.clone() };
                [stopped, Change::Resumed { stop, target }]
            }))
            .zip(5u64..)
            .map(|(change, seq)| Notice {
                seq,
                change,
                time: at(1),
                entry: entry(u8::try_from(seq).unwrap()),
            })
            .collect();
        let next = rows.last().unwrap().seq;
        Batch { previous: Some(entry(4)), rows, next, more: true, as_of: at(100) }
    }

    fn sealed(batch: &Batch) -> String {
        seal(ISSUER, 4, batch, &key(1)).canonical()
    }

    fn refused(text: &str, after: u64, keys: &[u8]) -> String {
        let keys: Vec<_> = keys.iter().map(|n| key(*n).public_key()).collect();
        let error = open(ISSUER, after, text.as_bytes(), &keys).unwrap_err();
        assert_eq!(error.code(), "feed-forged");
        error.to_string()
    }

    #[test]
    fn a_batch_of_every_kind_of_subject_reads_back() {
        let known = [key(2).public_key(), key(1).public_key()];
        let batch = batch();
        assert_eq!(open(ISSUER, 4, sealed(&batch).as_bytes(), &known).unwrap(), batch);
        let heartbeat = Batch { rows: vec![], previous: None, next: 0, more: false, ..batch };
        let text = seal(ISSUER, 0, &heartbeat, &key(1)).canonical();
        assert_eq!(open(ISSUER, 0, text.as_bytes(), &known).unwrap(), heartbeat);
    }

    #[test]
    fn what_was_not_signed_like_this_is_refused() {
        let good = sealed(&batch());
        assert!(refused(&good, 4, &[]).contains("no snapshot key"));
        assert!(refused(&good, 4, &[2]).contains("no snapshot key"));
        assert!(refused(&good, 3, &[1]).contains("another question"));
        let other = seal("https://other.example", 4, &batch(), &key(1)).canonical();
        assert!(refused(&other, 4, &[1]).contains("another authority"));
        for (from, to) in [("agent:a", "agent:b"), ("\"seq\":5", "\"seq\":6"), ("finished", "f")] {
            assert!(good.contains(from), "{good}");
            let changed = good.replacen(from, to, 1);
            assert!(refused(&changed, 4, &[1]).contains("not those that were signed"), "{to}");
        }
        let shorter = Batch { rows: vec![], ..batch() };
        let rows = sealed(&shorter).split_once("\"rows\":").unwrap().1.to_owned();
        let head = good.split_once("\"rows\":").unwrap().0.to_owned();
        let dropped = format!("{head}\"rows\":{rows}");
        assert!(refused(&dropped, 4, &[1]).contains("not those that were signed"));
        for text in ["", "{}", "[]", "{\"head\":1,\"rows\":[]}", "{\"head\":\"a.b.c\",\"rows\":[]}"]
        {
            refused(text, 4, &[1]);
        }
    }

    #[test]
    fn another_kind_of_token_is_no_head() {
        let head = sign("bailiwick-revocation+jwt", None, &Object::new().into(), &key(1));
        let text = Json::from(Object::new().with("head", head).with("rows", Vec::new()));
        assert!(refused(&text.canonical(), 4, &[1]).contains("malformed"));
    }
}
