//! `shipper tail`: follows the NDJSON of a file sink (`format: ecs`) and shows it to people, as one line an event or
//! as a process tree. It only reads the file; a running daemon is not needed.

pub mod branch;
pub mod follow;
pub mod lineage;
pub mod tree;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use self::branch::Branch;
use self::follow::{Follower, Item, Step};
use self::tree::Tree;
use crate::format::Format;
use crate::format::pretty::Pretty;
use crate::sink::console::{Stop, write_ready};

/// Where `make run` writes.
const PATH_LOCAL: &str = "./run/events/shipper.ndjson";
/// Where the packaged configuration writes.
const PATH_SYSTEM: &str = "/var/log/shipper/shipper.ndjson";
/// Lines shown of what is there already.
const LINES_DEFAULT: usize = 10;
/// How often the file is looked at: at once for a person, nothing for the machine.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long one write may wait for a reader before Ctrl-C is looked at again.
const WRITE_PAUSE_MAX: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

const EXAMPLES: &str = "\
Examples:
  shipper tail                                   follow the events of this machine
  shipper tail --tree                            the same, each below the processes that started it
  shipper tail -n 100 /srv/log/host7.ndjson      begin with the last 100 events of another file
  shipper tail --tree --no-follow | less -R      one process tree of what was recorded
  shipper tail -n 100000 --no-follow | grep 'not root-owned'

A line shows: time, user, process id, parent › command  [what is unusual]; the end of a process shows
how it ended, after how long, and then what it was. Commands are quoted for a shell. Characters that
could drive the terminal are spelled out, such as \\x1b or \\u202e. Colours are for terminals;
NO_COLOR=1 turns them off. A long command is cut to the terminal, and to 4096 characters in a pipe.

The file must be in the format ecs; of another one it says so at each line. It may be rotated, truncated or not be there yet. Ctrl-C ends with exit code 0.";

/// Follow the event log and show each event as a line for people.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TailArgs {
    /// File to follow [default: ./run/events/shipper.ndjson if it is there, else
    /// /var/log/shipper/shipper.ndjson]
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,

    /// Show each event below the processes that started it
    ///
    /// With --no-follow: one tree of all events, at most the last 10000.
    #[arg(long)]
    pub tree: bool,

    /// Begin with the last N lines of the file [default: 10; all for a tree without following]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,

    /// Stop at the end of the file
    #[arg(long)]
    pub no_follow: bool,
}

impl TailArgs {
    fn path(&self) -> &Path {
        match &self.path {
            Some(path) => path,
            None if Path::new(PATH_LOCAL).exists() => Path::new(PATH_LOCAL),
            None => Path::new(PATH_SYSTEM),
        }
    }

    fn lines(&self) -> usize {
        if self.tree && self.no_follow {
            return self.lines.map_or(tree::EVENTS_MAX, |lines| lines.min(tree::EVENTS_MAX));
        }
        self.lines.unwrap_or(LINES_DEFAULT)
    }
}

/// Runs the command until the end of the file, Ctrl-C, or the end of whoever reads the output.
/// Not to be called inside an async runtime.
pub fn run(args: &TailArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot prepare to wait for signals")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let stop = std::pin::pin!(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        tail(args, stop).await
    })
}

