//! Times as people type them: a day, a month, an instant, or so long before now. All are UTC.

use recall_log::time::Timestamp;

/// The microseconds that a typed time stands for: `first` to `last`, both included. An instant is one microsecond, a day many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub first: i64,
    pub last: i64,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Reads a typed time; `None` where it is none.
pub fn read(text: &str, now: Timestamp) -> Option<Moment> {
    let now = now.micros();
    match text {
        "now" => return Some(instant(now)),
        "today" => return Some(day(now)),
        "yesterday" => return now.checked_sub(DAY).map(day),
        _ => {}
    }
    if let Some(rest) = text.strip_prefix('-') {
        return now.checked_sub(length(rest)?).map(instant);
    }
    if let Some(rest) = text.strip_prefix('+') {
        return now.checked_add(length(rest)?).map(instant);
    }
    if let Some(date) = whole_day(text) {
        return Some(date);
    }
    if let Some(first) = whole_day(&format!("{text}-01")) {
        let next = after_month(text)?;
        return Some(Moment { first: first.first, last: next.checked_sub(1)? });
    }
    Timestamp::parse(text).ok().map(|at| instant(at.micros()))
}

fn instant(at: i64) -> Moment {
    Moment { first: at, last: at }
}

fn day(at: i64) -> Moment {
    let first = at.div_euclid(DAY).saturating_mul(DAY);
    Moment { first, last: first.saturating_add(DAY - 1) }
}

/// `7d` in microseconds.
fn length(text: &str) -> Option<i64> {
    let unit = match text.as_bytes().last()? {
        b's' => SECOND,
        b'm' => 60 * SECOND,
        b'h' => 3_600 * SECOND,
        b'd' => DAY,
        b'w' => 7 * DAY,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

/// `2026-11-23`.
fn whole_day(text: &str) -> Option<Moment> {
    if text.len() != 10 {
        return None;
    }
    Timestamp::parse(&format!("{text}T00:00:00Z")).ok().map(|at| day(at.micros()))
}

/// The first microsecond after the month `2026-11`.
fn after_month(text: &str) -> Option<i64> {
    let (year, month) = text.split_once('-')?;
    let (year, month) = (year.parse::<u16>().ok()?, month.parse::<u8>().ok()?);
    let (year, month) = if month == 12 { (year.checked_add(1)?, 1) } else { (year, month.checked_add(1)?) };
    Timestamp::parse(&format!("{year:04}-{month:02}-01T00:00:00Z")).ok().map(|at| at.micros())
}
