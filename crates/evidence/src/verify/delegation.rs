//! The call, verified again: chain, possession and accountable rules, by the
//! same front door and at the same time as the gateway did.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::verify::{
    Call, Chain, Context, ProofPolicy, Shown, Unverified, Verified, examine, examine_access,
};
use bailiwick_core::access;
use bailiwick_core::accountable::{
    Accountable, Authority, BUDGET, GrantStanding, Hop, Inputs, Question, Registry, Standing,
    Unavailable,
};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::{Thumbprint, from_base64url};
use bailiwick_core::denial::{Denial, Stage};
use bailiwick_core::dpop;
use bailiwick_core::guarantee::{Assurance, Guarantee};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;

use super::authority::{Enrolled, Grant};
use super::receipts::Opened;
use super::{Case, agree};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;

/// The bounds that every gateway keeps; a gateway may be stricter.
pub(super) const LIMITS: ChainLimits = ChainLimits::DEFAULT;

/// What a caller presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A chain with a proof over the call.
    Chain,
    /// An access token with a DPoP proof.
    Dpop,
    /// An access token, and the id that the gateway gave the request.
    Bearer,
}

impl Form {
    pub(super) const fn assurance(self) -> Assurance {
        match self {
            Self::Chain => Assurance::Arguments,
            Self::Dpop => Assurance::Token,
            Self::Bearer => Assurance::None,
        }
    }

    /// What kind of token was presented says its own header; whether it holds
    /// is verified later.
    fn of(chain: &[String], proof: &str) -> Self {
        match chain {
            [token] if access::Unverified::parse(token, &LIMITS).is_ok() => {
                // A proof is a JWS, an id is not.
                if proof.contains('.') { Self::Dpop } else { Self::Bearer }
            }
            _ => Self::Chain,
        }
    }
}

/// What the caller presented.
pub(super) struct Presented {
    pub(super) form: Form,
    pub(super) tool: String,
    pub(super) arguments: Object,
    pub(super) chain: Vec<String>,
    pub(super) proof: String,
}

impl Presented {
    /// From the decision's disclosures.
    pub(super) fn read(decided: &Opened) -> Result<Self, Failure> {
        const CHECK: Check = Check::Delegation;
        let chain = texts(decided.value("chain")?)
            .ok_or_else(|| Failure::new(CHECK, "the disclosed `chain` is no list of tokens"))?;
        let proof = decided.value_text(CHECK, "proof")?.to_owned();
        let arguments = decided.value_object(CHECK, "arguments")?.clone();
        Ok(Self {
            form: Form::of(&chain, &proof),
            tool: tool(decided)?.to_owned(),
            arguments: as_written(&proof, arguments),
            chain,
            proof,
        })
    }
}

/// The tool: stated by the entry, or committed to when the caller made its
/// name up.
fn tool(decided: &Opened) -> Result<&str, Failure> {
    match Subject::Tool.of_entry(&decided.entry) {
        Some(tool) => Ok(tool),
        None => decided.value_text(Check::Delegation, "tool"),
    }
}

pub(super) fn texts(json: &Json) -> Option<Vec<String>> {
    json.as_array()?.iter().map(|t| t.as_str().map(str::to_owned)).collect()
}

/// The same arguments with numbers as the caller wrote them: a bundle holds
/// canonical forms, in which a number that cannot be represented exactly looks
/// like another one. The proof keeps the text.
fn as_written(proof: &str, arguments: Object) -> Object {
    let claims = Compact::parse(proof).and_then(|p| p.claims(&LIMITS.json)).ok();
    match claims.as_ref().and_then(|c| c.member("hta")?.as_object()) {
        Some(written) if *written == arguments => written.clone(),
        _ => arguments,
    }
}

/// What was established again.
pub(super) struct Redone {
    pub(super) chain: Chain,
    pub(super) authority: Authority,
    pub(super) hops: Vec<Hop>,
    pub(super) guarantee: Guarantee,
    pub(super) staleness_ms: i64,
    /// The result: a denial here is of the authority stage, so chain,
    /// possession and every hop held.
    pub(super) result: Result<(), Denial>,
}

/// The registry at the time: identities from the log, and what only the
/// gateway could know (activity, revocations) from the inputs it retained.
struct Retained {
    standing: Standing,
    holders: Vec<Thumbprint>,
}

impl Registry for Retained {
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable> {
        let mut standing = self.standing.clone();
        standing.hops = question
            .holders
            .iter()
            .enumerate()
            .map(|(i, holder)| {
                let known = self.holders.get(i).is_some_and(|h| h == holder);
                self.standing.hops.get(i).cloned().flatten().filter(|_| known)
            })
            .collect();
        Ok(standing)
    }
}

