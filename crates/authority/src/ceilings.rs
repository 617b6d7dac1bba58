//! Ceilings in force: what a principal may do and grant at most, at this
//! moment.
//!
//! The document is parsed once per version, and what was found of a grant is
//! kept for as long as document and principal stay as they were: a call pays
//! for two reads by an index, and for nothing while no document is published.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{Alias, EntryId, GrantId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::scope::Scope;
use bailiwick_policy::Workflow;
use bailiwick_policy::entitlements::{Asked, Ceiling, Entitlements, Who};
use bailiwick_policy::expand::{Part, expand_parts, expand_scope};
use bailiwick_store::{Chain, CredentialKind, Principal, Status, StoreError, View};

use crate::refusal::Refusal;
use crate::workflows::Parsed;

/// Findings kept at most; what was dropped is found again.
const MAX_KEPT: usize = 16_384;

/// What is reported when a grant cannot be compared with its ceiling: its text
/// was erased, or something that was published does not read any more.
const UNREADABLE: &str = "entitlement-unreadable";

/// Ceilings over one state; clones of the pointer share what was found.
#[derive(Debug, Default)]
pub struct Ceilings {
    workflows: Arc<Parsed>,
    document: Mutex<Option<(EntryId, Arc<Entitlements>)>>,
    found: Mutex<HashMap<GrantId, (Digest, Option<&'static str>)>>,
}

/// What a principal's logins say of it.
#[derive(Debug, Default)]
struct Facts {
    groups: BTreeSet<String>,
    claims: BTreeMap<String, String>,
}

impl Facts {
    /// From the logins that stand: groups of any of them, and claims that no
    /// two of them state differently.
    fn read(view: &View<'_>, alias: &Alias) -> Result<Self, StoreError> {
        let mut facts = Self::default();
        let mut contested = BTreeSet::new();
        for credential in view.credentials_of(alias)? {
            if credential.kind != CredentialKind::Login || credential.status != Status::Active {
                continue;
            }
            let data = Json::parse(credential.data.as_bytes(), &JsonLimits::DEFAULT).ok();
            let Some(data) = data.as_ref().and_then(Json::as_object) else { continue };
            let groups = data.member("groups").and_then(Json::as_array).unwrap_or_default();
            facts.groups.extend(groups.iter().filter_map(Json::as_str).map(str::to_owned));
            let claims = data.member("claims").and_then(Json::as_object);
            for (name, value) in claims.into_iter().flat_map(Object::iter) {
                let Some(value) = value.as_str() else { continue };
                let earlier = facts.claims.insert(name.to_owned(), value.to_owned());
                if earlier.is_some_and(|earlier| earlier != value) {
                    contested.insert(name.to_owned());
                }
            }
        }
        facts.claims.retain(|name, _| !contested.contains(name));
        Ok(facts)
    }

    fn digest(&self, version: &EntryId) -> Digest {
        let groups: Vec<Json> = self.groups.iter().map(|g| Json::from(g.as_str())).collect();
        let claims = self.claims.iter().map(|(n, v)| (n.clone(), Json::from(v.as_str())));
        let all = Object::new()
            .with("version", version)
            .with("groups", groups)
            .with("claims", claims.collect::<Object>());
        sha256(Json::Object(all).canonical().as_bytes())
    }
}

/// The groups that a principal's logins state now.
pub(crate) fn groups_of(view: &View<'_>, alias: &Alias) -> Result<BTreeSet<String>, StoreError> {
    Ok(Facts::read(view, alias)?.groups)
}

impl Ceilings {
    /// Workflow versions, parsed.
    pub(crate) fn workflows(&self) -> Arc<Parsed> {
        Arc::clone(&self.workflows)
    }

    /// The document in force, parsed.
    fn document(&self, view: &View<'_>) -> Result<Option<(EntryId, Arc<Entitlements>)>, Refusal> {
        let Some(version) = view.entitlements_version()? else { return Ok(None) };
        {
            let kept = self.document.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((entry, document)) = &*kept
                && *entry == version
            {
                return Ok(Some((version, Arc::clone(document))));
            }
        }
        let Some(stored) = view.entitlements()? else { return Ok(None) };
        let document =
            Entitlements::parse(&stored.document).map_err(Refusal::EntitlementsInvalid)?;
        // SECURITY: the digest is recomputed; the database is not believed.
        if document.digest() != stored.digest {
            return Err(Refusal::EntitlementsInvalid(Vec::new()));
        }
        let found = (version, Arc::new(document));
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(Some(found))
    }

    /// The ceiling of a principal.
    ///
    /// # Errors
    /// [`Refusal::Store`]; [`Refusal::EntitlementsInvalid`] when what was
    /// published does not read any more: refuse.
    pub fn of(&self, view: &View<'_>, principal: &Principal) -> Result<Ceiling, Refusal> {
        let Some((_, document)) = self.document(view)? else {
            return Ok(Ceiling::of_workflows());
        };
        let facts = Facts::read(view, &principal.alias)?;
        Ok(ceiling(&document, principal, &facts))
    }

