//! Stage 5: a person's decision, where one is required.
//!
//! Nothing is executed later on anybody's behalf: a call that needs a decision
//! is denied for now, waits as a row, and passes when it comes again, with a
//! fresh proof and through all stages, after enough people approved exactly it.

use bailiwick_core::aat::verify::{Chain, Verified};
use bailiwick_core::accountable::{Accountable, Unavailable};
use bailiwick_core::approval::{Question, policy_version};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::denial::{Denial, Reason, Waits};
use bailiwick_core::ids::{ApprovalId, EntryId, ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;
use bailiwick_policy::approvers::{Approvals, Approved, Matter, Unsettled};
use bailiwick_policy::permit::{Ask, Permit};

use super::Stopped;
use super::authority::Covering;
use super::boundary::CallRequest;
use super::evidence::{Preimage, preimage};
use super::policy::{Judged, Word};
use crate::gateway::Inner;
use crate::holds::{HeldCall, Waiting};
use crate::request_state::{Bound, opens};

mod standing;

use standing::Again;
pub use standing::UsedStanding;

/// A call that nothing stands against any more, not yet recorded.
#[derive(Debug)]
pub struct Cleared {
    pub(crate) call: Covering,
    pub(crate) permit: Permit,
    /// The approval that it uses, if it needed one.
    pub(crate) used: Option<Used>,
}

/// What is spent with the decision to allow.
#[derive(Clone, Debug)]
pub enum Used {
    /// The approval of exactly this action.
    Approval(Box<UsedApproval>),
    /// One use of a standing approval.
    Standing(Box<UsedStanding>),
}

/// An approval that is spent with the decision to allow.
#[derive(Clone, Debug)]
pub struct UsedApproval {
    /// What was approved.
    pub question: Question,
    /// By which rules, to be asked again when the call is recorded.
    pub matter: Matter,
    /// The salt of the action's digest.
    pub(crate) salt: [u8; 32],
    /// How the weakest of the verdicts was signed.
    pub(crate) grade: &'static str,
    /// The entries of the verdicts.
    pub(crate) verdicts: Vec<EntryId>,
    /// The question as it waits, should it not be settled any more.
    pub(crate) waiting: Waiting,
    /// Under what it waited.
    pub fold: String,
}

impl Used {
    /// A held call that was approved, by the rules of `matter`. `approved` is
    /// the witness of it.
    #[must_use]
    pub fn held(held: HeldCall, approved: &Approved, matter: Matter, fold: String) -> Self {
        let expires = held.question.expires;
        Self::Approval(Box::new(UsedApproval {
            grade: approved.grade().as_str(),
            verdicts: held.spoken.iter().map(|s| s.entry.clone()).collect(),
            waiting: Waiting { id: held.question.id.clone(), entry: held.entry, expires },
            question: held.question,
            matter,
            salt: held.salt,
            fold,
        }))
    }

    /// The single approval, if it is one.
    #[must_use]
    pub fn approval(&self) -> Option<&UsedApproval> {
        match self {
            Self::Approval(used) => Some(used),
            Self::Standing(_) => None,
        }
    }

    /// What the entry of the decision says of people's part in it.
    pub(crate) fn to_json(&self) -> Object {
        match self {
            Self::Standing(used) => used.to_json(),
            Self::Approval(used) => Object::new()
                .with("id", &used.question.id)
                .with("policy", used.question.policy)
                .with("expires", used.question.expires.seconds())
                .with("grade", used.grade)
                .with("verdicts", used.verdicts.iter().map(Json::from).collect::<Vec<_>>()),
        }
    }
}

/// What people are to be asked about a stopped call, or were.
#[derive(Clone, Debug)]
pub(crate) enum Holding {
    /// It is to wait from now on.
    New(Box<NewHold>),
    /// It waits already: nothing is written again.
    Known(Box<Waiting>),
}

/// A call that is to wait.
#[derive(Clone, Debug)]
pub(crate) struct NewHold {
    pub(crate) fold: String,
    pub(crate) id: ApprovalId,
    pub(crate) policy: Digest,
    pub(crate) rule: String,
    pub(crate) expires: Timestamp,
    pub(crate) needed: u64,
    pub(crate) tool: ToolId,
    pub(crate) replaces: Option<ApprovalId>,
}

impl Waiting {
    /// The denial of a call that waits.
    pub(crate) fn denial(&self, gateway: &Inner, server: &ServerName) -> Denial {
        let url = gateway.config.approvals_url.as_ref();
        let url = url.map(|base| format!("{base}/{}", self.id));
        let poll = Some(gateway.config.poll_url(server.as_str(), self.id.as_str()));
        let waits = Waits { id: self.id.clone(), expires: self.expires, url, poll };
        Denial::new(Reason::ApprovalRequired).about(self.id.as_str()).waiting(waits)
    }
}

/// Passes permits on, and calls that people approved.
pub(crate) fn clear(gateway: &Inner, judged: Judged) -> Result<Cleared, Stopped> {
    let Judged { call, word } = judged;
    let case = match &word {
        Word::Permit(permit) => permit.case(),
        Word::Ask(ask) => ask.case(),
    };
    let forged = !state_holds(gateway, &call.request, case.verified());
    let ask = match word {
        Word::Permit(permit) if forged => {
            // No rule refused it.
            let heard = Some(Box::new(permit.case().heard().clone()));
            let stopped = Stopped::known(Denial::new(Reason::RequestStateInvalid), permit);
            return Err(Stopped { heard, ..stopped.on(call.ground) });
        }
        Word::Permit(permit) => return Ok(Cleared { call, permit, used: None }),
        Word::Ask(ask) if forged => {
            return Err(stopped(call, ask, Denial::new(Reason::RequestStateInvalid), None));
        }
        Word::Ask(ask) => ask,
    };
    let fold = fold(&call.request, ask.case().verified().chain());
    let now = ask.case().verified().now();
    let held = match gateway.ports.holds.held(&fold, now) {
        Ok(held) => held,
        Err(Unavailable) => {
            return Err(stopped(call, ask, Denial::new(Reason::ApprovalUnavailable), None));
        }
    };
    let settled = held.as_ref().map(|held| settled(&call, &ask, held));
    // What was said about exactly this call comes first; a denial of it stands.
    let (call, ask) = match settled {
        Some(Ok(_) | Err(Unsettled::Denied)) => (call, ask),
        Some(Err(_)) | None => match standing::clear(gateway, call, ask, &fold, held.as_ref())? {
            Again::Cleared(cleared) => return Ok(*cleared),
            Again::Not(call, ask) => (*call, *ask),
        },
    };
    let Some((held, settled)) = held.zip(settled) else {
        return Err(anew(gateway, call, ask, fold, None));
    };
    let policy = policy_of(&ask);
    let action = action_digest(gateway, &call, &ask, held.salt);
    match settled {
        Ok(approved) => {
            let matter = matter(&call, &ask, held.relying_party.clone());
            match ask.approve(&approved, &action, &policy) {
                Ok(permit) => {
                    let used = Some(Used::held(held, &approved, matter, fold));
                    Ok(Cleared { call, permit, used })
                }
                // Approved was something else: an older policy, pin or instance.
                Err(ask) => Err(anew(gateway, call, *ask, fold, Some(held.question.id))),
            }
        }
        Err(Unsettled::Denied) => {
            let denial = Denial::new(Reason::ApprovalDenied).about(held.question.id.as_str());
            // Told, nothing more: the agent makes that call itself, which asks anew.
            let denial = held.suggestion.into_iter().fold(denial, Denial::suggesting);
            Err(stopped(call, ask, denial, None))
        }
        Err(Unsettled::Expired) => Err(anew(gateway, call, ask, fold, Some(held.question.id))),
        Err(Unsettled::Waiting { .. }) => {
            let same = held.question.action == action
                && held.question.policy == policy
                && held.question.rule == ask.case().finding().rule.as_ref();
            if !same {
                return Err(anew(gateway, call, ask, fold, Some(held.question.id)));
            }
            let expires = held.question.expires;
            let waiting = Waiting { id: held.question.id, entry: held.entry, expires };
            let denial = waiting.denial(gateway, &call.request.server);
            Err(stopped(call, ask, denial, Some(Holding::Known(Box::new(waiting)))))
        }
    }
}

/// What equal calls share: by whom, what, with which arguments.
pub(crate) fn fold(request: &CallRequest, chain: &Chain) -> String {
    let text: Json = Object::new()
        .with("leaf", chain.leaf_hash())
        .with("server", &request.server)
        .with("tool", request.call.tool.as_str())
        .with("arguments", request.call.arguments.clone())
        .into();
    text.canonical()
}

/// Whether what the client kept of an earlier try is for this caller and this
/// call; a call without anything of the kind is as good as any.
///
/// SECURITY: it lets nothing pass. Whoever sends one that was made for something
/// else, or that nobody made, is told so and recorded.
fn state_holds(gateway: &Inner, request: &CallRequest, who: &Verified<Accountable>) -> bool {
    let Some(waited) = &request.waited else { return true };
    let bound = Bound::of(request, who.chain(), who.facts());
    bound.is_some_and(|bound| opens(&gateway.state_key, &waited.state, &bound, who.now()))
}

/// The version of the policy that asks: the bundle in force and the workflow.
fn policy_of(ask: &Ask) -> Digest {
    let case = ask.case();
    let bundle = case.heard().enforced.as_ref().map(|word| word.bundle);
    policy_version(bundle, case.verified().facts().authority.workflow_digest)
}

fn action_digest(gateway: &Inner, call: &Covering, ask: &Ask, salt: [u8; 32]) -> Digest {
    let verified = ask.case().verified();
    let text = preimage(&Preimage {
        salt,
        server: &call.request.server,
        tool: call.request.call.tool.as_str(),
        pin: call.ground.pin,
        arguments: &call.request.call.arguments,
        chain: verified.chain(),
        facts: verified.facts(),
        audience: &gateway.audience,
    });
    sha256(text.canonical().as_bytes())
}

fn rules(call: &Covering) -> Approvals {
    call.ground.workflow.approvals()
}

/// The rules about this call, to be asked of people's voices.
fn matter(call: &Covering, ask: &Ask, relying_party: Option<RelyingParty>) -> Matter {
    let workflow = &call.ground.workflow;
    let verified = ask.case().verified();
    let tool = ToolId::parse(verified.tool());
    let tool_owner = tool.as_ref().map_or(&workflow.owner, |tool| workflow.tool_owner(tool));
    Matter {
        rules: rules(call),
        principal: verified.facts().authority.principal.clone(),
        workflow_owner: workflow.owner.clone(),
        tool_owner: tool_owner.clone(),
        risk: ask.case().rating().risk,
        relying_party,
    }
}

/// What people said, by what they may say now.
fn settled(call: &Covering, ask: &Ask, held: &HeldCall) -> Result<Approved, Unsettled> {
    let matter = matter(call, ask, held.relying_party.clone());
    matter.settle(&held.question, &held.spoken, ask.case().verified().now())
}

/// Stops the call and lets it wait from now on.
fn anew(
    gateway: &Inner,
    call: Covering,
    ask: Ask,
    fold: String,
    replaces: Option<ApprovalId>,
) -> Stopped {
    let verified = ask.case().verified();
    let Ok(tool) = ToolId::parse(verified.tool()) else {
        return stopped(call, ask, Denial::new(Reason::ApprovalUnavailable), None);
    };
    let mut random = [0; 10];
    gateway.ports.host.fill(&mut random);
    let now = verified.now();
    let rules = rules(&call);
    let wait = i64::try_from(rules.wait_seconds).unwrap_or(i64::MAX);
    // Nothing waits longer than what it rests on stands.
    let end = Timestamp::from_seconds(verified.chain().expires());
    let new = NewHold {
        fold,
        id: ApprovalId::mint(now, random),
        policy: policy_of(&ask),
        rule: ask.case().finding().rule.to_string(),
        expires: whole_seconds(now.plus_seconds(wait).min(end)),
        needed: rules.needed,
        tool,
        replaces,
    };
    let denial = Denial::new(Reason::ApprovalRequired).about(new.id.as_str());
    stopped(call, ask, denial, Some(Holding::New(Box::new(new))))
}

/// What is signed has seconds.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds())
}

fn stopped(call: Covering, ask: Ask, denial: Denial, holding: Option<Holding>) -> Stopped {
    let finding = Some(ask.case().finding().clone());
    let heard = Some(Box::new(ask.case().heard().clone()));
    let stopped = Stopped::known(denial, ask).on(call.ground);
    Stopped { finding, heard, approval_required: true, holding, ..stopped }
}
