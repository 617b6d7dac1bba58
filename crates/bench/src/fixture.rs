//! A presentation as a gateway gets it: a refund for one of two orders, up to
//! an amount, in one currency, proved by the leaf's key.

use std::collections::HashMap;

use bailiwick_core::aat::make::{Content, ProofFor, derive, issue, prove};
use bailiwick_core::aat::verify::{Anchors, Call, Context, ProofPolicy, Unverified};
use bailiwick_core::accountable::{
    Authority, GrantStanding, Hop, Inputs, Question, Registry, Standing, Unavailable,
};
use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::crypto::{Digest, Signer, SigningKey, Thumbprint, sha256};
use bailiwick_core::denial::Denial;
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, PrincipalId, TaskId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::scope::{ArgumentRules, Scope};
use bailiwick_core::time::Timestamp;

use crate::Failure;

/// The time of every call, seconds.
pub(crate) const NOW: i64 = 1_800_000_000;
/// The tool.
pub(crate) const TOOL: &str = "mcp:support-desk:tools/refund";
/// The orders that may be refunded.
pub(crate) const ORDERS: [&str; 2] = ["ord-88210", "ord-88211"];
/// The order of the call.
pub(crate) const ORDER: &str = ORDERS[1];
/// The most that may be refunded.
pub(crate) const AMOUNT_MAX: i64 = 200;
/// The amount of the call.
pub(crate) const AMOUNT: i64 = 120;
/// The currency that is allowed, and called for.
pub(crate) const CURRENCY: &str = "EUR";
/// The issuer of the root.
pub(crate) const ISSUER: &str = "https://authority.example";
/// The gateway.
pub(crate) const AUDIENCE: &str = "https://gateway.example/mcp";

/// A key that is the same in every run.
pub(crate) fn key(number: u8) -> Result<SigningKey, Failure> {
    Ok(SigningKey::from_seed(&[number; 32])?)
}

/// The tool with its three constraints; `amount_max` lets a case widen them.
pub(crate) fn scope(amount_max: i64) -> Result<Scope, Failure> {
    let range =
        Object::new().with("constraint_type", "range").with("min", 0_i64).with("max", amount_max);
    let arguments = [
        ("amount", Constraint::parse(&range.into(), Dialect::Core, 1)?),
        ("currency", Constraint::exact(CURRENCY)?),
        ("order_id", Constraint::one_of(ORDERS.map(Json::from))?),
    ];
    let rules =
        ArgumentRules::new(arguments.map(|(name, rule)| (name.to_owned(), rule, false)), false)?;
    Ok(Scope::from_entries([(TOOL.to_owned(), rules)])?)
}

/// The arguments of the call.
pub(crate) fn arguments() -> Object {
    Object::new().with("order_id", ORDER).with("amount", AMOUNT).with("currency", CURRENCY)
}

/// The token at `at` in the chain, for the holder of that number.
pub(crate) fn content(at: u8, audience: bool) -> Result<Content, Failure> {
    Ok(Content {
        jti: format!("018f3c2e-7b1a-7c55-9d20-{at:012}"),
        now: Timestamp::from_seconds(NOW - 60),
        exp: NOW + 840 - i64::from(at),
        nbf: None,
        holder: key(at + 1)?.public_key(),
        scope: scope(AMOUNT_MAX)?,
        max_depth: 8,
        aud: if audience { vec![AUDIENCE.to_owned()] } else { Vec::new() },
        budget: Object::new(),
    })
}

/// Who is behind the root.
fn authority() -> Result<Authority, Failure> {
    let at = Timestamp::from_seconds(NOW - 60);
    Ok(Authority {
        client: None,
        principal: PrincipalId::parse("user:142")?,
        agent: AgentId::parse("agent:support-runner")?,
        task: TaskId::mint(at, [1; 10]),
        purpose: "resolve support ticket".to_owned(),
        workflow: WorkflowId::parse("support-tickets")?,
        workflow_digest: sha256(b"workflow"),
        grant: GrantId::mint(at, [2; 10]),
        grant_digest: sha256(b"grant"),
    })
}

/// A chain with its proof, and everything that verification is given.
pub(crate) struct Presentation {
    pub(crate) tokens: Vec<String>,
    pub(crate) proof: String,
    pub(crate) anchors: Anchors,
    pub(crate) audiences: Vec<String>,
    pub(crate) limits: ChainLimits,
    pub(crate) tool: String,
    pub(crate) arguments: Object,
    pub(crate) registry: Enrolled,
}

impl Presentation {
    /// A chain of `depth` tokens whose root has the accountable claims.
    pub(crate) fn accountable(depth: u8) -> Result<Self, Failure> {
        Self::made(depth, &authority()?.to_claims(), true)
    }

    /// A chain of `depth` tokens with what the draft asks for only.
    pub(crate) fn plain(depth: u8) -> Result<Self, Failure> {
        Self::made(depth, &Object::new(), false)
    }

