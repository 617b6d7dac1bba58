//! Routes about runs, and how far agents may act without a person.

use super::{Route, SIGNED_IN, change, read};
use crate::http::api::{autonomy, run_checks, runs};

pub(super) const AUTONOMY: Route = Route {
    refusals: &[404],
    ..read(
        "autonomy",
        "/api/v1/workflows/{id}/autonomy",
        "How far a workflow's agents may act without a person, why, and what raises it.",
        SIGNED_IN,
        "Autonomy",
        autonomy::show,
    )
};

pub(super) const LOWER: Route = Route {
    answer: (200, Some("AutonomyState")),
    refusals: &[404],
    ..change(
        "lowerAutonomy",
        "/api/v1/workflows/{id}/autonomy/lower",
        "Lower it at once, to any level.",
        SIGNED_IN,
        Some("LowerAutonomy"),
        autonomy::lower,
    )
};

pub(super) const RAISE: Route = Route {
    answer: (200, Some("AutonomyState")),
    refusals: &[404, 409],
    ..change(
        "raiseAutonomy",
        "/api/v1/workflows/{id}/autonomy/raise",
        "Sign that it is raised by one level: the owner and somebody else do.",
        SIGNED_IN,
        Some("RaiseAutonomy"),
        autonomy::raise,
    )
};

pub(super) const RUNS: Route = Route {
    refusals: &[404],
    query: &["workflow", "agent", "task", "state", "after", "limit"],
    ..read(
        "runs",
        "/api/v1/runs",
        "Runs, newest first. Without a role, those of one's own tasks, or with `workflow` those of it that one reviews.",
        SIGNED_IN,
        "Runs",
        runs::list,
    )
};

pub(super) const RUN: Route = Route {
    refusals: &[404],
    ..read(
        "run",
        "/api/v1/runs/{id}",
        "One run: its goal, context, calls, evidence, and why it counts as complete or what is missing.",
        SIGNED_IN,
        "Run",
        runs::show,
    )
};

pub(super) const REVIEW: Route = Route {
    answer: (200, Some("ReviewedRun")),
    ..change(
        "reviewRun",
        "/api/v1/runs/{id}/reviews",
        "Accept, correct or reject a run that has ended, as somebody whom its workflow names.",
        SIGNED_IN,
        Some("NewReview"),
        runs::review,
    )
};

pub(super) const CHECKS: Route = Route {
    refusals: &[404],
    ..read(
        "runChecks",
        "/api/v1/runs/{id}/checks",
        "What is checked of a run by others than its agent, and what was found.",
        SIGNED_IN,
        "RunChecks",
        run_checks::list,
    )
};

pub(super) const CHECK: Route = Route {
    answer: (200, Some("RunChecked")),
    ..change(
        "checkRun",
        "/api/v1/runs/{id}/checks",
        "Have a call that checks a run taken up, or the run's named checks made.",
        SIGNED_IN,
        Some("RunCheck"),
        run_checks::make,
    )
};

pub(super) const ROLLBACK_PLAN: Route = Route {
    refusals: &[404, 409],
    ..read(
        "rollbackPlan",
        "/api/v1/runs/{id}/rollback",
        "What the rollback plan undoes of a run, in order, and where each stands.",
        SIGNED_IN,
        "RollbackPlan",
        run_checks::plan,
    )
};

pub(super) const ROLLBACK: Route = Route {
    answer: (200, Some("Undo")),
    ..change(
        "startRollback",
        "/api/v1/runs/{id}/rollback",
        "Record that something of the rollback plan is started.",
        SIGNED_IN,
        Some("NewRollback"),
        run_checks::start,
    )
};

pub(super) const REPORT: Route = Route {
    refusals: &[404, 409, 422],
    ..read(
        "runReport",
        "/api/v1/runs/{id}/report",
        "The report of a run, with the entries that it follows from.",
        SIGNED_IN,
        "RunReport",
        run_checks::report,
    )
};
