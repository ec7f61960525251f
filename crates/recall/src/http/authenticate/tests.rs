use recall_log::time::Timestamp;

use super::{RECORDED_EACH_SECOND, Refused};

#[test]
fn a_few_a_second_are_recorded_and_the_rest_counted_once() {
    let refused = Refused::default();
    let first = Timestamp::from_micros(10_000_000);
    let by_itself = (0..100).filter(|_| refused.note(first).0).count();
    assert_eq!(by_itself, RECORDED_EACH_SECOND as usize);
    assert_eq!(refused.take_counted(first), 0, "the second still runs");
    let later = Timestamp::from_micros(11_000_000);
    assert_eq!(refused.note(later), (true, 100 - u64::from(RECORDED_EACH_SECOND)));
    assert_eq!(refused.note(later), (true, 0));
}

#[test]
fn what_was_counted_is_taken_once() {
    let refused = Refused::default();
    for _ in 0..8 {
        refused.note(Timestamp::from_micros(0));
    }
    let later = Timestamp::from_micros(2_000_000);
    assert_eq!((refused.take_counted(later), refused.take_counted(later)), (3, 0));
}
