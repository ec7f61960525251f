//! What a benchmark prints: the machine, then tables; or one JSON document.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::machine;

/// Tables in the making.
pub struct Report {
    json: bool,
    tables: Vec<Value>,
}

impl Report {
    /// Begins with the machine.
    pub fn new(json: bool) -> Self {
        let report = Self { json, tables: Vec::new() };
        if !json {
            report.print(&format!("{}\n", machine::describe()));
        }
        report
    }

    /// Says how far it is, on standard error.
    pub fn say(&self, text: &str) {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A table; the first column is text, the others are figures.
    pub fn table(&mut self, title: &str, columns: &[&str], rows: &[Vec<String>]) {
        if self.json {
            self.tables.push(json!({"title": title, "columns": columns, "rows": rows}));
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(columns.iter().copied());
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self.print(&format!("\n{title}\n\n{table}"));
    }

    /// A line below a table.
    pub fn note(&mut self, text: &str) {
        if self.json { self.tables.push(json!({ "note": text })) } else { self.print(text) }
    }

    /// Ends the document.
    pub fn finish(self) {
        if self.json {
            self.print(&json!({"machine": machine::describe(), "tables": self.tables}).to_string());
        }
    }

    fn print(&self, text: &str) {
        // As in `say`.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}