/// Verifies the call again.
pub(super) fn redo(
    case: &Case<'_>,
    presented: &Presented,
    grant: &Grant,
    enrolled: &[Enrolled],
) -> Result<Redone, Failure> {
    const CHECK: Check = Check::Delegation;
    let decided = case.decided;
    let now = decided.entry.time;
    let audience = decided.text(CHECK, "audience")?;
    ensure(case.trust.audiences.iter().any(|a| a == audience), CHECK, || {
        "the decision names an audience that the trust file does not list".to_owned()
    })?;
    let (standing, staleness_bound) = inputs(decided, grant, enrolled)?;
    let staleness_ms = now.millis_since(standing.revocations_as_of).max(0);
    let hops: Vec<Hop> = standing.hops.iter().flatten().cloned().collect();
    let registry = Retained { standing, holders: enrolled.iter().map(|e| e.holder).collect() };
    let anchors = case.trust.anchors_at(now);
    let inputs = Inputs { registry: &registry, staleness_bound };
    let call = Call { tool: &presented.tool, arguments: &presented.arguments };
    let fail = |d: Denial| Failure::new(CHECK, format!("{} ({d})", d.reason.code()));
    // An access token is for one endpoint of the gateway.
    let resource = match presented.form {
        Form::Chain => audience.to_owned(),
        Form::Dpop | Form::Bearer => format!("{audience}/{}", decided.text(CHECK, "server")?),
    };
    let audiences = [resource.clone()];
    let context = Context {
        now,
        anchors: &anchors,
        audiences: &audiences,
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &LIMITS,
    };
    let proof = presented.proof.as_str();
    let examined = if presented.form == Form::Chain {
        let unverified = Unverified::parse(&presented.chain, &LIMITS).map_err(fail)?;
        examine::<Accountable>(&unverified, proof, &call, &context, inputs)
    } else {
        let token = presented.chain.first().map(String::as_str).unwrap_or_default();
        let token = access::Unverified::parse(token, &LIMITS).map_err(fail)?;
        let at = proved_at(&presented.tool, &resource, proof).unwrap_or_else(|| {
            // Every call of MCP is a POST to the endpoint.
            ("POST".to_owned(), resource.clone())
        });
        let shown = match presented.form {
            Form::Bearer => Shown::Bearer { request: proof },
            _ => Shown::Dpop(dpop::Request { proof, method: &at.0, uri: &at.1 }),
        };
        examine_access::<Accountable>(&token, shown, &call, &context, inputs)
    };
    // Possession and identity come before authority: a later denial means
    // that they held, and names who called.
    let (chain, result) = match examined {
        Ok(verified) => (Verified::chain(&verified).clone(), Ok(())),
        Err(refused) => match refused.known {
            Some(known) if refused.denial.reason.stage() >= Stage::Authority => {
                (known.chain().clone(), Err(refused.denial))
            }
            _ => return Err(fail(refused.denial)),
        },
    };
    let root = chain.links().first().ok_or_else(|| Failure::new(CHECK, "the chain is empty"))?;
    let authority = Authority::from_claims(&root.claims.all).map_err(fail)?;
    let guarantee = hops.iter().map(|h| h.guarantee).min().unwrap_or(Guarantee::Key);
    Ok(Redone { chain, authority, hops, guarantee, staleness_ms, result })
}

/// The retained inputs, held against what the log proves.
fn inputs(
    decided: &Opened,
    grant: &Grant,
    enrolled: &[Enrolled],
) -> Result<(Standing, i64), Failure> {
    const CHECK: Check = Check::Delegation;
    let inputs = decided.value_object(CHECK, "inputs")?;
    let malformed = |what: &str| Failure::new(CHECK, format!("the retained `{what}` is malformed"));
    if let Some(stated) = decided.body("inputs") {
        let commitment = decided.commitment("inputs").map(Json::from);
        agree(CHECK, commitment.as_ref() == Some(stated), "the digest of the retained inputs")?;
    }
    let mut standing = inputs
        .member("standing")
        .and_then(Standing::from_json)
        .ok_or_else(|| malformed("inputs.standing"))?;
    let bound = inputs
        .member("staleness_bound")
        .and_then(|b| b.as_number()?.as_plain_integer())
        .ok_or_else(|| malformed("inputs.staleness_bound"))?;
    let same = standing.hops.len() == enrolled.len()
        && standing.hops.iter().zip(enrolled).all(|(recorded, proved)| {
            // Whether they were active then, the owner included, only the
            // gateway's record can say.
            let active = |h: &Hop| Hop {
                instance_active: true,
                agent_active: true,
                owner: h.owner.clone().or_else(|| proved.hop.owner.clone()),
                // What its domain said then only the gateway's record can say.
                domain_as_of: None,
                ..h.clone()
            };
            recorded.as_ref().map(active).as_ref() == Some(&proved.hop)
        });
    ensure(same, CHECK, || "the retained inputs contradict the enrolments".to_owned())?;
    if let Some(alias) = &standing.principal_alias {
        let stated = decided.subject(CHECK, Subject::Principal)?;
        agree(CHECK, alias == stated, "the principal's alias in the retained inputs")?;
    }
    // What the log proves of the grant replaces what was retained.
    standing.grant = standing.grant.map(|g| GrantStanding {
        digest: grant.statement.digest(),
        not_after: Timestamp::from_seconds(grant.statement.not_after),
        attested: !grant.signed_by.is_the_principals(),
        ended: g.ended,
        account: g.account,
    });
    Ok((standing, bound))
}

