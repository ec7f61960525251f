//! Each step of a commit and of a publication, failed and failed but persisted; then the normal path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use recall_log::checkpoint::Checkpoint;

use super::support::{Stage, When, check_tree, store};
use super::{Outcome, SOON, Status, contents};
use crate::seams::{Random as _, Step};
use crate::testing::Seeded;
use crate::trail::Trail;

/// Moves all that is under the set of an epoch into segments, as far as faults let it.
fn flush(trail: &Trail, epoch: &str) {
    if let (Ok(running), Some(set)) = (&trail.running, trail.keys().set_for(epoch, "standard")) {
        let _ = running.compactor.flush(vec![set]);
    }
}

/// What senders and readers have been told.
#[derive(Default)]
struct Told {
    /// The answer for each event number that was acknowledged.
    acknowledged: BTreeMap<u64, Outcome>,
    checkpoints: Vec<Checkpoint>,
}

impl Told {
    fn store(&mut self, trail: &Trail, numbers: std::ops::Range<u64>) {
        let Ok(outcomes) = store(trail, numbers.clone()) else { return };
        for (number, outcome) in numbers.zip(outcomes) {
            assert!(matches!(outcome.status, Status::Stored | Status::Duplicate), "{outcome:?}");
            let outcome = Outcome { status: Status::Duplicate, ..outcome };
            assert_eq!(*self.acknowledged.entry(number).or_insert(outcome), outcome, "another answer for event {number}");
        }
    }

    fn look(&mut self, trail: &Trail) {
        if trail.published() > 0 {
            let outcomes: Vec<Outcome> = self.acknowledged.values().copied().collect();
            for old in &self.checkpoints {
                check_tree(trail, Some(old), &outcomes);
            }
            self.checkpoints.push(check_tree(trail, None, &outcomes));
            self.checkpoints.dedup();
        }
    }

    /// By the normal path: nothing that was told is untrue, and all goes on.
    fn verify(&mut self, stage: &Stage, numbers: std::ops::Range<u64>) {
        stage.faults.heal();
        let trail = stage.open();
        assert_eq!((trail.damage(), trail.not_ready()), (&[][..], None));
        let told: Vec<u64> = self.acknowledged.keys().copied().collect();
        for number in told {
            self.store(&trail, number..number + 1);
        }
        self.store(&trail, numbers);
        trail.wait_published(trail.size(), SOON).unwrap();
        self.look(&trail);
        assert_eq!(trail.size(), self.acknowledged.len() as u64);
        assert!(contents(&trail).iter().all(Option::is_some));
    }
}

#[test]
fn whichever_step_fails_nothing_acknowledged_is_lost() {
    // The others are reached by a start, by a second failure, and by shredding, whose tests fail them.
    let others = [Step::CatalogSettle, Step::CatalogReopen, Step::ReserveWrite, Step::RoomProbe, Step::RootKeyWrite];
    for step in Step::ALL.into_iter().filter(|step| !others.contains(step)) {
        for when in [When::Before, When::After] {
            for (after, times) in [(0, u32::MAX), (0, 1), (1, 1)] {
                let stage = Stage::new();
                let mut told = Told::default();
                let trail = stage.open();
                told.store(&trail, 0..7);
                trail.publish_now().unwrap();
                told.look(&trail);
                stage.faults.was_reached(step);
                stage.faults.fail(step, when, after, times);
                stage.clock.set("2026-12-24T18:00:00Z");
                for start in [7, 14, 21] {
                    told.store(&trail, start..start + 7);
                    // Whether these succeed is the fault's affair.
                    let _ = trail.publish_now();
                    flush(&trail, "2026-11");
                    told.look(&trail);
                }
                drop(trail);
                assert!(stage.faults.was_reached(step), "{step:?}");
                told.verify(&stage, 0..40);
            }
        }
    }
}

#[test]
fn random_failures_and_restarts_lose_nothing() {
    for seed in 0..30 {
        let random = Seeded::new(seed);
        let below = |limit: u64| {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            u64::from_le_bytes(bytes) % limit
        };
        let stage = Stage::new();
        let mut told = Told::default();
        for _ in 0..3 {
            stage.faults.heal();
            let trail = stage.open();
            for _ in 0..2 {
                let step = Step::ALL[below(Step::ALL.len() as u64) as usize];
                let when = if below(2) == 0 { When::Before } else { When::After };
                stage.faults.fail(step, when, below(4) as u32, 1 + below(3) as u32);
            }
            for _ in 0..6 {
                match below(8) {
                    0 => drop(trail.publish_now()),
                    1 => told.look(&trail),
                    2 => stage.clock.advance(20 * 86_400),
                    3 => flush(&trail, ["2026-11", "2026-12", "2027-01"][below(3) as usize]),
                    _ => {
                        let start = below(60);
                        told.store(&trail, start..start + 1 + below(9));
                    }
                }
            }
        }
        told.verify(&stage, 0..70);
    }
}

#[test]
fn a_failed_publication_is_tried_again_by_itself() {
    for step in [Step::TileWrite, Step::TileSync, Step::CheckpointCatalog, Step::AnchorWrite, Step::CheckpointPublish] {
        let stage = Stage::new();
        let trail = stage.open();
        stage.faults.fail(step, When::Before, 0, 1);
        store(&trail, 0..3).unwrap();
        trail.wait_published(3, SOON).unwrap();
        check_tree(&trail, None, &[]);
    }
}
