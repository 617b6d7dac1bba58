//! From a client's request to a person's decision.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{AgentId, WorkflowId};
use bailiwick_core::json::Object;
use bailiwick_policy::grades::Risk;

use super::door::member;
use super::form::Form;
use super::views::client_card;
use super::{Asked, Failure, Inner, Me, Visit, json, page, see};
use crate::console::{
    AgentCard, Beside, ChooseTaskPage, ConsentPage, LeavePage, Signing, Text, WorkflowChoice,
};
use crate::oauth::client::ClientMetadata;
use crate::oauth::details::parse_scope;
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::parameters::Parameters;
use crate::oauth::request::{AuthorizationRequest, Context, Opening, RequestError};
use crate::people::sessions::Secret;
use crate::refusal::Refusal;
use crate::rules::delegations::Narrowing;
use crate::{Asking, ConsentError, Origin};

/// Seconds after a login within which `prompt=login` counts as met.
const JUST_NOW: i64 = 60;

pub(super) async fn authorize(visit: Visit) -> Response {
    let opened = Parameters::parse(visit.query())
        .and_then(|parameters| Ok((Opening::read(&parameters)?, parameters)));
    let (opening, parameters) = match opened {
        Ok(opened) => opened,
        Err(error) => return visit.run(|_, _| Err(Failure::Shown(error))).await,
    };
    let metadata = match visit.console.0.clients.metadata(&opening.client).await {
        Ok(Some(metadata)) => metadata,
        Ok(None) => {
            let client = opening.client.as_str().to_owned();
            return visit.run(|_, _| Err(Failure::Unmapped(client))).await;
        }
        Err(error) => return visit.run(|_, _| Err(Failure::Shown(error))).await,
    };
    visit.run(move |cx, asked| begin(cx, asked, &parameters, &opening, &metadata)).await
}

fn begin(
    cx: &Inner,
    asked: &Asked,
    parameters: &Parameters,
    opening: &Opening,
    client: &ClientMetadata,
) -> Result<Response, Failure> {
    let installation = cx.authority.installation();
    let issuer = installation.issuer.as_str();
    let servers = cx.authority.store().read(|view| view.tool_servers())?;
    let servers: Vec<_> = servers.into_iter().map(|server| server.row.name).collect();
    let context = Context { issuer, servers: &servers };
    let request = match AuthorizationRequest::parse(parameters, opening, client, &context) {
        Ok(request) => request,
        Err(RequestError::Shown(error)) => return Err(Failure::Shown(error)),
        Err(error) => {
            return error
                .location(issuer)
                .map(|location| see(&location))
                .ok_or_else(|| Failure::Shown(error.error().clone()));
        }
    };
    let refuse = |code, reason, text: &str| {
        Ok(see(&request.error_location(&OAuthError::new(code, reason, text), issuer)))
    };
    let Some(me) = cx.me(&asked.headers)? else {
        if request.prompt.none {
            return refuse(Code::LoginRequired, "login-required", "nobody is signed in");
        }
        return Err(Failure::NotSignedIn);
    };
    let age = cx.authority.host().now().millis_since(me.person.session.authenticated) / 1000;
    let oldest = match (request.prompt.login, request.max_age_seconds) {
        (true, Some(max)) => Some(max.min(JUST_NOW)),
        (true, None) => Some(JUST_NOW),
        (false, max) => max,
    };
    // A login just made is the newest there is, whatever was asked.
    if oldest.is_some_and(|oldest| age > oldest.max(JUST_NOW)) && !request.prompt.none {
        return Err(Failure::NotSignedIn);
    }
    if request.prompt.none {
        let text = "a grant is always shown to its person";
        return refuse(Code::InteractionRequired, "interaction-required", text);
    }
    match cx.authority.consent_begin(&me.person, &request) {
        Ok(secret) => Ok(see(&path(&secret))),
        Err(ConsentError::ToClient { error }) => Ok(see(&request.error_location(&error, issuer))),
        Err(other) => Err(other.into()),
    }
}

