//! Decimal numbers as the C2SP formats write them: ASCII digits, no sign, no leading zero.

/// Reads a number no greater than `max`; `None` for anything but its one canonical text.
pub(crate) fn parse(text: &str, max: u64) -> Option<u64> {
    let canonical = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if !canonical {
        return None;
    }
    text.parse().ok().filter(|number| *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_is_a_number() {
        assert_eq!(parse("0", 10), Some(0));
        assert_eq!(parse("10", 10), Some(10));
        assert_eq!(parse("18446744073709551615", u64::MAX), Some(u64::MAX));
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            "-0",
            " 1",
            "1 ",
            "1_0",
            "0x1",
            "11",
            "١",
            "18446744073709551616",
        ] {
            assert_eq!(parse(bad, 10), None, "{bad:?}");
        }
    }
}
