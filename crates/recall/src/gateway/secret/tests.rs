#![allow(clippy::unwrap_used)]
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use recall_store::seams::SystemRandom;

use super::{ITERATIONS, Keys, Shown};

/// RFC 7677 section 3: the exchange of `user` with password `pencil`.
#[test]
fn the_keys_are_those_of_the_specification() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = Keys::of(b"pencil", &salt, ITERATIONS);
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let message = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.server_key), message.as_bytes());
    assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
    let mask = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.stored_key), message.as_bytes());
    let client_key: Vec<u8> = proof.iter().zip(mask.as_ref()).map(|(a, b)| a ^ b).collect();
    assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), keys.stored_key);
}

#[test]
fn a_secret_is_32_random_bytes_in_characters_that_nothing_prepares() {
    let shown = Shown::random(&SystemRandom);
    assert_eq!((shown.as_str().len(), URL_SAFE_NO_PAD.decode(shown.as_str()).unwrap().len()), (43, 32));
    assert_ne!(shown.as_str(), Shown::random(&SystemRandom).as_str());
}

#[test]
fn keys_come_back_as_they_were_kept_and_nothing_else_does() {
    let keys = Keys::of(b"a", &[1; 16], ITERATIONS);
    let text = serde_json::to_string(&keys).unwrap();
    let back: Keys = serde_json::from_str(&text).unwrap();
    assert!(back.stored_key == keys.stored_key && back.server_key == keys.server_key && keys.stored_key != keys.server_key);
    let short = URL_SAFE_NO_PAD.encode([0; 31]);
    for bad in [
        "{}".to_owned(),
        format!("{{\"stored_key\":\"{short}\",\"server_key\":\"{short}\"}}"),
        text.replace("stored", "strd"),
        text.replacen(":\"", ":\"=", 1),
        text.replace('}', ",\"more\":1}"),
    ] {
        assert!(serde_json::from_str::<Keys>(&bad).is_err(), "{bad}");
    }
}
