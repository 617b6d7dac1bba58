//! What verdicts cost in signatures, and chains that are presented again.

use super::*;
use crate::aat::make::{Content, ProofFor, derive, issue, prove_unchecked};
use crate::accountable::{
    self, Account, Accountable, Authority, Charge, GrantStanding, Hop, Inputs, Question, Registry,
    Standing, Unavailable,
};
use crate::constraint::{Constraint, Dialect};
use crate::crypto::{Signer, SigningKey, VERIFICATIONS, base64url, from_base64url, sha256};
use crate::guarantee::{Guarantee, Isolation};
use crate::ids::{AgentId, GrantId, InstanceId, PrincipalId, TaskId, WorkflowId};
use crate::limits::JsonLimits;
use crate::scope::{ArgumentRules, Scope};

mod access;
mod generated;
mod laws;

const NOW: i64 = 1_800_000_000;
const TOOL: &str = "mcp:desk:tools/refund";
const GATEWAY: &str = "https://gateway.example/mcp";
const SUM: &str = "sum/mcp:desk:tools/refund/amount";
const DEPTH: u8 = 3;

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

fn amount(of: i64) -> Object {
    Object::new().with("amount", of)
}

fn scope(most: i64) -> Scope {
    let range = Object::new().with("constraint_type", "range").with("max", most);
    let amount = Constraint::parse(&range.into(), Dialect::Core, 1).unwrap();
    let rules = ArgumentRules::new([("amount".to_owned(), amount, false)], false).unwrap();
    Scope::from_entries([(TOOL.to_owned(), rules)]).unwrap()
}

fn content(at: u8) -> Content {
    Content {
        jti: format!("token-{at}"),
        now: Timestamp::from_seconds(NOW - 60),
        exp: NOW + 600 - i64::from(at),
        nbf: None,
        holder: key(at + 1).public_key(),
        scope: scope(100),
        max_depth: 8,
        aud: if at == 0 { vec![GATEWAY.to_owned()] } else { Vec::new() },
        budget: Object::new(),
    }
}

fn authority() -> Authority {
    let at = Timestamp::from_seconds(NOW);
    Authority {
        principal: PrincipalId::parse("user:142").unwrap(),
        agent: AgentId::parse("agent:runner").unwrap(),
        client: None,
        task: TaskId::mint(at, [1; 10]),
        purpose: "refund".to_owned(),
        workflow: WorkflowId::parse("tickets").unwrap(),
        workflow_digest: sha256(b"w"),
        grant: GrantId::mint(at, [2; 10]),
        grant_digest: sha256(b"g"),
    }
}

fn root(content: &Content, signer: &SigningKey) -> String {
    rooted(content, &authority().to_claims(), signer)
}

fn rooted(content: &Content, claims: &Object, signer: &SigningKey) -> String {
    issue("https://issuer.example", content, claims, signer, &ChainLimits::DEFAULT).unwrap()
}

fn child(parent: &str, content: &Content, at: u8) -> String {
    derive(parent, content, &key(at), &ChainLimits::DEFAULT).unwrap()
}

/// The token with other claims, signed again.
fn edited(token: &str, signer: &SigningKey, edit: impl FnOnce(&mut Object)) -> String {
    let mut parts = token.split('.');
    let header = parts.next().unwrap();
    let payload = from_base64url(parts.next().unwrap()).unwrap();
    let claims = Json::parse(&payload, &JsonLimits::DEFAULT).unwrap();
    let mut claims = claims.as_object().unwrap().clone();
    edit(&mut claims);
    let input = format!("{header}.{}", base64url(Json::from(claims).canonical().as_bytes()));
    format!("{input}.{}", base64url(&signer.sign(input.as_bytes())))
}

/// Knows every key; what it says of the chain is settled beforehand.
#[derive(Clone)]
struct Register {
    enrolled: bool,
    revoked: Option<String>,
    as_of: Timestamp,
}

impl Registry for Register {
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable> {
        let hop = Hop {
            instance: InstanceId::mint(Timestamp::from_seconds(NOW), [3; 10]),
            agent: question.authority.agent.clone(),
            owner: Some(PrincipalId::parse("user:7").unwrap()),
            instance_active: true,
            agent_active: true,
            guarantee: Guarantee::Key,
            handoff: None,
            isolation: Isolation::Unstated,
            domain_as_of: None,
        };
        Ok(Standing {
            hops: question.holders.iter().map(|_| self.enrolled.then(|| hop.clone())).collect(),
            principal_active: true,
            principal_alias: None,
            grant: Some(GrantStanding {
                digest: question.authority.grant_digest,
                not_after: Timestamp::from_seconds(NOW + 900),
                attested: false,
                ended: false,
                account: None,
            }),
            revoked: self.revoked.clone(),
            stop: None,
            exceeds: None,
            revocations_as_of: self.as_of,
            last_durable: Timestamp::from_seconds(NOW - 3600),
        })
    }
}

