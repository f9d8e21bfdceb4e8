//! Numbers, times and tables as people read them.

use std::fmt::Write as _;

use anstyle::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Columns between two of a table.
const GAP: usize = 2;

/// `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `12,345 events`.
pub fn events(number: u64) -> String {
    counted(number, "event")
}

/// A number of things by their name in the singular.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `1.2 GiB`.
pub fn bytes(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// A length of time by its two largest units: `45s`, `2h 10m`, `3d`.
pub fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[largest];
    let mut out = format!("{}{name}", seconds / unit);
    if let Some((smaller, name)) = UNITS.get(largest + 1)
        && seconds % unit >= *smaller
    {
        // Writing to a String does not fail.
        let _ = write!(out, " {}{name}", seconds % unit / smaller);
    }
    out
}

/// How long ago; 0 for what is to come, as a clock that was set back shows it.
pub fn seconds_since(unix_ns: u64, now: Timestamp) -> u64 {
    let now = u64::try_from(now.as_nanosecond()).unwrap_or(0);
    now.saturating_sub(unix_ns) / 1_000_000_000
}

/// `3m ago`.
pub fn ago(unix_ns: u64, now: Timestamp) -> String {
    format!("{} ago", span(seconds_since(unix_ns, now)))
}

/// `2026-11-24 08:00:00`.
pub fn time(unix_ns: u64, zone: &TimeZone) -> String {
    match Timestamp::from_nanosecond(i128::from(unix_ns)) {
        Ok(moment) => zone.to_datetime(moment).strftime("%F %T").to_string(),
        Err(_) => "-".to_owned(),
    }
}

/// A cell of a table: text that is safe to print, and its style.
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Without style.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell::styled(text, Style::new())
    }

    /// With a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }
}

/// Rows with their columns aligned, each row a line.
pub fn table(rows: &[Vec<Cell>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![0; columns];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        for (at, (Cell { text, style }, width)) in row.iter().zip(&widths).enumerate() {
            let pad = if at + 1 == row.len() { 0 } else { width + GAP - text.chars().count() };
            let _ = write!(out, "{style}{text}{style:#}{:pad$}", "");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(events), ["1 event", "2 events"]);
        assert_eq!([0, 4096, 3 << 29].map(bytes), ["0 B", "4.0 KiB", "1.5 GiB"]);
        let spans = [0, 59, 60, 61, 3_600, 7_800, 90_000, 86_400 * 3 + 59];
        assert_eq!(spans.map(span), ["0s", "59s", "1m", "1m 1s", "1h", "2h 10m", "1d 1h", "3d"]);
        assert_eq!(time(1_796_000_000_000_000_000, &TimeZone::UTC), "2026-11-30 00:53:20");
    }

    #[test]
    fn the_columns_of_a_table_are_aligned() {
        let row = |cells: [&str; 3]| cells.map(Cell::plain).into_iter().collect::<Vec<_>>();
        let text = table(&[row(["a", "bcd", "e"]), row(["long", "f", "gh"])]);
        assert_eq!(text, "a     bcd  e\nlong  f    gh\n");
    }
}
