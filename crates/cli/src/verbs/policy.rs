//! `policy`: the organisation's policy.

use std::path::Path;
use std::process::ExitCode;

use bailiwick_authority::rules::policies::Published;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::ActionId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::bundle::About;
use bailiwick_policy::{Bundle, Policies};
use bailiwick_store::Place;

use crate::args::PolicyVerb;
use crate::bundle_dir;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;

mod explain;
mod replay;
mod test;

#[cfg(test)]
pub(crate) use replay::replayed;

pub(super) fn run(verb: PolicyVerb, dir: &Path, out: Output) -> Result<ExitCode, CliError> {
    match verb {
        PolicyVerb::Check { folder } => check(&folder, out)?,
        PolicyVerb::Publish { folder, .. } => {
            let bundle = folder.map_or_else(guardrails, |folder| bundle_dir::read(&folder))?;
            publish(bundle, dir, out)?;
        }
        PolicyVerb::Candidate { folder: Some(folder), .. } => {
            let bundle = bundle_dir::read(&folder)?;
            let published =
                DataDir::open(dir)?.authority.policy_publish(Place::Candidate, bundle)?;
            candidate(&published, out);
        }
        PolicyVerb::Candidate { folder: None, .. } => {
            candidate(&DataDir::open(dir)?.authority.policy_clear_candidate()?, out);
        }
        PolicyVerb::Show { digest, candidate, out: folder } => {
            let bundle = published(&DataDir::open(dir)?, digest.as_deref(), candidate)?;
            show(&bundle, folder.as_deref(), out)?;
        }
        PolicyVerb::List => list(&DataDir::open(dir)?, out)?,
        PolicyVerb::Explain { action: Some(action), .. } => {
            explain::past(&DataDir::open(dir)?, &ActionId::parse(&action)?, out)?;
        }
        PolicyVerb::Explain { action: None, call, bundle } => {
            let call = explain::described(call.as_deref().unwrap_or(Path::new("-")))?;
            let policies = match bundle {
                Some(folder) => Policies::enforcing(bundle_dir::read(&folder)?),
                None => DataDir::open(dir)?.authority.policies()?,
            };
            explain::call(&call, &policies, out);
        }
        PolicyVerb::Test { folder } => return test::run(&folder, out),
        PolicyVerb::Replay { folder, since, limit } => {
            let since = super::audit::time(since.as_deref())?;
            replay::run(&DataDir::open(dir)?, &folder, since, limit, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The guardrails of this release.
pub(crate) fn guardrails() -> Result<Bundle, CliError> {
    Bundle::guardrails()
        .map_err(|problems| bundle_dir::invalid(Path::new("the shipped guardrails"), &problems))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A bundle in a few words.
fn summary(bundle: &Bundle) -> Object {
    Object::new()
        .with("digest", bundle.digest())
        .with("files", count(bundle.files().len()))
        .with("policies", count(bundle.policies().len()))
        .with("unscoped", count(bundle.unscoped()))
}

fn check(folder: &Path, out: Output) -> Result<(), CliError> {
    let bundle = bundle_dir::read(folder)?;
    let text = format!(
        "the bundle is valid\n  digest    {}\n  policies  {} in {} files; {} of them are asked about every call",
        bundle.digest(),
        bundle.policies().len(),
        bundle.files().len(),
        bundle.unscoped(),
    );
    out.result(summary(&bundle), text);
    let folder = folder.display();
    out.next(&[
        &format!("bailiwick policy candidate {folder}   # try it: recorded, never decides"),
        &format!("bailiwick policy publish {folder}"),
    ]);
    Ok(())
}

fn publish(bundle: Bundle, dir: &Path, out: Output) -> Result<(), CliError> {
    let object = summary(&bundle);
    let (digest, policies) = (bundle.digest(), bundle.policies().len());
    let published = DataDir::open(dir)?.authority.policy_publish(Place::Enforced, bundle)?;
    let text = match (published.changed(), published.before) {
        (false, _) => "this policy is in force already".to_owned(),
        (true, None) => format!("policy {digest} is in force: {policies} policies"),
        (true, Some(before)) => {
            format!("policy {digest} is in force: {policies} policies; before it was {before}")
        }
    };
    let object = object.with("changed", published.changed()).with("before", published.before);
    out.result(object, text);
    if let (true, Some(before)) = (published.changed(), published.before) {
        out.next(&[&format!(
            "bailiwick policy show --digest {before} --out before   # and publish it to go back"
        )]);
    }
    Ok(())
}

fn candidate(published: &Published, out: Output) {
    let object = Object::new()
        .with("digest", published.digest)
        .with("changed", published.changed())
        .with("before", published.before);
    let text = match (published.changed(), published.digest) {
        (true, Some(digest)) => {
            format!("policy {digest} is tried: its answers are recorded and never decide")
        }
        (false, Some(_)) => "this policy is tried already".to_owned(),
        (true, None) => "no policy is tried any more".to_owned(),
        (false, None) => "no policy is tried".to_owned(),
    };
    out.result(object, text);
}

/// A bundle of the data dir.
fn published(data: &DataDir, digest: Option<&str>, candidate: bool) -> Result<Bundle, CliError> {
    if let Some(text) = digest {
        let digest = Digest::from_text(text).ok_or_else(|| {
            CliError::usage(
                "digest-malformed",
                format!("`{text}` is no digest"),
                "copy one from `bailiwick policy list`",
            )
        })?;
        return Ok(data.authority.policy_of(&digest)?);
    }
    let policies = data.authority.policies()?;
    let (found, what) = match candidate {
        false => (policies.enforced, "no policy is in force, so every call is denied"),
        true => (policies.candidate, "no policy is tried"),
    };
    found.map(|bundle| Bundle::clone(&bundle)).ok_or_else(|| none(what))
}

/// Nothing is published where something is asked for.
pub(super) fn none(what: &str) -> CliError {
    CliError::not_found("no-policy", what, "bailiwick policy publish --guardrails")
}

fn about(policy: &About) -> Json {
    Object::new()
        .with("id", policy.id.as_str())
        .with("does", policy.does.as_str())
        .with("reason", policy.reason.as_str())
        .with("file", policy.file.as_str())
        .with("line", count(policy.line))
        .into()
}

fn show(bundle: &Bundle, folder: Option<&Path>, out: Output) -> Result<(), CliError> {
    if let Some(folder) = folder {
        bundle_dir::write(bundle, folder)?;
        let object = summary(bundle).with("folder", folder.display().to_string());
        let text = format!("wrote policy {} to {}", bundle.digest(), folder.display());
        out.result(object, text);
        out.next(&[&format!("bailiwick policy check {}", folder.display())]);
        return Ok(());
    }
    let mut text = format!("policy {}", bundle.digest());
    for p in bundle.policies() {
        let (does, id) = (p.does.as_str(), &p.id);
        text.push_str(&format!("\n  {does:<9} {id}\n            {}", p.reason));
    }
    let policies: Vec<Json> = bundle.policies().map(about).collect();
    out.result(summary(bundle).with("policies", policies), text);
    Ok(())
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let history = data.authority.policy_history()?;
    let mut now = vec![Place::Enforced, Place::Candidate];
    let mut items = Vec::new();
    let mut lines = Vec::new();
    for row in &history {
        // Newest first: the first of each place is the one that counts.
        let counts = now.iter().position(|place| *place == row.place);
        let counts = counts.map(|at| now.remove(at)).is_some() && row.digest.is_some();
        let digest = row.digest.map_or_else(|| "none any more".to_owned(), |d| d.to_string());
        let (place, mark) = (row.place.as_str(), if counts { "*" } else { " " });
        lines.push(format!("{mark} {:<24} {place:<9} {digest}", row.published.to_string()));
        items.push(Json::from(
            Object::new()
                .with("place", place)
                .with("digest", row.digest)
                .with("published", row.published.to_string())
                .with("entry", &row.entry)
                .with("counts", counts),
        ));
    }
    if lines.is_empty() {
        lines.push("no policy was published, so every call is denied".to_owned());
    }
    out.result(Object::new().with("policies", items), lines.join("\n"));
    if history.is_empty() {
        out.next(&["bailiwick policy publish --guardrails"]);
    }
    Ok(())
}
