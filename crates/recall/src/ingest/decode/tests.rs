#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::io::Write;

use super::{Coding, DecodeError, Decoder};

fn coded(coding: Coding, plain: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Identity => plain.to_vec(),
        Coding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        }
        Coding::Zstd => zstd::encode_all(plain, 3).unwrap(),
    }
}

fn decode(coding: Coding, limit: usize, sent: &[u8], piece: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(coding, limit)?;
    let mut out = Vec::new();
    let mut room = b"left over".to_vec();
    for piece in sent.chunks(piece) {
        out.extend_from_slice(decoder.decode(piece, &mut room)?);
    }
    decoder.finish(&mut out)?;
    Ok(out)
}

const ALL: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Zstd];

#[test]
fn what_was_coded_comes_out_whatever_the_pieces() {
    let plain: Vec<u8> = (0..200_000u32).flat_map(|n| (n % 997).to_le_bytes()).collect();
    for coding in ALL {
        let sent = coded(coding, &plain);
        for piece in [1, 7, 4096, usize::MAX] {
            assert_eq!(decode(coding, plain.len(), &sent, piece).unwrap(), plain, "{coding:?} in pieces of {piece}");
        }
    }
}

#[test]
fn several_members_and_frames_are_one_body() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let sent = [coded(coding, b"one"), coded(coding, b"two")].concat();
        assert_eq!(decode(coding, 6, &sent, 5).unwrap(), b"onetwo", "{coding:?}");
    }
}

#[test]
fn the_limit_holds_below_at_and_above() {
    let plain = vec![b'x'; 1_000_000];
    for coding in ALL {
        let sent = coded(coding, &plain);
        assert!(decode(coding, 1_000_001, &sent, 1000).is_ok(), "{coding:?}");
        assert!(decode(coding, 1_000_000, &sent, 1000).is_ok(), "{coding:?}");
        assert_eq!(decode(coding, 999_999, &sent, 1000), Err(DecodeError::TooLarge), "{coding:?}");
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = vec![0; 100 << 20];
    for coding in [Coding::Gzip, Coding::Zstd] {
        let sent = coded(coding, &bomb);
        assert!(sent.len() < 200_000, "{coding:?}: {} bytes are no bomb", sent.len());
        let mut out = Vec::new();
        let mut decoder = Decoder::new(coding, 1 << 20).unwrap();
        assert_eq!(decoder.decode(&sent, &mut out), Err(DecodeError::TooLarge), "{coding:?}");
        assert!(out.len() <= 1 << 20, "{coding:?}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let sent = coded(coding, b"some events, some of them quite alike, some events");
        for length in 1..sent.len() {
            let answer = decode(coding, 1000, &sent[..length], 1000);
            assert!(matches!(answer, Err(DecodeError::Truncated | DecodeError::Corrupt)), "{coding:?} cut to {length}: {answer:?}");
        }
    }
}

#[test]
fn what_is_not_coded_is_refused() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        assert_eq!(decode(coding, 1000, b"{\"action\":\"x\"}", 1000), Err(DecodeError::Corrupt), "{coding:?}");
    }
}

#[test]
fn a_changed_byte_is_noticed_by_the_gzip_checksum() {
    let sent = coded(Coding::Gzip, b"some events, some of them quite alike, some events");
    let last = sent.len() - 6;
    let mut changed = sent.clone();
    changed[last] ^= 1;
    assert!(decode(Coding::Gzip, 1000, &changed, 1000).is_err());
}

#[test]
fn a_window_beyond_what_http_allows_is_refused() {
    let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    writer.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27)).unwrap();
    writer.write_all(&vec![b'x'; 9 << 20]).unwrap();
    let sent = writer.finish().unwrap();
    assert_eq!(decode(Coding::Zstd, 64 << 20, &sent, 4096), Err(DecodeError::Corrupt));
}

#[test]
fn headers_are_read() {
    assert_eq!(Coding::parse("GZIP"), Some(Coding::Gzip));
    assert_eq!(Coding::parse(" zstd "), Some(Coding::Zstd));
    assert_eq!(Coding::parse("identity"), Some(Coding::Identity));
    for unknown in ["br", "deflate", "gzip, gzip", "gzip;q=1"] {
        assert_eq!(Coding::parse(unknown), None, "{unknown}");
    }
}
