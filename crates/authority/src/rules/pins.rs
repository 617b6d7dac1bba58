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
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::a2a::card::is_weaker;
use bailiwick_policy::catalogue::{Definition, DefinitionKind, Flag, Neighbours, Suspicion};
use bailiwick_store::{Candidate, Pin, PinStatus, Row, ToolServer};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::life::Administrator;

/// Bytes of a definition that is kept for a person to look at.
pub const MAX_CANDIDATE_BYTES: usize = 256 * 1024;

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
    /// A person withdrew its pin, and it was not named.
    Quarantined {
        /// The tool.
        tool: ToolId,
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
        !matches!(self, Self::New { .. } | Self::Unchanged { .. })
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::New { .. } => "pinned",
            Self::Unchanged { .. } => "unchanged",
            Self::Changed { .. } => "definition-changed",
            Self::Suspicious { .. } => "definition-suspicious",
            Self::Quarantined { .. } => "definition-quarantined",
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
    /// What of the server waits for a person already.
    pub candidates: &'a [Candidate],
    /// The tools of every tool server.
    pub neighbours: &'a Neighbours,
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
    let Listing { name, server, kind, json, accept, .. } = listing;
    if server.is_none() {
        return Err(Refusal::unknown("tool server", name));
    }
    let member = kind.member();
    let items = json
        .as_object()
        .and_then(|o| o.member(member)?.as_array())
        .ok_or(Refusal::ListingForm { member })?;
    let read: Vec<_> = items.iter().map(|item| Definition::read(kind, item)).collect();
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
        let Ok(tool) = ToolId::parse(&kind.tool_id(name.as_str(), definition.name())) else {
            outcome.push(Pinned::Malformed { item, code: "definition-name-invalid" });
            continue;
        };
        let accepted = accept.iter().any(|a| a == definition.name());
        let one = judge(&listing, tool.clone(), definition, accepted);
        match &one {
            Pinned::New { .. } => {
                let before = listing.pins.iter().find(|p| p.tool == tool);
                let flags = flags(listing.neighbours, before, &tool, definition);
                let mut step = pinned(moment, installation, tool, definition, before, &flags)?.0;
                // Whoever named it looked at it.
                if accepted {
                    step = signed_by(&Administrator::OnHost, step);
                }
                steps.push(step);
            }
            Pinned::Changed { .. } | Pinned::Suspicious { .. } => {
                steps.extend(waits(moment, installation, tool, definition, &listing)?);
            }
            _ => {}
        }
        outcome.push(one);
    }
    Ok(Plan { steps, outcome })
}

/// What becomes of one definition.
fn judge(listing: &Listing<'_>, tool: ToolId, definition: &Definition, accepted: bool) -> Pinned {
    let digest = definition.digest();
    let before = listing.pins.iter().find(|p| p.tool == tool);
    match before {
        Some(pin) if pin.digest != digest && !accepted => {
            Pinned::Changed { tool, pinned: pin.digest, found: digest }
        }
        Some(pin) if pin.digest == digest && pin.status == PinStatus::Pinned => {
            Pinned::Unchanged { tool }
        }
        Some(_) if !accepted => Pinned::Quarantined { tool },
        _ => {
            let flags = flags(listing.neighbours, before, &tool, definition);
            if flags.is_empty() || accepted {
                Pinned::New { tool, digest }
            } else {
                Pinned::Suspicious { tool, flags }
            }
        }
    }
}

/// What is suspicious about a definition, by itself and beside others.
#[must_use]
pub fn flags(
    neighbours: &Neighbours,
    before: Option<&Pin>,
    tool: &ToolId,
    definition: &Definition,
) -> Vec<Flag> {
    let mut flags = definition.flags();
    flags.extend(neighbours.flags(tool.server(), definition));
    let accepted = before.and_then(|pin| kept(tool, &pin.definition).ok());
    if accepted.is_some_and(|accepted| is_weaker(&accepted, definition)) {
        flags.push(Flag {
            suspicion: Suspicion::WeakerSecurity,
            place: "card/securityRequirements".to_owned(),
            found: definition.digest().to_string(),
        });
    }
    if before.is_some_and(|pin| pin.digest != definition.digest()) {
        flags.push(Flag {
            suspicion: Suspicion::ChangedAfterAcceptance,
            place: "definition".to_owned(),
            found: definition.digest().to_string(),
        });
    }
    flags
}

/// A definition as it is kept.
///
/// # Errors
/// [`Refusal::DefinitionUnreadable`].
pub fn kept(tool: &ToolId, text: &str) -> Result<Definition, Refusal> {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok();
    let definition = json.and_then(|json| Definition::of_kept(&json).ok());
    definition.ok_or_else(|| Refusal::DefinitionUnreadable { tool: tool.clone() })
}

