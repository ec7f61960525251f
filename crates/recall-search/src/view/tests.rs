#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;

use crate::engine::{Limits, SearchError, SearchRequest};
use crate::testing::{Clinic, engine, event, indexes, request};

/// Two clinics that differ in nothing but PHI.
fn twins() -> [Clinic; 2] {
    let events: Vec<Value> = (0..300).map(event).collect();
    let mut other = events.clone();
    for event in &mut other {
        event["description"] = "UNLIKE".into();
        event["metadata"] = serde_json::json!({"Bed.No": "UNLIKE"});
        event["request"]["statement"] = "UNLIKE".into();
        event["context"]["request_id"] = "UNLIKE".into();
        for target in event["targets"].as_array_mut().unwrap() {
            target["patient_id"] = "UNLIKE".into();
        }
        if event["actor"]["type"] == "patient" {
            event["actor"] = serde_json::json!({"type": "patient", "id": "UNLIKE", "name": "UNLIKE", "session_id": "UNLIKE"});
            event["context"]["ip"] = "10.9.9.9".into();
        }
    }
    [events, other].map(|events| {
        let clinic = Clinic::new();
        events.chunks(60).for_each(|events| drop(clinic.store(events)));
        clinic
    })
}

/// Whatever is asked in SQL, the answer, the error and the rows read are the same where only PHI differs.
#[tokio::test]
async fn no_statement_tells_one_secret_from_another() {
    let twins = twins();
    let engine = engine(Limits::default());
    let secrets = ["P10", "UNLIKE", "Zürich", "s7", "10.0.0.1", "r17", "SELECT", "Own Portal"];
    let shapes = [
        "SELECT count(*) FROM events WHERE has_patient(patients, 'X')",
        "SELECT index FROM events WHERE has_patient(patients, 'X') OR op = 'R' ORDER BY index LIMIT 9",
        "SELECT count(*) FROM events WHERE NOT has_patient(patients, 'X')",
        "SELECT count(*) FROM events WHERE has_patient(patients, 'X') IS NULL",
        "SELECT count(*) FROM events WHERE mentions(event, 'X')",
        "SELECT count(*) FROM events WHERE NOT mentions(event, 'X')",
        "SELECT count(*) FROM events WHERE event LIKE '%X%'",
        "SELECT count(*) FROM events WHERE event_value(event, 'description') = 'X'",
        "SELECT event_value(event, 'targets.patient_id'), count(*) FROM events GROUP BY 1",
        "SELECT event_value(event, 'actor.id'), count(*) FROM events GROUP BY 1 ORDER BY 1",
        "SELECT event_value(event, 'metadata.Bed.No') FROM events ORDER BY 1, index LIMIT 5",
        "SELECT count(*) FROM events WHERE session = 'X'",
        "SELECT session, ip, actor_name, count(*) FROM events GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT count(*) FROM events WHERE ip = 'X' OR actor_name = 'X'",
        "SELECT index FROM events ORDER BY patients, event, index LIMIT 20",
        "SELECT min(event), max(event), count(DISTINCT event) FROM events WHERE actor_type = 'patient'",
        "SELECT index FROM events ORDER BY octet_length(event), index LIMIT 20",
        "SELECT count(*) FROM events WHERE patients IS NULL",
        "SELECT patients[1] = 'X' FROM events LIMIT 3",
        "SELECT p, count(*) FROM (SELECT unnest(patients) AS p FROM events) GROUP BY p",
        "SELECT array_agg(patients) FROM events",
        "SELECT CASE WHEN has_patient(patients, 'X') THEN 1 / (index - index) ELSE 0 END FROM events",
        "SELECT count(*) FROM events WHERE CAST(event_value(event, 'description') AS INT) = 1",
        "SELECT a.index FROM events a JOIN events b ON a.patients = b.patients LIMIT 5",
        "SELECT a.index FROM events a JOIN events b ON event_value(a.event, 'description') = event_value(b.event, 'description') LIMIT 5",
        "SELECT index FROM events WHERE index IN (SELECT index FROM events WHERE has_patient(patients, 'X')) LIMIT 5",
        "SELECT index, count(*) OVER (PARTITION BY patients ORDER BY index) FROM events ORDER BY index LIMIT 5",
        "SELECT \"$phi\" FROM events",
        "SELECT \"$salt_phi\", \"$salt_public\" FROM events",
        "EXPLAIN SELECT * FROM events WHERE has_patient(patients, 'X') AND session = 'X'",
        "SELECT * FROM events ORDER BY index DESC LIMIT 50",
    ];
    let mut asked = 0;
    for shape in shapes {
        for secret in secrets {
            let sql = shape.replace('X', secret);
            let mut told = Vec::new();
            for clinic in &twins {
                let view = clinic.public_view();
                let answer = engine.sql(&view, &sql).await.map(|answer| (answer.rows, answer.truncated, answer.damaged));
                told.push((answer, sql.contains("has_patient").then(|| view.meter.rows())));
            }
            assert_eq!(told[0], told[1], "{sql}");
            asked += 1;
            if shape == sql {
                break;
            }
        }
    }
    assert!(asked > shapes.len());
}

/// The same of the query bar, where PHI's fields are refused whatever they are compared with.
#[tokio::test]
async fn no_query_tells_one_secret_from_another() {
    let twins = twins();
    let engine = engine(Limits::default());
    for query in [
        "P10",
        "UNLIKE",
        "-UNLIKE",
        "text:*UNLIKE*",
        "Zürich OR op:R",
        "actor:UNLIKE",
        "actor:P*",
        "-actor:P10",
        "session:UNLIKE",
        "actor_name:*",
        "-actor_name:\"Own Portal\"",
        "ip:10.9.9.9",
        "-ip:10.*",
        "index>=0",
    ] {
        let mut told = Vec::new();
        for clinic in &twins {
            let page = engine.search(&clinic.public_view(), &SearchRequest { limit: 1_000, ..request(query) }).await.unwrap();
            let texts: Vec<String> = page.events.iter().map(|event| event.json.clone()).collect();
            told.push((indexes(&page.events), texts, page.count, page.count_capped));
        }
        assert_eq!(told[0], told[1], "{query}");
    }
    for query in [
        "patient:P10",
        "-patient:P10",
        "op:R OR patient:P*",
        "target:x",
        "target_name:x",
        "reason:x",
        "statement:*",
        "parameter:1",
        "changed:x",
        "before:x",
        "after:x",
        "description:x",
        "metadata.Bed.No:1",
        "-metadata.Bed.No:1",
        "metadata:1",
        "request_id:r1",
        "trace:1",
        "(op:R (action:x OR -description:y))",
    ] {
        let refused = engine.search(&twins[0].public_view(), &request(query)).await.err();
        assert!(matches!(refused, Some(SearchError::NotAllowed(_))), "{query}: {refused:?}");
    }
}
