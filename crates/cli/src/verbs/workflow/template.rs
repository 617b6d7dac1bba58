//! `workflow init`: a file to start from, with a remark on each member.

use std::path::Path;

use bailiwick_authority::ToolState;
use bailiwick_authority::rules::pins::kept;
use bailiwick_core::ids::{AgentId, PrincipalId, ServerName};
use bailiwick_core::json::Object;
use bailiwick_policy::catalogue::{Definition, DefinitionKind};
use bailiwick_policy::checklist::PLACEHOLDERS;

use crate::args::InitWorkflowArgs;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile::Reserved;
use crate::output::Output;
use crate::proposal::{self, Listed};
use crate::verbs::me;

/// The tool server of a file that knows none.
const EXAMPLE: &str = "  example:
    tools:
      look_up: {risk: low, effect: read, data: [record]}
      change: {risk: high, effect: write, data: [record]}
";
const EXAMPLE_SHORTHAND: &str = "  \"example:look_up\":
    tools:
      example/look_up: {id: {constraint_type: range, min: 1}}
";

/// What the file is about.
struct Subject {
    name: String,
    owner: PrincipalId,
    /// None: one named after the workflow.
    agents: Vec<AgentId>,
    servers: Vec<String>,
    /// Below `tool_servers`.
    ratings: String,
    /// Below `shorthands`.
    shorthands: String,
    /// How the file names one of its tools.
    tool: String,
}

pub(super) fn run(
    args: &InitWorkflowArgs,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    let file = args.out.as_deref();
    let owner = args.owner.as_deref().map(PrincipalId::parse).transpose()?;
    let agents = args.agents.iter().map(|agent| AgentId::parse(agent));
    let agents = agents.collect::<Result<Vec<_>, _>>()?;
    // Nothing is done for which there is no place.
    let reserved = file.map(Reserved::new).transpose()?;
    let subject = subject(&args.tool_servers, dir, logins)?;
    let owner = owner.unwrap_or(subject.owner);
    let subject = Subject { owner, agents, ..subject };
    let text = text(&subject);
    let path = file.map(|file| file.display().to_string());
    if let Some(reserved) = reserved {
        reserved.write(&text)?;
    }
    let object = Object::new()
        .with("workflow", subject.name.as_str())
        .with("tool_servers", subject.servers.iter().map(|s| s.as_str().into()).collect::<Vec<_>>())
        .with("file", path.as_deref())
        .with("text", text.as_str());
    match &path {
        Some(path) => {
            out.result(object, format!("wrote a workflow to start from to {path}"));
            out.next(&[&format!("bailiwick workflow check '{path}'   # once you rated the tools")]);
        }
        None => out.result(object, text.trim_end()),
    }
    Ok(())
}

fn subject(
    tool_servers: &[String],
    dir: &Path,
    logins: Option<&Path>,
) -> Result<Subject, CliError> {
    let owner = PrincipalId::parse("user:owner")?;
    let example = Subject {
        name: "example".to_owned(),
        owner: owner.clone(),
        agents: Vec::new(),
        servers: vec!["example".to_owned()],
        ratings: EXAMPLE.to_owned(),
        shorthands: EXAMPLE_SHORTHAND.to_owned(),
        tool: "example/change".to_owned(),
    };
    if tool_servers.is_empty() && !DataDir::is_there(dir) {
        return Ok(example);
    }
    let data = DataDir::open(dir)?;
    let owner = me::known(&data, logins).unwrap_or(owner);
    let servers = match tool_servers {
        [] => data.authority.tool_servers()?.into_iter().map(|s| s.row.name).collect(),
        named => named.iter().map(|n| ServerName::parse(n)).collect::<Result<Vec<_>, _>>()?,
    };
    let (mut ratings, mut shorthands) = (String::new(), String::new());
    let (mut names, mut tool) = (Vec::new(), None);
    for server in &servers {
        let pinned = accepted(&data, server)?;
        // An agent's operations are its card's, and a person lists those.
        let callable = |d: &&Definition| d.kind() != DefinitionKind::Prompt;
        let Some(first) = pinned.iter().find(callable) else {
            if tool_servers.is_empty() {
                continue;
            }
            return Err(CliError::not_found(
                "no-accepted-tool",
                format!("no tool of `{server}` is accepted"),
                "read its tools first: `bailiwick catalogue learn NAME --url URL`",
            ));
        };
        tool.get_or_insert(proposal::named(server, first));
        let listed = Listed {
            server,
            pinned: &pinned,
            waiting: Vec::new(),
            has_resources: false,
            reads: &[],
        };
        ratings.push_str(&proposal::ratings(&listed));
        shorthands.push_str(&proposal::shorthands(&listed).0);
        names.push(server.to_string());
    }
    let (Some(tool), Some(name)) = (tool, names.first().cloned()) else {
        return Ok(Subject { owner, ..example });
    };
    Ok(Subject { name, owner, agents: Vec::new(), servers: names, ratings, shorthands, tool })
}

