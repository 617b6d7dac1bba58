//! The console over a large installation: each page's time on the server, its
//! weight, and when a browser has painted it.

use std::fmt;
use std::time::Instant;

use bailiwick_authority::http::console::routes;
use bailiwick_testkit::browser::Browser;
use serde::Serialize;

use crate::Failure;
use crate::machine::Machine;
use crate::measure::{median, percentile, sorted};
use crate::place::Place;

mod fill;
mod pages;
mod site;

use pages::Page;
use site::Site;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Delegations on record.
    pub(crate) delegations: u32,
    /// Decided calls, beside the entries of the delegations.
    pub(crate) entries: u32,
    /// Whether a browser is asked as well.
    pub(crate) paints: bool,
}

const ABOUT: &str = "an installation of people, agents, tools, waiting calls, so many delegations \
and decided calls, written through the store with real rows, signed entries and published tiles. \
Each page is asked for by an owner in one process, over loopback, round after round; its weight is \
that of the page with its stylesheet and scripts, uncompressed. First paint is what headless \
Chromium reports with nothing cached.";

/// What a page may take on the server, milliseconds.
const MOST_MS: f64 = 200.0;
/// What a page may weigh, bytes.
const MOST_BYTES: usize = 150_000;
/// When a browser must have painted, milliseconds.
const MOST_PAINT_MS: f64 = 1_000.0;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    figure: &'static str,
    about: &'static str,
    machine: Machine,
    file_system: String,
    delegations: u32,
    entries: u64,
    rounds: u32,
    filled_s: f64,
    pages: Vec<Measured>,
    /// Routes that show something and were not measured, with why.
    left_out: Vec<(String, &'static str)>,
}

/// One page.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    name: String,
    path: String,
    median_ms: f64,
    p95_ms: f64,
    max_ms: f64,
    bytes: usize,
    paint_ms: Option<f64>,
    /// Whether a browser shows it as a page.
    is_page: bool,
}

impl Measured {
    /// Whether it takes or weighs too much.
    fn is_over(&self) -> bool {
        self.median_ms > MOST_MS
            || (self.is_page && self.bytes > MOST_BYTES)
            || self.paint_ms.is_some_and(|ms| ms > MOST_PAINT_MS)
    }
}

/// Routes that are not measured: what they show does not grow, or it is another
/// page's part.
const SMALL: &[(&str, &str)] = &[
    ("/workflows/{id}/changes", "of two versions, whatever else there is"),
    ("/figures/compare", "twice what `/figures` asks"),
    ("/static/{name}", "a file, in the weight of each page"),
    ("/login", "a form"),
    ("/login/program", "a form"),
    ("/login/callback", "of a provider"),
    ("/login/provider/{name}", "of a provider"),
    ("/enrol/{secret}", "a form"),
    ("/authorize", "leads to a consent page"),
    ("/consent/{secret}", "of one request"),
    ("/consent/{secret}/provider/{name}", "of a provider"),
    ("/account/logins/{name}", "of a provider"),
    ("/account/passkeys/{id}/remove", "a question"),
    ("/accounts/{server}/connect", "of a provider"),
    ("/accounts/{server}/callback", "of a provider"),
    ("/accounts/{server}/disconnect", "a question"),
    ("/approvals/{id}/revoke", "a question"),
    ("/approvals/{id}/standing", "a question"),
    ("/standing-approvals/{id}", "of one approval"),
    ("/standing-approvals/{id}/revoke", "a question"),
    ("/requests/{id}", "of one request"),
    ("/handoffs/{id}", "of one handoff"),
    ("/stop", "a question"),
    ("/grants/{id}/revoke", "a question"),
    ("/delegations/{root}/revoke", "a question"),
    ("/agents/{id}/{verb}", "a question"),
    ("/people/{alias}/offboard", "a question"),
    ("/people/{alias}/link", "a question"),
    ("/people/{alias}/{verb}", "a question"),
];

pub(crate) fn scale(plan: Plan, place: &Place) -> Result<Report, Failure> {
    let folder = place.folder()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let began = Instant::now();
    let site = Site::start(folder.path(), &runtime)?;
    let filled = fill::fill(&site, plan.delegations, plan.entries)?;
    let filled_s = began.elapsed().as_secs_f64();
    let session = site.session()?;
    let (pages, left_out) = chosen(&filled)?;
    let mut measured = pages
        .iter()
        .map(|page| time(&site, &session, page, plan.rounds))
        .collect::<Result<Vec<_>, _>>()?;
    if plan.paints {
        runtime.block_on(paint(&site, &session, &mut measured));
    }
    Ok(Report {
        figure: "console scale",
        about: ABOUT,
        machine: Machine::here(),
        file_system: place.file_system().to_owned(),
        delegations: plan.delegations,
        entries: site.size()?,
        rounds: plan.rounds,
        filled_s,
        pages: measured,
        left_out,
    })
}

