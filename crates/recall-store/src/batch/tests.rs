#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use recall_log::entry::{Facets, commit, received_at_span};
use recall_log::event::Event;
use recall_log::merkle::leaf_hash;

use super::section::compressor;
use super::*;
use crate::testing::{Bench, Seeded, actor, admission, clinic, patient};

impl Batch {
    /// The batch with columns, postings or identities that its events do not have; what the tree commits to stays.
    pub(crate) fn altered(mut self, alter: impl FnOnce(&mut RecordBatch, &mut Vec<Posting>, &mut [Identity])) -> Self {
        alter(&mut self.columns, &mut self.facts.postings, &mut self.facts.identities);
        self.facts.postings.sort_unstable();
        self
    }

    /// The batch with the salts of two events' PHI parts in each other's place.
    pub(crate) fn with_salts_swapped(mut self, one: usize, other: usize) -> Self {
        let (public, phi) = opened(&self);
        let mut swapped = Section::default();
        for row in 0..self.len() {
            let from = if row == one {
                other
            } else if row == other {
                one
            } else {
                row
            };
            swapped.push(&phi.salt(from).unwrap(), phi.part(row).unwrap());
        }
        let mut zstd = compressor().unwrap();
        self.content = Content::Packed { public: public.pack(&mut zstd).unwrap(), phi: swapped.pack(&mut zstd).unwrap() };
        self
    }
}

/// Both sections as they are read back once the batch is stored.
pub(super) fn opened(batch: &Batch) -> (Section, Section) {
    let count = u32::try_from(batch.len()).unwrap();
    let unpack = |packed: &[u8]| Section::unpack(count, packed.to_vec(), &mut decompressor().unwrap()).unwrap();
    match &batch.content {
        Content::Packed { public, phi } => (unpack(public), unpack(phi)),
        Content::Loose { public, phi } => {
            let mut zstd = compressor().unwrap();
            (unpack(&public.pack(&mut zstd).unwrap()), unpack(&phi.pack(&mut zstd).unwrap()))
        }
    }
}

#[test]
fn small_batches_wait_with_their_compression_and_large_ones_do_not() {
    let bench = Bench::new();
    let is_loose = |events: u64| matches!(bench.batch(0..events).content, Content::Loose { .. });
    assert!(is_loose(1) && is_loose(50));
    assert!(!is_loose(LOOSE_EVENTS as u64 + 1));
    let mut few = bench.encoder.batch().unwrap();
    for number in 0..8 {
        let long = clinic(number).replace("looked", &"x".repeat(9_000));
        few.push(&Event::parse(long.as_bytes()).unwrap(), &admission(number, &format!("{number}"))).unwrap();
    }
    assert!(few.size_bytes() > LOOSE_BYTES);
    assert!(matches!(few.finish().unwrap().content, Content::Packed { .. }));
}

#[test]
fn entries_commit_to_the_packed_bytes_and_salts() {
    let bench = Bench::new();
    let batch = bench.batch(0..40);
    let (public, phi) = opened(&batch);
    for (row, entry) in batch.entries().iter().enumerate() {
        let expected = commit(public.part(row).unwrap(), phi.part(row).unwrap(), &public.salt(row).unwrap(), &phi.salt(row).unwrap());
        assert_eq!(*entry, expected);
        assert_eq!(batch.leaf_hashes()[row], leaf_hash(entry));
    }
}

#[test]
fn no_salt_is_used_twice() {
    let bench = Bench::new();
    let mut salts = std::collections::HashSet::new();
    for batch in [bench.batch(0..100), bench.batch(0..1), bench.batch(0..70)] {
        let (public, phi) = opened(&batch);
        for row in 0..batch.len() {
            assert!(salts.insert(public.salt(row).unwrap()));
            assert!(salts.insert(phi.salt(row).unwrap()));
        }
    }
}

