#![allow(clippy::single_range_in_vec_init, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use recall_log::entry::commit;

use super::*;
use crate::batch::tests::opened;
use crate::testing::Bench;

fn merged(bench: &Bench, numbers: &[std::ops::Range<u64>]) -> Vec<Batch> {
    merge(numbers.iter().map(|numbers| bench.batch(numbers.clone())), &mut Packer::default()).unwrap()
}

fn lengths(batches: &[Batch]) -> Vec<usize> {
    batches.iter().map(Batch::len).collect()
}

#[test]
fn a_merged_batch_equals_one_of_all_the_events() {
    let bench = Bench::new();
    let merged = merged(&bench, &[0..1, 1..2, 2..40, 40..41]);
    let [merged] = &merged[..] else { panic!("{:?}", lengths(&merged)) };
    let whole = bench.batch(0..41);
    assert_eq!(merged.columns, whole.columns);
    assert_eq!(merged.facts.postings, whole.facts.postings);
    assert_eq!((merged.facts.identities.as_slice(), &merged.facts.seqs), (whole.identities(), &whole.facts.seqs));
    assert_eq!(merged.size_bytes(), whole.size_bytes());
    let ((public, phi), (whole_public, whole_phi)) = (opened(merged), opened(&whole));
    for row in 0..41 {
        assert_eq!((public.part(row), phi.part(row)), (whole_public.part(row), whole_phi.part(row)));
        let own = commit(public.part(row).unwrap(), phi.part(row).unwrap(), &public.salt(row).unwrap(), &phi.salt(row).unwrap());
        assert_eq!(merged.entries()[row], own);
        assert_eq!(merged.leaf_hashes()[row], recall_log::merkle::leaf_hash(&own));
    }
}

#[test]
fn large_batches_stay_as_they_are_and_keep_their_place() {
    let bench = Bench::new();
    assert_eq!(lengths(&merged(&bench, &[0..3, 3..5, 5..305, 305..306, 306..309, 309..700])), [5, 300, 4, 391]);
    assert_eq!(lengths(&merged(&bench, &[0..300, 300..600])), [300, 300]);
    assert!(merged(&bench, &[]).is_empty());
}

#[test]
fn a_merged_batch_has_a_limit() {
    let bench = Bench::new();
    let mut sizes = lengths(&merged(&bench, &[(); 200].map(|()| 0..50)));
    assert_eq!(sizes.iter().sum::<usize>(), 10_000);
    assert!(sizes.iter().all(|size| *size <= MERGED_EVENTS), "{sizes:?}");
    sizes.dedup();
    assert_eq!(sizes, [8_150, 1_850]);
}

#[test]
fn what_is_merged_is_compressed() {
    let bench = Bench::new();
    for numbers in [&[0..1][..], &[0..1, 1..2]] {
        assert!(merged(&bench, numbers).iter().all(|batch| matches!(batch.content, Content::Packed { .. })));
    }
}
