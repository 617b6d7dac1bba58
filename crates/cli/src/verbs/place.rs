//! Where a verb is carried out: on a data dir, or at an authority elsewhere as
//! somebody who is signed in there.

use std::path::Path;

use bailiwick_core::json::{Json, Object};
use reqwest::Method;

use super::login::Login;
use crate::datadir::DataDir;
use crate::error::CliError;

/// Where.
pub(super) enum Place {
    Here(Box<DataDir>),
    At(Box<Login>),
}

impl Place {
    pub(super) fn open(
        at: Option<&str>,
        dir: &Path,
        logins: Option<&Path>,
    ) -> Result<Self, CliError> {
        Ok(match at {
            Some(at) => Self::At(Box::new(Login::read(at, logins)?)),
            None => Self::Here(Box::new(DataDir::open(dir)?)),
        })
    }

    pub(super) fn get(login: &Login, path: &str) -> Result<Object, CliError> {
        login.call(Method::GET, &format!("/api/v1{path}"), None)
    }

    /// The list that an answer has under `member`.
    pub(super) fn list_of(login: &Login, path: &str, member: &str) -> Result<Vec<Json>, CliError> {
        let answer = Self::get(login, path)?;
        let list = answer.member(member).and_then(Json::as_array);
        Ok(list.unwrap_or_default().to_vec())
    }

    pub(super) fn post(login: &Login, path: &str, body: Object) -> Result<Object, CliError> {
        login.call(Method::POST, &format!("/api/v1{path}"), Some(&body.into()))
    }
}

/// A member that is a text; else nothing.
pub(super) fn text<'o>(object: &'o Object, name: &str) -> &'o str {
    object.member(name).and_then(Json::as_str).unwrap_or_default()
}