#[test]
fn postings_are_the_distinct_tokens_of_each_event() {
    let bench = Bench::new();
    let batch = bench.batch(0..60);
    let tokens = bench.encoder.tokens();
    let mut expected = Vec::new();
    for number in 0..60_u64 {
        let hidden = number.is_multiple_of(11);
        let kinds = if hidden { [TokenKind::HiddenActor, TokenKind::HiddenSession] } else { [TokenKind::Actor, TokenKind::Session] };
        let mut own = vec![tokens.token(TokenKind::Patient, &patient(number)), tokens.token(kinds[0], &actor(number))];
        own.push(tokens.token(kinds[1], &format!("s{}", number / 4)));
        if number % 5 == 0 {
            own.push(tokens.token(TokenKind::Patient, &patient(number + 1)));
        }
        expected.extend(own.into_iter().map(|token| (token.sorted(), u32::try_from(number).unwrap())));
    }
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(batch.facts.postings, expected);
}

#[test]
fn identity_ignores_when_it_was_received_and_nothing_else() {
    let bench = Bench::new();
    let identity = |json: &str, received: u64, id: &str| {
        let mut batch = bench.encoder.batch().unwrap();
        batch.push(&Event::parse(json.as_bytes()).unwrap(), &admission(received, id)).unwrap();
        batch.finish().unwrap().identities()[0]
    };
    let first = identity(&clinic(5), 5, "a");
    assert_eq!(first, identity(&clinic(5), 99, "a"));
    assert_ne!(first.key, identity(&clinic(5), 5, "b").key);
    let other = identity(&clinic(5).replace("room", "bed"), 5, "a");
    assert_eq!((first.key, first.tag == other.tag), (other.key, false));
}

#[test]
fn a_tag_tells_where_the_parts_begin_and_end() {
    let bench = Bench::new();
    let tag =
        |public: &[u8], received_at: std::ops::Range<usize>, phi: &[u8]| bench.encoder.identity("s", "i", public, received_at, phi).tag;
    let first = tag(b"abXXc", 2..4, b"d");
    assert_eq!(first, tag(b"abYYYc", 2..5, b"d"));
    for other in [tag(b"abXX", 2..4, b"cd"), tag(b"abXXcd", 2..4, b""), tag(b"abXXc", 2..4, b"d\0"), tag(b"abXXc", 2..4, b"e")] {
        assert_ne!(first, other);
    }
    assert_ne!(first, bench.encoder.identity("s", "j", b"abXXc", 2..4, b"d").tag);
}

