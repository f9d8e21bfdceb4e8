//! What became of each row in one place.

use anyhow::ensure;
use serde_json::Value;

use super::check::{Told, indifferent, is_sought, verdict};
use super::place::Place;
use super::results::{Results, Run};
use super::row::Row;

/// How a script says that its machine cannot do this.
const CANNOT: i32 = 77;

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// All that is expected is there, but for what the row itself says is missing in this place.
    Ok(Vec<String>),
    /// Not tried, and why.
    LeftOut(String),
    /// What is wrong.
    Failed(Vec<String>),
}

/// Holds all events to all rows, in their order. `lost`: how many executions were reported as lost,
/// and so may have been tried again; more second tries than that are an error.
pub fn judge(
    rows: &[Row],
    place: &Place,
    results: &Results,
    events: &[Value],
    lost: u64,
) -> anyhow::Result<Vec<Cell>> {
    let mut missing = 0;
    let mut again = Vec::new();
    let cells = rows.iter().map(|row| {
        let runs = results.of(&row.id);
        if runs.len() > 1 {
            missing += runs.len() as u64 - 1;
            again.push(row.name.as_str());
        }
        cell(row, place, runs.last(), events)
    });
    let cells = cells.collect();
    ensure!(
        missing <= lost,
        "{missing} events did not come and were tried again, {lost} are reported as lost: {again:#?}"
    );
    Ok(cells)
}

fn cell(row: &Row, place: &Place, run: Option<&Run>, events: &[Value]) -> Cell {
    if let Some(why) = row.left_out(place) {
        return Cell::LeftOut(why.to_owned());
    }
    let Some(run) = run else { return Cell::Failed(vec!["it was never run".into()]) };
    let told = |name: &str| run.told.get(name).cloned().unwrap_or_default();
    if run.code == CANNOT {
        return Cell::LeftOut(told("CANNOT"));
    }
    if run.code != 0 {
        let said = &run.complaints;
        return Cell::Failed(vec![format!("its script ended with {}: {said}", run.code)]);
    }
    let mark = told("MARK");
    let own: Vec<&Value> = events.iter().filter(|event| is_sought(event, &mark)).collect();
    let mut wrong = verdict(row, place, &run.told, &own);
    wrong.extend(blind(row, place, &run.told, &own));
    if !wrong.is_empty() {
        return Cell::Failed(wrong);
    }
    Cell::Ok(row.missing(place).into_iter().map(str::to_owned).collect())
}

/// What a row demands and any other event would have too.
fn blind(row: &Row, place: &Place, told: &Told, own: &[&Value]) -> Vec<String> {
    let event = own.first().filter(|_| row.events == 1);
    let pointers = event.map(|event| indifferent(row, place, told, event)).unwrap_or_default();
    pointers
        .into_iter()
        .map(|pointer| format!("{pointer}: the row itself is wrong: this cannot fail"))
        .collect()
}
