//! The catalogue's definitions: what is pinned, what waits for a person, and
//! what that person decides.

use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ToolId, WorkflowId};
use bailiwick_policy::Workflow;
use bailiwick_policy::catalogue::{Definition, Difference, Flag, Neighbours, Rating, differences};
use bailiwick_policy::grades::Risk;
use bailiwick_store::{Candidate, Pin, PinStatus, StoreError, View};

use super::Authority;
use crate::refusal::Refusal;
use crate::rules::life::Administrator;
use crate::rules::pins::{self, Held, kept};

/// How a tool of the catalogue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolState {
    /// Its tool server states another definition than the accepted one.
    Changed,
    /// Nobody accepted it.
    New,
    /// It may be called as it is pinned.
    Pinned,
    /// A person withdrew its pin.
    Quarantined,
}

impl ToolState {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::New => "new",
            Self::Pinned => "pinned",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether a person has to decide before it is called.
    #[must_use]
    pub const fn waits(self) -> bool {
        !matches!(self, Self::Pinned)
    }
}

/// One tool of the catalogue.
#[derive(Clone, Debug)]
pub struct Catalogued {
    /// Which.
    pub tool: ToolId,
    /// What was accepted.
    pub pin: Option<Pin>,
    /// What waits for a person.
    pub candidate: Option<Candidate>,
    /// What is suspicious about the one that waits, or about the pinned one.
    pub flags: Vec<Flag>,
    /// What differs between the two; where only one is there, all of it.
    pub differences: Vec<Difference>,
}

impl Catalogued {
    /// How it stands.
    #[must_use]
    pub fn state(&self) -> ToolState {
        match (&self.pin, &self.candidate) {
            (Some(pin), _) if pin.status == PinStatus::Changed => ToolState::Quarantined,
            (Some(_), Some(_)) => ToolState::Changed,
            (Some(_), None) => ToolState::Pinned,
            (None, _) => ToolState::New,
        }
    }

    /// The digest that would be accepted.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let candidate = self.candidate.as_ref().map(|c| c.digest);
        candidate.or_else(|| self.pin.as_ref().map(|pin| pin.digest))
    }

    fn of(
        tool: ToolId,
        pin: Option<Pin>,
        candidate: Option<Candidate>,
        neighbours: &Neighbours,
    ) -> Result<Self, Refusal> {
        let read = |text: Option<&str>| text.map(|text| kept(&tool, text)).transpose();
        let old: Option<Definition> = read(pin.as_ref().map(|p| p.definition.as_str()))?;
        let new = read(candidate.as_ref().map(|c| c.definition.as_str()))?;
        let told = new.as_ref().or(old.as_ref());
        let flags = told.map(|d| pins::flags(neighbours, pin.as_ref(), &tool, d));
        let differences = match (&old, &new) {
            (old, Some(new)) => differences(old.as_ref(), Some(new)),
            (old, None) => differences(None, old.as_ref()),
        };
        Ok(Self { tool, pin, candidate, flags: flags.unwrap_or_default(), differences })
    }
}

/// What workflows say about tools.
#[derive(Clone, Debug)]
pub struct Ratings(Vec<Arc<Workflow>>);

impl Ratings {
    /// The workflows that list a tool, by name, with their rating of it.
    pub fn of(&self, tool: &ToolId) -> impl Iterator<Item = (&WorkflowId, &Rating)> {
        let tool = tool.clone();
        self.0.iter().filter_map(move |w| Some((&w.id, w.catalogue.rating(&tool)?)))
    }

    /// The highest risk at which any of them lists it.
    #[must_use]
    pub fn highest(&self, tool: &ToolId) -> Option<Risk> {
        self.of(tool).map(|(_, rating)| rating.risk).max()
    }
}

/// The tools of every tool server, pinned or waiting.
pub(super) fn neighbours(view: &View<'_>) -> Result<Neighbours, StoreError> {
    let mut tools = Vec::new();
    for server in view.tool_servers()? {
        tools.extend(view.pins(&server.name)?.into_iter().map(|pin| pin.row.tool));
        tools.extend(view.candidates(&server.name)?.into_iter().map(|c| c.row.tool));
    }
    Ok(Neighbours::of(&tools))
}