#[test]
fn a_batch_takes_over_nothing_from_the_one_before() {
    let bench = Bench::new();
    let first = bench.batch(0..40);
    drop(bench.batch(100..400));
    let mut refused = bench.encoder.batch().unwrap();
    refused.push(&Event::parse(clinic(7).as_bytes()).unwrap(), &admission(7, "x")).unwrap();
    drop(refused);
    let again = bench.batch(0..40);
    let contents = |batch: &Batch| {
        let (public, phi) = opened(batch);
        (0..batch.len()).map(|row| (public.part(row).unwrap().to_vec(), phi.part(row).unwrap().to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(contents(&first), contents(&again));
    assert_eq!((first.size_bytes(), &first.facts.postings), (again.size_bytes(), &again.facts.postings));
}

#[test]
fn an_event_has_each_posting_once_however_many_patients() {
    let bench = Bench::new();
    for patients in [0, 1, 8, 9, 50] {
        let names: Vec<String> = (0..patients).map(|number| format!("p{number}")).collect();
        let twice = names.iter().chain(&names).map(|name| std::borrow::Cow::Borrowed(name.as_str()));
        let facets = Facets { patients: twice.take(2 * patients).collect(), actor_token: Some("p0".into()), ..Facets::default() };
        let mut facts = Facts::default();
        // Kinds share tokens here, as two identifiers may.
        facts.push_postings(3, &facets, |_, value| bench.encoder.tokens().token(TokenKind::Patient, value));
        facts.postings.sort_unstable();
        let expected: std::collections::BTreeSet<_> = names
            .iter()
            .map(String::as_str)
            .chain(["p0"])
            .map(|name| (bench.encoder.tokens().token(TokenKind::Patient, name).sorted(), 3))
            .collect();
        assert_eq!(facts.postings, expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn identity_can_be_computed_from_stored_bytes() {
    let bench = Bench::new();
    let batch = bench.batch(0..30);
    let (public, phi) = opened(&batch);
    for row in 0..batch.len() {
        let (bytes, phi) = (public.part(row).unwrap(), phi.part(row).unwrap());
        let facets = Facets::read(bytes, Some(phi)).unwrap();
        let identity = bench.encoder.identity(&facets.source, &facets.id, bytes, received_at_span(bytes).unwrap(), phi);
        assert_eq!(identity, batch.identities()[row]);
    }
}

#[test]
fn retain_equals_a_batch_of_those_events_alone() {
    let bench = Bench::new();
    for events in [50, 400] {
        let keep: Vec<bool> = (0..events).map(|row| row % 3 != 1).collect();
        let kept = bench.batch(0..events).retain(&keep).unwrap();
        let alone = bench.batch((0..events).filter(|row| row % 3 != 1));
        assert_eq!(kept.columns, alone.columns);
        assert_eq!(kept.facts.postings, alone.facts.postings);
        assert_eq!(kept.identities(), alone.identities());
        assert_eq!(kept.size_bytes(), alone.size_bytes());
        let ((public, phi), (alone_public, alone_phi)) = (opened(&kept), opened(&alone));
        for row in 0..kept.len() {
            assert_eq!((public.part(row), phi.part(row)), (alone_public.part(row), alone_phi.part(row)));
            let own = commit(public.part(row).unwrap(), phi.part(row).unwrap(), &public.salt(row).unwrap(), &phi.salt(row).unwrap());
            assert_eq!(kept.entries()[row], own);
        }
    }
}

#[test]
fn retain_none_is_an_empty_batch() {
    let kept = Bench::new().batch(0..5).retain(&[false; 5]).unwrap();
    assert!(kept.is_empty());
    assert_eq!(kept.size_bytes(), 0);
}

#[test]
fn notes_tell_source_count_and_times() {
    let bench = Bench::new();
    let batch = bench.batch(3..6);
    let notes: Vec<_> = batch.notes().map(|note| (note.source.to_owned(), note.seq, note.received_at)).collect();
    let expected: Vec<_> = (3..6).map(|number| ("urn:ehr:test".to_owned(), Some(number), crate::testing::received_at(number))).collect();
    assert_eq!(notes, expected);
}

#[test]
fn a_section_opens_at_its_own_place_only() {
    let bench = Bench::new();
    let batch = bench.batch(0..8);
    let sealed = batch.seal(100, 1, &bench.keys, &bench.phi, &Seeded::new(1)).unwrap();
    let key = bench.keys.public(1, PublicKey::Batch(100)).unwrap();
    let place = Place { first_index: 100, count: 8, key_set: 1 };
    assert!(open(&key, place, Side::Public, &sealed.public).is_ok());
    for wrong in [Place { first_index: 101, ..place }, Place { count: 9, ..place }, Place { key_set: 2, ..place }] {
        assert!(open(&key, wrong, Side::Public, &sealed.public).is_err());
    }
    assert!(open(&key, place, Side::Phi, &sealed.public).is_err());
    assert!(open(&key, place, Side::Public, &sealed.phi).is_err());
}

#[test]
fn any_changed_byte_of_a_sealed_section_is_noticed() {
    let bench = Bench::new();
    let batch = bench.batch(0..1);
    let sealed = batch.seal(0, 1, &bench.keys, &bench.phi, &Seeded::new(1)).unwrap();
    let key = bench.keys.public(1, PublicKey::Batch(0)).unwrap();
    let place = Place { first_index: 0, count: 1, key_set: 1 };
    for at in 0..sealed.public.len() {
        let mut changed = sealed.public.to_vec();
        changed[at] ^= 1;
        assert!(open(&key, place, Side::Public, &changed).is_err(), "byte {at}");
    }
    for length in 0..sealed.public.len() {
        assert!(open(&key, place, Side::Public, &sealed.public[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn packed_sections_of_the_wrong_shape_are_refused() {
    let mut section = Section::default();
    section.push(&[1; 16], b"one");
    section.push(&[2; 16], b"two");
    let packed = section.pack(&mut compressor().unwrap()).unwrap();
    let unpack = |count: u32, packed: &[u8]| Section::unpack(count, packed.to_vec(), &mut decompressor().unwrap()).is_ok();
    assert!(unpack(2, &packed));
    assert!(!unpack(1, &packed));
    assert!(!unpack(3, &packed));
    assert!(!unpack(u32::MAX, &packed));
    assert!(!unpack(2, &packed[..31]));
    assert!(!unpack(2, &packed[..packed.len() - 1]));
    assert!(!unpack(2, &[&packed[..], &[0]].concat()));
    assert!(unpack(2, &framed(2, b"\x00\x00\x00\x03one\x00\x00\x00\x03two")));
    assert!(!unpack(2, &framed(2, b"\x00\x00\x00\x09one\x00\x00\x00\x03two")));
}

/// A section of one frame that holds `parts` as they are.
fn framed(count: usize, parts: &[u8]) -> Vec<u8> {
    let frame = zstd::bulk::compress(parts, 1).unwrap();
    [&vec![7; count * 16][..], &u32::try_from(frame.len()).unwrap().to_be_bytes(), &frame].concat()
}

/// 32 events are a frame: below, at and above that, each part is read back from the frame that holds it.
#[test]
fn frames_are_read_one_by_one() {
    for count in [0_u32, 1, 31, 32, 33, 64, 75] {
        let mut section = Section::default();
        (0..count).for_each(|row| section.push(&[u8::try_from(row % 251).unwrap(); 16], row.to_string().as_bytes()));
        let packed = section.pack(&mut compressor().unwrap()).unwrap();
        let packed = Packed::new(count, packed).unwrap();
        assert_eq!(packed.frames(), count.div_ceil(32) as usize, "{count}");
        let mut zstd = decompressor().unwrap();
        for row in (0..count).rev().step_by(5) {
            let (frame, at) = Packed::find(row);
            let frame = packed.frame(frame, &mut zstd).unwrap();
            assert_eq!(frame.part(at), Some(row.to_string().as_bytes()), "{row} of {count}");
            assert_eq!(frame.salt(at), Some([u8::try_from(row % 251).unwrap(); 16]), "{row} of {count}");
        }
        assert!(packed.frame(packed.frames(), &mut zstd).is_err());
    }
}

#[test]
fn frames_in_each_others_place_are_no_section() {
    let mut section = Section::default();
    (0..34_u32).for_each(|row| section.push(&[1; 16], row.to_string().as_bytes()));
    let packed = section.pack(&mut compressor().unwrap()).unwrap();
    let heads = 34 * 16;
    let first = u32::from_be_bytes(*packed[heads..].first_chunk().unwrap()) as usize;
    let frames = &packed[heads + 8..];
    let swapped = [&packed[..heads], &packed[heads + 4..heads + 8], &packed[heads..heads + 4], &frames[first..], &frames[..first]].concat();
    assert_eq!(read_section(34, &swapped), Err(SectionError::Shape));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    /// The short form of the fuzz target `batch_section`.
    #[test]
    fn no_bytes_make_a_section_panic(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
        count in 0_u32..8,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        raw in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut section = Section::default();
        parts.iter().for_each(|part| section.push(&[7; 16], part));
        let mut packed = section.pack(&mut compressor().unwrap()).unwrap();
        let own = u32::try_from(parts.len()).unwrap();
        prop_assert_eq!(read_section(own, &packed), Ok(parts.iter().map(Vec::len).sum()));
        // What is compressed may be of any shape too.
        let shaped = framed(4, &raw);
        let _ = (read_section(4, &shaped), read_section(count, &raw));
        for (place, byte) in edits {
            let place = place.index(packed.len());
            packed[place] = byte;
        }
        let _ = (read_section(own, &packed), read_section(count, &packed), read_section(own, &packed[..cut.index(packed.len())]));
    }
}

#[test]
fn many_empty_parts_take_no_more_memory_than_their_count() {
    assert_eq!(read_section(1, &framed(1, &vec![0; 64 << 20])), Err(SectionError::Shape));
}

#[test]
fn a_refused_event_leaves_the_batch_as_it_was() {
    let bench = Bench::new();
    let mut batch = bench.encoder.batch().unwrap();
    let huge = clinic(1).replace(r#""request":{"#, &format!(r#""request":{{"parameters":["{}"],"#, "x".repeat(1 << 20)));
    let good = clinic(1);
    let event = Event::parse(huge.as_bytes());
    let refused = event.is_err() || batch.push(&event.unwrap(), &admission(1, "x")).is_err();
    assert!(refused);
    batch.push(&Event::parse(good.as_bytes()).unwrap(), &admission(1, "x")).unwrap();
    assert_eq!(batch.finish().unwrap().entries().len(), 1);
}
