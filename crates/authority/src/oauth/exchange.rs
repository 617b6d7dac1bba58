//! The decision of a token exchange (RFC 8693): what may be issued to whom.
//!
//! Everything that it rests on was verified before and stands in the
//! arguments. Authority only shrinks: what is issued is covered by the subject
//! token, the grant, the client's restriction, the principal's present
//! ceiling and the organisation's policy, each of them a [`Bound`]. What was
//! asked for and is not covered is refused by name; what was not asked for is
//! narrowed to what all of them allow.
//!
//! Inner actors of the subject token are informational (RFC 8693 §4.1): here
//! they are only ever a reason to deny.

use std::collections::BTreeSet;

use bailiwick_core::accountable::budget_beyond;
use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::ids::{AgentId, GrantId, PrincipalId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;

use super::resource::Resource;
use super::token::TokenType;

mod refusal;
pub use refusal::ExchangeRefusal;

/// Seconds that a bearer token lives at most (DESIGN rule 1).
const MAX_BEARER_SECONDS: i64 = 300;

/// Actors that a subject token may tell of, the current one among them.
pub const MAX_ACTORS: usize = 8;

/// Which part of the authority behind an exchange sets a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// How far authority reaches whose principal is absent.
    Absence,
    /// What the principal may delegate at present.
    Ceiling,
    /// What the client restricts itself to.
    Client,
    /// What the principal consented to.
    Grant,
    /// The organisation's and the workflow's rules.
    Policy,
    /// The subject token.
    Subject,
}

impl Part {
    /// Its name in a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absence => "principal's absence",
            Self::Ceiling => "principal's ceiling",
            Self::Client => "client's registration",
            Self::Grant => "grant",
            Self::Policy => "workflow",
            Self::Subject => "subject token",
        }
    }
}

/// What one part allows; what is absent it does not bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Which part.
    pub part: Part,
    /// Tools and arguments.
    pub scope: Option<Scope>,
    /// The latest end.
    pub not_after: Option<Timestamp>,
    /// The largest depth.
    pub max_depth: Option<u64>,
    /// Budget members; empty for none.
    pub budget: Object,
}

impl Bound {
    /// A part that bounds nothing yet.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, scope: None, not_after: None, max_depth: None, budget: Object::new() }
    }
}

/// What a verified subject token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// On whose behalf.
    pub principal: PrincipalId,
    /// The agents that it lets act: the names of `may_act`, and of its current
    /// actor.
    pub may_act: Vec<AgentId>,
    /// Its actors, the current one first, as it nests them.
    pub actors: Vec<String>,
}

/// A verified actor: the instance whose identity token was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Its agent.
    pub agent: AgentId,
    /// Its holder key.
    pub holder: Thumbprint,
    /// Its identity key, which the identity token names.
    pub identity: Thumbprint,
}

/// The grant on record under which something is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: GrantId,
    /// Who granted.
    pub principal: PrincipalId,
    /// Who may act.
    pub agent: AgentId,
    /// From when.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Whether it was ended or revoked.
    pub ended: bool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The kind of token.
    pub kind: TokenType,
    /// Where it is to be used.
    pub resource: Option<Resource>,
    /// The scope, if it was said.
    pub scope: Option<Scope>,
    /// The end, if it was said.
    pub not_after: Option<Timestamp>,
    /// The depth, if it was said.
    pub max_depth: Option<u64>,
    /// Budget members.
    pub budget: Object,
    /// The holder key of the delegation, if it was said.
    pub holder: Option<Thumbprint>,
}

/// Everything that the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Now.
    pub now: Timestamp,
    /// The verified subject token.
    pub subject: &'a Subject,
    /// The verified actor token.
    pub actor: &'a Actor,
    /// The agent to which the authenticated client is mapped.
    pub client_agent: Option<&'a AgentId>,
    /// The key with which the client authenticated, if it did with one.
    pub client_key: Option<Thumbprint>,
    /// The key of the DPoP proof, if there is one.
    pub proof_key: Option<Thumbprint>,
    /// The grant for this principal and agent.
    pub grant: Option<&'a Standing>,
    /// What bounds the outcome.
    pub bounds: &'a [Bound],
    /// Tools that the workflow lists for bearer clients (DESIGN rule 1).
    pub bearer_tools: &'a BTreeSet<ToolId>,
    /// What is asked for.
    pub asked: &'a Asked,
}

/// What is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// An access token bound to a key.
    Bound {
        /// The key.
        key: Thumbprint,
    },
    /// An access token that whoever holds it may use.
    Bearer,
    /// A root for the instance's holder key.
    Root,
}

