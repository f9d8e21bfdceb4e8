//! `shipper spool verify`: reads all of the spool, quarantines included, and says what is damaged.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::{Place, WhereArgs, show};
use crate::event::codec::Decoder;
use crate::spool::inspect::{self, Piece};
use crate::spool::{self, Entry};

/// Events that cannot be decoded are named one by one up to here, then counted.
const NAMED_MAX: u64 = 20;

/// A device that fails longer than this ends the walk: the spool gives up a place at the third try.
const FAILURES_MAX: u32 = 10;

/// Read all of the spool and say what is damaged.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    place: WhereArgs,
}

/// Reads and prints. Exit code 1 when something is damaged.
pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let place = args.place.open()?;
    let mut report = Report::default();
    report.read(&place, "the log", &inspect::log_directory(&place.dir), |record| Some(record))?;
    let status = inspect::status(&*place.disk, &place.dir)?;
    let payload: fn(&[u8]) -> Option<&[u8]> = |record| Entry::decode(record).map(|e| e.payload);
    for entries in &status.quarantines {
        let dir = spool::quarantine_directory(&place.dir, &entries.sink);
        report.read(&place, &format!("the quarantine of sink {}", entries.sink), &dir, payload)?;
    }
    for entries in &status.replays {
        let dir = spool::replay_directory(&place.dir, &entries.sink);
        report.read(
            &place,
            &format!("what is requeued to sink {}", entries.sink),
            &dir,
            payload,
        )?;
    }
    let kept = std::fs::read_dir(place.dir.join("damaged")).map_or(0, Iterator::count);
    if kept > 0 {
        let dir = place.dir.join("damaged");
        // Writing to a String does not fail, here and below.
        let _ = writeln!(
            report.text,
            "note: {} holds {} found damaged and reported before",
            dir.display(),
            show::counted(kept as u64, "piece")
        );
    }
    let end = if report.damaged == 0 { "nothing is damaged" } else { "the spool is damaged" };
    let _ = writeln!(report.text, "{end}");
    super::super::print(&report.text)?;
    Ok(if report.damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Report {
    text: String,
    /// Pieces and events.
    damaged: u64,
}

impl Report {
    /// One log, whose records hold events as `payload` tells.
    fn read(
        &mut self,
        place: &Place,
        what: &str,
        dir: &Path,
        payload: fn(&[u8]) -> Option<&[u8]>,
    ) -> anyhow::Result<()> {
        let (mut blocks, mut records, mut bytes_read, mut missing_all) = (0, 0, 0, 0);
        let (mut undecodable, mut failures) = (0, 0);
        let mut decoder = Decoder::new();
        for piece in inspect::walk(&place.disk, dir, 0)? {
            match piece {
                Ok(Piece::Block { block, bytes }) => {
                    failures = 0;
                    blocks += 1;
                    bytes_read += bytes;
                    for (number, record) in block.records() {
                        records += 1;
                        let decoded = payload(record)
                            .ok_or_else(|| "it is no entry of a quarantine".to_owned())
                            .and_then(|event| decoder.decode(event).map_err(|e| e.to_string()));
                        if let Err(error) = decoded {
                            undecodable += 1;
                            self.damaged += 1;
                            if undecodable <= NAMED_MAX {
                                let _ = writeln!(
                                    self.text,
                                    "damaged: event {number} of {what}: {error}"
                                );
                            }
                        }
                    }
                }
                // A segment without a head is no torn end.
                Ok(Piece::Torn { path, offset, bytes }) if offset > 0 => {
                    let _ = writeln!(
                        self.text,
                        "note: {} ends with a block that is not whole ({bytes} bytes at byte \
                         {offset}): shipper is writing it, or was killed then",
                        path.display()
                    );
                }
                Ok(Piece::Torn { path, offset, bytes }) => {
                    self.damage(&path, offset, bytes, None);
                }
                Ok(Piece::Damaged { path, offset, bytes, missing }) => {
                    failures = 0;
                    missing_all += missing;
                    self.damage(&path, offset, bytes, Some(missing));
                }
                Err(error) => {
                    failures += 1;
                    if failures > FAILURES_MAX {
                        return Err(error.into());
                    }
                }
            }
        }
        if undecodable > NAMED_MAX {
            let _ = writeln!(
                self.text,
                "damaged: {} more of {what} cannot be decoded",
                show::events(undecodable - NAMED_MAX)
            );
        }
        let missing = match missing_all {
            0 => String::new(),
            missing => format!(", {} missing", show::count(missing)),
        };
        let _ = writeln!(
            self.text,
            "{what}: {} in {}, {}{missing}",
            show::events(records),
            show::counted(blocks, "block"),
            show::bytes(bytes_read)
        );
        // What follows may take a while.
        super::super::print(&std::mem::take(&mut self.text))?;
        Ok(())
    }

    fn damage(&mut self, path: &Path, offset: u64, bytes: u64, missing: Option<u64>) {
        self.damaged += 1;
        let missing = match missing {
            Some(missing) => format!("{} missing", show::events(missing)),
            None => "what it held is not known".to_owned(),
        };
        let _ = writeln!(
            self.text,
            "damaged: {}: {} at byte {offset}; {missing}",
            path.display(),
            show::counted(bytes, "byte")
        );
    }
}