/// Everything that a verdict depends on.
#[derive(Clone)]
struct Presented {
    tokens: Vec<String>,
    proof: String,
    tool: String,
    arguments: Object,
    now: i64,
    anchors: Anchors,
    audiences: Vec<String>,
    limits: ChainLimits,
    /// Nonces of which the proof must carry one.
    nonces: Option<Vec<String>>,
    registry: Register,
}

impl Presented {
    fn good() -> Self {
        let mut tokens = vec![root(&content(0), &key(0))];
        for at in 1..DEPTH {
            tokens.push(child(tokens.last().unwrap(), &content(at), at));
        }
        let mut good = Self::unproved(tokens);
        good.prove(NOW, &key(DEPTH));
        good
    }

    fn unproved(tokens: Vec<String>) -> Self {
        let issuer = ("https://issuer.example".to_owned(), key(0).public_key());
        Self {
            tokens,
            proof: String::new(),
            tool: TOOL.to_owned(),
            arguments: amount(50),
            now: NOW,
            anchors: Anchors::new(vec![issuer]).unwrap(),
            audiences: vec![GATEWAY.to_owned()],
            limits: ChainLimits::DEFAULT,
            nonces: None,
            registry: Register {
                enrolled: true,
                revoked: None,
                as_of: Timestamp::from_seconds(NOW + 600),
            },
        }
    }

    fn prove(&mut self, at: i64, signer: &SigningKey) {
        self.prove_with(None, at, signer);
    }

    fn prove_with(&mut self, nonce: Option<&str>, at: i64, signer: &SigningKey) {
        let leaf = Compact::parse(self.tokens.last().unwrap()).unwrap();
        let proof = ProofFor {
            jti: "proof",
            now: Timestamp::from_seconds(at),
            tool: &self.tool,
            arguments: &self.arguments,
            audience: Some(GATEWAY),
            nonce,
        };
        let jti = leaf.peek_jti().unwrap();
        self.proof = prove_unchecked(&jti, leaf.hash(), &proof, signer);
    }

