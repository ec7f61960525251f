//! The hospital's month: which microsecond the n-th event falls on, and how it is written.
//!
//! The month is fixed (October 2026), so that runs agree. Days are alike; hours are not: wards are busy in the morning and quiet
//! at night. Writing a time is a copy of the day's prefix and twelve digits.

/// Days in the month.
pub(super) const DAYS: u64 = 31;
/// Microseconds in a day.
pub(super) const DAY: u64 = 24 * HOUR;
/// Microseconds in an hour.
pub(super) const HOUR: u64 = 3_600_000_000;
/// 2026-10-01T00:00:00Z in microseconds since 1970.
const START: i64 = 1_790_812_800_000_000;

/// Share of the day's events in each hour, in thousandths.
const HOURS: [u64; 24] = [14, 12, 10, 10, 12, 20, 44, 70, 76, 74, 70, 62, 54, 62, 68, 62, 54, 46, 42, 38, 34, 28, 22, 16];

/// Microseconds from the start of the month to event `number` of `total`; never falls as `number` grows.
pub(super) fn moment(number: u64, total: u64) -> u64 {
    let scale = 1_000_000_u128;
    let place = u128::from(number) * u128::from(DAYS) * scale / u128::from(total.max(1));
    let day = (place / scale) as u64;
    let mut rest = (place % scale) as u64;
    for (hour, share) in (0_u64..).zip(HOURS) {
        let width = share * 1_000;
        if rest < width {
            return day * DAY + hour * HOUR + rest * HOUR / width;
        }
        rest -= width;
    }
    day * DAY + DAY - 1
}

/// Milliseconds since 1970, as version 7 identifiers carry them.
pub(super) fn unix_ms(moment: u64) -> u64 {
    (START as u64 + moment) / 1_000
}

/// Microseconds since 1970.
pub(super) fn unix_us(moment: u64) -> i64 {
    START + moment as i64
}

/// Hour of the day, 0 to 23.
pub(super) fn hour(moment: u64) -> u64 {
    moment % DAY / HOUR
}

/// Day of the month, from 0.
pub(super) fn day(moment: u64) -> u64 {
    moment / DAY
}

/// Writes `2026-10-DDTHH:MM:SS.ffffffZ`.
pub(super) fn write(out: &mut Vec<u8>, moment: u64) {
    out.extend_from_slice(b"2026-10-");
    digits::<2>(out, day(moment) + 1);
    out.push(b'T');
    digits::<2>(out, hour(moment));
    out.push(b':');
    digits::<2>(out, moment / 60_000_000 % 60);
    out.push(b':');
    digits::<2>(out, moment / 1_000_000 % 60);
    out.push(b'.');
    digits::<6>(out, moment % 1_000_000);
    out.push(b'Z');
}

/// Writes a number with leading zeros.
pub(super) fn digits<const WIDTH: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [b'0'; WIDTH];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text);
}