/// What may be issued.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The kind of token.
    pub output: Output,
    /// Where it may be used.
    pub resource: Resource,
    /// What it permits.
    pub scope: Scope,
    /// Its end.
    pub not_after: Timestamp,
    /// How deep it may be delegated further.
    pub max_depth: u64,
    /// Budget members.
    pub budget: Object,
}

/// Decides what is issued.
///
/// # Errors
/// The first thing that stands in the way.
pub fn decide(exchange: &Exchange<'_>) -> Result<Granted, ExchangeRefusal> {
    one_party(exchange)?;
    may_act(exchange.subject, exchange.actor)?;
    let grant = standing(exchange)?;
    let (output, resource) = output(exchange)?;
    let scope = scope(exchange, &resource)?;
    if output == Output::Bearer {
        let listed = |tool: &str| {
            ToolId::parse(tool).is_ok_and(|tool| exchange.bearer_tools.contains(&tool))
        };
        if let Some((tool, _)) = scope.tools().find(|(tool, _)| !listed(tool)) {
            return Err(ExchangeRefusal::BearerTool { tool: tool.to_owned() });
        }
    }
    let max_depth = max_depth(exchange, output)?;
    let budget = budget(exchange)?;
    let not_after = not_after(exchange, grant, output);
    if not_after <= exchange.now {
        return Err(ExchangeRefusal::GrantNotStanding);
    }
    Ok(Granted { output, resource, scope, not_after, max_depth, budget })
}

/// Client, actor token and proof are one and the same instance's: a strong
/// subject token must not be paired with somebody else's actor token.
fn one_party(exchange: &Exchange<'_>) -> Result<(), ExchangeRefusal> {
    let actor = exchange.actor;
    let Some(agent) = exchange.client_agent else {
        return Err(ExchangeRefusal::ClientUnmapped);
    };
    if *agent != actor.agent {
        return Err(ExchangeRefusal::ClientOtherAgent { agent: actor.agent.clone() });
    }
    // Its enrolment binds both keys to the one instance.
    let own = |key: Thumbprint| key == actor.identity || key == actor.holder;
    if exchange.client_key.is_some_and(|key| !own(key)) {
        return Err(ExchangeRefusal::KeyOther);
    }
    if exchange.proof_key.is_some_and(|key| !own(key)) {
        return Err(ExchangeRefusal::ProofOther);
    }
    if exchange.asked.holder.is_some_and(|key| key != actor.holder) {
        return Err(ExchangeRefusal::HolderOther);
    }
    Ok(())
}

fn may_act(subject: &Subject, actor: &Actor) -> Result<(), ExchangeRefusal> {
    let found = subject.actors.len();
    if found > MAX_ACTORS {
        return Err(ExchangeRefusal::ActorsTooDeep { found });
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = subject.actors.iter().find(|a| !seen.insert(a.as_str())) {
        return Err(ExchangeRefusal::ActorsCyclic { actor: twice.clone() });
    }
    // An earlier actor that acts again would close a cycle; the current one
    // only goes on.
    let earlier = subject.actors.get(1..).unwrap_or_default();
    if let Some(again) = earlier.iter().find(|a| a.as_str() == actor.agent.as_str()) {
        return Err(ExchangeRefusal::ActorsCyclic { actor: again.clone() });
    }
    if !subject.may_act.contains(&actor.agent) {
        return Err(ExchangeRefusal::ActorNotPermitted { agent: actor.agent.clone() });
    }
    Ok(())
}

fn standing<'a>(exchange: &Exchange<'a>) -> Result<&'a Standing, ExchangeRefusal> {
    let Some(grant) = exchange.grant else { return Err(ExchangeRefusal::GrantMissing) };
    if grant.principal != exchange.subject.principal {
        return Err(ExchangeRefusal::GrantOther { party: "principal", token: "subject" });
    }
    if grant.agent != exchange.actor.agent {
        return Err(ExchangeRefusal::GrantOther { party: "agent", token: "actor" });
    }
    let stands = !grant.ended && grant.not_before <= exchange.now && exchange.now < grant.not_after;
    if stands { Ok(grant) } else { Err(ExchangeRefusal::GrantNotStanding) }
}

