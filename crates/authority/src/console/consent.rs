//! Consent: one grant, in plain words, before it is signed.
//!
//! The page is made from the very [`Statement`] whose digest is signed; what it
//! says beside that (ratings, provenance, the client) helps to decide and is
//! not part of the grant.

use askama::Template;
use bailiwick_core::accountable::{BudgetMember, BudgetWindow, Counted};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::base64url;
use bailiwick_core::grant::{GrantError, Statement};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::{ArgumentRules, Scope};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::catalogue::{Catalogue, Rating};
use bailiwick_policy::expand::describe;
use bailiwick_policy::grades::{Effect, Risk};

use super::{Frame, Moment, Provider, Text};

/// The agent that would act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCard {
    /// Its name.
    pub id: Text,
    /// Who answers for it.
    pub owner: Option<Text>,
    /// Who publishes it.
    pub publisher: Option<Text>,
    /// Its version.
    pub version: Option<Text>,
    /// The digest of what is run.
    pub artifact: Option<String>,
}

/// The client that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCard {
    /// The name that it gives itself.
    pub name: Text,
    /// Its id.
    pub id: Text,
    /// The host that the answer goes to.
    pub returns_to: Text,
    /// Whether that is this machine: any program on it could be listening.
    pub is_local: bool,
}

/// One argument of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: Text,
    /// What it may be, in words.
    pub words: Text,
    /// Whether it may be left out.
    pub optional: bool,
}

/// Our rating of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFacts {
    /// The risk.
    pub risk: Risk,
    /// Whether it changes anything.
    pub effect: Effect,
    /// Classes of data.
    pub data: Vec<Text>,
}

impl ToolFacts {
    /// From a rating.
    #[must_use]
    pub fn of(rating: &Rating) -> Self {
        Self {
            risk: rating.risk,
            effect: rating.effect,
            data: rating.data.iter().map(Text::of).collect(),
        }
    }

    /// What it does.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self.effect {
            Effect::Read => "reads",
            Effect::Write => "changes",
        }
    }

    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.risk {
            Risk::Low => "good",
            Risk::Medium => "warn",
            _ => "bad",
        }
    }
}

/// One tool and what its arguments may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCard {
    /// The tool's id as it is signed.
    pub id: String,
    /// Its id as shown.
    pub shown: Text,
    /// The tool's name.
    pub name: Text,
    /// The tool server.
    pub server: Text,
    /// Our rating, while the catalogue has it.
    pub facts: Option<ToolFacts>,
    /// The arguments with a rule.
    pub arguments: Vec<Argument>,
    /// Whether other arguments are free.
    pub is_open: bool,
}

impl ToolCard {
    /// The tools of a `tools` map, by id. `None` when a rule cannot be read.
    #[must_use]
    pub fn list(tools: &Object, catalogue: Option<&Catalogue>) -> Option<Vec<Self>> {
        let depth = ChainLimits::DEFAULT.max_constraint_depth;
        let scope = Scope::parse(tools, Dialect::Extended, depth).ok()?;
        let cards = scope.tools().map(|(tool, rules)| {
            let rating = ToolId::parse(tool).ok();
            let rating = rating.as_ref().and_then(|id| catalogue?.rating(id));
            Self::of(tool, rules, rating)
        });
        Some(cards.collect())
    }

    fn of(tool: &str, rules: &ArgumentRules, rating: Option<&Rating>) -> Self {
        let (server, name) = match ToolId::parse(tool) {
            Ok(id) => {
                let name = match id.operation() {
                    "resources/read" => "read a resource".to_owned(),
                    operation => match operation.strip_prefix("prompts/") {
                        Some(prompt) => format!("prompt {prompt}"),
                        None => operation.strip_prefix("tools/").unwrap_or(operation).to_owned(),
                    },
                };
                (Text::of(id.server()), Text::of(name))
            }
            Err(_) => (Text::default(), Text::of(tool)),
        };
        let arguments = rules
            .named()
            .map(|argument| Argument {
                name: Text::of(argument.name()),
                words: Text::of(describe(&argument.constraint().to_json())),
                optional: argument.is_optional(),
            })
            .collect();
        Self {
            id: tool.to_owned(),
            shown: Text::of(tool),
            name,
            server,
            facts: rating.map(ToolFacts::of),
            arguments,
            is_open: rules.is_open(),
        }
    }
}

/// One limit on what may be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The member of the budget.
    pub member: Text,
    /// In words.
    pub words: Text,
    /// Its value.
    pub value: String,
}

impl Limit {
    /// The members of a budget.
    #[must_use]
    pub fn list(budget: &Object) -> Vec<Self> {
        budget.iter().map(|(member, value)| Self::of(member, value)).collect()
    }