type LeftOut = Vec<(String, &'static str)>;

/// The pages to measure; every route that shows something is there, or it is
/// said why not.
fn chosen(filled: &fill::Filled) -> Result<(Vec<Page>, LeftOut), Failure> {
    let pages = pages::all(filled);
    let mut left_out = Vec::new();
    for route in routes().filter(|route| route.methods.contains(&"get")) {
        if pages.iter().any(|page| page.route == route.path) {
            continue;
        }
        let why = SMALL.iter().find(|(path, _)| *path == route.path);
        let (_, why) = why.ok_or_else(|| format!("`{}` is measured nowhere", route.path))?;
        left_out.push((route.path.to_owned(), *why));
    }
    Ok((pages, left_out))
}

/// What the stylesheet and the scripts that a page names weigh, bytes.
fn weight_of_files(site: &Site, session: &str, page: &str) -> Result<usize, Failure> {
    let mut bytes = 0;
    for name in ["console.css", "console.js", "proof.js"] {
        let path = format!("/static/{name}");
        if page.contains(&path) {
            bytes += site.get(&path, session)?.1.len();
        }
    }
    Ok(bytes)
}

fn time(site: &Site, session: &str, page: &Page, rounds: u32) -> Result<Measured, Failure> {
    let mut times = Vec::new();
    let mut bytes = 0;
    // The first round warms up.
    for round in 0..=rounds {
        let began = Instant::now();
        let (status, body) = site.get(&page.path, session)?;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        if status != 200 {
            return Err(format!("`{}` answered {status}", page.path).into());
        }
        if round > 0 {
            times.push(took);
        }
        if round == rounds {
            bytes = body.len().saturating_add(weight_of_files(site, session, &body)?);
        }
    }
    let times = sorted(times);
    Ok(Measured {
        name: page.name.to_owned(),
        path: page.path.clone(),
        median_ms: median(&times),
        p95_ms: percentile(&times, 95),
        max_ms: times.last().copied().unwrap_or_default(),
        bytes,
        paint_ms: None,
        is_page: page.is_page,
    })
}

const PAINTED: &str = "const done = arguments[arguments.length - 1];
    const seen = () => performance.getEntriesByName('first-contentful-paint')[0];
    const ask = () => seen() ? done(seen().startTime) : setTimeout(ask, 10);
    ask();";

/// When a browser with nothing cached has painted each page.
async fn paint(site: &Site, session: &str, pages: &mut [Measured]) {
    let browser = Browser::start().await;
    browser.keep_cookie(&site.url(), "bailiwick", session).await;
    for page in pages.iter_mut().filter(|page| page.is_page) {
        browser.forget_files().await;
        browser.open(&format!("{}{}", site.url(), page.path)).await;
        page.paint_ms = browser.script_later(PAINTED).await.as_f64();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.figure, self.about)?;
        writeln!(f, "{}, {}", self.machine, self.file_system)?;
        writeln!(
            f,
            "{} delegations, {} entries, filled in {:.0} s; {} rounds\n",
            self.delegations, self.entries, self.filled_s, self.rounds
        )?;
        let width = self.pages.iter().map(|page| page.name.len()).max().unwrap_or(0);
        write!(
            f,
            "  {:width$}  {:>9}  {:>9}  {:>9}  {:>8}  {:>8}",
            "", "median ms", "p95 ms", "max ms", "KB", "paint ms"
        )?;
        for page in &self.pages {
            let paint = page.paint_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0}"));
            let over = if page.is_over() { "  over" } else { "" };
            write!(
                f,
                "\n  {:width$}  {:>9.1}  {:>9.1}  {:>9.1}  {:>8}  {paint:>8}{over}",
                page.name,
                page.median_ms,
                page.p95_ms,
                page.max_ms,
                page.bytes.div_ceil(1_000)
            )?;
        }
        write!(f, "\n\nnot measured:")?;
        for (path, why) in &self.left_out {
            write!(f, "\n  {path}: {why}")?;
        }
        Ok(())
    }
}
