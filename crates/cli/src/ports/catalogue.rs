//! What the gateway knows of tool servers, workflows and policy, from the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_authority::rules::pins::MAX_CANDIDATE_BYTES;
use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{EntryId, OrgId, ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{Catalogue, Pin, PinMismatch, ToolServer, UpstreamIdentity};
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::grades::Level;
use bailiwick_policy::{Policies, Workflow};
use bailiwick_store::{
    Candidate, IdentityMode, PinStatus, Row, Status, Store, StoreError, Subject,
};

use super::{CurrentMaker, signers};
use crate::host;
use crate::policies::PublishedPolicies;

/// How long what was read of a tool server is kept.
pub(crate) const CATALOGUE_AGE: Duration = Duration::from_millis(500);

/// When a tool server was read, and what was found.
type Looked = (Instant, Option<Arc<ToolServer>>);

/// Workflows, tool servers, pins and policy, read from the store.
pub(crate) struct StoreCatalogue {
    store: Store,
    maker: CurrentMaker,
    workflows: Mutex<BTreeMap<Digest, Arc<Workflow>>>,
    servers: Mutex<BTreeMap<ServerName, Looked>>,
    policies: PublishedPolicies,
}

impl StoreCatalogue {
    pub(crate) fn new(store: Store, maker: CurrentMaker) -> Self {
        let policies = PublishedPolicies::new(store.clone());
        Self { store, maker, workflows: Mutex::default(), servers: Mutex::default(), policies }
    }

    fn read_server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable> {
        let (row, pins, revoked) = self
            .store
            .read(|view| -> Result<_, StoreError> {
                Ok((
                    view.tool_server(name)?,
                    view.pins(name)?,
                    view.is_revoked(&[Subject::ToolServer { name: name.clone() }])?.is_some(),
                ))
            })
            .map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        let mut by_operation = BTreeMap::new();
        for pin in pins {
            if pin.row.status != PinStatus::Pinned {
                continue;
            }
            by_operation.insert(pin.row.tool.operation().to_owned(), read_pin(&pin.row)?);
        }
        let url = row.row.url.parse().map_err(|_| Unavailable)?;
        let identity = match row.row.identity_mode {
            IdentityMode::Principal => UpstreamIdentity::Principal,
            IdentityMode::Shared => UpstreamIdentity::Shared,
        };
        let revoked = revoked || row.row.status != Status::Active;
        let server = ToolServer::new(name.clone(), url, identity, by_operation, revoked);
        let Some(accepted) = server.card() else { return Ok(Some(Arc::new(server))) };
        let agent = accepted.agent.clone();
        let keys = self.store.read(|view| signers(view, &agent)).map_err(unavailable)?;
        // An agent that may not act is not called either.
        let may_act = keys.is_some();
        let mut server = server.signed_by(keys.unwrap_or_default());
        server.revoked |= !may_act;
        Ok(Some(Arc::new(server)))
    }
}

pub(crate) fn unavailable(e: StoreError) -> Unavailable {
    tracing::error!(code = e.code(), error = %e, "the store cannot be read");
    Unavailable
}

fn read_pin(pin: &bailiwick_store::Pin) -> Result<Pin, Unavailable> {
    let definition =
        Json::parse(pin.definition.as_bytes(), &JsonLimits::DEFAULT).map_err(|_| Unavailable)?;
    let definition = Definition::of_kept(&definition).map_err(|_| Unavailable)?;
    // The row's digest is the pin; what stands beside it must be what it names.
    Ok(Pin { digest: pin.digest, ..Pin::of(&definition) })
}

impl Catalogue for StoreCatalogue {
    fn policies(&self) -> Result<Arc<Policies>, Unavailable> {
        self.policies.now()
    }

    fn workflow(&self, digest: &Digest) -> Result<Option<Arc<Workflow>>, Unavailable> {
        let mut known = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(workflow) = known.get(digest) {
            return Ok(Some(Arc::clone(workflow)));
        }
        let stored = self
            .store
            .read(|v| -> Result<_, StoreError> {
                for workflow in v.workflows()? {
                    if let Some(found) = v.workflow_version(&workflow.row.id, digest)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            })
            .map_err(unavailable)?;
        let Some(stored) = stored else { return Ok(None) };
        let workflow =
            Workflow::parse(&stored.row.document).map_err(|_| Unavailable).map(Arc::new)?;
        // SECURITY: the digest is recomputed; the database is not believed.
        if workflow.digest() != *digest {
            tracing::error!(%digest, "a workflow's text does not have its digest");
            return Err(Unavailable);
        }
        // Versions are few; the bound only keeps a fault from growing.
        if known.len() >= 1024 {
            known.clear();
        }
        known.insert(*digest, Arc::clone(&workflow));
        Ok(Some(workflow))
    }

    fn autonomy(&self, workflow: &Workflow) -> Result<Level, Unavailable> {
        Ok(workflow.permitted_level())
    }

    fn server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable> {
        {
            let known = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((read, server)) = known.get(name)
                && read.elapsed() < CATALOGUE_AGE
            {
                return Ok(server.clone());
            }
        }
        let server = self.read_server(name)?;
        let mut known = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= 4096 {
            known.clear();
        }
        known.insert(name.clone(), (Instant::now(), server.clone()));
        Ok(server)
    }

    fn servers(&self) -> Result<Vec<Arc<ToolServer>>, Unavailable> {
        let rows = self.store.read(|v| v.tool_servers()).map_err(unavailable)?;
        let mut servers = Vec::new();
        for row in rows {
            // One that cannot be read is denied by itself; the others are as they
            // were.
            servers.extend(self.server(&row.row.name).ok().flatten());
        }
        Ok(servers)
    }

    fn pin_mismatch(&self, mismatch: PinMismatch) {
        let maker = self.maker.now();
        let Ok(random) = host::random() else { return };
        let candidate = candidate(&mismatch, host::now());
        let pinned = mismatch.pinned.is_some();
        let event = tool_changed(&mismatch, self.store.org(), host::now(), random);
        let tool = event.subjects.tool.as_deref();
        tracing::warn!(tool, "a tool's definition is not a pinned one; it is quarantined");
        // The writer runs it whether or not anybody waits.
        drop(self.store.write(move |tx| -> Result<(), StoreError> {
            let Some(candidate) = candidate else {
                return tx.append(&maker.id, &*maker.key, event).map(|_| ());
            };
            // Known from before a restart, or from whoever pinned the others.
            let known = tx.candidate(&candidate.tool)?;
            if known.is_some_and(|known| known.digest == candidate.digest) {
                // That an accepted tool changed again is still news.
                return match pinned {
                    true => tx.append(&maker.id, &*maker.key, event).map(|_| ()),
                    false => Ok(()),
                };
            }
            tx.record(&maker.id, &*maker.key, event, &Row::Candidate(candidate)).map(|_| ())
        }));
    }
}

/// What a person will look at; none, if the tool is gone, listed twice or
/// cannot be kept.
fn candidate(mismatch: &PinMismatch, now: Timestamp) -> Option<Candidate> {
    let definition = mismatch.definition.as_ref()?.canonical();
    Some(Candidate {
        tool: ToolId::parse(&mismatch.tool()).ok()?,
        digest: mismatch.found?,
        definition: Some(definition).filter(|d| d.len() <= MAX_CANDIDATE_BYTES)?,
        seen: now,
    })
}

/// The entry of a definition that is not the pinned one.
pub(crate) fn tool_changed(
    mismatch: &PinMismatch,
    org: &OrgId,
    now: Timestamp,
    random: [u8; 10],
) -> Event {
    let tool = mismatch.tool();
    let body = Object::new()
        .with("tool", tool.as_str())
        .with("server", &mismatch.server)
        .with("pinned", mismatch.pinned.map(Json::from))
        .with("found", mismatch.found.map(Json::from));
    let body = match mismatch.why {
        Some(why) => body.with("why", why),
        None => body,
    };
    Event {
        id: EntryId::mint(now, random),
        org: org.clone(),
        time: now,
        kind: Kind::ToolChanged,
        subjects: Subjects { tool: Some(tool), ..Subjects::default() },
        body,
        disclosures: Vec::new(),
    }
}
