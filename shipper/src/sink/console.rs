//! The console sink: events on standard output, as lines for people or as JSON.
//!
//! Standard output may be a pipe whose reader stops or goes away, or a terminal that somebody set
//! to non-blocking. So it is written in small pieces, each only when there is room, past the
//! buffer of the standard library: what was written is always known, and a repeat goes on exactly
//! there.

use std::io;
use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Batch, Outcome, Sink};
use crate::config::model::ConsoleOutput;
use crate::event::Event;
use crate::format::ecs;
use crate::format::pretty::Pretty;

/// One write: what a pipe with any room is sure to take without blocking (PIPE_BUF on Linux).
const WRITE_BYTES_MAX: usize = 4096;
/// How long a reader may pause before the sink gives the batch back. Long enough for a slow
/// terminal, short enough not to hold up the end of the daemon.
const READER_PAUSE_MAX: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Writes events to standard output.
pub struct ConsoleSink<W = io::Stdout> {
    to: W,
    output: ConsoleOutput,
    /// How long the reader may pause.
    pause_max: Timespec,
    /// Events at the head of the next batch that are written already, by a `send` that did not
    /// come to its end. Without them a repeat would show lines twice.
    written: usize,
    /// The rest of a line that was begun; its event is counted in `written`.
    torn: Vec<u8>,
}

impl ConsoleSink {
    /// A sink for the standard output of this process.
    #[must_use]
    pub fn new(output: ConsoleOutput) -> ConsoleSink {
        ConsoleSink::with(io::stdout(), output, READER_PAUSE_MAX)
    }
}

impl<W: AsFd + anstream::stream::RawStream> ConsoleSink<W> {
    fn with(to: W, output: ConsoleOutput, pause_max: Timespec) -> ConsoleSink<W> {
        ConsoleSink { to, output, pause_max, written: 0, torn: Vec::new() }
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        // Two console sinks, or anything else of this process that prints, take turns by batch.
        let _turn = io::stdout().lock();

        let (count, result) = write_ready(&self.to, &self.torn, self.pause_max);
        self.torn.drain(..count);
        if let Err(stop) = result {
            return stop.outcome();
        }

        let fresh = batch.get(self.written..).unwrap_or_default();
        let (bytes, ends) = self.encode(fresh.iter().map(AsRef::as_ref));
        let (count, result) = write_ready(&self.to, &bytes, self.pause_max);
        if let Err(stop) = result {
            let whole = ends.partition_point(|&end| end <= count);
            let begun = if whole == 0 { 0 } else { ends[whole - 1] } < count;
            self.written += whole + usize::from(begun);
            if begun {
                self.torn.extend_from_slice(&bytes[count..ends[whole]]);
            }
            return stop.outcome();
        }
        // A batch that is shorter than what is written already leaves the rest to the next one.
        self.written = self.written.saturating_sub(batch.len());
        Outcome::Sent
    }

    /// The lines of the events, and where each ends.
    fn encode<'a>(&self, events: impl Iterator<Item = &'a Event>) -> (Vec<u8>, Vec<usize>) {
        let pretty = Pretty::for_output(&self.to);
        let now = Timestamp::now();
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for event in events {
            let start = bytes.len();
            ecs::encode(event, &mut bytes);
            if self.output == ConsoleOutput::Pretty {
                let line = match serde_json::from_slice(&bytes[start..]) {
                    Ok(value) => pretty.line(&value, now),
                    Err(_) => pretty.unreadable(bytes[start..].trim_ascii_end(), "not JSON"),
                };
                bytes.truncate(start);
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }
}

#[async_trait::async_trait]
impl<W: AsFd + anstream::stream::RawStream + Send> Sink for ConsoleSink<W> {
    async fn send(&mut self, batch: &Batch) -> Outcome {
        tokio::task::block_in_place(|| self.deliver(batch))
    }
}

/// Why a write came to no end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Nobody will ever read what is written.
    #[error("the reader of standard output is gone")]
    ReaderGone,
    /// The reader has not read for a while; it may again.
    #[error("standard output is not being read")]
    ReaderPaused,
    /// Anything else, such as a full disk behind a redirection.
    #[error("cannot write to standard output: {0}")]
    Failed(io::Error),
}

impl Stop {
    fn outcome(self) -> Outcome {
        match self {
            Stop::ReaderGone => Outcome::Blocked {
                cause: format!(
                    "{self}: the program behind the pipe has ended. Start shipper again with a \
                     reader, or take the console sink out of the configuration"
                ),
            },
            Stop::ReaderPaused | Stop::Failed(_) => {
                Outcome::Retry { after: None, reason: self.to_string() }
            }
        }
    }
}

/// Writes all of `bytes`, waiting for room for as long as `pause_max` each time. Returns how many
/// are written, whatever stopped it.
pub fn write_ready(to: &impl AsFd, bytes: &[u8], pause_max: Timespec) -> (usize, Result<(), Stop>) {
    let mut count = 0;
    while count < bytes.len() {
        let mut room = [PollFd::new(to, PollFlags::OUT)];
        match poll(&mut room, Some(&pause_max)) {
            Ok(0) => return (count, Err(Stop::ReaderPaused)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return (count, Err(Stop::Failed(errno.into()))),
        }
        let end = bytes.len().min(count + WRITE_BYTES_MAX);
        match rustix::io::write(to, &bytes[count..end]) {
            Ok(written) => count += written,
            // Poll said there is room; somebody else took it.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::PIPE) => return (count, Err(Stop::ReaderGone)),
            Err(errno) => return (count, Err(Stop::Failed(errno.into()))),
        }
    }
    (count, Ok(()))
}

#[cfg(test)]
mod tests;
