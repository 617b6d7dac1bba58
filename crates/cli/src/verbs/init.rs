//! `init`: a new data dir.

use std::path::Path;

use bailiwick_authority::Refusal;
use bailiwick_authority::people::roles::Role;
use bailiwick_core::crypto::base64url;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::Object;
use bailiwick_store::Place;

use crate::args::InitArgs;
use crate::config::{Config, FILE, loopback_port};
use crate::confirm;
use crate::datadir::{ADMIN, DataDir, KEY_FILES};
use crate::error::CliError;
use crate::host;
use crate::keyfile;
use crate::output::Output;

use super::me::Me;

pub(super) fn run(
    args: &InitArgs,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<(), CliError> {
    // Nothing but this listener serves a public URL on the loopback name, so it
    // follows that port where nobody says otherwise.
    let near = args.public_url.as_deref().and_then(loopback_port);
    let listen = args.listen.clone().or(near.map(|port| format!("127.0.0.1:{port}")));
    let config = Config {
        listen: listen.unwrap_or_else(|| Config::default().listen),
        public_url: args.public_url.clone().unwrap_or_default(),
        trust_domain: args.trust_domain.clone().unwrap_or_else(|| Config::default().trust_domain),
        ..Config::default()
    };
    // What the installation is called is fixed now: every token names it.
    let config = Config { public_url: config.public_url(), ..config };
    config.check()?;
    let owner = args.owner.as_deref().map(PrincipalId::parse).transpose()?;
    if !args.yes && !confirmed(dir, &config)? {
        return Err(CliError::refused("not-confirmed", "nothing was made", "pass --yes to go on"));
    }
    let me = args.me.as_deref().map(PrincipalId::parse).transpose()?;
    let me = me.map(|id| Me::new(&id, logins)).transpose()?;
    let data = initialise(dir, &config)?;
    let signs = me.as_ref().map(|me| me.register(&data)).transpose()?;
    let fingerprint = data.authority.trust()?.fingerprint();
    let link = owner.map(|owner| appoint(&data, &owner)).transpose()?;
    let object = Object::new()
        .with("data_dir", dir.display().to_string())
        .with("public_url", config.public_url())
        .with("listen", config.listen.as_str())
        .with("audience", config.audience())
        .with("trust_fingerprint", fingerprint.as_str())
        .with("admin_credential", dir.join("keys").join(ADMIN).display().to_string())
        .with("enrolment_link", link.as_deref())
        .with("principal_key", signs.map(|file| file.display().to_string()));
    let mut text = format!(
        "initialised {}\n  public URL        {}\n  listens on        {}\n  trust fingerprint {}\n  admin credential  {} (mode 0600)",
        dir.display(),
        config.public_url(),
        config.listen,
        fingerprint,
        dir.join("keys").join(ADMIN).display(),
    );
    if let Some(link) = &link {
        text.push_str(&format!(
            "\n  passkey link      {link}\n                    (once, within a day, while `serve` runs; whoever opens it first is the owner)"
        ));
    }
    if let Some(file) = signs {
        text.push_str(&format!(
            "\n  your own key      {} (signs what you grant; mode 0600)",
            file.display()
        ));
    }
    out.result(object, text);
    let d = dir.display();
    if signs.is_some() {
        out.next(&[
            &format!("bailiwick catalogue learn NAME --reads TOOL --publish --data-dir {d} -- COMMAND"),
            &format!("bailiwick wrap --task 'what for' --data-dir {d} -- COMMAND   # in your MCP client's configuration"),
        ]);
        return Ok(());
    }
    let person = if link.is_some() { "user:142" } else { "user:NAME --passkey --role owner" };
    out.next(&[
        &format!("bailiwick principal add {person} --data-dir {d}"),
        &format!("bailiwick serve --data-dir {d}"),
        &format!("bailiwick keys trust -o trust.json --data-dir {d}   # hand it to auditors"),
    ]);
    Ok(())
}

/// Registers the owner; gives the link by which a passkey is enrolled.
fn appoint(data: &DataDir, owner: &PrincipalId) -> Result<String, CliError> {
    data.authority.principal_add(owner, None)?;
    data.authority.role_change(owner, Role::Owner, true)?;
    super::principal::enrolment_link(data, owner)
}

fn confirmed(dir: &Path, config: &Config) -> Result<bool, CliError> {
    let (dir, url) = (dir.display(), config.public_url());
    let question = format!("make keys and a ledger in `{dir}`, to be reached as {url}?");
    confirm::confirmed(&question, "`init` asks before it makes keys")
}

/// Makes keys, configuration, the first entry and the policy in force, or what an `init` that was
/// cut off left undone. Nothing that is there is replaced.
pub(crate) fn initialise(dir: &Path, config: &Config) -> Result<DataDir, CliError> {
    let keys = dir.join("keys");
    let files = KEY_FILES.iter().chain([&ADMIN]).map(|name| keys.join(name));
    let whole = files.clone().all(|file| has_content(&file));
    // The state is made after the last file. Where one is missing beside a
    // state or a ledger, it was lost: a new key would not be that one.
    let has_state = dir.join("state.db").exists() || dir.join("ledger").exists();
    if has_state && !whole {
        return Err(already(dir));
    }
    bailiwick_store::create_private_dir(&keys)?;
    for name in KEY_FILES {
        complete(&keys.join(name), |path| keyfile::create(name, path))?;
    }
    complete(&keys.join(ADMIN), |path| {
        let secret: [u8; 32] = host::random()?;
        keyfile::write_new(path, &base64url(&secret))
    })?;
    complete(&dir.join(FILE), |path| keyfile::write_new(path, &config.to_toml()))?;
    let data = DataDir::assemble(dir)?;
    match data.authority.started() {
        // Cut off before its policy was there: nothing else can have happened.
        Ok(_) if data.store().read(|view| view.log_size())? == 1 => {}
        Ok(_) => return Err(already(dir)),
        Err(Refusal::NotInitialised) => data.authority.init()?,
        Err(other) => return Err(other.into()),
    }
    data.authority.policy_publish(Place::Enforced, super::policy::guardrails()?)?;
    data.sequence()?;
    Ok(data)
}

fn already(dir: &Path) -> CliError {
    CliError::refused(
        "already-initialised",
        format!("`{}` holds an installation already", dir.display()),
        "choose another --data-dir",
    )
}

fn has_content(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() > 0)
}

/// Makes a file unless it is there; an empty one was cut off while it was made.
fn complete<T>(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<T, CliError>,
) -> Result<(), CliError> {
    if has_content(path) {
        return Ok(());
    }
    if path.exists() {
        std::fs::remove_file(path).map_err(|e| CliError::file(path, "remove", &e))?;
    }
    make(path).map(|_| ())
}
