//! A data dir, opened: its configuration, keys, store and authority.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_authority::keyring::KeyRing;
use bailiwick_authority::people::oidc::ProviderConfig;
use bailiwick_authority::rules::trust::export;
use bailiwick_authority::{Authority, Installation, Keys, Maker as AuthorityMaker};
use bailiwick_core::crypto::{Digest, Signer, SigningKey, sha256};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::{Alias, OrgId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_evidence::Trust;
use bailiwick_policy::Workflow;
use bailiwick_store::{Options, PlaintextKey, Store, StoreError, Subject};
use bailiwick_tlog::SeedSigner;

use crate::config::Config;
use crate::config::account::AccountOptions;
use crate::error::CliError;
use crate::keyfile;
use crate::keystore;
use crate::output::Output;
use crate::ports::{CurrentMaker, Maker, StoreJournal, SystemHost};
use crate::table::table_or;

/// The files under `keys/`, each for one purpose.
pub(crate) const KEY_FILES: [&str; 8] = [
    "issuer.jwk",
    "authority.jwk",
    "gateway.jwk",
    "log.jwk",
    "plaintext.jwk",
    "identity.jwk",
    "snapshot.jwk",
    "svid.jwk",
];

/// The admin credential's file.
pub(crate) const ADMIN: &str = "admin.credential";

/// An opened data dir.
pub(crate) struct DataDir {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) authority: Authority,
    pub(crate) gateway: CurrentMaker,
    pub(crate) log: Arc<SeedSigner>,
    /// The key ring that was taken up last.
    taken_up: Mutex<Digest>,
}

impl DataDir {
    /// Whether one was initialised there.
    pub(crate) fn is_there(dir: &Path) -> bool {
        dir.join("keys").is_dir()
    }

    /// Opens an initialised data dir.
    pub(crate) fn open(dir: &Path) -> Result<Self, CliError> {
        if !Self::is_there(dir) {
            return Err(no_data_dir(dir));
        }
        let data = Self::assemble(dir)?;
        data.authority.started()?;
        Ok(data)
    }

    /// Opens the keys and the store without asking whether the log began.
    pub(crate) fn assemble(dir: &Path) -> Result<Self, CliError> {
        let Opened { config, installation, keys, gateway, log, ring } = Opened::read(dir)?;
        let entropy = |out: &mut [u8]| getrandom::fill(out).is_ok();
        let options =
            Options::new(installation.org.clone(), plaintext_key(dir)?, Arc::new(entropy));
        let store = Store::open(dir, options)?;
        let authority = Authority::new(store, Arc::new(SystemHost), installation, keys)?;
        Ok(Self {
            dir: dir.to_owned(),
            config,
            authority,
            gateway: CurrentMaker::new(gateway),
            log: Arc::new(log),
            taken_up: Mutex::new(ring),
        })
    }

    /// Takes up keys that were replaced since; gives whether there were any.
    pub(crate) fn take_up_keys(&self) -> Result<bool, CliError> {
        let mut taken_up = self.taken_up.lock().unwrap_or_else(PoisonError::into_inner);
        if keystore::ring_digest(&self.dir)? == *taken_up {
            return Ok(false);
        }
        let opened = Opened::read(&self.dir)?;
        self.authority.rekey(opened.installation, opened.keys)?;
        self.gateway.replace(opened.gateway);
        *taken_up = opened.ring;
        Ok(true)
    }

    /// The identity providers at which people log in.
    pub(crate) fn providers(&self) -> Result<Vec<ProviderConfig>, CliError> {
        self.config.provider.iter().map(|options| options.read(&self.dir)).collect()
    }

    /// How people connect their own account at this tool server, if they can.
    pub(crate) fn account(&self, server: &ServerName) -> Option<&AccountOptions> {
        self.config.account.iter().find(|options| options.tool_server == server.as_str())
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        self.authority.store()
    }

    /// Where this installation's gateway records what it decides.
    pub(crate) fn journal(&self) -> StoreJournal {
        StoreJournal {
            store: self.store().clone(),
            maker: self.gateway.clone(),
            issuer: self.config.public_url().into(),
            ceilings: self.authority.ceilings(),
        }
    }

