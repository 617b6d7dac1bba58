//! Asking for more: people decide. It changes nothing by itself.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::RequestId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use futures_util::future::BoxFuture;

use super::{Answered, Asker, Own, Refused};
use crate::gateway::Gateway;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// For authority.
    More {
        /// Shorthands of the task's workflow.
        scope: Vec<String>,
        /// Why, in the agent's words.
        reason: String,
        /// For how long at most.
        seconds: Option<u64>,
    },
    /// Where an earlier request stands.
    Stands(RequestId),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefusal {
    /// The task asks too often.
    #[error("the task asks for more authority too often")]
    Flood,
    /// Nobody could grant it.
    #[error("{text}")]
    Refused {
        /// Why, a stable code.
        code: &'static str,
        /// In a sentence, for the caller alone.
        text: String,
        /// What to do about it.
        remedy: String,
    },
    /// It is not this instance's, or not for this task.
    #[error("this instance has no such request for this task")]
    Unknown,
    /// It cannot be read or written.
    #[error("requests cannot be read or written now")]
    Unavailable,
}

impl RequestRefusal {
    fn denial(&self) -> Denial {
        match self {
            Self::Flood => Denial::new(Reason::RequestFlood),
            Self::Refused { code, .. } => Denial::new(Reason::RequestRefused).about(*code),
            Self::Unknown => Denial::new(Reason::RequestUnknown),
            Self::Unavailable => Denial::new(Reason::RequestUnavailable),
        }
    }

    fn why(&self) -> Option<Object> {
        let Self::Refused { code, text, remedy } = self else { return None };
        Some(super::why(code, text, remedy))
    }
}

/// Keeps requests for more authority.
pub trait Requests: Send + Sync {
    /// Writes a request, or says where one stands. Nobody is asked for whom the
    /// identity stage does not answer.
    fn ask<'a>(
        &'a self,
        asker: Asker,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Answered, RequestRefusal>>;
}

/// Passes on what is asked.
pub(super) async fn ask(
    gateway: &Gateway,
    asker: Option<Asker>,
    arguments: &Object,
) -> Result<Answered, Refused> {
    let asked = async {
        let asking = asking(arguments)?;
        let asker = asker.ok_or(RequestRefusal::Unavailable)?;
        gateway.ports.requests.ask(asker, asking).await
    };
    asked.await.map_err(|refusal| Refused { denial: refusal.denial(), why: refusal.why() })
}

/// Reads what is asked, strictly: whatever is not understood is refused.
fn asking(arguments: &Object) -> Result<Asking, RequestRefusal> {
    let bad = |member: &str| RequestRefusal::Refused {
        code: "request-malformed",
        text: format!("`{member}` is missing, malformed or not known"),
        remedy: "send `scope`, `reason` and perhaps `seconds`; or `request` alone".to_owned(),
    };
    let known = ["scope", "reason", "seconds", "request"];
    if let Some((name, _)) = arguments.iter().find(|(name, _)| !known.contains(name)) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(bad(&name));
    }
    if let Some(id) = arguments.member("request") {
        let id = id.as_str().and_then(|id| RequestId::parse(id).ok());
        return match id {
            Some(id) if arguments.len() == 1 => Ok(Asking::Stands(id)),
            _ => Err(bad("request")),
        };
    }
    let scope = arguments.member("scope").and_then(Json::as_array);
    let scope = scope.and_then(|s| s.iter().map(|s| s.as_str().map(str::to_owned)).collect());
    let reason = arguments.member("reason").and_then(Json::as_str);
    let seconds = arguments.member("seconds").map(|seconds| {
        let seconds = seconds.as_number().and_then(|n| n.as_plain_integer());
        seconds.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| bad("seconds"))
    });
    Ok(Asking::More {
        scope: scope.ok_or_else(|| bad("scope"))?,
        reason: reason.ok_or_else(|| bad("reason"))?.to_owned(),
        seconds: seconds.transpose()?,
    })
}

/// The tool as listings have it, with what can be asked for.
pub(crate) fn definition(workflow: &Workflow) -> Json {
    let offered: Vec<&str> = workflow.shorthands.iter().map(|s| s.template()).collect();
    let text = |kind: &str, description: &str| {
        Object::new().with("type", kind).with("description", description)
    };
    let shorthand = text("string", "a shorthand, with values for what stands in braces");
    let scope = text("array", "what you lack")
        .with("items", shorthand.with("maxLength", 200u64))
        .with("minItems", 1u64)
        .with("maxItems", 16u64);
    let properties = Object::new()
        .with("scope", scope)
        .with(
            "reason",
            text("string", "why you need it").with("minLength", 1u64).with("maxLength", 1000u64),
        )
        .with("seconds", text("integer", "for how long at most").with("minimum", 60u64))
        .with("request", text("string", "the id of an earlier request, alone: where it stands"));
    let schema = Object::new()
        .with("type", "object")
        .with("properties", properties)
        .with("additionalProperties", false);
    let annotations = Object::new()
        .with("readOnlyHint", false)
        .with("destructiveHint", false)
        .with("idempotentHint", true)
        .with("openWorldHint", false);
    let description = format!(
        "Ask a person for authority that your delegation lacks. It changes nothing by itself: \
         somebody grants all of it, a part, or refuses. Ask again with the request's id until it \
         is decided. This task's workflow offers: {}.",
        offered.join(", ")
    );
    Object::new()
        .with("name", Own::RequestAuthority.tool())
        .with("title", "Ask for more authority")
        .with("description", description)
        .with("inputSchema", schema)
        .with("annotations", annotations)
        .into()
}
