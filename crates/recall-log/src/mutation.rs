//! The short form of the fuzz targets: vectors, a few edits away, under a fixed seed. Tests only; `scripts/fuzz.sh` goes deeper.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The same cases on every run.
pub(crate) fn fixed(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

/// One edit: at a place, take away some bytes, and put a few others there.
type Edit = (prop::sample::Index, usize, Vec<u8>);

/// One of `seeds`, edited up to three times: bytes changed, taken away, put in, or a piece of another seed.
pub(crate) fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let pieces = seeds.clone();
    let piece = (prop::sample::select(pieces), any::<prop::sample::Index>(), 0_usize..24).prop_map(|(seed, from, length)| {
        let from = if seed.is_empty() { 0 } else { from.index(seed.len()) };
        seed.iter().skip(from).take(length).copied().collect::<Vec<u8>>()
    });
    let bytes = prop_oneof![prop::collection::vec(any::<u8>(), 0..3), prop::collection::vec(32_u8..127, 0..3), piece];
    let edit = (any::<prop::sample::Index>(), 0_usize..8, bytes);
    (prop::sample::select(seeds), prop::collection::vec(edit, 0..4)).prop_map(|(seed, edits)| edits.into_iter().fold(seed, edited))
}

fn edited(mut bytes: Vec<u8>, (place, gone, put): Edit) -> Vec<u8> {
    let from = place.index(bytes.len() + 1);
    let to = (from + gone).min(bytes.len());
    bytes.splice(from..to, put);
    bytes
}

/// The lines of a vector file, in which `\n` and `\t` stand for a newline and a tab.
pub(crate) fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.replace("\\n", "\n").replace("\\t", "\t").into_bytes()).collect()
}
