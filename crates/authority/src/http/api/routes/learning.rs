//! Routes about figures and failures.

use super::{Access, Route, SIGNED_IN, change, read};
use crate::http::api::{failures, metrics};

pub(super) const METRICS: Route = Route {
    refusals: &[404],
    query: &["workflow", "version", "agent", "tool", "hours", "from", "until", "by", "confidence"],
    ..read(
        "metrics",
        "/api/v1/metrics",
        "The figures of a span, each with its numerator and denominator.",
        Access::Deed(metrics::METRICS),
        "Metrics",
        metrics::show,
    )
};

pub(super) const COMPARE: Route = Route {
    refusals: &[404],
    query: &["workflow", "agent", "tool", "baseline", "changed", "confidence"],
    ..read(
        "metricsCompare",
        "/api/v1/metrics/compare",
        "The six figures before and after a change, with how sure the difference is.",
        Access::Deed(metrics::METRICS),
        "MetricsComparison",
        metrics::compare,
    )
};

pub(super) const UNUSED: Route = Route {
    refusals: &[404],
    query: &["workflow", "version", "agent", "hours", "from", "until"],
    ..read(
        "metricsUnused",
        "/api/v1/metrics/unused",
        "What grants that ended included, and what of it was used.",
        Access::Deed(metrics::METRICS),
        "UnusedScope",
        metrics::unused,
    )
};

pub(super) const FAILURES: Route = Route {
    refusals: &[404],
    query: &["workflow", "agent", "failure_state", "class", "after", "limit"],
    ..read(
        "failures",
        "/api/v1/failures",
        "Failures, newest first; without a role, those of workflows that one answers for.",
        SIGNED_IN,
        "Failures",
        failures::list,
    )
};

pub(super) const TRENDS: Route = read(
    "failureTrends",
    "/api/v1/failures/trends",
    "Failures by week and class, over a quarter of a year.",
    SIGNED_IN,
    "FailureTrends",
    failures::trends,
);

pub(super) const FAILURE: Route = Route {
    refusals: &[404],
    ..read(
        "failure",
        "/api/v1/failures/{id}",
        "One failure: what happened, what kind it may be and why, and what people said.",
        SIGNED_IN,
        "Failure",
        failures::show,
    )
};

pub(super) const CLASSIFY: Route = change(
    "classifyFailure",
    "/api/v1/failures/{id}/classify",
    "Say what kind of failure it is, and who mends it.",
    SIGNED_IN,
    Some("FailureClassification"),
    failures::classify,
);

pub(super) const RESOLVE: Route = Route {
    answer: (200, Some("FailureResolved")),
    ..change(
        "resolveFailure",
        "/api/v1/failures/{id}/resolve",
        "Resolve a failure: with a case that keeps it from coming back, or with a reason.",
        SIGNED_IN,
        Some("FailureResolution"),
        failures::resolve,
    )
};

pub(super) const CASE: Route = Route {
    answer: (200, Some("FailureCaseText")),
    ..change(
        "failureCase",
        "/api/v1/failures/{id}/case",
        "The recorded decision as a case of the policy's tests; that it was read is recorded.",
        SIGNED_IN,
        Some("FailureCase"),
        failures::case,
    )
};
