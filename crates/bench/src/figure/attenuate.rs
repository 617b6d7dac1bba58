//! Deriving one narrower token, offline.

use aws_lc_rs::signature::Ed25519KeyPair;
use bailiwick_core::aat::make::derive;

use crate::Failure;
use crate::fixture::{Presentation, content, key};
use crate::machine::Machine;
use crate::measure::{Plan, Side, turns};
use crate::peer::bare::Bare;
use crate::peer::biscuit::Biscuits;
use crate::peer::tenuo::Tenuo;
use crate::report::{Comparison, Report};

const BARE: &str = "one signature alone";

const ABOUT: &str = "one hop: from the parent's text to the child's text. Keys exist \
beforehand on every side; none of them verifies the parent.";

pub(crate) fn report(plan: &Plan) -> Result<Report, Failure> {
    let parent = Presentation::accountable(1)?;
    let root = parent.tokens.first().ok_or("no root")?;
    let holder = key(1)?;
    let content = content(1, false)?;
    let child = derive(root, &content, &holder, &parent.limits)?;
    let bare = Bare::of([([0; 32], child.as_str())])?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32])?;
    let tenuo = Tenuo::chain(1)?;
    let biscuit = Biscuits::chain(1)?;
    let mut sides = [
        Side::new(BARE, || bare.sign(&pair)),
        Side::new("bailiwick", || derive(root, &content, &holder, &parent.limits).is_ok()),
        Side::new("tenuo 0.3.5", || tenuo.attenuate()),
        Side::new("tenuo 0.3.5, without text", || tenuo.attenuate_in_memory()),
        Side::new("biscuit-auth 6", || biscuit.attenuate()),
    ];
    let timings = turns(plan, &mut sides, BARE)?;
    Ok(Report {
        figure: "attenuate",
        about: ABOUT,
        machine: Machine::here(),
        comparisons: vec![Comparison { title: "one hop".to_owned(), against: BARE, timings }],
    })
}
