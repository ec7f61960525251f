use super::*;

fn binary(type_oid: u32, bytes: &[u8]) -> Option<String> {
    as_text(type_oid, Format::Binary, bytes)
}

#[test]
fn binary_values_read_as_the_server_writes_them() {
    let cases: [(u32, &[u8], &str); 17] = [
        (oid::INT2, &[0xFF, 0xFE], "-2"),
        (oid::INT4, &[0, 0, 0x30, 0x39], "12345"),
        (oid::INT8, &[0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
        (oid::OID, &[0xFF; 4], "4294967295"),
        (oid::BOOL, &[1], "t"),
        (oid::BOOL, &[0], "f"),
        (oid::TEXT, b"MRN-1 ", "MRN-1 "),
        (oid::BPCHAR, b"MRN-1 ", "MRN-1 "),
        (oid::VARCHAR, "Zoë".as_bytes(), "Zoë"),
        (
            oid::UUID,
            &[0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF],
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        // numeric: count, weight, sign, scale, digits to the base of 10,000
        (oid::NUMERIC, &[0, 2, 0, 1, 0, 0, 0, 0, 0, 12, 0x0D, 0x80], "123456"),
        (oid::NUMERIC, &[0, 2, 0, 0, 0x40, 0, 0, 2, 0, 1, 0x13, 0x88], "-1.50"),
        (oid::NUMERIC, &[0, 1, 0xFF, 0xFF, 0, 0, 0, 4, 0, 5], "0.0005"),
        (oid::NUMERIC, &[0, 0, 0, 0, 0, 0, 0, 0], "0"),
        (oid::NUMERIC, &[0, 1, 0, 1, 0, 0, 0, 0, 0, 1], "10000"),
        (oid::NUMERIC, &[0, 0, 0, 0, 0xC0, 0, 0, 0], "NaN"),
        (oid::FLOAT8, &1.5_f64.to_be_bytes(), "1.5"),
    ];
    for (type_oid, bytes, text) in cases {
        assert_eq!(binary(type_oid, bytes).as_deref(), Some(text), "type {type_oid}");
    }
}

#[test]
fn binary_floats_read_as_the_server_writes_them() {
    for (number, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (123_456_789_012_345.0, "123456789012345"),
        (1e15, "1e+15"),
        (-1.25e-7, "-1.25e-07"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e300, "1e+300"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(binary(oid::FLOAT8, &number.to_be_bytes()).as_deref(), Some(text));
    }
    for (number, text) in [(1.1_f32, "1.1"), (123_456.0, "123456"), (1e6, "1e+06"), (f32::INFINITY, "Infinity")] {
        assert_eq!(binary(oid::FLOAT4, &number.to_be_bytes()).as_deref(), Some(text));
    }
}

/// What PostgreSQL 15 itself makes of `date_send`, `timestamptz_send` and the like.
#[test]
fn binary_times_read_as_the_server_writes_them() {
    for (days, text) in [
        (0, "2000-01-01"),
        (59, "2000-02-29"),
        (60, "2000-03-01"),
        (-1, "1999-12-31"),
        (36_584, "2100-03-01"),
        (-36_465, "1900-03-01"),
        (-730_119, "0001-01-01"),
        (-730_120, "0001-12-31 BC"),
        (i32::MAX, "infinity"),
        (i32::MIN, "-infinity"),
    ] {
        assert_eq!(binary(oid::DATE, &days.to_be_bytes()).as_deref(), Some(text));
    }
    for (micros, text) in [
        (0_i64, "2000-01-01 00:00:00"),
        (-1, "1999-12-31 23:59:59.999999"),
        (823_406_706_789_000, "2026-02-03 04:05:06.789"),
        (i64::MAX, "infinity"),
        (i64::MIN, "-infinity"),
    ] {
        assert_eq!(binary(oid::TIMESTAMP, &micros.to_be_bytes()).as_deref(), Some(text));
    }
    assert_eq!(binary(oid::TIMESTAMPTZ, &0_i64.to_be_bytes()).as_deref(), Some("2000-01-01 00:00:00+00"));
    assert!(binary(oid::TIMESTAMP, &(i64::MAX - 1).to_be_bytes()).is_some_and(|text| text.starts_with("294277-")));
    assert_eq!(binary(oid::BYTEA, &[0, 255, 0x5C]).as_deref(), Some("\\x00ff5c"));
    assert_eq!(binary(oid::JSONB, b"\x01{}").as_deref(), Some("{}"));
}

#[test]
fn what_has_no_known_form_is_not_guessed() {
    for (type_oid, bytes) in [
        (oid::INT4, &[0, 0, 1][..]),
        (oid::INT8, &[0; 4]),
        (oid::UUID, &[0; 15]),
        (oid::TEXT, &[0xFF, 0xFE]),
        (oid::NUMERIC, &[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]),
        (oid::NUMERIC, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
        (oid::NUMERIC, &[0, 1]),
        (oid::TIMESTAMP, &[0; 7]),
        (oid::DATE, &[0; 8]),
        (oid::JSONB, b"{}"),
        (600, &[0; 16]),
    ] {
        assert_eq!(binary(type_oid, bytes), None, "type {type_oid}");
        assert!(recorded(type_oid, Format::Binary, bytes).starts_with("base64:"));
    }
    assert_eq!(as_text(oid::TEXT, Format::Text, &[0xC3]), None);
}

#[test]
fn only_two_formats_exist() {
    assert_eq!(Format::from_code(0), Some(Format::Text));
    assert_eq!(Format::from_code(1), Some(Format::Binary));
    assert_eq!(Format::from_code(2), None);
    assert_eq!(Format::from_code(-1), None);
}

#[test]
fn blanks_that_fill_up_are_no_part_of_an_identifier() {
    for format in [Format::Text, Format::Binary] {
        assert_eq!(as_identifier(oid::BPCHAR, format, b"MRN-1   ").as_deref(), Some("MRN-1"));
        assert_eq!(as_identifier(oid::TEXT, format, b"MRN-1 ").as_deref(), Some("MRN-1 "));
    }
}
