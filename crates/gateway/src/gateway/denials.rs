//! Denials: each becomes an entry, and an answer that says no more than the
//! caller may know.

use axum::response::Response;
use bailiwick_core::approval::Question;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::guarantee::Assurance;
use bailiwick_core::ids::{EntryId, RunId};
use bailiwick_core::time::Timestamp;

use super::Gateway;
use crate::holds::{Hold, HoldRefusal, Waiting};
use crate::stages::Stopped;
use crate::stages::approval::{Holding, NewHold};
use crate::stages::boundary::{CallRequest, Form, Malformed, Presentation};
use crate::stages::evidence::{self, Decision, Draw};
use crate::strangers::Admission;
use crate::{step_up, wire};

impl Gateway {
    pub(crate) async fn deny_call(
        &self,
        request: &CallRequest,
        mut stopped: Stopped,
        now: Timestamp,
    ) -> Response {
        let entry = self.record_denied_call(request, &mut stopped, now).await;
        let stopped = &stopped;
        if let Some(challenge) = step_up::needed(self, request, stopped) {
            let metadata = self.metadata_url(request.server.as_str());
            let (id, denial, entry) = (&request.id, &stopped.denial, entry.as_str());
            let challenge = (challenge.scheme, challenge.scope.as_str());
            return wire::insufficient_scope(id, denial, entry, &metadata, challenge);
        }
        if let Some(question) = self.visit_first(request, stopped, &entry) {
            return question;
        }
        let caller = (&request.server, request.presentation.form);
        self.answer(Some(&request.id), stopped, caller, &entry)
    }

    /// Records the denial of a call, or lets the call wait for a person; then
    /// the denial says so.
    pub(crate) async fn record_denied_call(
        &self,
        request: &CallRequest,
        stopped: &mut Stopped,
        now: Timestamp,
    ) -> EntryId {
        stopped.run = self.run_of(stopped, now);
        match stopped.holding.take() {
            // It stands in the ledger since it was asked first.
            Some(Holding::Known(waiting)) => return waiting.entry,
            Some(Holding::New(new)) => match self.hold(request, stopped, &new, now).await {
                Ok(waiting) => {
                    stopped.denial = waiting.denial(self, &request.server);
                    return waiting.entry;
                }
                Err(HoldRefusal::Flood) => stopped.denial = Denial::new(Reason::ApprovalFlood),
                Err(HoldRefusal::Unavailable) => {
                    stopped.denial = Denial::new(Reason::ApprovalUnavailable);
                }
            },
            None => {}
        }
        let decision = Self::of_call(request, stopped, None, now);
        self.write_denial(stopped, decision).await
    }

    /// The run to which a stopped call belongs: what was found when it was covered, or
    /// what is found now, if it did not come to that and its caller is known.
    fn run_of(&self, stopped: &Stopped, now: Timestamp) -> Option<RunId> {
        if let Some(ground) = &stopped.ground {
            return ground.run_id().cloned();
        }
        let known = stopped.known.as_ref().filter(|_| stopped.denial.caller_is_known())?;
        let task = &known.facts().authority.task;
        // A denial stands whether or not it can be said to which run it belongs.
        self.ports.runs.of_task(task, now).ok().flatten().map(|open| open.run)
    }

    /// Lets a call wait.
    async fn hold(
        &self,
        request: &CallRequest,
        stopped: &Stopped,
        new: &NewHold,
        now: Timestamp,
    ) -> Result<Waiting, HoldRefusal> {
        let known = stopped.known.as_deref().map(|k| (k.chain(), k.facts()));
        let ground = stopped.ground.as_ref();
        let (Some((chain, facts)), Some(ground)) = (known, ground) else {
            return Err(HoldRefusal::Unavailable);
        };
        let draw = Draw::new(self.ports.host.as_ref(), now);
        tracing::info!(decision_id = %draw.id, approval = %new.id, "waits for a person");
        let decision = Decision {
            known: Some((chain, facts)),
            decision: "approval_required",
            ..Self::of_call(request, stopped, Some(new), now)
        };
        let drafted = evidence::decided(self, draw, &decision);
        let action = drafted.action_digest.ok_or(HoldRefusal::Unavailable)?;
        let question = Question {
            id: new.id.clone(),
            action,
            policy: new.policy,
            rule: new.rule.clone(),
            expires: new.expires,
        };
        let hold = Hold {
            event: drafted.event,
            derived: evidence::derived(chain, facts),
            fold: new.fold.clone(),
            question,
            needed: new.needed,
            tool: new.tool.clone(),
            risk: ground.rating.risk,
            workflow_digest: facts.authority.workflow_digest,
            root: chain.root_hash(),
            leaf: chain.leaf_hash(),
            replaces: new.replaces.clone(),
        };
        self.ports.holds.hold(hold).await
    }

