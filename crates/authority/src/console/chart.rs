//! Charts: bars, stacked bars, and a line with its band. The geometry is worked
//! out here, in whole numbers; the template draws it (`parts::chart`) with
//! classes that the stylesheet colours, a title, and the numbers as a table.
//!
//! A chart is stretched over the room that it has, so that it fits a phone;
//! the words beside it are text, which is not stretched.

use super::Text;

/// The height of the drawing, units.
const HEIGHT: u64 = 1_000;
/// The room of one bar or point, units.
const STEP: u64 = 100;
/// The part of a bar's room that it fills, units.
const BAR: u64 = 76;
/// The least height of a bar that is not 0, units.
const LEAST: u64 = 6;
/// Bars and points of one chart at most: more is no chart any more.
pub const MAX_POINTS: usize = 400;
/// Words below a chart at most.
const MAX_TICKS: usize = 5;

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Accent,
    /// As it should be.
    Good,
    /// Waits for somebody.
    Warn,
    /// Was refused, or failed.
    Bad,
    /// Of no weight.
    Plain,
    /// One more kind among others.
    Cool,
    /// What is not told apart.
    Faint,
}

impl Tone {
    /// Its class in the stylesheet.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Accent => "c-accent",
            Self::Good => "c-good",
            Self::Warn => "c-warn",
            Self::Bad => "c-bad",
            Self::Plain => "c-plain",
            Self::Cool => "c-cool",
            Self::Faint => "c-faint",
        }
    }
}

/// One of the values that are stacked in each bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What it counts.
    pub name: Text,
    /// How it is coloured.
    pub tone: Tone,
}

/// One bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What it stands for, for example an hour.
    pub label: Text,
    /// A count for each series, in their order; one that is missing is 0.
    pub values: Vec<u64>,
}

/// One point of a line, in the unit that the caller chose, for example a
/// hundredth of a per cent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The value.
    pub at: u64,
    /// The lower end of its band; `at` where there is none.
    pub low: u64,
    /// The upper end of its band.
    pub high: u64,
    /// The value as people read it, with its band: `93 % (88 to 96)`.
    pub shown: Text,
}

/// One point of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrendPoint {
    /// What it stands for, for example a day.
    pub label: Text,
    /// The level; `None` where nothing was measured: the line has a gap there.
    pub level: Option<Level>,
}

/// A rectangle of the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Units from the left.
    pub x: u64,
    /// Units from the top.
    pub y: u64,
    /// Units wide.
    pub width: u64,
    /// Units high.
    pub height: u64,
    /// Its class.
    pub class: &'static str,
    /// What it says to whoever points at it.
    pub title: Text,
}

/// A line or an area of the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stroke {
    /// The path, in SVG's words.
    pub path: String,
    /// Its class.
    pub class: String,
}

/// A chart, ready to be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Its id on the page: lower-case letters, digits and `-`.
    pub id: &'static str,
    /// What it shows.
    pub title: Text,
    /// The same in a sentence, for whoever does not see it.
    pub summary: Text,
    /// Whether it is as small as a line of text: without words beside it.
    pub is_spark: bool,
    /// The drawing's width, units.
    pub width: u64,
    /// Bars.
    pub blocks: Vec<Block>,
    /// Areas and lines, those below first.
    pub strokes: Vec<Stroke>,
    /// Words on the left: the most, the middle, the least.
    pub axis: Vec<Text>,
    /// Words below, from left to right.
    pub ticks: Vec<Text>,
    /// What the colours mean; empty where there is only one.
    pub legend: Vec<Series>,
    /// The heads of the table.
    pub heads: Vec<Text>,
    /// The rows of the table.
    pub rows: Vec<Vec<Text>>,
}

/// What a chart is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its id on the page: lower-case letters, digits and `-`.
    pub id: &'static str,
    /// What it shows, as a heading.
    pub title: Text,
    /// What a bar or a point stands for, as the head of a column: `Hour`.
    pub of: &'static str,
}

