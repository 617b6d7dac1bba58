//! Stage 2: who is calling.
//!
//! Chain signatures, possession, every hop's key resolved to an active
//! instance, agent and owner, freshness: core's front door, once per call. It
//! goes on to the first checks of stage 3 (revoked, grant, scope) in the same
//! pass; the reason of a denial says which stage refused.

use std::sync::Arc;

use bailiwick_core::aat::verify::{
    Anchors, Call, Chain, Context, Present, Proof, ProofPolicy, Shown, Unverified, Verified,
    access_presence, attend, examine, examine_access, verify_presence,
};
use bailiwick_core::access;
use bailiwick_core::accountable::{Accountable, Facts, Inputs};
use bailiwick_core::crypto::{Digest, Thumbprint, sha256};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::dpop;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;

use super::boundary::{CallRequest, Form, Presentation, Speech};
use super::{Known, Stopped};
use crate::gateway::Inner;
use crate::ports::{Recheck, RecordRefusal, Spend};
use crate::sessions::{Lease, NoSession, Owner, Session};

/// A call by an authenticated caller, inside its scope.
#[derive(Debug)]
pub struct Identified {
    pub(crate) request: Arc<CallRequest>,
    pub(crate) verified: Verified<Accountable>,
    pub(crate) session: Option<Arc<Session>>,
}

impl Identified {
    /// The key that proved the call.
    pub(crate) fn holder(&self) -> Option<Thumbprint> {
        self.verified.chain().links().last().map(|leaf| leaf.holder)
    }
}

/// A message that is not a call, by an authenticated caller.
pub(crate) struct Caller {
    pub(crate) present: Box<Present<Accountable>>,
    pub(crate) session: Option<Arc<Session>>,
}

impl Caller {
    pub(crate) fn owner(&self, server: &ServerName) -> Option<Owner> {
        owner(self.present.chain(), self.present.facts(), server)
    }

    pub(crate) fn lease(&self, server: &ServerName) -> Lease {
        lease(self.present.chain(), self.present.facts(), server)
    }
}

pub(crate) fn recheck(chain: &Chain, facts: &Facts, server: &ServerName) -> Recheck {
    Recheck {
        authority: facts.authority.clone(),
        tokens: chain.links().iter().map(|l| l.hash).collect(),
        holders: chain.links().iter().map(|l| l.claims.holder.thumbprint()).collect(),
        server: server.clone(),
    }
}

pub(crate) fn owner(chain: &Chain, facts: &Facts, server: &ServerName) -> Option<Owner> {
    let leaf = chain.links().last()?;
    let root = match leaf.claims.holder.key() {
        Some(_) => chain.root_hash(),
        None => {
            let who = &facts.authority;
            let whose = Object::new()
                .with("principal", &who.principal)
                .with("agent", &who.agent)
                .with("client", who.client.as_deref());
            sha256(Json::from(whose).canonical().as_bytes())
        }
    };
    Some(Owner { server: server.clone(), key: leaf.claims.holder.thumbprint(), root })
}

fn lease(chain: &Chain, facts: &Facts, server: &ServerName) -> Lease {
    Lease {
        expires: Timestamp::from_seconds(chain.expires()),
        recheck: recheck(chain, facts, server),
    }
}

fn context<'a>(gateway: &'a Inner, anchors: &'a Anchors, now: Timestamp) -> Context<'a> {
    Context {
        now,
        anchors,
        audiences: std::slice::from_ref(&gateway.audience),
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &gateway.config.chain,
    }
}

/// One tool server's endpoint as a resource: an access token names it, and not
/// the whole gateway, so that no token is good for two tool servers.
struct Resource<'g> {
    gateway: &'g Inner,
    uri: [String; 1],
    nonces: Option<[String; 2]>,
}

impl<'g> Resource<'g> {
    fn new(gateway: &'g Inner, server: &ServerName, now: Timestamp) -> Self {
        let uri = [gateway.config.endpoint(server.as_str())];
        Self { gateway, uri, nonces: gateway.accepted_nonces(now) }
    }

    fn uri(&self) -> &str {
        let [uri] = &self.uri;
        uri
    }

    fn context<'a>(&'a self, anchors: &'a Anchors, now: Timestamp) -> Context<'a> {
        let context = context(self.gateway, anchors, now);
        let accepted_nonces = self.nonces.as_ref().map(<[String; 2]>::as_slice);
        let proof = ProofPolicy { accepted_nonces, ..context.proof };
        Context { audiences: &self.uri, proof, ..context }
    }

