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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_row_once_and_a_note_for_what_is_not_all_right() {
        let rows = super::super::load().unwrap();
        let mut cells = vec![Cell::Ok(vec!["an owner".into()]), Cell::LeftOut("no disk".into())];
        cells.push(Cell::Ok(vec!["an owner".into()]));
        cells.resize(rows.len(), Cell::Ok(Vec::new()));
        let column = Column { kernel: "6.1".into(), mode: "lsm".into(), cells };
        let table = matrix(&rows, &[column]);
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names_in(&format!("# Text\n\n{table}\nmore\n")), names);
        for text in ["ok but 1 |", "- 2 |", "1. Missing: an owner.", "2. Not run: no disk."] {
            assert!(table.contains(text), "{table}");
        }
        assert!(!table.contains("3. "), "a note stands there once");
    }
}