impl Chart {
    /// The drawing's height, units.
    #[must_use]
    pub const fn height(&self) -> u64 {
        HEIGHT
    }

    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.strokes.is_empty()
    }

    /// Bars, each of the values of every series on top of each other, the first
    /// at the bottom. The newest [`MAX_POINTS`] are drawn.
    #[must_use]
    pub fn bars(about: About, series: Vec<Series>, bars: &[Bar]) -> Self {
        let bars = newest(bars);
        let whole = |bar: &Bar| bar.values.iter().fold(0u64, |sum, v| sum.saturating_add(*v));
        let top = round_up(bars.iter().map(whole).max().unwrap_or(0));
        let mut blocks = Vec::new();
        for (nth, bar) in (0u64..).zip(bars) {
            let mut below = 0u64;
            for (series, value) in series.iter().zip(&bar.values).filter(|(_, v)| **v > 0) {
                let above = below.saturating_add(*value);
                let (foot, head) = (scaled(below, top), scaled(above, top));
                // What is there is seen, however little it is.
                let height = head.saturating_sub(foot).max(LEAST);
                blocks.push(Block {
                    x: nth * STEP + (STEP - BAR) / 2,
                    y: (HEIGHT - foot).saturating_sub(height),
                    width: BAR,
                    height,
                    class: series.tone.class(),
                    title: Text::of(format!("{}: {value} {}", bar.label, series.name)),
                });
                below = above;
            }
        }
        let heads = std::iter::once(Text::of(about.of));
        let count = |n: usize| -> u64 {
            bars.iter().filter_map(|bar| bar.values.get(n)).fold(0, |sum, v| sum.saturating_add(*v))
        };
        let sums: Vec<String> =
            series.iter().enumerate().map(|(n, s)| format!("{} {}", count(n), s.name)).collect();
        Self {
            id: about.id,
            summary: Text::of(format!("{} bars: {} in all.", bars.len(), sums.join(", "))),
            title: about.title,
            is_spark: false,
            width: width(bars.len()),
            blocks,
            strokes: Vec::new(),
            axis: axis(top),
            ticks: ticks(bars.iter().map(|bar| &bar.label)),
            heads: heads.chain(series.iter().map(|series| series.name.clone())).collect(),
            rows: bars
                .iter()
                .map(|bar| {
                    let of = |n: usize| bar.values.get(n).copied().unwrap_or(0);
                    let values = (0..series.len()).map(|n| Text::of(of(n).to_string()));
                    std::iter::once(bar.label.clone()).chain(values).collect()
                })
                .collect(),
            legend: if series.len() > 1 { series } else { Vec::new() },
        }
    }

    /// A line with its band. `name` heads the column of values; `axis` says what
    /// stands at the top, in the middle and at the bottom, `top` being the value
    /// at the top. The newest [`MAX_POINTS`] are drawn.
    #[must_use]
    pub fn trend(
        about: About,
        name: &Series,
        points: &[TrendPoint],
        top: u64,
        axis: [&str; 3],
    ) -> Self {
        let points = newest(points);
        let mut strokes = Vec::new();
        for run in runs(points) {
            strokes.extend(band(&run, top, name.tone));
            strokes.push(line(&run, top, name.tone));
        }
        let shown = |point: &TrendPoint| match &point.level {
            Some(level) => level.shown.clone(),
            None => Text::of("not measured"),
        };
        let measured = points.iter().rev().find_map(|point| {
            let level = point.level.as_ref()?;
            Some(format!("The newest value, of {}, is {}.", point.label, level.shown))
        });
        Self {
            id: about.id,
            summary: Text::of(measured.unwrap_or_else(|| "Nothing was measured.".to_owned())),
            title: about.title,
            is_spark: false,
            width: width(points.len()),
            blocks: Vec::new(),
            strokes,
            axis: axis.iter().map(Text::of).collect(),
            ticks: ticks(points.iter().map(|point| &point.label)),
            legend: Vec::new(),
            heads: vec![Text::of(about.of), name.name.clone()],
            rows: points.iter().map(|point| vec![point.label.clone(), shown(point)]).collect(),
        }
    }

    /// The same as small as a line of text.
    #[must_use]
    pub fn small(mut self) -> Self {
        self.is_spark = true;
        self
    }
}

fn newest<T>(all: &[T]) -> &[T] {
    all.get(all.len().saturating_sub(MAX_POINTS)..).unwrap_or_default()
}

fn width(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(0).max(1).saturating_mul(STEP)
}

/// A value as units of height: never more than there are.
fn scaled(value: u64, top: u64) -> u64 {
    let units = u128::from(value).saturating_mul(u128::from(HEIGHT)) / u128::from(top.max(1));
    u64::try_from(units).unwrap_or(HEIGHT).min(HEIGHT)
}

