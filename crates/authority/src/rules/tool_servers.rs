//! Tool servers: where tools are reached, and with whose credential.

use bailiwick_core::ids::ServerName;
use bailiwick_core::ledger::Kind;
use bailiwick_store::{IdentityMode, Row, Status, ToolServer};

use crate::host::Moment;
use crate::installation::{Installation, url_fault};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// A tool server to catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServer {
    /// Its name.
    pub name: ServerName,
    /// Where it is reached: https, http on this machine, or `stdio:NAME` for a
    /// program.
    pub url: String,
    /// `file:PATH` of the credential that the gateway uses.
    pub credential: Option<String>,
    /// How it learns on whose behalf a call is made.
    pub identity_mode: IdentityMode,
    /// Whether it may take the place of the one of this name.
    pub replace: bool,
}

/// Catalogues a tool server.
///
/// # Errors
/// [`Refusal::Url`], [`Refusal::CredentialForm`], [`Refusal::Exists`],
/// [`Refusal::Revoked`].
pub fn add(
    moment: &Moment<'_>,
    installation: &Installation,
    new: NewServer,
    same_name: Option<&ToolServer>,
    revoked: bool,
) -> Result<Plan<ToolServer>, Refusal> {
    // A program's address names the tool server and nothing else: which program
    // it is, is said to the process that runs it, never by the catalogue.
    let is_program = new.url == format!("stdio:{}", new.name);
    if let Some(fault) = url_fault(&new.url).filter(|_| !is_program) {
        // The URL may hold a secret: show what stands before one only.
        let shown = new.url.split(['?', '#', '@']).next().unwrap_or_default();
        let url = shown.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(Refusal::Url { url, fault });
    }
    if let Some(credential) = &new.credential {
        let path = credential.strip_prefix("file:").unwrap_or_default();
        if path.is_empty() || path.len() > 4096 || path.chars().any(char::is_control) {
            return Err(Refusal::CredentialForm);
        }
    }
    if revoked {
        return Err(Refusal::Revoked { kind: "tool server" });
    }
    if same_name.is_some() && !new.replace {
        return Err(Refusal::Exists { what: "tool server", name: new.name.to_string() });
    }
    let row = ToolServer {
        name: new.name,
        url: new.url,
        credential: new.credential,
        identity_mode: new.identity_mode,
        status: Status::Active,
    };
    if same_name == Some(&row) {
        return Ok(Plan::nothing(row));
    }
    let step = Step::new(moment, &installation.org, Kind::ToolServerAdded)?
        .with("server", &row.name)
        .with("replaced", same_name.is_some())
        .row(Row::ToolServer(row.clone()));
    Ok(Plan::one(step, row))
}