    fn of(member: &str, value: &Json) -> Self {
        let value = value.canonical();
        let read = BudgetMember::parse(member);
        let window = read.and_then(|m| m.window);
        let often = window.map(|w| format!(" {}", each(w))).unwrap_or_default();
        let words = match read.map(|m| m.counted) {
            Some(Counted::Calls) if window.is_none() => format!("at most {value} calls in all"),
            Some(Counted::Calls) => format!("at most {value} calls{often}"),
            Some(Counted::CallsOf { tool }) => format!("at most {value} calls of {tool}{often}"),
            Some(Counted::Sum { tool, argument }) => {
                format!("all {argument} of {tool} together at most {value}{often}")
            }
            None => format!("{member}: {value}"),
        };
        Self { member: Text::of(member), words: Text::of(words), value }
    }
}

/// How often a window comes, in words, exactly.
fn each(window: BudgetWindow) -> String {
    let seconds = window.seconds();
    let units = [(86_400, "a", "day"), (3600, "an", "hour"), (60, "a", "minute")];
    let unit = units.into_iter().find(|(length, ..)| seconds % length == 0);
    let (length, article, name) = unit.unwrap_or((1, "a", "second"));
    match seconds / length {
        1 => format!("{article} {name}"),
        n => format!("every {n} {name}s"),
    }
}

/// What the person can do to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Sign with one of these passkeys.
    Passkey {
        /// Their ids, base64url, separated by spaces.
        credentials: String,
        /// The relying party id.
        relying_party: String,
    },
    /// Prove again who they are first; the path leads there and back.
    SignInAgain {
        /// The path.
        path: String,
    },
    /// Sign by a fresh login at one of these providers.
    Provider {
        /// Where the person is known.
        providers: Vec<Provider>,
    },
    /// Nothing: there is no passkey and no login to sign with.
    Impossible,
}

/// `/consent/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// The frame.
    pub frame: Frame,
    /// The page's own path.
    pub path: String,
    /// Who grants.
    pub principal: Text,
    /// Who vouches for that name.
    pub principal_issuer: Text,
    /// The organisation.
    pub org: Text,
    /// The client that asks.
    pub client: ClientCard,
    /// The agent that would act.
    pub agent: AgentCard,
    /// The grant's id.
    pub grant: String,
    /// The task.
    pub task: Text,
    /// The purpose.
    pub purpose: Text,
    /// The workflow.
    pub workflow: Text,
    /// The version that is meant.
    pub workflow_digest: String,
    /// What was asked for.
    pub requested: Vec<Requested>,
    /// The tools.
    pub tools: Vec<ToolCard>,
    /// From when.
    pub from: Moment,
    /// Until when.
    pub until: Moment,
    /// How long that is.
    pub lasts: String,
    /// Shorter times to choose from, minutes.
    pub shorter: Vec<i64>,
    /// How deep it may be passed on.
    pub depth: u64,
    /// Budget.
    pub limits: Vec<Limit>,
    /// Calls in all, if that is limited.
    pub max_calls: Option<i64>,
    /// Where it may be used.
    pub audience: Vec<Text>,
    /// The digest, as people compare it.
    pub digest: String,
    /// The digest as the passkey signs it.
    pub challenge: String,
    /// The highest risk among the tools.
    pub risk: Option<Risk>,
    /// How to sign.
    pub signing: Signing,
    /// Whether this is a narrowed version.
    pub is_narrowed: bool,
    /// What was wrong with the last narrowing.
    pub notice: Option<String>,
    /// The request of the agent that it answers: the task is under way.
    pub answers: Option<String>,
}

/// One shorthand that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// As signed.
    pub value: String,
    /// As shown.
    pub shown: Text,
}

/// What the page says beside the statement.
#[derive(Clone, Debug)]
pub struct Beside<'a> {
    /// The frame.
    pub frame: Frame,
    /// The page's own path.
    pub path: String,
    /// The client.
    pub client: ClientCard,
    /// The agent's provenance.
    pub agent: AgentCard,
    /// The workflow's catalogue.
    pub catalogue: Option<&'a Catalogue>,
    /// How to sign.
    pub signing: Signing,
    /// Whether this is a narrowed version.
    pub is_narrowed: bool,
    /// What was wrong with the last narrowing.
    pub notice: Option<String>,
}