/// The next number that is easy to read: 2, 4, 10, 20, 50, 100 and so on; even,
/// so that half of it is one as well.
fn round_up(value: u64) -> u64 {
    if value <= 4 {
        return if value <= 2 { 2 } else { 4 };
    }
    let mut ten = 10u64;
    loop {
        for times in [1, 2, 5] {
            let round = ten.saturating_mul(times);
            if round >= value {
                return round;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

fn axis(top: u64) -> Vec<Text> {
    [top, top / 2, 0].iter().map(|value| Text::of(grouped(*value))).collect()
}

/// `1234567` → `1,234,567`
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A few labels, evenly apart, the first and the last among them.
fn ticks<'a>(labels: impl ExactSizeIterator<Item = &'a Text>) -> Vec<Text> {
    let labels: Vec<&Text> = labels.collect();
    let last = labels.len().saturating_sub(1);
    let parts = last.clamp(1, MAX_TICKS - 1);
    let mut places: Vec<usize> = (0..=parts).map(|part| part * last / parts).collect();
    places.dedup();
    places.into_iter().filter_map(|place| labels.get(place).map(|text| (*text).clone())).collect()
}

/// The points that follow each other without a gap, with their places.
fn runs(points: &[TrendPoint]) -> Vec<Vec<(u64, &Level)>> {
    let mut runs: Vec<Vec<(u64, &Level)>> = Vec::new();
    let mut goes_on = false;
    for (nth, point) in (0u64..).zip(points) {
        let Some(level) = &point.level else {
            goes_on = false;
            continue;
        };
        let placed = (nth * STEP + STEP / 2, level);
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => run.push(placed),
            None => runs.push(vec![placed]),
        }
        goes_on = true;
    }
    runs
}

fn y(value: u64, top: u64) -> u64 {
    HEIGHT - scaled(value, top)
}

fn line(run: &[(u64, &Level)], top: u64, tone: Tone) -> Stroke {
    let mut path = String::new();
    for (x, level) in run {
        let word = if path.is_empty() { "M" } else { " L" };
        path.push_str(&format!("{word}{x} {}", y(level.at, top)));
    }
    // One point alone is a dash, or it would not be seen.
    if let [(x, level)] = run {
        path = format!("M{} {height} L{} {height}", x - 20, x + 20, height = y(level.at, top));
    }
    Stroke { path, class: format!("trend {}", tone.class()) }
}

fn band(run: &[(u64, &Level)], top: u64, tone: Tone) -> Option<Stroke> {
    if run.len() < 2 || run.iter().all(|(_, level)| level.low == level.high) {
        return None;
    }
    let upper = run.iter().map(|(x, level)| format!("{x} {}", y(level.high, top)));
    let lower = run.iter().rev().map(|(x, level)| format!("{x} {}", y(level.low, top)));
    let corners: Vec<String> = upper.chain(lower).collect();
    Some(Stroke {
        path: format!("M{}Z", corners.join(" L")),
        class: format!("band {}", tone.class()),
    })
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use proptest::prelude::*;

    use super::*;

    #[derive(Template)]
    #[template(
        source = "{% import \"parts.html\" as parts %}{% call parts::chart(chart) %}{% endcall %}",
        ext = "html"
    )]
    struct Alone<'a> {
        chart: &'a Chart,
    }

    fn about() -> About {
        About { id: "calls", title: Text::of("Calls"), of: "Hour" }
    }

    fn series(names: &[&str]) -> Vec<Series> {
        let tones = [Tone::Good, Tone::Bad, Tone::Warn];
        names.iter().zip(tones).map(|(n, tone)| Series { name: Text::of(n), tone }).collect()
    }

    fn bar(label: &str, values: &[u64]) -> Bar {
        Bar { label: Text::of(label), values: values.to_vec() }
    }

    fn point(label: &str, at: Option<(u64, u64, u64)>) -> TrendPoint {
        let level =
            at.map(|(low, at, high)| Level { at, low, high, shown: Text::of(format!("{at} %")) });
        TrendPoint { label: Text::of(label), level }
    }

    #[test]
    fn bars_stand_on_each_other_and_on_the_ground() {
        let bars = [bar("10:00", &[3, 1]), bar("11:00", &[0, 0]), bar("12:00", &[5, 5])];
        let chart = Chart::bars(about(), series(&["allowed", "denied"]), &bars);
        let drawn: Vec<_> = chart.blocks.iter().map(|b| (b.x, b.y, b.height, b.class)).collect();
        assert_eq!(
            drawn,
            [
                (12, 700, 300, "c-good"),
                (12, 600, 100, "c-bad"),
                (212, 500, 500, "c-good"),
                (212, 0, 500, "c-bad"),
            ]
        );
        assert_eq!(chart.axis, [Text::of("10"), Text::of("5"), Text::of("0")]);
        assert_eq!(chart.rows[2], [Text::of("12:00"), Text::of("5"), Text::of("5")]);
        assert_eq!(chart.summary.as_str(), "3 bars: 8 allowed, 6 denied in all.");
        assert_eq!(chart.blocks[3].title.as_str(), "12:00: 5 denied");
    }

    #[test]
    fn a_line_has_gaps_where_nothing_was_measured() {
        let points = [
            point("Mon", Some((80, 90, 95))),
            point("Tue", Some((85, 92, 96))),
            point("Wed", None),
            point("Thu", Some((50, 60, 70))),
        ];
        let [name] = &series(&["success"])[..] else { panic!("one") };
        let chart = Chart::trend(about(), name, &points, 100, ["100 %", "50 %", "0 %"]);
        let drawn: Vec<_> = chart.strokes.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(
            drawn,
            ["M50 50 L150 40 L150 150 L50 200Z", "M50 100 L150 80", "M330 400 L370 400"]
        );
        assert_eq!(chart.rows[2][1].as_str(), "not measured");
        assert_eq!(chart.summary.as_str(), "The newest value, of Thu, is 60 %.");
        assert!(chart.small().is_spark);
    }

    #[test]
    fn what_is_not_there_is_said_and_not_drawn() {
        let chart = Chart::bars(about(), series(&["allowed"]), &[]);
        assert!(chart.is_empty() && chart.legend.is_empty() && chart.ticks.is_empty());
        let html = Alone { chart: &chart }.render().unwrap();
        assert!(html.contains("Nothing in this time") && !html.contains("<svg"), "{html}");
    }

    #[test]
    fn numbers_on_the_side_are_easy_to_read() {
        for (value, top) in [(0, 2), (1, 2), (3, 4), (5, 10), (11, 20), (21, 50), (999, 1000)] {
            assert_eq!(round_up(value), top);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert!(round_up(u64::MAX) >= u64::MAX / 2);
    }

    #[test]
    fn a_few_labels_stand_below_the_first_and_the_last_among_them() {
        let labels: Vec<Text> = (0..24).map(|hour| Text::of(format!("{hour}:00"))).collect();
        let shown: Vec<String> = ticks(labels.iter()).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["0:00", "5:00", "11:00", "17:00", "23:00"]);
        assert_eq!(ticks(labels[..1].iter()).len(), 1);
    }

    #[test]
    fn a_chart_has_a_title_a_role_and_its_numbers_as_a_table() {
        let bars = [bar("10:00", &[3, 1])];
        let chart = Chart::bars(about(), series(&["allowed", "denied"]), &bars);
        let html = scraper::Html::parse_fragment(&Alone { chart: &chart }.render().unwrap());
        let count =
            |selector: &str| html.select(&scraper::Selector::parse(selector).unwrap()).count();
        assert_eq!(count("svg[role=img][aria-labelledby] > title"), 1);
        assert_eq!(count("details table tbody tr"), 1);
        assert_eq!(count(".plot svg rect"), 2);
        assert_eq!(count("[style]"), 0);
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup_and_nothing_leaves_the_drawing(
            texts in proptest::collection::vec("\\PC{0,24}", 3),
            values in proptest::collection::vec(proptest::array::uniform2(any::<u64>()), 0..40),
        ) {
            let [title, name, label] = &texts[..] else { panic!("three") };
            let about = About { title: Text::of(title), ..about() };
            let bars: Vec<Bar> = values.iter().map(|v| bar(label, v)).collect();
            let chart = Chart::bars(about, series(&[name, name]), &bars);
            for block in &chart.blocks {
                prop_assert!(block.y <= HEIGHT && block.x + block.width <= chart.width);
            }
            let html = Alone { chart: &chart }.render().unwrap();
            let html = scraper::Html::parse_fragment(&html);
            let known = ["html", "figure", "figcaption", "ul", "li", "svg", "title", "desc", "g",
                "rect", "path", "line", "div", "span", "p", "details", "summary", "table", "thead",
                "tbody", "tr", "th", "td"];
            for element in html.root_element().descendent_elements() {
                prop_assert!(known.contains(&element.value().name()), "{}", element.value().name());
            }
        }
    }
}
