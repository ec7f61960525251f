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
        (oid::BPCHAR, b"MRN-1   ", "MRN-1"),
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
fn what_has_no_known_form_is_not_guessed() {
    for (type_oid, bytes) in [
        (oid::INT4, &[0, 0, 1][..]),
        (oid::INT8, &[0; 4]),
        (oid::UUID, &[0; 15]),
        (oid::TEXT, &[0xFF, 0xFE]),
        (oid::NUMERIC, &[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]),
        (oid::NUMERIC, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
        (oid::NUMERIC, &[0, 1]),
        (oid::TIMESTAMP, &[0; 8]),
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
