//! `delegate --authority`: a principal with a key grants over the network, by a
//! signed request (RFC 7523 §2.1).

use bailiwick_authority::rules::delegations::Prepared;
use bailiwick_core::accountable::budget_beyond;
use bailiwick_core::crypto::base64url;
use bailiwick_core::grant::{AssertionClaims, Request, Statement};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::{attenuate, parse};
use crate::args::DelegateArgs;
use crate::chainfile::ChainFile;
use crate::error::CliError;
use crate::host;
use crate::keyfile::{self, PrincipalKey, Reserved};
use crate::output::{Output, one_line};
use crate::web;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Seconds for which the signed grant may be presented.
const ASSERTION_SECONDS: i64 = 60;

/// What a grant is asked for besides the request.
pub(super) struct Terms<'a> {
    pub(super) task: Option<&'a str>,
    /// As deep as the workflow lets, if absent.
    pub(super) max_depth: Option<u64>,
    pub(super) budget: &'a [String],
}

/// A grant that was signed and is in the ledger, with its first root.
pub(super) struct Granted {
    pub(super) statement: Statement,
    root: String,
}

pub(super) fn run(
    args: &DelegateArgs,
    authority: &str,
    key: &PrincipalKey,
    request: &Request,
    out: Output,
) -> Result<(), CliError> {
    let holder = match &args.to {
        Some(path) => Some(attenuate::next_holder(&keyfile::read_json(path)?)?.to_jwk()),
        None => None,
    };
    // Before anything is granted: a grant whose chain nobody holds helps nobody.
    let place = Reserved::new(&args.out)?;
    let terms =
        Terms { task: args.task.as_deref(), max_depth: args.max_depth, budget: &args.budget };
    let prepared = prepare(authority, key, request, &terms)?;
    let Granted { statement, root } = submit(authority, key, prepared, holder)?;
    let audience = statement.audience.first().cloned().unwrap_or_default();
    let chain = ChainFile { chain: vec![root], audience };
    place.write(&Json::Object(chain.to_json()).canonical())?;
    tell(args, authority, &statement, out);
    Ok(())
}

/// Signs a grant that was prepared as it was asked for, and gets its first root, for the key of
/// `holder` where one is named.
pub(super) fn submit(
    authority: &str,
    key: &PrincipalKey,
    prepared: Prepared,
    holder: Option<Object>,
) -> Result<Granted, CliError> {
    let holder = holder.map(|jwk| Json::from(Object::new().with("jwk", jwk)).canonical());
    let now = host::now();
    let jti = base64url(&host::random::<16>()?);
    let expires = now.plus_seconds(ASSERTION_SECONDS);
    let assertion = prepared
        .statement
        .sign_assertion(&AssertionClaims { jti: &jti, issued: now, expires }, &*key.key)
        .map_err(web::signing)?;
    let text = prepared.to_json().canonical();
    let mut pairs =
        vec![("grant_type", GRANT), ("assertion", assertion.as_str()), ("prepared", text.as_str())];
    pairs.extend(holder.as_deref().map(|holder| ("req_cnf", holder)));
    let answer = web::form(authority, "/token", &pairs, None)?;
    let root = answer.member("access_token").and_then(Json::as_str);
    let root = root.ok_or_else(|| web::unexpected("it has no delegation"))?.to_owned();
    Ok(Granted { statement: prepared.statement, root })
}

/// Has the grant prepared, in the principal's own name; refuses one that is not what was asked for.
pub(super) fn prepare(
    authority: &str,
    key: &PrincipalKey,
    request: &Request,
    terms: &Terms<'_>,
) -> Result<Prepared, CliError> {
    let scope: Vec<Json> = request.scope.iter().map(|s| Json::from(s.as_str())).collect();
    let left = request.expires_at.seconds().saturating_sub(host::now().seconds());
    let mut details = Object::new()
        .with("type", bailiwick_authority::oauth::details::TYPE)
        .with("agent", &request.agent)
        .with("purpose", request.purpose.as_str())
        .with("scope", scope)
        .with("expires_in", left);
    if let Some(depth) = terms.max_depth {
        details.insert("max_depth", depth);
    }
    let budget = parse::budget(terms.budget)?;
    if !budget.is_empty() {
        details.insert("budget", budget);
    }
    if let Some(workflow) = &request.workflow {
        details.insert("workflow", workflow);
    }
    if let Some(task) = terms.task {
        details.insert("task", task);
    }
    let details = Json::Array(vec![details.into()]).canonical();
    let assertion = web::client_assertion(authority, key.id.as_str(), &*key.key)?;
    let pairs = [
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion.as_str()),
        ("authorization_details", details.as_str()),
    ];
    let answer = web::form(authority, "/prepare", &pairs, None)?;
    let prepared = Prepared::from_json(&answer.into())?;
    is_asked(&prepared.statement, terms, authority, request, host::now())?;
    Ok(prepared)
}

