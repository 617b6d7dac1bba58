//! Agents as peers of each other, and what they hand over.

use askama::Template;
use bailiwick_core::guarantee::Grade;

use super::graph::Graph;
use super::{EntryLine, Frame, Moment, Text, ToolCard};

/// One agent as a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerLine {
    /// Its name.
    pub agent: Text,
    /// Its page.
    pub path: String,
    /// Its SPIFFE ID.
    pub spiffe_id: Text,
    /// Its status in a word.
    pub status: &'static str,
    /// The badge's class.
    pub class: &'static str,
    /// Active instances.
    pub instances: u64,
    /// Tasks that it handed on.
    pub handed: u64,
    /// Tasks that it took over.
    pub taken: u64,
    /// Strangers that it turned away within a day.
    pub refused: u64,
    /// When it last proved itself to a peer.
    pub last_handshake: Option<Moment>,
}

/// What one agent handed to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLine {
    /// Who handed over.
    pub from: Text,
    /// To whom.
    pub to: Text,
    /// The list of them.
    pub href: String,
    /// How often.
    pub offered: u64,
    /// Taken over.
    pub accepted: u64,
    /// Not answered yet.
    pub waiting: u64,
    /// Turned down, or not answered in time.
    pub refused: u64,
    /// Revoked since.
    pub revoked: u64,
    /// The weakest guarantee among them.
    pub guarantee: &'static str,
    /// The newest.
    pub last: Moment,
}

/// How a handoff stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffStanding {
    /// In a word.
    pub word: &'static str,
    /// The badge's class.
    pub class: &'static str,
}

impl HandoffStanding {
    /// From where it stands in a word for programs, and whether what it rests on
    /// was revoked.
    #[must_use]
    pub fn of(state: &str, is_revoked: bool) -> Self {
        let (word, class) = match state {
            "rejected" => ("turned down", "bad"),
            "expired" => ("not answered", "plain"),
            _ if is_revoked => ("revoked", "bad"),
            "accepted" => ("taken over", "good"),
            "returned" => ("given back", "good"),
            _ => ("waiting", "warn"),
        };
        Self { word, class }
    }
}

/// One handoff in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffLine {
    /// Its page.
    pub path: String,
    /// Who handed over.
    pub from: Text,
    /// To whom.
    pub to: Text,
    /// On whose authority; `None` once the name was erased.
    pub principal: Option<Text>,
    /// The workflow.
    pub workflow: Text,
    /// How sure the two are of each other.
    pub guarantee: &'static str,
    /// How it stands.
    pub standing: HandoffStanding,
    /// When it was offered.
    pub at: Moment,
}

/// One handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeLine {
    /// Who asked.
    pub initiator: Text,
    /// Who answered.
    pub responder: Text,
    /// Whether both signed the connection with it.
    pub bound: bool,
    /// When.
    pub at: Moment,
}

/// Whose handoffs are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Between {
    /// Who handed over.
    pub from: Text,
    /// To whom.
    pub to: Text,
}

/// `/peers`
#[derive(Clone, Debug, Template)]
#[template(path = "peers.html")]
pub struct PeersPage {
    /// The frame.
    pub frame: Frame,
    /// Who hands what to whom.
    pub graph: Graph,
    /// The same as a table.
    pub flows: Vec<FlowLine>,
    /// Agents, by name.
    pub agents: Vec<PeerLine>,
    /// Agents that are not listed.
    pub agents_left_out: usize,
    /// Handoffs, the newest first.
    pub handoffs: Vec<HandoffLine>,
    /// Whether only those of two agents are listed.
    pub between: Option<Between>,
    /// The next, older page.
    pub older: Option<String>,
    /// The newest handshakes.
    pub handshakes: Vec<HandshakeLine>,
}

/// A claim and how well it is founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimLine {
    /// What is said.
    pub statement: Text,
    /// Who says it first.
    pub speaker: Text,
    /// How well it is founded.
    pub grade: Grade,
}

impl ClaimLine {
    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self.grade {
            Grade::Proven => "good",
            Grade::Signed => "plain",
            Grade::Asserted => "warn",
        }
    }

    /// What the grade means.
    #[must_use]
    pub const fn means(&self) -> &'static str {
        match self.grade {
            Grade::Proven => "the ledger has the output that it rests on",
            Grade::Signed => "an identified agent signed it",
            Grade::Asserted => "hearsay: nothing shows it",
        }
    }
}

/// Something that is handed over beside the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextLine {
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Where it came from.
    pub source: Text,
    /// How it is labelled.
    pub label: Text,
}

/// What was offered, while its text is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferTexts {
    /// What the taker is to do.
    pub purpose: Text,
    /// What goes with it.
    pub context: Vec<ContextLine>,
    /// Conditions in words.
    pub constraints: Vec<Text>,
    /// What the taker is told.
    pub claims: Vec<ClaimLine>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTexts {
    /// How it went.
    pub status: &'static str,
    /// What is told.
    pub claims: Vec<ClaimLine>,
}

/// `/handoffs/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "handoff.html")]
pub struct HandoffPage {
    /// The frame.
    pub frame: Frame,
    /// The handoff.
    pub line: HandoffLine,
    /// The SPIFFE IDs of both.
    pub ids: (Text, Text),
    /// The pages of both, for whoever sees agents.
    pub paths: Option<(String, String)>,
    /// The task.
    pub task: String,
    /// Until when it can be taken over.
    pub expires: Moment,
    /// What the other side answered, and when.
    pub answered: Option<(&'static str, Moment)>,
    /// Why it was turned down, in the taker's words.
    pub reason: Option<Text>,
    /// The child's token hash.
    pub leaf: String,
    /// What was offered; `None` once the text was erased.
    pub offer: Option<OfferTexts>,
    /// What the child permits; `None` once the text was erased.
    pub tools: Option<Vec<ToolCard>>,
    /// When something came back.
    pub returned_at: Option<Moment>,
    /// What came back, while its text is kept.
    pub returned: Option<ReturnTexts>,
    /// The entries of handshake, offer, answer and return.
    pub entries: Vec<EntryLine>,
    /// The pages that end it, for whoever may.
    pub ends: Vec<(&'static str, String)>,
    /// Whether the person sees the peers' page.
    pub sees_peers: bool,
}
