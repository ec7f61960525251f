#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::Value;

use crate::engine::Limits;
use crate::testing::{CLINIC, MERGED, engine};
use crate::view::View;

fn rows(view: &View, partitions: usize, sql: &str) -> Vec<Vec<Value>> {
    let engine = engine(Limits { sql_partitions: partitions, ..Limits::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(engine.sql(view, sql)).unwrap_or_else(|error| panic!("{sql}: {error}")).rows
}

const COLUMNS: &[&str] = &["source", "action", "op", "outcome", "actor_type", "actor", "purpose", "protocol", "app"];
const FILTERS: &[&str] = &[
    "true",
    "break_glass",
    "op = 'R'",
    "app IS NULL",
    "index > 3500",
    "index < 0",
    "index BETWEEN 1900 AND 2100",
    "has_patient(patients, 'P10')",
    "actor = 'jdoe'",
    "action LIKE 'chart%' AND outcome <> 'denied'",
    "mentions(event, 'zürich')",
    "actor IS NULL",
];
const ENDS: &[&str] = &[
    "ORDER BY KEY NULLS FIRST",
    "HAVING count(*) > 400 ORDER BY KEY",
    "ORDER BY count(*) DESC, KEY LIMIT 2",
    "HAVING KEY IS NULL OR KEY > 'd' ORDER BY KEY DESC",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counting_keys_gives_what_counting_texts_gives(
        column in prop::sample::select(COLUMNS),
        filter in prop::sample::select(FILTERS),
        end in prop::sample::select(ENDS),
        partitions in 1..4_usize,
        phi in any::<bool>(),
        merged in any::<bool>(),
    ) {
        let clinic = if merged { &MERGED.0 } else { &CLINIC.0 };
        let view = if phi { clinic.view() } else { clinic.public_view() };
        // A condition on patients is refused without a right to PHI.
        let filter = if phi || !filter.contains("patients") { filter } else { "true" };
        let end = end.replace("KEY", column);
        let counted = rows(&view, partitions, &format!("SELECT {column}, count(*) FROM events WHERE {filter} GROUP BY {column} {end}"));
        // A second aggregate is more than the node does.
        let other = format!("SELECT {column}, count(*), max(index) FROM events WHERE {filter} GROUP BY {column} {end}");
        let wanted: Vec<Vec<Value>> = rows(&view, partitions, &other).into_iter().map(|row| row[..2].to_vec()).collect();
        prop_assert_eq!(counted, wanted);
    }
}

fn plan(sql: &str) -> String {
    let rows = rows(&CLINIC.0.view(), 2, &format!("EXPLAIN {sql}"));
    rows.iter().map(|row| row[1].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_stands_where_rows_are_counted_by_a_dictionary_and_nowhere_else() {
    for sql in [
        "SELECT action, count(*) FROM events GROUP BY action",
        "SELECT count(1), actor FROM events WHERE op = 'R' GROUP BY actor ORDER BY 1 DESC LIMIT 3",
        "SELECT app FROM events GROUP BY app HAVING count(*) > 5",
    ] {
        assert!(plan(sql).contains("CountExec"), "{sql}: {}", plan(sql));
    }
    for sql in [
        "SELECT action, count(app) FROM events GROUP BY action",
        "SELECT action, count(DISTINCT app) FROM events GROUP BY action",
        "SELECT action, count(*) FILTER (WHERE op = 'R') FROM events GROUP BY action",
        "SELECT action, count(*), sum(seq) FROM events GROUP BY action",
        "SELECT action, app, count(*) FROM events GROUP BY action, app",
        "SELECT upper(action), count(*) FROM events GROUP BY upper(action)",
        "SELECT action, count(*) FROM events GROUP BY ROLLUP (action)",
        "SELECT code, count(*) FROM events GROUP BY code",
        "SELECT count(*) FROM events",
    ] {
        assert!(!plan(sql).contains("CountExec"), "{sql}: {}", plan(sql));
    }
}
