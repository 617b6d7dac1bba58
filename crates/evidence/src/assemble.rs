//! Making a bundle from whatever holds the ledger.
//!
//! Nothing is verified here: who assembles a bundle is not whom its reader
//! trusts.

use bailiwick_core::ids::{ActionId, AgentId, EntryId, pinned_as};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Kind};
use bailiwick_core::limits::JsonLimits;
use bailiwick_tlog::{InclusionProof, SignedCheckpoint, TlogProof};

use crate::bundle::{Bundle, Fields, MAX_BUNDLE_BYTES, MAX_POLICY_BYTES, MAX_RECEIPTS, Receipt};
use crate::subject::Subject;

/// Why the source could not answer, in its own words.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// A ledger entry and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its index in the log.
    pub index: u64,
    /// The leaf bytes.
    pub bytes: Vec<u8>,
}

/// What holds the ledger: entries, the text beside them, proofs.
pub trait Source {
    /// The checkpoint that all proofs are made for; asked once.
    ///
    /// # Errors
    /// When it cannot tell.
    fn checkpoint(&self) -> Result<SignedCheckpoint, SourceError>;

    /// The entries of `kind` whose member `subject` is `value`, in log order.
    ///
    /// # Errors
    /// When it cannot tell.
    fn entries(
        &self,
        kind: Kind,
        subject: Subject,
        value: &str,
    ) -> Result<Vec<Located>, SourceError>;

    /// Every entry that put a policy in force, in log order.
    ///
    /// # Errors
    /// When it cannot tell.
    fn policies(&self) -> Result<Vec<Located>, SourceError>;

    /// The value behind a commitment; `None` when it was erased or never was.
    ///
    /// # Errors
    /// When it cannot tell.
    fn disclosure(&self, entry: &EntryId, field: &str) -> Result<Option<Disclosure>, SourceError>;

    /// The inclusion proof of the entry at `index` in the tree of `size`.
    ///
    /// # Errors
    /// When it cannot tell.
    fn inclusion_proof(&self, index: u64, size: u64) -> Result<InclusionProof, SourceError>;
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A field that verification needs is not kept: it was erased, was too
    /// large to keep for a denied call, or the message was no call.
    #[error("`{field}` of the `{kind}` entry {entry} is not kept, so this action cannot be proved")]
    NotKept {
        /// The entry's kind.
        kind: &'static str,
        /// The entry.
        entry: EntryId,
        /// The field.
        field: &'static str,
    },
    /// An entry is not of the documented form.
    #[error("the `{kind}` entry lacks its `{member}`")]
    Malformed {
        /// The entry's kind.
        kind: &'static str,
        /// What is missing.
        member: &'static str,
    },
    /// The ledger has no such entry.
    #[error("the ledger has no `{kind}` entry of {subject} `{value}`")]
    NotFound {
        /// The kind.
        kind: &'static str,
        /// The member that was searched.
        subject: &'static str,
        /// Its value.
        value: String,
    },
    /// An entry is durable but not yet under the checkpoint.
    #[error("an entry is not yet under the log's checkpoint")]
    NotSequenced,
    /// A proof does not fit its checkpoint.
    #[error("the ledger's proof does not fit its checkpoint: {0}")]
    Proof(#[from] bailiwick_tlog::TlogProofError),
    /// The source could not answer.
    #[error("the ledger cannot be read: {0}")]
    Source(#[from] SourceError),
    /// Larger than a bundle may be.
    #[error("the bundle would be larger than {MAX_BUNDLE_BYTES} bytes or {MAX_RECEIPTS} receipts")]
    TooLarge,
}

impl AssembleError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotKept { .. } => "evidence-not-kept",
            Self::Malformed { .. } => "evidence-entry-malformed",
            Self::NotFound { .. } => "evidence-not-found",
            Self::NotSequenced => "evidence-not-sequenced",
            Self::Proof(e) => e.code(),
            Self::Source(_) => "evidence-source",
            Self::TooLarge => "evidence-too-large",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotKept { .. } => {
                "get the bundle of what must stay provable before its text is erased; messages that are no calls have none"
            }
            Self::Malformed { .. } | Self::Proof(_) | Self::Source(_) => {
                "run `bailiwick audit verify` on the data directory"
            }
            Self::NotFound { .. } => "look the action up with `bailiwick audit query`",
            Self::NotSequenced => "try again in a second",
            Self::TooLarge => "narrow the arguments of such calls",
        }
    }
}

/// A leaf as its assembler reads it; no signature is checked.
struct Leaf {
    kind: Kind,
    index: u64,
    id: EntryId,
    text: String,
    members: Object,
}