impl Authority {
    /// Every tool of which a definition is held; what waits comes first.
    ///
    /// # Errors
    /// [`Refusal::Store`], [`Refusal::DefinitionUnreadable`].
    pub fn catalogued(&self) -> Result<Vec<Catalogued>, Refusal> {
        let (held, neighbours) = self.read(|view| {
            let mut held: Vec<(ToolId, Option<Pin>, Option<Candidate>)> = Vec::new();
            for server in view.tool_servers()? {
                let mut candidates = view.candidates(&server.name)?;
                for pin in view.pins(&server.name)? {
                    let at = candidates.iter().position(|c| c.tool == pin.tool);
                    let candidate = at.map(|at| candidates.swap_remove(at).row);
                    held.push((pin.tool.clone(), Some(pin.row), candidate));
                }
                held.extend(candidates.into_iter().map(|c| (c.tool.clone(), None, Some(c.row))));
            }
            Ok::<_, StoreError>((held, neighbours(view)?))
        })?;
        let all = held.into_iter().map(|(t, pin, c)| Catalogued::of(t, pin, c, &neighbours));
        let mut all = all.collect::<Result<Vec<_>, _>>()?;
        all.sort_by(|a, b| (!a.state().waits(), &a.tool).cmp(&(!b.state().waits(), &b.tool)));
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]; as [`Authority::catalogued`].
    pub fn catalogued_tool(&self, tool: &ToolId) -> Result<Catalogued, Refusal> {
        let (pin, candidate, neighbours) = self.read(|view| {
            let pin = view.pin(tool)?.map(|p| p.row);
            let candidate = view.candidate(tool)?.map(|c| c.row);
            Ok::<_, StoreError>((pin, candidate, neighbours(view)?))
        })?;
        if pin.is_none() && candidate.is_none() {
            return Err(Refusal::unknown("tool", tool));
        }
        Catalogued::of(tool.clone(), pin, candidate, &neighbours)
    }

    /// How the current version of each workflow rates tools, by workflow: what a
    /// version says that cannot be read any more is left out.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn ratings(&self) -> Result<Ratings, Refusal> {
        let cx = self.now();
        let rows = self.read(|view| view.workflows())?;
        let parsed = rows.iter().filter_map(|row| cx.parsed.of(row).ok());
        Ok(Ratings(parsed.collect()))
    }

    /// Pins the definition with this digest, which a person looked at.
    ///
    /// # Errors
    /// See [`pins::accept`].
    pub fn definition_accept(
        &self,
        tool: &ToolId,
        digest: &Digest,
        by: &Administrator,
    ) -> Result<Pin, Refusal> {
        let (tool, digest, by) = (tool.clone(), *digest, by.clone());
        self.commit(move |cx, tx, moment| {
            let (pin, candidate) = (tx.pin(&tool)?, tx.candidate(&tool)?);
            let neighbours = neighbours(tx)?;
            let held = Held {
                tool: &tool,
                pin: pin.as_deref(),
                candidate: candidate.as_deref(),
                neighbours: &neighbours,
            };
            pins::accept(moment, &cx.installation, held, &digest, &by)
        })
    }

    /// Withdraws a tool's pin, so that calls are denied.
    ///
    /// # Errors
    /// See [`pins::quarantine`].
    pub fn definition_quarantine(
        &self,
        tool: &ToolId,
        reason: &str,
        by: &Administrator,
    ) -> Result<(), Refusal> {
        let (tool, reason, by) = (tool.clone(), reason.to_owned(), by.clone());
        self.commit(move |cx, tx, moment| {
            let pin = tx.pin(&tool)?;
            let neighbours = Neighbours::default();
            let held =
                Held { tool: &tool, pin: pin.as_deref(), candidate: None, neighbours: &neighbours };
            pins::quarantine(moment, &cx.installation, held, &reason, &by)
        })
    }
}
