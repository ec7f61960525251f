//! Choices that depend on a seed and a number alone.
//!
//! What must be computable for any patient at any time (names, teams) cannot come from a stream of random numbers; it comes from a
//! mixing function (SplitMix64). The stream of events uses ChaCha.

/// Mixes a seed, a purpose and a number into 64 even bits.
pub(super) fn mix(seed: u64, purpose: u64, number: u64) -> u64 {
    let mut z = seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The member of a list that a number falls on.
///
/// # Panics
/// If the list is empty; every caller passes a constant list or a pool that is never empty.
#[expect(clippy::indexing_slicing, reason = "a remainder lies within the list it was taken from")]
pub(super) fn pick<T>(list: &[T], number: u64) -> &T {
    &list[(number % list.len() as u64) as usize]
}

/// The word of a list that a number falls on; see [`pick`].
pub(super) fn word(list: &[&'static str], number: u64) -> &'static str {
    pick::<&str>(list, number)
}
