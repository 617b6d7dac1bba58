//! What was issued together ends together.

use crate::rules::revocations::{By, revoke};
use crate::service::DelegationRef;
use crate::service::revocations::{Target, resolve};

use super::*;

/// Revokes every root that `client` got under the grant and that has not
/// ended, and its refresh tokens.
pub(in crate::service) fn end_issued(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    grant: &str,
    client: &str,
    reason: &'static str,
) -> Result<(), OAuthError> {
    tx.drop_tickets(REFRESH, grant)?;
    let Ok(grant) = GrantId::parse(grant) else { return Ok(()) };
    for root in tx.delegations_of_grant(&grant)? {
        let theirs = root.client.as_deref() == Some(client);
        if theirs && moment.now() < root.expires {
            end_root(cx, tx, moment, &root.root, By::Authority, reason)?;
        }
    }
    Ok(())
}

/// Revokes one root.
pub(in crate::service) fn end_root(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    root: &Digest,
    by: By<'_>,
    reason: &'static str,
) -> Result<(), OAuthError> {
    let target = Target::Delegation(DelegationRef::Hash(*root));
    let resolved = resolve(cx, tx, &target).map_err(oauth)?;
    let already: Vec<_> =
        tx.is_revoked(std::slice::from_ref(&resolved.subject))?.into_iter().collect();
    let plan = revoke(moment, &cx.installation, &resolved, reason, None, by, &already);
    cx.write(tx, plan.map_err(oauth)?).map_err(oauth)?;
    Ok(())
}
