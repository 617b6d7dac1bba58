//! The six figures as cards: what each is worth, how sure that is, and its course.

use bailiwick_core::figures::Rate;
use bailiwick_policy::checklist::{Bound, Evaluation, Measure};
use bailiwick_policy::metrics::statistics::Interval;
use bailiwick_policy::metrics::{Evaluated, Figures, Measured, Standing};

use crate::console::chart::{About, Chart, Level, Series, Tone, TrendPoint};
use crate::console::{FigureCard, Text};

/// A measure in words.
pub(in super::super) const fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::TaskSuccessRate => "Task success",
        Measure::HumanCorrectionRate => "Human correction",
        Measure::EscalationRate => "Escalation",
        Measure::BlockedCallRate => "Blocked calls",
        Measure::IterationsPerTask => "Iterations per completed task",
        Measure::CostPerSuccess => "Cost per successful run",
    }
}

/// The id of its chart.
const fn course_id(measure: Measure) -> &'static str {
    match measure {
        Measure::TaskSuccessRate => "course-success",
        Measure::HumanCorrectionRate => "course-correction",
        Measure::EscalationRate => "course-escalation",
        Measure::BlockedCallRate => "course-blocked",
        Measure::IterationsPerTask => "course-iterations",
        Measure::CostPerSuccess => "course-cost",
    }
}

/// What is counted above the line, and one and several of what is below it.
const fn units(measure: Measure) -> (&'static str, [&'static str; 2]) {
    match measure {
        Measure::TaskSuccessRate => ("completed", ["task", "tasks"]),
        Measure::HumanCorrectionRate => {
            ("corrected or rejected", ["reviewed run", "reviewed runs"])
        }
        Measure::EscalationRate => ("needed a person", ["ended run", "ended runs"]),
        Measure::BlockedCallRate => ("denied", ["call", "calls"]),
        Measure::IterationsPerTask => ("iterations", ["completed task", "completed tasks"]),
        Measure::CostPerSuccess => ("spent", ["successful run", "successful runs"]),
    }
}

fn several(count: u64, [one, many]: [&str; 2]) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A share in per cent, with one decimal where it says something.
fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn number(value: f64) -> String {
    let digits = if value.abs() < 1.0 { 4 } else { 2 };
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-" { "0".to_owned() } else { text.to_owned() }
}

fn currency(figures: &Figures) -> String {
    figures.cost.keys().next().map_or_else(String::new, |unit| format!(" {unit}"))
}

/// A value as people read it.
pub(super) fn shown(measure: Measure, value: f64, currency: &str) -> String {
    match measure {
        _ if measure.is_rate() => format!("{} %", percent(value)),
        Measure::CostPerSuccess => format!("{}{currency}", number(value)),
        _ => number(value),
    }
}

fn between(measure: Measure, interval: Interval) -> String {
    match measure.is_rate() {
        true => format!("{} to {} %", percent(interval.low), percent(interval.high)),
        false => format!("{} to {}", number(interval.low.max(0.0)), number(interval.high)),
    }
}

fn counted(measure: Measure, figures: &Figures) -> String {
    let (above, below) = units(measure);
    match figures.measured(measure) {
        None => {
            let each = figures.cost.iter().map(|(unit, sample)| {
                let mean = sample.mean().unwrap_or_default() / 1e6;
                format!("{} {unit} in {}", number(mean), several(sample.n, ["run", "runs"]))
            });
            format!("several currencies: {}", each.collect::<Vec<_>>().join(", "))
        }
        Some(Measured::Rate(Rate { hits, of })) => {
            format!("{hits} {above}, of {}", several(of, below))
        }
        Some(Measured::Mean { of, unit }) => {
            // What a sum is in units, for display.
            let sum = of.mean().unwrap_or_default() * of.n as f64 / f64::from(unit);
            format!("{} {above}, by {}", number(sum), several(of.n, below))
        }
    }
}

/// The course over the parts of a span: each part with its figures.
fn course(measure: Measure, parts: &[(String, Figures)], confidence: u8) -> Option<Chart> {
    let measured = |figures: &Figures| figures.measured(measure).and_then(Measured::value);
    parts.iter().find(|(_, figures)| measured(figures).is_some())?;
    let highest = parts.iter().filter_map(|(_, figures)| measured(figures)).fold(0.0, f64::max);
    let scale = if measure.is_rate() { 1e4 } else { 1e6 };
    let (least, most) = (0.0, if measure.is_rate() { 1.0 } else { highest * 1.25 });
    // Within the drawing, whatever the interval says.
    let units = |value: f64| (value.clamp(least, most) * scale).round() as u64;
    let point = |(label, figures): &(String, Figures)| TrendPoint {
        label: Text::of(label.as_str()),
        level: measured(figures).map(|value| {
            let interval = figures.measured(measure).and_then(|m| m.interval(confidence));
            let interval = interval.unwrap_or(Interval { low: value, high: value });
            let said = shown(measure, value, &currency(figures));
            Level {
                at: units(value),
                low: units(interval.low),
                high: units(interval.high),
                shown: Text::of(format!("{said} ({})", between(measure, interval))),
            }
        }),
    };
    let points: Vec<TrendPoint> = parts.iter().map(point).collect();
    let tone = if measure.more_is_better() { Tone::Good } else { Tone::Accent };
    let series = Series { name: Text::of(title(measure)), tone };
    let about = About {
        id: course_id(measure),
        title: Text::of(format!("{} over time", title(measure))),
        of: "Day",
    };
    Some(Chart::trend(about, &series, &points, units(most).max(1), ["", "", ""]).small())
}

