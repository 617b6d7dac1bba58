//! `vault`: the credentials of tool servers. Secrets come from files, standard
//! input and references, never from the command line, and go nowhere else.

use std::io::Read as _;
use std::path::Path;

use bailiwick_authority::NewCredential;
use bailiwick_authority::people::accounts::KIND;
use bailiwick_core::ids::{PrincipalId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::VaultTaken;
use zeroize::Zeroizing;

use crate::args::{SecretArgs, SetArgs, VaultVerb};
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;
use crate::table::table_or;
use crate::vault::account::end_all;
use crate::vault::form::{Form, Source, token_url};
use crate::vault::{environment, key, read, rotate};

/// Bytes of a secret at most.
const MAX_SECRET: u64 = 16 << 10;

pub(super) fn run(verb: VaultVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        VaultVerb::Set(args) => set(&data, *args, out),
        VaultVerb::List => list(&data, out),
        VaultVerb::Remove { server, principal, env: None } => {
            remove(&data, &server, principal, out)
        }
        VaultVerb::Remove { server, env: Some(name), .. } => unset(&data, &server, &name, out),
        VaultVerb::RotateKey => {
            let _alone = data.store().claim("vault")?;
            let sealed = rotate(&data)?;
            let count = u64::try_from(sealed).unwrap_or(u64::MAX);
            out.result(
                Object::new().with("sealed_anew", count),
                format!("the vault has another key; {sealed} credentials were sealed anew"),
            );
            out.next(&["back up the folder `keys`: the key before it opens nothing any more"]);
            Ok(())
        }
    }
}

fn set(data: &DataDir, args: SetArgs, out: Output) -> Result<(), CliError> {
    let server = ServerName::parse(&args.server)?;
    let principal = args.principal.as_deref().map(PrincipalId::parse).transpose()?;
    let variable = args.kind.env.clone();
    let secret = secret(&args.secret)?;
    let source = secret.code();
    // What is there is read and put back as one thing.
    let _alone = data.store().claim("vault")?;
    let form = match variable.clone() {
        Some(name) => environment::with(environment::held(data, &server)?, name, secret)?,
        None => form(args, secret)?,
    };
    form.check()?;
    put(data, &server, principal.clone(), &form, source)?;
    let object = Object::new()
        .with("tool_server", &server)
        .with("principal", principal.as_ref().map(PrincipalId::as_str));
    let object = form.to_json().iter().fold(object, |o, (name, v)| o.with(name, v.clone()));
    let whose = principal.as_ref().map_or("the gateway".to_owned(), ToString::to_string);
    let text = match &variable {
        Some(name) => format!("{server} gets {name} in its environment whenever it starts"),
        None => format!("{server} is shown a {} credential of {whose} from now on", form.kind()),
    };
    out.result(object, text);
    if variable.is_some() {
        out.next(&[&format!("bailiwick catalogue learn {server} -- COMMAND   # or wrap it")]);
    } else {
        out.next(&["bailiwick doctor   # whether it can be used, and whether the server needs it"]);
    }
    Ok(())
}

/// Puts a form there; a person's consent that it takes the place of ends.
pub(super) fn put(
    data: &DataDir,
    server: &ServerName,
    principal: Option<PrincipalId>,
    form: &Form,
    source: &'static str,
) -> Result<(), CliError> {
    let key = key(data)?;
    let (kind, sealed) = (form.kind(), form.to_bytes()?);
    let new = NewCredential { server: server.clone(), principal, kind, source, sealed };
    let replaced = data.authority.vault_set(new, &key)?;
    if let Some(consent) = replaced.filter(|replaced| replaced.row.kind == KIND) {
        end_consents(data, &[consent])?;
    }
    Ok(())
}

/// Tells the authorization servers of consents that were taken out that they ended;
/// gives the tool servers where nobody could be told, as where there was no consent.
pub(in crate::verbs) fn end_consents(
    data: &DataDir,
    taken: &[VaultTaken],
) -> Result<Vec<ServerName>, CliError> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    Ok(super::runtime()?.block_on(end_all(data, taken)))
}

fn form(args: SetArgs, secret: Source) -> Result<Form, CliError> {
    if args.kind.bearer {
        return Ok(Form::Bearer { secret });
    }
    if let Some(user) = args.kind.basic {
        if user.contains(':') || user.chars().any(char::is_control) || user.len() > 255 {
            return Err(CliError::usage(
                "user-malformed",
                "the user cannot be sent",
                "write a name without `:` (RFC 7617)",
            ));
        }
        return Ok(Form::Basic { user, secret });
    }
    if let Some(name) = args.kind.header {
        return Ok(Form::Header { name, secret });
    }
    let url = args.kind.oauth_token_url.unwrap_or_default();
    token_url(&url)?;
    Ok(Form::ClientCredentials {
        token_url: url,
        client_id: args.oauth_client_id.unwrap_or_default(),
        secret,
        scopes: args.oauth_scope,
        resource: args.oauth_resource,
        inside: args.inside,
    })
}

