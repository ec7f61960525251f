use super::*;

#[test]
fn an_error_is_written_as_the_server_would() {
    let mut out = Vec::new();
    error(&mut out, Complaint { severity: "ERROR", code: sqlstate::DENIED, message: "no", hint: "" });
    assert_eq!(out, b"E\0\0\0\x1eSERROR\0VERROR\0C42501\0Mno\0\0");
}

#[test]
fn the_code_of_an_error_is_found_or_empty() {
    assert_eq!(code_of(b"SERROR\0C42P01\0Mx\0\0"), "42P01");
    for bad in [&b""[..], b"\0", b"C4250\0\0", b"C42 01\0\0", b"C42501", b"Mx\0\0", b"C\xFF\xFF\xFF\xFF\xFF\0\0"] {
        assert_eq!(code_of(bad), "", "{bad:?}");
    }
}