fn path(secret: &Secret) -> String {
    format!("/consent/{}", secret.reveal())
}

pub(super) fn secret(text: &str) -> Result<Secret, Failure> {
    Ok(Secret::parse(text).ok_or(Refusal::TicketGone { what: "request" })?)
}

/// What is known of the agent beside its name.
fn agent_card(cx: &Inner, id: &AgentId) -> Result<AgentCard, Failure> {
    let (agent, owner) = cx.authority.store().read(|view| {
        let agent = view.agent(id)?;
        let owner = match &agent {
            Some(agent) => view.principal_by_alias(&agent.owner)?,
            None => None,
        };
        Ok::<_, bailiwick_store::StoreError>((agent, owner))
    })?;
    let text = |text: Option<&String>| text.map(Text::of);
    let agent = agent.as_deref();
    Ok(AgentCard {
        id: Text::of(id.as_str()),
        owner: owner.and_then(|owner| owner.row.id).map(|id| Text::of(id.as_str())),
        publisher: text(agent.and_then(|a| a.publisher.as_ref())),
        version: text(agent.and_then(|a| a.version.as_ref())),
        artifact: agent.and_then(|a| a.artifact).map(|digest| digest.to_string()),
    })
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let secret = secret(&text)?;
            let asking = cx.authority.consent(&secret, &me.person)?;
            shown(cx, me, &secret, &asking, StatusCode::OK, None, &Form::parse(b""))
        })
        .await
}

/// The page of a request: the grant, or the question what it is for.
fn shown(
    cx: &Inner,
    me: &Me,
    secret: &Secret,
    asking: &Asking,
    status: StatusCode,
    notice: Option<String>,
    typed: &Form,
) -> Result<Response, Failure> {
    let workflows = cx.authority.workflows_of_agent(&asking.agent)?;
    let (client, agent) = (client_card(asking), agent_card(cx, &asking.agent)?);
    let frame = cx.frame(Some(me), None);
    let Some(prepared) = &asking.prepared else {
        // What an agent asks for says everything.
        let Origin::Client { request, .. } = &asking.origin else {
            return Err(Refusal::TicketGone { what: "request" }.into());
        };
        let wanted = request.delegation.workflow.as_ref();
        let choices: Vec<_> =
            workflows.iter().filter(|w| wanted.is_none_or(|wanted| w.id == *wanted)).collect();
        let typed_scope = typed.first("scope");
        let purpose = request.delegation.purpose.clone();
        let template = ChooseTaskPage {
            frame,
            path: path(secret),
            client,
            agent,
            scope: Text::of(if typed_scope.is_empty() {
                request.scope.join(" ")
            } else {
                typed_scope.to_owned()
            }),
            workflows: choices
                .iter()
                .map(|w| {
                    let chosen = typed.first("workflow") == w.id.as_str();
                    WorkflowChoice::of(w, chosen || choices.len() == 1)
                })
                .collect(),
            purpose: Text::of(if typed.first("purpose").is_empty() {
                purpose.unwrap_or_default()
            } else {
                typed.first("purpose").to_owned()
            }),
            notice,
        };
        return Ok(page(status, &template));
    };
    let statement = &prepared.statement;
    let catalogue = workflows.iter().find(|w| w.id == statement.workflow).map(|w| &w.catalogue);
    let beside = Beside {
        frame,
        path: path(secret),
        client,
        agent,
        catalogue,
        signing: Signing::Impossible,
        is_narrowed: asking.is_narrowed,
        notice,
    };
    let mut template = ConsentPage::of(statement, beside).map_err(Refusal::from)?;
    template.signing = signing(cx, me, &template.path, template.risk)?;
    Ok(page(status, &template))
}

