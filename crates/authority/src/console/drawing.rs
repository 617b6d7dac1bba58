//! What drawings are made of: boxes, lines and the texts on them. Pixels are
//! whole numbers.

use bailiwick_core::guarantee::Guarantee;

use super::Text;

/// The width of an agent's box, pixels.
pub(super) const NODE_WIDTH: i32 = 150;
/// The height of an agent's box, pixels.
pub(super) const NODE_HEIGHT: i32 = 54;
/// Room that a line leaves for its tip, pixels.
const TIP: i32 = 8;
/// Characters of a name that fit into a box.
const NAME_CHARS: usize = 18;
/// What a screen shows without scrolling, pixels.
const SCREEN: i32 = 1_012;

/// A point; y grows downwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Pixels from the left.
    pub x: i32,
    /// Pixels from the top.
    pub y: i32,
}

impl Point {
    /// The point beside and below it.
    #[must_use]
    pub const fn and(self, x: i32, y: i32) -> Self {
        Self { x: self.x.saturating_add(x), y: self.y.saturating_add(y) }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// How sure the two were of each other.
    pub guarantee: Guarantee,
    /// Whether nothing came of it.
    pub is_void: bool,
}

impl Line {
    /// The line's classes.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match (self.guarantee, self.is_void) {
            (Guarantee::Key, false) => "line key",
            (Guarantee::Jwt, false) => "line jwt",
            (Guarantee::Mtls, false) => "line mtls",
            (Guarantee::Attested, false) => "line attested",
            (Guarantee::Key, true) => "line key void",
            (Guarantee::Jwt, true) => "line jwt void",
            (Guarantee::Mtls, true) => "line mtls void",
            (Guarantee::Attested, true) => "line attested void",
        }
    }

    /// Whether it is drawn as two.
    #[must_use]
    pub const fn is_double(self) -> bool {
        matches!(self.guarantee, Guarantee::Attested)
    }

    /// The id of its tip.
    #[must_use]
    pub const fn tip(self) -> &'static str {
        if self.is_void { "tip-void" } else { "tip" }
    }
}

/// A short text on a line, in a box of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pill {
    /// Its corner.
    pub at: Point,
    /// Its width, pixels.
    pub width: i32,
    /// Its height, pixels.
    pub height: i32,
    /// The text.
    pub text: String,
}

impl Pill {
    /// With its middle at `middle`.
    #[must_use]
    pub fn of(middle: Point, text: &str) -> Self {
        let letters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
        let width = letters.saturating_mul(7).saturating_add(12).max(22);
        let height = 18;
        Self { at: middle.and(-width / 2, -height / 2), width, height, text: text.to_owned() }
    }

    /// Its middle, where the text stands.
    #[must_use]
    pub const fn middle(&self) -> Point {
        self.at.and(self.width / 2, self.height / 2)
    }

    /// Whether it is over another one.
    #[must_use]
    pub const fn covers(&self, other: &Self) -> bool {
        self.at.x < other.at.x.saturating_add(other.width)
            && other.at.x < self.at.x.saturating_add(self.width)
            && self.at.y < other.at.y.saturating_add(other.height)
            && other.at.y < self.at.y.saturating_add(self.height)
    }
}

/// Room between that many columns of boxes: less where they would not fit on a
/// screen otherwise, and never too little for what stands on the lines.
#[must_use]
pub(super) fn gap(columns: usize) -> i32 {
    let columns = i32::try_from(columns).unwrap_or(i32::MAX);
    let free = SCREEN.saturating_sub(columns.saturating_mul(NODE_WIDTH));
    (free / columns.saturating_sub(1).max(1)).clamp(64, 130)
}

/// A name as far as it fits into a box, without what all have in common.
#[must_use]
pub(super) fn short_name(name: &str) -> Text {
    Text::short(name.strip_prefix("agent:").unwrap_or(name), NAME_CHARS)
}

/// A smooth line from the first point to the last, which it does not quite reach:
/// there is its tip.
#[must_use]
pub(super) fn curve(points: &[Point]) -> String {
    let Some(first) = points.first() else { return String::new() };
    let mut path = format!("M{} {}", first.x, first.y);
    let last = points.len().saturating_sub(2);
    for (nth, pair) in points.windows(2).enumerate() {
        let [from, to] = pair else { continue };
        let to = if nth == last { to.and((from.x - to.x).signum() * TIP, 0) } else { *to };
        let half = from.x.saturating_add(to.x) / 2;
        path.push_str(&format!(" C{half} {} {half} {} {} {}", from.y, to.y, to.x, to.y));
    }
    path
}

/// The point that many hundredths along the first piece of such a line.
#[must_use]
pub(super) fn on_curve(points: &[Point], percent: i32) -> Point {
    let [from, to, ..] = points else { return points.first().copied().unwrap_or_default() };
    let (t, all) = (i64::from(percent), 1_000_000i64);
    let s = 100 - t;
    // Bernstein's weights, in millionths.
    let (b0, b1, b2, b3) = (s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t);
    let half = (i64::from(from.x) + i64::from(to.x)) / 2;
    let x = (b0 * i64::from(from.x) + (b1 + b2) * half + b3 * i64::from(to.x)) / all;
    let y = ((b0 + b1) * i64::from(from.y) + (b2 + b3) * i64::from(to.y)) / all;
    let pixels = |value: i64| i32::try_from(value).unwrap_or(0);
    Point { x: pixels(x), y: pixels(y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_at_the_first_point_and_leaves_room_for_its_tip() {
        let points = [Point { x: 0, y: 0 }, Point { x: 100, y: 50 }];
        assert_eq!(curve(&points), "M0 0 C46 0 46 50 92 50");
        let back = [Point { x: 100, y: 0 }, Point { x: 0, y: 0 }];
        assert!(curve(&back).ends_with(" 8 0"));
        assert_eq!(on_curve(&points, 50), Point { x: 50, y: 25 });
        assert_eq!((curve(&[]), on_curve(&[], 50)), (String::new(), Point::default()));
    }

    #[test]
    fn names_are_cut_to_fit() {
        assert_eq!(short_name("agent:order-reader").as_str(), "order-reader");
        assert_eq!(short_name(&format!("agent:{}", "x".repeat(60))).as_str().chars().count(), 19);
    }
}