/// The entry and the row of a pin.
fn pinned(
    moment: &Moment<'_>,
    installation: &Installation,
    tool: ToolId,
    definition: &Definition,
    before: Option<&Pin>,
    flags: &[Flag],
) -> Result<(Step, Pin), Refusal> {
    let digest = definition.digest();
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
    let step = step.commit(moment, "definition", definition.to_json())?;
    Ok((step.row(Row::Pin(row.clone())), row))
}

/// Keeps a definition for a person to look at, unless it is there already.
fn waits(
    moment: &Moment<'_>,
    installation: &Installation,
    tool: ToolId,
    definition: &Definition,
    listing: &Listing<'_>,
) -> Result<Option<Step>, Refusal> {
    let digest = definition.digest();
    let text = definition.to_json().canonical();
    let known = listing.candidates.iter().any(|c| c.tool == tool && c.digest == digest);
    if known || text.len() > MAX_CANDIDATE_BYTES {
        return Ok(None);
    }
    let pin = listing.pins.iter().find(|p| p.tool == tool);
    let step = Step::new(moment, &installation.org, Kind::ToolChanged)?
        .about(|s| s.tool = Some(tool.to_string()))
        .with("tool", &tool)
        .with("server", tool.server())
        .with("pinned", pin.map(|pin| Json::from(pin.digest)))
        .with("found", digest);
    let row = Candidate { tool, digest, definition: text, seen: moment.now() };
    Ok(Some(step.row(Row::Candidate(row))))
}

/// One tool with what is held of it.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The tool.
    pub tool: &'a ToolId,
    /// Its pin.
    pub pin: Option<&'a Pin>,
    /// What waits for a person.
    pub candidate: Option<&'a Candidate>,
    /// The tools of every tool server.
    pub neighbours: &'a Neighbours,
}

/// A person accepts the definition with this digest: the one that waits, or
/// the pinned one again, which dismisses the one that waits. The entry names the person.
///
/// # Errors
/// [`Refusal::Unknown`] for a tool of which nothing is held,
/// [`Refusal::DefinitionMoved`] when another definition is held by now,
/// [`Refusal::DefinitionUnreadable`].
pub fn accept(
    moment: &Moment<'_>,
    installation: &Installation,
    held: Held<'_>,
    digest: &Digest,
    by: &Administrator,
) -> Result<Plan<Pin>, Refusal> {
    let Held { tool, pin, candidate, neighbours } = held;
    let text = match (candidate, pin) {
        (Some(candidate), _) if candidate.digest == *digest => &candidate.definition,
        (None, Some(pin)) if pin.digest == *digest && pin.status == PinStatus::Pinned => {
            return Ok(Plan::nothing(pin.clone()));
        }
        // The pinned one, again: what waits beside it is dismissed.
        (_, Some(pin)) if pin.digest == *digest => &pin.definition,
        (None, None) => return Err(Refusal::unknown("tool", tool)),
        _ => return Err(Refusal::DefinitionMoved { tool: tool.clone() }),
    };
    let definition = kept(tool, text)?;
    // SECURITY: the digest is recomputed; what is pinned is what was shown.
    if definition.digest() != *digest {
        return Err(Refusal::DefinitionUnreadable { tool: tool.clone() });
    }
    let flags = flags(neighbours, pin, tool, &definition);
    let (step, row) = pinned(moment, installation, tool.clone(), &definition, pin, &flags)?;
    Ok(Plan::one(signed_by(by, step), row))
}

/// A person withdraws a tool's pin: calls are denied until it is accepted.
///
/// # Errors
/// [`Refusal::Unknown`] without a pin, [`Refusal::ReasonForm`].
pub fn quarantine(
    moment: &Moment<'_>,
    installation: &Installation,
    held: Held<'_>,
    reason: &str,
    by: &Administrator,
) -> Result<Plan<()>, Refusal> {
    let Some(pin) = held.pin else { return Err(Refusal::unknown("pinned tool", held.tool)) };
    crate::rules::revocations::check_reason(reason)?;
    if pin.status == PinStatus::Changed {
        return Ok(Plan::nothing(()));
    }
    let step = Step::new(moment, &installation.org, Kind::ToolQuarantined)?
        .about(|s| {
            s.tool = Some(held.tool.to_string());
            s.reason = Some(reason.to_owned());
        })
        .with("tool", held.tool)
        .with("server", held.tool.server())
        .with("digest", pin.digest)
        .row(Row::PinStatus { tool: held.tool.clone(), status: PinStatus::Changed });
    Ok(Plan::one(signed_by(by, step), ()))
}

/// The same step, with who decided.
fn signed_by(by: &Administrator, step: Step) -> Step {
    match by {
        Administrator::OnHost => step.with("by", "operator"),
        Administrator::SignedIn(person) => step.with("by", "person").with("session_of", person),
    }
}
