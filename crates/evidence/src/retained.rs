//! What a gateway retained of a decision, read back: enough to put the same
//! call to policy again, to the one of then or to another.
//!
//! Nothing is verified here. Whoever holds the ledger reads its own record;
//! for everybody else there is [`verify`](crate::verify::verify).

use std::collections::BTreeSet;
use std::str::FromStr;

use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Reason, Stage};
use bailiwick_core::guarantee::{Assurance, Guarantee, Isolation};
use bailiwick_core::ids::{AgentId, PrincipalId, TaskId, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Disclosure;
use bailiwick_policy::call::Call;
use bailiwick_policy::catalogue::{Personal, Rating};
use bailiwick_policy::decide::Upstream;
use bailiwick_policy::grades::{Consent, Level, RunState, Runs, Source};

/// Why a decision cannot be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotReplayable {
    /// It was settled before policy was asked, or after.
    #[error("it was not policy that settled it")]
    Elsewhere,
    /// The text beside the entry was erased.
    #[error("what the decision looked at was erased")]
    Erased,
    /// Arguments beyond the bound for denied calls, or a record of before
    /// policies of the organisation were asked.
    #[error("not everything that the decision looked at was retained")]
    Partial,
}

impl NotReplayable {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Elsewhere => "settled-elsewhere",
            Self::Erased => "inputs-erased",
            Self::Partial => "inputs-partial",
        }
    }
}

/// A decision of stage 4 and everything that it looked at.
#[derive(Clone, Debug)]
pub struct Retained {
    /// `allow`, `deny` or `approval_required`.
    pub decision: String,
    /// The rule that settled it.
    pub rule: Option<String>,
    /// Whether it was allowed because people had approved it: policy itself had
    /// said `approval_required`.
    pub approved: bool,
    /// The bundle that was in force.
    pub bundle: Option<Digest>,
    /// The call that was put to policy.
    pub call: Call,
}

impl Retained {
    /// From a decision's leaf and what is kept beside it.
    ///
    /// # Errors
    /// [`NotReplayable`].
    pub fn read(leaf: &Object, kept: &[(String, Disclosure)]) -> Result<Self, NotReplayable> {
        if !was_asked(leaf) {
            return Err(NotReplayable::Elsewhere);
        }
        let kept = |field: &str| kept.iter().find(|(f, _)| f == field).map(|(_, d)| &d.value);
        let inputs = kept("inputs").ok_or(NotReplayable::Erased)?;
        read(leaf, inputs, &kept).ok_or(NotReplayable::Partial)
    }
}

/// Whether stage 4 settled the decision, or let the call pass to its effect.
fn was_asked(leaf: &Object) -> bool {
    let text = |name| leaf.member(name).and_then(Json::as_str);
    let ruled = || body(leaf).is_some_and(|body| body.member("rule").is_some());
    match text("decision") {
        Some("allow" | "approval_required") => true,
        Some("deny") => {
            let reason = text("reason").and_then(Reason::parse);
            reason.is_some_and(|reason| reason.stage() == Stage::Policy) && ruled()
        }
        _ => false,
    }
}

fn body(leaf: &Object) -> Option<&Object> {
    leaf.member("body")?.as_object()
}

fn read<'k>(
    leaf: &Object,
    inputs: &Json,
    kept: &dyn Fn(&str) -> Option<&'k Json>,
) -> Option<Retained> {
    let inputs = inputs.as_object()?;
    let text = |name| leaf.member(name).and_then(Json::as_str);
    let body = body(leaf)?;
    let catalogue = inputs.member("catalogue")?.as_object()?;
    let (mut rating, level) = rated(catalogue)?;
    rating.data = data(catalogue)?;
    let policy = inputs.member("policy")?.as_object()?;
    let grade = |name| policy.member(name).and_then(Json::as_str);
    let asked = of_checklist(policy)?;
    let signed = policy.member("grant_signed")?.as_bool()?;
    let action = kept("action")?.as_object()?;
    let bundle = body.member("policy").and_then(|p| p.as_object()?.member("bundle")?.as_str());
    let decision = text("decision")?.to_owned();
    // An `allow` names its approval, or the standing one, where it rests on one.
    let approved = decision == "allow" && body.member("approval").is_some();
    Some(Retained {
        decision,
        approved,
        rule: body.member("rule").and_then(Json::as_str).map(str::to_owned),
        bundle: bundle.and_then(Digest::from_text),
        call: Call {
            agent: AgentId::parse(text("agent")?).ok()?,
            tool: ToolId::parse(text("tool")?).ok()?,
            rating,
            level,
            source: asked.source,
            runs: asked.runs,
            run: asked.run,
            assurance: Assurance::parse(grade("assurance")?)?,
            guarantee: Guarantee::parse(grade("guarantee")?)?,
            isolation: Isolation::recorded(policy.member("isolation"))?,
            upstream: match policy.member("upstream") {
                None => Upstream::Apart,
                Some(word) => Upstream::parse(word.as_str()?)?,
            },
            consent: if signed { Consent::Signed } else { Consent::Attested },
            principal: PrincipalId::parse(action.member("principal")?.as_str()?).ok()?,
            task: TaskId::parse(text("task")?).ok()?,
            workflow: WorkflowId::parse(text("workflow")?).ok()?,
            arguments: kept("arguments")?.as_object()?.clone(),
            hops: body.member("hops")?.as_array()?.len(),
            staleness_ms: body.member("staleness_ms")?.as_number()?.as_plain_integer()?,
            now: text("time")?.parse().ok()?,
        },
    })
}

/// What the rules about data sources and runs looked at.
pub(crate) struct OfChecklist {
    pub(crate) source: Option<Source>,
    pub(crate) runs: Runs,
    pub(crate) run: RunState,
}

/// Reads it from the retained `policy`; what is absent was not asked for.
pub(crate) fn of_checklist(policy: &Object) -> Option<OfChecklist> {
    fn grade<G: FromStr>(policy: &Object, name: &str) -> Option<Option<G>> {
        match policy.member(name) {
            None => Some(None),
            Some(word) => word.as_str()?.parse().ok().map(Some),
        }
    }
    Some(OfChecklist {
        source: grade(policy, "source")?,
        runs: grade(policy, "runs")?.unwrap_or_default(),
        run: grade(policy, "run")?.unwrap_or(RunState::None),
    })
}

/// The rating, without its data classes, and the level in force.
pub(crate) fn rated(catalogue: &Object) -> Option<(Rating, Level)> {
    let text = |name| catalogue.member(name).and_then(Json::as_str);
    let timeout_seconds = match catalogue.member("timeout_seconds") {
        None | Some(Json::Null) => None,
        Some(seconds) => Some(u64::try_from(seconds.as_number()?.as_plain_integer()?).ok()?),
    };
    let rating = Rating {
        owner: None,
        risk: text("risk")?.parse().ok()?,
        effect: text("effect")?.parse().ok()?,
        data: BTreeSet::new(),
        idempotent: catalogue.member("idempotent")?.as_bool()?,
        timeout_seconds,
        bearer: catalogue.member("bearer").and_then(Json::as_bool).unwrap_or(false),
        personal: Personal::read_from(catalogue),
    };
    Some((rating, text("level")?.parse().ok()?))
}

/// The data classes; none in records of before an organisation's policy asked
/// for them.
pub(crate) fn data(catalogue: &Object) -> Option<BTreeSet<String>> {
    let data = catalogue.member("data")?.as_array()?;
    data.iter().map(|class| class.as_str().map(str::to_owned)).collect()
}
