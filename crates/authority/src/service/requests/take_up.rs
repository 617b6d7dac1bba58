//! Taking up what was granted.

use bailiwick_core::crypto::Digest;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::GrantId;
use bailiwick_store::{AuthorityRequest, Subject, TokenForm};

use super::super::Authority;
use super::super::delegations::{State, instances};
use super::super::places::free_place;
use super::{Taken, statement_of};
use crate::refusal::Refusal;
use crate::rules::delegations::{self, Recipient, choose_instance};

impl Authority {
    /// A root under the grant that answers a request, for the instance that
    /// asked: the last one, while most of its life is left.
    pub(super) fn take_up(
        &self,
        grant: &GrantId,
        request: &AuthorityRequest,
    ) -> Result<Taken, Refusal> {
        let (grant, request) = (grant.clone(), request.clone());
        self.transact(move |cx, tx, moment| {
            let gone = || Refusal::unknown("grant", &grant);
            let (text, _) = tx.grant_texts(&grant)?.ok_or_else(gone)?;
            let statement = statement_of(&text).ok_or_else(gone)?;
            let (principal, agent) = (&statement.principal, &statement.agent);
            let mut state = State::read(cx, tx, principal, agent, &statement.workflow)?;
            let subjects =
                [Subject::Grant { id: grant.clone() }, Subject::Task { id: request.task.clone() }];
            state.also_revoked(tx, &subjects)?;
            let now = moment.now();
            let last = tx.delegations_to(&grant, &request.holder, 1)?.into_iter().find(|root| {
                let life = root.expires.millis_since(root.issued);
                root.form == TokenForm::Aat && root.expires.millis_since(now) * 2 > life
            });
            let stands = |root: &Digest| {
                state.revoked.is_none()
                    && matches!(tx.is_revoked(&[Subject::Delegation { token: *root }]), Ok(None))
            };
            let kept = match last.filter(|root| stands(&root.root)) {
                Some(last) => tx.delegation_token(&last.root)?.map(|token| (token, last.expires)),
                None => None,
            };
            let (root, not_after) = match kept {
                Some(kept) => kept,
                None => {
                    let instances = instances(tx, agent)?;
                    let instance = choose_instance(agent, &instances, Some(&request.instance))?;
                    let to = Recipient::Holder {
                        instance,
                        status_index: free_place(tx, moment)?,
                        guarantee: Guarantee::Key,
                    };
                    let (installation, keys) = (&cx.installation, &cx.keys);
                    let plan = delegations::reissue(
                        moment,
                        installation,
                        keys,
                        &statement,
                        state.parties(),
                        &state.workflow,
                        to,
                    )?;
                    let issued = cx.write(tx, plan)?;
                    (issued.token, issued.not_after)
                }
            };
            Ok(Taken {
                root,
                audience: statement.audience.first().cloned().unwrap_or_default(),
                grant: statement.id.clone(),
                principal: statement.principal.clone(),
                scope: statement.requested.clone(),
                not_after,
            })
        })
    }
}
