use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1 -subj /CN=db -outform DER`.
const ECDSA_SHA1: &str = "\
    MIIBbzCCARagAwIBAgIUOhc8cbhwN4WT/lzj51FwwYflMUcwCQYHKoZIzj0EATANMQswCQYDVQQDDAJkYjAgFw0yNjExMjUwODMwMzFaGA8yMTI2MTEwMTA4MzAzMVowDTELMAkG\
    A1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATQ01SO/8PZM3CEI6KuWEl/k4mAveDx8SWemjGBQsBmyIBx9tI3KCGoi9YTGWAkteci55sw90/V8cuKtvuzLUMro1Mw\
    UTAdBgNVHQ4EFgQU77vYwzKy/7+XC2a3EYYjzfHi7swwHwYDVR0jBBgwFoAU77vYwzKy/7+XC2a3EYYjzfHi7swwDwYDVR0TAQH/BAUwAwEB/zAJBgcqhkjOPQQBA0gAMEUCIATk\
    k2Q2bKKHjtZciH+/TVBZZtFknqCCnSMBzQo5oXi5AiEAhGuavwBRed4c93TzWD3jQ9YzQewavvujb2eDyu9SpdE=";
/// The same with `-sha512`.
const ECDSA_SHA512: &str = "\
    MIIBcDCCARegAwIBAgIUB1pjuh94vJ5Fpbqlu33P+toASpwwCgYIKoZIzj0EAwQwDTELMAkGA1UEAwwCZGIwIBcNMjYxMTI1MDgzMDMyWhgPMjEyNjExMDEwODMwMzJaMA0xCzAJ\
    BgNVBAMMAmRiMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEikYjZ2Xr3UKx7nSRVRxK9n4c/tCsPwDj6/oDBYNcbShCGIYz9Z6TNn+9xmp6kRpy3HOeg0RnNk1vhPyjMng7HaNT\
    MFEwHQYDVR0OBBYEFMaA1Z+SPH7jv79J4Mt8h9UslnheMB8GA1UdIwQYMBaAFMaA1Z+SPH7jv79J4Mt8h9UslnheMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwQDRwAwRAIg\
    DsPhvPS8K85b7pyVGMf3cZv7yMRPm38cOeIm0y0ddOoCIDqADrBxEYuPF1ftATLTqN1SyG+xeaRgovU31AuV0Bt2";
/// The same with `-newkey ed25519`.
const ED25519: &str = "\
    MIIBMDCB46ADAgECAhQEogSaPScqwkLUQeYRMuPtC6B3gjAFBgMrZXAwDTELMAkGA1UEAwwCZGIwIBcNMjYxMTI1MDgzMDMyWhgPMjEyNjExMDEwODMwMzJaMA0xCzAJBgNVBAMM\
    AmRiMCowBQYDK2VwAyEASOcZnNhNfTICmXaXIjcE4sgufCRrCK7FjZwhl5N3mkCjUzBRMB0GA1UdDgQWBBQcC6oEfEou1LdOXjuv/OpoGyjZGTAfBgNVHSMEGDAWgBQcC6oEfEou\
    1LdOXjuv/OpoGyjZGTAPBgNVHRMBAf8EBTADAQH/MAUGAytlcANBALwf7HEKN17nEdKB4LfzXSBhAmFO3cVKBEwvlPKe1Zzr1b2w6wUKWIMiEH5bZHz6klNn31eZDZhAxOCk/o3F\
    HQ4=";

fn der(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

#[test]
fn hashes_are_those_of_openssl_dgst() {
    let hex = |base64: &str| hash(&der(base64)).unwrap().as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(ECDSA_SHA1), "ac458e5268a77ff05d58172b209fcb13bc1aa5a6cb4f11ef30e05b7e652f4aae");
    assert_eq!(
        hex(ECDSA_SHA512),
        "95b84dd1ad17d4ce376b0707880517fc1360388f7e45f2802e8ed15928e830b585e364b12c8e09d741ead3ac0aecfa0167cce738fc95a9c9434cbf52df9ff1d2"
    );
    assert_eq!(hash(&der(ED25519)).err(), Some(EndPointError::NoHash));
}

#[test]
fn what_is_not_a_whole_certificate_has_no_hash() {
    let whole = der(ECDSA_SHA1);
    for bytes in 0..whole.len() {
        assert_eq!(hash(&whole[..bytes]).err(), Some(EndPointError::NotX509), "{bytes}");
    }
    assert_eq!(hash(&[&whole[..], b"x"].concat()).err(), Some(EndPointError::NotX509));
    assert_eq!(hash(b"-----BEGIN CERTIFICATE-----").err(), Some(EndPointError::NotX509));
}

#[test]
fn each_signature_algorithm_has_its_hash() {
    let cases = [
        ("1.2.840.113549.1.1.4", Some(&digest::SHA256)),
        ("1.2.840.113549.1.1.5", Some(&digest::SHA256)),
        ("1.2.840.113549.1.1.14", Some(&digest::SHA224)),
        ("1.2.840.113549.1.1.11", Some(&digest::SHA256)),
        ("1.2.840.113549.1.1.12", Some(&digest::SHA384)),
        ("1.2.840.113549.1.1.13", Some(&digest::SHA512)),
        ("1.2.840.10045.4.1", Some(&digest::SHA256)),
        ("1.2.840.10045.4.3.1", Some(&digest::SHA224)),
        ("1.2.840.10045.4.3.2", Some(&digest::SHA256)),
        ("1.2.840.10045.4.3.3", Some(&digest::SHA384)),
        ("1.2.840.10045.4.3.4", Some(&digest::SHA512)),
        // RSASSA-PSS, Ed25519, Ed448, ML-DSA-65, and RSA keys, which are no signatures.
        ("1.2.840.113549.1.1.10", None),
        ("1.3.101.112", None),
        ("1.3.101.113", None),
        ("2.16.840.1.101.3.4.3.18", None),
        ("1.2.840.113549.1.1.1", None),
    ];
    for (identifier, expected) in cases {
        assert_eq!(algorithm(ObjectIdentifier::new(identifier).unwrap()), expected, "{identifier}");
    }
}
