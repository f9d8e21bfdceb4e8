//! The status of the spool for people.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::show::{self, Cell, ago, bytes, count, span, table, time};
use super::status::{Report, SinkReport};
use crate::format::visible::{cut, escape};

/// Most columns of an error of a sink.
const ERROR_COLUMNS_MAX: usize = 100;

/// Part of the spool at which the eye should be caught.
const NEARLY_FULL: f64 = 0.8;

const NAME: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// All of it, with styles.
pub(super) fn status(report: &Report, now: Timestamp, zone: &TimeZone) -> String {
    let mut out = table(&spool(report, zone));
    out.push('\n');
    out.push_str(&table(&sinks(&report.sinks, report.pid.is_some(), now)));
    for sink in &report.sinks {
        let Some((error, at)) = sink.last_error.as_ref().zip(sink.last_error_unix_ns) else {
            continue;
        };
        let error = cut(escape(error), ERROR_COLUMNS_MAX);
        out.push_str(&format!("\n{NAME}{}{NAME:#} failed {}: {error}", sink.name, ago(at, now)));
    }
    if out.ends_with('\n') { out } else { out + "\n" }
}

fn spool(report: &Report, zone: &TimeZone) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, says: String, style: Style| {
        rows.push(vec![Cell::styled(name, DIM), Cell::styled(says, style)]);
    };
    row("spool", escape(&report.dir), NAME);
    match report.pid {
        Some(pid) => row("daemon", format!("running, pid {pid}"), GOOD),
        None => row("daemon", "not running".into(), NOTE),
    }
    let part = report.bytes_max.map_or(0.0, |max| report.bytes as f64 / max as f64);
    let of = report.bytes_max.map(|max| format!(" of {} ({:.0} %)", bytes(max), part * 100.0));
    let segments = format!(", {}", show::counted(report.segments as u64, "segment"));
    row(
        "used",
        bytes(report.bytes) + &of.unwrap_or_default() + &segments,
        if part >= NEARLY_FULL { NOTE } else { Style::new() },
    );
    let below = report.disk_free_bytes_min.is_some_and(|min| report.disk_free_bytes <= min);
    let keep = report.disk_free_bytes_min.map(|min| format!("; {} are kept free", bytes(min)));
    let disk = format!("{} of {}", bytes(report.disk_free_bytes), bytes(report.disk_total_bytes));
    row("disk free", disk + &keep.unwrap_or_default(), if below { BAD } else { Style::new() });
    let times = report.oldest_unix_ns.zip(report.newest_unix_ns);
    let times = times
        .map(|(oldest, newest)| format!(", from {} to {}", time(oldest, zone), time(newest, zone)));
    row("events", count(report.events) + &times.unwrap_or_default(), Style::new());
    let rate = (report.events_per_second, bytes(report.bytes_per_second as u64));
    row("rate", format!("{:.1} events/s, {}/s in the last minute", rate.0, rate.1), Style::new());
    if let Some(seconds) = report.full_in_seconds {
        let style = if seconds < 3600 { NOTE } else { Style::new() };
        row("full", format!("in {} at this rate, if nothing is delivered", span(seconds)), style);
    }
    if report.segments_damaged > 0 {
        let says = format!(
            "{}; see `shipper spool verify`",
            show::counted(report.segments_damaged as u64, "segment")
        );
        row("damaged", says, BAD);
    }
    for loss in &report.losses {
        let sink = loss.sink.as_ref().map(|sink| format!(" to sink {sink}")).unwrap_or_default();
        let lost = show::events(loss.count);
        row("lost", format!("{lost}{sink} ({}), to be reported", loss.stage), BAD);
    }
    rows
}

fn sinks(sinks: &[SinkReport], is_running: bool, now: Timestamp) -> Vec<Vec<Cell>> {
    let titles = ["sink", "state", "behind", "bytes", "oldest", "last success", "quarantined"];
    let mut rows = vec![titles.map(|title| Cell::styled(title, DIM)).into()];
    for sink in sinks {
        let (state, style) = match sink.state {
            _ if !sink.configured => ("not configured", DIM),
            Some(state @ "delivering") => (state, GOOD),
            Some(state @ "retrying") => (state, NOTE),
            Some(state) => (state, BAD),
            None if sink.next.is_none() => ("new", DIM),
            None => (if is_running { "-" } else { "stopped" }, DIM),
        };
        let requeued = match sink.requeued_events {
            0 => String::new(),
            requeued => format!(" ({} requeued)", count(requeued)),
        };
        let quarantined = format!("{}{requeued}", count(sink.quarantined_events));
        let oldest = sink.lag_seconds.map_or_else(|| "-".to_owned(), span);
        let success = sink.last_success_unix_ns.map_or_else(|| "-".to_owned(), |at| ago(at, now));
        rows.push(vec![
            Cell::styled(sink.name.as_str(), NAME),
            Cell::styled(state, style),
            Cell::plain(count(sink.lag_events)),
            Cell::plain(bytes(sink.lag_bytes)),
            Cell::plain(oldest),
            Cell::plain(success),
            Cell::styled(
                quarantined,
                if sink.quarantined_events > 0 { NOTE } else { Style::new() },
            ),
        ]);
    }
    rows
}
