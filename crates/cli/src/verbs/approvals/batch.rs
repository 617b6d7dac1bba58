//! Many at once: one signature over the digests of several waiting calls.

use bailiwick_authority::Sayer;
use bailiwick_core::approval::{Batch, Signed, SignedBatch, Verdict};
use bailiwick_core::ids::ApprovalId;
use bailiwick_core::json::{Json, Object};

use super::super::place::{Place, text};
use super::{described, recomputed};
use crate::error::CliError;
use crate::keyfile::PrincipalKey;
use crate::output::Output;
use crate::web;

/// Approves all of these or none, after showing each in full.
pub(super) fn approve(
    place: &Place,
    ids: &[ApprovalId],
    note: Option<String>,
    key: &PrincipalKey,
    out: Output,
) -> Result<(), CliError> {
    let mut words = Vec::with_capacity(ids.len());
    let mut digests = Vec::with_capacity(ids.len());
    for id in ids {
        let shown = place.approval(id)?;
        let recomputed = recomputed(id, &shown)?;
        digests.push(recomputed.question.digest(Verdict::Approve));
        words.push(described(&shown, &recomputed));
    }
    let refused = |e: bailiwick_core::approval::ApprovalError| {
        CliError::usage(e.code(), e.to_string(), e.remedy())
    };
    let batch = Batch::new(digests).map_err(refused)?;
    let digest = *batch.signable().digest();
    let jws = batch.signable().sign(&*key.key).map_err(web::signing)?;
    let signed = SignedBatch::new(batch, Signed::Key(jws)).map_err(refused)?;
    let decided = say(place, ids, Signed::Batch(Box::new(signed)), key, note)?;
    let states = decided.iter().filter_map(Json::as_object);
    let states = states.map(|o| format!("  {} {}", text(o, "approval"), text(o, "state")));
    let states: Vec<String> = states.collect();
    let shown = format!("{}\n{}", words.join("\n"), states.join("\n"));
    out.result(Object::new().with("approvals", decided).with("digest", digest), shown);
    out.next(&["bailiwick approvals list"]);
    Ok(())
}

fn say(
    place: &Place,
    ids: &[ApprovalId],
    signed: Signed,
    key: &PrincipalKey,
    note: Option<String>,
) -> Result<Vec<Json>, CliError> {
    match place {
        Place::Here(data) => {
            // SECURITY: known by the key that signed, not by the rights to the data dir.
            let sayer = Sayer::Key(key.key.verifying_key().thumbprint());
            let approve = Verdict::Approve;
            let states = data.authority.approvals_say(sayer, ids, approve, signed, note)?;
            let decided = ids.iter().zip(states);
            Ok(decided
                .map(|(id, state)| {
                    Object::new().with("approval", id).with("state", state.as_str()).into()
                })
                .collect())
        }
        Place::At(login) => {
            let ids: Vec<Json> = ids.iter().map(Json::from).collect();
            let body = Object::new()
                .with("approvals", ids)
                .with("signed", signed.to_text())
                .with("note", note);
            let answer = Place::post(login, "/approval-batches", body)?;
            let decided = answer.member("approvals").and_then(Json::as_array);
            Ok(decided.unwrap_or_default().to_vec())
        }
    }
}