/// The root permits no more than the grant: tools, depth, budget, gateways.
pub(super) fn scope(redone: &Redone, grant: &Grant) -> Result<(), Failure> {
    const CHECK: Check = Check::Scope;
    let statement = &grant.statement;
    let root =
        redone.chain.links().first().ok_or_else(|| Failure::new(CHECK, "the chain is empty"))?;
    let granted = Scope::parse(&statement.tools, Dialect::Extended, LIMITS.max_constraint_depth)
        .map_err(|e| Failure::new(CHECK, format!("the grant's tools: {e}")))?;
    let nothing = Scope::empty();
    granted
        .covers(root.claims.scope.as_ref().unwrap_or(&nothing))
        .map_err(|w| Failure::new(CHECK, format!("the root permits more than the grant: {w}")))?;
    ensure(root.claims.max_depth <= statement.max_depth, CHECK, || {
        "the root may be delegated deeper than the grant says".to_owned()
    })?;
    let budget = root.claims.all.member(BUDGET).and_then(Json::as_object);
    for (member, limit) in statement.budget.iter() {
        let amount = |json: &Json| json.as_number()?.as_plain_integer();
        let within = budget
            .and_then(|b| amount(b.member(member)?))
            .zip(amount(limit))
            .is_some_and(|(stated, granted)| stated <= granted);
        ensure(within, CHECK, || {
            format!("the root's budget `{member}` is beyond the grant's or missing")
        })?;
    }
    let gateways = root.claims.aud.as_deref().unwrap_or_default();
    // An endpoint of a gateway lies under the gateway's own name.
    let granted = |resource: &String| {
        statement.audience.iter().any(|gateway| {
            resource
                .strip_prefix(gateway.as_str())
                .is_some_and(|r| r.is_empty() || r.starts_with('/'))
        })
    };
    ensure(gateways.iter().all(granted), CHECK, || {
        "the root names a gateway that the grant does not".to_owned()
    })
}

/// Method and URL that the DPoP proof of an HTTP API's or an agent's call names,
/// where the URL lies at its endpoint: `…/http/<tool server>/…`, `…/a2a/<tool
/// server>` or below, beside the resource `…/mcp/<tool server>` that the token is for.
fn proved_at(tool: &str, resource: &str, proof: &str) -> Option<(String, String)> {
    let (plane, rest) =
        tool.split_once(':').filter(|(plane, _)| ["a2a", "http"].contains(plane))?;
    let server = rest.split(':').next()?;
    let base = resource.strip_suffix(&format!("/mcp/{server}"))?;
    let claims = from_base64url(proof.split('.').nth(1)?)?;
    let claims = Json::parse(&claims, &JsonLimits::DEFAULT).ok()?;
    let text = |name: &str| claims.as_object()?.member(name)?.as_str();
    let (method, url) = (text("htm")?, text("htu")?);
    // The JSON-RPC binding of an agent is at the endpoint itself.
    let endpoint = format!("{base}/{plane}/{server}");
    let below = url.strip_prefix(endpoint.as_str())?;
    let fits = below.starts_with('/') || (plane == "a2a" && below.is_empty());
    fits.then(|| (method.to_owned(), url.to_owned()))
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::base64url;

    use super::*;

    #[test]
    fn a_proof_of_an_http_call_names_a_url_below_its_own_endpoint() {
        let resource = "https://gate.example/mcp/orders";
        let at = |tool: &str, url: &str| {
            let claims = format!(r#"{{"htm":"GET","htu":"{url}"}}"#);
            proved_at(tool, resource, &format!("h.{}.s", base64url(claims.as_bytes())))
        };
        let url = "https://gate.example/http/orders/orders/7";
        assert_eq!(at("http:orders:getOrder", url), Some(("GET".to_owned(), url.to_owned())));
        for below in ["", "/message:send"] {
            let url = format!("https://gate.example/a2a/orders{below}");
            let found = at("a2a:orders:SendMessage", &url);
            assert_eq!(found, Some(("GET".to_owned(), url.clone())));
            assert_eq!(at("http:orders:getOrder", &url), None);
        }
        for (tool, url) in [
            ("a2a:orders:SendMessage", "https://gate.example/a2a/orders2"),
            ("mcp:orders:tools/x", url),
            ("http:other:getOrder", url),
            ("http:orders:getOrder", "https://gate.example/http/other/orders/7"),
            ("http:orders:getOrder", "https://evil.example/http/orders/orders/7"),
            ("http:orders:getOrder", resource),
        ] {
            assert_eq!(at(tool, url), None, "{tool} {url}");
        }
    }
}
