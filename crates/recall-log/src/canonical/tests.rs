#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn check(json: &str, expected: &str) {
    assert_eq!(String::from_utf8(canonicalize(json.as_bytes()).unwrap()).unwrap(), expected);
}

#[test]
fn example_of_rfc_8785_section_3_2_2() {
    check(
        r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#,
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
    );
}

#[test]
fn names_are_sorted_by_utf16_code_units() {
    // RFC 8785 section 3.2.3: the emoji's surrogates stand before U+FB33.
    check(
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    );
}

#[test]
fn numbers_of_rfc_8785_appendix_b() {
    for (bits, expected) in [
        (0x0000_0000_0000_0000_u64, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0x433f_ffff_ffff_ffff, "9007199254740991"),
    ] {
        let mut out = Vec::new();
        number(&mut out, Number::new(f64::from_bits(bits)).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    // Integers that a double can't tell from their neighbours, and what is no number.
    for bits in [0x4340_0000_0000_0000_u64, 0xc340_0000_0000_0000, 0x444b_1ae4_d6e2_ef4f, 0x7fff_ffff_ffff_ffff, 0x7ff0_0000_0000_0000] {
        assert!(Number::new(f64::from_bits(bits)).is_none(), "{bits:x}");
    }
}

/// Any JSON, as text with insignificant white space.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        (-1_000_000_i64..1_000_000).prop_map(serde_json::Value::from),
        // Few enough digits for the other parser to read them exactly; all doubles have a property of their own.
        any::<i32>().prop_map(|number| serde_json::Value::from(f64::from(number) / 256.0)),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// What canonical form leaves out.
fn without_null_members(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(members) => {
            members.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name, without_null_members(value))).collect()
        }
        serde_json::Value::Array(elements) => elements.into_iter().map(without_null_members).collect(),
        other => other,
    }
}

/// All numbers as doubles, which is what JSON means by them.
fn as_doubles(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => serde_json::Value::from(number.as_f64().unwrap() + 0.0),
        serde_json::Value::Object(members) => members.into_iter().map(|(name, value)| (name, as_doubles(value))).collect(),
        serde_json::Value::Array(elements) => elements.into_iter().map(as_doubles).collect(),
        other => other,
    }
}

proptest! {
    #[test]
    fn numbers_come_back_to_the_last_bit(value: f64) {
        if let Some(carried) = Number::new(value) {
            let mut out = Vec::new();
            number(&mut out, carried);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), (value + 0.0).to_bits());
            prop_assert!(Reader::over(&text).number().unwrap() == carried, "{}", text);
        }
    }

    #[test]
    fn canonical_form_means_the_same_and_is_its_own(json in any_json()) {
        let canonical = canonicalize(serde_json::to_string_pretty(&json).unwrap().as_bytes()).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&canonical).unwrap();
        prop_assert_eq!(as_doubles(read), as_doubles(without_null_members(json)));
        prop_assert_eq!(canonicalize(&canonical).unwrap(), canonical);
    }
}
