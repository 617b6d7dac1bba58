//! `import`: from the configuration of an MCP client to tool servers of ours, and
//! their credentials into the vault.
//!
//! Nothing is started or reached by it, and the file stays as it is. Where there
//! is a data dir it says what it would do, and does that with `--yes`; where there
//! is none it makes a folder to look at, and the commands that come next.

use std::path::{Path, PathBuf};

use bailiwick_authority::rules::tool_servers::NewServer;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{IdentityMode, VaultPlace, create_private_dir};

use super::vault;
use crate::address;
use crate::args::ImportArgs;
use crate::client_config::{self, How};
use crate::datadir::{DataDir, no_data_dir};
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;

mod plan;
mod report;

use plan::{Lot, Plan};

pub(super) fn run(args: &ImportArgs, dir: &Path, out: Output) -> Result<(), CliError> {
    let json = keyfile::read_json(&args.file)?;
    let folder =
        std::path::absolute(&args.out).map_err(|e| CliError::file(&args.out, "resolve", &e))?;
    let credentials = folder.join("credentials").display().to_string();
    let servers = client_config::read(&json, &credentials)?;
    let mut plans: Vec<Plan> = servers.into_iter().map(Plan::of).collect();
    let has_data = dir.join("keys").is_dir();
    match (has_data, args.yes) {
        (false, true) => return Err(no_data_dir(dir)),
        (false, false) => {
            // There is no vault yet: its commands take the secrets from the files.
            Place::new(&folder)?.fill(&plans, Moved::Nothing)?;
            report::commands(&plans, &folder, out);
        }
        (true, false) => {
            let data = DataDir::open(dir)?;
            for plan in &mut plans {
                check(&data, plan)?;
            }
            report::proposal(&plans, args, out);
        }
        (true, true) => {
            let data = DataDir::open(dir)?;
            // Nothing is moved for which there is no place.
            let place = Place::new(&folder)?;
            let _alone = data.store().claim("vault")?;
            for plan in &mut plans {
                check(&data, plan)?;
                apply(&data, plan)?;
            }
            place.fill(&plans, Moved::ToVault)?;
            report::done(&plans, &folder, out);
        }
    }
    Ok(())
}

fn url(plan: &Plan) -> String {
    match &plan.server.how {
        How::Url(url) => url.clone(),
        How::Program { .. } => format!("stdio:{}", plan.server.name),
    }
}

/// Gives up the vault where it cannot take the credential, and says why.
///
/// # Errors
/// When the state cannot be read.
fn check(data: &DataDir, plan: &mut Plan) -> Result<(), CliError> {
    let (name, url) = (&plan.server.name, url(plan));
    if let Err(error) = address::tool_server(&url) {
        plan.stay(&error.message);
        return Ok(());
    }
    let known = data.authority.tool_servers()?;
    let place = VaultPlace { server: name.clone(), principal: None };
    if known.iter().any(|known| known.name == *name && known.url != url) {
        plan.stay("another tool server of this name is catalogued");
    } else if data.store().read(|view| view.vault_row(&place))?.is_some() {
        plan.stay("the vault holds a credential for this tool server already, which stays");
    }
    Ok(())
}

/// Catalogues the tool server, and moves what can be moved. Nobody else changes the
/// vault meanwhile: the caller holds the claim `vault`.
fn apply(data: &DataDir, plan: &mut Plan) -> Result<(), CliError> {
    let (name, url) = (plan.server.name.clone(), url(plan));
    let Some(form) = plan.form.take() else { return Ok(()) };
    let known = data.authority.tool_servers()?;
    if !known.iter().any(|known| known.name == name) && !catalogue(data, &name, url, plan) {
        return Ok(());
    }
    vault::put(data, &name, None, &form, "value")
}

/// Whether it is catalogued now; what the rules refuse stays where it was.
fn catalogue(data: &DataDir, name: &ServerName, url: String, plan: &mut Plan) -> bool {
    let added = data.authority.tool_server_add(NewServer {
        name: name.clone(),
        url,
        credential: None,
        identity_mode: IdentityMode::Shared,
        replace: false,
    });
    if let Err(refusal) = &added {
        plan.stay(&refusal.to_string());
    }
    added.is_ok()
}

/// A folder that is made before anything is moved, and removed again unless it is
/// filled.
struct Place {
    folder: PathBuf,
    filled: bool,
}

impl Place {
    fn new(folder: &Path) -> Result<Self, CliError> {
        if folder.exists() {
            return Err(CliError::environment(
                "file-exists",
                format!("`{}` exists already, and nothing is replaced", folder.display()),
                "choose another folder with --out, or move this one away",
            ));
        }
        create_private_dir(&folder.join("credentials"))?;
        Ok(Self { folder: folder.to_owned(), filled: false })
    }

    /// What is kept in files, and the configuration with references.
    fn fill(mut self, plans: &[Plan], moved: Moved) -> Result<(), CliError> {
        let credentials = self.folder.join("credentials");
        for (found, lot) in plans.iter().flat_map(Plan::lots) {
            if moved == Moved::Nothing || matches!(lot, Lot::File { .. }) {
                keyfile::write_new(&credentials.join(&found.file), &found.value)?;
            }
        }
        let config = |plan: &Plan| match moved {
            Moved::Nothing => plan.server.config.clone(),
            Moved::ToVault => plan.pointed(&credentials.display().to_string()),
        };
        let all: Object =
            plans.iter().map(|p| (p.server.name.to_string(), Json::from(config(p)))).collect();
        let text = Json::from(Object::new().with("mcpServers", all)).canonical();
        keyfile::write_new(&self.folder.join("servers.json"), &text)?;
        self.filled = true;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.filled {
            // Only while it is empty: what is there is the person's.
            let _ = std::fs::remove_dir(self.folder.join("credentials"));
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

/// Whether the vault has what it could take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Nothing,
    ToVault,
}
