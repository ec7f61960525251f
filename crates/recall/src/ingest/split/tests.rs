#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::{Slice, SplitError, Splitter, Unit};
use crate::ingest::limits;

type Items = Vec<(usize, String)>;

fn split(lines: bool, body: &[u8], piece: usize) -> Result<(Unit, Items, Vec<Slice>), SplitError> {
    let mut splitter = Splitter::new(lines);
    let mut slices = Vec::new();
    for piece in body.chunks(piece) {
        splitter.feed(piece, &mut slices)?;
    }
    let unit = splitter.finish(&mut slices)?;
    let mut items = Vec::new();
    for slice in &slices {
        assert_eq!(slice.before, items.len());
        for item in &slice.items {
            items.push((item.number, String::from_utf8_lossy(&slice.bytes[item.span.clone()]).trim().to_owned()));
        }
    }
    Ok((unit, items, slices))
}

fn check(lines: bool, body: &str, unit: Unit, expected: &[(usize, &str)]) {
    for piece in [1, 2, 3, 1000] {
        let (found_unit, items, _) = split(lines, body.as_bytes(), piece).unwrap();
        let expected: Items = expected.iter().map(|(number, text)| (*number, (*text).to_owned())).collect();
        assert_eq!((found_unit, items), (unit, expected), "{body} in pieces of {piece}");
    }
}

#[test]
fn lines_are_items_and_blank_ones_only_count() {
    check(true, "{\"a\":1}\n\n{bad\r\n{\"b\":2}", Unit::Line, &[(1, "{\"a\":1}"), (3, "{bad"), (4, "{\"b\":2}")]);
    check(true, "[1]\nx\n", Unit::Line, &[(1, "[1]"), (2, "x")]);
}

#[test]
fn unannounced_ndjson_is_known_by_its_first_line() {
    check(false, "{\"a\":\"}\\\"\"}\n{oops\n{\"b\":2}\n", Unit::Line, &[(1, "{\"a\":\"}\\\"\"}"), (2, "{oops"), (3, "{\"b\":2}")]);
    check(false, "\n {\"a\":1}\n{}\n", Unit::Line, &[(2, "{\"a\":1}"), (3, "{}")]);
}

#[test]
fn an_object_may_span_lines() {
    check(false, "{\n \"a\": 1\n}\n", Unit::Item, &[(1, "{\n \"a\": 1\n}")]);
    check(false, "{\"a\":1}", Unit::Item, &[(1, "{\"a\":1}")]);
    check(false, "{\"a\":", Unit::Item, &[(1, "{\"a\":")]);
}

#[test]
fn array_elements_are_items() {
    check(false, " [ ] ", Unit::Item, &[]);
    check(false, "[{\"a\":[1,2]}, {\"b\":\",]\"} ,3]", Unit::Item, &[(1, "{\"a\":[1,2]}"), (2, "{\"b\":\",]\"}"), (3, "3")]);
    check(false, "[{\"a\":1},{bad},{\"c\":3}]\n", Unit::Item, &[(1, "{\"a\":1}"), (2, "{bad}"), (3, "{\"c\":3}")]);
    check(false, "[1,]", Unit::Item, &[(1, "1"), (2, "")]);
    check(false, "[,1]", Unit::Item, &[(1, ""), (2, "1")]);
}

#[test]
fn bodies_that_cannot_be_split_are_refused_whole() {
    for (lines, body, error) in [
        (false, "", SplitError::Empty),
        (false, " \n", SplitError::Empty),
        (true, "\n\n", SplitError::Empty),
        (true, "", SplitError::Empty),
        (false, "hello", SplitError::NotJson),
        (false, "\"a\"", SplitError::NotJson),
        (false, "[", SplitError::Open),
        (false, "[{\"a\":1},{\"b\":", SplitError::Open),
        (false, "[\"a]", SplitError::Open),
        (false, "[1}", SplitError::Open),
        (false, "[1] 2", SplitError::AfterArray),
        (false, "[1][2]", SplitError::AfterArray),
    ] {
        for piece in [1, 1000] {
            assert_eq!(split(lines, body.as_bytes(), piece).map(|_| ()), Err(error), "{body}");
        }
    }
}

#[test]
fn the_number_of_events_is_limited() {
    let body = |count: usize| "{}\n".repeat(count);
    for count in [limits::EVENTS - 1, limits::EVENTS] {
        assert_eq!(split(true, body(count).as_bytes(), 1 << 16).unwrap().1.len(), count);
    }
    assert_eq!(split(true, body(limits::EVENTS + 1).as_bytes(), 1 << 16).map(|_| ()), Err(SplitError::TooMany));
}

#[test]
fn slices_close_at_their_limits() {
    let (_, items, slices) = split(true, "{}\n".repeat(2 * limits::SLICE_EVENTS + 1).as_bytes(), 100).unwrap();
    assert_eq!(slices.iter().map(|slice| slice.items.len()).collect::<Vec<_>>(), [limits::SLICE_EVENTS, limits::SLICE_EVENTS, 1]);
    assert_eq!(items.last().unwrap().0, 2 * limits::SLICE_EVENTS + 1);
    let long = format!("{}\n", "x".repeat(limits::SLICE_BYTES / 2));
    let (_, _, slices) = split(true, long.repeat(3).as_bytes(), 1 << 16).unwrap();
    assert_eq!(slices.iter().map(|slice| slice.items.len()).collect::<Vec<_>>(), [2, 1]);
}
