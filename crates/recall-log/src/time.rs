//! Points in time: microseconds since 1970, RFC 3339 in, one canonical form out.
//!
//! Owns the calendar arithmetic and both text forms (`docs/format.md` section 1). Knows no clock and no time zone but UTC.

use std::fmt;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is no RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time; write it like 2026-11-23T18:00:00.000000Z")]
pub struct TimeError;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 with any offset. Digits finer than a microsecond are cut. A leap second counts as the second after it.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let (head, tail) = text.as_bytes().split_first_chunk::<19>().ok_or(TimeError)?;
        let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1] = *head else {
            return Err(TimeError);
        };
        let year = two(y0, y1)? * 100 + two(y2, y3)?;
        let (month, day) = (two(m0, m1)?, two(d0, d1)?);
        let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return Err(TimeError);
        }
        let (micros, zone) = fraction(tail)?;
        let seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset(zone)?;
        Ok(Self(seconds * MICROS_PER_SECOND + micros))
    }

    /// The canonical form, `2026-11-23T18:00:00.000000Z`, appended to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        if (0..=9999).contains(&year) {
            let mut text = *b"0000-00-00T00:00:00.000000Z";
            let [y0, y1, y2, y3, _, o0, o1, _, d0, d1, _, h0, h1, _, n0, n1, _, s0, s1, _, u0, u1, u2, u3, u4, u5, _] = &mut text;
            let pairs = [
                (y0, y1, year / 100),
                (y2, y3, year % 100),
                (o0, o1, month),
                (d0, d1, day),
                (h0, h1, second / 3600),
                (n0, n1, second / 60 % 60),
                (s0, s1, second % 60),
                (u0, u1, micros / 10_000),
                (u2, u3, micros / 100 % 100),
                (u4, u5, micros % 100),
            ];
            for (tens, ones, value) in pairs {
                *tens = b'0' + (value / 10) as u8;
                *ones = b'0' + (value % 10) as u8;
            }
            out.extend_from_slice(&text);
            return;
        }
        push_digits(out, year, 4);
        for (separator, value) in [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)] {
            out.push(separator);
            push_digits(out, value, 2);
        }
        out.push(b'.');
        push_digits(out, micros, 6);
        out.push(b'Z');
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(27);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

fn two(tens: u8, ones: u8) -> Result<i64, TimeError> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() { Ok(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')) } else { Err(TimeError) }
}

/// The microseconds that `.digits` stands for, and what follows it.
fn fraction(tail: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some((b'.', tail)) = tail.split_first() else {
        return Ok((0, tail));
    };
    let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = tail.split_at_checked(length).ok_or(TimeError)?;
    if digits.is_empty() {
        return Err(TimeError);
    }
    let micros = digits.iter().chain(std::iter::repeat(&b'0')).take(6).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Ok((micros, zone))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Result<i64, TimeError> {
    match *zone {
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            if hours > 23 || minutes > 59 {
                return Err(TimeError);
            }
            let seconds = hours * 3600 + minutes * 60;
            Ok(if sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(TimeError),
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years start in March, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of `days_from_civil`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `value` in decimal with at least `width` digits; a sign stands in front of a negative one.
fn push_digits(out: &mut Vec<u8>, value: i64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        if rest == 0 && length >= width {
            break;
        }
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend(digits.iter().skip(20 - length));
}

#[cfg(test)]
mod tests;
