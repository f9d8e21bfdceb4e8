//! `shipper spool quarantine`: the events that a sink refused, and why.

use std::io::{self, Write as _};
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{WhereArgs, show};
use crate::event::codec::Decoder;
use crate::format::ecs;
use crate::format::pretty::Pretty;
use crate::format::visible::escape;
use crate::spool::inspect::{self, Piece};
use crate::spool::{self, Entry};

/// List the events that a sink refused, and why, oldest first.
#[derive(Clone, Debug, clap::Args)]
pub struct QuarantineArgs {
    /// The sink
    sink: String,

    #[command(flatten)]
    place: WhereArgs,

    /// Print one JSON object for each event
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    /// In the spool.
    number: u64,
    quarantined_unix_ns: u64,
    reason: &'a str,
    /// Absent when it cannot be decoded.
    event: Option<Value>,
}

/// Lists. Exit code 1 when something could not be read.
pub fn run(args: &QuarantineArgs) -> anyhow::Result<ExitCode> {
    let place = args.place.open()?;
    place.check_sink(&args.sink)?;
    let dir = spool::quarantine_directory(&place.dir, &args.sink);
    let mut list = List::new(args.json);
    let mut damaged = 0u64;
    // Nothing was ever refused: there is no directory.
    if dir.exists() {
        for piece in inspect::walk(&place.disk, &dir, 0)? {
            let block = match piece? {
                Piece::Block { block, .. } => block,
                Piece::Damaged { missing, .. } => {
                    damaged += missing;
                    continue;
                }
                Piece::Torn { .. } => continue,
            };
            for (_, record) in block.records() {
                match Entry::decode(record) {
                    Some(entry) if list.show(&entry, block.written_wall_ns())? => {}
                    // The reader has gone away.
                    Some(_) => return Ok(ExitCode::SUCCESS),
                    None => damaged += 1,
                }
            }
        }
    }
    if list.entries == 0 && !args.json {
        super::super::print(&format!("nothing is in the quarantine of sink {}\n", args.sink))?;
    }
    if damaged == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("warning: {} cannot be read; see `shipper spool verify`", show::events(damaged));
    Ok(ExitCode::FAILURE)
}

struct List {
    json: bool,
    pretty: Pretty,
    now: Timestamp,
    decoder: Decoder,
    entries: u64,
}

impl List {
    fn new(json: bool) -> List {
        let pretty = Pretty::for_output(&io::stdout());
        List { json, pretty, now: Timestamp::now(), decoder: Decoder::new(), entries: 0 }
    }

    /// False when nobody reads any more.
    fn show(&mut self, entry: &Entry<'_>, written_wall_ns: u64) -> anyhow::Result<bool> {
        self.entries += 1;
        let event = self.decoder.decode(entry.payload).map(|event| {
            let mut line = Vec::new();
            ecs::encode(&event, &mut line);
            serde_json::from_slice::<Value>(&line).unwrap_or_default()
        });
        let text = if self.json {
            let listed = Listed {
                number: entry.number,
                quarantined_unix_ns: written_wall_ns,
                reason: entry.reason,
                event: event.ok(),
            };
            serde_json::to_string(&listed)?
        } else {
            let time = show::time(written_wall_ns, &self.pretty.zone);
            let event = match event {
                Ok(event) => self.pretty.line(&event, self.now),
                Err(error) => format!("cannot be decoded: {error}"),
            };
            format!("{}  {time}  {}\n    {event}", entry.number, escape(entry.reason))
        };
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}") {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