    fn of_call<'a>(
        request: &'a CallRequest,
        stopped: &'a Stopped,
        asking: Option<&'a NewHold>,
        now: Timestamp,
    ) -> Decision<'a> {
        Decision {
            now,
            server: &request.server,
            action: Some(request.call.tool.as_str()),
            arguments: Some(&request.call.arguments),
            presentation: Some(&request.presentation),
            known: None,
            decision: "deny",
            denial: Some(&stopped.denial),
            finding: stopped.finding.as_ref(),
            heard: stopped.heard.as_deref(),
            ground: stopped.ground.as_ref(),
            assurance: request.presentation.assurance(),
            enforcement: request.enforcement.as_str(),
            asking,
            used: None,
            run: stopped.run.as_ref(),
        }
    }

    /// Records the denial of a message that is not a call.
    pub(crate) async fn deny_message(
        &self,
        server: &bailiwick_core::ids::ServerName,
        action: &str,
        presentation: &Presentation,
        stopped: &Stopped,
        now: Timestamp,
    ) -> EntryId {
        let decision = Self::of_message(server, action, presentation, stopped, now);
        self.write_denial(stopped, decision).await
    }

    /// The same, of a message that another enforcement point asks about.
    pub(crate) async fn deny_asked_message(
        &self,
        server: &bailiwick_core::ids::ServerName,
        action: &str,
        presentation: &Presentation,
        stopped: &Stopped,
        now: Timestamp,
    ) -> EntryId {
        let decision = Self::of_message(server, action, presentation, stopped, now);
        self.write_denial(stopped, Decision { enforcement: "external", ..decision }).await
    }

    fn of_message<'a>(
        server: &'a bailiwick_core::ids::ServerName,
        action: &'a str,
        presentation: &'a Presentation,
        stopped: &'a Stopped,
        now: Timestamp,
    ) -> Decision<'a> {
        Decision {
            now,
            server,
            action: Some(action),
            arguments: None,
            presentation: Some(presentation),
            known: None,
            decision: "deny",
            denial: Some(&stopped.denial),
            finding: None,
            heard: None,
            ground: None,
            assurance: presentation.assurance(),
            enforcement: "gateway",
            asking: None,
            used: None,
            run: None,
        }
    }

    /// Records a request that was not well-formed.
    pub(crate) async fn deny_malformed(
        &self,
        server: &bailiwick_core::ids::ServerName,
        malformed: &Malformed,
    ) -> EntryId {
        let decision = Decision {
            now: self.ports.host.now(),
            server,
            action: malformed.action.as_deref(),
            arguments: None,
            presentation: None,
            known: None,
            decision: "deny",
            denial: Some(&malformed.denial),
            finding: None,
            heard: None,
            ground: None,
            assurance: Assurance::None,
            enforcement: "gateway",
            asking: None,
            used: None,
            run: None,
        };
        self.write_denial(&Stopped::stranger(malformed.denial.clone()), decision).await
    }

    /// Records a question of another enforcement point that names no call of
    /// the tool server, or shows no chain and proof.
    pub(crate) async fn deny_question(
        &self,
        server: &bailiwick_core::ids::ServerName,
        resource: &str,
        denial: &Denial,
    ) -> EntryId {
        let decision = Decision {
            now: self.ports.host.now(),
            server,
            action: Some(resource),
            arguments: None,
            presentation: None,
            known: None,
            decision: "deny",
            denial: Some(denial),
            finding: None,
            heard: None,
            ground: None,
            assurance: Assurance::None,
            enforcement: "external",
            asking: None,
            used: None,
            run: None,
        };
        self.write_denial(&Stopped::stranger(denial.clone()), decision).await
    }

    pub(crate) fn answer(
        &self,
        id: Option<&bailiwick_core::json::Json>,
        stopped: &Stopped,
        (server, form): (&bailiwick_core::ids::ServerName, Form),
        entry: &EntryId,
    ) -> Response {
        let (denial, entry) = (&stopped.denial, entry.as_str());
        if stopped.session_ended {
            wire::session_ended(id, denial, entry)
        } else if denial.reason == Reason::ParamHeaderMismatch {
            wire::header_mismatch(id, denial, entry)
        } else if denial.reason == Reason::TaskNotDeclared {
            wire::capability_missing(id, denial, entry)
        } else if denial.reason == Reason::TaskUnknown {
            wire::invalid_params(id, denial, entry)
        } else if form != Form::Chain && !denial.caller_is_known() {
            // An OAuth client gets another token when it hears this.
            let metadata = self.metadata_url(server.as_str());
            wire::invalid_token(id, denial, entry, &metadata)
        } else {
            wire::denied(id, denial, entry)
        }
    }

    async fn write_denial(&self, stopped: &Stopped, decision: Decision<'_>) -> EntryId {
        let draw = Draw::new(self.ports.host.as_ref(), decision.now);
        let entry = draw.id.clone();
        let now = decision.now;
        tracing::info!(
            decision_id = %entry,
            reason = stopped.denial.reason.code(),
            step = stopped.denial.step,
            known = stopped.known.is_some(),
            "denied"
        );
        // Nothing that a stranger claims is written as a fact. A proof that was
        // used before names its chain, but whoever repeats it must not fill
        // the ledger either.
        let known = stopped.known.as_deref().map(|k| (k.chain(), k.facts()));
        if known.is_none() || !stopped.denial.caller_is_known() {
            match self.strangers.admit(now) {
                Admission::Entry => {}
                Admission::Suppressed => return entry,
                Admission::FirstSuppressed => {
                    self.write_suppressed_soon();
                    return entry;
                }
            }
        }
        let verdict = if stopped.approval_required { "approval_required" } else { "deny" };
        let decision = Decision { known, decision: verdict, ..decision };
        let event = evidence::decided(self, draw, &decision).event;
        let derived = known.map(|(chain, facts)| evidence::derived(chain, facts));
        let derived = derived.unwrap_or_default();
        if self.ports.journal.record_denial(event, derived).await.is_err() {
            tracing::error!(decision_id = %entry, "a denial could not be recorded; it is counted");
            if self.strangers.unwritten(now) {
                self.write_suppressed_soon();
            }
        }
        entry
    }
}