/// SECURITY: what is signed has the parties, shorthands, window, depth and budget
/// that were asked for, or less, whatever the authority answered. What the
/// shorthands stand for is the workflow's, which is the authority's word.
fn is_asked(
    statement: &Statement,
    terms: &Terms<'_>,
    authority: &str,
    request: &Request,
    now: Timestamp,
) -> Result<(), CliError> {
    let asked = |what: &str, holds: bool| match holds {
        true => Ok(()),
        false => Err(web::unexpected(&format!("it is a grant with another {what}"))),
    };
    asked("principal", statement.principal == request.principal)?;
    asked("authority", statement.principal_issuer == authority)?;
    asked("agent", statement.agent == request.agent)?;
    asked("purpose", statement.purpose == request.purpose)?;
    asked("scope", statement.requested == request.scope)?;
    asked("gateway", statement.audience == [format!("{authority}/mcp")])?;
    let begins = statement.not_before.saturating_sub(now.seconds());
    asked("begin", begins.abs() <= 60)?;
    asked("task", terms.task.is_none_or(|task| statement.task.as_str() == task))?;
    asked("depth", terms.max_depth.is_none_or(|depth| statement.max_depth <= depth))?;
    let workflow = request.workflow.as_ref();
    asked("workflow", workflow.is_none_or(|workflow| *workflow == statement.workflow))?;
    // The two clocks may differ by a little.
    let end = request.expires_at.plus_seconds(60).seconds();
    asked("end", statement.not_after <= end)?;
    let wanted = parse::budget(terms.budget)?;
    let kept = wanted.iter().all(|(member, _)| statement.budget.member(member).is_some());
    asked("budget", kept && budget_beyond(&wanted, &statement.budget).is_none())
}

fn tell(args: &DelegateArgs, authority: &str, statement: &Statement, out: Output) {
    let file = args.out.display().to_string();
    let tools: Vec<&str> = statement.tools.iter().map(|(tool, _)| tool).collect();
    let object = Object::new()
        .with("chain", file.as_str())
        .with("grant", &statement.id)
        .with("grant_digest", statement.digest())
        .with("task", &statement.task)
        .with("agent", &statement.agent)
        .with("tools", statement.tools.clone())
        .with("not_after", Timestamp::from_seconds(statement.not_after).to_string());
    let text = format!(
        "{} delegates to {} for \"{}\"\n  task      {}\n  grant     {} (signed with {}'s own key)\n  until     {}\n  tools     {}\n  chain     {file}",
        statement.principal,
        statement.agent,
        one_line(&statement.purpose),
        statement.task,
        statement.id,
        statement.principal,
        Timestamp::from_seconds(statement.not_after),
        tools.join("\n            "),
    );
    out.result(object, text);
    out.next(&[
        &format!("bailiwick inspect {file}"),
        &format!(
            "bailiwick delegation renew --authority {authority} --key INSTANCE.key --grant {} --out chain.json --keep   # on the instance's host",
            statement.id
        ),
    ]);
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::sha256;
    use bailiwick_core::ids::{AgentId, GrantId, OrgId, PrincipalId, TaskId, WorkflowId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const URL: &str = "https://gate.example.com";

    fn request() -> Request {
        Request {
            principal: PrincipalId::parse("service:billing").unwrap(),
            agent: AgentId::parse("agent:runner").unwrap(),
            scope: vec!["orders:read".into()],
            expires_at: NOW.plus_seconds(900),
            purpose: "settle invoices".into(),
            workflow: Some(WorkflowId::parse("support-tickets").unwrap()),
        }
    }

    fn statement() -> Statement {
        Statement {
            id: GrantId::mint(NOW, [1; 10]),
            org: OrgId::parse("default").unwrap(),
            principal_issuer: URL.into(),
            principal: request().principal,
            agent: request().agent,
            task: TaskId::mint(NOW, [2; 10]),
            purpose: request().purpose,
            workflow: WorkflowId::parse("support-tickets").unwrap(),
            workflow_digest: sha256(b"w"),
            requested: request().scope,
            tools: Object::new(),
            not_before: NOW.seconds(),
            not_after: NOW.seconds() + 900,
            max_depth: 1,
            budget: Object::new().with("max_calls", 20u64),
            audience: vec![format!("{URL}/mcp")],
            salt: [3; 32],
            request: None,
        }
    }

    fn judged(change: impl FnOnce(&mut Statement)) -> Result<(), String> {
        let terms = Terms { task: None, max_depth: Some(1), budget: &["max_calls=20".to_owned()] };
        let mut statement = statement();
        change(&mut statement);
        is_asked(&statement, &terms, URL, &request(), NOW).map_err(|e| e.message)
    }

    #[test]
    fn nothing_is_signed_but_what_was_asked_for() {
        assert_eq!(judged(|_| {}), Ok(()));
        // Less is what was asked for as well.
        assert_eq!(judged(|s| s.not_after -= 60), Ok(()));
        assert_eq!(judged(|s| s.max_depth = 0), Ok(()));
        assert!(judged(|s| s.audience.push("https://other.example/mcp".into())).is_err());
        assert!(judged(|s| s.audience = vec!["https://other.example/mcp".into()]).is_err());
        assert!(judged(|s| s.not_before += 600).is_err());
        assert_eq!(judged(|s| s.budget.insert("max_calls", 1u64)), Ok(()));
        type Change = fn(&mut Statement);
        let changes: [(&str, Change); 10] = [
            ("principal", |s| s.principal = PrincipalId::parse("service:other").unwrap()),
            ("authority", |s| s.principal_issuer = "https://other.example".into()),
            ("agent", |s| s.agent = AgentId::parse("agent:other").unwrap()),
            ("purpose", |s| s.purpose = "everything".into()),
            ("scope", |s| s.requested.push("refund:1".into())),
            ("depth", |s| s.max_depth = 2),
            ("workflow", |s| s.workflow = WorkflowId::parse("other").unwrap()),
            ("end", |s| s.not_after += 120),
            ("budget", |s| s.budget.insert("max_calls", 21u64)),
            ("budget", |s| s.budget = Object::new()),
        ];
        for (what, change) in changes {
            let refused = judged(change).unwrap_err();
            assert!(refused.contains(what), "{what}: {refused}");
        }
    }
}
