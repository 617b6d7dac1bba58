//! Small texts of the command line.

use bailiwick_core::accountable::BudgetMember;
use bailiwick_core::json::{Json, Number, Object};
use bailiwick_core::limits::JsonLimits;

use crate::error::CliError;

/// `15m`, `90s`, `2h`, `1d` in seconds.
pub(super) fn seconds(text: &str) -> Result<i64, CliError> {
    let bad = || {
        CliError::usage(
            "duration-malformed",
            format!("`{text}` is no duration"),
            "write a number with s, m, h or d, such as 15m",
        )
    };
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(bad()),
    };
    let number = text.get(..text.len().saturating_sub(1)).ok_or_else(bad)?;
    let number: i64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(unit).filter(|s| *s > 0).ok_or_else(bad)
}

/// `NAME=VALUE` pairs as an object; a value that is JSON is taken as JSON,
/// anything else as text.
pub(super) fn arguments(pairs: &[String]) -> Result<Object, CliError> {
    let mut object = Object::new();
    for pair in pairs {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            CliError::usage(
                "argument-malformed",
                format!("`{pair}` is not NAME=VALUE"),
                "write arguments as ticket_id=8821 or text='\"8821\"'",
            )
        })?;
        if object.member(name).is_some() {
            return Err(CliError::usage(
                "argument-twice",
                format!("argument `{name}` stands twice"),
                "write each argument once",
            ));
        }
        let value = Json::parse(value.as_bytes(), &JsonLimits::DEFAULT)
            .unwrap_or_else(|_| Json::from(value));
        object.insert(name, value);
    }
    Ok(object)
}

/// `MEMBER=NUMBER` pairs as a budget. A member that is not understood is
/// refused here: offline, nobody else would say so before the first call.
pub(super) fn budget(pairs: &[String]) -> Result<Object, CliError> {
    let refused = |text: String| {
        CliError::usage(
            "budget-malformed",
            text,
            "write max_calls=20, max_calls/TOOL=5 or sum/TOOL/ARGUMENT=10000, or for each window per/SECONDS/ and one of these: per/3600/max_calls=20",
        )
    };
    let mut object = Object::new();
    for pair in pairs {
        let parsed = pair.rsplit_once('=').and_then(|(member, number)| {
            Some((member, number.parse::<u64>().ok().map(Number::from)?))
        });
        let (member, number) =
            parsed.ok_or_else(|| refused(format!("`{pair}` is not MEMBER=NUMBER")))?;
        if BudgetMember::parse(member).is_none() {
            return Err(refused(format!("a budget has no member `{member}`")));
        }
        if object.member(member).is_some() {
            return Err(refused(format!("`{member}` stands twice")));
        }
        object.insert(member, number);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_arguments_and_budgets_read_as_written() {
        assert_eq!(seconds("15m").unwrap(), 900);
        for bad in ["", "15", "m", "-1s", "0s", "1w", "99999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        let args = arguments(&["a=1".into(), "b=x y".into(), "c=\"1\"".into()]).unwrap();
        assert_eq!(Json::from(args).canonical(), r#"{"a":1,"b":"x y","c":"1"}"#);
        assert!(arguments(&["a=1".into(), "a=2".into()]).is_err());
        let budget = budget(&["sum/mcp:d:tools/x/amount=5".into()]).unwrap();
        assert_eq!(Json::from(budget).canonical(), r#"{"sum/mcp:d:tools/x/amount":5}"#);
        let window = super::budget(&["per/3600/max_calls=5".into()]).unwrap();
        assert_eq!(Json::from(window).canonical(), r#"{"per/3600/max_calls":5}"#);
        for bad in
            ["max_calls", "max_calls=x", "max_call=1", "per/0/max_calls=1", "per/01/max_calls=1"]
        {
            assert_eq!(super::budget(&[bad.into()]).unwrap_err().code, "budget-malformed", "{bad}");
        }
        assert!(super::budget(&["max_calls=1".into(), "max_calls=2".into()]).is_err());
    }
}
