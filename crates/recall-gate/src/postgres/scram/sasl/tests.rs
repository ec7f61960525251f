use super::*;

#[test]
fn lists_of_mechanisms_are_written_and_read() {
    let body = write_mechanisms(&["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    assert_eq!(body, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    assert_eq!(read_mechanisms(&body), Ok(vec!["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]));
    assert_eq!(read_mechanisms(b"\xff\0SCRAM-SHA-256\0\0"), Ok(vec!["SCRAM-SHA-256"]));
}

#[test]
fn lists_that_do_not_end_are_refused() {
    for body in [b"".as_slice(), b"\0", b"SCRAM-SHA-256", b"SCRAM-SHA-256\0", b"SCRAM-SHA-256\0\0x"] {
        assert!(matches!(read_mechanisms(body), Err(ScramError::Malformed(_))), "{}", body.escape_ascii());
    }
    let list = |bytes: usize| [vec![b'x'; bytes - 2], vec![0, 0]].concat();
    assert!(read_mechanisms(&list(MESSAGE_BYTES)).is_ok());
    assert_eq!(read_mechanisms(&list(MESSAGE_BYTES + 1)), Err(ScramError::TooLong));
}

#[test]
fn initial_responses_are_written_and_read() {
    let body = write_initial_response("SCRAM-SHA-256", "n,,n=,r=abc");
    assert_eq!(body, b"SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc");
    assert_eq!(read_initial_response(&body), Ok(("SCRAM-SHA-256", b"n,,n=,r=abc".as_slice())));
}

#[test]
fn initial_responses_that_lie_are_refused() {
    let cases: [&[u8]; 8] = [
        b"",
        b"SCRAM-SHA-256",
        b"SCRAM-SHA-256\0",
        b"SCRAM-SHA-256\0\0\0\0",
        b"SCRAM-SHA-256\0\0\0\0\x02x",
        b"SCRAM-SHA-256\0\0\0\0\x02xyz",
        // A client that sends no first message.
        b"SCRAM-SHA-256\0\xff\xff\xff\xff",
        b"SCRAM-SHA-256\0\0\0\0\x01\0",
    ];
    for body in cases {
        let result = read_initial_response(body);
        assert!(matches!(result, Err(ScramError::Malformed(_))), "{}: {result:?}", body.escape_ascii());
    }
    assert_eq!(read_initial_response(b"\xff\0\0\0\0\0"), Err(ScramError::Mechanism));
    let body = |bytes: usize| write_initial_response("SCRAM-SHA-256", &"x".repeat(bytes));
    assert!(read_initial_response(&body(MESSAGE_BYTES)).is_ok());
    assert_eq!(read_initial_response(&body(MESSAGE_BYTES + 1)), Err(ScramError::TooLong));
}
