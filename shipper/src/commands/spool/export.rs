//! `shipper spool export`: the events in the spool as NDJSON, for whoever needs them now.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{WhereArgs, moment, show};
use crate::event::codec::Decoder;
use crate::format::ecs;
use crate::spool::inspect::{self, Piece};

/// A block is written after its events happened. A wall clock that was set back between may say
/// otherwise, by so much at most.
const CLOCK_SET_BACK_NS: u64 = 3_600_000_000_000;

/// A device that fails longer than this ends the walk: the spool gives up a place at the third try.
const FAILURES_MAX: u32 = 10;

/// Print the events in the spool as NDJSON (ECS), oldest first.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    place: WhereArgs,

    /// Only events from this time on: `2026-11-24T08:00:00Z`, `2026-11-24 08:00` (local time),
    /// `2026-11-24`, or `2h` for so long ago
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// Only events up to this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// Prints. Exit code 1 when something could not be read; what it is stands on standard error.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    let time = |text: &Option<String>| {
        text.as_ref().map(|text| moment::parse(text, now, &zone)).transpose()
    };
    let (from, to) = (time(&args.from)?.unwrap_or(0), time(&args.to)?.unwrap_or(u64::MAX));
    let place = args.place.open()?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut decoder = Decoder::new();
    let (mut missing_all, mut undecodable, mut failures) = (0, 0, 0);
    let mut line = Vec::new();
    for piece in inspect::walk(&place.disk, &inspect::log_directory(&place.dir), 0)? {
        let block = match piece {
            Ok(Piece::Block { block, .. }) => block,
            Ok(Piece::Damaged { missing, .. }) => {
                missing_all += missing;
                continue;
            }
            Ok(Piece::Torn { .. }) => continue,
            Err(error) => {
                failures += 1;
                if failures > FAILURES_MAX {
                    return Err(error.into());
                }
                continue;
            }
        };
        failures = 0;
        if block.written_wall_ns().saturating_add(CLOCK_SET_BACK_NS) < from {
            continue;
        }
        for (_, record) in block.records() {
            let Ok(event) = decoder.decode(record) else {
                undecodable += 1;
                continue;
            };
            if !(from..=to).contains(&event.time().0) {
                continue;
            }
            line.clear();
            ecs::encode(&event, &mut line);
            if is_gone(out.write_all(&line))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    if is_gone(out.flush())? || missing_all + undecodable == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if missing_all > 0 {
        eprintln!("warning: {} missing; see `shipper spool verify`", show::events(missing_all));
    }
    if undecodable > 0 {
        eprintln!("warning: {} could not be decoded", show::events(undecodable));
    }
    Ok(ExitCode::FAILURE)
}

/// Whether the reader has gone away, which is no error.
fn is_gone(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error),
    }
}
