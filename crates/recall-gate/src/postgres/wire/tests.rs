use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

#[test]
fn messages_are_cut_wherever_the_bytes_are_cut() {
    let bytes = [message(b'Q', b"SELECT 1\0"), message(b'S', b""), message(b'X', b"")].concat();
    for cut in 0..=bytes.len() {
        let mut inbox = Inbox::default();
        let mut found = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            inbox.tail().extend_from_slice(part);
            while let Some(message) = inbox.peek().unwrap() {
                found.push((message.tag, message.body.to_vec()));
                let length = message.whole.len();
                inbox.consume(length);
            }
        }
        assert_eq!(found, [(b'Q', b"SELECT 1\0".to_vec()), (b'S', Vec::new()), (b'X', Vec::new())], "cut at {cut}");
    }
}

#[test]
fn impossible_lengths_end_the_session() {
    let peek = |length: i32| {
        let mut inbox = Inbox::default();
        inbox.tail().extend([&[b'Q'][..], &length.to_be_bytes()].concat());
        inbox.peek().map(|message| message.map(|message| message.body.len()))
    };
    for length in [i32::MIN, -1, 0, 3] {
        assert_eq!(peek(length), Err(WireError::Length), "{length}");
    }
    assert_eq!(peek(4), Ok(Some(0)));
    let most = i32::try_from(MESSAGE_BYTES).unwrap();
    assert_eq!(peek(most - 1), Ok(None));
    assert_eq!(peek(most), Ok(None));
    assert_eq!(peek(most + 1), Err(WireError::Long));
    assert_eq!(peek(i32::MAX), Err(WireError::Long));
}

#[test]
fn the_first_packet_has_a_limit_of_its_own() {
    let peek = |length: usize| {
        let mut inbox = Inbox::default();
        inbox.tail().extend(u32::try_from(length).unwrap().to_be_bytes());
        inbox.peek_startup().map(|body| body.map(<[u8]>::len))
    };
    assert_eq!(peek(3), Err(WireError::Length));
    assert_eq!(peek(STARTUP_BYTES), Ok(None));
    assert_eq!(peek(STARTUP_BYTES + 1), Err(WireError::Long));
    assert_eq!(peek(4), Ok(Some(0)));
}

#[test]
fn who_has_not_signed_in_sends_short_messages() {
    let peek = |length: usize| {
        let mut inbox = Inbox::default();
        inbox.tail().extend([&[b'p'][..], &u32::try_from(length).unwrap().to_be_bytes()].concat());
        inbox.peek_within(SIGN_IN_BYTES).map(|message| message.is_some())
    };
    assert_eq!(peek(SIGN_IN_BYTES - 1), Ok(false));
    assert_eq!(peek(SIGN_IN_BYTES), Ok(false));
    assert_eq!(peek(SIGN_IN_BYTES + 1), Err(WireError::Long));
}

#[test]
fn fields_never_overrun_the_message() {
    assert_eq!(Fields(b"abc").text(), Err(WireError::Fields));
    assert_eq!(Fields(&[0, 0, 0]).long(), Err(WireError::Fields));
    assert_eq!(Fields(&[0xFF, 0xFF, 0xFF, 0xFF]).value(), Ok(None));
    assert_eq!(Fields(&[0xFF, 0xFF, 0xFF, 0xFE]).value(), Err(WireError::Fields));
    assert_eq!(Fields(&[0, 0, 0, 2, 1]).value(), Err(WireError::Fields));
    assert_eq!(Fields(&[0, 0, 0, 1, 7]).value(), Ok(Some(&[7][..])));
    assert_eq!(Fields(&[0x7F, 0xFF, 0xFF, 0xFF, 1]).value(), Err(WireError::Fields));
    assert_eq!(Fields(&[1]).end(), Err(WireError::Fields));
    assert_eq!(Fields(&[0xFF, 0xFF]).count(), Ok(65_535));
}

#[test]
fn text_ends_at_its_first_zero_byte() {
    let mut out = Vec::new();
    write_text(&mut out, b"one\0two");
    assert_eq!(out, b"one\0");
}

#[test]
fn what_is_left_can_be_taken_over() {
    let mut inbox = Inbox::default();
    inbox.tail().extend_from_slice(&message(b'S', b""));
    inbox.tail().extend_from_slice(b"rest");
    inbox.consume(5);
    assert_eq!(inbox.first_byte(), Some(b'r'));
    assert_eq!(inbox.take(), b"rest");
    assert_eq!(inbox.first_byte(), None);
}
