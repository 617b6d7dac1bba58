//! The agents of this trust domain as peers, and handoffs for others to verify.

use std::collections::BTreeMap;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, HandoffId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::read_instance_spiffe_id;
use bailiwick_store::{Filter, Handshake, MAX_HANDOFFS, Status, StoreError, Stored, View};

use super::{Authority, disclosed};
use crate::refusal::Refusal;
use crate::rules::requests;

/// How far back whoever was turned away is counted, seconds.
const LATELY_SECONDS: i64 = 86_400;

/// One agent as a peer.
#[derive(Clone, Debug, Default)]
pub struct PeerAgent {
    /// Its status.
    pub status: Option<Status>,
    /// Active instances.
    pub instances: u64,
    /// Tasks that it handed on, of the newest that are looked at.
    pub handed: u64,
    /// Tasks that it took over, of those.
    pub taken: u64,
    /// Strangers that it turned away within a day.
    pub refused: u64,
    /// When it last proved itself to a peer.
    pub last_handshake: Option<Timestamp>,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The trust domain.
    pub trust_domain: String,
    /// Agents.
    pub agents: BTreeMap<AgentId, PeerAgent>,
    /// Handshakes, the newest first.
    pub handshakes: Vec<Stored<Handshake>>,
}

impl Peers {
    /// As commands and the API show it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let agents = self.agents.iter().map(|(id, agent)| {
            Object::new()
                .with("agent", id)
                .with("spiffe_id", id.spiffe_id(&self.trust_domain))
                .with("status", agent.status.map_or("unknown", Status::as_str))
                .with("instances", agent.instances)
                .with("handed", agent.handed)
                .with("taken", agent.taken)
                .with("refused", agent.refused)
                .with("last_handshake", agent.last_handshake.map(|t| t.to_string()))
                .into()
        });
        let handshakes = self.handshakes.iter().map(|h| {
            Object::new()
                .with("transcript", h.transcript)
                .with("initiator", h.initiator.as_str())
                .with("responder", h.responder.as_str())
                .with("bound", h.bound)
                .with("at", h.seen.to_string())
                .with("expires_at", h.expires.to_string())
                .into()
        });
        Object::new()
            .with("trust_domain", self.trust_domain.as_str())
            .with("agents", agents.collect::<Vec<Json>>())
            .with("handshakes", handshakes.collect::<Vec<Json>>())
    }
}

fn refusals(view: &View<'_>, since: Timestamp) -> Result<Vec<AgentId>, StoreError> {
    let filter = Filter {
        kind: Some(Kind::PeerRefused),
        since: Some(since),
        limit: MAX_HANDOFFS,
        ..Filter::default()
    };
    let named = |entry: bailiwick_store::StoredEntry| entry.subjects.agent?.parse().ok();
    Ok(view.query(&filter)?.into_iter().filter_map(named).collect())
}

impl Authority {
    /// The agents of this trust domain as peers.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn peers(&self) -> Result<Peers, Refusal> {
        let trust_domain = self.now().installation.trust_domain.clone();
        let since = self.0.host.now().plus_seconds(-LATELY_SECONDS);
        self.read(|view| {
            let mut agents: BTreeMap<AgentId, PeerAgent> = BTreeMap::new();
            for agent in view.agents()? {
                let id = agent.row.id;
                agents.entry(id).or_default().status = Some(agent.row.status);
            }
            for instance in view.instances(None)? {
                if let Some(agent) = agents.get_mut(&instance.agent) {
                    agent.instances += u64::from(instance.status == Status::Active);
                }
            }
            for handoff in view.handoffs(None, MAX_HANDOFFS)? {
                if let Some(agent) = agents.get_mut(&handoff.from_agent) {
                    agent.handed += 1;
                }
                if let Some(agent) = agents.get_mut(&handoff.to_agent) {
                    agent.taken += u64::from(handoff.settled.is_some());
                }
            }
            for agent in refusals(view, since)? {
                if let Some(agent) = agents.get_mut(&agent) {
                    agent.refused += 1;
                }
            }
            let handshakes = view.handshakes(MAX_HANDOFFS)?;
            for h in &handshakes {
                for side in [&h.initiator, &h.responder] {
                    let named = read_instance_spiffe_id(side, &trust_domain);
                    if let Some(agent) = named.and_then(|(agent, _)| agents.get_mut(&agent)) {
                        agent.last_handshake = agent.last_handshake.max(Some(h.seen));
                    }
                }
            }
            Ok(Peers { trust_domain: trust_domain.clone(), agents, handshakes })
        })
    }

    /// A handoff by its id, or by the hash of its signed offer, which is how its two
    /// sides name it.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn handoff_named(&self, text: &str) -> Result<HandoffId, Refusal> {
        let unknown = || Refusal::unknown("handoff", text);
        if let Ok(id) = HandoffId::parse(text) {
            return Ok(id);
        }
        let hash = Digest::from_text(text).ok_or_else(unknown)?;
        let found = self.read(|view| view.handoff_by_hash(&hash))?;
        Ok(found.ok_or_else(unknown)?.row.id)
    }

    /// Everything that the two sides of a handoff signed, for others to verify
    /// offline. That it was read is an entry.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also once its texts were erased.
    pub fn handoff_file(&self, id: &HandoffId) -> Result<Json, Refusal> {
        let unknown = || Refusal::unknown("handoff", id);
        let (entry, file) = self.0.store.read(|view| {
            let handoff = view.handoff(id)?.ok_or_else(unknown)?;
            let shaken = view.handshake(&handoff.transcript)?.ok_or_else(unknown)?;
            let need = |entry, field| -> Result<Json, Refusal> {
                disclosed(view, entry, field)?.ok_or_else(unknown)
            };
            let mut file = Object::new()
                .with("v", 1u64)
                .with("kind", bailiwick_evidence::handoff::KIND)
                .with("handshake", need(&shaken.entry, "handshake")?)
                .with("offer", need(&handoff.entry, "offer")?)
                .with("chain", need(&handoff.entry, "chain")?);
            if let Some(answer) = super::handoffs::answer_of(view, &handoff)? {
                file.insert("answer", answer);
            }
            if let Some(entry) = &handoff.return_entry {
                file.insert("return", need(entry, "return")?);
            }
            Ok::<_, Refusal>((handoff.entry.clone(), Json::from(file)))
        })?;
        let id = id.clone();
        self.commit(move |cx, _, moment| {
            requests::texts_read(
                moment,
                &cx.installation,
                ("handoff", id.as_str()),
                &entry,
                "operator",
            )
        })?;
        Ok(file)
    }
}