/// The accepted definitions of a tool server, except an agent's card.
fn accepted(data: &DataDir, server: &ServerName) -> Result<Vec<Definition>, CliError> {
    let mut accepted = Vec::new();
    for tool in data.authority.catalogued()? {
        let own = tool.tool.server() == server.as_str() && tool.state() == ToolState::Pinned;
        if let (Some(pin), true) = (&tool.pin, own) {
            let definition = kept(&tool.tool, &pin.definition)?;
            let kinds = [DefinitionKind::Tool, DefinitionKind::Prompt, DefinitionKind::Operation];
            if kinds.contains(&definition.kind()) {
                accepted.push(definition);
            }
        }
    }
    Ok(accepted)
}

/// The file. From the checklist on, one `#` is taken away from each line that is taken
/// up: remarks have two.
fn text(subject: &Subject) -> String {
    let Subject { name, owner, agents, servers, ratings, shorthands, tool } = subject;
    let [purpose, says, undoes] = PLACEHOLDERS;
    let agents: String = match agents.as_slice() {
        [] => format!("  - agent:{name}-runner\n"),
        named => named.iter().map(|agent| format!("  - {agent}\n")).collect(),
    };
    let rules = shorthands.lines().any(|l| !l.trim().is_empty() && !l.trim().starts_with('#'));
    let shorthands = if rules {
        format!("shorthands:\n{}", shorthands.trim_end())
    } else {
        format!("shorthands: {{}}\n{}", shorthands.trim_end())
    };
    let servers = servers.join(", ");
    format!(
        r#"# A workflow: the checklist under which agents work. Nothing runs without one.
# `bailiwick workflow check FILE` says what is wrong with it, and what is missing.
workflow: {name}
version: "1"              # for people; the digest of what the file says names the version
owner: {owner}         # who answers for it
purpose: {purpose}

agents:                   # who may work under it
{agents}
# manual: a person approves every effect. supervised: effects of medium risk and
# above. bounded, autonomous: free within scope, window and budget. A level above
# manual is in force only with the whole checklist below.
level: manual
window_seconds: 3600      # the longest grant
max_depth: 1              # how often a delegation may be passed on

budget:                   # what one grant may spend
  max_calls: 100

# Rate every tool yourself: risk (low, medium, high, critical), effect (read, write),
# and the classes of data that it touches. Where a tool server knows everybody by one
# account, say whose data a tool touches: `personal: false` (nobody's own: whoever has
# the tool may see them all), or `resource: ARGUMENT`, such as `resource: ticket_id`: the
# argument that names whose they are, which a delegation must then fix.
tool_servers:
{ratings}
# What people may ask for, and the rule for each argument.
{shorthands}

## The checklist. From here on take one `#` away from every line that you take up, and
## make it say what is so; remarks have two, and keep one.
##
## Where agents may read: a read from any other tool server, or of another class of
## data, is denied.
#data_sources:
#  tool_servers: [{servers}]
#  classes: []
#  context: []
##
## When a run is complete, and what shows it: `self_report` and `self_check` (the
## agent's word), `{{tool: …}}` (the outcome of a call), `{{tool_check: …, arguments: …,
## expect: …}}` (a read of ours), `{{check: NAME}}` (a check that the server's
## configuration names), `review` (a person).
#completion:
#  - id: done
#    says: {says}
#    by: {{tool: {tool}}}
##
## Who looks at runs, and at which: `always`, `incomplete`, `{{every: 10}}`.
#review:
#  by: [owner]
#  when: incomplete
##
## How what was done is undone: `manual`, or a call
## (`{{tool: …, arguments: {{id: "{{argument:id}}"}}, undoes: …}}`).
#rollback:
#  - id: by-hand
#    says: {undoes}
#    how: manual
##
## How good its runs must be, and how many may fail before the level is lowered.
#evaluation:
#  targets:
#    task_success_rate: {{at_least: 0.9}}
#  window_days: 30
#  minimum_runs: 20
#  confidence_percent: 95
#  error_budget: {{failed_runs: 5, window_hours: 24}}
##
## Whether calls outside of a run are denied; `autonomous` needs it.
#runs: required
"#
    )
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::Workflow;
    use bailiwick_policy::grades::Level;

    use super::*;

    fn example() -> Subject {
        // There is no data dir, so the example is all that it knows.
        let nowhere = Path::new("/nonexistent/data");
        subject(&[], nowhere, None).unwrap_or_else(|e| panic!("{}", e.message))
    }

    fn read(text: &str) -> Workflow {
        Workflow::parse(text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
    }

    /// The file with every offered member taken up, as the file says: one `#` less.
    /// Editors that uncomment lines take a space away as well (`spaced`).
    fn taken_up(text: &str, spaced: bool) -> String {
        let (head, tail) = text.split_once("## The checklist.").unwrap();
        let line = |line: &str| {
            let less = line.strip_prefix('#').unwrap_or(line);
            let bare = less.strip_prefix(' ').filter(|_| spaced);
            bare.unwrap_or(less).to_owned() + "\n"
        };
        let tail: String = format!("## The checklist.{tail}").lines().map(line).collect();
        format!("{head}{tail}")
    }

    fn written(text: &str) -> String {
        let [purpose, says, undoes] = PLACEHOLDERS;
        text.replace(purpose, "Answer tickets.")
            .replace(says, "The ticket is answered.")
            .replace(undoes, "Somebody writes again.")
    }

    #[test]
    fn what_is_written_is_valid_and_leaves_every_effect_to_people() {
        let workflow = read(&text(&example()));
        assert_eq!((workflow.level, workflow.supports()), (Level::Manual, Level::Manual));
        assert_eq!(workflow.checklist, bailiwick_policy::checklist::Checklist::default());
    }

    #[test]
    fn every_offered_member_can_be_taken_up_and_then_carries_autonomy() {
        for spaced in [false, true] {
            let text = taken_up(&text(&example()), spaced);
            let workflow = read(&written(&text));
            assert_eq!(workflow.supports(), Level::Autonomous, "{:?}", workflow.missing());
            // What nobody wrote is missing.
            let members: Vec<_> = read(&text).missing().into_iter().map(|m| m.member).collect();
            assert_eq!(members, ["purpose", "completion.says", "rollback.says"]);
        }
    }

    #[test]
    fn owner_and_agents_are_those_that_were_named() {
        let owner = PrincipalId::parse("user:olga").unwrap();
        let agents = vec![AgentId::parse("agent:a").unwrap(), AgentId::parse("agent:b").unwrap()];
        let subject = Subject { owner: owner.clone(), agents: agents.clone(), ..example() };
        let workflow = read(&text(&subject));
        assert_eq!(workflow.owner, owner);
        assert_eq!(workflow.agents.into_iter().collect::<Vec<_>>(), agents);
    }
}
