//! Denying a waiting call with more than a no: a tighter call that is suggested,
//! and the delegation that is taken back with it.

use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::ids::{ApprovalId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::catalogue::Definition;
use bailiwick_store::{ApprovalState, Said, View};

use super::approvals::{Sayer, Word, found, say};
use super::revocations::{DelegationRef, Target, already, resolve};
use super::{Authority, disclosed};
use crate::people::roles::{Deed, Role, require};
use crate::refusal::Refusal;
use crate::rules::revocations::{By, revoke};
use crate::rules::suggestions::suggested;

/// The reason code of a delegation that is taken back with a denial.
const REASON: &str = "denied-by-approver";

/// What comes with a denial.
#[derive(Clone, Debug, Default)]
pub struct Denying {
    /// What is added in words.
    pub note: Option<String>,
    /// Other arguments that the agent is told of: those of the call with this
    /// applied as a JSON Merge Patch.
    pub suggestion: Option<Json>,
    /// Whether the root delegation under which it was asked is taken back too.
    pub revoke: bool,
}

/// The arguments that whoever denied a waiting call suggests instead.
///
/// # Errors
/// When the state cannot be read.
pub fn suggestion(view: &View<'_>, approval: &ApprovalId) -> Result<Option<Object>, Refusal> {
    for verdict in view.verdicts(approval)? {
        if verdict.verdict == Said::Deny {
            let told = disclosed(view, &verdict.entry, "suggestion")?;
            return Ok(told.and_then(|told| told.as_object().cloned()));
        }
    }
    Ok(None)
}

/// What the tool is, as it was accepted.
fn definition(view: &View<'_>, tool: &ToolId) -> Result<Option<Definition>, Refusal> {
    let Some(pin) = view.pin(tool)? else { return Ok(None) };
    let json = Json::parse(pin.definition.as_bytes(), &JsonLimits::DEFAULT).ok();
    Ok(json.and_then(|json| Definition::of_kept(&json).ok()))
}

impl Authority {
    /// Takes a denial with what comes with it, all in one transaction: where
    /// the delegation may not be taken back, nothing is denied either.
    ///
    /// # Errors
    /// As [`Authority::approval_say`]; [`Refusal::Suggestion`];
    /// [`Refusal::NotYours`] where whoever denies may not take it back.
    pub fn approval_deny(
        &self,
        sayer: Sayer,
        id: &ApprovalId,
        signed: Signed,
        denying: Denying,
    ) -> Result<ApprovalState, Refusal> {
        let id = id.clone();
        self.transact(move |cx, tx, moment| {
            let held = found(tx, &id)?;
            let told = match &denying.suggestion {
                None => None,
                Some(patch) => {
                    let action = disclosed(tx, &held.entry, "action")?;
                    let definition = definition(tx, &held.tool)?;
                    Some(suggested(action.as_ref(), definition.as_ref(), patch)?)
                }
            };
            let (note, suggestion) = (denying.note.as_deref(), told.as_ref());
            let word = Word { sayer, verdict: Verdict::Deny, signed: &signed, note, suggestion };
            let approver = say(cx, tx, moment, std::slice::from_ref(&id), word)?;
            if denying.revoke {
                let target = Target::Delegation(DelegationRef::Hash(held.root));
                let resolved = resolve(cx, tx, &target)?;
                let already = already(tx, &resolved)?;
                let roles = tx.roles_of(&approver)?;
                let roles: Vec<Role> = roles.iter().filter_map(|role| role.parse().ok()).collect();
                // SECURITY: the right to decide is none to take back.
                let any = require(&roles, Deed::RevokeAny).is_ok();
                let by = By::Approver { principal: &approver, any, approval: &id };
                let plan = revoke(moment, &cx.installation, &resolved, REASON, None, by, &already)?;
                cx.write(tx, plan)?;
            }
            Ok(found(tx, &id)?.state)
        })
    }
}