fn secret(args: &SecretArgs) -> Result<Source, CliError> {
    if let Some(reference) = &args.secret_from {
        let source = Source::reference(reference)?;
        // Wrong now is wrong later.
        if let Source::File(path) = &source {
            keyfile::read_private(Path::new(path))?;
        }
        return Ok(source);
    }
    let path = args.secret_file.as_deref().unwrap_or(Path::new("-"));
    let bytes = if path == Path::new("-") {
        let mut bytes = Zeroizing::new(Vec::new());
        let input = std::io::stdin().lock().take(MAX_SECRET.saturating_add(1));
        { input }.read_to_end(&mut bytes).map_err(|e| CliError::file(path, "read", &e))?;
        bytes
    } else {
        keyfile::read_private(path)?
    };
    let text = std::str::from_utf8(&bytes).ok().map(str::trim).unwrap_or_default();
    if text.is_empty() || u64::try_from(text.len()).is_ok_and(|n| n > MAX_SECRET) {
        return Err(CliError::usage(
            "secret-unreadable",
            format!("`{}` holds no secret", path.display()),
            "pass a text of one line, of at most 16 KiB",
        ));
    }
    Ok(Source::Value(text.to_owned()))
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let mut lines = Vec::new();
    let mut list: Vec<Json> = Vec::new();
    for row in data.authority.vault()? {
        let principal = row.place.principal.as_ref().map(|alias| data.name(alias)).transpose()?;
        let principal = principal.map(|name| name.unwrap_or_else(|| "(erased)".to_owned()));
        // One that cannot be opened is there all the same.
        let form = read(data, &row);
        let source = form.as_ref().map_or("unreadable".to_owned(), Form::source_codes);
        let object = Object::new()
            .with("tool_server", &row.place.server)
            .with("principal", principal.as_deref())
            .with("kind", row.kind.as_str())
            .with("source", source.as_str())
            .with("entry", &row.entry);
        let shown = form.as_ref().map(Form::to_json).unwrap_or_default();
        let kind = match form.as_ref().map(Form::names).unwrap_or_default() {
            names if names.is_empty() => row.kind,
            names => format!("{} ({names})", row.kind),
        };
        list.push(shown.iter().fold(object, |o, (name, v)| o.with(name, v.clone())).into());
        lines.push(vec![
            row.place.server.to_string(),
            principal.unwrap_or_else(|| "(gateway)".to_owned()),
            kind,
            source,
        ]);
    }
    let heads = ["tool server", "of", "kind", "source"];
    out.result(
        Object::new().with("credentials", list),
        table_or(&heads, &lines, "the vault is empty"),
    );
    Ok(())
}

fn remove(
    data: &DataDir,
    server: &str,
    principal: Option<String>,
    out: Output,
) -> Result<(), CliError> {
    let server = ServerName::parse(server)?;
    let principal = principal.as_deref().map(PrincipalId::parse).transpose()?;
    let taken = data.authority.vault_remove(&server, principal.as_ref())?;
    let is_consent = taken.row.kind == KIND;
    let told = is_consent && end_consents(data, &[taken])?.is_empty();
    out.result(
        Object::new()
            .with("tool_server", &server)
            .with("principal", principal.as_ref().map(PrincipalId::as_str))
            .with("told", is_consent.then_some(told)),
        format!("the vault holds no such credential for {server} any more"),
    );
    out.next(&[match (is_consent, told) {
        (true, true) => "its authorization server was told that the consent ended",
        (true, false) => "end the access at the tool server too: it could not be told",
        (false, _) => "change it at the tool server too, if others may have seen it",
    }]);
    Ok(())
}

/// Removes one variable of a program.
fn unset(data: &DataDir, server: &str, name: &str, out: Output) -> Result<(), CliError> {
    let server = ServerName::parse(server)?;
    let _alone = data.store().claim("vault")?;
    let mut variables = environment::held(data, &server)?;
    let before = variables.len();
    variables.retain(|variable| variable.name != name);
    if variables.len() == before {
        return Err(CliError::not_found(
            "not-found",
            format!("the vault holds no such variable for {server}"),
            "see `bailiwick vault list`",
        ));
    }
    let left = variables.len();
    if variables.is_empty() {
        data.authority.vault_remove(&server, None)?;
    } else {
        let form = Form::Environment { variables };
        let source = form.sources().first().map_or("value", |source| source.code());
        put(data, &server, None, &form, source)?;
    }
    out.result(
        Object::new()
            .with("tool_server", &server)
            .with("variable", name)
            .with("left", u64::try_from(left).unwrap_or(u64::MAX)),
        format!("{server} gets {name} no more when it starts"),
    );
    out.next(&["change it where it opens something too, if others may have seen it"]);
    Ok(())
}
