//! Pins: what a tool was when a person accepted it.
//!
//! A pin protects against a definition that changes later. What a definition
//! says when it is first seen is looked at too: one with suspicious text, and
//! one that differs from its pin, is pinned only if it is named.

use std::collections::BTreeMap;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_policy::catalogue::{Definition, DefinitionKind, Flag};
use bailiwick_store::{Pin, PinStatus, Row, ToolServer};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// What became of one item of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// Pinned, for the first time or in place of another definition.
    New {
        /// The tool.
        tool: ToolId,
        /// The definition's digest.
        digest: Digest,
    },
    /// Pinned already, and nothing changed.
    Unchanged {
        /// The tool.
        tool: ToolId,
    },
    /// Differs from its pin and was not named.
    Changed {
        /// The tool.
        tool: ToolId,
        /// The pin.
        pinned: Digest,
        /// What the server says now.
        found: Digest,
    },
    /// Has suspicious text and was not named.
    Suspicious {
        /// The tool.
        tool: ToolId,
        /// What is suspicious.
        flags: Vec<Flag>,
    },
    /// Cannot be read, has no proper name, or stands there twice.
    Malformed {
        /// Its place in the listing, from 0.
        item: usize,
        /// A stable code.
        code: &'static str,
    },
}

impl Pinned {
    /// Whether a person has to look at it.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Suspicious { .. } | Self::Malformed { .. })
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::New { .. } => "pinned",
            Self::Unchanged { .. } => "unchanged",
            Self::Changed { .. } => "definition-changed",
            Self::Suspicious { .. } => "definition-suspicious",
            Self::Malformed { code, .. } => code,
        }
    }
}

/// A listing with what it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// The tool server's name.
    pub name: &'a ServerName,
    /// The tool server, if it is catalogued.
    pub server: Option<&'a ToolServer>,
    /// What is listed.
    pub kind: DefinitionKind,
    /// The result of `tools/list` or `prompts/list`, as the server sent it.
    pub json: &'a Json,
    /// The tools (by MCP name) whose suspicious or changed definition a person
    /// has looked at.
    pub accept: &'a [String],
    /// The server's pins so far.
    pub pins: &'a [Pin],
}

/// Pins the items of a listing.
///
/// # Errors
/// [`Refusal::Unknown`] for the tool server, [`Refusal::ListingForm`].
pub fn pin(
    moment: &Moment<'_>,
    installation: &Installation,
    listing: Listing<'_>,
) -> Result<Plan<Vec<Pinned>>, Refusal> {
    let Listing { name, server, kind, json, accept, pins } = listing;
    if server.is_none() {
        return Err(Refusal::unknown("tool server", name));
    }
    let member = match kind {
        DefinitionKind::Tool => "tools",
        DefinitionKind::Prompt => "prompts",
    };
    let items = json
        .as_object()
        .and_then(|o| o.member(member)?.as_array())
        .ok_or(Refusal::ListingForm { member })?;
    let read: Vec<_> = items
        .iter()
        .map(|item| match kind {
            DefinitionKind::Tool => Definition::of_tool(item),
            DefinitionKind::Prompt => Definition::of_prompt(item),
        })
        .collect();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for definition in read.iter().flatten() {
        *times.entry(definition.name()).or_default() += 1;
    }
    let mut steps = Vec::new();
    let mut outcome = Vec::new();
    for (item, definition) in read.iter().enumerate() {
        let definition = match definition {
            Ok(definition) => definition,
            Err(e) => {
                outcome.push(Pinned::Malformed { item, code: e.code() });
                continue;
            }
        };
        // Which of two definitions a call would meet is the server's choice.
        if times.get(definition.name()).is_some_and(|n| *n > 1) {
            outcome.push(Pinned::Malformed { item, code: "definition-twice" });
            continue;
        }
        let Ok(tool) = ToolId::parse(&format!("mcp:{name}:{member}/{}", definition.name())) else {
            outcome.push(Pinned::Malformed { item, code: "definition-name-invalid" });
            continue;
        };
        let accepted = accept.iter().any(|a| a == definition.name());
        let (one, step) = pin_one(moment, installation, tool, definition, accepted, pins)?;
        outcome.push(one);
        steps.extend(step);
    }
    Ok(Plan { steps, outcome })
}

fn pin_one(
    moment: &Moment<'_>,
    installation: &Installation,
    tool: ToolId,
    definition: &Definition,
    accepted: bool,
    pins: &[Pin],
) -> Result<(Pinned, Option<Step>), Refusal> {
    let digest = definition.digest();
    let before = pins.iter().find(|p| p.tool == tool);
    match before {
        Some(pin) if pin.digest == digest && pin.status == PinStatus::Pinned => {
            return Ok((Pinned::Unchanged { tool }, None));
        }
        Some(pin) if pin.digest != digest && !accepted => {
            let pinned = pin.digest;
            return Ok((Pinned::Changed { tool, pinned, found: digest }, None));
        }
        _ => {}
    }
    let flags = definition.flags();
    let was_accepted = before.is_some_and(|pin| pin.digest == digest);
    if !flags.is_empty() && !accepted && !was_accepted {
        return Ok((Pinned::Suspicious { tool, flags }, None));
    }
    let mut codes: Vec<&str> = flags.iter().map(|f| f.suspicion.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    let row = Pin {
        tool: tool.clone(),
        digest,
        definition: definition.to_json().canonical(),
        status: PinStatus::Pinned,
        pinned: moment.now(),
    };
    let mut step = Step::new(moment, &installation.org, Kind::ToolPinned)?
        .about(|s| s.tool = Some(tool.to_string()))
        .with("tool", &tool)
        .with("server", tool.server())
        .with("digest", digest)
        .with("flags", codes.into_iter().map(Json::from).collect::<Vec<_>>());
    if let Some(before) = before {
        step = step.with("previous", before.digest);
    }
    let step = step.commit(moment, "definition", definition.to_json())?.row(Row::Pin(row));
    Ok((Pinned::New { tool, digest }, Some(step)))
}
