//! From records to what pages show.

use bailiwick_core::grant::Statement;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Agent, Client, Grant, StoreError, Stored, StoredEntry, Subject, View};
use url::Url;

use super::failure::map_command;
use super::{Failure, Inner, Me};
use crate::console::{AgentLine, ClientCard, ClientLine, EntryLine, GrantLine, Moment, Text};
use crate::http::standing;
use crate::refusal::Refusal;
use crate::{Asking, Named, Origin};

/// Who asks.
pub(super) fn client_card(asking: &Asking) -> ClientCard {
    let (request, client) = match &asking.origin {
        Origin::Client { request, client } => (request, client),
        Origin::Agent { request } => {
            return ClientCard {
                name: Text::of(asking.agent.as_str()),
                id: Text::of(request.as_str()),
                returns_to: Text::of("the agent, when it asks again"),
                is_local: false,
            };
        }
    };
    let url = Url::parse(&request.redirect_uri).ok();
    let host = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    let local = ["127.0.0.1", "[::1]", "localhost"];
    let is_web = url.as_ref().is_some_and(|url| matches!(url.scheme(), "https" | "http"));
    let is_local =
        !is_web || url.as_ref().and_then(Url::host_str).is_some_and(|host| local.contains(&host));
    let id = &client.id;
    let name = if client.name.is_empty() { id } else { &client.name };
    ClientCard {
        name: Text::short(name, 120),
        id: Text::of(id),
        returns_to: Text::of(host.filter(|_| is_web).unwrap_or_else(|| {
            let scheme = url.as_ref().map_or("", Url::scheme);
            format!("the program for {scheme}: on this device")
        })),
        is_local,
    }
}

pub(super) fn statement_of(text: &str) -> Option<Statement> {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    Statement::from_json(&json).ok()
}

/// A grant with its purpose, while that is kept.
pub(super) fn grant_line(
    view: &View<'_>,
    grant: &Stored<Grant>,
    now: Timestamp,
) -> Result<(GrantLine, Option<Statement>), StoreError> {
    let statement = view.grant_texts(&grant.id)?.and_then(|(text, _)| statement_of(&text));
    let workflow = view.task(&grant.task)?.map(|task| task.row.workflow);
    let line = GrantLine {
        id: grant.id.to_string(),
        agent: Text::of(grant.agent.as_str()),
        purpose: statement.as_ref().map(|s| Text::short(&s.purpose, 300)),
        workflow: workflow.map(|w| Text::of(w.as_str())).unwrap_or_default(),
        until: Moment::of(grant.expires),
        standing: standing::of_grant(view, grant, now)?,
    };
    Ok((line, statement))
}

pub(super) fn agent_line(view: &View<'_>, agent: &Stored<Agent>) -> Result<AgentLine, StoreError> {
    let owner = view.principal_by_alias(&agent.owner)?.and_then(|p| p.row.id);
    let instances = view.instances(Some(&agent.id))?;
    let active =
        |i: &&Stored<bailiwick_store::Instance>| i.status == bailiwick_store::Status::Active;
    let subject = [Subject::Agent { id: agent.id.clone() }];
    Ok(AgentLine {
        id: Text::of(agent.id.as_str()),
        path: format!("/agents/{}", agent.id),
        owner: owner.map(|id| Text::of(id.as_str())),
        status: agent.status,
        revoked: view.is_revoked(&subject)?.is_some(),
        stopped: view.stopped(&[StopTarget::Agent(agent.id.clone())])?.is_some(),
        publisher: agent.publisher.as_ref().map(Text::of),
        version: agent.version.as_ref().map(Text::of),
        instances: instances.iter().filter(active).count(),
    })
}

pub(super) fn client_line(client: &Client) -> ClientLine {
    use bailiwick_store::ClientSource;
    let json = Json::parse(client.metadata.as_bytes(), &JsonLimits::DEFAULT).ok();
    let redirects = json.as_ref().and_then(|json| {
        let list = json.as_object()?.member("redirect_uris")?.as_array()?;
        Some(list.iter().filter_map(Json::as_str).map(Text::of).collect())
    });
    let host = Url::parse(&client.id).ok().and_then(|url| url.host_str().map(str::to_owned));
    let name = if client.name.is_empty() { &client.id } else { &client.name };
    ClientLine {
        id: Text::of(&client.id),
        name: Text::short(name, 120),
        origin: match client.source {
            ClientSource::Configured => Text::of("registered by an operator"),
            ClientSource::Document => {
                Text::of(format!("its document at {}", host.unwrap_or_default()))
            }
            ClientSource::Dynamic => Text::of("registered itself"),
        },
        redirects: redirects.unwrap_or_default(),
        since: Some(Moment::of(client.registered)),
        agent: client.agent.as_ref().map(|agent| Text::of(agent.as_str())),
        command: Text::of(map_command(&client.id)),
    }
}

pub(super) fn entry_line(entry: &StoredEntry) -> EntryLine {
    let s = &entry.subjects;
    let about = [&s.tool, &s.grant, &s.task, &s.workflow, &s.instance];
    EntryLine {
        index: entry.index,
        id: entry.id.to_string(),
        time: Moment::of(entry.time),
        what: words(&entry.kind),
        kind: entry.kind.clone(),
        agent: s.agent.as_ref().map(Text::of),
        about: about.into_iter().flatten().next().map(Text::of),
        decision: s.decision.clone(),
        reason: s.reason.as_ref().map(Text::of),
    }
}

/// A kind in words: `tool_server.added` → `Tool server added`.
pub(super) fn words(kind: &str) -> String {
    let said = match Kind::parse(kind) {
        Some(Kind::ActionDecided) => "call decided",
        Some(Kind::ActionCompleted) => "call completed",
        Some(Kind::Revoked) => "taken back",
        Some(Kind::PrincipalInvited) => "passkey link made",
        Some(Kind::ResumeSigned) => "resuming signed",
        Some(Kind::InstanceInvited) => "enrolment token made",
        _ => "",
    };
    let text = if said.is_empty() { kind.replace(['.', '_'], " ") } else { said.to_owned() };
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| format!("{}{}", c.to_uppercase(), chars.as_str()))
}

/// What is said of a name that there is not: an answer of nothing would read as good
/// news.
pub(super) fn nobody_knows(cx: &Inner, me: &Me, named: &Named) -> Result<Option<Text>, Failure> {
    match cx.authority.check_names(Some(&me.person), named) {
        Ok(()) => Ok(None),
        Err(Refusal::Unknown { what, near, .. }) => Ok(Some(Text::of(match near.first() {
            Some(near) => format!("There is no such {what}. Did you mean {near}?"),
            None => format!("There is no such {what}."),
        }))),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_said_in_words() {
        for (kind, said) in [
            ("action.decided", "Call decided"),
            ("tool_server.added", "Tool server added"),
            ("revoked", "Taken back"),
            ("something.new", "Something new"),
        ] {
            assert_eq!(words(kind), said);
        }
    }
}
