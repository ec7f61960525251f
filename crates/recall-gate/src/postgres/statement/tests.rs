use super::*;

fn parameters(body: &[u8], types: &[u32]) -> Result<Vec<(String, Option<String>)>, WireError> {
    values(types, &mut Fields(body))
}

#[test]
fn values_are_read_in_the_format_that_each_has() {
    // One format for all: binary; an integer, NULL, and text whose type was not said.
    let body = [0, 1, 0, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0x41];
    let read = parameters(&body, &[23, 25]).unwrap();
    assert_eq!(read[0], ("integer".into(), Some("7".into())));
    assert_eq!(read[1], ("text".into(), None));
    assert_eq!(read[2], ("unknown".into(), Some("base64:QQ==".into())));
    // No format: text.
    assert_eq!(parameters(&[0, 0, 0, 1, 0, 0, 0, 1, 0x41], &[]).unwrap()[0].1.as_deref(), Some("A"));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for bad in [
        &[0, 0, 0, 1][..],
        &[0, 1, 0, 2, 0, 0],
        &[0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 1, 0, 0, 0, 9, 1],
        &[0, 0, 0xFF, 0xFF],
        &[],
    ] {
        assert_eq!(parameters(bad, &[]), Err(WireError::Fields), "{bad:?}");
    }
}

#[test]
fn text_that_is_no_utf8_is_withheld_and_counts_as_everything() {
    let statement = Statement::new(b"SELECT '\xFF'", Vec::new(), Strings::default());
    assert_eq!(statement.text, "statement withheld: it is not UTF-8");
    assert_eq!((statement.understood, statement.opaque, statement.read_only), (false, true, false));
}
