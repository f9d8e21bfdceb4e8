//! The table of README.md: what works where, as it was run.

use std::fmt::Write as _;

use super::judge::Cell;
use super::row::Row;

/// A kernel in a mode, with what became of each row.
#[derive(Debug)]
pub struct Column {
    /// Of the head of the table: `6.1`.
    pub kernel: String,
    /// `lsm`, `fentry` or `tracepoint`.
    pub mode: String,
    /// In the order of the rows.
    pub cells: Vec<Cell>,
}

/// Notes below the table; a cell has their numbers.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, text: &str) -> usize {
        let at = self.0.iter().position(|known| known == text);
        at.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        }) + 1
    }
}

/// The table in Markdown, with its notes.
#[must_use]
pub fn matrix(rows: &[Row], columns: &[Column]) -> String {
    let mut out = String::from("| |");
    // Writing to a string does not fail.
    for column in columns {
        let _ = write!(out, " {}<br>{} |", column.kernel, column.mode);
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(columns.len()));
    out.push('\n');
    let mut notes = Notes::default();
    let mut group = "";
    for (index, row) in rows.iter().enumerate() {
        if row.group != group {
            group = &row.group;
            let _ = writeln!(out, "| **{group}** |{}", " |".repeat(columns.len()));
        }
        let _ = write!(out, "| {} |", row.name);
        for column in columns {
            let text =
                column.cells.get(index).map_or_else(String::new, |cell| show(cell, &mut notes));
            let _ = write!(out, " {text} |");
        }
        out.push('\n');
    }
    out.push('\n');
    for (index, note) in notes.0.iter().enumerate() {
        let _ = writeln!(out, "{}. {note}", index + 1);
    }
    out
}

fn show(cell: &Cell, notes: &mut Notes) -> String {
    match cell {
        Cell::Ok(missing) if missing.is_empty() => "ok".into(),
        Cell::Ok(missing) => {
            let numbers: Vec<String> = missing
                .iter()
                .map(|what| notes.number(&format!("Missing: {what}.")).to_string())
                .collect();
            format!("ok but {}", numbers.join(", "))
        }
        Cell::LeftOut(why) => format!("- {}", notes.number(&format!("Not run: {why}."))),
        Cell::NotYet => "not yet".into(),
        Cell::Failed(_) => "FAILED".into(),
    }
}

/// The names of the rows in a text with such a table.
#[must_use]
pub fn names_in(text: &str) -> Vec<&str> {
    let begin = text.find("| |").unwrap_or(text.len());
    let lines = text[begin..].lines().skip(2).take_while(|line| line.starts_with("| "));
    lines
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|name| !name.starts_with("**"))
        .collect()
}
