//! One call, from the presented text to the verdict.

use bailiwick_core::aat::verify::{Chain, Core, Kept, verify};
use bailiwick_core::accountable::Accountable;

use crate::Failure;
use crate::fixture::Presentation;
use crate::machine::Machine;
use crate::measure::{Plan, Side, turns};
use crate::peer::bare::Bare;
use crate::peer::biscuit::Biscuits;
use crate::peer::tenuo::Tenuo;
use crate::report::{Comparison, Report};

const BARE: &str = "signatures alone";

const ABOUT: &str = "one call from text to verdict, nothing cached: parse the chain, verify \
every signature and the proof of possession, check three constraints. Depth is the number of \
tokens; depth 3 needs four signatures. `accountable` also reads the claims about principal, \
task and grant and asks a registry in memory about every hop.";

pub(crate) fn report(plan: &Plan) -> Result<Report, Failure> {
    let mut comparisons = Vec::new();
    for depth in [1, 3, 8] {
        comparisons.push(with_proof(plan, depth)?);
    }
    for depth in [1, 3, 8] {
        comparisons.push(without_proof(plan, depth)?);
    }
    for depth in [1, 3, 8] {
        comparisons.push(verified_before(plan, depth)?);
    }
    Ok(Report { figure: "verify", about: ABOUT, machine: Machine::here(), comparisons })
}

fn with_proof(plan: &Plan, depth: u8) -> Result<Comparison, Failure> {
    let plain = Presentation::plain(depth)?;
    let accountable = Presentation::accountable(depth)?;
    let bare_plain = Bare::of(plain.signatures()?)?;
    let bare = Bare::of(accountable.signatures()?)?;
    let tenuo = Tenuo::chain(depth.into())?;
    let mut sides = [
        Side::new(BARE, || bare.verify()),
        Side::new("signatures alone, core tokens", || bare_plain.verify()),
        Side::new("bailiwick, accountable", || {
            accountable
                .framed()
                .and_then(|chain| {
                    verify::<Accountable>(
                        &chain,
                        &accountable.proof,
                        &accountable.call(),
                        &accountable.context(),
                        accountable.inputs(),
                    )
                })
                .is_ok()
        }),
        Side::new("bailiwick, core", || {
            plain
                .framed()
                .and_then(|chain| {
                    verify::<Core>(&chain, &plain.proof, &plain.call(), &plain.context(), ())
                })
                .is_ok()
        }),
        Side::new("tenuo 0.3.5", || tenuo.verify()),
    ];
    Ok(Comparison {
        title: format!("depth {depth}, with proof of possession"),
        against: BARE,
        timings: turns(plan, &mut sides, BARE)?,
    })
}

fn without_proof(plan: &Plan, depth: u8) -> Result<Comparison, Failure> {
    let plain = Presentation::plain(depth)?;
    let mut signatures = plain.signatures()?;
    signatures.pop();
    let bare = Bare::of(signatures)?;
    let tenuo = Tenuo::chain(depth.into())?;
    let biscuit = Biscuits::chain(depth.into())?;
    let mut sides = [
        Side::new(BARE, || bare.verify()),
        Side::new("bailiwick, core, chain and scope only", || {
            plain
                .framed()
                .and_then(|chain| Chain::verify::<Core>(&chain, &plain.context()))
                .is_ok_and(|chain| {
                    chain.scope().is_some_and(|s| s.permits(&plain.tool, &plain.arguments).is_ok())
                })
        }),
        Side::new("tenuo 0.3.5", || tenuo.verify_without_proof()),
        Side::new("biscuit-auth 6", || biscuit.verify_without_proof()),
    ];
    Ok(Comparison {
        title: format!("depth {depth}, without possession"),
        against: BARE,
        timings: turns(plan, &mut sides, BARE)?,
    })
}

fn verified_before(plan: &Plan, depth: u8) -> Result<Comparison, Failure> {
    const ONE: &str = "one signature alone";
    let presented = Presentation::accountable(depth)?;
    let bare = Bare::of(presented.signatures()?.pop())?;
    let kept = Kept::<Accountable>::verify(&presented.tokens, &presented.context())
        .map_err(|denial| denial.to_string())?;
    let mut sides = [
        Side::new(ONE, || bare.verify()),
        Side::new("bailiwick, accountable", || {
            kept.examine(
                &presented.tokens,
                &presented.proof,
                &presented.call(),
                &presented.context(),
                presented.inputs(),
            )
            .is_ok()
        }),
    ];
    Ok(Comparison {
        title: format!("depth {depth}, chain already verified"),
        against: ONE,
        timings: turns(plan, &mut sides, ONE)?,
    })
}
