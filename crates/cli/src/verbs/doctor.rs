//! `doctor`: whether an installation is as it should be.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_authority::people::oidc::{ProviderConfig, Providers};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{IdentityMode, StoreError};

use crate::config::Config;
use crate::config::account::AccountOptions;
use crate::datadir::{ADMIN, DataDir, KEY_FILES, no_data_dir};
use crate::error::{CliError, ended};
use crate::host;
use crate::keyfile;
use crate::output::Output;
use crate::vault::{read, try_out};
use crate::web;

/// How long a tool server may take to refuse.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing looked at.
struct Check {
    what: &'static str,
    result: Result<String, CliError>,
}

pub(super) fn run(dir: &Path, out: Output) -> Result<ExitCode, CliError> {
    if !dir.join("keys").is_dir() {
        return report(&[Check { what: "data dir", result: Err(no_data_dir(dir)) }], out);
    }
    let mut checks = vec![Check {
        what: "configuration",
        result: Config::load(dir).map(|c| format!("reached as {}", c.public_url())),
    }];
    // Opening it makes what an installation of before does not have yet.
    let opened = DataDir::open(dir);
    for name in KEY_FILES.iter().chain([&ADMIN]) {
        checks.push(Check {
            what: "private file",
            result: keyfile::read_private(&dir.join("keys").join(name)).map(|_| (*name).to_owned()),
        });
    }
    match opened {
        Err(e) => checks.push(Check { what: "data dir", result: Err(e) }),
        Ok(data) => state(&data, &mut checks)?,
    }
    report(&checks, out)
}

fn report(checks: &[Check], out: Output) -> Result<ExitCode, CliError> {
    let failed = checks.iter().filter(|c| c.result.is_err()).count();
    let lines: Vec<String> = checks.iter().map(line).collect();
    let list: Vec<Json> = checks.iter().map(json).collect();
    out.result(
        Object::new().with("ok", failed == 0).with("checks", list),
        format!(
            "{}\n{}",
            lines.join("\n"),
            if failed == 0 { "all is well" } else { "something needs attention" }
        ),
    );
    Ok(ended(failed == 0))
}

fn state(data: &DataDir, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let (size, last) =
        data.store().read(|v| -> Result<_, StoreError> { Ok((v.log_size()?, v.last_time()?)) })?;
    checks.push(Check { what: "ledger", result: Ok(format!("{size} entries")) });
    checks.push(Check { what: "clock", result: clock(last) });
    let left = crate::lives::tend(data).map(|left| match (left.instances, left.calls) {
        (0, 0) => "killed processes left nothing".to_owned(),
        (instances, calls) => format!(
            "{instances} of killed runs were retired, with what was granted for them; {calls} calls of killed gateways are recorded as unknown"
        ),
    });
    checks.push(Check { what: "killed", result: left });
    let workflows = data.authority.workflows()?.len();
    checks.push(Check {
        what: "workflows",
        result: if workflows == 0 {
            Err(CliError::refused(
                "no-workflow",
                "no workflow is published, so nothing can be delegated",
                "bailiwick workflow publish FILE",
            ))
        } else {
            Ok(format!("{workflows} published"))
        },
    });
    checks.push(Check { what: "policy", result: policy(data) });
    checks.push(Check { what: "stops", result: stops(data) });
    let url = data.config.public_url();
    for options in &data.config.provider {
        let name = options.name.clone();
        let result = options.read(&data.dir).and_then(|config| provider(config, &url));
        let result = result.map(|()| format!("{name}: reached, with keys"));
        checks.push(Check { what: "login provider", result });
    }
    for options in &data.config.account {
        let name = options.tool_server.clone();
        let result = account(data, options).map(|()| format!("{name}: can be connected"));
        checks.push(Check { what: "accounts", result });
    }
    for server in data.authority.tool_servers()? {
        let pins = data.authority.pins(&server.name)?.len();
        let result = if pins == 0 {
            Err(CliError::refused(
                "nothing-pinned",
                format!("`{}` has no pinned tool, so all its calls are denied", server.name),
                format!("bailiwick tool-server pin {}", server.name),
            ))
        } else {
            Ok(format!("{}: {pins} pins", server.name))
        };
        checks.push(Check { what: "tool server", result });
        let result = if server.url.starts_with("stdio:") {
            // Nobody else could call it.
            Ok(format!("{}: not applicable, a program has no address", server.name))
        } else {
            direct_call(&server.url).map(|found| format!("{}: {found}", server.name))
        };
        checks.push(Check { what: "direct call", result });
    }
    for workflow in data.authority.workflows()? {
        let parsed = data.authority.workflow(&workflow.id)?.1;
        if let Some(missing) = super::named_checks::missing(&parsed, &data.config) {
            checks.push(Check { what: "named checks", result: Err(missing) });
        }
    }
    vault(data, checks)
}

/// What is stopped is meant, but somebody must see to it.
fn stops(data: &DataDir) -> Result<String, CliError> {
    let stopped = data.stopped()?;
    if stopped.is_empty() {
        return Ok("nothing is stopped".to_owned());
    }
    Err(CliError::refused(
        "stopped",
        format!("stopped: {}", stopped.join(", ")),
        "bailiwick stops list",
    ))
}

