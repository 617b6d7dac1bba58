//! What becomes of the credentials of one server.

use bailiwick_core::json::{Json, Object};

use crate::client_config::{Found, How, Imported, Place, Use};
use crate::vault::environment::MAX_VARIABLES;
use crate::vault::form::{Form, Source, Variable};

/// What becomes of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lot {
    /// It is part of what the vault takes.
    Vault,
    /// It goes to a file, and why.
    File { why: String },
}

/// One server, and what the vault is to hold for it.
pub(super) struct Plan {
    pub(super) server: Imported,
    pub(super) form: Option<Form>,
    /// In the order of what was found.
    lots: Vec<Lot>,
}

impl Plan {
    pub(super) fn of(server: Imported) -> Self {
        let (form, lots) = match &server.how {
            How::Url(_) => of_url(&server.found),
            How::Program { .. } => of_program(&server.found),
        };
        Self { server, form, lots }
    }

    pub(super) fn lots(&self) -> impl Iterator<Item = (&Found, &Lot)> {
        self.server.found.iter().zip(&self.lots)
    }

    /// Keeps everything out of the vault.
    pub(super) fn stay(&mut self, why: &str) {
        self.form = None;
        for lot in &mut self.lots {
            if *lot == Lot::Vault {
                *lot = Lot::File { why: why.to_owned() };
            }
        }
    }

    /// The configuration, in which what the vault holds is named by it.
    pub(super) fn pointed(&self, credentials: &str) -> Object {
        let mut config = self.server.config.clone();
        for (found, _) in self.lots().filter(|(_, lot)| **lot == Lot::Vault) {
            let from = format!("file:{credentials}/{}", found.file);
            let to = match found.usage {
                Use::Variable => format!("vault:{}/{}", self.server.name, found.name),
                _ => format!("vault:{}", self.server.name),
            };
            config = config.iter().map(|(n, v)| (n.to_owned(), renamed(v, &from, &to))).collect();
        }
        config
    }
}

fn renamed(json: &Json, from: &str, to: &str) -> Json {
    match json {
        Json::String(text) if text == from => Json::from(to),
        Json::Array(all) => all.iter().map(|v| renamed(v, from, to)).collect::<Vec<_>>().into(),
        Json::Object(all) => {
            let all = all.iter().map(|(n, v)| (n.to_owned(), renamed(v, from, to)));
            Json::Object(all.collect())
        }
        other => other.clone(),
    }
}

fn value(found: &Found) -> Source {
    Source::Value(found.value.to_string())
}

fn variable(found: &Found) -> Variable {
    Variable { name: found.name.clone(), secret: value(found) }
}

/// What the vault could hold for one credential; `Err` says why it cannot.
fn form(found: &Found) -> Result<Form, String> {
    let form = match &found.usage {
        Use::Bearer => Form::Bearer { secret: value(found) },
        Use::Basic { user } => Form::Basic { user: user.clone(), secret: value(found) },
        Use::Header => Form::Header { name: found.name.clone(), secret: value(found) },
        Use::Variable => Form::Environment { variables: vec![variable(found)] },
        Use::Nothing => {
            let why = match found.place {
                Place::Query => "what stands in a URL is not sent",
                _ => {
                    "an argument of the program stays one; pass it in the environment if the program takes that"
                }
            };
            return Err(why.to_owned());
        }
    };
    form.check().map_err(|error| error.message)?;
    Ok(form)
}

