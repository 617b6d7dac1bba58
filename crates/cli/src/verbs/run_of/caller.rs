//! Calls about a run, made through the gateway as an agent makes them.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_demo::agent::{CallOutcome, DirectCaller, Outcome, Presenter as _};

use crate::address;
use crate::args::RunCallsArgs;
use crate::chainfile::ChainFile;
use crate::error::CliError;
use crate::keyfile::InstanceKeys;
use crate::output::{Output, one_line};
use crate::presenter::ChainPresenter;
use crate::verbs::call::warn;

/// Answers are larger than requests.
const LIMITS: JsonLimits = JsonLimits { max_bytes: 64 << 20, max_depth: 96, max_values: 5_000_000 };
const DECISION: &str = "io.bailiwick/decision";

/// Whoever makes the calls.
pub(super) struct Caller {
    gateway: String,
    root: Digest,
    presenter: ChainPresenter,
    out: Output,
}

/// What became of a call.
pub(super) enum Made {
    /// It was allowed and went well.
    Well {
        /// The call.
        action: String,
        /// Its result as the tool server gave it.
        result: Json,
    },
    /// It did not.
    Not {
        /// `denied`, `failed` or `unknown`: only a denial means that nothing was done.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl Caller {
    /// None, if no chain was given.
    pub(super) fn of(args: &RunCallsArgs, out: Output) -> Result<Option<Self>, CliError> {
        let (Some(chain), Some(key)) = (&args.chain, &args.key) else { return Ok(None) };
        let (chain, keys) = (ChainFile::read(chain)?, InstanceKeys::read(key)?);
        let given = args.url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let gateway = given.unwrap_or_else(|| chain.audience.trim_end_matches("/mcp").to_owned());
        warn(&format!("{gateway}/mcp"), &chain, &keys, out)?;
        let root = chain.chain.first().map(String::as_str).unwrap_or_default();
        // As `par_hash` has it: of what is signed.
        let root = sha256(root.rsplit_once('.').map_or(root, |(signed, _)| signed).as_bytes());
        let presenter = ChainPresenter::new(chain, keys.holder)?;
        Ok(Some(Self { gateway, root, presenter, out }))
    }

    /// By which delegation the calls are made: its root's token hash.
    pub(super) const fn root(&self) -> Digest {
        self.root
    }

    /// Makes one call.
    pub(super) async fn call(&self, tool: &ToolId, arguments: &Object) -> Result<Made, CliError> {
        let name = tool.as_str().strip_prefix(&format!("mcp:{}:tools/", tool.server()));
        let Some(name) = name else {
            return Ok(Made::Not {
                what: "denied",
                why: format!("`{tool}` is no MCP tool: make the call with `bailiwick call`"),
            });
        };
        let url = format!("{}/mcp/{}", self.gateway, tool.server());
        address::endpoint(&url)?;
        let malformed =
            |e: String| CliError::usage("presentation", e, "check the chain and the key");
        let arguments = serde_json::from_str(&Json::from(arguments.clone()).canonical())
            .map_err(|e| malformed(e.to_string()))?;
        let presented = self
            .presenter
            .for_call(tool.as_str(), &arguments)
            .map_err(|e| malformed(e.to_string()))?;
        let caller = DirectCaller::new(&url)
            .map_err(|e| CliError::environment("http-client", e.to_string(), "check the URL"))?;
        self.out.note(&format!("calling {tool}"));
        let (outcome, text) = caller.call_tool_with_text(name, &arguments, Some(&presented)).await;
        Ok(made(outcome, &text))
    }
}

fn made(outcome: CallOutcome, text: &str) -> Made {
    let (what, why) = match outcome {
        Outcome::Allowed(_) => match told(text) {
            Some((action, result)) => return Made::Well { action, result },
            None => ("unknown", "the answer names no decision".to_owned()),
        },
        Outcome::ToolError(_) => ("failed", "the tool answered with an error".to_owned()),
        Outcome::Denied(d) => {
            let again = d.retry_at.map(|at| format!("; again from {at}")).unwrap_or_default();
            ("denied", format!("{} [{}]; {}{again}", d.reason, d.code, d.remedy))
        }
        Outcome::RpcError { message, .. } => ("failed", message),
        Outcome::Transport { reason } => ("unknown", reason),
        _ => ("unknown", "the answer is not understood".to_owned()),
    };
    Made::Not { what, why: one_line(&why) }
}

/// The decision that an answer names, and the result without it: as the tool server
/// gave it, byte for byte in canonical form.
fn told(text: &str) -> Option<(String, Json)> {
    let answer = Json::parse(text.as_bytes(), &LIMITS).ok()?;
    let mut result = answer.as_object()?.member("result")?.as_object()?.clone();
    let mut meta = result.member("_meta")?.as_object()?.clone();
    let action = meta.member(DECISION)?.as_object()?.member("id")?.as_str()?.to_owned();
    meta.remove(DECISION);
    result.remove("_meta");
    if !meta.is_empty() {
        result.insert("_meta", meta);
    }
    Some((action, result.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_shown_as_the_tool_server_gave_it() {
        let (action, result) = told(
            r#"{"id":1,"jsonrpc":"2.0","result":{"_meta":{"io.bailiwick/decision":{"id":"a-1"}},"content":[],"n":1.0}}"#,
        )
        .unwrap();
        assert_eq!(
            (action.as_str(), result.canonical().as_str()),
            ("a-1", r#"{"content":[],"n":1}"#)
        );
        let (_, result) = told(
            r#"{"result":{"_meta":{"io.bailiwick/decision":{"id":"a-1"},"own":2},"content":[]}}"#,
        )
        .unwrap();
        assert_eq!(result.canonical(), r#"{"_meta":{"own":2},"content":[]}"#);
        assert!(told(r#"{"result":{"content":[]}}"#).is_none());
    }
}
