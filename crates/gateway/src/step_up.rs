//! When more scope would help: what a caller with an access token is told of a
//! call that its delegation does not cover.

use bailiwick_core::denial::Reason;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_policy::decide::{CallFacts, PolicyDecision, PolicyInput, Upstream};
use bailiwick_policy::grades::{Consent, RunState, Source};
use bailiwick_policy::step_up::shorthand_for;

use crate::gateway::Inner;
use crate::stages::Stopped;
use crate::stages::boundary::{CallRequest, Form};

/// What to ask the authorization server for, and under which scheme to say so.
pub(crate) struct Challenge {
    pub(crate) scheme: &'static str,
    pub(crate) scope: String,
}

/// The scope that the call lacks; nothing where a wider one would not let it
/// pass: the caller is not known, its authority is gone, no shorthand permits
/// the call, or policy would refuse it all the same.
pub(crate) fn needed(
    gateway: &Inner,
    request: &CallRequest,
    stopped: &Stopped,
) -> Option<Challenge> {
    let scheme = match request.presentation.form {
        // Who holds a chain asks its principal, not an OAuth server.
        Form::Chain => return None,
        Form::Dpop => "DPoP",
        Form::Bearer => "Bearer",
    };
    let known = stopped.known.as_deref()?;
    let of_scope = matches!(
        stopped.denial.reason,
        Reason::ToolNotDelegated
            | Reason::ArgumentNotDelegated
            | Reason::ArgumentMissing
            | Reason::ArgumentUnnamed
    );
    if !of_scope || !stopped.denial.caller_is_known() {
        return None;
    }
    let authority = &known.facts().authority;
    let workflow = gateway.ports.catalogue.workflow(&authority.workflow_digest).ok()??;
    let (tool, arguments) = (&request.call.tool, &request.call.arguments);
    let scope = shorthand_for(&workflow, tool, arguments)?;
    let in_force = gateway.ports.catalogue.autonomy(&workflow).ok()?;
    let rating = workflow.catalogue.rating(tool);
    let input = PolicyInput {
        agent: &authority.agent,
        tool,
        rating,
        level: workflow.permitted_level().min(in_force),
        source: Source::of(workflow.checklist.data_sources.as_ref(), tool, rating?),
        runs: workflow.checklist.runs,
        // A run that is not open yet is begun, not consented to.
        run: RunState::Open,
        assurance: request.presentation.assurance(),
        // The best that a person's new consent could bring.
        guarantee: Guarantee::Attested,
        isolation: known.facts().isolation,
        consent: Consent::Signed,
        upstream: Upstream::Apart,
        call: CallFacts::new(known.facts(), arguments, gateway.ports.host.now()),
    };
    let (decision, _) = gateway.ports.catalogue.policies().ok()?.decide(&input);
    matches!(decision, PolicyDecision::Allow(_)).then_some(Challenge { scheme, scope })
}