    fn token<'t>(
        &self,
        presentation: &'t Presentation,
        limits: &ChainLimits,
    ) -> Result<access::Unverified<'t>, Denial> {
        let token = presentation.chain.first().map(String::as_str).unwrap_or_default();
        access::Unverified::parse(token, limits)
    }
}

/// What a token's holder shows for a request to `uri`.
fn shown<'p>(presentation: &'p Presentation, method: &'p str, uri: &'p str) -> Shown<'p> {
    let proof = presentation.proof.as_str();
    match presentation.form {
        Form::Bearer => Shown::Bearer { request: proof },
        _ => Shown::Dpop(dpop::Request { proof, method, uri }),
    }
}

fn inputs(gateway: &Inner) -> Inputs<'_> {
    Inputs {
        registry: gateway.ports.registry.as_ref(),
        staleness_bound: gateway.config.staleness_seconds.0,
    }
}

/// The session that the caller names, if it is the caller's.
fn session(
    gateway: &Inner,
    id: Option<&str>,
    known: &dyn Known,
    server: &ServerName,
    now: Timestamp,
) -> Result<Option<Arc<Session>>, NoSession> {
    let Some(id) = id else { return Ok(None) };
    let (chain, facts) = (known.chain(), known.facts());
    let owner = owner(chain, facts, server).ok_or(NoSession::Foreign)?;
    let (lease, idle) = (lease(chain, facts, server), gateway.config.session_idle_seconds);
    gateway.sessions.of(id, &owner, lease, now, idle).map(Some)
}

fn no_session(no: NoSession, known: impl Known + 'static) -> Stopped {
    let denial = Denial::new(Reason::SessionMismatch).about("mcp-session-id");
    // An authenticated caller may learn that its session is over; somebody
    // else's session is not admitted to exist.
    Stopped { session_ended: no == NoSession::Ended, ..Stopped::known(denial, known) }
}

/// Verifies a call.
pub(crate) fn identify(
    gateway: &Inner,
    request: Arc<CallRequest>,
    now: Timestamp,
) -> Result<Identified, Stopped> {
    let presentation = &request.presentation;
    let call = Call { tool: request.call.tool.as_str(), arguments: &request.call.arguments };
    let (limits, anchors) = (&gateway.config.chain, gateway.anchors());
    let verified = match presentation.form {
        Form::Chain => {
            let chain =
                Unverified::parse(&presentation.chain, limits).map_err(Stopped::stranger)?;
            let context = context(gateway, &anchors, now);
            examine::<Accountable>(&chain, &presentation.proof, &call, &context, inputs(gateway))
        }
        Form::Dpop | Form::Bearer => {
            let resource = Resource::new(gateway, &request.server, now);
            let token = resource.token(presentation, limits).map_err(Stopped::stranger)?;
            let (method, uri) = match &request.speech {
                Speech::Http { asked: Some((method, url)) } => (*method, url.as_str()),
                Speech::Peer(spoken) => (spoken.at.0, spoken.at.1.as_str()),
                _ => ("POST", resource.uri()),
            };
            let shown = shown(presentation, method, uri);
            let context = resource.context(&anchors, now);
            examine_access::<Accountable>(&token, shown, &call, &context, inputs(gateway))
        }
    }
    .map_err(refused)?;
    match session(gateway, request.session.as_deref(), &verified, &request.server, now) {
        Ok(session) => Ok(Identified { request, verified, session }),
        Err(no) => Err(no_session(no, verified)),
    }
}

fn refused(refused: bailiwick_core::aat::verify::Refused<Accountable>) -> Stopped {
    match refused.known {
        Some(known) => Stopped::known(refused.denial, known),
        None => Stopped::stranger(refused.denial),
    }
}

