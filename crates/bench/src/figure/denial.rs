//! What denials cost, beside the allowed call of the same chain.

use bailiwick_core::aat::make::{Content, ProofFor, prove_unchecked};
use bailiwick_core::aat::make::{Seen, derive, issue};
use bailiwick_core::aat::verify::verify;
use bailiwick_core::accountable::Accountable;
use bailiwick_core::crypto::{Signer, SigningKey, base64url, sha256};
use bailiwick_core::denial::Reason;
use bailiwick_core::json::Object;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;

use crate::Failure;
use crate::fixture::{AUDIENCE, ISSUER, NOW, Presentation, TOOL, arguments, content, key, scope};
use crate::machine::Machine;
use crate::measure::{Plan, Side, turns};
use crate::peer::bare::Bare;
use crate::peer::tenuo::Tenuo;
use crate::report::{Comparison, Report};

const ALLOWED: &str = "allowed call";
const DEPTH: u8 = 3;

const ABOUT: &str = "denials at depth 3 (four signatures when the call is allowed). Framing is \
refused before any signature, bad claims after at most that token's own; in brackets the \
signatures that a denial takes.";

pub(crate) fn report(plan: &Plan) -> Result<Report, Failure> {
    let good = Presentation::accountable(DEPTH)?;
    let bare = Bare::of(good.signatures()?.into_iter().take(1))?;
    let cases = cases()?;
    let mut sides = vec![
        Side::new(ALLOWED, || outcome(&good).is_none()),
        Side::new("one signature alone", || bare.verify()),
    ];
    for case in &cases {
        let name = format!("{} ({}) [{}]", case.name, case.reason.code(), case.signatures);
        sides.push(Side::new(name, || outcome(&case.presented) == Some(case.reason)));
    }
    let timings = turns(plan, &mut sides, ALLOWED)?;
    let tenuo = Tenuo::chain(DEPTH.into())?;
    let mut peer = [
        Side::new(ALLOWED, || tenuo.verify()),
        Side::new("proof by another key", || tenuo.deny_wrong_proof()),
    ];
    let theirs = turns(plan, &mut peer, ALLOWED)?;
    Ok(Report {
        figure: "denial",
        about: ABOUT,
        machine: Machine::here(),
        comparisons: vec![
            Comparison { title: "bailiwick, accountable".to_owned(), against: ALLOWED, timings },
            Comparison { title: "tenuo 0.3.5".to_owned(), against: ALLOWED, timings: theirs },
        ],
    })
}

/// Why the presentation is denied; `None` when it is allowed.
fn outcome(presented: &Presentation) -> Option<Reason> {
    presented
        .framed()
        .and_then(|chain| {
            verify::<Accountable>(
                &chain,
                &presented.proof,
                &presented.call(),
                &presented.context(),
                presented.inputs(),
            )
        })
        .err()
        .map(|denial| denial.reason)
}

struct Case {
    name: &'static str,
    reason: Reason,
    signatures: u8,
    presented: Presentation,
}

fn cases() -> Result<Vec<Case>, Failure> {
    let mut cases = framing()?;
    cases.extend(tokens()?);
    cases.extend(proofs()?);
    cases.extend(authority()?);
    Ok(cases)
}

fn case(
    name: &'static str,
    reason: Reason,
    signatures: u8,
    change: impl FnOnce(&mut Presentation) -> Result<(), Failure>,
) -> Result<Case, Failure> {
    let mut presented = Presentation::accountable(DEPTH)?;
    change(&mut presented)?;
    Ok(Case { name, reason, signatures, presented })
}

/// Changes the last token, so that everything before it looks well.
fn leaf(p: &mut Presentation, change: impl FnOnce(&str) -> String) -> Result<(), Failure> {
    let leaf = p.tokens.last_mut().ok_or("no leaf")?;
    *leaf = change(leaf);
    Ok(())
}

