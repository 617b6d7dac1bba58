//! Whether approvers might approve, by the workflow's own rules: asked again
//! when the text of its version is in the bundle.

use std::collections::BTreeSet;

use bailiwick_core::approval::{Grade, Registered, Verdict};
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::ToolId;
use bailiwick_core::ledger::Kind;
use bailiwick_core::webauthn::RelyingParty;
use bailiwick_policy::Workflow;
use bailiwick_policy::approvers::{Approvals, Approver, Barred, Decider, Held, Lost, Voice};
use bailiwick_policy::grades::Risk;

use super::{CHECK, Call, Signable, Voiced};
use crate::check::Failure;
use crate::subject::Subject;
use crate::verdict::Right;
use crate::verify::{Case, agree};

/// The rules that applied, as far as they are known.
pub(super) struct Rules<'a> {
    call: &'a Call<'a>,
    known: Option<Known>,
    relying_party: Option<RelyingParty>,
}

struct Known {
    workflow: Workflow,
    approvals: Approvals,
    tool: ToolId,
    risk: Risk,
}

impl<'a> Rules<'a> {
    /// From the text of the workflow's version, whose digest its publication, the
    /// grant and the decision name.
    pub(super) fn read(case: &Case<'_>, call: &'a Call<'a>) -> Result<Self, Failure> {
        let approvers = case.trust.approvers.as_ref();
        let relying_party =
            approvers.map(|a| RelyingParty { id: a.rp_id.clone(), origins: a.origins.clone() });
        let workflow = case.decided.subject(CHECK, Subject::Workflow)?;
        let published =
            case.receipts.one(CHECK, Kind::WorkflowPublished, Subject::Workflow, workflow)?;
        let Some(document) = published.disclosed("document") else {
            return Ok(Self { call, known: None, relying_party });
        };
        let text = document.canonical();
        let digest = case.decided.digest(CHECK, "workflow_digest")?;
        agree(CHECK, sha256(text.as_bytes()) == digest, "the workflow's digest")?;
        let workflow = Workflow::parse(&text).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            Failure::new(CHECK, format!("the workflow does not read here: {first}"))
        })?;
        let uncatalogued = || Failure::new(CHECK, "the workflow does not have the tool");
        let tool = ToolId::parse(call.tool).map_err(|_| uncatalogued())?;
        let risk = workflow.catalogue.rating(&tool).ok_or_else(uncatalogued)?.risk;
        let approvals = workflow.approvals();
        Ok(Self { call, known: Some(Known { workflow, approvals, tool, risk }), relying_party })
    }

    /// How many must approve; `None` when the rules are not known.
    pub(super) fn needed(&self) -> Option<u64> {
        self.known.as_ref().map(|known| known.approvals.needed.max(1))
    }

    /// Whether a signature holds and counts, how it was made, and why its maker
    /// might make it.
    pub(super) fn ask(
        &self,
        case: &Case<'_>,
        what: &Signable,
        voice: &Voiced,
    ) -> Result<(Grade, Right), Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::new(CHECK, e.to_string());
        let registered = Registered {
            passkeys: &voice.passkeys,
            keys: &voice.keys,
            relying_party: self.relying_party.as_ref(),
        };
        let grade = match what {
            Signable::Question(q) => q.verify(Verdict::Approve, &voice.signed, &registered),
            Signable::Standing(terms) => terms.verify(&voice.signed, &registered),
        };
        let grade = grade.map_err(|e| failed(&e))?;
        let Some(known) = &self.known else { return Ok((grade, Right::Unknown)) };
        // Of everything that may let them, what is proved best.
        let rules = &known.approvals;
        let is_approver = case.receipts.is_approver(&voice.alias, case.decided.index);
        for right in [Right::Named, Right::Role, Right::Group] {
            let groups: BTreeSet<String> = match right {
                Right::Group => rules.by.iter().filter_map(group).collect(),
                _ => BTreeSet::new(),
            };
            let has_role = right == Right::Role && is_approver;
            let who = Decider { id: &voice.who, has_role, groups: &groups };
            let heard = Voice { who, verdict: Verdict::Approve, signed: &voice.signed, registered };
            let held = Held {
                principal: self.call.principal,
                workflow_owner: &known.workflow.owner,
                tool_owner: known.workflow.tool_owner(&known.tool),
                risk: known.risk,
            };
            let counts = match what {
                Signable::Question(q) => rules.counts(q, &held, &heard),
                Signable::Standing(terms) => rules.counts_standing(terms, &held, &heard),
            };
            match counts {
                Ok(grade) => return Ok((grade, right)),
                Err(Lost::Barred(Barred::NotNamed)) => {}
                Err(lost) => return Err(failed(&lost)),
            }
        }
        let who = &voice.who;
        Err(Failure::new(CHECK, format!("the workflow does not name {who} among its approvers")))
    }
}

fn group(approver: &Approver) -> Option<String> {
    match approver {
        Approver::Group(name) => Some(name.clone()),
        _ => None,
    }
}
