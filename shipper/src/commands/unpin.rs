//! `shipper unpin`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use common::wire::RecordKind;

use crate::capture::{self, PIN_DIR, Unpinned};

const EXAMPLES: &str = "\
With `capture.pin: true` the kernel programs and the ring they fill stay in the kernel when the daemon
ends, and the next start goes on with them. This command ends that: it detaches the programs and
removes the ring. What was in it and not read is gone; how much that was is said.

It refuses while a daemon uses the pins, and does nothing when there are none.";

/// Remove what `capture.pin: true` left in the kernel.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct UnpinArgs {
    /// Where the pins are
    #[arg(long, value_name = "DIR", default_value = PIN_DIR)]
    pin_dir: PathBuf,
}

/// Removes the pins and says what was in them.
pub fn run(args: &UnpinArgs) -> anyhow::Result<ExitCode> {
    super::print(&text(&capture::unpin(&args.pin_dir)?))
}

fn text(removed: &Unpinned) -> String {
    if removed.sets == 0 {
        return "nothing is pinned\n".to_owned();
    }
    let mut out = "removed the pinned programs and their ring\n".to_owned();
    let mut line = |count: u64, what: &str| {
        if count > 0 {
            // Writing to a String does not fail.
            let _ = writeln!(out, "{count} {what}");
        }
    };
    for name in ["exec", "fork", "exit"] {
        let kinds = RecordKind::ALL.into_iter().filter(|kind| name_of(*kind) == name);
        let unread = kinds.map(|kind| removed.unread[kind as usize]).sum();
        line(unread, &format!("{name} records were in it, not read: gone"));
        let lost = removed.lost.iter().filter(|lost| name_of(lost.gap.kind) == name);
        let count = lost.map(|lost| lost.gap.count).sum();
        line(count, &format!("{name} records were lost before that and not reported"));
    }
    line(removed.left_out, "events were left out before that, as configured, and not told");
    line(removed.unknown, "records of another version were in it: gone");
    for reason in &removed.unreadable {
        let _ = writeln!(out, "what was in it is not known: {reason}");
    }
    out
}

fn name_of(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Fork => "fork",
        RecordKind::Exit => "exit",
        _ => "exec",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_said() {
        let removed =
            Unpinned { sets: 1, unread: [0, 6, 2, 1, 0, 0, 0], unknown: 3, ..Unpinned::default() };
        assert_eq!(
            text(&removed),
            "removed the pinned programs and their ring\n\
             7 exec records were in it, not read: gone\n\
             2 exit records were in it, not read: gone\n\
             3 records of another version were in it: gone\n"
        );
    }

    #[test]
    fn to_remove_nothing_is_no_error() {
        assert_eq!(text(&Unpinned::default()), "nothing is pinned\n");
    }
}
