use recall_log::time::Timestamp;

use super::*;

#[test]
fn only_the_secret_of_a_living_session_finds_it() {
    let seams = Seams::new(|| Timestamp::from_micros(0), |out| out.fill(0x42));
    let cancels = Arc::new(Cancels::default());
    let upstream = Key { process: 1, secret: 2 };
    let about = Arc::new(About::default());
    let registered = Cancels::register(&cancels, upstream, &about, &seams);
    let key = registered.key();
    let find = |key| cancels.find(key).map(|found| found.upstream);
    assert_eq!(find(key), Some(upstream));
    assert_eq!(find(Key { secret: key.secret ^ 1, ..key }), None);
    assert_eq!(find(Key { process: key.process ^ 1, ..key }), None);
    assert_eq!(key.process, upstream.process, "the number is the one that the server knows");
    let other = Cancels::register(&cancels, Key { process: 1, secret: 3 }, &about, &seams);
    assert_ne!(other.key().process, 1, "two sessions never share one");
    drop(registered);
    assert_eq!(find(key), None);
}
