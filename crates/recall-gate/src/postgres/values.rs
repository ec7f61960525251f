//! Values of parameters and result columns as text: what an identifier is recorded and searched as must not depend on the format that a
//! client chose (PostgreSQL's binary send functions).
//!
//! It must not know which values matter.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Built-in types whose binary form is known, by object identifier (pg_type.dat).
pub mod oid {
    /// boolean
    pub const BOOL: u32 = 16;
    /// bytea
    pub const BYTEA: u32 = 17;
    /// "char"
    pub const CHAR: u32 = 18;
    /// name
    pub const NAME: u32 = 19;
    /// bigint
    pub const INT8: u32 = 20;
    /// smallint
    pub const INT2: u32 = 21;
    /// integer
    pub const INT4: u32 = 23;
    /// text
    pub const TEXT: u32 = 25;
    /// oid
    pub const OID: u32 = 26;
    /// json
    pub const JSON: u32 = 114;
    /// real
    pub const FLOAT4: u32 = 700;
    /// double precision
    pub const FLOAT8: u32 = 701;
    /// An untyped literal.
    pub const UNKNOWN: u32 = 705;
    /// character(n)
    pub const BPCHAR: u32 = 1042;
    /// character varying
    pub const VARCHAR: u32 = 1043;
    /// date
    pub const DATE: u32 = 1082;
    /// timestamp
    pub const TIMESTAMP: u32 = 1114;
    /// timestamp with time zone
    pub const TIMESTAMPTZ: u32 = 1184;
    /// numeric
    pub const NUMERIC: u32 = 1700;
    /// jsonb
    pub const JSONB: u32 = 3802;
    /// uuid
    pub const UUID: u32 = 2950;
}

/// How a value is written: the protocol's format codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// As the type's send function has it.
    Binary,
}

impl Format {
    /// From its code.
    pub fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }
}

/// The value as text, if its form is known. Text as it is; binary numbers and identifiers as the server would write them.
pub fn as_text(type_oid: u32, format: Format, value: &[u8]) -> Option<String> {
    if format == Format::Text {
        return String::from_utf8(value.to_vec()).ok();
    }
    Some(match type_oid {
        oid::BOOL => if value == [0] { "f" } else { "t" }.to_owned(),
        oid::INT2 => i16::from_be_bytes(value.try_into().ok()?).to_string(),
        oid::INT4 => i32::from_be_bytes(value.try_into().ok()?).to_string(),
        oid::INT8 => i64::from_be_bytes(value.try_into().ok()?).to_string(),
        oid::OID => u32::from_be_bytes(value.try_into().ok()?).to_string(),
        oid::FLOAT4 => {
            let number = f32::from_be_bytes(value.try_into().ok()?);
            float(number.to_string(), &format!("{number:e}"), 6)
        }
        oid::FLOAT8 => {
            let number = f64::from_be_bytes(value.try_into().ok()?);
            float(number.to_string(), &format!("{number:e}"), 15)
        }
        oid::UUID => uuid(value.try_into().ok()?),
        oid::NUMERIC => numeric(value)?,
        oid::BYTEA => value.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        oid::JSONB => String::from_utf8(value.strip_prefix(&[1])?.to_vec()).ok()?,
        oid::DATE => date(i32::from_be_bytes(value.try_into().ok()?)),
        oid::TIMESTAMP => moment(i64::from_be_bytes(value.try_into().ok()?), ""),
        oid::TIMESTAMPTZ => moment(i64::from_be_bytes(value.try_into().ok()?), "+00"),
        oid::CHAR | oid::NAME | oid::TEXT | oid::JSON | oid::UNKNOWN | oid::BPCHAR | oid::VARCHAR => {
            String::from_utf8(value.to_vec()).ok()?
        }
        _ => return None,
    })
}

/// The value as an identifier is searched for: blanks that fill up a character(n) are no part of it.
pub fn as_identifier(type_oid: u32, format: Format, value: &[u8]) -> Option<String> {
    let text = as_text(type_oid, format, value)?;
    Some(if type_oid == oid::BPCHAR { text.trim_end_matches(' ').to_owned() } else { text })
}

