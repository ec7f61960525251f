use super::super::MESSAGE_BYTES;
use super::*;

const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

/// The client of RFC 7677 section 3.
fn client() -> Client {
    Client {
        nonce: "rOprNGfwEbeRWgbNEkqO".into(),
        first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".into(),
        ..Client::new(b"pencil", &[SCRAM_SHA_256], None, [0; NONCE_BYTES]).unwrap()
    }
}

fn refusal(server_first: &str) -> Option<ScramError> {
    client().answer(server_first.as_bytes()).err()
}

fn answer() -> Answer {
    client().answer(SERVER_FIRST.as_bytes()).unwrap()
}

#[test]
fn the_exchange_of_rfc_7677_is_byte_for_byte() {
    assert_eq!(client().message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let answer = answer();
    assert_eq!(
        answer.message(),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert_eq!(answer.verify(SERVER_FINAL), Ok(()));
}

#[test]
fn the_best_mechanism_is_chosen() {
    let both = [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
    let hash: Option<&[u8]> = Some(&[7; 32]);
    let cases = [
        (both.as_slice(), hash, Ok((SCRAM_SHA_256_PLUS, "p=tls-server-end-point,,"))),
        (&[SCRAM_SHA_256_PLUS], hash, Ok((SCRAM_SHA_256_PLUS, "p=tls-server-end-point,,"))),
        (&[SCRAM_SHA_256], hash, Ok((SCRAM_SHA_256, "y,,"))),
        (&both, None, Ok((SCRAM_SHA_256, "n,,"))),
        (&[SCRAM_SHA_256], None, Ok((SCRAM_SHA_256, "n,,"))),
        (&[SCRAM_SHA_256_PLUS], None, Err(ScramError::Mechanism)),
        (&["SCRAM-SHA-1"], hash, Err(ScramError::Mechanism)),
        (&[], hash, Err(ScramError::Mechanism)),
    ];
    for (offered, end_point, expected) in cases {
        let client = Client::new(b"pencil", offered, end_point, [2; NONCE_BYTES]);
        let expected = expected.map(|(mechanism, header)| (mechanism, format!("{header}n=,r=AgICAgICAgICAgICAgICAgIC")));
        assert_eq!(client.map(|client| (client.mechanism(), client.message())), expected, "{offered:?}");
    }
}

#[test]
fn first_messages_that_break_the_grammar_are_refused() {
    let nonce = "r=rOprNGfwEbeRWgbNEkqOx";
    let cases = [
        String::new(),
        "e=other-error".into(),
        nonce.into(),
        format!("{nonce},s=c2FsdA=="),
        format!("{nonce},i=4096,s=c2FsdA=="),
        format!("s=c2FsdA==,{nonce},i=4096"),
        format!("{nonce},s=,i=4096"),
        format!("{nonce},s=c2FsdA,i=4096"),
        format!("{nonce},s=!,i=4096"),
        format!("{nonce},s=c2FsdA==,i="),
        format!("{nonce},s=c2FsdA==,i=many"),
        format!("{nonce},s=c2FsdA==,i=-1"),
        format!("{nonce},s=c2FsdA==,i=+1"),
        format!("{nonce},s=c2FsdA==,i=4096,"),
        format!("{nonce},s=c2FsdA==,i=4096,x=1"),
        format!("{nonce},s=c2FsdA==,i=4096\0"),
        format!("{nonce} ,s=c2FsdA==,i=4096"),
    ];
    for message in cases {
        let refusal = refusal(&message);
        assert!(matches!(refusal, Some(ScramError::Malformed(_))), "{message:?}: {refusal:?}");
    }
    assert_eq!(refusal(&format!("m=x,{nonce},s=c2FsdA==,i=4096")), Some(ScramError::Extension));
    assert_eq!(refusal(&"x".repeat(MESSAGE_BYTES + 1)), Some(ScramError::TooLong));
}

#[test]
fn the_server_must_add_to_the_nonce() {
    for nonce in ["rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkq", "xrOprNGfwEbeRWgbNEkqO", "ROprNGfwEbeRWgbNEkqOx", "other"] {
        assert_eq!(refusal(&format!("r={nonce},s=c2FsdA==,i=4096")), Some(ScramError::Nonce), "{nonce}");
    }
}

#[test]
fn iterations_are_limited() {
    for (count, expected) in [
        ("0", Some(ScramError::Iterations)),
        ("1", None),
        ("999999", None),
        ("1000000", None),
        ("1000001", Some(ScramError::Iterations)),
        ("99999999999999999999", Some(ScramError::Iterations)),
    ] {
        assert_eq!(iterations(count.as_bytes()).err(), expected, "{count}");
    }
    assert_eq!(refusal("r=rOprNGfwEbeRWgbNEkqOx,s=c2FsdA==,i=1000001"), Some(ScramError::Iterations));
}

#[test]
fn a_server_that_does_not_know_the_password_is_refused() {
    let zeros = format!("v={}", STANDARD.encode([0; 32]));
    let own_proof = answer().message().replace("p=", "v=");
    let own_proof = own_proof.rsplit(',').next().unwrap();
    for message in [zeros.as_str(), own_proof] {
        assert_eq!(answer().verify(message.as_bytes()), Err(ScramError::ServerSignature), "{message}");
    }
}

#[test]
fn final_messages_that_break_the_grammar_are_refused() {
    let whole = String::from_utf8_lossy(SERVER_FINAL);
    for message in ["", "v", "v=", "v=!", "v=AAAA", "x=AAAA", &whole[..whole.len() - 1], &format!("{whole},x=1"), &format!("{whole},")] {
        let result = answer().verify(message.as_bytes());
        assert!(matches!(result, Err(ScramError::Malformed(_))), "{message:?}: {result:?}");
    }
    assert_eq!(answer().verify(b"e=invalid-proof"), Err(ScramError::Refused));
    assert_eq!(answer().verify(&[b'v'; MESSAGE_BYTES + 1]), Err(ScramError::TooLong));
}
