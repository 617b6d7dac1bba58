//! Every route of the console in one table: the router is made of it, and tests
//! hold it against who may open what.

use axum::Router;
use axum::routing::{MethodRouter, get, post};

use super::{
    Console, account, accounts, activity, approvals, catalogue, consent, door, failures, figures,
    inbox, ledger, lineage, overview, pages, peers, people, policy, programs, provider, requests,
    runs, settings, standings, stops, take_back, workflows,
};

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its path, with `{name}` for what varies.
    pub path: &'static str,
    /// Its methods: `get`, `post`.
    pub methods: &'static [&'static str],
}

macro_rules! routes {
    ($(#[$doc:meta])* $list:ident, $router:ident: $($path:literal => $($method:ident $handler:path),+;)+) => {
        $(#[$doc])*
        const $list: &[Route] = &[
            $(Route { path: $path, methods: &[$(stringify!($method)),+] }),+
        ];

        $(#[$doc])*
        pub(super) fn $router() -> Router<Console> {
            Router::new()$(.route($path, MethodRouter::new()$(.merge($method($handler)))+))+
        }
    };
}

routes! {
    /// Logins that are begun and ended: counted for each address.
    DOORS, doors:
    "/login/passkey/begin" => post door::login_begin;
    "/login/provider/{name}" => get provider::begin;
    "/login/callback" => get provider::callback;
    "/accounts/{server}/connect" => get accounts::connect;
    "/accounts/{server}/callback" => get accounts::callback;
}

routes! {
    /// Everything else.
    PAGES, pages_and_forms:
    "/" => get overview::show;
    "/login" => get door::login;
    "/login/passkey/finish" => post door::login_finish;
    "/login/program" => get programs::ask, post programs::agree;
    "/logout" => post door::logout;
    "/enrol/{secret}" => get door::enrol;
    "/enrol/{secret}/begin" => post door::enrol_begin;
    "/enrol/{secret}/finish" => post door::enrol_finish;
    "/account" => get account::passkeys;
    "/account/sign-out-everywhere" => post account::sign_out_everywhere;
    "/account/logins/{name}" => get provider::begin_linking;
    "/account/passkeys/begin" => post account::begin;
    "/account/passkeys/finish" => post account::finish;
    "/account/passkeys/{id}/remove" => get account::ask_remove, post account::remove;
    "/accounts" => get accounts::list;
    "/accounts/{server}/disconnect" => get accounts::ask_disconnect, post accounts::disconnect;
    "/authorize" => get consent::authorize;
    "/consent/{secret}" => get consent::show;
    "/consent/{secret}/task" => post consent::choose;
    "/consent/{secret}/narrow" => post consent::narrow;
    "/consent/{secret}/sign" => post consent::sign;
    "/consent/{secret}/provider/{name}" => get provider::begin_signing;
    "/consent/{secret}/deny" => post consent::deny;
    "/approvals" => get inbox::list;
    "/approvals/mark" => get inbox::mark;
    "/approvals/batch" => get standings::batch, post standings::say_batch;
    "/approvals/{id}" => get approvals::show;
    "/approvals/{id}/mark" => get approvals::mark;
    "/approvals/{id}/revoke" => get approvals::ask_revoke;
    "/approvals/{id}/standing" => get standings::ask, post standings::approve;
    "/standing-approvals/{id}" => get standings::show;
    "/standing-approvals/{id}/revoke" => get standings::ask_revoke, post standings::revoke;
    "/approvals/{id}/verdict" => post approvals::say;
    "/requests" => get requests::list;
    "/requests/mark" => get requests::mark;
    "/requests/{id}" => get requests::show;
    "/requests/{id}/grant" => post requests::grant;
    "/requests/{id}/refuse" => post requests::refuse;
    "/stop" => get stops::ask, post stops::stop;
    "/stops" => get stops::list;
    "/stops/{id}" => get stops::show;
    "/stops/{id}/resume" => post stops::resume;
    "/grants" => get pages::grants;
    "/grants/{id}" => get pages::grant;
    "/grants/{id}/revoke" => get take_back::ask_grant, post take_back::grant;
    "/delegations/{root}/revoke" => get take_back::ask_root, post take_back::root;
    "/agents" => get pages::agents;
    "/agents/{id}" => get pages::agent;
    "/agents/{id}/{verb}" => get take_back::ask_agent, post take_back::agent;
    "/workflows" => get workflows::list;
    "/workflows/{id}" => get workflows::show;
    "/workflows/{id}/changes" => get workflows::differences;
    "/workflows/{id}/lower" => post workflows::lower;
    "/workflows/{id}/raise" => post workflows::raise;
    "/runs" => get runs::list;
    "/runs/{id}" => get runs::show;
    "/runs/{id}/report" => get runs::report;
    "/runs/{id}/review" => post runs::review;
    "/failures" => get failures::list;
    "/failures/{id}" => get failures::show;
    "/failures/{id}/classify" => post failures::classify;
    "/failures/{id}/resolve" => post failures::resolve;
    "/figures" => get figures::show;
    "/figures/compare" => get figures::before_and_after;
    "/peers" => get peers::list;
    "/handoffs/{id}" => get peers::handoff;
    "/tasks/{id}" => get lineage::task;
    "/catalogue" => get catalogue::list;
    "/catalogue/tool" => get catalogue::tool;
    "/catalogue/accept" => post catalogue::accept;
    "/catalogue/quarantine" => post catalogue::quarantine;
    "/people" => get people::list;
    "/people/{alias}" => get people::person;
    "/people/{alias}/offboard" => get people::ask_offboard, post people::offboard;
    "/people/{alias}/link" => get people::ask_link, post people::link;
    "/people/{alias}/{verb}" => get people::ask_status, post people::status;
    "/clients" => get pages::clients;
    "/activity" => get activity::list;
    "/activity/mark" => get activity::mark;
    "/activity/{index}" => get activity::entry;
    "/ledger" => get ledger::search;
    "/activity/{index}/proof" => get ledger::proof;
    "/policy" => get policy::show;
    "/policy/explain/{action}" => get policy::explain;
    "/policy/replay" => get policy::replay;
    "/settings" => get settings::show;
    "/static/{name}" => get super::asset;
}

/// Every route of the console.
pub fn routes() -> impl Iterator<Item = &'static Route> + Clone {
    DOORS.iter().chain(PAGES)
}