async fn tail(args: &TailArgs, mut stop: Pin<&mut impl Future<Output = ()>>) -> anyhow::Result<()> {
    let path = args.path();
    let mut follower = Follower::new(path, args.lines());
    let mut screen = Screen::new(args);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut waiting = false;
    loop {
        // Nothing more is read while nobody takes what there is: that bounds the memory.
        let step = if screen.out.is_empty() {
            screen.pretty = Pretty::for_output(&io::stdout());
            follower.step(&mut |item| screen.show(item))?
        } else {
            Step::More
        };
        match step {
            Step::More => waiting = false,
            Step::AtEnd if args.no_follow => {
                follower.finish(&mut |item| screen.show(item));
                screen.finish();
            }
            Step::Missing if args.no_follow => {
                bail!("there is no {}; name the file that the file sink writes", path.display());
            }
            Step::Missing if !waiting => {
                waiting = true;
                say(format_args!("waiting for {}, which is not there yet", path.display()));
            }
            Step::AtEnd | Step::Missing => {}
        }
        match screen.flush() {
            Ok(()) | Err(Stop::ReaderPaused) => {}
            Err(Stop::ReaderGone) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let done = step == Step::AtEnd && args.no_follow;
        if screen.out.is_empty() && (done || reader_gone()) {
            return Ok(());
        }
        let at_end = step != Step::More && screen.out.is_empty();
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = tokio::task::yield_now(), if !at_end => {}
            _ = look.tick(), if at_end => {}
        }
    }
}

/// Whether the pipe that is written to has lost its reader (`shipper tail | head`). Asked for even
/// when there is nothing to write, or a quiet machine would keep us for ever.
fn reader_gone() -> bool {
    let stdout = io::stdout();
    let mut state = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut state, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && state[0].revents().contains(PollFlags::ERR)
}

/// A word to the person, apart from the events. One that cannot be said is no reason to stop.
fn say(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "shipper tail: {message}");
}

/// How events are shown.
enum View {
    Lines,
    Branch(Branch),
    Tree(Tree),
}

/// What is shown, and what of it is not written yet.
struct Screen {
    view: View,
    pretty: Pretty,
    out: Vec<u8>,
}

impl Screen {
    fn new(args: &TailArgs) -> Screen {
        let view = match (args.tree, args.no_follow) {
            (false, _) => View::Lines,
            (true, false) => View::Branch(Branch::default()),
            (true, true) => View::Tree(Tree::default()),
        };
        Screen { view, pretty: Pretty::for_output(&io::stdout()), out: Vec::new() }
    }

    fn show(&mut self, item: Item<'_>) {
        match item {
            Item::Line(line) if line.trim_ascii().is_empty() => {}
            Item::Line(line) | Item::Unfinished(line) => match serde_json::from_slice(line) {
                Ok(event @ Value::Object(_)) => match Format::of(&event) {
                    Some(Format::Ecs) => self.event(&event),
                    // What a search gives back may lack the version.
                    None if event.get("process").or(event.get("event")).is_some() => {
                        self.event(&event);
                    }
                    None => self.unreadable(line, "not an event"),
                    Some(other) => {
                        let what = format!("in format {}; tail reads ecs", other.as_str());
                        self.unreadable(line, &what);
                    }
                },
                Ok(_) => self.unreadable(line, "not an event"),
                Err(_) if matches!(item, Item::Unfinished(_)) => {
                    self.unreadable(line, "unfinished line");
                }
                Err(_) => self.unreadable(line, "not JSON"),
            },
            Item::Cut(line) => self.unreadable(line, "line of more than 4 MiB"),
            Item::Truncated => say(format_args!("the file was truncated; reading it again")),
        }
    }

    fn event(&mut self, event: &Value) {
        let now = Timestamp::now();
        let (pretty, out) = (&self.pretty, &mut self.out);
        match &mut self.view {
            View::Lines => put_line(out, &pretty.line(event, now)),
            View::Branch(branch) => {
                branch.show(event, pretty, now, &mut |line| put_line(out, line));
            }
            View::Tree(tree) => tree.add(event, pretty, now),
        }
    }

    fn unreadable(&mut self, line: &[u8], what: &str) {
        put_line(&mut self.out, &self.pretty.unreadable(line, what));
    }

    /// Prints what could only be printed at the end.
    fn finish(&mut self) {
        if let View::Tree(tree) = std::mem::replace(&mut self.view, View::Lines) {
            tree.print(&mut |line| put_line(&mut self.out, line));
        }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let (count, result) = write_ready(&io::stdout(), &self.out, WRITE_PAUSE_MAX);
        self.out.drain(..count);
        result
    }
}

fn put_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