impl ConsentPage {
    /// The page for `statement`.
    ///
    /// # Errors
    /// [`GrantError::Member`] when a tool's rules cannot be read, because what
    /// cannot be shown must not be signed.
    pub fn of(statement: &Statement, beside: Beside<'_>) -> Result<Self, GrantError> {
        let tools = ToolCard::list(&statement.tools, beside.catalogue)
            .ok_or(GrantError::Member { member: "tools" })?;
        let seconds = statement.not_after.saturating_sub(statement.not_before);
        let digest = statement.digest();
        let max_calls = statement.budget.member("max_calls").and_then(Json::as_number);
        Ok(Self {
            frame: beside.frame,
            path: beside.path,
            principal: Text::of(statement.principal.as_str()),
            principal_issuer: Text::of(&statement.principal_issuer),
            org: Text::of(statement.org.as_str()),
            client: beside.client,
            // The name is the statement's: the card only adds to it.
            agent: AgentCard { id: Text::of(statement.agent.as_str()), ..beside.agent },
            grant: statement.id.to_string(),
            task: Text::of(statement.task.as_str()),
            purpose: Text::of(&statement.purpose),
            workflow: Text::of(statement.workflow.as_str()),
            workflow_digest: statement.workflow_digest.to_string(),
            requested: statement
                .requested
                .iter()
                .map(|r| Requested { value: r.clone(), shown: Text::of(r) })
                .collect(),
            risk: tools.iter().filter_map(|t| Some(t.facts.as_ref()?.risk)).max(),
            tools,
            from: Moment::of(Timestamp::from_seconds(statement.not_before)),
            until: Moment::of(Timestamp::from_seconds(statement.not_after)),
            lasts: duration(seconds),
            shorter: [5, 15, 30, 60, 240, 480]
                .into_iter()
                .filter(|minutes| minutes * 60 < seconds)
                .collect(),
            depth: statement.max_depth,
            limits: Limit::list(&statement.budget),
            max_calls: max_calls.and_then(|n| n.as_plain_integer()),
            audience: statement.audience.iter().map(Text::of).collect(),
            digest: digest.to_string(),
            challenge: base64url(digest.bytes()),
            signing: beside.signing,
            is_narrowed: beside.is_narrowed,
            notice: beside.notice,
            answers: statement.request.as_ref().map(ToString::to_string),
        })
    }

    /// How deep it may be passed on, in words.
    #[must_use]
    pub fn depth_words(&self) -> String {
        match self.depth {
            0 => "The agent may not pass this on to other agents.".to_owned(),
            1 => "The agent may pass on a part of this to other agents, who may not pass it on."
                .to_owned(),
            n => format!(
                "The agent may pass on a part of this to other agents, up to {n} hops in a row."
            ),
        }
    }

    /// The tool servers, each once.
    #[must_use]
    pub fn servers(&self) -> Vec<&Text> {
        let mut servers: Vec<&Text> = self.tools.iter().map(|t| &t.server).collect();
        servers.dedup();
        servers
    }

    /// How many of the tools change something.
    #[must_use]
    pub fn changing(&self) -> usize {
        let writes = |t: &&ToolCard| t.facts.as_ref().is_none_or(|f| f.effect == Effect::Write);
        self.tools.iter().filter(writes).count()
    }
}

/// Seconds in words, rounded down to minutes above a minute.
pub(crate) fn duration(seconds: i64) -> String {
    let unit = |n: i64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    match (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60) {
        (0, 0, 0) => unit(seconds, "second"),
        (0, 0, minutes) => unit(minutes, "minute"),
        (0, hours, 0) => unit(hours, "hour"),
        (0, hours, minutes) => format!("{} {}", unit(hours, "hour"), unit(minutes, "minute")),
        (days, 0, _) => unit(days, "day"),
        (days, hours, _) => format!("{} {}", unit(days, "day"), unit(hours, "hour")),
    }
}

/// One workflow that a client's request could be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowChoice {
    /// Its name.
    pub id: Text,
    /// What it is for.
    pub purpose: Text,
    /// Its shorthands that the client asked for, or all.
    pub shorthands: Vec<Text>,
    /// How long a grant may last, in words.
    pub lasts: String,
    /// Whether it is chosen.
    pub checked: bool,
}

/// `/consent/{id}` before there is a statement: the client only said a scope.
#[derive(Clone, Debug, Template)]
#[template(path = "choose_task.html")]
pub struct ChooseTaskPage {
    /// The frame.
    pub frame: Frame,
    /// The page's own path.
    pub path: String,
    /// The client that asks.
    pub client: ClientCard,
    /// The agent that would act.
    pub agent: AgentCard,
    /// The scope that it asked for.
    pub scope: Text,
    /// The workflows that list the agent.
    pub workflows: Vec<WorkflowChoice>,
    /// What was typed before.
    pub purpose: Text,
    /// What was wrong with it.
    pub notice: Option<String>,
}

impl WorkflowChoice {
    /// The choice for a workflow.
    #[must_use]
    pub fn of(workflow: &bailiwick_policy::Workflow, checked: bool) -> Self {
        let seconds = i64::try_from(workflow.window_seconds).unwrap_or(i64::MAX);
        Self {
            id: Text::of(workflow.id.as_str()),
            purpose: Text::of(&workflow.purpose),
            shorthands: workflow.shorthands.iter().map(|s| Text::of(s.template())).collect(),
            lasts: duration(seconds),
            checked,
        }
    }
}

#[cfg(test)]
mod tests;
