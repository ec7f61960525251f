use super::client::Client;
use super::server::Server;
use super::*;

const END_POINT: &[u8] = &[7; 32];

pub(super) fn iterations(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn secrets() -> Secrets {
    Secrets::of(b"pencil", [3; SALT_BYTES], iterations(2))
}

/// What both sides say at the end of an exchange whose messages pass through `between`, by number.
fn exchange(
    secrets: &Secrets,
    password: &[u8],
    end_points: [Option<&[u8]>; 2],
    between: impl Fn(usize, Vec<u8>) -> Vec<u8>,
) -> (Result<(), ScramError>, Result<(), ScramError>) {
    let [server_end_point, client_end_point] = end_points;
    let server = Server::new(secrets.clone(), server_end_point, [1; NONCE_BYTES]);
    let client = Client::new(password, server::mechanisms(server_end_point.is_some()), client_end_point, [2; NONCE_BYTES]).unwrap();
    let challenge = match server.challenge(client.mechanism(), &between(0, client.message().into())) {
        Ok(challenge) => challenge,
        Err(error) => return (Err(error), Ok(())),
    };
    let answer = match client.answer(&between(1, challenge.message().into())) {
        Ok(answer) => answer,
        Err(error) => return (Ok(()), Err(error)),
    };
    match challenge.verify(&between(2, answer.message().into())) {
        Ok(server_final) => (Ok(()), answer.verify(&between(3, server_final.into()))),
        Err(error) => (Err(error), Ok(())),
    }
}

fn untouched(_: usize, message: Vec<u8>) -> Vec<u8> {
    message
}

const PLAIN: [Option<&[u8]>; 2] = [None, None];
const BOUND: [Option<&[u8]>; 2] = [Some(END_POINT), Some(END_POINT)];

#[test]
fn keys_are_those_of_another_implementation() {
    // Computed with Python's hashlib for the salt of RFC 7677.
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let secret = Secret::of(b"pencil", &salt, iterations(4096));
    assert_eq!(STANDARD.encode(secret.stored_key), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
    assert_eq!(STANDARD.encode(secret.server_key), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

#[test]
fn the_right_password_passes_with_and_without_channel_binding() {
    assert_eq!(exchange(&secrets(), b"pencil", PLAIN, untouched), (Ok(()), Ok(())));
    assert_eq!(exchange(&secrets(), b"pencil", BOUND, untouched), (Ok(()), Ok(())));
    // A client that cannot compute the hash of the certificate does without.
    assert_eq!(exchange(&secrets(), b"pencil", [Some(END_POINT), None], untouched), (Ok(()), Ok(())));
}

#[test]
fn wrong_passwords_fail() {
    for wrong in [b"".as_slice(), b"Pencil", b"pencil ", b"penci", "pencil\u{301}".as_bytes()] {
        assert_eq!(exchange(&secrets(), wrong, PLAIN, untouched), (Err(ScramError::Password), Ok(())));
        assert_eq!(exchange(&secrets(), wrong, BOUND, untouched), (Err(ScramError::Password), Ok(())));
    }
}

#[test]
fn each_of_several_passwords_passes_and_no_other() {
    let mut several = secrets();
    for password in ["pen", "ink", "chalk", "brush", "quill"] {
        several.keys.push(Secret::of(password.as_bytes(), &several.salt, several.iterations));
    }
    for password in ["pencil", "pen", "ink", "chalk", "brush", "quill"] {
        assert_eq!(exchange(&several, password.as_bytes(), BOUND, untouched), (Ok(()), Ok(())), "{password}");
    }
    assert_eq!(exchange(&several, b"crayon", BOUND, untouched), (Err(ScramError::Password), Ok(())));
}

#[test]
fn a_user_that_does_not_exist_fails_like_one_that_mistyped() {
    let nobody = Secrets::of_nobody(&[9; 32], iterations(2));
    assert_eq!((nobody.salt.len(), nobody.iterations), (secrets().salt.len(), secrets().iterations));
    for end_points in [PLAIN, BOUND] {
        let mistyped = exchange(&secrets(), b"pen", end_points, untouched);
        assert_eq!(exchange(&nobody, b"pencil", end_points, untouched), mistyped);
        assert_eq!(mistyped, (Err(ScramError::Password), Ok(())));
    }
    // Nor do the zeros that stand in for its keys pass.
    let challenge = Server::new(nobody, None, [1; NONCE_BYTES]).challenge(SCRAM_SHA_256, b"n,,n=,r=abc").unwrap();
    let nonce = STANDARD.encode([1; NONCE_BYTES]);
    let zeros = format!("c=biws,r=abc{nonce},p={}", STANDARD.encode([0; 32]));
    assert_eq!(challenge.verify(zeros.as_bytes()), Err(ScramError::Password));
}

#[test]
fn the_salt_of_nobody_is_a_matter_of_the_name_alone() {
    let salt = |derived: [u8; 32]| Secrets::of_nobody(&derived, iterations(4096)).salt;
    assert_eq!(salt([9; 32]), salt([9; 32]));
    assert_ne!(salt([9; 32]), salt([8; 32]));
}

#[test]
fn another_certificate_on_the_way_ends_the_exchange() {
    let other: &[u8] = &[8; 32];
    assert_eq!(exchange(&secrets(), b"pencil", [Some(END_POINT), Some(other)], untouched), (Err(ScramError::Binding), Ok(())));
    let longer: &[u8] = &[7; 48];
    assert_eq!(exchange(&secrets(), b"pencil", [Some(END_POINT), Some(longer)], untouched), (Err(ScramError::Binding), Ok(())));
}

#[test]
fn an_offer_of_channel_binding_cannot_be_taken_away() {
    let client = Client::new(b"pencil", &[SCRAM_SHA_256], Some(END_POINT), [2; NONCE_BYTES]).unwrap();
    assert!(client.message().starts_with("y,,"));
    let offering = Server::new(secrets(), Some(END_POINT), [1; NONCE_BYTES]);
    assert_eq!(offering.challenge(client.mechanism(), client.message().as_bytes()).err(), Some(ScramError::Downgrade));
    // The same client passes where nothing was offered.
    assert_eq!(exchange(&secrets(), b"pencil", [None, Some(END_POINT)], untouched), (Ok(()), Ok(())));
}

#[test]
fn no_alteration_of_any_message_goes_unnoticed() {
    for end_points in [PLAIN, BOUND] {
        for number in 0..4 {
            for position in 0..200 {
                for alteration in 0..4 {
                    let between = |at: usize, mut message: Vec<u8>| {
                        if at == number && position < message.len() {
                            match alteration {
                                0 => message[position] ^= 1,
                                1 => drop(message.remove(position)),
                                2 => message.insert(position, b'0'),
                                _ => message.truncate(position),
                            }
                        } else if at == number {
                            message.push(b',');
                        }
                        message
                    };
                    let (server, client) = exchange(&secrets(), b"pencil", end_points, between);
                    assert!(server.is_err() || client.is_err(), "message {number}, byte {position}, alteration {alteration}");
                }
            }
        }
    }
}

#[test]
fn passwords_are_prepared_as_postgresql_does() {
    let bytes_of = |password: &[u8]| prepared(password).to_vec();
    // RFC 4013 section 3.
    for (password, expected) in [("I\u{ad}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{aa}", "a"), ("\u{2168}", "IX")] {
        assert_eq!(bytes_of(password.as_bytes()), expected.as_bytes(), "{password}");
    }
    assert_eq!(bytes_of("a\u{a0}b".as_bytes()), b"a b");
    // What SASLprep forbids, and what it leaves nothing of, stays.
    for password in ["\u{7}", "\u{627}1", "\u{ad}", "", "é\u{7}", "\u{e000}"] {
        assert_eq!(bytes_of(password.as_bytes()), password.as_bytes(), "{password:?}");
    }
    assert_eq!(bytes_of(b"\xff\xad"), b"\xff\xad");
}

#[test]
fn clients_that_write_a_password_otherwise_pass() {
    let composed = Secrets::of("naïve".as_bytes(), [3; SALT_BYTES], iterations(2));
    assert_eq!(exchange(&composed, "nai\u{308}ve".as_bytes(), PLAIN, untouched), (Ok(()), Ok(())));
}

#[test]
fn errors_have_postgresqls_codes() {
    let codes = [
        (ScramError::TooLong, "08P01"),
        (ScramError::Malformed("x"), "08P01"),
        (ScramError::Nonce, "08P01"),
        (ScramError::Extension, "0A000"),
        (ScramError::AuthorizationIdentity, "0A000"),
        (ScramError::Downgrade, "28000"),
        (ScramError::Binding, "28000"),
        (ScramError::Password, "28P01"),
    ];
    for (error, code) in codes {
        assert_eq!(error.sqlstate(), code, "{error}");
    }
}