    /// Runs `verdict` on this presentation.
    fn judged<R>(
        &self,
        verdict: impl FnOnce(&Self, &Call<'_>, &Context<'_>, Inputs<'_>) -> R,
    ) -> R {
        let context = Context {
            now: Timestamp::from_seconds(self.now),
            anchors: &self.anchors,
            audiences: &self.audiences,
            require_chain_audience: false,
            proof: ProofPolicy {
                require_audience: true,
                accepted_nonces: self.nonces.as_deref(),
                used: &[],
            },
            limits: &self.limits,
        };
        let call = Call { tool: &self.tool, arguments: &self.arguments };
        verdict(self, &call, &context, Inputs { registry: &self.registry, staleness_bound: 10 })
    }

    fn verdict(&self) -> Result<(), Denial> {
        self.examined().map(|_| ())
    }

    fn verified(&self) -> Verified<Accountable> {
        self.examined().unwrap()
    }

    fn examined(&self) -> Result<Verified<Accountable>, Denial> {
        self.judged(|p, call, context, inputs| {
            Unverified::parse(&p.tokens, context.limits)
                .and_then(|chain| verify::<Accountable>(&chain, &p.proof, call, context, inputs))
        })
    }

    /// The verdict by a chain that was kept from `before`.
    fn verdict_after(&self, before: &Self) -> Result<(), Denial> {
        let kept = before
            .judged(|p, _, context, _| Kept::<Accountable>::verify(&p.tokens, context))
            .unwrap();
        VERIFICATIONS.set(0);
        self.judged(|p, call, context, inputs| {
            kept.examine(&p.tokens, &p.proof, call, context, inputs)
                .map(|_| ())
                .map_err(|refused| refused.denial)
        })
    }
}

/// A presentation that was changed in one thing, the reason for its denial
/// (`None`: allowed) and the most signatures that this may cost.
type Case = (Option<Reason>, u32, fn(&mut Presented));

fn cases() -> Vec<Case> {
    fn framing(p: &mut Presented, change: fn(&str) -> String) {
        let leaf = p.tokens.last_mut().unwrap();
        *leaf = change(leaf);
    }
    vec![
        (None, 4, |_| {}),
        // Framing: no signature.
        (Some(Reason::ChainEmpty), 0, |p| p.tokens.clear()),
        (Some(Reason::TokenTooLarge), 0, |p| p.limits.max_token_size = 100),
        (Some(Reason::ChainTooLarge), 0, |p| p.limits.max_chain_size = 1000),
        (Some(Reason::PresentationMalformed), 0, |p| framing(p, |t| t.replace('.', ""))),
        (Some(Reason::PresentationMalformed), 0, |p| framing(p, |t| format!("{t}="))),
        (Some(Reason::PresentationMalformed), 0, |p| p.proof.truncate(40)),
        (Some(Reason::TokenIdRepeated), 0, |p| p.tokens.extend(p.tokens.last().cloned())),
        (Some(Reason::ClaimsMalformed), 0, |p| {
            framing(p, |t| {
                let (header, rest) = t.split_once('.').unwrap();
                let nameless = base64url(br#"{"jti":7}"#);
                format!("{header}.{nameless}.{}", rest.split_once('.').unwrap().1)
            });
        }),
        (Some(Reason::HeaderUnacceptable), 0, |p| {
            framing(p, |t| {
                let none = base64url(br#"{"alg":"none","typ":"aat+jwt"}"#);
                format!("{none}.{}", t.split_once('.').unwrap().1)
            });
        }),
        (Some(Reason::HeaderUnacceptable), 0, |p| p.proof = p.tokens[2].clone()),
        // Tokens: their own signature and those before.
        (Some(Reason::SignatureInvalid), 1, |p| p.tokens[0] = root(&content(0), &key(90))),
        (Some(Reason::TokenExpired), 1, |p| {
            let mut old = content(0);
            old.exp = NOW - 1;
            p.tokens[0] = root(&old, &key(0));
        }),
        (Some(Reason::DepthInvalid), 1, |p| {
            p.tokens.remove(0);
            let issuer = ("https://issuer.example".to_owned(), key(1).public_key());
            p.anchors = Anchors::new(vec![issuer]).unwrap();
        }),
        (Some(Reason::ClaimsMalformed), 1, |p| {
            p.tokens[0] = edited(&p.tokens[0], &key(0), |claims| {
                claims.remove("cnf");
            });
        }),
        (Some(Reason::ClaimsMalformed), 2, |p| {
            p.tokens[1] = edited(&p.tokens[1], &key(1), |claims| claims.insert("exp", "soon"));
        }),
        (Some(Reason::IssuerUntrusted), 1, |p| {
            let iss = "https://another.example";
            p.tokens[0] = edited(&p.tokens[0], &key(0), |claims| claims.insert("iss", iss));
        }),
        (Some(Reason::IssuerUntrusted), 2, |p| {
            let iss = key(3).public_key().thumbprint().to_uri();
            p.tokens[1] = edited(&p.tokens[1], &key(1), |claims| claims.insert("iss", iss));
        }),
        (Some(Reason::LifetimeInvalid), 1, |p| {
            let late = NOW - 60 + p.limits.max_token_lifetime + 1;
            p.tokens[0] = edited(&p.tokens[0], &key(0), |claims| claims.insert("exp", late));
        }),
        (Some(Reason::LifetimeInvalid), 1, |p| {
            p.tokens[0] = edited(&p.tokens[0], &key(0), |claims| {
                claims.insert("iat", NOW + 20);
                claims.insert("exp", NOW + 10);
            });
        }),
        (Some(Reason::SignatureInvalid), 2, |p| p.tokens.swap(1, 2)),
        (Some(Reason::AuthorityWidened), 2, |p| {
            let mut wide = content(0);
            wide.scope = scope(1000);
            let mut wider = content(1);
            wider.scope = scope(1000);
            p.tokens[1] = child(&root(&wide, &key(0)), &wider, 1);
        }),
        (Some(Reason::AudienceMismatch), 3, |p| p.audiences = vec!["other".to_owned()]),
        // Possession, the register and the leaf's scope: all four.
        (Some(Reason::ProofInvalid), 4, |p| p.prove(NOW, &key(91))),
        (Some(Reason::ProofNotFresh), 4, |p| p.prove(NOW - 31, &key(DEPTH))),
        (Some(Reason::ProofOtherArguments), 4, |p| p.arguments = amount(51)),
        (Some(Reason::ProofOtherTool), 4, |p| p.tool.push('s')),
        // 7h: where a nonce is asked for, none and another one are refused.
        (None, 4, |p| {
            p.nonces = Some(vec!["earlier".to_owned(), "now".to_owned()]);
            p.prove_with(Some("now"), NOW, &key(DEPTH));
        }),
        (Some(Reason::ProofNonce), 4, |p| p.nonces = Some(vec!["now".to_owned()])),
        (Some(Reason::ProofNonce), 4, |p| {
            p.nonces = Some(vec!["now".to_owned()]);
            p.prove_with(Some("then"), NOW, &key(DEPTH));
        }),
        (Some(Reason::AccountabilityMissing), 2, |p| {
            p.tokens = vec![rooted(&content(0), &Object::new(), &key(0))];
            p.prove(NOW, &key(1));
        }),
        (Some(Reason::KeyNotEnrolled), 4, |p| p.registry.enrolled = false),
        (Some(Reason::Revoked), 4, |p| p.registry.revoked = Some("delegation".to_owned())),
        (Some(Reason::RevocationStale), 4, |p| {
            p.registry.as_of = Timestamp::from_seconds(NOW - 11);
        }),
        (Some(Reason::ArgumentNotDelegated), 4, |p| {
            p.arguments = amount(101);
            p.prove(NOW, &key(DEPTH));
        }),
        (Some(Reason::ToolNotDelegated), 4, |p| {
            p.tool.push('s');
            p.prove(NOW, &key(DEPTH));
        }),
        // The moment.
        (Some(Reason::TokenExpired), 3, |p| {
            p.now = NOW + 598;
            p.prove(p.now, &key(DEPTH));
        }),
        (Some(Reason::TokenNotYetValid), 1, |p| {
            p.now = NOW - 91;
            p.prove(p.now, &key(DEPTH));
        }),
    ]
}

#[test]
fn a_root_that_leaves_any_accountable_claim_out_is_denied() {
    let whole = authority().to_claims();
    for (claim, _) in whole.iter() {
        let rest = whole.iter().filter(|(name, _)| *name != claim);
        let rest: Object = rest.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let mut presented = Presented::good();
        presented.tokens = vec![rooted(&content(0), &rest, &key(0))];
        presented.prove(NOW, &key(1));
        let denial = presented.verdict().unwrap_err();
        assert_eq!(denial, Denial::new(Reason::AccountabilityMissing).of_token(0).about(claim));
    }
}

/// Step 2c: a `jti` that cannot be read is no repeated one, and says so.
#[test]
fn a_token_id_that_cannot_be_read_is_told_from_one_that_stands_twice() {
    let with = |payload: &[u8]| {
        let mut presented = Presented::good();
        let header = presented.tokens[1].split_once('.').unwrap().0.to_owned();
        presented.tokens[1] = format!("{header}.{}.{}", base64url(payload), base64url(&[0; 64]));
        presented.verdict().unwrap_err()
    };
    let unreadable = Denial::new(Reason::ClaimsMalformed).at_step("2c").of_token(1).about("jti");
    let payloads: [&[u8]; 11] = [
        b"{}",
        br#"{"jti":7}"#,
        br#"{"jti":null}"#,
        br#"{"jti":"a","jti":"b"}"#,
        br#"{"jti":"a","\u006ati":"b"}"#,
        br#"{"x":{"jti":"a"}}"#,
        br#"["jti","a"]"#,
        br#"["a"]"#,
        br#" ["a"] "#,
        b"\xff",
        b"{",
    ];
    for payload in payloads {
        assert_eq!(with(payload), unreadable, "{}", payload.escape_ascii());
    }
    let repeated = Denial::new(Reason::TokenIdRepeated).at_step("2c").of_token(1);
    assert_eq!(with(br#"{"jti":"token-0"}"#), repeated);
    assert_eq!(with(br#"{"\u006ati":"token-\u0030"}"#), repeated);
}

#[test]
fn no_denial_checks_more_signatures_than_its_place_in_the_order_asks() {
    for (i, (reason, signatures, change)) in cases().into_iter().enumerate() {
        let mut presented = Presented::good();
        change(&mut presented);
        VERIFICATIONS.set(0);
        let verdict = presented.verdict();
        assert_eq!(verdict.err().map(|d| d.reason), reason, "case {i}");
        assert_eq!(VERIFICATIONS.get(), signatures, "case {i}: {reason:?}");
    }
}

#[test]
fn a_kept_chain_gives_the_verdict_of_a_full_verification() {
    let before = Presented::good();
    for (i, (reason, ..)) in cases().into_iter().enumerate() {
        let mut presented = Presented::good();
        cases()[i].2(&mut presented);
        assert_eq!(presented.verdict_after(&before), presented.verdict(), "case {i}: {reason:?}");
    }
}

#[test]
fn a_kept_chain_costs_the_signature_of_the_proof_and_none_when_it_has_run_out() {
    let before = Presented::good();
    assert_eq!(Presented::good().verdict_after(&before), Ok(()));
    assert_eq!(VERIFICATIONS.get(), 1);
    let mut late = Presented::good();
    late.now = NOW + 600;
    late.prove(late.now, &key(DEPTH));
    assert_eq!(late.verdict_after(&before).unwrap_err().reason, Reason::TokenExpired);
    assert_eq!(VERIFICATIONS.get(), 0);
}

#[test]
fn a_kept_chain_does_not_vouch_for_another_signature_or_after_an_issuer_was_dropped() {
    let before = Presented::good();
    // The signing input, and so the hash, stays the same.
    let mut forged = Presented::good();
    let (input, _) = forged.tokens[1].rsplit_once('.').unwrap();
    forged.tokens[1] = format!("{input}.{}", base64url(&key(92).sign(input.as_bytes())));
    assert_eq!(forged.verdict_after(&before).unwrap_err().reason, Reason::SignatureInvalid);
    let mut dropped = Presented::good();
    dropped.anchors = Anchors::default();
    assert_eq!(dropped.verdict_after(&before).unwrap_err().reason, Reason::SignatureInvalid);
    let mut stricter = Presented::good();
    stricter.limits.max_delegation_depth = 1;
    assert_eq!(stricter.verdict_after(&before).unwrap_err().reason, Reason::DepthInvalid);
}

#[test]
fn a_call_is_charged_to_its_grant_and_to_every_derived_token_until_each_ends() {
    let limited = |at: u8, most: u64, seconds: i64| {
        let budget = Object::new().with("max_calls", most).with(SUM, 100u64);
        Content { exp: NOW + seconds, budget, ..content(at) }
    };
    let mut presented = Presented::good();
    let first = root(&limited(0, 5, 600), &key(0));
    let second = child(&first, &limited(1, 3, 10), 1);
    presented.tokens = vec![first, second];
    presented.prove(NOW, &key(2));
    let verified = presented.verified();
    let charged = |arguments: &Object| {
        Charge::of(verified.chain(), verified.facts(), TOOL, arguments, verified.now())
    };
    let charges = charged(&amount(50)).unwrap();
    let seen: Vec<_> =
        charges.iter().map(|c| (c.account, c.expires.seconds(), c.amount, c.limit)).collect();
    // The grant of the root stands for 900 seconds; the leaf ends after 10.
    let (grant, leaf) = (sha256(b"g"), verified.chain().leaf_hash());
    assert_eq!(
        seen,
        [
            (grant, NOW + 900, 1, 5),
            (grant, NOW + 900, 50, 100),
            (leaf, NOW + 10, 1, 3),
            (leaf, NOW + 10, 50, 100),
        ]
    );
    // A grant that counts in an earlier one's counters does not end them with itself.
    let mut facts = verified.facts().clone();
    let account =
        Account { digest: sha256(b"first"), not_after: Timestamp::from_seconds(NOW + 5000) };
    facts.standing.grant.as_mut().unwrap().account = Some(account);
    let charges = Charge::of(verified.chain(), &facts, TOOL, &amount(50), verified.now()).unwrap();
    let first = charges.iter().find(|c| c.account == account.digest).unwrap();
    assert_eq!(first.expires.seconds(), NOW + 5000);
    assert!(charges.iter().all(|c| c.account != grant));
    // What the tool would take by itself cannot be counted.
    for free in [Object::new(), Object::new().with("amount", "50")] {
        assert_eq!(charged(&free).unwrap_err().argument, "amount");
    }
}

#[test]
fn a_window_has_a_counter_of_its_own_that_outlives_it_and_says_when_it_opens_again() {
    let (hourly, daily) = ("per/3600/max_calls", "per/86400/max_calls");
    let mut presented = Presented::good();
    let budget = Object::new()
        .with(hourly, 5u64)
        .with("per/60/max_calls", 2u64)
        .with(format!("per/60/{SUM}"), 100u64)
        .with("max_calls", 9u64)
        .with("per/60/max_calls/mcp:desk:tools/other", 1u64);
    let first = root(&Content { budget, ..content(0) }, &key(0));
    let budget = Object::new().with(daily, 3u64);
    let second = child(&first, &Content { exp: NOW + 600, budget, ..content(1) }, 1);
    presented.tokens = vec![first, second];
    presented.prove(NOW, &key(2));
    let verified = presented.verified();
    let (grant, leaf) = (sha256(b"g"), verified.chain().leaf_hash());
    let charged = |at: i64, cents: i64| {
        let (chain, facts) = (verified.chain(), verified.facts());
        let now = Timestamp::from_seconds(at);
        let charges = Charge::of(chain, facts, TOOL, &amount(cents), now).unwrap();
        let seen = charges.into_iter().map(|c| {
            let reopens = c.reopens.map(|at| at.seconds() - NOW);
            (c.account, c.counter, c.expires.seconds() - NOW, c.amount, reopens)
        });
        seen.collect::<Vec<_>>()
    };
    // NOW is the first second of an hour, of a minute, and not of a day. The
    // grant ends after 900 seconds and so before the hour: waiting for the
    // next is of no use, and neither is it for the leaf's next day. What
    // waiting does not mend comes first.
    let day = NOW - NOW % 86_400;
    let sum = format!("per/60/{SUM}@{NOW}");
    assert_eq!(
        charged(NOW, 50),
        [
            (grant, "max_calls".to_owned(), 900, 1, None),
            (grant, format!("{hourly}@{NOW}"), 3660, 1, None),
            (leaf, format!("{daily}@{day}"), day - NOW + 86_460, 1, None),
            (grant, format!("per/60/max_calls@{NOW}"), 120, 1, Some(60)),
            (grant, sum.clone(), 120, 50, Some(60)),
        ]
    );
    // The last second of the window, and the first of the next.
    let sum_of = |at, amount| charged(at, amount).into_iter().find(|c| c.1.contains("sum/"));
    assert_eq!(sum_of(NOW + 59, 50), Some((grant, sum.clone(), 120, 50, Some(60))));
    let next = format!("per/60/{SUM}@{}", NOW + 60);
    assert_eq!(sum_of(NOW + 60, 50), Some((grant, next, 180, 50, Some(120))));
    // More than a window ever allows fits into no window.
    assert_eq!(sum_of(NOW, 101), Some((grant, sum, 120, 101, None)));
}

#[test]
fn a_budget_with_a_member_that_is_not_understood_is_denied() {
    for name in [
        "per/0/max_calls",
        "per/060/max_calls",
        "per/31536001/max_calls",
        "per/-1/max_calls",
        "per/99999999999999999999/max_calls",
        "per/60/max",
        "per/60/per/60/max_calls",
        "max_call",
    ] {
        for depth in [0, 1] {
            let with = |at: u8| Content {
                budget: if at == depth { Object::new().with(name, 5u64) } else { Object::new() },
                ..content(at)
            };
            let mut presented = Presented::good();
            let first = root(&with(0), &key(0));
            let second = child(&first, &with(1), 1);
            presented.tokens = vec![first, second];
            presented.prove(NOW, &key(2));
            let denial = presented.verdict().unwrap_err();
            let seen = (denial.reason, denial.token, denial.subject.as_deref());
            let expected = (Reason::ClaimsMalformed, Some(usize::from(depth)), Some(name));
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn a_windows_limit_only_sinks_along_a_chain_and_other_windows_may_be_added() {
    let verdict = |above: &[(&str, u64)], below: &[(&str, u64)]| {
        let members = |list: &[(&str, u64)]| -> Object {
            list.iter().map(|(m, n)| ((*m).to_owned(), Json::from(*n))).collect()
        };
        let mut presented = Presented::good();
        let first = root(&Content { budget: members(above), ..content(0) }, &key(0));
        let second = child(&first, &content(1), 1);
        // Whoever derives may use other software than ours.
        let second = edited(&second, &key(1), |c| c.insert(accountable::BUDGET, members(below)));
        presented.tokens = vec![first, second];
        presented.prove(NOW, &key(2));
        presented.verdict().map_err(|d| d.reason)
    };
    let hourly = "per/3600/max_calls";
    assert_eq!(verdict(&[(hourly, 5)], &[(hourly, 6)]), Err(Reason::BudgetWidened));
    for child in [&[][..], &[(hourly, 5)], &[(hourly, 0)], &[("per/60/max_calls", 900)]] {
        assert_eq!(verdict(&[(hourly, 5)], child), Ok(()), "{child:?}");
    }
}
