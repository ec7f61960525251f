//! Comparing two ascending streams.

use std::cmp::Ordering;

use crate::snapshot::ReadError;

/// A record that only one side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference<T> {
    /// It should be stored, and is not.
    Missing(T),
    /// It is stored, and should not be.
    Extra(T),
}

/// Hands every difference to `each`: `expected` is what the events say, `stored` what lies on disk, in order.
pub(super) fn differences<T: Ord + Copy>(
    expected: &[T],
    stored: impl Iterator<Item = Result<T, ReadError>>,
    mut each: impl FnMut(Difference<T>),
) -> Result<(), ReadError> {
    let mut expected = expected.iter().copied().peekable();
    for found in stored {
        let found = found?;
        while let Some(missing) = expected.next_if(|wanted| *wanted < found) {
            each(Difference::Missing(missing));
        }
        match expected.peek().map(|wanted| wanted.cmp(&found)) {
            Some(Ordering::Equal) => _ = expected.next(),
            _ => each(Difference::Extra(found)),
        }
    }
    expected.for_each(|missing| each(Difference::Missing(missing)));
    Ok(())
}
