//! The machine: its clock and its entropy. The only place that reads them.

use bailiwick_core::ids::uuid_v7;
use bailiwick_core::time::Timestamp;

use crate::error::CliError;

/// Now, by the system clock.
pub(crate) fn now() -> Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Fresh random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], CliError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| {
        CliError::environment(
            "no-entropy",
            format!("the operating system gives no random bytes: {e}"),
            "check that the system offers getrandom(2)",
        )
    })?;
    Ok(bytes)
}

/// A fresh UUIDv7.
pub(crate) fn fresh_id() -> Result<String, CliError> {
    Ok(uuid_v7(now(), random()?))
}