/// The value as it is recorded: as text where that is possible, else its bytes in base64, which nothing is lost by.
pub fn recorded(type_oid: u32, format: Format, value: &[u8]) -> String {
    as_text(type_oid, format, value).unwrap_or_else(|| format!("base64:{}", STANDARD.encode(value)))
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The shortest digits that give the number, with an exponent where the server writes one: below 0.0001 and from so many digits on.
fn float(plain: String, exponential: &str, digits: i32) -> String {
    match exponential.split_once('e') {
        None => plain.replace("inf", "Infinity"),
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..digits).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
            }
            _ => plain,
        },
    }
}

/// Days since 2000-01-01, as the server writes them in ISO style.
fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let (day, era) = day(i64::from(days));
            day + era
        }
    }
}

/// Microseconds since 2000-01-01, with the zone behind them.
fn moment(micros: i64, zone: &str) -> String {
    const DAY: i64 = 86_400_000_000;
    match micros {
        i64::MAX => return "infinity".to_owned(),
        i64::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let (day, era) = day(micros.div_euclid(DAY));
    let (seconds, fraction) = (micros.rem_euclid(DAY) / 1_000_000, micros.rem_euclid(1_000_000));
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}").trim_end_matches('0').to_owned() };
    format!("{day} {:02}:{:02}:{:02}{fraction}{zone}{era}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// The day of the Gregorian calendar so many days after 2000-01-01, and what stands behind one before our era.
fn day(days: i64) -> (String, &'static str) {
    // Years here begin with March, so that the leap day is the last; 730,425 days lie between 0000-03-01 and 2000-01-01.
    let days = days + 730_425;
    let (cycle, days) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (days - days / 1_460 + days / 36_524 - days / 146_096) / 365;
    let days = days - (365 * year + year / 4 - year / 100);
    let month = (5 * days + 2) / 153;
    let day = days - (153 * month + 2) / 5 + 1;
    let year = year + cycle * 400 + i64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}

/// `numeric_send`: digits to the base of 10,000, the weight of the first, sign, digits behind the point.
fn numeric(value: &[u8]) -> Option<String> {
    let mut words = value.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(i16::from_be_bytes);
    let (count, weight, sign, scale) = (words.next()?, words.next()?, words.next()?.cast_unsigned(), words.next()?);
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digits: Vec<i16> = words.collect();
    if usize::try_from(count).ok()? != digits.len()
        || digits.iter().any(|digit| !(0..10_000).contains(digit))
        || !(0..=0x3FFF).contains(&scale)
    {
        return None;
    }
    let digit = |at: i32| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let weight = i32::from(weight);
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    if weight < 0 {
        text.push('0');
    }
    for at in 0..=weight {
        let _ = if at == 0 { write!(text, "{}", digit(at)) } else { write!(text, "{:04}", digit(at)) };
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut at = weight + 1;
        while fraction.len() < usize::try_from(scale).ok()? {
            let _ = write!(fraction, "{:04}", digit(at));
            at += 1;
        }
        fraction.truncate(usize::try_from(scale).ok()?);
        text.push('.');
        text.push_str(&fraction);
    }
    Some(text)
}

/// The name of a built-in type, for eyes; else its object identifier.
pub fn type_name(type_oid: u32) -> String {
    let name = match type_oid {
        0 | oid::UNKNOWN => "unknown",
        oid::BOOL => "boolean",
        oid::BYTEA => "bytea",
        oid::INT8 => "bigint",
        oid::INT2 => "smallint",
        oid::INT4 => "integer",
        oid::TEXT => "text",
        oid::FLOAT4 => "real",
        oid::FLOAT8 => "double precision",
        oid::BPCHAR => "character",
        oid::VARCHAR => "character varying",
        oid::DATE => "date",
        oid::TIMESTAMP => "timestamp",
        oid::TIMESTAMPTZ => "timestamp with time zone",
        oid::NUMERIC => "numeric",
        oid::UUID => "uuid",
        oid::JSON => "json",
        oid::JSONB => "jsonb",
        other => return format!("oid:{other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
