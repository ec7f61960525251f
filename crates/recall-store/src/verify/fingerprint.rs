//! Comparing two large multisets in constant memory: by fingerprints under secrets drawn for one verification.
//!
//! A record is a vector of words; under secrets it becomes the factor x + Σ weightᵢ·wordᵢ in the field of 2^61 - 1, and a multiset the
//! product of its factors, whatever their order. Two multisets that differ are two different polynomials in the secrets, whose values agree
//! with a probability of at most records / 2^61; two independent products square that. Whoever wrote the files did not know the secrets.

use crate::dedupe::Record;
use crate::postings::Posting;
use crate::seams::Random;

/// 32-bit words in a record, at most.
const WORDS: usize = 8;
/// Independent products.
const PRODUCTS: usize = 2;
const PRIME: u64 = (1 << 61) - 1;

/// What a fingerprint can be taken of.
pub(super) trait Words {
    /// The record, told apart from every other by these.
    fn words(&self) -> [u64; 4];
}

impl Words for Record {
    fn words(&self) -> [u64; 4] {
        self.fields().map(i64::cast_unsigned)
    }
}

impl Words for Posting {
    fn words(&self) -> [u64; 4] {
        [self.0.cast_unsigned(), self.1.into(), 0, 0]
    }
}

/// The secrets of one verification.
#[derive(Clone)]
pub(super) struct Secrets([Secret; PRODUCTS]);

#[derive(Clone, Copy, Default)]
struct Secret {
    x: u64,
    weights: [u64; WORDS],
}

impl Secrets {
    pub(super) fn draw(random: &dyn Random) -> Self {
        let element = || {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            u64::from_le_bytes(bytes) % PRIME
        };
        let mut secrets = [Secret::default(); PRODUCTS];
        for secret in &mut secrets {
            secret.x = element();
            secret.weights.iter_mut().for_each(|weight| *weight = element());
        }
        Self(secrets)
    }
}

impl Secret {
    fn factor(&self, words: [u64; 4]) -> u64 {
        const LOW: u64 = 0xFFFF_FFFF;
        let halves = words.into_iter().flat_map(|word| [word & LOW, word >> 32]);
        // Eight products of 61 and 32 bits and a summand of 61 bits: 96 bits and some.
        let sum = self.weights.iter().zip(halves).map(|(weight, half)| u128::from(*weight) * u128::from(half));
        reduced(sum.fold(u128::from(self.x), |sum, product| sum + product))
    }
}

/// `wide` modulo the prime; `wide` is below 2^122.
fn reduced(wide: u128) -> u64 {
    let prime = u128::from(PRIME);
    let folded = (wide & prime) + (wide >> 61);
    let folded = (folded & prime) + (folded >> 61);
    let folded = if folded >= prime { folded - prime } else { folded };
    u64::try_from(folded).unwrap_or_default()
}

/// The fingerprint of a multiset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    count: u64,
    products: [u64; PRODUCTS],
}

impl Default for Fingerprint {
    /// Of the empty one.
    fn default() -> Self {
        Self { count: 0, products: [1; PRODUCTS] }
    }
}

impl Fingerprint {
    /// Adds a record.
    pub(super) fn add(&mut self, secrets: &Secrets, record: &impl Words) {
        let words = record.words();
        self.count = self.count.saturating_add(1);
        for (product, secret) in self.products.iter_mut().zip(&secrets.0) {
            *product = times(*product, secret.factor(words));
        }
    }

    /// Adds all of another multiset.
    pub(super) fn join(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.products.iter_mut().zip(other.products).for_each(|(product, other)| *product = times(*product, other));
    }
}

fn times(left: u64, right: u64) -> u64 {
    reduced(u128::from(left) * u128::from(right))
}

#[cfg(test)]
mod tests;
