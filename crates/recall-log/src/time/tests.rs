#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn offsets_and_fractions_come_out_canonical() {
    for (text, canonical) in [
        ("2026-11-23T18:00:00Z", "2026-11-23T18:00:00.000000Z"),
        ("2026-11-23t18:00:00.5z", "2026-11-23T18:00:00.500000Z"),
        ("2026-11-23T18:00:00.1234569+02:30", "2026-11-23T15:30:00.123456Z"),
        ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000000Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(Timestamp::parse(text).unwrap().to_string(), canonical, "{text}");
    }
}

#[test]
fn everything_else_is_refused() {
    for text in [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T18:00Z",
        "2026-11-23T18:00:00",
        "2026-11-23 18:00:00Z",
        "2026-11-23T18:00:00.Z",
        "2026-11-23T18:00:00,5Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T18:60:00Z",
        "2026-11-23T18:00:61Z",
        "2026-11-23T18:00:00+24:00",
        "2026-11-23T18:00:00+01:60",
        "2026-11-23T18:00:00+0100",
        "2026-11-23T18:00:00ZZ",
        "+026-11-23T18:00:00Z",
        "2026-11-23T18:00:00Z ",
        " 2026-11-23T18:00:00Z",
        "20２6-11-23T18:00:00Z",
        "2026-1١-23T18:00:00Z",
    ] {
        assert_eq!(Timestamp::parse(text), Err(TimeError), "{text}");
    }
}

#[test]
fn every_day_of_eight_hundred_years_follows_the_one_before() {
    let mut days = days_from_civil(1600, 1, 1);
    for year in 1600..2400 {
        for month in 1..=12 {
            for day in 1..=days_in_month(year, month) {
                assert_eq!(days_from_civil(year, month, day), days);
                assert_eq!(civil_from_days(days), (year, month, day));
                days += 1;
            }
        }
    }
    assert_eq!(days_from_civil(1970, 1, 1), 0);
}

#[test]
fn the_ends_of_the_range_do_not_panic() {
    assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "294247-01-10T04:00:54.775807Z");
    assert_eq!(Timestamp::from_micros(i64::MIN).to_string(), "-290308-12-21T19:59:05.224192Z");
}

#[test]
fn each_part_of_a_time_is_written_in_its_place() {
    for (micros, canonical) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_234_567_890_123_456, "2009-02-13T23:31:30.123456Z"),
        (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999999Z"),
        (253_402_300_800_000_000, "10000-01-01T00:00:00.000000Z"),
    ] {
        assert_eq!(Timestamp::from_micros(micros).to_string(), canonical);
    }
}