    fn made(depth: u8, claims: &Object, audience: bool) -> Result<Self, Failure> {
        let limits = ChainLimits::DEFAULT;
        let mut tokens = vec![issue(ISSUER, &content(0, audience)?, claims, &key(0)?, &limits)?];
        for at in 1..depth {
            let parent = tokens.last().ok_or("no root")?;
            tokens.push(derive(parent, &content(at, false)?, &key(at)?, &limits)?);
        }
        let mut presentation = Self {
            proof: String::new(),
            tokens,
            anchors: Anchors::new(vec![(ISSUER.to_owned(), key(0)?.public_key())])?,
            audiences: vec![AUDIENCE.to_owned()],
            limits,
            tool: TOOL.to_owned(),
            arguments: arguments(),
            registry: Enrolled::with(depth)?,
        };
        presentation.proof = presentation.proved(TOOL, &arguments(), NOW)?;
        Ok(presentation)
    }

    /// A proof by the leaf's key.
    pub(crate) fn proved(
        &self,
        tool: &str,
        arguments: &Object,
        at: i64,
    ) -> Result<String, Failure> {
        let leaf = self.tokens.last().ok_or("no leaf")?;
        let proof = ProofFor {
            jti: "018f3c2e-7b1a-7c55-9d20-c0ffee000001",
            now: Timestamp::from_seconds(at),
            tool,
            arguments,
            audience: Some(AUDIENCE),
            nonce: None,
        };
        Ok(prove(leaf, &proof, &key(self.depth())?, &self.limits)?)
    }

    /// How many tokens there are.
    pub(crate) fn depth(&self) -> u8 {
        u8::try_from(self.tokens.len()).unwrap_or(u8::MAX)
    }

    /// What the enforcement point knows.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            now: Timestamp::from_seconds(NOW),
            anchors: &self.anchors,
            audiences: &self.audiences,
            require_chain_audience: false,
            proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
            limits: &self.limits,
        }
    }

    /// The call.
    pub(crate) fn call(&self) -> Call<'_> {
        Call { tool: &self.tool, arguments: &self.arguments }
    }

    /// The chain, framed.
    pub(crate) fn framed(&self) -> Result<Unverified<'_>, Denial> {
        Unverified::parse(&self.tokens, &self.limits)
    }

    /// What the accountable profile asks.
    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs { registry: &self.registry, staleness_bound: 10 }
    }

    /// Every signature to be verified, with its key: root first, proof last.
    pub(crate) fn signatures(&self) -> Result<Vec<([u8; 32], &str)>, Failure> {
        (0..=self.depth())
            .zip(self.tokens.iter().chain([&self.proof]))
            .map(|(number, token)| Ok((*key(number)?.public_key().as_bytes(), token.as_str())))
            .collect()
    }
}

/// A registry in memory, with more in it than the chain asks for.
pub(crate) struct Enrolled {
    hops: HashMap<Thumbprint, Hop>,
    grants: HashMap<GrantId, GrantStanding>,
    principals: HashMap<PrincipalId, String>,
    pub(crate) revoked: std::collections::HashSet<Digest>,
}

impl Enrolled {
    fn with(depth: u8) -> Result<Self, Failure> {
        let now = Timestamp::from_seconds(NOW);
        let mut hops = HashMap::new();
        for number in 1..=depth.max(100) {
            let hop = Hop {
                instance: InstanceId::mint(now, [number; 10]),
                agent: AgentId::parse("agent:support-runner")?,
                owner: Some(PrincipalId::parse("user:7")?),
                instance_active: true,
                agent_active: true,
                guarantee: Guarantee::Key,
                handoff: None,
                isolation: Isolation::Unstated,
                domain_as_of: None,
            };
            hops.insert(key(number)?.public_key().thumbprint(), hop);
        }
        let authority = authority()?;
        let standing = GrantStanding {
            digest: authority.grant_digest,
            not_after: now.plus_seconds(900),
            attested: false,
            ended: false,
            account: None,
        };
        let revoked = (0..1000_u32).map(|i| sha256(&i.to_le_bytes())).collect();
        Ok(Self {
            hops,
            grants: HashMap::from([(authority.grant, standing)]),
            principals: HashMap::from([(
                authority.principal,
                "5b3f0c1e-0f52-4a6e-9a2b-0d4c1f0a7e11".to_owned(),
            )]),
            revoked,
        })
    }

    /// Forgets the key of hop `number`.
    pub(crate) fn forget(&mut self, number: u8) -> Result<(), Failure> {
        self.hops.remove(&key(number)?.public_key().thumbprint());
        Ok(())
    }
}

impl Registry for Enrolled {
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable> {
        let alias = self.principals.get(&question.authority.principal);
        let now = Timestamp::from_seconds(NOW);
        Ok(Standing {
            hops: question.holders.iter().map(|holder| self.hops.get(holder).cloned()).collect(),
            principal_active: alias.is_some(),
            principal_alias: alias.cloned(),
            grant: self.grants.get(&question.authority.grant).cloned(),
            revoked: question
                .tokens
                .iter()
                .any(|token| self.revoked.contains(token))
                .then(|| "delegation".to_owned()),
            stop: None,
            exceeds: None,
            revocations_as_of: now,
            last_durable: now,
        })
    }
}