const fn standing(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Met => ("met", "good"),
        Standing::Missed => ("missed", "bad"),
        Standing::Unsure => ("not sure yet", "warn"),
        Standing::NoData => ("no data", "plain"),
        Standing::SeveralCurrencies => ("several currencies", "plain"),
    }
}

/// A target in the unit in which the figure is shown.
pub(in super::super) fn bound(measure: Measure, bound: Bound) -> Text {
    let word = match bound {
        Bound::AtLeast(_) => "at least",
        Bound::AtMost(_) => "at most",
    };
    let value = bound.millionths() as f64 / 1e6;
    Text::of(match measure.is_rate() {
        true => format!("{word} {} %", percent(value)),
        false => format!("{word} {}", number(value)),
    })
}

/// The six cards. `parts` are the parts of the span for the courses; none, no courses.
/// `evaluated`, what became of a workflow's targets.
pub(super) fn cards(
    figures: &Figures,
    parts: &[(String, Figures)],
    evaluated: Option<(&Evaluation, &Evaluated)>,
) -> Vec<FigureCard> {
    let confidence = evaluated
        .map_or(bailiwick_policy::metrics::CONFIDENCE_PERCENT, |(e, _)| e.confidence_percent);
    let card = |measure: &Measure| {
        let measure = *measure;
        let measured = figures.measured(measure);
        let value = measured.and_then(Measured::value);
        let interval = measured.and_then(|m| m.interval(confidence)).filter(|_| value.is_some());
        let target = evaluated.and_then(|(_, evaluated)| {
            let target = evaluated.targets.iter().find(|target| target.measure == measure)?;
            let (word, class) = standing(target.standing);
            Some((bound(measure, target.bound), word, class))
        });
        FigureCard {
            id: measure.as_str(),
            title: title(measure),
            value: value.map(|value| Text::of(shown(measure, value, &currency(figures)))),
            counted: Text::of(counted(measure, figures)),
            interval: interval.map(|interval| Text::of(between(measure, interval))),
            target,
            course: course(measure, parts, confidence),
        }
    };
    Measure::ALL.iter().map(card).collect()
}

#[cfg(test)]
mod tests {
    use bailiwick_core::figures::Sample;

    use super::*;

    #[test]
    fn what_was_not_measured_is_no_zero() {
        let all = cards(&Figures::default(), &[], None);
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|card| card.value.is_none() && card.interval.is_none()));
        assert!(all.iter().all(|card| card.course.is_none()));
        assert_eq!(all[0].counted.as_str(), "0 completed, of 0 tasks");
    }

    #[test]
    fn figures_are_said_with_what_they_are_made_of_and_how_sure_they_are() {
        let mut figures = Figures {
            runs: 30,
            success: Rate { hits: 28, of: 30 },
            iterations: Sample { n: 2, sum: 9, squares: 41 },
            ..Figures::default()
        };
        figures.cost.insert("EUR".to_owned(), Sample { n: 1, sum: 420_000, squares: 1 });
        let parts = [("Mon".to_owned(), figures.clone()), ("Tue".to_owned(), Figures::default())];
        let all = cards(&figures, &parts, None);
        let said = |n: usize| all[n].value.as_ref().map(|t| t.as_str().to_owned());
        assert_eq!(said(0).as_deref(), Some("93.3 %"));
        assert_eq!(all[0].counted.as_str(), "28 completed, of 30 tasks");
        assert!(all[0].interval.as_ref().is_some_and(|i| i.as_str().ends_with("to 98.2 %")));
        assert_eq!(said(4).as_deref(), Some("4.5"));
        assert_eq!(said(5).as_deref(), Some("0.42 EUR"));
        let course = all[0].course.as_ref().unwrap();
        assert_eq!(course.rows[1][1].as_str(), "not measured");
        figures.cost.insert("USD".to_owned(), Sample { n: 1, sum: 1_000_000, squares: 1 });
        let all = cards(&figures, &[], None);
        assert_eq!(all[5].value, None);
        assert_eq!(
            all[5].counted.as_str(),
            "several currencies: 0.42 EUR in 1 run, 1 USD in 1 run"
        );
    }
}
