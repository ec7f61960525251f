#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

/// The definition of RFC 6962 section 2.1, word for word.
fn naive_root(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH(m, D) of RFC 6962 section 2.1.1.
fn naive_path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
    let (mut path, sibling) = if index < left.len() {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - left.len(), right), naive_root(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF(m, D, b) of RFC 6962 section 2.1.2.
fn naive_subproof(old: usize, leaves: &[Vec<u8>], complete: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if complete { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
    let (mut path, sibling) = if old <= left.len() {
        (naive_subproof(old, left, complete), naive_root(right))
    } else {
        (naive_subproof(old - left.len(), right, false), naive_root(left))
    };
    path.push(sibling);
    path
}

struct Leaves(Vec<Vec<u8>>);

impl HashReader for Leaves {
    fn hash(&self, level: u8, index: u64) -> Result<Hash, ReadError> {
        let from = usize::try_from(index << level).unwrap();
        Ok(naive_root(&self.0[from..from + (1 << level)]))
    }
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|leaf| leaf.to_string().into_bytes()).collect()
}

fn frontier_of(leaves: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(leaf_hash(leaf)));
    frontier
}

const SIZES: usize = 70;

#[test]
fn vectors_of_rfc_6962() {
    let hex =
        |text: &str| (0..text.len() / 2).map(|byte| u8::from_str_radix(&text[2 * byte..2 * byte + 2], 16).unwrap()).collect::<Vec<u8>>();
    let leaves: Vec<Vec<u8>> =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"].map(hex).to_vec();
    let root = |size: usize| frontier_of(&leaves[..size]).root().to_vec();
    assert_eq!(root(0), hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    assert_eq!(root(1), hex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"));
    assert_eq!(root(8), hex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"));
}

#[test]
fn roots_are_those_of_the_definition_and_of_another_library() {
    let leaves = leaves(SIZES);
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut frontier = Frontier::new();
    for size in 0..=SIZES {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
        assert_eq!(frontier.root().as_slice(), other.root().as_bytes().as_slice(), "size {size}");
        assert_eq!(Frontier::from_parts(frontier.size(), frontier.hashes().to_vec()).unwrap(), frontier);
        if let Some(leaf) = leaves.get(size) {
            frontier.push(leaf_hash(leaf));
            other.push(leaf.clone());
        }
    }
}

#[test]
fn all_inclusion_proofs_hold_and_no_changed_one_does() {
    let reader = Leaves(leaves(SIZES));
    for size in 1..=SIZES {
        let root = naive_root(&reader.0[..size]);
        let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        reader.0[..size].iter().for_each(|leaf| other.push(leaf.clone()));
        for index in 0..size {
            let (leaf, at, of) = (leaf_hash(&reader.0[index]), index as u64, size as u64);
            let proof = inclusion_proof(&reader, at, of).unwrap();
            assert_eq!(proof, naive_path(index, &reader.0[..size]));
            assert_eq!(proof.concat(), other.prove_inclusion(index).as_bytes());
            assert_eq!(verify_inclusion(&leaf, at, of, &proof, &root), Ok(()));
            refuse_inclusion_mutants(&leaf, at, of, &proof, &root);
        }
        assert!(inclusion_proof(&reader, size as u64, size as u64).is_err());
    }
    assert!(inclusion_proof(&reader, 0, 0).is_err());
    assert!(inclusion_proof(&reader, 0, SIZE_LIMIT).is_err());
}

fn refuse_inclusion_mutants(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) {
    let refused = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| {
        assert_eq!(verify_inclusion(leaf, index, size, proof, root), Err(ProofError), "index {index}, size {size}");
    };
    refused(&flipped(leaf), index, size, proof, root);
    refused(leaf, index, size, proof, &flipped(root));
    refused(leaf, size, size, proof, root);
    refused(leaf, index + (1 << 40), size, proof, root);
    refused(leaf, index, size, &[proof, &[*root]].concat(), root);
    for other in (0..size).filter(|other| *other != index) {
        // Another index never proves the same leaf.
        refused(leaf, other, size, proof, root);
    }
    for place in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[place] = flipped(&changed[place]);
        refused(leaf, index, size, &changed, root);
        changed.remove(place);
        refused(leaf, index, size, &changed, root);
    }
}

fn flipped(hash: &Hash) -> Hash {
    let mut hash = *hash;
    hash[31] ^= 1;
    hash
}

#[test]
fn all_consistency_proofs_hold_and_no_changed_one_does() {
    let reader = Leaves(leaves(SIZES));
    let roots: Vec<Hash> = (0..=SIZES).map(|size| naive_root(&reader.0[..size])).collect();
    for new in 0..=SIZES {
        for old in 0..=new {
            let proof = consistency_proof(&reader, old as u64, new as u64).unwrap();
            let expected = if old == 0 { Vec::new() } else { naive_subproof(old, &reader.0[..new], true) };
            assert_eq!(proof, expected, "{old} to {new}");
            let holds = |old: usize, old_root: &Hash, new: usize, new_root: &Hash, proof: &[Hash]| {
                verify_consistency(old as u64, old_root, new as u64, new_root, proof).is_ok()
            };
            assert!(holds(old, &roots[old], new, &roots[new], &proof), "{old} to {new}");
            assert!(!holds(old, &flipped(&roots[old]), new, &roots[new], &proof), "{old} to {new}");
            assert!(!holds(old, &roots[old], new, &roots[new], &[&proof[..], &[roots[old]]].concat()), "{old} to {new}");
            if old > 0 {
                assert!(!holds(old, &roots[old], new, &flipped(&roots[new]), &proof), "{old} to {new}");
            }
            for place in 0..proof.len() {
                let mut changed = proof.clone();
                changed[place] = flipped(&changed[place]);
                assert!(!holds(old, &roots[old], new, &roots[new], &changed), "{old} to {new}");
                changed.remove(place);
                assert!(!holds(old, &roots[old], new, &roots[new], &changed), "{old} to {new}");
            }
        }
    }
    assert!(consistency_proof(&reader, 2, 1).is_err());
    assert_eq!(verify_consistency(2, &roots[2], 1, &roots[1], &[]), Err(ProofError));
}

#[test]
fn consistency_proofs_agree_with_another_library() {
    let reader = Leaves(leaves(SIZES));
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for new in 1..=SIZES {
        other.push(reader.0[new - 1].clone());
        for old in 1..new {
            let proof = consistency_proof(&reader, old as u64, new as u64).unwrap();
            assert_eq!(proof.concat(), other.prove_consistency(new - old).as_bytes(), "{old} to {new}");
        }
    }
}

#[test]
fn a_frontier_has_as_many_hashes_as_its_size_has_ones() {
    for (size, hashes) in [(0, 1), (1, 0), (1, 2), (3, 1), (7, 4), (8, 2), (u64::MAX, 64), (SIZE_LIMIT, 1)] {
        assert!(Frontier::from_parts(size, vec![Hash::default(); hashes]).is_err(), "{size}");
    }
    assert_eq!(Frontier::from_parts(0, Vec::new()).unwrap(), Frontier::new());
}

proptest! {
    #[test]
    fn no_proof_makes_the_verifiers_panic(index: u64, size: u64, count in 0_usize..70) {
        let proof = vec![[7; 32]; count];
        prop_assert!(verify_inclusion(&[1; 32], index, size, &proof, &[2; 32]).is_err());
        prop_assert!(verify_consistency(index, &[1; 32], size, &[2; 32], &proof).is_err());
    }
}

#[test]
fn a_leaf_is_hashed_alike_whatever_its_length() {
    for length in 0..150 {
        let entry = vec![7; length];
        let expected = digest::digest(&digest::SHA256, &[&[0], entry.as_slice()].concat());
        assert_eq!(leaf_hash(&entry), expected.as_ref(), "{length}");
    }
}
