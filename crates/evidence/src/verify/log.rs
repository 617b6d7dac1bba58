//! What witnesses and kept checkpoints say about the log.

use bailiwick_tlog::{SignedCheckpoint, Verdict, VerifiedCheckpoint};

use crate::check::{Check, Failure, ensure};
use crate::trust::Trust;
use crate::verdict::LogState;

pub(crate) fn state(
    checkpoint: &VerifiedCheckpoint,
    trust: &Trust,
    kept: &[SignedCheckpoint],
) -> Result<LogState, Failure> {
    const CHECK: Check = Check::Witnesses;
    let kept = kept
        .iter()
        .map(|k| k.verify(trust.log.name(), &trust.log))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Failure::new(CHECK, format!("a kept checkpoint: {e}")))?;
    let witnesses = match checkpoint.witnessed_by(&trust.witnesses, &kept) {
        Verdict::Unwitnessed => Vec::new(),
        Verdict::Witnessed { cosignatures } => {
            cosignatures.into_iter().map(|c| c.witness).collect()
        }
        Verdict::Diverged { size, here, kept } => {
            let found =
                format!("diverged: at size {size} the root here is {here}, the kept one {kept}");
            return Err(Failure::new(CHECK, found));
        }
        Verdict::Invalid { witness } => {
            let found = format!("invalid: the cosignature of `{witness}` does not hold");
            return Err(Failure::new(CHECK, found));
        }
    };
    ensure(witnesses.len() >= trust.quorum, CHECK, || {
        format!("{} witnesses cosigned, the trust file asks for {}", witnesses.len(), trust.quorum)
    })?;
    Ok(LogState {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        root: checkpoint.root().to_base64(),
        // Divergence was ruled out, so the same size means the same root.
        kept: kept.iter().any(|k| k.size() == checkpoint.size()),
        witnesses,
    })
}