fn signing(cx: &Inner, me: &Me, path: &str, risk: Option<Risk>) -> Result<Signing, Failure> {
    let own = cx.authority.passkeys(&me.person.principal.alias)?;
    let party = cx.passkeys.as_ref().ok().filter(|_| !own.is_empty());
    if party.is_none() {
        let providers = super::provider::signing(cx, me, path)?;
        // Such a signature is itself a fresh login, whatever the risk.
        if !providers.is_empty() {
            return Ok(Signing::Provider { providers });
        }
    }
    let now = cx.authority.host().now();
    // An unrated tool counts as above low; the service asks the same again.
    if risk != Some(Risk::Low) && me.person.session.check_fresh(now).is_err() {
        return Ok(Signing::SignInAgain { path: format!("/login?next={path}") });
    }
    Ok(party.map_or(Signing::Impossible, |party| Signing::Passkey {
        credentials: own.iter().map(|p| p.credential_id.as_str()).collect::<Vec<_>>().join(" "),
        relying_party: party.relying_party().to_owned(),
    }))
}

/// What was wrong with a form, shown on the page that it came from; everything
/// else is a page of its own.
fn again(
    cx: &Inner,
    me: &Me,
    secret: &Secret,
    error: ConsentError,
    typed: &Form,
) -> Result<Response, Failure> {
    match error {
        ConsentError::Refused(refusal)
            if !matches!(refusal, Refusal::TicketGone { .. } | Refusal::Store(_)) =>
        {
            let asking = cx.authority.consent(secret, &me.person)?;
            let notice = format!("{refusal}: {}.", refusal.remedy());
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            shown(cx, me, secret, &asking, status, Some(notice), typed)
        }
        other => Err(other.into()),
    }
}

pub(super) async fn choose(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let secret = secret(&text)?;
            let chosen = || {
                let workflow = form.first("workflow");
                let workflow = WorkflowId::parse(workflow)
                    .map_err(|_| Refusal::unknown("workflow", workflow))?;
                let purpose = form.first("purpose").trim();
                if purpose.is_empty() || purpose.len() > crate::rules::tasks::MAX_PURPOSE_BYTES {
                    return Err(Refusal::TaskMismatch { member: "purpose" }.into());
                }
                let scope = parse_scope(
                    &form.first("scope").split_whitespace().collect::<Vec<_>>().join(" "),
                )
                .map_err(|error| ConsentError::ToClient { error })?;
                cx.authority.consent_choose(&secret, &me.person, &workflow, purpose, scope)
            };
            match chosen() {
                Ok(next) => Ok(see(&path(&next))),
                Err(error) => again(cx, me, &secret, error, form),
            }
        })
        .await
}

pub(super) async fn narrow(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let secret = secret(&text)?;
            let bad = |()| Refusal::from(crate::rules::delegations::NarrowError::Form);
            let narrowed = || {
                let narrowing = Narrowing {
                    requested: form.all("requested"),
                    tools: form.all("tool"),
                    minutes: form.number("minutes").map_err(bad)?,
                    max_depth: form.number("max_depth").map_err(bad)?,
                    max_calls: form.number("max_calls").map_err(bad)?,
                };
                cx.authority.consent_narrow(&secret, &me.person, &narrowing)
            };
            match narrowed() {
                Ok(next) => Ok(see(&path(&next))),
                Err(error) => again(cx, me, &secret, error, form),
            }
        })
        .await
}

pub(super) async fn sign(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .script_signed_in(move |cx, me, _, sent| {
            let (secret, assertion) = (secret(&text)?, member(sent, "credential")?);
            let party = cx.passkeys()?;
            let location = cx.authority.consent_sign(party, &secret, &me.person, assertion)?;
            Ok(json(Object::new().with("location", location)))
        })
        .await
}

pub(super) async fn deny(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, _| {
            let secret = secret(&text)?;
            let asking = cx.authority.consent(&secret, &me.person)?;
            let url = cx.authority.by(&me.person).consent_deny(&secret, &me.person)?;
            if let Origin::Agent { .. } = asking.origin {
                return Ok(see(&url));
            }
            let client = client_card(&asking);
            let template = LeavePage {
                frame: cx.frame(Some(me), None),
                title: "You refused".to_owned(),
                client: client.name,
                host: client.returns_to,
                url,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}
