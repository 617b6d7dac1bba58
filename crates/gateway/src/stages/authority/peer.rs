//! Stage 3 for an agent that speaks A2A: its card is the accepted one, nobody
//! calls themselves through others, tasks are their caller's, and progress is told
//! to no address but those that the operator lists.

use bailiwick_core::accountable::{Facts, Unavailable};
use bailiwick_core::address::is_public;
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_policy::a2a::Asked;
use bailiwick_policy::a2a::card::{Accepted, CARD};
use url::{Host, Url};

use super::{Ground, is_high};
use crate::gateway::Inner;
use crate::peers::owner;
use crate::ports::{Pin, ToolServer};
use crate::stages::boundary::CallRequest;

/// The pin that the call rests on: the agent's card.
pub(super) async fn pinned(
    gateway: &Inner,
    request: &CallRequest,
    asked: &Asked,
    facts: &Facts,
    server: &ToolServer,
    ground: &mut Ground,
) -> Result<Pin, Denial> {
    let not_there = || Denial::new(Reason::ToolNotCatalogued).about(request.call.tool.as_str());
    let pin = server.pins.get(CARD).ok_or_else(not_there)?;
    let accepted = pin.card.as_deref().ok_or_else(not_there)?;
    ground.pin = Some(pin.digest);
    no_loop(accepted, facts)?;
    let (any, high) = gateway.config.pin_check_seconds;
    let bound = if is_high(&ground.rating) { high } else { any };
    gateway.pins.ensure_card(gateway, server, accepted, pin.digest, bound).await?;
    own(gateway, asked, facts, server)?;
    if let Some(target) = asked.push_target() {
        push(gateway, target).await?;
    }
    Ok(pin.clone())
}

/// SECURITY: an agent that is called by its own work would decide about itself;
/// through others it is a confused deputy, and the work never ends.
fn no_loop(accepted: &Accepted, facts: &Facts) -> Result<(), Denial> {
    let calls_itself = facts.authority.agent == accepted.agent
        || facts.hops.iter().any(|hop| hop.agent == accepted.agent);
    match calls_itself {
        true => Err(Denial::new(Reason::AgentLoop).about(accepted.agent.as_str())),
        false => Ok(()),
    }
}

/// SECURITY: what is another caller's cannot be told from what does not exist,
/// and the agent is not asked about either.
fn own(gateway: &Inner, asked: &Asked, facts: &Facts, server: &ToolServer) -> Result<(), Denial> {
    let unavailable = |Unavailable| Denial::new(Reason::StateUnavailable);
    let unknown = |what: &str| Denial::new(Reason::PeerTaskUnknown).about(what);
    let peers = &gateway.ports.peers;
    let owner: Option<Digest> = owner(facts);
    for task in asked.tasks() {
        let known = peers.task(&server.name, task).map_err(unavailable)?;
        let known = known.filter(|known| Some(known.owner) == owner);
        let known = known.ok_or_else(|| unknown("taskId"))?;
        if known.ended && asked.continued() == Some(task) {
            return Err(Denial::new(Reason::PeerTaskEnded).about("taskId"));
        }
    }
    if let Some(context) = asked.context() {
        let whose = peers.context(&server.name, context).map_err(unavailable)?;
        if whose.is_none() || whose != owner {
            return Err(unknown("contextId"));
        }
    }
    Ok(())
}

/// SECURITY: the agent will connect to where a caller says. So: https only, to a
/// host that the operator lists, all of whose addresses are public ones at this
/// moment. That the name leads elsewhere later is the agent's to guard against.
async fn push(gateway: &Inner, target: &str) -> Result<(), Denial> {
    let refused = || Denial::new(Reason::PushTargetRefused).about("url");
    let url = Url::parse(target).map_err(|_| refused())?;
    let is_plain = url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    let host = url.host_str().unwrap_or_default();
    let is_listed = gateway.config.push_hosts.iter().any(|listed| listed == host);
    if !is_plain || !is_listed {
        return Err(refused());
    }
    let all_public = match url.host() {
        Some(Host::Ipv4(ip)) => is_public(ip.into()),
        Some(Host::Ipv6(ip)) => is_public(ip.into()),
        Some(Host::Domain(name)) => {
            let port = url.port_or_known_default().unwrap_or(443);
            let looked = tokio::net::lookup_host((name, port));
            let found = tokio::time::timeout(gateway.config.connect_timeout, looked).await;
            let found: Vec<_> = match found {
                Ok(Ok(found)) => found.collect(),
                _ => return Err(refused()),
            };
            !found.is_empty() && found.iter().all(|address| is_public(address.ip()))
        }
        None => false,
    };
    if all_public { Ok(()) } else { Err(refused()) }
}
