//! `principal login`: by which logins at identity providers somebody is known.

use bailiwick_authority::people::oidc::ProviderConfig;
use bailiwick_core::grant::Login;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};

use crate::config::FILE;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;
use crate::table::table;

/// The configured provider of this name.
pub(super) fn provider(data: &DataDir, name: &str) -> Result<ProviderConfig, CliError> {
    let found = data.config.provider.iter().find(|options| options.name == name);
    let options = found.ok_or_else(|| {
        CliError::usage(
            "provider-unknown",
            format!("`{FILE}` has no provider `{name}`"),
            "name one of its `[[provider]]` tables, or add one",
        )
    })?;
    options.read(&data.dir)
}

pub(super) fn run(
    data: &DataDir,
    id: &PrincipalId,
    login: Option<(String, String)>,
    remove: bool,
    out: Output,
) -> Result<(), CliError> {
    let Some((name, subject)) = login else { return list(data, id, out) };
    let provider = provider(data, &name)?;
    let said = if remove {
        let login = Login { issuer: provider.issuer.clone(), subject: subject.clone() };
        data.authority.login_remove(id, &login)?;
        "is no longer known by"
    } else {
        data.authority.login_add(id, &provider, &subject)?;
        "is known by"
    };
    let object = Object::new()
        .with("principal", id)
        .with("provider", name.as_str())
        .with("subject", subject.as_str())
        .with("known", !remove);
    out.result(object, format!("{id} {said} the login {subject} at {}", provider.label));
    if !remove {
        out.next(&[&format!("open {}/login", data.config.public_url())]);
    }
    Ok(())
}

fn list(data: &DataDir, id: &PrincipalId, out: Output) -> Result<(), CliError> {
    let alias = data.authority.principal(id)?.row.alias;
    let own = data.authority.logins(&alias)?;
    let list: Vec<Json> = own
        .iter()
        .map(|own| {
            Object::new()
                .with("issuer", own.login.issuer.as_str())
                .with("subject", own.login.subject.as_str())
                .with("status", own.status.as_str())
                .with("added", own.added.to_string())
                .into()
        })
        .collect();
    let lines: Vec<Vec<String>> = own
        .iter()
        .map(|own| {
            let (issuer, subject) = (own.login.issuer.clone(), own.login.subject.clone());
            vec![issuer, subject, own.status.as_str().to_owned(), own.added.to_string()]
        })
        .collect();
    let text = match lines.as_slice() {
        [] => format!("{id} is known by no login at a provider"),
        lines => table(&["issuer", "subject", "status", "added"], lines),
    };
    out.result(Object::new().with("principal", id).with("logins", list), text);
    Ok(())
}
