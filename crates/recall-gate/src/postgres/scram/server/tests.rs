use std::num::NonZeroU32;

use super::super::{MESSAGE_BYTES, SALT_BYTES};
use super::*;

const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

/// The server of RFC 7677 section 3.
fn server(end_point: Option<&[u8]>) -> Server {
    let salt: [u8; SALT_BYTES] = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
    let secrets = Secrets::of(b"pencil", salt, NonZeroU32::new(4096).unwrap());
    Server { nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".into(), ..Server::new(secrets, end_point, [0; NONCE_BYTES]) }
}

fn challenge() -> Challenge {
    server(None).challenge(SCRAM_SHA_256, CLIENT_FIRST).unwrap()
}

fn refusal(end_point: Option<&[u8]>, mechanism: &str, client_first: &[u8]) -> Option<ScramError> {
    server(end_point).challenge(mechanism, client_first).err()
}

#[test]
fn the_exchange_of_rfc_7677_is_byte_for_byte() {
    let challenge = challenge();
    assert_eq!(challenge.message(), format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    let server_final = challenge.verify(format!("c=biws,r={NONCE},p={PROOF}").as_bytes());
    assert_eq!(server_final.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
}

#[test]
fn mechanisms_are_offered_best_first() {
    assert_eq!(mechanisms(true), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    assert_eq!(mechanisms(false), ["SCRAM-SHA-256"]);
}

#[test]
fn mechanisms_that_were_not_offered_are_refused() {
    for mechanism in ["", "SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "PLAIN"] {
        assert_eq!(refusal(None, mechanism, CLIENT_FIRST), Some(ScramError::Mechanism), "{mechanism}");
    }
    assert_eq!(refusal(Some(&[7; 32]), "SCRAM-SHA-1-PLUS", CLIENT_FIRST), Some(ScramError::Mechanism));
}

#[test]
fn the_binding_flag_must_fit_mechanism_and_channel() {
    let hash: Option<&[u8]> = Some(&[7; 32]);
    let cases = [
        (None, SCRAM_SHA_256, "n,,", None),
        (None, SCRAM_SHA_256, "y,,", None),
        (None, SCRAM_SHA_256, "p=tls-server-end-point,,", Some(ScramError::BindingFlag)),
        (hash, SCRAM_SHA_256, "n,,", None),
        (hash, SCRAM_SHA_256, "y,,", Some(ScramError::Downgrade)),
        (hash, SCRAM_SHA_256, "p=tls-server-end-point,,", Some(ScramError::BindingFlag)),
        (hash, SCRAM_SHA_256_PLUS, "n,,", Some(ScramError::BindingFlag)),
        (hash, SCRAM_SHA_256_PLUS, "y,,", Some(ScramError::BindingFlag)),
        (hash, SCRAM_SHA_256_PLUS, "p=tls-server-end-point,,", None),
        (hash, SCRAM_SHA_256_PLUS, "p=tls-unique,,", Some(ScramError::BindingType)),
        (hash, SCRAM_SHA_256_PLUS, "p=,,", Some(ScramError::BindingType)),
        (None, SCRAM_SHA_256, "p=tls-exporter,,", Some(ScramError::BindingType)),
    ];
    for (end_point, mechanism, header, expected) in cases {
        assert_eq!(refusal(end_point, mechanism, format!("{header}n=,r=abc").as_bytes()), expected, "{mechanism} {header}");
    }
}

#[test]
fn first_messages_that_break_the_grammar_are_refused() {
    let cases: [&[u8]; 21] = [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,",
        b"n,,r=abc,n=user",
        b"n,,r=abc",
        b"n,,n,r=abc",
        b"n,,n=user,r=",
        b"n,,n=user,r",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=a\x7fb",
        "n,,n=user,r=é".as_bytes(),
        b"n,,n=user,r=abc,",
        b"n,,n=user,r=abc,x",
        b"n,,n=user,r=abc,1=2",
        b"n,,n=us\0er,r=abc",
        b"x,,n=user,r=abc",
        b",,n=user,r=abc",
        b"n,b=user,n=user,r=abc",
    ];
    for message in cases {
        let refusal = refusal(None, SCRAM_SHA_256, message);
        assert!(matches!(refusal, Some(ScramError::Malformed(_))), "{}: {refusal:?}", message.escape_ascii());
    }
}

#[test]
fn what_nobody_implements_is_refused_by_name() {
    for message in [b"n,,m=x,n=user,r=abc".as_slice(), b"n,,n=user,m=x,r=abc", b"n,,n=user,r=abc,m=x"] {
        assert_eq!(refusal(None, SCRAM_SHA_256, message), Some(ScramError::Extension));
    }
    assert_eq!(refusal(None, SCRAM_SHA_256, b"n,a=other,n=user,r=abc"), Some(ScramError::AuthorizationIdentity));
    let required = format!("c=biws,r={NONCE},m=x,p={PROOF}");
    assert_eq!(challenge().verify(required.as_bytes()), Err(ScramError::Extension));
}

#[test]
fn the_name_in_the_message_is_ignored_and_may_be_in_any_encoding() {
    for message in [b"n,,n=,r=abc".as_slice(), b"n,,n=*,r=abc", b"n,,n=\xe9\xff,r=abc", b"n,,n=a=2Cb,r=abc,x=optional"] {
        assert_eq!(refusal(None, SCRAM_SHA_256, message), None, "{}", message.escape_ascii());
    }
}

#[test]
fn messages_are_read_up_to_the_limit() {
    let first = |bytes: usize| [b"n,,n=,r=".as_slice(), &vec![b'x'; bytes - 8]].concat();
    assert_eq!(refusal(None, SCRAM_SHA_256, &first(MESSAGE_BYTES - 1)), None);
    assert_eq!(refusal(None, SCRAM_SHA_256, &first(MESSAGE_BYTES)), None);
    assert_eq!(refusal(None, SCRAM_SHA_256, &first(MESSAGE_BYTES + 1)), Some(ScramError::TooLong));
    assert_eq!(challenge().verify(&vec![b'x'; MESSAGE_BYTES + 1]), Err(ScramError::TooLong));
}

#[test]
fn final_messages_that_break_the_grammar_are_refused() {
    let short = STANDARD.encode([1; 31]);
    let long = STANDARD.encode([1; 33]);
    let cases = [
        String::new(),
        "c=biws".into(),
        format!("c=biws,r={NONCE}"),
        format!("c=biws,r={NONCE},"),
        format!("c=biws,r={NONCE},p="),
        format!("c=biws,r={NONCE},p={short}"),
        format!("c=biws,r={NONCE},p={long}"),
        format!("c=biws,r={NONCE},p={}", PROOF.trim_end_matches('=')),
        // The last digit carries bits that no byte has.
        format!("c=biws,r={NONCE},p={}", PROOF.replace("VQ=", "VR=")),
        format!("c=biws,r={NONCE},p={PROOF},"),
        format!("c=biws,r={NONCE},p={PROOF},x=1"),
        format!("c=biws,r={NONCE},p={PROOF}\0"),
        format!("r={NONCE},c=biws,p={PROOF}"),
        format!("c=,r={NONCE},p={PROOF}"),
        format!("c=biws,p={PROOF},r={NONCE}"),
        format!("n=,c=biws,r={NONCE},p={PROOF}"),
    ];
    for message in cases {
        let result = challenge().verify(message.as_bytes());
        assert!(matches!(result, Err(ScramError::Malformed(_))), "{message:?}: {result:?}");
    }
}

#[test]
fn the_nonce_must_be_the_one_that_was_sent() {
    for nonce in ["rOprNGfwEbeRWgbNEkqO", &NONCE[1..], &format!("{NONCE}x"), &NONCE.replace('k', "K")] {
        let message = format!("c=biws,r={nonce},p={PROOF}");
        assert_eq!(challenge().verify(message.as_bytes()), Err(ScramError::Nonce), "{nonce}");
    }
}

#[test]
fn the_header_must_be_the_one_that_was_sent() {
    // y,, and p=tls-server-end-point,, and the same header written otherwise.
    for binding in ["eSws", "cD10bHMtc2VydmVyLWVuZC1wb2ludCws", "biw", "biws====", "Biws"] {
        let message = format!("c={binding},r={NONCE},p={PROOF}");
        assert_eq!(challenge().verify(message.as_bytes()), Err(ScramError::Binding), "{binding}");
    }
}

#[test]
fn optional_extensions_are_signed_too() {
    let message = format!("c=biws,r={NONCE},x=1,p={PROOF}");
    assert_eq!(challenge().verify(message.as_bytes()), Err(ScramError::Password));
}

#[test]
fn a_proof_is_good_for_one_nonce() {
    let other = Server { nonce: "other".into(), ..server(None) }.challenge(SCRAM_SHA_256, CLIENT_FIRST).unwrap();
    let replayed = format!("c=biws,r=rOprNGfwEbeRWgbNEkqOother,p={PROOF}");
    assert_eq!(other.verify(replayed.as_bytes()), Err(ScramError::Password));
}
