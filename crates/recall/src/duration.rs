//! Lengths of time as people write them in flags: a whole number and one unit.

use crate::failure::Failure;

/// Reads `30s`, `15m`, `24h` or `90d`: seconds out, at least one and at most a hundred years.
pub fn seconds(text: &str) -> Result<u64, Failure> {
    let wrong = || {
        Failure::wrong(format!(
            "'{}' is no length of time: write a whole number and s, m, h or d, such as 24h",
            crate::output::printable(text)
        ))
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    let seconds = number.checked_mul(factor).ok_or_else(wrong)?;
    if (1..=100 * 366 * 86_400).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
