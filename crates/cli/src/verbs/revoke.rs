//! `revoke`: take authority back.

use std::path::Path;

use bailiwick_authority::rules::revocations::Statement;
use bailiwick_authority::{DelegationRef, Target};
use bailiwick_core::aat::make::Seen;
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{
    AgentId, GrantId, InstanceId, PrincipalId, ServerName, TaskId, WorkflowId,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;

use crate::args::RevokeArgs;
use crate::chainfile::ChainFile;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile::PrincipalKey;
use crate::output::Output;
use crate::web;

pub(super) fn run(args: &RevokeArgs, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    let target = target(args)?;
    let code = reason_code(args)?;
    let detail = Some(args.reason.as_str());
    let taken = match &args.key {
        None => data.authority.revoke(&target, code, detail)?,
        Some(path) => {
            let key = PrincipalKey::read(path)?;
            let statement = Statement {
                audience: data.config.public_url(),
                principal: key.id.clone(),
                subject: data.authority.revocation_subject(&target)?,
                reason: code.to_owned(),
                made_at: host::now(),
            };
            let signed = statement.sign(&*key.key).map_err(web::signing)?;
            data.authority.revoke_signed(&target, &signed, detail)?
        }
    };
    let subjects: Vec<Json> = taken
        .subjects
        .iter()
        .map(|(subject, entry)| {
            Object::new()
                .with("kind", subject.kind())
                .with("key", subject.key())
                .with("entry", entry)
                .into()
        })
        .collect();
    let lines: Vec<String> =
        taken.subjects.iter().map(|(s, _)| format!("  {} {}", s.kind(), s.key())).collect();
    let head = if taken.changed { "revoked" } else { "was revoked before" };
    out.result(
        Object::new().with("changed", taken.changed).with("reason", code).with("revoked", subjects),
        format!("{head}\n{}\na running gateway denies from now on", lines.join("\n")),
    );
    Ok(())
}

/// The code that stands in the ledger, where anyone may read it. The words
/// may name people, so they lie beside it.
fn reason_code(args: &RevokeArgs) -> Result<&'static str, CliError> {
    if args.reason.trim().is_empty() {
        return Err(CliError::usage(
            "reason-empty",
            "a revocation needs a reason in words",
            "pass --reason 'why'",
        ));
    }
    Ok(if args.key.is_some() { "withdrawn-by-principal" } else { "withdrawn-by-operator" })
}

fn target(args: &RevokeArgs) -> Result<Target, CliError> {
    if args.root.is_some() && args.kind != "holder-key" {
        return Err(CliError::usage(
            "argument-surplus",
            format!("--root is for a holder key, not for a {}", args.kind),
            "leave --root out",
        ));
    }
    if args.kind == "delegation" {
        if let Some(path) = &args.chain {
            let tokens = ChainFile::read(path)?.chain;
            return Ok(Target::Delegation(DelegationRef::Tokens(tokens)));
        }
        return Ok(Target::Delegation(DelegationRef::Hash(token_hash(id(args)?)?)));
    }
    if args.kind == "holder-key" {
        return holder_key(args);
    }
    if args.chain.is_some() {
        return Err(CliError::usage(
            "argument-surplus",
            format!("--chain names no {}", args.kind),
            "name it after the kind",
        ));
    }
    let id = id(args)?;
    Ok(match args.kind.as_str() {
        "grant" => Target::Grant(GrantId::parse(id)?),
        "instance" => Target::Instance(InstanceId::parse(id)?),
        "agent" => Target::Agent(AgentId::parse(id)?),
        "principal" => Target::Principal(PrincipalId::parse(id)?),
        "task" => Target::Task(TaskId::parse(id)?),
        "workflow" => Target::Workflow(WorkflowId::parse(id)?),
        _ => Target::ToolServer(ServerName::parse(id)?),
    })
}

/// A holder's key under one root: whatever it holds there ends, also what is
/// derived for it later.
fn holder_key(args: &RevokeArgs) -> Result<Target, CliError> {
    if let Some(path) = &args.chain {
        let chain = ChainFile::read(path)?;
        let limits = ChainLimits::DEFAULT;
        let root = chain.chain.first().map_or("", String::as_str);
        return Ok(Target::HolderKey {
            holder: Seen::parse(chain.leaf(), &limits)?.holder.thumbprint(),
            root: Seen::parse(root, &limits)?.hash,
        });
    }
    let id = id(args)?;
    let holder = Thumbprint::from_text(id).ok_or_else(|| {
        CliError::usage(
            "thumbprint-malformed",
            format!("`{id}` is no thumbprint of a key"),
            "pass the `holder` that `bailiwick instance list --json` shows, or --chain FILE",
        )
    })?;
    let root = args.root.as_deref().ok_or_else(|| {
        CliError::usage(
            "root-missing",
            "a holder key is revoked under one root",
            "pass --root HASH, or revoke the `instance` to end its keys everywhere",
        )
    })?;
    Ok(Target::HolderKey { holder, root: token_hash(root)? })
}

fn token_hash(text: &str) -> Result<Digest, CliError> {
    Digest::from_text(text).ok_or_else(|| {
        CliError::usage(
            "token-hash-malformed",
            format!("`{text}` is no token hash"),
            "pass the hash that `bailiwick inspect` shows, or --chain FILE",
        )
    })
}

fn id(args: &RevokeArgs) -> Result<&str, CliError> {
    args.id.as_deref().ok_or_else(|| {
        CliError::usage(
            "argument-missing",
            format!("which {}?", args.kind),
            "name it after the kind, or pass --chain for a delegation or holder key",
        )
    })
}
