//! Where an instance is let in, and what lies there that its program must not see.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bailiwick_core::ids::{AgentId, PrincipalId};
use zeroize::Zeroizing;

use crate::address;
use crate::args::RunArgs;
use crate::datadir::DataDir;
use crate::error::CliError;

/// Bytes of a file with an enrolment token.
const MAX_INVITE: u64 = 4096;

/// The authority, and how an instance is let in there.
pub(super) struct Site {
    pub(super) authority: String,
    pub(super) agent: AgentId,
    pub(super) owner: PrincipalId,
    /// The one-time token that was given; none where it is made here, when all
    /// else is well.
    pub(super) invite: Option<Zeroizing<String>>,
    pub(super) data: Option<DataDir>,
}

impl Site {
    pub(super) fn find(args: &RunArgs, dir: &Path) -> Result<Self, CliError> {
        if let (Some(url), Some(invite), Some(owner), Some(agent)) =
            (&args.authority, &args.invite, &args.owner, &args.agent)
        {
            let mut text = Zeroizing::new(String::new());
            std::fs::File::open(invite)
                .and_then(|file| file.take(MAX_INVITE).read_to_string(&mut text))
                .map_err(|e| {
                    CliError::usage(
                        "file",
                        format!("cannot read `{}`: {e}", invite.display()),
                        "name the file with the token",
                    )
                })?;
            return Ok(Self {
                authority: address::authority(url)?,
                agent: AgentId::parse(agent)?,
                owner: PrincipalId::parse(owner)?,
                invite: Some(Zeroizing::new(text.trim().to_owned())),
                data: None,
            });
        }
        let data = DataDir::open(dir)?;
        let agents = data.authority.agents()?;
        let found = match &args.agent {
            Some(named) => {
                let named = AgentId::parse(named)?;
                agents.iter().find(|agent| agent.id == named)
            }
            None if agents.len() > 1 => {
                return Err(CliError::usage(
                    "agent-ambiguous",
                    format!("{} agents are registered", agents.len()),
                    "name one with --agent; see `bailiwick agent list`",
                ));
            }
            None => agents.first(),
        };
        let found = found.ok_or_else(|| {
            CliError::not_found(
                "not-found",
                "the agent is not registered",
                "register it with `bailiwick agent add agent:NAME --owner user:NAME`",
            )
        })?;
        let agent = found.id.clone();
        let owner = data.name(&found.owner)?.ok_or_else(|| {
            CliError::refused(
                "owner-erased",
                format!("who owns {agent} was erased"),
                "give it to somebody with `bailiwick agent transfer`",
            )
        })?;
        let owner = PrincipalId::parse(&owner)?;
        Ok(Self {
            authority: data.config.public_url(),
            agent,
            owner,
            invite: None,
            data: Some(data),
        })
    }
}

impl Site {
    /// What the program must not see, wherever it lies: the data dir, logins, and
    /// files with credentials and keys that are known here.
    pub(super) fn hidden(
        &self,
        args: &RunArgs,
        dir: &Path,
        logins: Option<&Path>,
    ) -> Result<Vec<PathBuf>, CliError> {
        let files = [&args.key, &args.invite].into_iter().flatten().cloned();
        let mut hidden: Vec<PathBuf> =
            files.chain([dir.to_owned()]).chain(crate::verbs::login::folder(logins).ok()).collect();
        if let Some(data) = &self.data {
            let servers = data.authority.tool_servers()?;
            let credentials = servers.iter().filter_map(|s| s.credential.as_deref());
            hidden.extend(credentials.filter_map(|c| c.strip_prefix("file:")).map(PathBuf::from));
        }
        Ok(hidden)
    }
}
