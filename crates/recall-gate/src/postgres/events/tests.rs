use super::*;

#[test]
fn text_is_cut_between_characters_and_nothing_is_lost() {
    for text in ["", "a", "ab\"\\\u{1}\u{1F600}é", &"é\"\n".repeat(200)] {
        for most in [6, 7, 64] {
            let pieces = split_text(text, most);
            assert_eq!(pieces.concat(), text);
            for piece in pieces {
                assert!(!piece.is_empty());
                // Two more for the quotes around it.
                assert!(serde_json_len(piece) <= most, "{piece:?} in {most}");
            }
        }
    }
}

/// What JSON writes for the text without its quotes.
fn serde_json_len(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => 2,
            control if (control as u32) < 0x20 => 6,
            other => other.len_utf8(),
        })
        .sum()
}

#[test]
fn long_parameters_go_on_in_further_records() {
    let long = "x".repeat(PARAMETERS_BYTES + 10);
    let parameters = vec![("text".to_owned(), Some(long.clone())), ("integer".to_owned(), None), ("text".to_owned(), Some(String::new()))];
    let records = split_parameters(&parameters);
    assert_eq!(records.len(), 2);
    let text = |value: &Value<'_>| match value {
        Value::Object(object) => match (object.get("position"), object.get("value")) {
            (Some(Value::Number(position)), Some(Value::Text(text))) => (position.get(), Some(text.to_string())),
            (Some(Value::Number(position)), None) => (position.get(), None),
            _ => panic!("a parameter of another shape"),
        },
        _ => panic!("a parameter that is no object"),
    };
    let all: Vec<_> = records.iter().flatten().map(text).collect();
    let first: String = all.iter().filter(|(position, _)| *position == 1.0).map(|(_, text)| text.clone().unwrap()).collect();
    assert!(first == long);
    assert_eq!(all[all.len() - 2..], [(2.0, None), (3.0, Some(String::new()))]);
}

#[test]
fn every_event_is_one_that_the_trail_takes() {
    let about = About {
        gateway: "hospital".into(),
        person: "nurse".into(),
        role: "clinician".into(),
        auth_method: "scram-sha-256",
        upstream_role: "app".into(),
        database: "hospital".into(),
        session_id: "s".into(),
        address: "127.0.0.1".into(),
        application: "psql".into(),
    };
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let long = "SELECT '\u{1}'".repeat(200_000);
    let parameters = vec![("text".to_owned(), Some("\u{1}".repeat(1 << 20)))];
    let tables: Vec<String> = (0..1_000).map(|at| format!("t{at}")).collect();
    let asked = Asked {
        request_id: "r",
        text: &long,
        redactions: &["password"],
        parameters: &parameters,
        tables: &tables,
        command: "SELECT",
        op: Op::Read,
        fingerprint: "0",
        understood: true,
        transaction: b'I',
    };
    let requests = about.request(now, &asked);
    assert!(requests.len() > 3);
    let joined: String = requests.iter().filter_map(|event| event.request.statement.as_deref()).collect();
    assert!(joined == long, "nothing is truncated");
    let subjects: Vec<Arc<str>> = (0..PAGE_SUBJECTS).map(|at| Arc::from("\u{1}".repeat(20) + &format!("{at:05}"))).collect();
    let ended = Ended {
        request_id: "r",
        status: Status::Failure,
        code: "42501",
        reason: "why",
        command: "SELECT 1",
        rows: 1,
        bytes: 2,
        duration_us: 3,
        subjects: 4,
        unresolved: None,
        categories: "ssn".into(),
    };
    let mut all = vec![about.login(now), about.refused(now, "28P01", "no"), about.logout(now, ""), about.result(now, &ended)];
    all.push(about.subjects(now, "r", 1, &subjects));
    all.extend(requests);
    for event in &all {
        assert!(event.validate().is_ok(), "{}", event.action);
    }
}