    /// Status of each row in one word: what was revoked is not active, whatever
    /// its row says. Retired is for good as well.
    pub(crate) fn states(
        &self,
        rows: &[(Subject, &'static str)],
    ) -> Result<Vec<&'static str>, CliError> {
        Ok(self.store().read(|v| -> Result<Vec<_>, StoreError> {
            let state = |(subject, status): &(Subject, &'static str)| {
                let revoked = v.is_revoked(std::slice::from_ref(subject))?.is_some();
                Ok(if revoked && *status != "retired" { "revoked" } else { *status })
            };
            rows.iter().map(state).collect()
        })?)
    }

    /// A principal's name; none when it was erased.
    pub(crate) fn name(&self, alias: &Alias) -> Result<Option<String>, CliError> {
        let row = self.store().read(|v| v.principal_by_alias(alias))?;
        Ok(row.and_then(|p| p.row.id.map(|id| id.to_string())))
    }

    /// Publishes what is not under a checkpoint yet.
    pub(crate) fn sequence(&self) -> Result<(), CliError> {
        self.store().sequence(&*self.log)?;
        Ok(())
    }

    /// What is stopped now, newest first; not more than a person reads.
    pub(crate) fn stopped(&self) -> Result<Vec<String>, CliError> {
        let found = self.store().read(|view| view.stops(false, 20))?;
        Ok(found.iter().map(|stop| stop.target.to_string()).collect())
    }

    /// Registers an enrolment.
    pub(crate) fn enrol(&self, document: &Json, out: Output) -> Result<(), CliError> {
        let instance = self.authority.instance_enrol(document)?;
        let object = Object::new()
            .with("instance", &instance.id)
            .with("agent", &instance.agent)
            .with("holder", instance.holder)
            .with("status", instance.status.as_str());
        out.result(object, format!("enrolled instance {} of {}", instance.id, instance.agent));
        out.next(&[
            "bailiwick workflow publish FILE   # unless it is published",
            "bailiwick delegate --help         # a principal signs a grant",
        ]);
        Ok(())
    }

    /// Lists instances.
    pub(crate) fn list_instances(&self, out: Output) -> Result<(), CliError> {
        let rows = self.authority.instances(None)?;
        let subjects: Vec<_> = rows
            .iter()
            .map(|i| (Subject::Instance { id: i.id.clone() }, i.status.as_str()))
            .collect();
        let states = self.states(&subjects)?;
        let list: Vec<Json> = rows
            .iter()
            .zip(&states)
            .map(|(i, state)| {
                Object::new()
                    .with("instance", &i.id)
                    .with("agent", &i.agent)
                    .with("holder", i.holder)
                    .with("status", *state)
                    .into()
            })
            .collect();
        let lines: Vec<Vec<String>> = rows
            .iter()
            .zip(&states)
            .map(|(i, state)| vec![i.id.to_string(), i.agent.to_string(), (*state).to_owned()])
            .collect();
        out.result(
            Object::new().with("instances", list),
            table_or(&["instance", "agent", "status"], &lines, "no instance is enrolled"),
        );
        Ok(())
    }

    /// Lists workflows.
    pub(crate) fn list_workflows(&self, out: Output) -> Result<(), CliError> {
        let rows = self.authority.workflows()?;
        let subjects: Vec<_> =
            rows.iter().map(|w| (Subject::Workflow { id: w.id.clone() }, "published")).collect();
        let states = self.states(&subjects)?;
        let mut list = Vec::with_capacity(rows.len());
        let mut lines = Vec::with_capacity(rows.len());
        for (w, state) in rows.iter().zip(states) {
            let (_, parsed) = self.authority.workflow(&w.id)?;
            let published = w.published.to_string();
            lines.push(vec![
                w.id.to_string(),
                parsed.owner.to_string(),
                state.to_owned(),
                published.clone(),
                w.digest.to_string(),
            ]);
            list.push(Json::from(
                Object::new()
                    .with("workflow", &w.id)
                    .with("owner", &parsed.owner)
                    .with("status", state)
                    .with("digest", w.digest)
                    .with("published", published),
            ));
        }
        let heads = ["workflow", "owner", "status", "published", "digest"];
        out.result(
            Object::new().with("workflows", list),
            table_or(&heads, &lines, "no workflow is published"),
        );
        Ok(())
    }

    /// The published workflows, or the named one.
    pub(crate) fn workflows(&self, name: Option<&str>) -> Result<Vec<Workflow>, CliError> {
        let mut workflows = Vec::new();
        for row in self.authority.workflows()? {
            if name.is_none_or(|n| n == row.id.as_str()) {
                let (_, parsed) = self.authority.workflow(&row.id)?;
                workflows.push((*parsed).clone());
            }
        }
        Ok(workflows)
    }
}

/// What a data dir's configuration and keys say, without its state.
struct Opened {
    config: Config,
    installation: Installation,
    keys: Keys,
    gateway: Maker,
    log: SeedSigner,
    /// Of the key ring's bytes.
    ring: Digest,
}

impl Opened {
    fn read(dir: &Path) -> Result<Self, CliError> {
        let config = Config::load(dir)?;
        let keys = dir.join("keys");
        let bytes = keystore::ring_bytes(dir)?;
        let ring = KeyRing::parse(&bytes)?;
        keystore::settle(dir, &ring)?;
        let key = |name: &str| -> Result<Arc<SigningKey>, CliError> {
            Ok(Arc::new(keyfile::own(keyfile::read_key(&keys.join(name)))?))
        };
        let (issuer, maker, gateway) =
            (key("issuer.jwk")?, key("authority.jwk")?, key("gateway.jwk")?);
        let identity: Arc<IdentitySigningKey> =
            Arc::new(keyfile::own(keyfile::read_identity(&keys.join("identity.jwk")))?);
        let snapshot = key("snapshot.jwk")?;
        let svid = Arc::new(keystore::svid(dir, &config.trust_domain, &ring)?);
        let seed = keyfile::own(keyfile::read_seed(&keys.join("log.jwk")))?;
        let log = SeedSigner::new(&log_origin(&config), &seed).map_err(|e| {
            CliError::environment(e.code(), e.to_string(), "check `public_url` and `org`")
        })?;
        let installation = Installation {
            org: OrgId::parse(&config.org)?,
            trust_domain: config.trust_domain.clone(),
            issuer: config.public_url(),
            issuer_key: issuer.public_key(),
            makers: vec![
                AuthorityMaker::authority(maker.public_key()),
                AuthorityMaker::gateway(gateway.public_key()),
            ],
            log_key: log.key().clone(),
            ring,
            max_root_seconds: config.root_minutes.saturating_mul(60),
            new_key_seconds: config.approvals.new_key_hours.saturating_mul(3600),
            limits: ChainLimits::DEFAULT,
        };
        let id = AuthorityMaker::gateway(gateway.public_key()).id;
        Ok(Self {
            config,
            installation,
            keys: Keys { issuer, maker, identity, snapshot, svid },
            gateway: Maker { id, key: gateway },
            log,
            ring: sha256(&bytes),
        })
    }
}

/// The trust anchors that a data dir's own keys make. Its state is not asked:
/// it is what they are to judge.
pub(crate) fn own_trust(dir: &Path) -> Result<Trust, CliError> {
    Ok(export(&Opened::read(dir)?.installation, None))
}

/// The key that wraps every text's key.
pub(crate) fn plaintext_key(dir: &Path) -> Result<PlaintextKey, CliError> {
    Ok(PlaintextKey::new(*keyfile::own(keyfile::read_seed(
        &dir.join("keys").join("plaintext.jwk"),
    ))?))
}

/// A folder that holds no installation.
pub(crate) fn no_data_dir(dir: &Path) -> CliError {
    CliError::environment(
        "no-data-dir",
        format!("there is no data dir at `{}`", dir.display()),
        format!(
            "make one with `bailiwick init --data-dir {}`, or name yours with --data-dir",
            dir.display()
        ),
    )
}

/// Lines, or a sentence where there are none.
pub(crate) fn or_none(lines: &[String], none: &str) -> String {
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}

/// The log's origin line: the public name without its scheme, and the
/// organisation.
fn log_origin(config: &Config) -> String {
    let url = config.public_url();
    let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    format!("{host}/ledger/{}", config.org)
}
