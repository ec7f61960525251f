use proptest::prelude::*;

use super::*;

#[test]
fn nothing_leaves_before_its_ticket() {
    let mut outbox = Outbox::default();
    outbox.tail().extend_from_slice(b"a");
    outbox.wait_for(1);
    outbox.tail().extend_from_slice(b"b");
    outbox.wait_for(2);
    outbox.tail().extend_from_slice(b"c");
    assert_eq!(outbox.ready(0), b"a");
    assert_eq!(outbox.ready(1), b"ab");
    outbox.sent(2);
    assert_eq!(outbox.ready(1), b"");
    assert_eq!(outbox.ready(2), b"c");
}

#[test]
fn held_bytes_wait_for_a_ticket_that_comes_later() {
    let mut outbox = Outbox::default();
    outbox.tail().extend_from_slice(b"a");
    outbox.hold();
    outbox.tail().extend_from_slice(b"rows");
    assert_eq!(outbox.ready(Ticket::MAX), b"a");
    assert_eq!(outbox.held_bytes(), 4);
    // A ticket that is given meanwhile must not let go of what is held before it.
    outbox.wait_for(5);
    outbox.tail().extend_from_slice(b"more");
    outbox.seal(6);
    assert_eq!(outbox.held_bytes(), 0);
    assert_eq!(outbox.ready(5), b"a");
    assert_eq!(outbox.ready(6), b"arowsmore");
}

#[test]
fn what_waits_is_dropped_and_what_follows_leaves() {
    let mut outbox = Outbox::default();
    outbox.tail().extend_from_slice(b"may");
    outbox.wait_for(1);
    outbox.tail().extend_from_slice(b"never");
    outbox.hold();
    outbox.tail().extend_from_slice(b"either");
    outbox.drop_waiting(0);
    outbox.tail().extend_from_slice(b" end");
    assert_eq!(outbox.ready(0), b"may end");
}

#[derive(Debug, Clone)]
enum Act {
    Put(u8),
    Wait,
    Hold,
    Seal,
    Durable(u8),
    Send(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..40_u8).prop_map(Act::Put),
        Just(Act::Wait),
        Just(Act::Hold),
        Just(Act::Seal),
        (0..4_u8).prop_map(Act::Durable),
        (0..80_u8).prop_map(Act::Send),
    ]
}

proptest! {
    /// The oracle gives each byte the ticket it waits for, and lets bytes go from the front while theirs is durable.
    #[test]
    fn bytes_leave_in_order_and_never_early(acts in prop::collection::vec(act(), 0..60)) {
        let mut outbox = Outbox::default();
        let (mut oracle, mut sent): (Vec<Option<Ticket>>, usize) = (Vec::new(), 0);
        let (mut ticket, mut given, mut durable, mut held): (Ticket, Ticket, Ticket, Option<usize>) = (0, 0, 0, None);
        for act in acts {
            match act {
                Act::Put(count) => {
                    outbox.tail().extend(vec![b'x'; usize::from(count)]);
                    oracle.extend(vec![if held.is_some() { None } else { Some(ticket) }; usize::from(count)]);
                }
                Act::Wait => {
                    given += 1;
                    ticket = given;
                    outbox.wait_for(ticket);
                }
                Act::Hold => {
                    held.get_or_insert(oracle.len());
                    outbox.hold();
                }
                Act::Seal => {
                    given += 1;
                    outbox.seal(given);
                    if let Some(from) = held.take() {
                        ticket = given;
                        oracle[from..].iter_mut().for_each(|byte| *byte = Some(given));
                    }
                }
                Act::Durable(more) => durable = (durable + Ticket::from(more)).min(given),
                Act::Send(most) => {
                    let may = oracle[sent..].iter().take_while(|byte| byte.is_some_and(|ticket| ticket <= durable)).count();
                    prop_assert_eq!(outbox.ready(durable).len(), may);
                    let count = may.min(usize::from(most));
                    outbox.sent(count);
                    sent += count;
                }
            }
        }
    }
}
