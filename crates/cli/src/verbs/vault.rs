//! `vault`: the credentials of tool servers. Secrets come from files, standard
//! input and references, never from the command line, and go nowhere else.

use std::io::Read as _;
use std::path::Path;

use bailiwick_authority::NewCredential;
use bailiwick_core::ids::{PrincipalId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_gateway::ports::{Credential, MIN_SECRET_CHARS};
use zeroize::Zeroizing;

use crate::args::{SecretArgs, SetArgs, VaultVerb};
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile;
use crate::output::Output;
use crate::table::table_or;
use crate::vault::form::{Form, Source, token_url};
use crate::vault::{key, read, rotate};

/// Bytes of a secret at most.
const MAX_SECRET: u64 = 16 << 10;

pub(super) fn run(verb: VaultVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        VaultVerb::Set(args) => set(&data, *args, out),
        VaultVerb::List => list(&data, out),
        VaultVerb::Remove { server, principal } => remove(&data, &server, principal, out),
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
    let secret = secret(&args.secret)?;
    let form = form(args, secret)?;
    check(&form)?;
    let _alone = data.store().claim("vault")?;
    let key = key(data)?;
    let new = NewCredential {
        server: server.clone(),
        principal: principal.clone(),
        kind: form.kind(),
        source: form.source().code(),
        sealed: form.to_bytes()?,
    };
    data.authority.vault_set(new, &key)?;
    let whose = principal.as_ref().map_or("the gateway".to_owned(), ToString::to_string);
    let object = Object::new()
        .with("tool_server", &server)
        .with("principal", principal.as_ref().map(PrincipalId::as_str));
    let object = form.to_json().iter().fold(object, |o, (name, v)| o.with(name, v.clone()));
    out.result(
        object,
        format!("{server} is shown a {} credential of {whose} from now on", form.kind()),
    );
    out.next(&["bailiwick doctor   # whether it can be used, and whether the server needs it"]);
    Ok(())
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

/// Whether what is known now can be sent.
fn check(form: &Form) -> Result<(), CliError> {
    let value = match form.source() {
        Source::Value(value) => {
            if value.chars().count() < MIN_SECRET_CHARS {
                return Err(CliError::usage(
                    "secret-too-short",
                    format!("the secret has fewer than {MIN_SECRET_CHARS} characters"),
                    "use a longer one: answers are searched for it, and a short one would be found by chance",
                ));
            }
            value.as_str()
        }
        _ => "a-value-to-come",
    };
    let sendable = match form {
        Form::Bearer { .. } | Form::ClientCredentials { .. } | Form::Account { .. } => {
            Credential::bearer(value)
        }
        Form::Basic { user, .. } => Credential::basic(user, value),
        Form::Header { name, .. } => Credential::header(name, value),
    };
    sendable.map(drop).ok_or_else(|| {
        CliError::usage(
            "credential-unusable",
            "no header can hold this credential, or the header is one that the gateway sets itself",
            "use one line of plain characters, and another header",
        )
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
        let source = form.as_ref().map_or("unreadable", |form| form.source().code());
        let object = Object::new()
            .with("tool_server", &row.place.server)
            .with("principal", principal.as_deref())
            .with("kind", row.kind.as_str())
            .with("source", source)
            .with("entry", &row.entry);
        let shown = form.as_ref().map(Form::to_json).unwrap_or_default();
        list.push(shown.iter().fold(object, |o, (name, v)| o.with(name, v.clone())).into());
        lines.push(vec![
            row.place.server.to_string(),
            principal.unwrap_or_else(|| "(gateway)".to_owned()),
            row.kind,
            source.to_owned(),
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
    data.authority.vault_remove(&server, principal.as_ref())?;
    out.result(
        Object::new()
            .with("tool_server", &server)
            .with("principal", principal.as_ref().map(PrincipalId::as_str)),
        format!("the vault holds no such credential for {server} any more"),
    );
    out.next(&["change it at the tool server too, if others may have seen it"]);
    Ok(())
}
