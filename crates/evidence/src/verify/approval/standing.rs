//! A standing approval: the terms that people signed, and that they cover this
//! very call.

use bailiwick_core::approval::standing::{Terms, Use};
use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;

use super::{CHECK, Call, Signable, Voiced, entries, version, voiced};
use crate::check::{Failure, ensure};
use crate::verify::{Case, agree};

/// The terms, which cover the call, and who signed them.
pub(super) fn read(
    case: &Case<'_>,
    stated: &Object,
    call: &Call<'_>,
) -> Result<(Signable, Vec<Voiced>), Failure> {
    let mut voices = Vec::new();
    let mut agreed: Option<Terms> = None;
    for entry in entries(stated, "signatures")? {
        let of = case.receipts.by_id(CHECK, Kind::StandingApproved, entry)?;
        let terms = Terms::from_json(of.value("terms")?);
        let terms = terms.map_err(|e| Failure::new(CHECK, e.to_string()))?;
        agree(CHECK, of.digest(CHECK, "digest")? == terms.digest(), "the terms' digest")?;
        let named = of.text(CHECK, "standing")?;
        agree(CHECK, named == terms.id.as_str(), "the standing approval that was signed")?;
        let same = agreed.as_ref().is_none_or(|first| *first == terms);
        ensure(same, CHECK, || "the approvers signed different terms".to_owned())?;
        ensure(of.entry.time < terms.until, CHECK, || {
            "the standing approval was signed after its end".to_owned()
        })?;
        agreed = Some(terms);
        voices.push(voiced(case, of)?);
    }
    let terms = agreed.ok_or_else(|| Failure::new(CHECK, "nobody approved the action"))?;
    let named = stated.member("standing").and_then(Json::as_str);
    agree(CHECK, named == Some(terms.id.as_str()), "the standing approval")?;
    let this = Use {
        root: call.root,
        tool: call.tool,
        pin: call.pin.and_then(Digest::from_text),
        arguments: call.arguments,
        policy: version(case, stated)?,
        rule: case.decided.text(CHECK, "rule")?,
    };
    ensure(terms.covers(&this), CHECK, || {
        "the standing approval does not cover this call".to_owned()
    })?;
    ensure(terms.lasts(case.decided.entry.time), CHECK, || {
        "the standing approval did not last when it was used".to_owned()
    })?;
    Ok((Signable::Standing(Box::new(terms)), voices))
}