impl Leaf {
    fn read(kind: Kind, located: &Located) -> Result<Self, AssembleError> {
        let bad = |member| AssembleError::Malformed { kind: kind.as_str(), member };
        let json = Json::parse(&located.bytes, &JsonLimits::DEFAULT).map_err(|_| bad("entry"))?;
        let Json::Object(members) = json else {
            return Err(bad("entry"));
        };
        let id = members
            .member("id")
            .and_then(Json::as_str)
            .and_then(|t| EntryId::parse(t).ok())
            .ok_or(bad("id"))?;
        let text = String::from_utf8(located.bytes.clone()).map_err(|_| bad("entry"))?;
        Ok(Self { kind, index: located.index, id, text, members })
    }

    fn text(&self, member: &'static str) -> Result<&str, AssembleError> {
        self.members
            .member(member)
            .and_then(Json::as_str)
            .ok_or(AssembleError::Malformed { kind: self.kind.as_str(), member })
    }

    fn body(&self, member: &'static str) -> Option<&Json> {
        self.members.member("body")?.as_object()?.member(member)
    }

    fn body_text(&self, member: &'static str) -> Result<&str, AssembleError> {
        self.body(member)
            .and_then(Json::as_str)
            .ok_or(AssembleError::Malformed { kind: self.kind.as_str(), member })
    }
}

/// Collects leaves with what is disclosed of them.
struct Assembly<'a> {
    source: &'a dyn Source,
    parts: Vec<(Leaf, Fields)>,
}

