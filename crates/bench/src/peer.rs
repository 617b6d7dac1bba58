//! The same work with the libraries that users would take instead.

pub(crate) mod bare;
pub(crate) mod biscuit;
pub(crate) mod tenuo;
