//! Lost passkeys, recovery, and people who leave.

use bailiwick_authority::rules::life::{Administrator, Offboarded};
use bailiwick_authority::{OwnPasskey, Refusal};
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};

use super::address;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::Output;
use crate::table::table;
use crate::verbs::agent::{moved_lines, steps_of_moved};
use crate::verbs::vault::end_consents;

pub(super) fn offboard(
    data: &DataDir,
    id: &str,
    agents_to: Option<&str>,
    reason: &str,
    out: Output,
) -> Result<(), CliError> {
    let id = PrincipalId::parse(id)?;
    let to = agents_to.map(PrincipalId::parse).transpose()?;
    if reason.trim().is_empty() {
        return Err(CliError::usage(
            "reason-empty",
            "the end of an account needs a reason in words",
            "pass --reason 'why'",
        ));
    }
    let by = Administrator::OnHost;
    let left = data.authority.offboard(&id, to.as_ref(), &by, reason)?;
    if !left.changed {
        let text = format!("{id} is offboarded already; nothing was written");
        out.result(left.to_json(&id), text);
        return Ok(());
    }
    let held = left.taken.len();
    let untold = end_consents(data, &left.taken)?;
    let servers: Vec<Json> = untold.iter().map(Json::from).collect();
    let said =
        left.to_json(&id).with("accounts_removed", count(held)).with("accounts_untold", servers);
    let mut text = left_text(&id, to.as_ref(), &left);
    if held > 0 {
        text.push_str(&format!("\n  accounts     {held} at tool servers removed"));
    }
    for server in &untold {
        text.push_str(&format!("\n  not told     {server}: end the access there too"));
    }
    out.result(said, text);
    let mut steps = to.as_ref().map(|to| steps_of_moved(&left.moved, to)).unwrap_or_default();
    steps.extend(left.workflows.iter().map(|workflow| {
        format!("bailiwick workflow publish FILE   # `{workflow}` names {id} as its owner")
    }));
    out.next(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}

fn left_text(id: &PrincipalId, to: Option<&PrincipalId>, left: &Offboarded) -> String {
    let roles: Vec<&str> = left.roles.iter().map(|role| role.as_str()).collect();
    let mut text = format!(
        "{id} has left: the account is retired for good\n  grants       {} ended, with all that was derived from them\n  sessions     {} ended\n  credentials  {} retired\n  roles        {}",
        left.grants,
        left.sessions,
        left.credentials,
        if roles.is_empty() { "none".to_owned() } else { roles.join(" ") },
    );
    for moved in &left.moved {
        let to = to.map_or("", PrincipalId::as_str);
        text.push_str(&format!("\n  moved        {} to {to}", moved.agent));
    }
    for agent in &left.retired {
        text.push_str(&format!("\n  retired      {agent}"));
    }
    text + &moved_lines(&left.moved)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

pub(super) fn passkeys(data: &DataDir, id: &PrincipalId, out: Output) -> Result<(), CliError> {
    let alias = data.authority.principal(id)?.row.alias;
    let own = data.authority.passkeys(&alias)?;
    let lines: Vec<Vec<String>> = own
        .iter()
        .map(|p| {
            let used = p.used.map_or("never".to_owned(), |at| at.to_string());
            let (added, from) = (p.added.to_string(), p.trusted.to_string());
            vec![p.id.clone(), p.label.clone(), added, from, used]
        })
        .collect();
    let text = match lines.as_slice() {
        [] => format!("{id} has no passkey"),
        lines => table(&["id", "name", "added", "signs verdicts from", "last used"], lines),
    };
    let list: Vec<Json> = own.iter().map(passkey_json).collect();
    out.result(Object::new().with("principal", id).with("passkeys", list), text);
    if own.is_empty() {
        out.next(&[&format!("bailiwick principal link {id}")]);
    }
    Ok(())
}

fn passkey_json(passkey: &OwnPasskey) -> Json {
    Object::new()
        .with("id", passkey.id.as_str())
        .with("name", passkey.label.as_str())
        .with("added", passkey.added.to_string())
        .with("trusted", passkey.trusted.to_string())
        .with("last_used", passkey.used.map(|at| at.to_string()))
        .into()
}

pub(super) fn remove(
    data: &DataDir,
    id: &PrincipalId,
    which: Option<&str>,
    out: Output,
) -> Result<(), CliError> {
    let removed = data.authority.passkeys_lost(id, which, &Administrator::OnHost)?;
    // Who may not sign in gets no link, and needs none.
    let link = match (removed.left, data.authority.enrolment_link(id)) {
        (0, Ok(secret)) => Some(address(data, &secret)),
        (0, Err(Refusal::PrincipalInactive)) | (1.., _) => None,
        (0, Err(other)) => return Err(other.into()),
    };
    let mut text = format!(
        "retired {} of {id}; {} left, {} sessions ended",
        removed.passkeys.iter().map(|p| format!("`{}`", p.label)).collect::<Vec<_>>().join(", "),
        removed.left,
        removed.sessions,
    );
    if let Some(link) = &link {
        text.push_str(&format!(
            "\n  passkey link  {link}\n                (once, within a day; whoever opens it first becomes {id})"
        ));
    }
    out.result(
        Object::new()
            .with("principal", id)
            .with("retired", removed.passkeys.iter().map(passkey_json).collect::<Vec<_>>())
            .with("left", count(removed.left))
            .with("sessions_ended", count(removed.sessions))
            .with("enrolment_link", link.as_deref()),
        text,
    );
    Ok(())
}

pub(super) fn recover(data: &DataDir, id: &PrincipalId, out: Output) -> Result<(), CliError> {
    let recovered = data.authority.recover(id)?;
    let link = address(data, &recovered.link);
    let warning = CliError::refused(
        "owner-recovered",
        format!(
            "whoever opens this link first becomes {id}, an owner of this installation; the ledger says that it was made on this host"
        ),
        "hand it over in person, and tell the other owners",
    );
    out.warn(&warning);
    let others: Vec<Json> = recovered.others.iter().map(Json::from).collect();
    let role = if recovered.role_given { "is an owner now" } else { "was an owner already" };
    let mut text = format!(
        "{id} {role}; {} sessions ended\n  passkey link  {link}\n                (once, within a day, while `serve` runs)",
        recovered.sessions
    );
    for other in &recovered.others {
        text.push_str(&format!("\n  also owner    {other}"));
    }
    out.result(
        Object::new()
            .with("principal", id)
            .with("role_given", recovered.role_given)
            .with("sessions_ended", count(recovered.sessions))
            .with("other_owners", others)
            .with("enrolment_link", link.as_str())
            .with("warning", warning.to_json()),
        text,
    );
    out.next(&[
        &format!("bailiwick principal passkey list {id}   # remove those that are lost or stolen"),
        "bailiwick audit tail   # `principal.invited`, with the reason `recovery`",
    ]);
    Ok(())
}
