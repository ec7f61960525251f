#![allow(clippy::unwrap_used)]
use super::seconds;

#[test]
fn reads_whole_numbers_with_a_unit() {
    for (text, expected) in [("1s", 1), ("15m", 900), ("24h", 86_400), ("90d", 7_776_000)] {
        assert_eq!(seconds(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn refuses_everything_else() {
    for text in ["", "h", "24", "24w", "-1h", "1.5h", "0s", "1hh", "99999999999999999999s", "18446744073709551615d", "36601d", "1 h", "é"]
    {
        assert!(seconds(text).is_err(), "{text}");
    }
}
