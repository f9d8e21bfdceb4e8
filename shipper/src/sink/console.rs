//! The console sink: events on standard output, as lines for people or as JSON.
//!
//! Standard output may be a pipe whose reader stops or goes away, or a terminal that somebody set
//! to non-blocking. So it is written in small pieces, each only when there is room, past the
//! buffer of the standard library: what was written is always known, and a repeat goes on exactly
//! there.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Batch, Outcome, Sink};
use crate::config::model::ConsoleOutput;
use crate::config::settings::ConsoleSettings;
use crate::event::Event;
use crate::format::pretty::Pretty;
use crate::format::{self, Format};

/// One write: what a pipe with any room is sure to take without blocking (PIPE_BUF on Linux).
const WRITE_BYTES_MAX: usize = 4096;
/// How long a reader may pause before the sink gives the batch back. Long enough for a slow
/// terminal, short enough not to hold up the end of the daemon.
const READER_PAUSE_MAX: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Writes events to standard output.
pub struct ConsoleSink<W = io::Stdout> {
    to: W,
    settings: ConsoleSettings,
    /// How long the reader may pause.
    pause_max: Timespec,
    begun: Mutex<Begun>,
}

/// What a `send` that did not come to its end has written. Without it a repeat would show lines
/// twice.
#[derive(Default)]
struct Begun {
    /// Events at the head of the next batch that are written already.
    events: usize,
    /// The rest of a line that was begun; its event is counted.
    torn: Vec<u8>,
}

impl ConsoleSink {
    /// A sink for the standard output of this process.
    #[must_use]
    pub fn new(settings: ConsoleSettings) -> ConsoleSink {
        ConsoleSink::with(io::stdout(), settings, READER_PAUSE_MAX)
    }
}

impl<W: AsFd + anstream::stream::RawStream> ConsoleSink<W> {
    fn with(to: W, settings: ConsoleSettings, pause_max: Timespec) -> ConsoleSink<W> {
        ConsoleSink { to, settings, pause_max, begun: Mutex::default() }
    }

    fn deliver(&self, batch: Batch<'_>) -> Outcome {
        // Anything else of this process that prints takes turns by batch.
        let _turn = io::stdout().lock();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);

        let (count, result) = write_ready(&self.to, &begun.torn, self.pause_max);
        begun.torn.drain(..count);
        if let Err(stop) = result {
            return stop.outcome();
        }

        let ends: Vec<usize> = batch.ends().collect();
        let skip = begun.events.min(ends.len());
        let start = if skip == 0 { 0 } else { ends[skip - 1] };
        let bytes = batch.bytes();
        let (count, result) = write_ready(&self.to, &bytes[start..], self.pause_max);
        if let Err(stop) = result {
            let written = start + count;
            let whole = ends.partition_point(|&end| end <= written);
            let end_of_whole = if whole == 0 { 0 } else { ends[whole - 1] };
            let is_torn = written > start && end_of_whole < written;
            begun.events = begun.events.max(whole) + usize::from(is_torn);
            if is_torn {
                begun.torn.extend_from_slice(&bytes[written..ends[whole]]);
            }
            return stop.outcome();
        }
        // A batch that is shorter than what is written already leaves the rest to the next one.
        begun.events = begun.events.saturating_sub(batch.len());
        Outcome::Sent { position: Vec::new() }
    }
}

#[async_trait::async_trait]
impl<W: AsFd + anstream::stream::RawStream + Send + Sync> Sink for ConsoleSink<W> {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let ConsoleSettings { output, format } = self.settings;
        let start = out.len();
        // Lines for people are made of ECS.
        format::encode(
            if output == ConsoleOutput::Pretty { Format::Ecs } else { format },
            event,
            out,
        );
        if output == ConsoleOutput::Pretty {
            let pretty = Pretty::for_output(&self.to);
            let line = match serde_json::from_slice(&out[start..]) {
                Ok(value) => pretty.line(&value, Timestamp::now()),
                Err(_) => pretty.unreadable(out[start..].trim_ascii_end(), "not JSON"),
            };
            out.truncate(start);
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
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
                Outcome::Retry { cause: self.to_string(), after: None }
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