impl Assembly<'_> {
    fn find(
        &self,
        kind: Kind,
        subject: Subject,
        value: &str,
        fits: impl Fn(&Leaf) -> bool,
    ) -> Result<Option<Leaf>, AssembleError> {
        let mut found = None;
        for located in self.source.entries(kind, subject, value)? {
            let leaf = Leaf::read(kind, &located)?;
            if fits(&leaf) {
                found = Some(leaf);
            }
        }
        Ok(found)
    }

    /// Adds the last fitting entry and `fields` of it, once.
    fn add(
        &mut self,
        kind: Kind,
        subject: Subject,
        value: &str,
        fields: &[&'static str],
        fits: impl Fn(&Leaf) -> bool,
    ) -> Result<usize, AssembleError> {
        let leaf =
            self.find(kind, subject, value, fits)?.ok_or_else(|| AssembleError::NotFound {
                kind: kind.as_str(),
                subject: subject.as_str(),
                value: value.to_owned(),
            })?;
        self.push(leaf, fields)
    }

    fn push(&mut self, leaf: Leaf, fields: &[&'static str]) -> Result<usize, AssembleError> {
        if let Some(at) = self.parts.iter().position(|(l, _)| l.id == leaf.id) {
            return Ok(at);
        }
        let mut opened = Fields::new();
        for field in fields {
            let disclosure = self.source.disclosure(&leaf.id, field)?.ok_or_else(|| {
                AssembleError::NotKept { kind: leaf.kind.as_str(), entry: leaf.id.clone(), field }
            })?;
            opened.push(((*field).to_owned(), disclosure));
        }
        self.parts.push((leaf, opened));
        Ok(self.parts.len().saturating_sub(1))
    }

    /// What an instance is: an enrolment, or a client that was mapped to an
    /// agent before the action.
    fn instance(&mut self, instance: &str, before: u64) -> Result<usize, AssembleError> {
        let (subject, client) = (Subject::Instance, Kind::ClientChanged);
        let mapped = self.find(client, subject, instance, |leaf| leaf.index < before)?;
        match mapped {
            Some(leaf) => self.push(leaf, &["client"]),
            None => self.add(Kind::InstanceEnrolled, subject, instance, &["enrolment"], |_| true),
        }
    }

    /// A handoff: its offer, its acceptance, and the handshake on which it rests.
    fn handoff(&mut self, task: &str, handoff: &str) -> Result<(), AssembleError> {
        let is_it = |leaf: &Leaf| leaf.body_text("handoff").is_ok_and(|id| id == handoff);
        let at = self.add(Kind::HandoffOffered, Subject::Task, task, &["offer"], is_it)?;
        let transcript = self.leaf(at)?.body_text("transcript")?.to_owned();
        let giver = self.leaf(at)?.text("instance")?.to_owned();
        // Who answers for a taker of another trust domain.
        if let Some(owner) = self.leaf(at)?.body("owner").and_then(Json::as_str) {
            let owner = owner.to_owned();
            self.add(Kind::PrincipalAdded, Subject::Principal, &owner, &["principal"], |_| true)?;
        }
        let at = self.add(Kind::HandoffAccepted, Subject::Task, task, &["answer"], is_it)?;
        let taker = self.leaf(at)?.text("instance")?.to_owned();
        // It stands under whoever asked: either of the two.
        let kind = Kind::PeerHandshake;
        let is_it = |leaf: &Leaf| leaf.body_text("transcript").is_ok_and(|t| t == transcript);
        let by_giver = self.find(kind, Subject::Instance, &giver, is_it)?;
        let found = match by_giver {
            Some(leaf) => Some(leaf),
            None => self.find(kind, Subject::Instance, &taker, is_it)?,
        };
        let leaf = found.ok_or_else(|| AssembleError::NotFound {
            kind: kind.as_str(),
            subject: "transcript",
            value: transcript.clone(),
        })?;
        self.push(leaf, &["handshake"]).map(drop)
    }

    /// The owners to whom an agent was moved before the action, in order.
    fn moves(&mut self, agent: &str, before: u64) -> Result<Vec<String>, AssembleError> {
        let mut owners = Vec::new();
        for located in self.source.entries(Kind::AgentChanged, Subject::Agent, agent)? {
            let leaf = Leaf::read(Kind::AgentChanged, &located)?;
            if leaf.index < before && leaf.body("owner").is_some() {
                owners.push(leaf.body_text("owner")?.to_owned());
                self.push(leaf, &[])?;
            }
        }
        Ok(owners)
    }

    /// The policy that a decision was put to, with its text if that is kept
    /// and not too large: without it the rules are not asked again.
    fn policy(&mut self, digest: &str, before: u64) -> Result<(), AssembleError> {
        let kind = Kind::PolicyPublished;
        let mut found = None;
        for located in self.source.policies()? {
            let leaf = Leaf::read(kind, &located)?;
            if leaf.index < before && leaf.body_text("digest")? == digest {
                found = Some(leaf);
            }
        }
        let leaf = found.ok_or_else(|| AssembleError::NotFound {
            kind: kind.as_str(),
            subject: "digest",
            value: digest.to_owned(),
        })?;
        let text = self.source.disclosure(&leaf.id, "document")?;
        let text = text.filter(|d| d.value.canonical().len() <= MAX_POLICY_BYTES);
        let at = self.push(leaf, &[])?;
        if let (Some(text), Some((_, fields))) = (text, self.parts.get_mut(at)) {
            fields.push(("document".to_owned(), text));
        }
        Ok(())
    }

    /// What a person said about the action or signed about calls like it, what
    /// they signed with, and whether they had the role `approver`.
    fn said(&mut self, task: &str, said: &Said, before: u64) -> Result<(), AssembleError> {
        let is_it = |leaf: &Leaf| leaf.id.as_str() == said.entry;
        let fields: &[&str] = match said.kind {
            Kind::StandingApproved => &["terms", "signed"],
            _ => &["signed"],
        };
        let at = self.add(said.kind, Subject::Task, task, fields, is_it)?;
        let alias = self.leaf(at)?.text("principal")?.to_owned();
        let (credential, said_at) =
            (self.leaf(at)?.body_text("credential")?.to_owned(), self.leaf(at)?.index);
        self.add(Kind::PrincipalAdded, Subject::Principal, &alias, &["principal"], |_| true)?;
        add_credential(self, &alias, &credential)?;
        let vouched = self.find(Kind::CredentialTrusted, Subject::Principal, &alias, |leaf| {
            leaf.index < said_at && leaf.body_text("credential").is_ok_and(|c| c == credential)
        })?;
        if let Some(vouched) = vouched {
            self.push(vouched, &[])?;
        }
        let role = self.find(Kind::RoleChanged, Subject::Principal, &alias, |leaf| {
            leaf.index < before && leaf.body_text("role").is_ok_and(|role| role == "approver")
        })?;
        if let Some(role) = role {
            self.push(role, &[])?;
        }
        Ok(())
    }

    /// The text of the workflow's version, for the rules about approvals, if it is
    /// kept and not too large: without it they are not asked again.
    fn rules(&mut self, published: usize) -> Result<(), AssembleError> {
        let Some((leaf, fields)) = self.parts.get_mut(published) else { return Ok(()) };
        let text = self.source.disclosure(&leaf.id, "document")?;
        let text = text.filter(|d| d.value.canonical().len() <= MAX_POLICY_BYTES);
        fields.extend(text.map(|text| ("document".to_owned(), text)));
        Ok(())
    }

    fn leaf(&self, at: usize) -> Result<&Leaf, AssembleError> {
        self.parts
            .get(at)
            .map(|(leaf, _)| leaf)
            .ok_or(AssembleError::Malformed { kind: "bundle", member: "receipts" })
    }

    fn finish(self, action: &ActionId) -> Result<Bundle, AssembleError> {
        let checkpoint = self.source.checkpoint()?;
        let size = checkpoint.unverified().size();
        let mut bundle =
            Bundle { action: action.clone(), receipts: Vec::new(), disclosures: Vec::new() };
        if self.parts.len() > MAX_RECEIPTS {
            return Err(AssembleError::TooLarge);
        }
        if self.parts.iter().any(|(leaf, _)| leaf.index >= size) {
            return Err(AssembleError::NotSequenced);
        }
        for (leaf, fields) in self.parts {
            let proof = self.source.inclusion_proof(leaf.index, size)?;
            let proof = TlogProof::new(proof, checkpoint.clone())?.to_string();
            bundle.receipts.push(Receipt { name: leaf.kind, entry: leaf.text, proof });
            if !fields.is_empty() {
                bundle.disclosures.push((leaf.id, fields));
            }
        }
        if bundle.to_text().len() > MAX_BUNDLE_BYTES {
            return Err(AssembleError::TooLarge);
        }
        Ok(bundle)
    }
}

/// The bundle of one action.
///
/// # Errors
/// See [`AssembleError`].
pub fn assemble(source: &dyn Source, action: &ActionId) -> Result<Bundle, AssembleError> {
    let mut all = Assembly { source, parts: Vec::new() };
    let any = |_: &Leaf| true;
    let missing = || AssembleError::NotFound {
        kind: Kind::ActionDecided.as_str(),
        subject: Subject::Action.as_str(),
        value: action.to_string(),
    };
    let decided = all
        .find(Kind::ActionDecided, Subject::Action, action.as_str(), any)?
        .ok_or_else(missing)?;
    if is_refusal(&decided) {
        // Nothing the caller claimed is a fact, so there is nothing else to
        // show; what was retained of the claim helps to refuse it again.
        let claimed = source.disclosure(&decided.id, "claimed")?;
        let at = all.push(decided, &[])?;
        if let (Some(claimed), Some((_, fields))) = (claimed, all.parts.get_mut(at)) {
            fields.push(("claimed".to_owned(), claimed));
        }
        return all.finish(action);
    }
    let alias = decided.text("principal")?.to_owned();
    let task = decided.text("task")?.to_owned();
    let workflow = decided.text("workflow")?.to_owned();
    let grant = decided.text("grant")?.to_owned();
    // A name that the caller made up is committed to, not written.
    let tool = decided.text("tool").ok().map(str::to_owned);
    let root = decided.body_text("root")?.to_owned();
    let workflow_digest = decided.body_text("workflow_digest")?.to_owned();
    let pin = decided.body("pin").and_then(Json::as_str).map(str::to_owned);
    let instances = instances(&decided)?;
    let handoffs = handoffs(&decided);
    let policy = decided.body("policy").and_then(Json::as_object);
    let policy = policy.and_then(|p| p.member("bundle")?.as_str()).map(str::to_owned);
    let decided_at = decided.index;
    let said = said(&decided);

    let mut fields = vec!["arguments", "action", "chain", "proof", "inputs"];
    if tool.is_none() {
        fields.push("tool");
    }
    all.push(decided, &fields)?;
    if let Some(completed) =
        all.find(Kind::ActionCompleted, Subject::Action, action.as_str(), any)?
    {
        all.push(completed, &[])?;
    }
    all.add(Kind::DelegationIssued, Subject::Delegation, &root, &[], any)?;
    let signed = all
        .find(Kind::GrantRecorded, Subject::Grant, &grant, any)?
        .is_none_or(|leaf| leaf.body("signed").and_then(Json::as_bool) != Some(false));
    let fields: &[&str] = if signed { &["statement", "signature"] } else { &["statement"] };
    let at = all.add(Kind::GrantRecorded, Subject::Grant, &grant, fields, any)?;
    let granted_at = all.leaf(at)?.index;
    // What the principal signed with, unless it was its own key.
    if let Some(credential) = all.leaf(at)?.body("credential").and_then(Json::as_str) {
        let credential = credential.to_owned();
        add_credential(&mut all, &alias, &credential)?;
    }
    all.add(Kind::TaskCreated, Subject::Task, &task, &["purpose"], any)?;
    all.add(Kind::PrincipalAdded, Subject::Principal, &alias, &["principal"], any)?;
    for instance in instances {
        let at = all.instance(&instance, decided_at)?;
        let agent = all.leaf(at)?.text("agent")?.to_owned();
        let at = all.add(Kind::AgentAdded, Subject::Agent, &agent, &[], any)?;
        let mut owners = vec![all.leaf(at)?.body_text("owner")?.to_owned()];
        owners.extend(all.moves(&agent, decided_at)?);
        for owner in owners {
            all.add(Kind::PrincipalAdded, Subject::Principal, &owner, &["principal"], any)?;
        }
    }
    for handoff in handoffs {
        all.handoff(&task, &handoff)?;
    }
    let published =
        all.add(Kind::WorkflowPublished, Subject::Workflow, &workflow, &[], |leaf| {
            leaf.index < granted_at && leaf.body_text("digest").is_ok_and(|d| d == workflow_digest)
        })?;
    if !said.is_empty() {
        all.rules(published)?;
    }
    for said in said {
        all.said(&task, &said, decided_at)?;
    }
    if let Some(policy) = policy {
        all.policy(&policy, decided_at)?;
    }
    if let Some((pin, tool)) = pin.zip(tool) {
        all.add(Kind::ToolPinned, Subject::Tool, &pinned_as(&tool), &[], |leaf| {
            leaf.index < decided_at && leaf.body_text("digest").is_ok_and(|d| d == pin)
        })?;
    }
    all.finish(action)
}

/// The registration of a credential; a login's provider and name there are
/// disclosed, a passkey's or service's key stands in the entry.
fn add_credential(
    all: &mut Assembly<'_>,
    alias: &str,
    credential: &str,
) -> Result<(), AssembleError> {
    let is_it = |leaf: &Leaf| leaf.body_text("credential").is_ok_and(|c| c == credential);
    let leaf = all.find(Kind::CredentialAdded, Subject::Principal, alias, is_it)?;
    let leaf = leaf.ok_or_else(|| AssembleError::NotFound {
        kind: Kind::CredentialAdded.as_str(),
        subject: Subject::Principal.as_str(),
        value: alias.to_owned(),
    })?;
    let is_login = leaf.body_text("credential_kind").is_ok_and(|kind| kind == "login");
    let fields: &[&str] = if is_login { &["login"] } else { &[] };
    all.push(leaf, fields).map(drop)
}

fn is_refusal(decided: &Leaf) -> bool {
    decided.text("decision").is_ok_and(|d| d == "deny")
        && decided.text("principal").is_err()
        && decided.text("delegation").is_err()
}

/// Something that a person signed because of which the action was allowed.
struct Said {
    kind: Kind,
    entry: String,
}

/// The verdicts, or the signatures on a standing approval, by which the action
/// was allowed.
fn said(decided: &Leaf) -> Vec<Said> {
    let approval = decided.body("approval").and_then(Json::as_object);
    let listed = |name: &str, kind: Kind| -> Vec<Said> {
        let entries = approval.and_then(|a| a.member(name)?.as_array()).unwrap_or_default();
        let entries = entries.iter().filter_map(Json::as_str).map(str::to_owned);
        entries.map(|entry| Said { kind, entry }).collect()
    };
    let mut all = listed("verdicts", Kind::ApprovalDecided);
    all.extend(listed("signatures", Kind::StandingApproved));
    all
}

/// The handoffs by which hops took the task over.
fn handoffs(decided: &Leaf) -> Vec<String> {
    let hops = decided.body("hops").and_then(Json::as_array).unwrap_or_default();
    let named = |hop: &Json| Some(hop.as_object()?.member("handoff")?.as_str()?.to_owned());
    hops.iter().filter_map(named).collect()
}

fn instances(decided: &Leaf) -> Result<Vec<String>, AssembleError> {
    let bad = || AssembleError::Malformed { kind: decided.kind.as_str(), member: "hops" };
    let hops = decided.body("hops").and_then(Json::as_array).ok_or_else(bad)?;
    let text = |hop: &Json, name| hop.as_object()?.member(name)?.as_str().map(str::to_owned);
    // An agent of another trust domain is enrolled there: its handoff says who it is.
    let is_here = |hop: &&Json| {
        let agent = text(hop, "agent").and_then(|agent| agent.parse::<AgentId>().ok());
        agent.is_none_or(|agent| agent.trust_domain().is_none())
    };
    hops.iter().filter(is_here).map(|hop| text(hop, "instance").ok_or_else(bad)).collect()
}
