//! What a route is; all of them stand in one table.

use super::{Answer, Call};
use crate::Login;
use crate::http::problem::Problem;
use crate::people::roles::Deed;

mod learning;
mod table;
mod work;
pub(super) use table::ROUTES;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever proves a key.
    Anyone,
    /// Whoever is signed in; the handler looks at what is theirs.
    SignedIn,
    /// Whoever has a role for this.
    Deed(Deed),
}

/// A handler.
pub(super) type Handler = fn(&Call<'_>, Option<&Login>) -> Result<Answer, Problem>;

/// One route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// `operationId`.
    pub(super) id: &'static str,
    /// The path, in the form that both the router and OpenAPI read.
    pub(super) path: &'static str,
    /// What it does.
    pub(super) summary: &'static str,
    pub(super) access: Access,
    /// Whether it decides who acts as whom, so that the person must have proved
    /// who they are a few minutes ago: a program that was let in hours ago does
    /// not do.
    pub(super) fresh: bool,
    /// Parameters of the query, by the names of the document.
    pub(super) query: &'static [&'static str],
    /// Whether it changes something: POST then, else GET.
    pub(super) changes: bool,
    /// The body's schema.
    pub(super) body: Option<&'static str>,
    /// Status and schema of the answer.
    pub(super) answer: (u16, Option<&'static str>),
    /// Whether it creates something, and so takes an `Idempotency-Key`.
    pub(super) creates: bool,
    /// What it may be refused with, beside what every route may.
    pub(super) refusals: &'static [u16],
    pub(super) run: Handler,
}

impl Route {
    pub(super) const fn is_read(&self) -> bool {
        !self.changes
    }
}

const fn read(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    access: Access,
    schema: &'static str,
    run: Handler,
) -> Route {
    Route {
        id,
        path,
        summary,
        access,
        fresh: false,
        query: &[],
        changes: false,
        body: None,
        answer: (200, Some(schema)),
        creates: false,
        refusals: &[],
        run,
    }
}

const fn change(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    access: Access,
    body: Option<&'static str>,
    run: Handler,
) -> Route {
    Route {
        id,
        path,
        summary,
        access,
        fresh: false,
        query: &[],
        changes: true,
        body,
        answer: (204, None),
        creates: false,
        refusals: &[404, 409, 422],
        run,
    }
}

const fn create(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    access: Access,
    body: Option<&'static str>,
    schema: &'static str,
    run: Handler,
) -> Route {
    let answer = (201, Some(schema));
    Route { answer, creates: true, ..change(id, path, summary, access, body, run) }
}

const SIGNED_IN: Access = Access::SignedIn;
