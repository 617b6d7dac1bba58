//! `call` to an operation of an HTTP API.

use std::process::ExitCode;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, Response, header};
use bailiwick_core::json::{Json, Object};

use super::{ANSWER_LIMITS, CallArgs, next_of_waiting, quoted, server_of, warn};
use crate::bridge::{Api, Door, Fault, NoCall, NoList, Way};
use crate::bridge::{DECISION, FAILED, OUTCOME};
use crate::chainfile::ChainFile;
use crate::error::{CliError, ended};
use crate::keyfile::InstanceKeys;
use crate::output::{Output, one_line};
use crate::presenter::ChainPresenter;
use crate::verbs::{connect, parse};

pub(super) async fn ask(args: &CallArgs, out: Output) -> Result<ExitCode, CliError> {
    if args.direct || args.stdin || args.save_presentation.is_some() || args.presentation.is_some()
    {
        return Err(CliError::usage(
            "not-for-apis",
            "--direct, --stdin and kept presentations are for MCP, and this is an HTTP API",
            "call the operation with --chain and --key alone",
        ));
    }
    let (Some(file), Some(key)) = (&args.chain, &args.key) else {
        return Err(CliError::usage(
            "no-chain",
            "an HTTP API is called with --chain and --key",
            "pass both",
        ));
    };
    let url = args.url.trim().trim_end_matches('/').to_owned();
    let (keys, chain) = (InstanceKeys::read(key)?, ChainFile::read(file)?);
    warn(&url, &chain, &keys, out)?;
    let presenter = Arc::new(ChainPresenter::new(chain, keys.holder)?);
    let server = connect::server_name(&url)?;
    let api = Api::new(Way { door: Arc::new(Door::url()?), url, server, presenter });
    let operations = match api.operations().await {
        Ok(operations) => operations,
        Err(NoList::Denied(answer)) => return shown(answer, out).await,
        Err(NoList::Fault(fault)) => return Err(unanswered(fault)),
    };
    let Some(name) = &args.tool else {
        let mut text = String::from("the delegation permits\n");
        for operation in operations.iter() {
            let said = operation.definition().member("description").and_then(Json::as_str);
            text.push_str(&format!("  {:<18} {}\n", operation.name(), said.unwrap_or_default()));
        }
        let names: Vec<Json> = operations.iter().map(|o| Json::from(o.name())).collect();
        out.result(Object::new().with("operations", names), text.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    let Some(operation) = operations.iter().find(|operation| operation.name() == name) else {
        return Err(CliError::not_found(
            "operation-unknown",
            format!("the delegation covers no operation `{name}` of {}", server_of(&args.url)),
            "name one of those that `call` lists without an operation",
        ));
    };
    match api.call(operation, &parse::arguments(&args.arguments)?).await {
        Ok(answer) => shown(answer, out).await,
        Err(NoCall::Fault(fault)) => Err(unanswered(fault)),
        Err(NoCall::Undescribed(why)) => Err(CliError::usage(
            why.code(),
            why.to_string(),
            "give the arguments that the operation's definition has",
        )),
    }
}

fn unanswered(fault: Fault) -> CliError {
    let (code, reason, remedy) = fault.words();
    CliError::environment(code, reason, remedy)
}

/// An answer of the API, or why there is none.
async fn shown(answer: Response<Body>, out: Output) -> Result<ExitCode, CliError> {
    let (head, body) = answer.into_parts();
    let text = |name: HeaderName| head.headers.get(name).and_then(|v| v.to_str().ok());
    let (decision, outcome, failed) = (text(DECISION), text(OUTCOME), text(FAILED));
    let media = text(header::CONTENT_TYPE);
    let body = to_bytes(body, ANSWER_LIMITS.max_bytes).await.map_err(|e| {
        CliError::environment(
            "answer",
            format!("the answer broke off: {e}"),
            "find out what happened before calling again",
        )
    })?;
    let read = Json::parse(&body, &ANSWER_LIMITS).ok();
    let allowed = outcome.is_some();
    let status = u64::from(head.status.as_u16());
    if !allowed || failed.is_some() {
        let member = |name: &str| read.as_ref()?.as_object()?.member(name)?.as_str();
        let Some(code) = member("code").filter(|_| decision.is_some() || failed.is_some()) else {
            return Err(CliError::environment(
                "gateway-answer",
                format!("what answers is no Bailiwick gateway: it says {status}"),
                "check the URL, such as https://gate.example.com/http/SERVER",
            ));
        };
        let (detail, remedy) =
            (member("detail").unwrap_or_default(), member("remedy").unwrap_or_default());
        let said = if allowed { "allowed, and the call failed" } else { "denied" };
        let mut lines = format!("{said}: {} [{}]", one_line(detail), one_line(code));
        lines.push_str(&format!("\n  try: {}", one_line(remedy)));
        if let Some(at) = member("retry_at") {
            lines.push_str(&format!("\n  again from {}", one_line(at)));
        }
        if let Some(id) = decision {
            lines.push_str(&format!("\n  decision {}", one_line(id)));
        }
        let object = Object::new()
            .with("decision", if allowed { "allow" } else { "deny" })
            .with("code", code)
            .with("message", detail)
            .with("remedy", remedy)
            .with("decision_id", decision)
            .with("outcome", outcome);
        let object = match member("retry_at") {
            Some(at) => object.with("retry_at", at),
            None => object,
        };
        let approval = || {
            let approval = read.as_ref()?.as_object()?.member("approval")?.as_object()?;
            approval.member("id")?.as_str()
        };
        out.result(object, lines);
        if let Some(id) = approval() {
            next_of_waiting(id, out);
        }
        return Ok(ended(false));
    }
    let plain = String::from_utf8_lossy(&body);
    let object = Object::new()
        .with("decision", "allow")
        .with("decision_id", decision)
        .with("status", status)
        .with("outcome", outcome)
        .with("content_type", media)
        .with("body", read.unwrap_or_else(|| Json::from(plain.as_ref())));
    out.result(object, format!("allowed; the API answered {status}\n{}", quoted(&plain)));
    if let Some(id) = decision {
        out.next(&[
            &format!("bailiwick audit show {id}"),
            &format!("bailiwick evidence get {id} -o evidence.json"),
        ]);
    }
    Ok(ExitCode::SUCCESS)
}
