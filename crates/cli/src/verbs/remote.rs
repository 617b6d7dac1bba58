//! `--at URL`: the same verbs at an authority elsewhere, over its API, as the
//! person who signed in.

use std::path::Path;

use bailiwick_core::json::{Json, Object};
use reqwest::Method;

use super::login::Login;
use super::principal::read_public;
use crate::args::{
    AgentVerb, ClientVerb, DelegationVerb, GrantVerb, HandoffVerb, InstanceVerb, PrincipalVerb,
    RevokeArgs, RunArgs, Verb,
};
use crate::error::CliError;
use crate::keyfile;
use crate::output::{Output, pretty};
use crate::table::table;

/// One call, and how its answer is shown.
struct Call {
    method: Method,
    path: String,
    body: Option<Object>,
    shown: Shown,
}

enum Shown {
    /// What was done, in words.
    Done(String),
    /// One thing.
    Thing,
    /// The list under this member, by these columns.
    List(&'static str, &'static [&'static str]),
}

fn get(path: impl Into<String>, shown: Shown) -> Call {
    Call { method: Method::GET, path: path.into(), body: None, shown }
}

fn post(path: impl Into<String>, body: Object, shown: Shown) -> Call {
    Call { method: Method::POST, path: path.into(), body: Some(body), shown }
}

pub(super) fn run(
    verb: Verb,
    at: &str,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    let call = call(verb)?;
    let login = Login::read(at, logins)?;
    let body = call.body.map(Json::from);
    let answer = login.call(call.method, &format!("/api/v1{}", call.path), body.as_ref())?;
    let text = match call.shown {
        Shown::Done(words) => words,
        Shown::Thing => pretty(&Json::from(answer.clone())),
        Shown::List(member, columns) => listed(&answer, member, columns),
    };
    out.result(answer, text);
    Ok(())
}

/// Whether a verb can be done elsewhere at all.
pub(super) fn is_offered(verb: &Verb) -> bool {
    match verb {
        Verb::Agent(_)
        | Verb::Approvals(_)
        | Verb::Client(_)
        | Verb::Failure(_)
        | Verb::Grant(_)
        | Verb::Metrics(_)
        | Verb::Handoff(HandoffVerb::List { .. } | HandoffVerb::Show { .. })
        | Verb::Peers
        | Verb::Requests(_)
        | Verb::Run(RunArgs { of: Some(_), .. })
        | Verb::Resume(_)
        | Verb::Runs(_)
        | Verb::Stop(_)
        | Verb::Autonomy(_)
        | Verb::Stops(_) => true,
        Verb::Principal(verb) => !matches!(
            verb,
            PrincipalVerb::Login { .. }
                | PrincipalVerb::Key { .. }
                | PrincipalVerb::Passkey(_)
                | PrincipalVerb::Recover { .. }
        ),
        Verb::Delegation(verb) => matches!(verb, DelegationVerb::List { .. }),
        Verb::Instance(verb) => matches!(verb, InstanceVerb::Invite { .. }),
        Verb::Revoke(args) => ["grant", "delegation"].contains(&args.kind.as_str()),
        _ => false,
    }
}

fn listed(answer: &Object, member: &str, columns: &[&str]) -> String {
    let items = answer.member(member).and_then(Json::as_array).unwrap_or_default();
    let cell = |item: &Object, name: &str| match item.member(name) {
        Some(Json::String(text)) => text.escape_debug().to_string(),
        Some(Json::Array(items)) => {
            items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" ")
        }
        None | Some(Json::Null) => "–".to_owned(),
        Some(other) => other.to_string(),
    };
    let rows: Vec<Vec<String>> = items
        .iter()
        .filter_map(Json::as_object)
        .map(|item| columns.iter().map(|name| cell(item, name)).collect())
        .collect();
    if rows.is_empty() { format!("no {member}") } else { table(columns, &rows) }
}

/// A name as one segment of a path.
fn segment(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn local(what: &str) -> CliError {
    CliError::usage(
        "not-at",
        format!("{what} works on a data dir, not with --at"),
        "leave --at out, or see `/openapi.json` for what the API offers",
    )
}

fn call(verb: Verb) -> Result<Call, CliError> {
    Ok(match verb {
        Verb::Agent(verb) => agent(verb)?,
        Verb::Client(verb) => client(verb)?,
        Verb::Principal(verb) => principal(verb)?,
        Verb::Grant(GrantVerb::List { principal }) => {
            let query = principal.map(|p| format!("?principal={}", segment(&p)));
            let shown = Shown::List("grants", &["grant", "agent", "state", "not_after"]);
            get(format!("/grants{}", query.unwrap_or_default()), shown)
        }
        Verb::Grant(GrantVerb::Show { id }) => {
            get(format!("/grants/{}", segment(&id)), Shown::Thing)
        }
        Verb::Delegation(DelegationVerb::List { grant }) => {
            let shown = Shown::List("roots", &["root", "form", "issued", "expires", "state"]);
            get(format!("/grants/{}", segment(&grant)), shown)
        }
        Verb::Instance(InstanceVerb::Invite { agent }) => {
            post(format!("/agents/{}/invitations", segment(&agent)), Object::new(), Shown::Thing)
        }
        Verb::Revoke(args) => revoke(&args)?,
        _ => return Err(local("this verb")),
    })
}

fn status(path: &str, id: &str, status: &str) -> Call {
    let body = Object::new().with("status", status);
    post(format!("/{path}/{}/status", segment(id)), body, Shown::Done(format!("{id} is {status}")))
}

fn agent(verb: AgentVerb) -> Result<Call, CliError> {
    Ok(match verb {
        AgentVerb::Add { id, owner, publisher, version_label, artifact } => {
            let mut body = Object::new().with("agent", id).with("owner", owner);
            let said =
                [("publisher", publisher), ("version", version_label), ("artifact", artifact)];
            for (name, value) in said {
                if let Some(value) = value {
                    body.insert(name, value);
                }
            }
            post("/agents", body, Shown::Thing)
        }
        AgentVerb::List => {
            get("/agents", Shown::List("agents", &["agent", "owner", "status", "version"]))
        }
        AgentVerb::Suspend { id } => status("agents", &id, "suspended"),
        AgentVerb::Resume { id } => status("agents", &id, "active"),
        AgentVerb::Retire { id } => status("agents", &id, "retired"),
        AgentVerb::Transfer { id, to } => {
            let body = Object::new().with("owner", to);
            post(format!("/agents/{}/owner", segment(&id)), body, Shown::Thing)
        }
    })
}

fn client(verb: ClientVerb) -> Result<Call, CliError> {
    Ok(match verb {
        ClientVerb::Add { metadata, agent } => {
            let mut body = Object::new().with("metadata", keyfile::read_json(&metadata)?);
            if let Some(agent) = agent {
                body.insert("agent", agent);
            }
            post("/clients", body, Shown::Thing)
        }
        ClientVerb::Map { id, agent } => {
            let body = Object::new().with("agent", agent.as_str());
            let done = Shown::Done(format!("{id} is {agent} from now on"));
            post(format!("/clients/{}/agent", segment(&id)), body, done)
        }
        ClientVerb::List => get(
            "/clients",
            Shown::List("clients", &["client_id", "name", "agent", "status", "source"]),
        ),
        ClientVerb::Suspend { id } => status("clients", &id, "suspended"),
        ClientVerb::Resume { id } => status("clients", &id, "active"),
        ClientVerb::Retire { id } => status("clients", &id, "retired"),
    })
}

fn principal(verb: PrincipalVerb) -> Result<Call, CliError> {
    Ok(match verb {
        PrincipalVerb::Add { id, jwk: Some(path), role, .. } if role.is_empty() => {
            let body = Object::new().with("principal", id).with("jwk", read_public(&path)?);
            post("/principals", body, Shown::Thing)
        }
        PrincipalVerb::Add { id, key: None, passkey: true, provider: None, role, .. }
            if role.is_empty() =>
        {
            post("/principals", Object::new().with("principal", id), Shown::Thing)
        }
        // The providers stand in the configuration, which is on that host.
        PrincipalVerb::Login { .. } => return Err(local("`principal login`")),
        PrincipalVerb::Key { .. } => return Err(local("`principal key`")),
        PrincipalVerb::Offboard { id, agents_to, reason } => {
            let mut body = Object::new().with("reason", reason);
            if let Some(to) = agents_to {
                body.insert("agents_to", to);
            }
            post(format!("/principals/{}/offboard", segment(&id)), body, Shown::Thing)
        }
        PrincipalVerb::Passkey(_) => return Err(local("`principal passkey`")),
        PrincipalVerb::Recover { .. } => return Err(local("`principal recover`")),
        PrincipalVerb::Link { id } => {
            post(format!("/principals/{}/links", segment(&id)), Object::new(), Shown::Thing)
        }
        PrincipalVerb::Role { id, role, remove } => {
            let body = Object::new().with("role", role.as_str()).with("held", !remove);
            let said = if remove { "is no longer" } else { "is" };
            let done = Shown::Done(format!("{id} {said} {role}"));
            post(format!("/principals/{}/roles", segment(&id)), body, done)
        }
        PrincipalVerb::List => get(
            "/principals",
            Shown::List("principals", &["principal", "status", "roles", "alias"]),
        ),
        PrincipalVerb::Suspend { id } => status("principals", &id, "suspended"),
        PrincipalVerb::Resume { id } => status("principals", &id, "active"),
        PrincipalVerb::Retire { id } => status("principals", &id, "retired"),
        PrincipalVerb::Add { .. } => {
            return Err(CliError::usage(
                "not-at",
                "with --at a principal is added with --passkey or --jwk, and without a role",
                "add it so, then use `principal link` and `principal role`",
            ));
        }
    })
}

fn revoke(args: &RevokeArgs) -> Result<Call, CliError> {
    let path = match (args.kind.as_str(), &args.id) {
        ("grant", Some(id)) => format!("/grants/{}/revoke", segment(id)),
        ("delegation", Some(id)) => format!("/delegations/{}/revoke", segment(id)),
        _ => return Err(local("revoking this")),
    };
    let done = Shown::Done("revoked; every gateway denies from now on".to_owned());
    Ok(post(path, Object::new(), done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("agent:support-runner"), "agent:support-runner");
        assert_eq!(segment("https://c.example/o?x=%2e"), "https:%2F%2Fc.example%2Fo%3Fx%3D%252e");
        assert_eq!(segment("../é"), "..%2F%C3%A9");
    }
}