/// Verifies a message that is not a call, sent with `http_method` to `uri` or
/// to the tool server's endpoint of MCP.
pub(crate) async fn identify_message(
    gateway: &Inner,
    server: &ServerName,
    presentation: &Presentation,
    (http_method, uri): (&str, Option<&str>),
    session_id: Option<&str>,
    now: Timestamp,
) -> Result<Caller, Stopped> {
    let (limits, anchors) = (&gateway.config.chain, gateway.anchors());
    let resource = Resource::new(gateway, server, now);
    let uri = uri.unwrap_or_else(|| resource.uri());
    let (present, proof) = match presentation.form {
        Form::Chain => {
            let leaf = presentation.chain.last().map(String::as_str).unwrap_or_default();
            let proof = presentation.proof.as_str();
            let proof = dpop::Request { proof, method: http_method, uri };
            let chain =
                Unverified::parse(&presentation.chain, limits).map_err(Stopped::stranger)?;
            let context = context(gateway, &anchors, now);
            verify_presence::<Accountable>(&chain, leaf, &proof, &context, inputs(gateway))
                .map(|(present, accepted)| (present, Some((accepted.jti, accepted.iat))))
        }
        Form::Dpop | Form::Bearer => {
            let token = resource.token(presentation, limits).map_err(Stopped::stranger)?;
            let shown = shown(presentation, http_method, uri);
            let context = resource.context(&anchors, now);
            access_presence::<Accountable>(&token, shown, &context, inputs(gateway)).map(
                |(present, proof)| {
                    // A bearer proves nothing that could be spent.
                    let spent = presentation.form == Form::Dpop;
                    (present, spent.then_some((proof.jti, proof.iat)))
                },
            )
        }
    }
    .map_err(refused)?;
    let present = Box::new(present);
    if let Some((jti, iat)) = proof {
        let spend = Spend {
            audience: gateway.audience.clone(),
            key: spend_key(present.chain().leaf_hash(), &jti),
            expires: spent_until(gateway, iat),
        };
        // SECURITY: spent on disk, like the proofs of calls: a restart forgets
        // none.
        gateway.ports.journal.spend(spend).await.map_err(|refusal| {
            let reason = match refusal {
                RecordRefusal::Replayed => Reason::ProofReplayed,
                _ => Reason::StateUnavailable,
            };
            Stopped::stranger(Denial::new(reason).about("DPoP"))
        })?;
    }
    match session(gateway, session_id, &present, server, now) {
        Ok(session) => Ok(Caller { present, session }),
        Err(no) => Err(no_session(no, present)),
    }
}

/// Verifies chain and proof of a call that needs no authority for itself. The proof is
/// not spent.
pub(crate) fn attended(
    gateway: &Inner,
    request: &CallRequest,
    now: Timestamp,
) -> Result<(Box<Present<Accountable>>, Proof), Stopped> {
    let presentation = &request.presentation;
    let call = Call { tool: request.call.tool.as_str(), arguments: &request.call.arguments };
    let anchors = gateway.anchors();
    let chain =
        Unverified::parse(&presentation.chain, &gateway.config.chain).map_err(Stopped::stranger)?;
    let context = context(gateway, &anchors, now);
    attend::<Accountable>(&chain, &presentation.proof, &call, &context, inputs(gateway))
        .map(|(present, proof)| (Box::new(present), proof))
        .map_err(refused)
}

/// Verifies a call of one of the gateway's own tools, which needs no authority for
/// itself: chain, proof over the call, session. The proof is spent, on disk.
pub(crate) async fn identify_asking(
    gateway: &Inner,
    request: &CallRequest,
    now: Timestamp,
) -> Result<Caller, Stopped> {
    let (present, proof) = attended(gateway, request, now)?;
    let spend = Spend {
        audience: gateway.audience.clone(),
        key: spend_key(present.chain().leaf_hash(), &proof.jti),
        expires: spent_until(gateway, proof.iat),
    };
    gateway.ports.journal.spend(spend).await.map_err(|refusal| {
        let reason = match refusal {
            RecordRefusal::Replayed => Reason::ProofReplayed,
            _ => Reason::StateUnavailable,
        };
        Stopped::stranger(Denial::new(reason))
    })?;
    match session(gateway, request.session.as_deref(), &present, &request.server, now) {
        Ok(session) => Ok(Caller { present, session }),
        Err(no) => Err(no_session(no, present)),
    }
}

/// The name under which a proof is spent: no two leaves share proofs.
pub(crate) fn spend_key(leaf: Digest, jti: &str) -> Digest {
    let mut bytes = leaf.bytes().to_vec();
    bytes.extend_from_slice(jti.as_bytes());
    sha256(&bytes)
}

/// When a proof of `iat` is too old by itself, with a second to spare for the
/// edge and for rounding.
pub(crate) fn spent_until(gateway: &Inner, iat: i64) -> Timestamp {
    Timestamp::from_seconds(iat).plus_seconds(gateway.config.chain.pop_window.saturating_add(2))
}