    /// What of a grant is beyond its principal's ceiling now, as a code;
    /// nothing while it is inside.
    ///
    /// # Errors
    /// [`StoreError`] when the state cannot be read: deny.
    pub fn exceeded(
        &self,
        view: &View<'_>,
        chain: &Chain,
    ) -> Result<Option<&'static str>, StoreError> {
        let (version, document) = match self.document(view) {
            Ok(None) => return Ok(None),
            Ok(Some(document)) => document,
            Err(Refusal::Store(e)) => return Err(e),
            Err(_) => return Ok(Some(UNREADABLE)),
        };
        let facts = Facts::read(view, &chain.principal.alias)?;
        let key = facts.digest(&version);
        {
            let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((kept, exceeded)) = found.get(&chain.grant.id)
                && *kept == key
            {
                return Ok(*exceeded);
            }
        }
        let ceiling = ceiling(&document, &chain.principal, &facts);
        let exceeded = match self.compare(view, chain, &ceiling) {
            Ok(exceeded) => exceeded,
            Err(Refusal::Store(e)) => return Err(e),
            Err(_) => Some(UNREADABLE),
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MAX_KEPT {
            found.clear();
        }
        found.insert(chain.grant.id.clone(), (key, exceeded));
        Ok(exceeded)
    }

    fn compare(
        &self,
        view: &View<'_>,
        chain: &Chain,
        ceiling: &Ceiling,
    ) -> Result<Option<&'static str>, Refusal> {
        let texts = view.grant_texts(&chain.grant.id)?;
        let (text, _) = texts.ok_or_else(|| Refusal::unknown("grant", &chain.grant.id))?;
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT);
        let statement = json.ok().and_then(|json| Statement::from_json(&json).ok());
        let statement = statement.ok_or_else(|| Refusal::unknown("grant", &chain.grant.id))?;
        let version = view.workflow_version(&statement.workflow, &statement.workflow_digest)?;
        let version = version.ok_or_else(|| Refusal::unknown("workflow", &statement.workflow))?;
        let workflow = self.workflows.of(&version)?;
        let parts = parts(&workflow, &statement.requested, &statement.tools)?;
        let window = statement.not_after.saturating_sub(statement.not_before);
        let asked = Asked {
            workflow: &statement.workflow,
            parts: &parts,
            window_seconds: u64::try_from(window).unwrap_or(u64::MAX),
            max_depth: statement.max_depth,
        };
        Ok(ceiling.honours(&asked).err().map(|exceeded| exceeded.code()))
    }
}

fn ceiling(document: &Entitlements, principal: &Principal, facts: &Facts) -> Ceiling {
    match &principal.id {
        Some(id) => {
            document.ceiling(&Who { principal: id, groups: &facts.groups, claims: &facts.claims })
        }
        // Whose name was erased is nobody.
        None => Ceiling::nothing(),
    }
}

/// What a ceiling leaves of a grant: the scope of the shorthands that it
/// honours, and the depth up to which it honours them. Nothing, where it
/// bounds nothing.
pub(crate) fn honoured(
    ceiling: &Ceiling,
    workflow: &Workflow,
    statement: &Statement,
) -> Result<Option<(Scope, u64)>, Refusal> {
    if *ceiling == Ceiling::of_workflows() {
        return Ok(None);
    }
    let parts = parts(workflow, &statement.requested, &statement.tools)?;
    let window = statement.not_after.saturating_sub(statement.not_before);
    let honours = |parts: &[Part], max_depth| {
        let workflow = &statement.workflow;
        let window_seconds = u64::try_from(window).unwrap_or(u64::MAX);
        ceiling.honours(&Asked { workflow, parts, window_seconds, max_depth }).is_ok()
    };
    let kept: Vec<Part> =
        parts.into_iter().filter(|part| honours(std::slice::from_ref(part), 0)).collect();
    if kept.is_empty() {
        return Ok(Some((Scope::empty(), 0)));
    }
    let shorthands: Vec<String> = kept.iter().map(|part| part.shorthand.clone()).collect();
    let scope = expand_scope(workflow, &shorthands)?;
    let deepest = statement.max_depth.min(workflow.max_depth);
    let depth = (0..=deepest).rev().find(|depth| honours(&kept, *depth)).unwrap_or(0);
    Ok(Some((scope, depth)))
}

/// The parts of a scope, each with the tools that are in the grant: what was
/// taken out of a shorthand does not count.
pub(crate) fn parts(
    workflow: &Workflow,
    requested: &[String],
    tools: &Object,
) -> Result<Vec<Part>, Refusal> {
    let mut parts = expand_parts(workflow, requested)?;
    for part in &mut parts {
        part.tools.retain(|t| tools.member(t.tool.as_str()).is_some());
    }
    Ok(parts)
}
