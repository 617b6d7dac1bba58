//! From receipts to entries that makers sealed, that are in the log, and whose
//! commitments are opened.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Entry, Kind};
use bailiwick_tlog::{TlogProof, VerifiedCheckpoint, leaf_hash};

use crate::bundle::{Fields, Receipt};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use crate::trust::{Role, Trust};

/// An entry of the log with what it committed to.
pub(crate) struct Opened {
    pub(super) entry: Entry,
    pub(super) index: u64,
    values: Vec<(String, Json)>,
}

/// All entries of a bundle.
pub(super) struct Receipts {
    opened: Vec<Opened>,
    pub(super) checkpoint: VerifiedCheckpoint,
}

/// Which role may make entries of a kind; `None`: either.
fn role_for(kind: Kind) -> Option<Role> {
    match kind {
        Kind::ActionDecided | Kind::ActionCompleted => Some(Role::Gateway),
        Kind::ToolPinned => None,
        _ => Some(Role::Authority),
    }
}

/// Opens every entry under a maker of the trust file.
pub(crate) fn open(receipts: &[Receipt], trust: &Trust) -> Result<Vec<Entry>, Failure> {
    let mut entries: Vec<Entry> = Vec::with_capacity(receipts.len());
    let mut ids = BTreeSet::new();
    for (i, receipt) in receipts.iter().enumerate() {
        let fail = |found: String| {
            Failure::new(
                Check::Makers,
                format!("receipt {i} (`{}`): {found}", receipt.name.as_str()),
            )
        };
        let key_of = |maker: &str, time| trust.maker_at(maker, time).map(|m| m.key);
        let entry =
            Entry::open(receipt.entry.as_bytes(), &key_of).map_err(|e| fail(e.to_string()))?;
        if entry.kind != receipt.name {
            return Err(fail(format!("the entry is of kind `{}`", entry.kind.as_str())));
        }
        if entry.org != trust.org {
            return Err(fail("the entry is of another organisation".to_owned()));
        }
        let role = trust.maker_at(&entry.maker, entry.time).map(|m| m.role);
        if role_for(entry.kind).is_some_and(|r| role != Some(r)) {
            return Err(fail(format!("its maker `{}` may not make such entries", entry.maker)));
        }
        if !ids.insert(entry.id.clone()) {
            return Err(fail("the entry stands there twice".to_owned()));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Finds every entry's place in the log, under one checkpoint.
pub(crate) fn locate(
    receipts: &[Receipt],
    entries: Vec<Entry>,
    trust: &Trust,
) -> Result<(Vec<(Entry, u64)>, VerifiedCheckpoint), Failure> {
    let mut common: Option<VerifiedCheckpoint> = None;
    let mut located: Vec<(Entry, u64)> = Vec::with_capacity(entries.len());
    for (i, (receipt, entry)) in receipts.iter().zip(entries).enumerate() {
        let fail = |found: String| {
            Failure::new(
                Check::Inclusion,
                format!("receipt {i} (`{}`): {found}", receipt.name.as_str()),
            )
        };
        let proof = TlogProof::parse(receipt.proof.as_bytes()).map_err(|e| fail(e.to_string()))?;
        if proof.extra().is_some() {
            return Err(fail(
                "the proof carries extra data, which nothing would authenticate".into(),
            ));
        }
        let checkpoint = proof
            .verify(trust.log.name(), &trust.log, &leaf_hash(receipt.entry.as_bytes()))
            .map_err(|e| fail(e.to_string()))?;
        match &common {
            None => common = Some(checkpoint),
            Some(first) if *first == checkpoint => {}
            Some(_) => {
                return Err(fail("its checkpoint is another one than the first receipt's".into()));
            }
        }
        located.push((entry, proof.index()));
    }
    let checkpoint = common.ok_or_else(|| Failure::new(Check::Inclusion, "there is no receipt"))?;
    Ok((located, checkpoint))
}

/// Opens the commitments and asks for those that verification needs.
pub(super) fn disclose(
    disclosures: &[(EntryId, Fields)],
    (located, checkpoint): (Vec<(Entry, u64)>, VerifiedCheckpoint),
) -> Result<Receipts, Failure> {
    let opened = opened(disclosures, located)?;
    for of in &opened {
        for field in required(of) {
            of.value(field)?;
        }
    }
    Ok(Receipts { opened, checkpoint })
}

/// Opens the commitments.
pub(crate) fn opened(
    disclosures: &[(EntryId, Fields)],
    located: Vec<(Entry, u64)>,
) -> Result<Vec<Opened>, Failure> {
    let mut opened: Vec<Opened> = located
        .into_iter()
        .map(|(entry, index)| Opened { entry, index, values: Vec::new() })
        .collect();
    let places: BTreeMap<EntryId, usize> =
        opened.iter().enumerate().map(|(i, of)| (of.entry.id.clone(), i)).collect();
    for (id, fields) in disclosures {
        let of = places.get(id).and_then(|i| opened.get_mut(*i)).ok_or_else(|| {
            Failure::new(Check::Disclosures, format!("`{id}` is disclosed but has no receipt"))
        })?;
        for (field, disclosure) in fields {
            ensure(of.entry.discloses(field, disclosure), Check::Disclosures, || {
                format!("`{field}` of {id} is not what the entry committed to")
            })?;
            of.values.push((field.clone(), disclosure.value.clone()));
        }
    }
    Ok(opened)
}

/// What verification needs to see of an entry.
fn required(of: &Opened) -> &'static [&'static str] {
    match of.entry.kind {
        Kind::ActionDecided if super::is_refusal(of) => &[],
        Kind::ActionDecided if of.entry.subjects.tool.is_none() => {
            &["tool", "arguments", "action", "chain", "proof", "inputs"]
        }
        Kind::ActionDecided => &["arguments", "action", "chain", "proof", "inputs"],
        Kind::GrantRecorded if of.body("signed").and_then(Json::as_bool) == Some(false) => {
            &["statement"]
        }
        Kind::GrantRecorded => &["statement", "signature"],
        Kind::InstanceEnrolled => &["enrolment"],
        Kind::HandoffAccepted => &["answer"],
        Kind::HandoffOffered => &["offer"],
        Kind::PeerHandshake => &["handshake"],
        Kind::CredentialAdded
            if of.body("credential_kind").and_then(Json::as_str) == Some("login") =>
        {
            &["login"]
        }
        Kind::PrincipalAdded => &["principal"],
        Kind::StandingApproved => &["terms", "signed"],
        Kind::TaskCreated => &["purpose"],
        _ => &[],
    }
}

impl Receipts {
    /// The only entry of this kind about `value`.
    pub(super) fn one(
        &self,
        check: Check,
        kind: Kind,
        subject: Subject,
        value: &str,
    ) -> Result<&Opened, Failure> {
        let mut found = self
            .opened
            .iter()
            .filter(|o| o.entry.kind == kind && subject.of_entry(&o.entry) == Some(value));
        let missing = || {
            let what = format!("no receipt `{}` of {} `{value}`", kind.as_str(), subject.as_str());
            Failure::new(check, what)
        };
        let first = found.next().ok_or_else(missing)?;
        ensure(found.next().is_none(), check, || {
            format!("two receipts `{}` of {} `{value}`", kind.as_str(), subject.as_str())
        })?;
        Ok(first)
    }

    /// The alias of an agent's owner when the log had `before` entries: the one
    /// of its registration, unless it was moved to another one since.
    pub(super) fn owner_of(
        &self,
        check: Check,
        agent: &str,
        before: u64,
    ) -> Result<(&str, u64), Failure> {
        let added = self.one(check, Kind::AgentAdded, Subject::Agent, agent)?;
        ensure(added.text(check, "agent")? == agent, check, || {
            "the registered agent differs".to_owned()
        })?;
        let moves = self.opened.iter().filter(|o| {
            o.entry.kind == Kind::AgentChanged
                && Subject::Agent.of_entry(&o.entry) == Some(agent)
                && o.body("owner").is_some()
                && o.index < before
        });
        let last = moves.max_by_key(|o| o.index).unwrap_or(added);
        Ok((last.text(check, "owner")?, last.index))
    }

    /// The only registration of a credential.
    pub(super) fn credential(&self, check: Check, id: &str) -> Result<&Opened, Failure> {
        let is_it = |o: &&Opened| {
            o.entry.kind == Kind::CredentialAdded
                && o.body("credential").and_then(Json::as_str) == Some(id)
        };
        let mut found = self.opened.iter().filter(is_it);
        let first = found.next().ok_or_else(|| {
            Failure::new(check, format!("no receipt `credential.added` of `{id}`"))
        })?;
        ensure(found.next().is_none(), check, || {
            format!("two receipts `credential.added` of `{id}`")
        })?;
        Ok(first)
    }

    /// The only publication of a policy.
    pub(super) fn policy(&self, check: Check, digest: Digest) -> Result<&Opened, Failure> {
        let text = digest.to_string();
        let published = self.only(check, Kind::PolicyPublished)?;
        let is_it = |o: &&Opened| o.body("digest").and_then(Json::as_str) == Some(&*text);
        published.filter(is_it).ok_or_else(|| {
            Failure::new(check, format!("no receipt `policy.published` of `{text}`"))
        })
    }

    /// The entry of this kind with this id.
    pub(super) fn by_id(&self, check: Check, kind: Kind, id: &str) -> Result<&Opened, Failure> {
        let found = self.opened.iter().find(|o| o.entry.kind == kind && o.id().as_str() == id);
        found.ok_or_else(|| Failure::new(check, format!("no receipt `{}` `{id}`", kind.as_str())))
    }

    /// The only entry of this kind whose body has this member.
    pub(super) fn stating(
        &self,
        check: Check,
        kind: Kind,
        (member, value): (&str, &str),
    ) -> Result<&Opened, Failure> {
        let is_it = |o: &&Opened| {
            o.entry.kind == kind && o.body(member).and_then(Json::as_str) == Some(value)
        };
        let mut found = self.opened.iter().filter(is_it);
        let kind = kind.as_str();
        let first = found.next();
        let first = first.ok_or_else(|| {
            Failure::new(check, format!("no receipt `{kind}` of {member} `{value}`"))
        })?;
        ensure(found.next().is_none(), check, || {
            format!("two receipts `{kind}` of {member} `{value}`")
        })?;
        Ok(first)
    }

    /// Where somebody vouched for a credential.
    pub(super) fn vouched(&self, credential: &str) -> Option<u64> {
        let is_it = |o: &&Opened| {
            o.entry.kind == Kind::CredentialTrusted
                && o.body("credential").and_then(Json::as_str) == Some(credential)
        };
        self.opened.iter().find(is_it).map(|o| o.index)
    }

    /// Whether the last of the entries about somebody's role `approver`, before
    /// the log had `before` entries, gave it.
    pub(super) fn is_approver(&self, alias: &str, before: u64) -> bool {
        let about = |o: &&Opened| {
            o.entry.kind == Kind::RoleChanged
                && Subject::Principal.of_entry(&o.entry) == Some(alias)
                && o.body("role").and_then(Json::as_str) == Some("approver")
                && o.index < before
        };
        let last = self.opened.iter().filter(about).max_by_key(|o| o.index);
        last.is_some_and(|o| o.body("held").and_then(Json::as_bool) == Some(true))
    }

    /// The only entry of this kind, if there is any.
    pub(super) fn only(&self, check: Check, kind: Kind) -> Result<Option<&Opened>, Failure> {
        let mut found = self.opened.iter().filter(|o| o.entry.kind == kind);
        let first = found.next();
        ensure(found.next().is_none(), check, || format!("two receipts `{}`", kind.as_str()))?;
        Ok(first)
    }

    pub(super) fn len(&self) -> usize {
        self.opened.len()
    }
}

impl Opened {
    pub(super) fn id(&self) -> &EntryId {
        &self.entry.id
    }

    fn missing(&self, check: Check, what: &str) -> Failure {
        let kind = self.entry.kind.as_str();
        Failure::new(check, format!("{what} of `{kind}` {} is missing or malformed", self.entry.id))
    }

    /// A subject that must be there.
    pub(super) fn subject(&self, check: Check, subject: Subject) -> Result<&str, Failure> {
        subject
            .of_entry(&self.entry)
            .ok_or_else(|| self.missing(check, &format!("`{}`", subject.as_str())))
    }

    pub(super) fn body(&self, name: &str) -> Option<&Json> {
        self.entry.body.member(name)
    }

    pub(super) fn text(&self, check: Check, name: &str) -> Result<&str, Failure> {
        self.body(name)
            .and_then(Json::as_str)
            .ok_or_else(|| self.missing(check, &format!("`body.{name}`")))
    }

    pub(super) fn digest(&self, check: Check, name: &str) -> Result<Digest, Failure> {
        Digest::from_text(self.text(check, name)?)
            .ok_or_else(|| self.missing(check, &format!("`body.{name}`")))
    }

    pub(super) fn integer(&self, check: Check, name: &str) -> Result<i64, Failure> {
        self.body(name)
            .and_then(|j| j.as_number()?.as_plain_integer())
            .ok_or_else(|| self.missing(check, &format!("`body.{name}`")))
    }

    /// A disclosed value.
    pub(super) fn value(&self, field: &str) -> Result<&Json, Failure> {
        self.disclosed(field).ok_or_else(|| {
            let kind = self.entry.kind.as_str();
            Failure::new(
                Check::Disclosures,
                format!("`{field}` of `{kind}` {} is needed and not disclosed", self.entry.id),
            )
        })
    }

    pub(super) fn disclosed(&self, field: &str) -> Option<&Json> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, v)| v)
    }

    pub(super) fn value_text(&self, check: Check, field: &str) -> Result<&str, Failure> {
        self.value(field)?
            .as_str()
            .ok_or_else(|| self.missing(check, &format!("the disclosed `{field}`")))
    }

    pub(super) fn value_object(&self, check: Check, field: &str) -> Result<&Object, Failure> {
        self.value(field)?
            .as_object()
            .ok_or_else(|| self.missing(check, &format!("the disclosed `{field}`")))
    }

    /// What the entry committed to under `field`.
    pub(super) fn commitment(&self, field: &str) -> Option<Digest> {
        self.entry.commits.iter().find(|(name, _)| name == field).map(|(_, d)| *d)
    }
}
