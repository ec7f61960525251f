//! `POST /v1/sql`: read-only SQL over the table `events`. The question is in the trail before the answer leaves.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::app::Shared;
use crate::http::events::damaged_json;
use crate::http::format::{JsonBody, json};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::record::Record;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    sql: String,
}

/// Asks. Rows count as shown; a question that fails is recorded too, as its error may tell something.
pub async fn ask(State(app): State<Shared>, reader: Identity, JsonBody(question): JsonBody<Question>) -> Result<Response, Problem> {
    let view = app.view(&reader, "recall.sql", &question.sql).await?;
    match app.engine.sql(&view, &question.sql).await {
        Ok(answer) => {
            let rows = answer.rows.len() as u64;
            app.record(Record::read(&reader, "recall.sql", &question.sql, rows), Vec::new()).await?;
            let columns: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
            let damaged = damaged_json(&answer.damaged);
            Ok(json(&serde_json::json!({"columns": columns, "rows": answer.rows, "truncated": answer.truncated, "damaged": damaged})))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let record = Record::read(&reader, "recall.sql", &question.sql, 0).ended("failure", problem.detail());
            app.record(record, Vec::new()).await?;
            Err(problem)
        }
    }
}
