//! `shipper spool requeue`: has events delivered again to a sink.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Place, WhereArgs, moment, show};
use crate::spool::SpoolError;
use crate::spool::inspect;
use crate::spool::requeue::{self, Place as Spot};

/// Have events delivered again to a sink: what its quarantine holds, or all from a place on.
#[derive(Clone, Debug, clap::Args)]
pub struct RequeueArgs {
    /// The sink
    sink: String,

    #[command(flatten)]
    place: WhereArgs,

    /// Deliver all events again from this one on: a number as `quarantine` shows it, or a time, as
    /// `2026-11-24T08:00:00Z`, `2026-11-24 08:00` (local time), `2026-11-24`, or `2h` for so long ago
    ///
    /// Without it, the events in the quarantine of the sink are delivered again.
    #[arg(long, value_name = "NUMBER|TIME")]
    from: Option<String>,
}

/// Changes the spool, which no daemon may have.
pub fn run(args: &RequeueArgs) -> anyhow::Result<ExitCode> {
    let spot = args.from.as_deref().map(spot).transpose()?;
    let place = args.place.open()?;
    place.check_sink(&args.sink)?;
    let says = match spot {
        None => quarantined(&place, &args.sink)?,
        Some(spot) => from(&place, &args.sink, spot)?,
    };
    super::super::print(&format!("{says}\n"))
}

/// A number is the number of an event, anything else a time.
fn spot(text: &str) -> anyhow::Result<Spot> {
    match text.parse() {
        Ok(number) => Ok(Spot::Number(number)),
        Err(_) => moment::parse(text, Timestamp::now(), &TimeZone::system())
            .map(Spot::WrittenSince)
            .map_err(|error| error.context(format!("`{text}` is not the number of an event"))),
    }
}

fn quarantined(place: &Place, sink: &str) -> anyhow::Result<String> {
    let status = inspect::status(&*place.disk, &place.dir)?;
    let entries = status.quarantines.iter().find(|entries| entries.sink == sink);
    let moved = requeue::requeue_quarantined(&*place.disk, &place.dir, sink).map_err(explained)?;
    Ok(match entries {
        Some(entries) if moved => format!(
            "{} of the quarantine of sink {sink}: delivered again when shipper starts, before \
             anything else",
            show::events(entries.entries)
        ),
        _ => format!("nothing is in the quarantine of sink {sink}"),
    })
}

fn from(place: &Place, sink: &str, spot: Spot) -> anyhow::Result<String> {
    let status = inspect::status(&*place.disk, &place.dir)?;
    let Some(cursor) = status.cursors.iter().find(|cursor| cursor.sink == sink) else {
        bail!("sink {sink} has got nothing yet: it begins with the oldest event anyway");
    };
    let wanted = inspect::find(&*place.disk, &place.dir, spot)?;
    if wanted > cursor.next {
        bail!(
            "sink {sink} is at event {}, and event {wanted} comes after that: this would skip {}",
            cursor.next,
            show::events(wanted - cursor.next)
        );
    }
    let next = requeue::set_cursor(&*place.disk, &place.dir, sink, Spot::Number(wanted))
        .map_err(explained)?;
    let oldest = match spot {
        Spot::Number(number) if number < next => ", the oldest that the spool still has",
        _ => "",
    };
    Ok(format!(
        "sink {sink} goes on at event {next}{oldest}: {} delivered again when shipper starts",
        match cursor.next - next {
            1 => "1 event is".to_owned(),
            again => format!("{} are", show::events(again)),
        }
    ))
}

/// What to do about a daemon that runs.
fn explained(error: SpoolError) -> anyhow::Error {
    match error {
        SpoolError::Locked { pid, .. } => anyhow!(
            "shipper is running{}: stop it (`systemctl stop shipper`), requeue, then start it again",
            pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
        ),
        error => error.into(),
    }
}
