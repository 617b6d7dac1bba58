//! The figures, one module each.

pub(crate) mod attenuate;
pub(crate) mod authority;
pub(crate) mod console;
pub(crate) mod denial;
pub(crate) mod handshake;
pub(crate) mod ledger;
pub(crate) mod policy;
pub(crate) mod proxy;
pub(crate) mod verify;
pub(crate) mod waiting;