/// A tool server is shown one credential: `Authorization`, or what looks most like
/// one.
fn of_url(all: &[Found]) -> (Option<Form>, Vec<Lot>) {
    let forms: Vec<_> = all.iter().map(form).collect();
    let fit = |(n, form): (usize, &Result<Form, String>)| form.is_ok().then_some(n);
    let mut fit: Vec<usize> = forms.iter().enumerate().filter_map(fit).collect();
    let rank = |n: &usize| match all.get(*n) {
        Some(found) if found.name.eq_ignore_ascii_case("authorization") => 0,
        Some(found) if found.is_telling() => 1,
        _ => 2,
    };
    fit.sort_by_key(rank);
    let chosen = fit.first().copied();
    let (mut taken, mut lots) = (None, Vec::with_capacity(all.len()));
    for (n, form) in forms.into_iter().enumerate() {
        lots.push(match form {
            Ok(form) if Some(n) == chosen => {
                taken = Some(form);
                Lot::Vault
            }
            Ok(_) => Lot::File { why: "a tool server is shown one credential".to_owned() },
            Err(why) => Lot::File { why },
        });
    }
    (taken, lots)
}

/// A program gets as many variables as it had.
fn of_program(all: &[Found]) -> (Option<Form>, Vec<Lot>) {
    let (mut variables, mut lots) = (Vec::new(), Vec::with_capacity(all.len()));
    for found in all {
        lots.push(match form(found) {
            Ok(_) if variables.len() < MAX_VARIABLES => {
                variables.push(variable(found));
                Lot::Vault
            }
            Ok(_) => Lot::File { why: "these are too many variables of one program".to_owned() },
            Err(why) => Lot::File { why },
        });
    }
    ((!variables.is_empty()).then_some(Form::Environment { variables }), lots)
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;
    use crate::client_config;

    fn plan(server: &str) -> Plan {
        let text = format!(r#"{{"mcpServers":{{"a":{server}}}}}"#);
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        Plan::of(client_config::read(&json, "DIR").unwrap().remove(0))
    }

    fn in_vault(plan: &Plan) -> Vec<&str> {
        plan.lots().filter(|(_, lot)| **lot == Lot::Vault).map(|(f, _)| f.name.as_str()).collect()
    }

    #[test]
    fn a_server_is_shown_one_credential_and_authorization_goes_first() {
        let plan = plan(
            r#"{"url":"https://h/?key=hunter2-0","headers":{"X-Org-Key":"hunter2-1","Authorization":"Bearer hunter2-2"}}"#,
        );
        assert_eq!(in_vault(&plan), ["Authorization"]);
        assert_eq!(plan.form.as_ref().map(Form::kind), Some("bearer"));
        let config = Json::from(plan.pointed("DIR")).canonical();
        assert!(config.contains(r#""Authorization":"vault:a""#), "{config}");
        assert!(config.contains("file:DIR/a.X-Org-Key") && !config.contains("hunter2"), "{config}");
        assert_eq!(plan.lots().count(), 3);
        // A header that may be none is not taken for one before another that is.
        let plan = self::plan(
            r#"{"url":"https://h/","headers":{"X-Region":"europe-north","X-Api-Key":"hunter2-1"}}"#,
        );
        assert_eq!(in_vault(&plan), ["X-Api-Key"]);
    }

    #[test]
    fn a_program_gets_all_its_variables_and_what_no_vault_holds_goes_to_a_file() {
        let mut plan = plan(
            r#"{"command":"x","args":["--token","hunter2-3"],"env":{"A_TOKEN":"hunter2-1","B_KEY":"hunter2-2","C_KEY":"short","LD_AUTH":"hunter2-4","MODE":"fast"}}"#,
        );
        assert_eq!(in_vault(&plan), ["A_TOKEN", "B_KEY"]);
        assert_eq!(plan.form.as_ref().map(Form::names).as_deref(), Some("A_TOKEN, B_KEY"));
        let config = Json::from(plan.pointed("DIR")).canonical();
        assert!(config.contains("vault:a/A_TOKEN") && config.contains("file:DIR/a.C_KEY"));
        plan.stay("because");
        assert_eq!(in_vault(&plan), Vec::<&str>::new());
        assert!(plan.form.is_none());
        let config = Json::from(plan.pointed("DIR")).canonical();
        assert!(config.contains("file:DIR/a.A_TOKEN"), "{config}");
    }
}
