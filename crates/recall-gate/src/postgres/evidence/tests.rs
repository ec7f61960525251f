use super::*;

fn description(columns: &[(u32, i16, u32, i16)]) -> Vec<u8> {
    let mut body = i16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (relation, attribute, type_oid, format) in columns {
        body.extend_from_slice(b"name\0");
        body.extend(relation.to_be_bytes());
        body.extend(attribute.to_be_bytes());
        body.extend(type_oid.to_be_bytes());
        body.extend_from_slice(&[0, 4, 0xFF, 0xFF, 0xFF, 0xFF]);
        body.extend(format.to_be_bytes());
    }
    body
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = i16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            None => body.extend_from_slice(&[0xFF; 4]),
            Some(value) => {
                body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body
}

fn columns() -> Columns {
    Columns { subjects: vec![(0, 23, Format::Binary), (2, 25, Format::Text)], ..Columns::default() }
}

fn taken(page: &mut Page) -> Vec<String> {
    page.take().iter().map(ToString::to_string).collect()
}

#[test]
fn subjects_are_read_in_either_format_and_counted_once() {
    let mut page = Page::default();
    let columns = columns();
    let one = row(&[Some(&[0, 0, 0, 7]), Some(b"x"), Some(b"MRN-7")]);
    assert_eq!(page.add(&columns, &one), Ok(true));
    assert_eq!(page.add(&columns, &one), Ok(true));
    assert_eq!(page.add(&columns, &row(&[None, None, Some(b"")])), Ok(false), "whose row it is cannot be told");
    assert_eq!(taken(&mut page), ["7", "MRN-7"]);
    assert!(page.take().is_empty());
}

#[test]
fn an_identifier_that_cannot_be_read_is_said_to_be_unresolved() {
    let columns = columns();
    let long = vec![b'x'; SUBJECT_BYTES + 1];
    for (first, third) in [(&[0, 0][..], &b"a"[..]), (&[0, 0, 0, 1], &[0xFF]), (&[0, 0, 0, 1], &long)] {
        assert_eq!(Page::default().add(&columns, &row(&[Some(first), None, Some(third)])), Ok(false));
    }
    let mut page = Page::default();
    assert_eq!(page.add(&columns, &row(&[Some(&[0, 0, 0, 1]), None, Some(&long[1..])])), Ok(true));
    assert_eq!(page.take()[1].len(), SUBJECT_BYTES);
}

#[test]
fn rows_that_are_not_as_described_are_refused() {
    let columns = columns();
    for bad in [row(&[Some(&[0, 0, 0, 7])]), vec![], vec![0, 3], row(&[None, None, None])[..12].to_vec()] {
        assert_eq!(Page::default().add(&columns, &bad), Err(WireError::Fields), "{bad:?}");
    }
}

#[test]
fn a_page_is_full_before_it_overflows() {
    let columns = columns();
    let mut page = Page::default();
    let mut rows = 0_u32;
    while !page.is_full(&columns) {
        page.add(&columns, &row(&[Some(&rows.to_be_bytes()), None, Some(format!("m{rows}").as_bytes())])).unwrap();
        rows += 1;
    }
    assert_eq!((rows, page.take().len()), (2_048, PAGE_SUBJECTS));
}

#[test]
fn long_identifiers_fill_a_page_sooner() {
    let columns = Columns { subjects: vec![(0, 25, Format::Text)], ..Columns::default() };
    let mut page = Page::default();
    let mut rows = 0;
    while !page.is_full(&columns) {
        page.add(&columns, &row(&[Some(format!("{rows:0512}").as_bytes())])).unwrap();
        rows += 1;
    }
    assert_eq!(page.take().iter().map(|subject| subject.len()).sum::<usize>(), SUBJECTS_BYTES);
    assert!(!page.is_full(&columns));
}

#[test]
fn a_description_is_read_whole_or_not_at_all() {
    let catalog = Catalog::default();
    let body = description(&[(0, 0, 25, 0), (9, 1, 23, 1)]);
    let read = Columns::described(&body, &catalog).unwrap();
    assert!(read.is_empty());
    assert!(read.strange, "a relation that the catalog does not know");
    for cut in 0..body.len() {
        assert_eq!(Columns::described(&body[..cut], &catalog), Err(WireError::Fields), "cut at {cut}");
    }
    assert_eq!(Columns::described(&description(&[(0, 0, 25, 2)]), &catalog), Err(WireError::Fields));
}