/// The authorization server of a tool server must say where its endpoints are.
fn account(data: &DataDir, options: &AccountOptions) -> Result<(), CliError> {
    let config = options.read(&data.dir)?;
    let servers = data.authority.tool_servers()?;
    let server = servers.iter().find(|server| server.name == config.server);
    let server = server.ok_or_else(|| {
        CliError::not_found(
            "unknown-name",
            format!("no tool server `{}` is catalogued", config.server),
            format!("bailiwick tool-server add {} --url URL", config.server),
        )
    })?;
    if server.identity_mode != IdentityMode::Principal {
        return Err(CliError::refused(
            "account-not-asked-for",
            format!("`{}` knows one account for everybody", config.server),
            format!("bailiwick tool-server identity {} principal", config.server),
        ));
    }
    let found = super::serve::runtime()?.block_on(config.discover(&server.url));
    found.map(drop).map_err(|error| {
        CliError::environment(
            error.code(),
            format!("`{}`: {error}", config.server),
            "check `[[account]]` in the configuration, and that the server is there",
        )
    })
}

/// Whether every credential can be had, as a call would need it.
fn vault(data: &DataDir, checks: &mut Vec<Check>) -> Result<(), CliError> {
    let rows = data.authority.vault()?;
    if rows.is_empty() {
        return Ok(());
    }
    let runtime = super::serve::runtime()?;
    for row in rows {
        let whose = match &row.place.principal {
            Some(alias) => data.name(alias)?.unwrap_or_else(|| "(erased)".to_owned()),
            None => "the gateway".to_owned(),
        };
        let named = format!("{} of {whose} for {}", row.kind, row.place.server);
        let result = read(data, &row).and_then(|form| {
            runtime.block_on(try_out(&form)).map(|()| named.clone()).map_err(|fault| {
                CliError::environment(
                    fault.code,
                    format!("the credential cannot be had: {named}"),
                    remedy(fault.code),
                )
            })
        });
        checks.push(Check { what: "credential", result });
    }
    Ok(())
}

fn policy(data: &DataDir) -> Result<String, CliError> {
    let bundle = data.authority.policies()?.enforced;
    let bundle = bundle
        .ok_or_else(|| super::policy::none("no policy is in force, so every call is denied"))?;
    Ok(format!("{} policies, {}", bundle.policies().len(), bundle.digest()))
}

/// What to do about a credential that cannot be had.
fn remedy(code: &str) -> &'static str {
    match code {
        "credential-permissions" => "make the file readable by this user only (chmod 600)",
        "credentials-directory-missing" => {
            "run it as the systemd unit that has LoadCredential=, or set it from a file"
        }
        "credential-command" | "credential-command-failed" | "credential-command-timeout" => {
            "run the command by hand, with an empty environment"
        }
        "variable-unusable" => "set it again: one line of at least eight characters",
        "token-address" => "set it with --inside, if the authorization server is in your network",
        "token-refused" => "check client id, secret and scopes at the authorization server",
        "token-unreachable" | "token-malformed" | "token-url" => {
            "check the token endpoint's URL, and that it answers as RFC 6749 says"
        }
        _ => "set the credential again with `bailiwick vault set`",
    }
}

fn clock(last: Option<Timestamp>) -> Result<String, CliError> {
    let now = host::now();
    match last {
        Some(last) if last.millis_since(now) > 1000 => Err(CliError::environment(
            "clock-behind",
            format!("the clock says {now}, the last entry was made at {last}"),
            "mend the clock; calls are denied until it has caught up",
        )),
        _ => Ok(now.to_string()),
    }
}

/// A provider must state its own issuer and have keys.
fn provider(config: ProviderConfig, url: &str) -> Result<(), CliError> {
    let (name, issuer) = (config.name.clone(), config.issuer.clone());
    let providers = Providers::new(url, vec![config]);
    let found = super::serve::runtime()?.block_on(providers.current(&issuer, host::now()));
    found.map(drop).map_err(|error| {
        CliError::environment(error.code(), format!("`{name}`: {error}"), error.remedy())
    })
}

/// A call round the gateway, without a credential, must be refused.
fn direct_call(url: &str) -> Result<String, CliError> {
    super::serve::runtime()?.block_on(async {
        let client = web::client(PATIENCE)?;
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let answer = client
            .post(url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
            .send()
            .await;
        match answer {
            Ok(r) if matches!(r.status().as_u16(), 401 | 403) => {
                Ok(format!("refused by the tool server ({})", r.status().as_u16()))
            }
            Ok(r) => Err(CliError::refused(
                "bypass-possible",
                format!("`{url}` answered {} to a call without a credential", r.status().as_u16()),
                "make the tool server accept the gateway's credential only",
            )),
            Err(_) => Err(CliError::environment(
                "tool-server-away",
                format!("`{url}` cannot be reached"),
                "start the tool server, then run this again",
            )),
        }
    })
}

fn line(check: &Check) -> String {
    match &check.result {
        Ok(text) => format!("  ok    {:<14} {text}", check.what),
        Err(e) => format!(
            "  FAIL  {:<14} {} [{}]\n        try: {}",
            check.what, e.message, e.code, e.remedy
        ),
    }
}

fn json(check: &Check) -> Json {
    let object = Object::new().with("what", check.what).with("ok", check.result.is_ok());
    match &check.result {
        Ok(text) => object.with("found", text.as_str()),
        Err(e) => object
            .with("code", e.code.as_str())
            .with("found", e.message.as_str())
            .with("remedy", e.remedy.as_str()),
    }
    .into()
}
