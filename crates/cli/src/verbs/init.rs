//! `init`: a new data dir.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use bailiwick_core::crypto::base64url;
use bailiwick_core::json::Object;

use crate::args::InitArgs;
use crate::config::{Config, FILE};
use crate::datadir::{ADMIN, DataDir, KEY_FILES};
use crate::error::CliError;
use crate::host;
use crate::keyfile;
use crate::output::Output;

pub(super) fn run(args: &InitArgs, dir: &Path, out: Output) -> Result<(), CliError> {
    let config = Config {
        listen: args.listen.clone().unwrap_or_else(|| Config::default().listen),
        public_url: args.public_url.clone().unwrap_or_default(),
        trust_domain: args.trust_domain.clone().unwrap_or_else(|| Config::default().trust_domain),
        ..Config::default()
    };
    // What the installation is called is fixed now: every token names it.
    let config = Config { public_url: config.public_url(), ..config };
    config.check()?;
    if !args.yes && !confirmed(dir, &config)? {
        return Err(CliError::refused("not-confirmed", "nothing was made", "pass --yes to go on"));
    }
    let data = initialise(dir, &config)?;
    let fingerprint = data.authority.trust()?.fingerprint();
    let object = Object::new()
        .with("data_dir", dir.display().to_string())
        .with("public_url", config.public_url())
        .with("audience", config.audience())
        .with("trust_fingerprint", fingerprint.as_str())
        .with("admin_credential", dir.join("keys").join(ADMIN).display().to_string());
    let text = format!(
        "initialised {}\n  public URL        {}\n  trust fingerprint {}\n  admin credential  {} (mode 0600)",
        dir.display(),
        config.public_url(),
        fingerprint,
        dir.join("keys").join(ADMIN).display(),
    );
    out.result(object, text);
    let d = dir.display();
    out.next(&[
        &format!("bailiwick principal add user:142 --data-dir {d}"),
        &format!("bailiwick serve --data-dir {d}"),
        &format!("bailiwick keys trust -o trust.json --data-dir {d}   # hand it to auditors"),
    ]);
    Ok(())
}

fn confirmed(dir: &Path, config: &Config) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "no-terminal",
            "`init` asks before it makes keys, and there is no terminal to ask",
            "pass --yes",
        ));
    }
    let mut err = std::io::stderr().lock();
    let _ = write!(
        err,
        "make keys and a ledger in `{}`, to be reached as {}? [y/N] ",
        dir.display(),
        config.public_url()
    );
    let _ = err.flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| CliError::file(Path::new("standard input"), "read", &e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Makes keys, configuration and the first entry.
pub(crate) fn initialise(dir: &Path, config: &Config) -> Result<DataDir, CliError> {
    let keys = dir.join("keys");
    if keys.exists() {
        return Err(CliError::refused(
            "already-initialised",
            format!("`{}` holds an installation already", dir.display()),
            "choose another --data-dir",
        ));
    }
    bailiwick_store::create_private_dir(&keys)?;
    for name in KEY_FILES {
        keyfile::create_key(&keys.join(name))?;
    }
    let secret: [u8; 32] = host::random()?;
    keyfile::write_new(&keys.join(ADMIN), &base64url(&secret))?;
    if !dir.join(FILE).exists() {
        keyfile::write_new(&dir.join(FILE), &config.to_toml())?;
    }
    let data = DataDir::assemble(dir)?;
    data.authority.init()?;
    data.sequence()?;
    Ok(data)
}