fn framing() -> Result<Vec<Case>, Failure> {
    let none = base64url(br#"{"alg":"none","typ":"aat+jwt"}"#);
    Ok(vec![
        case("leaf is not base64url", Reason::PresentationMalformed, 0, |p| {
            leaf(p, |t| t.replacen("ey", "e*", 1))
        })?,
        case("leaf too large", Reason::TokenTooLarge, 0, |p| {
            leaf(p, |t| t.repeat(ChainLimits::DEFAULT.max_token_size / t.len() + 1))
        })?,
        case("last token repeated", Reason::TokenIdRepeated, 0, |p| {
            p.tokens.extend(p.tokens.last().cloned());
            Ok(())
        })?,
        case("leaf with `alg` `none`", Reason::HeaderUnacceptable, 0, |p| {
            leaf(p, |t| {
                t.split_once('.').map(|(_, rest)| format!("{none}.{rest}")).unwrap_or_default()
            })
        })?,
        case("proof with the type of a token", Reason::HeaderUnacceptable, 0, |p| {
            p.proof = p.tokens.last().cloned().unwrap_or_default();
            Ok(())
        })?,
    ])
}

/// A chain whose root has another content, or is signed by another key.
fn root(p: &mut Presentation, content: &Content, signer: &SigningKey) -> Result<(), Failure> {
    let old = p.tokens.first().ok_or("no root")?;
    let claims = Seen::parse(old, &p.limits).map_err(|d| d.to_string())?.claims;
    let extra = claims.iter().filter(|(name, _)| !DRAFT.contains(name));
    let extra: Object = extra.map(|(n, v)| (n.to_owned(), v.clone())).collect();
    let root = p.tokens.first_mut().ok_or("no root")?;
    *root = issue(ISSUER, content, &extra, signer, &ChainLimits::DEFAULT)?;
    Ok(())
}

const DRAFT: [&str; 9] = [
    "jti",
    "iss",
    "iat",
    "exp",
    "cnf",
    "del_depth",
    "del_max_depth",
    "authorization_details",
    "aud",
];

fn tokens() -> Result<Vec<Case>, Failure> {
    Ok(vec![
        case("root by an unknown key", Reason::SignatureInvalid, 1, |p| {
            root(p, &content(0, true)?, &key(90)?)
        })?,
        case("root has run out", Reason::TokenExpired, 1, |p| {
            let mut old = content(0, true)?;
            old.exp = NOW - 1;
            root(p, &old, &key(0)?)
        })?,
        case("second token by another key", Reason::SignatureInvalid, 2, |p| {
            let other = Presentation::accountable(DEPTH)?;
            let first = other.tokens.first().ok_or("no root")?;
            let stolen = content(1, false)?;
            let forged = forged(first, &stolen)?;
            p.tokens.iter_mut().skip(1).take(1).for_each(|t| t.clone_from(&forged));
            Ok(())
        })?,
        case("second token permits more", Reason::AuthorityWidened, 2, |p| {
            let wide = wider()?;
            p.tokens.iter_mut().skip(1).take(1).for_each(|t| t.clone_from(&wide));
            Ok(())
        })?,
        case("chain for another gateway", Reason::AudienceMismatch, 3, |p| {
            p.audiences = vec!["https://other.example/mcp".to_owned()];
            Ok(())
        })?,
    ])
}

/// A second token whose signature is not by the first's holder.
fn forged(root: &str, content: &Content) -> Result<String, Failure> {
    let good = derive(root, content, &key(1)?, &ChainLimits::DEFAULT)?;
    let (input, _) = good.rsplit_once('.').ok_or("no signature")?;
    Ok(format!("{input}.{}", base64url(&key(91)?.sign(input.as_bytes()))))
}

/// A second token whose amount goes beyond the root's, properly signed: made
/// under a root that permits as much.
fn wider() -> Result<String, Failure> {
    let mut wide = content(0, true)?;
    wide.scope = scope(1_000)?;
    let root = issue(ISSUER, &wide, &Object::new(), &key(0)?, &ChainLimits::DEFAULT)?;
    let mut child = content(1, false)?;
    child.scope = scope(1_000)?;
    Ok(derive(&root, &child, &key(1)?, &ChainLimits::DEFAULT)?)
}

fn proofs() -> Result<Vec<Case>, Failure> {
    Ok(vec![
        case("proof by another key", Reason::ProofInvalid, 4, |p| {
            let leaf = p.tokens.last().ok_or("no leaf")?;
            let seen = Seen::parse(leaf, &p.limits).map_err(|d| d.to_string())?;
            let arguments = arguments();
            let proof = ProofFor {
                jti: "018f3c2e-7b1a-7c55-9d20-c0ffee000002",
                now: Timestamp::from_seconds(NOW),
                tool: TOOL,
                arguments: &arguments,
                audience: Some(AUDIENCE),
                nonce: None,
            };
            p.proof = prove_unchecked(&seen.jti, seen.hash, &proof, &key(92)?);
            Ok(())
        })?,
        case("proof for other arguments", Reason::ProofOtherArguments, 4, |p| {
            p.proof = p.proved(TOOL, &arguments().with("amount", 1_i64), NOW)?;
            Ok(())
        })?,
        case("proof for another tool", Reason::ProofOtherTool, 4, |p| {
            p.proof = p.proved("mcp:support-desk:tools/read", &arguments(), NOW)?;
            Ok(())
        })?,
        case("proof not fresh", Reason::ProofNotFresh, 4, |p| {
            p.proof = p.proved(TOOL, &arguments(), NOW - 31)?;
            Ok(())
        })?,
    ])
}

fn authority() -> Result<Vec<Case>, Failure> {
    Ok(vec![
        case("leaf's key is not enrolled", Reason::KeyNotEnrolled, 4, |p| {
            p.registry.forget(DEPTH)
        })?,
        case("delegation revoked", Reason::Revoked, 4, |p| {
            let second = p.tokens.get(1).ok_or("no second token")?;
            let (input, _) = second.rsplit_once('.').ok_or("no signature")?;
            p.registry.revoked.insert(sha256(input.as_bytes()));
            Ok(())
        })?,
        case("tool not delegated", Reason::ToolNotDelegated, 4, |p| {
            "mcp:support-desk:tools/close_account".clone_into(&mut p.tool);
            p.proof = p.proved(&p.tool, &arguments(), NOW)?;
            Ok(())
        })?,
        case("argument beyond its range", Reason::ArgumentNotDelegated, 4, |p| {
            p.arguments = arguments().with("amount", 201_i64);
            p.proof = p.proved(TOOL, &p.arguments, NOW)?;
            Ok(())
        })?,
    ])
}
