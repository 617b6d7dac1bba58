//! People: who is signed in, for how long, and what their role lets them do.
//!
//! Rules only, over plain values: the HTTP side reads cookies and rows and asks
//! here. A role lets a person administer; it never adds authority over tools,
//! and no role can grant as somebody else (DESIGN rule 9).

pub mod accounts;
pub mod oidc;
pub mod passkeys;
pub mod roles;
pub mod sessions;
