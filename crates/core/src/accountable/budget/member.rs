//! What a member of a budget counts, and in which windows.

use crate::time::Timestamp;

/// A member of a budget, as its name says it.
///
/// | name | at most N |
/// |---|---|
/// | `max_calls` | calls |
/// | `max_calls/<tool id>` | calls of one tool |
/// | `sum/<tool id>/<argument>` | as the sum of an argument over its calls |
/// | `per/<seconds>/<one of these>` | the same in each window of that many seconds |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetMember<'a> {
    /// What is counted.
    pub counted: Counted<'a>,
    /// In which windows; without one it is counted as long as the account lasts.
    pub window: Option<BudgetWindow>,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted<'a> {
    /// Calls.
    Calls,
    /// Calls of one tool.
    CallsOf {
        /// The tool's id.
        tool: &'a str,
    },
    /// An argument of the calls of one tool, summed.
    Sum {
        /// The tool's id.
        tool: &'a str,
        /// The argument.
        argument: &'a str,
    },
}

impl<'a> Counted<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text == "max_calls" {
            return Some(Self::Calls);
        }
        if let Some(tool) = text.strip_prefix("max_calls/") {
            return (!tool.is_empty()).then_some(Self::CallsOf { tool });
        }
        let (tool, argument) = text.strip_prefix("sum/")?.rsplit_once('/')?;
        (!tool.is_empty() && !argument.is_empty()).then_some(Self::Sum { tool, argument })
    }

    /// The one tool whose calls are counted; `None`: those of all.
    #[must_use]
    pub const fn tool(self) -> Option<&'a str> {
        match self {
            Self::Calls => None,
            Self::CallsOf { tool } | Self::Sum { tool, .. } => Some(tool),
        }
    }
}

impl<'a> BudgetMember<'a> {
    /// Reads a member's name; `None` when it is not understood.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        let (window, counted) = match name.strip_prefix("per/") {
            None => (None, name),
            Some(rest) => {
                let (seconds, counted) = rest.split_once('/')?;
                (Some(BudgetWindow::parse(seconds)?), counted)
            }
        };
        Some(Self { counted: Counted::parse(counted)?, window })
    }
}

/// A length of time, 1 second to a year. Its windows follow one another from
/// the Unix epoch on, in UTC: those of 3600 seconds are the clock's hours.
///
/// They are fixed: up to twice as much as one window allows may fall into a
/// span of that length that straddles an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetWindow {
    seconds: i64,
}

impl BudgetWindow {
    /// The longest: 365 days.
    pub const MAX_SECONDS: i64 = 31_536_000;

    /// Reads seconds: decimal digits without a leading zero.
    fn parse(text: &str) -> Option<Self> {
        // One length has one name, or a child could name it otherwise and
        // count anew.
        if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = text.parse().ok().filter(|s| (1..=Self::MAX_SECONDS).contains(s))?;
        Some(Self { seconds })
    }

    /// How long a window is, in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// When the window that `now` lies in began.
    #[must_use]
    pub const fn start(self, now: Timestamp) -> Timestamp {
        let now = now.seconds();
        Timestamp::from_seconds(now.saturating_sub(now.rem_euclid(self.seconds)))
    }

    /// When it ends, and the next begins.
    #[must_use]
    pub const fn end(self, now: Timestamp) -> Timestamp {
        self.start(now).plus_seconds(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_with_and_without_a_window() {
        let tool = "mcp:d:tools/x";
        for (name, counted) in [
            ("max_calls", Counted::Calls),
            ("max_calls/mcp:d:tools/x", Counted::CallsOf { tool }),
            ("sum/mcp:d:tools/x/amount", Counted::Sum { tool, argument: "amount" }),
        ] {
            let plain = BudgetMember::parse(name).unwrap();
            assert_eq!(plain, BudgetMember { counted, window: None });
            for seconds in [1, 60, 3600, BudgetWindow::MAX_SECONDS] {
                let named = format!("per/{seconds}/{name}");
                let read = BudgetMember::parse(&named).unwrap();
                assert_eq!(read, BudgetMember { counted, window: Some(BudgetWindow { seconds }) });
            }
        }
    }

    #[test]
    fn what_is_not_exactly_a_member_is_not_understood() {
        let seconds = [
            "0",
            "00",
            "01",
            "060",
            "+60",
            "-60",
            " 60",
            "60 ",
            "6e1",
            "60.0",
            "0x3c",
            "",
            "٦٠",
            "31536001",
            "9223372036854775807",
            "9223372036854775808",
            "99999999999999999999999999999999999999",
        ];
        for text in seconds {
            assert_eq!(BudgetMember::parse(&format!("per/{text}/max_calls")), None, "{text}");
        }
        for name in [
            "",
            "per",
            "per/",
            "per/60",
            "per/60/",
            "per/60/per/60/max_calls",
            "per//max_calls",
            "per/60/max_call",
            "per/60/max_calls/",
            "per/60/sum/x",
            "per/60/max_calls@60",
            "Per/60/max_calls",
            "max_calls/",
            "max_calls@60",
            "sum/",
            "sum/tool",
            "sum//a",
            "sum/t/",
        ] {
            assert_eq!(BudgetMember::parse(name), None, "{name}");
        }
    }

    #[test]
    fn windows_follow_one_another_from_the_epoch() {
        let window = |seconds| BudgetWindow { seconds };
        // 2027-01-15T08:00:00Z
        let now = 1_800_000_000;
        let at = |millis| Timestamp::from_millis(millis);
        for (seconds, start) in [(3600, now), (86_400, 1_799_971_200), (7, now - 1), (1, now)] {
            for millis in [0, 1, 999] {
                let here = at(now * 1000 + millis);
                assert_eq!(window(seconds).start(here).seconds(), start, "{seconds}");
                assert_eq!(window(seconds).end(here).seconds(), start + seconds, "{seconds}");
            }
        }
        // The last millisecond of a window, and the first of the next.
        let edge = now * 1000;
        assert_eq!(window(3600).start(at(edge - 1)).seconds(), now - 3600);
        assert_eq!(window(3600).end(at(edge - 1)), at(edge));
        assert_eq!(window(3600).start(at(edge)), at(edge));
        assert_eq!(window(60).start(at(-1)).seconds(), -60);
        // No time makes the arithmetic overflow.
        for extreme in [i64::MIN, i64::MAX] {
            let _ = (window(7).start(at(extreme)), window(7).end(at(extreme)));
        }
    }
}
