//! Placeholder.
use crate::repository::Trouble;
pub(crate) fn run(_: &[&str]) -> Result<bool, Trouble> {
    Ok(true)
}