/// The kind of token and its one audience.
fn output(exchange: &Exchange<'_>) -> Result<(Output, Resource), ExchangeRefusal> {
    let asked = exchange.asked;
    match (asked.kind, &asked.resource) {
        (TokenType::Delegation, None | Some(Resource::Gateway)) => match exchange.proof_key {
            Some(_) => Ok((Output::Root, Resource::Gateway)),
            None => Err(ExchangeRefusal::ProofMissing),
        },
        (TokenType::Delegation, Some(Resource::Server(_))) => {
            let expected = "a delegation is for the gateway as a whole, whose audience is `/mcp`";
            Err(ExchangeRefusal::Target { expected })
        }
        (_, Some(resource @ Resource::Server(_))) => {
            let output = exchange.proof_key.map_or(Output::Bearer, |key| Output::Bound { key });
            Ok((output, resource.clone()))
        }
        (_, None | Some(Resource::Gateway)) => {
            let expected = "an access token is for one tool server; name its `resource`";
            Err(ExchangeRefusal::Target { expected })
        }
    }
}

fn scope(exchange: &Exchange<'_>, resource: &Resource) -> Result<Scope, ExchangeRefusal> {
    let here = |scope: &Scope| match resource.server() {
        None => scope.clone(),
        Some(server) => {
            let entries = scope.tools().filter(|(tool, _)| {
                ToolId::parse(tool).is_ok_and(|tool| tool.server() == server.as_str())
            });
            let entries = entries.map(|(tool, rules)| (tool.to_owned(), rules.clone()));
            // Tools of a scope stand there once.
            Scope::from_entries(entries).unwrap_or_default()
        }
    };
    let bounds = exchange.bounds.iter().filter_map(|b| Some((b.part, b.scope.as_ref()?)));
    let mut emptied = None;
    let scope = match &exchange.asked.scope {
        Some(asked) => {
            let asked = here(asked);
            for (part, bound) in bounds {
                bound.covers(&asked).map_err(|widening| ExchangeRefusal::Beyond {
                    what: format!("scope ({widening})"),
                    part,
                })?;
            }
            asked
        }
        None => {
            let met = bounds.fold(None, |met: Option<Scope>, (part, bound)| {
                let here = here(bound);
                let met = met.map_or(here.clone(), |met| met.meet(&here));
                if met.is_empty() {
                    emptied.get_or_insert(part);
                }
                Some(met)
            });
            met.unwrap_or_default()
        }
    };
    if scope.is_empty() {
        let resource = resource.server().map(ToString::to_string);
        return Err(ExchangeRefusal::Nothing { part: emptied, resource });
    }
    Ok(scope)
}

fn max_depth(exchange: &Exchange<'_>, output: Output) -> Result<u64, ExchangeRefusal> {
    let limits = || exchange.bounds.iter().filter_map(|b| Some((b.part, b.max_depth?)));
    match exchange.asked.max_depth {
        // Nothing is derived from an access token.
        _ if output != Output::Root => Ok(0),
        Some(asked) => match limits().find(|(_, max)| asked > *max) {
            Some((part, max)) => {
                let what = format!("depth {asked} (at most {max})");
                Err(ExchangeRefusal::Beyond { what, part })
            }
            None => Ok(asked),
        },
        None => Ok(limits().map(|(_, max)| max).min().unwrap_or(0)),
    }
}

/// The smallest of every member, those of the request among them.
fn budget(exchange: &Exchange<'_>) -> Result<Object, ExchangeRefusal> {
    let mut met = Object::new();
    for bound in exchange.bounds {
        if let Some(member) = budget_beyond(&bound.budget, &exchange.asked.budget) {
            let what = format!("budget's `{member}`");
            return Err(ExchangeRefusal::Beyond { what, part: bound.part });
        }
        lower(&mut met, &bound.budget);
    }
    lower(&mut met, &exchange.asked.budget);
    Ok(met)
}

fn lower(met: &mut Object, with: &Object) {
    let number = |json: &Json| json.as_number().and_then(|n| n.as_plain_integer());
    for (member, value) in with.iter() {
        let present = met.member(member).and_then(number);
        if present.is_none_or(|present| number(value).is_some_and(|value| value < present)) {
            met.insert(member, value.clone());
        }
    }
}

/// The earliest of every end: asking for more time than there is gives what
/// there is, and `expires_in` says so.
fn not_after(exchange: &Exchange<'_>, grant: &Standing, output: Output) -> Timestamp {
    let bounds = exchange.bounds.iter().filter_map(|b| b.not_after);
    let bearer = (output == Output::Bearer).then(|| exchange.now.plus_seconds(MAX_BEARER_SECONDS));
    bounds
        .chain(exchange.asked.not_after)
        .chain(bearer)
        .fold(grant.not_after, |earliest, end| earliest.min(end))
}

#[cfg(test)]
mod tests;
