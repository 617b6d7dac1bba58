//! Figures for Prometheus: a listener of its own, read from the state with each
//! scrape.
//!
//! SECURITY: labels hold workflows, agents, catalogued tools, decisions and codes:
//! never a principal, a task or a text.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bailiwick_authority::Scrape;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::MetricsOptions;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile;

/// Series of one family at most; what comes beyond is added up in one.
const MAX_SERIES: usize = 1_000;
/// What stands in the labels of that one.
const OTHER: &str = "other";
/// Upper bounds of the histogram, seconds.
const BOUNDS: [u64; 10] = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 604_800];
/// Characters of a token at least.
const MIN_TOKEN_CHARS: usize = 16;

struct Scraper {
    data: Arc<DataDir>,
    token: Option<Zeroizing<String>>,
}

/// The token that a scrape must show, if one is configured.
fn token(data: &DataDir, options: &MetricsOptions) -> Result<Option<Zeroizing<String>>, CliError> {
    if options.token_file.is_empty() {
        return Ok(None);
    }
    let path = data.dir.join(&options.token_file);
    let bytes = Zeroizing::new(keyfile::own(keyfile::read_private(&path))?);
    let text = std::str::from_utf8(&bytes).ok().map(str::trim).unwrap_or_default();
    if text.len() < MIN_TOKEN_CHARS || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(CliError::usage(
            "metrics-token-malformed",
            format!("{} holds no token", path.display()),
            "write at least 16 characters without spaces on its one line",
        ));
    }
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// The one route.
pub(crate) fn router(data: &Arc<DataDir>) -> Result<Router, CliError> {
    let token = token(data, &data.config.metrics)?;
    let scraper = Arc::new(Scraper { data: Arc::clone(data), token });
    Ok(Router::new().route("/metrics", get(scrape)).with_state(scraper))
}

/// Whether a `Host` names this machine only.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Scraper {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            // SECURITY: a page of somebody's browser reaches loopback by a name of its
            // own (DNS rebinding).
            return headers.get(header::HOST).and_then(|h| h.to_str().ok()).is_some_and(is_local);
        };
        let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let shown = value.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        shown.as_bytes().ct_eq(token.as_bytes()).into()
    }

    fn read(&self) -> Result<String, CliError> {
        let scrape = self.data.authority.scrape()?;
        let checkpoint = std::fs::metadata(self.data.dir.join("ledger/checkpoint"))
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let age = checkpoint.map(|at| {
            let at = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
            host::now().seconds().saturating_sub(at).max(0)
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Figures { scrape, checkpoint_age: age }));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).map_err(|e| {
            CliError::environment("metrics-unwritten", e.to_string(), "tell the developers")
        })?;
        Ok(text)
    }
}

async fn scrape(State(scraper): State<Arc<Scraper>>, headers: HeaderMap) -> Response {
    if !scraper.admits(&headers) {
        if scraper.token.is_none() {
            return StatusCode::MISDIRECTED_REQUEST.into_response();
        }
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let read = tokio::task::spawn_blocking(move || scraper.read()).await;
    match read {
        Ok(Ok(text)) => {
            let kind = [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
            (kind, text).into_response()
        }
        Ok(Err(e)) => {
            tracing::warn!(code = %e.code, "figures cannot be read: {}", e.message);
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What one scrape says.
struct Figures {
    scrape: Scrape,
    checkpoint_age: Option<i64>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures(…)")
    }
}

/// The first series of a family, and the rest added up.
fn bounded<const N: usize>(all: &[([String; N], u64)]) -> Vec<([String; N], u64)> {
    let mut kept: Vec<_> = all.iter().take(MAX_SERIES).cloned().collect();
    let rest = all.iter().skip(MAX_SERIES);
    let (n, sum) = rest.fold((0_u64, 0_u64), |(n, sum), (_, more)| {
        (n.saturating_add(1), sum.saturating_add(*more))
    });
    if n > 0 {
        kept.push((std::array::from_fn(|_| OTHER.to_owned()), sum));
    }
    kept
}

fn family<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labels: [&str; N],
    all: &[([String; N], u64)],
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (values, n) in bounded(all) {
        let set: Vec<(&str, &str)> =
            labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
        ConstCounter::new(n).encode(metric.encode_family(&set)?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (e, scrape) = (&mut encoder, &self.scrape);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let labels = ["workflow", "agent", "tool", "decision", "reason"];
        family(e, "bailiwick_calls", "Decided calls", labels, &scrape.calls)?;
        let labels = ["workflow", "outcome"];
        family(e, "bailiwick_runs", "Runs that ended", labels, &scrape.runs_ended)?;
        gauge(e, "bailiwick_runs_open", "Runs that go on", count(scrape.runs_open))?;
        let pending = count(scrape.approvals_pending);
        gauge(e, "bailiwick_approvals_pending", "Calls that wait for a person", pending)?;
        let failures = count(scrape.failures_unresolved);
        gauge(e, "bailiwick_failures_unresolved", "Failures that nobody resolved", failures)?;
        let entries = count(scrape.ledger_entries);
        gauge(e, "bailiwick_ledger_entries", "Entries of the ledger", entries)?;
        if let Some(age) = self.checkpoint_age {
            let help = "Time since the last checkpoint was published";
            gauge(e, "bailiwick_checkpoint_age_seconds", help, age)?;
        }
        let help = "Age of what is known of a trust domain's revocations";
        let name = "bailiwick_revocation_staleness_seconds";
        let mut metric = e.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (domain, age) in scrape.staleness.iter().take(MAX_SERIES) {
            let set = [("trust_domain", domain.as_str())];
            ConstGauge::new(*age).encode(metric.encode_family(&set)?)?;
        }
        let help = "Time from a call's question to its settlement by people";
        let name = "bailiwick_approval_decision_seconds";
        let mut metric = e.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let (mut total, mut sum) = (0_u64, 0.0);
        for row in &scrape.decisions {
            total = total.saturating_add(row.calls);
            sum += row.seconds as f64 * row.calls as f64;
        }
        // Each bucket by itself: the encoder adds them up.
        let mut below = 0_u64;
        let mut buckets = Vec::with_capacity(BOUNDS.len() + 1);
        for bound in BOUNDS {
            let rows = scrape.decisions.iter().filter(|row| row.seconds < bound);
            let all = rows.fold(0_u64, |n, row| n.saturating_add(row.calls));
            buckets.push((bound as f64, all.saturating_sub(below)));
            below = all;
        }
        buckets.push((f64::INFINITY, total.saturating_sub(below)));
        metric.encode_histogram::<Vec<(String, String)>>(sum, total, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered_without_a_token() {
        for host in ["localhost", "LOCALHOST:9", "127.0.0.1:9464", "127.1.2.3", "[::1]:9", "[::1]"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.test", "evil.test:9464", "localhost.evil.test", "10.0.0.1", "[::2]", ""]
        {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_family_has_a_bound_and_loses_nothing() {
        let all: Vec<([String; 1], u64)> = (0..1_500).map(|n| ([n.to_string()], 2)).collect();
        let kept = bounded(&all);
        assert_eq!(kept.len(), MAX_SERIES + 1);
        assert_eq!(kept.last().unwrap(), &([OTHER.to_owned()], 1_000));
        assert_eq!(kept.iter().map(|(_, n)| n).sum::<u64>(), 3_000);
        assert_eq!(bounded(&all[..1_000]).len(), 1_000);
    }
}
