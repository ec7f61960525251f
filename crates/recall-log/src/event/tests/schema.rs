//! As much of JSON Schema 2020-12 as the published schema uses, so that it can be tested without a library whose features would make
//! every dependency compile twice. A keyword or pattern that is not known here panics: nothing passes unread.

use serde_json::Value;

pub(super) struct Schema(Value);

impl Schema {
    pub(super) fn new(schema: &str) -> Self {
        Self(serde_json::from_str(schema).unwrap())
    }

    pub(super) fn is_valid(&self, value: &Value) -> bool {
        self.holds(&self.0, value)
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        match schema {
            Value::Bool(all) => *all,
            Value::Object(keywords) => keywords.iter().all(|(keyword, rule)| self.keyword(schema, keyword, rule, value)),
            _ => panic!("no schema: {schema}"),
        }
    }

    /// A keyword says nothing of values of a type that it is not made for.
    fn keyword(&self, schema: &Value, keyword: &str, rule: &Value, value: &Value) -> bool {
        let limit = || rule.as_u64().unwrap();
        let characters = value.as_str().map(|text| text.chars().count() as u64);
        let elements = value.as_array().map(|elements| elements.len() as u64);
        match keyword {
            "$schema" | "$defs" | "title" | "description" | "else" => true,
            "$ref" => self.holds(self.0.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), value),
            "type" => {
                rule.as_str().map_or_else(|| rule.as_array().unwrap().iter().any(|kind| has_type(kind, value)), |_| has_type(rule, value))
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "anyOf" => rule.as_array().unwrap().iter().any(|schema| self.holds(schema, value)),
            "if" => self.holds(rule, value) || self.holds(&schema["else"], value),
            "minLength" => characters.is_none_or(|length| length >= limit()),
            "maxLength" => characters.is_none_or(|length| length <= limit()),
            "minItems" => elements.is_none_or(|length| length >= limit()),
            "maxItems" => elements.is_none_or(|length| length <= limit()),
            "items" => value.as_array().is_none_or(|elements| elements.iter().all(|element| self.holds(rule, element))),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            _ => value.as_object().is_none_or(|members| self.object_keyword(schema, keyword, rule, members)),
        }
    }

    fn object_keyword(&self, schema: &Value, keyword: &str, rule: &Value, members: &serde_json::Map<String, Value>) -> bool {
        let named = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
        match keyword {
            "required" => rule.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap())),
            "properties" => members.iter().all(|(name, value)| named(name).is_none_or(|schema| self.holds(schema, value))),
            "additionalProperties" => members.iter().all(|(name, value)| named(name).is_some() || self.holds(rule, value)),
            "propertyNames" => members.keys().all(|name| self.holds(rule, &Value::from(name.clone()))),
            "maxProperties" => members.len() as u64 <= rule.as_u64().unwrap(),
            _ => panic!("unknown keyword {keyword}"),
        }
    }
}

fn has_type(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        kind => panic!("unknown type {kind}"),
    }
}

/// The three patterns of the schema, each by hand.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        r"^[^\u0000-\u001f\u007f-\u009f]*$" => !text.chars().any(|character| matches!(character, '\0'..='\x1f' | '\x7f'..='\u{9f}')),
        r"^\S*$" => !text.contains(char::is_whitespace),
        r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$" => {
            is_time(text)
        }
        _ => panic!("unknown pattern {pattern}"),
    }
}

fn is_time(text: &str) -> bool {
    let shape: String =
        text.chars().map(|character| if character.is_ascii_digit() { '0' } else { character.to_ascii_uppercase() }).collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return false,
        None => rest,
    };
    let at = |from: usize, allowed: std::ops::RangeInclusive<u32>| allowed.contains(&text[from..from + 2].parse().unwrap());
    let whole = at(5, 1..=12) && at(8, 1..=31) && at(11, 0..=23) && at(14, 0..=59) && at(17, 0..=60);
    // After a fraction, `trim_start_matches` can't have taken digits of the offset: a sign stands before them.
    let offset = |sign: char| zone.strip_prefix(sign) == Some("00:00") && at(text.len() - 5, 0..=23) && at(text.len() - 2, 0..=59);
    whole && (zone == "Z" || offset('+') || offset('-'))
}
