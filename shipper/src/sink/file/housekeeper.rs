//! What becomes of rotated files: compressed, kept for a while, removed.
//!
//! It works on names alone and shares nothing with the writer but a bell, so a slow compression
//! never holds up a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::compress::{self, Finished, Pair};
use super::error::FileError;
use super::names::{Kind, Names, Rotated};
use super::{FileSettings, disk};
use crate::config::model::Compress;

/// How often it looks without being rung for: files grow too old, and a compression that failed is
/// tried again.
const INTERVAL: Duration = Duration::from_secs(60);

/// The writer's end: rings when there may be something to do, and ends the housekeeper when dropped.
#[derive(Debug)]
pub(super) struct Bell {
    sender: SyncSender<()>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The sink is gone.
    stop: AtomicBool,
    /// Another process has the file, and with it the rotated ones.
    refused: AtomicBool,
}

impl Bell {
    pub(super) fn ring(&self) {
        // Full means that it has been rung and not been heard yet; the housekeeper gone means that
        // nobody wants one. Neither is the writer's concern.
        let _ = self.sender.try_send(());
    }

    pub(super) fn set_refused(&self, refused: bool) {
        self.state.refused.store(refused, Ordering::Relaxed);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
    }
}

/// Compresses rotated files and removes the old ones.
#[derive(Debug)]
pub struct Housekeeper {
    settings: FileSettings,
    names: Names,
    receiver: Receiver<()>,
    state: Arc<State>,
}

impl Housekeeper {
    pub(super) fn new(settings: FileSettings) -> (Bell, Housekeeper) {
        let (sender, receiver) = sync_channel(1);
        let state = Arc::new(State::default());
        let names = Names::of(&settings.path);
        let bell = Bell { sender, state: Arc::clone(&state) };
        (bell, Housekeeper { settings, names, receiver, state })
    }

    /// Works until the sink is dropped; then it leaves a compression unfinished, which the next
    /// start does anew. Blocks: give it a thread of its own.
    ///
    /// It begins once the sink has opened the file or found no space to, never while another
    /// process holds the file: the rotated files are that one's.
    pub fn run(self) {
        let mut rung = false;
        let mut failing = false;
        loop {
            match self.receiver.recv_timeout(INTERVAL) {
                Ok(()) => rung = true,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !rung || self.state.refused.load(Ordering::Relaxed) {
                continue;
            }
            let stop = || self.state.stop.load(Ordering::Relaxed);
            match self.pass(SystemTime::now(), &stop) {
                Ok(()) => failing = false,
                // Once for as long as it lasts: it is tried every minute.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(path = %self.settings.path.display(), %error,
                        "rotated files are not all compressed or removed; will try again");
                }
                Err(_) => {}
            }
        }
    }

    /// Does all there is to do now. One file that makes trouble does not keep it from the others;
    /// the first error is returned.
    ///
    /// # Errors
    ///
    /// When a file or the directory cannot be read, written or removed.
    pub fn run_once(&self) -> Result<(), FileError> {
        self.pass(SystemTime::now(), &|| false)
    }

    pub(super) fn pass(&self, now: SystemTime, stop: &dyn Fn() -> bool) -> Result<(), FileError> {
        let compressed = match self.settings.compress {
            Compress::Gzip => true,
            Compress::None => false,
        };
        // What is too many or too old need not be compressed first. What is too big must be: it may
        // fit afterwards. Removing comes last whatever else fails, as it is what a full disk needs.
        [
            self.clear_leftovers(stop),
            self.retain(now, u64::MAX),
            if compressed { self.compress_all(stop) } else { Ok(()) },
            self.retain(now, self.settings.keep_bytes),
        ]
        .into_iter()
        .collect()
    }

    /// Tidies up after a crash or a stop in the middle of a compression.
    fn clear_leftovers(&self, stop: &dyn Fn() -> bool) -> Result<(), FileError> {
        let list = self.names.list()?;
        let mut result = Ok(());
        for partial in list.iter().filter(|rotated| rotated.kind == Kind::Partial) {
            result = result.and(self.remove(partial));
        }
        // The list is sorted, so the two of a pair are neighbours.
        for (plain, gzip) in list.iter().zip(list.iter().skip(1)) {
            if plain.at == gzip.at && (plain.kind, gzip.kind) == (Kind::Plain, Kind::Gzip) {
                result = result.and(self.settle_pair(plain, gzip, stop));
            }
        }
        result.and(self.sync_directory())
    }

    fn settle_pair(
        &self,
        plain: &Rotated,
        gzip: &Rotated,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), FileError> {
        match compress::compare(plain, gzip, stop)? {
            Pair::Same => self.remove(plain),
            Pair::Damaged => self.remove(gzip),
            // Nobody's leftover: somebody else put it there. Keep both.
            Pair::Different => self.names.set_aside(&plain.path, plain.at).map(drop),
            Pair::Stopped => Ok(()),
        }
    }

    fn compress_all(&self, stop: &dyn Fn() -> bool) -> Result<(), FileError> {
        let mut result = Ok(());
        let list = self.names.list()?;
        for plain in list.iter().filter(|rotated| rotated.kind == Kind::Plain) {
            match compress::compress(plain, &self.names, stop) {
                Ok(Finished::Done) => {}
                Ok(Finished::Stopped) => break,
                Err(error) => {
                    let no_space = error.is_no_space();
                    result = result.and(Err(error));
                    if no_space {
                        break;
                    }
                }
            }
        }
        result
    }

    /// Removes the oldest files until every limit holds.
    fn retain(&self, now: SystemTime, keep_bytes: u64) -> Result<(), FileError> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let list: Vec<Rotated> = self
            .names
            .list()?
            .into_iter()
            .filter(|rotated| rotated.kind != Kind::Partial)
            .collect();
        let mut bytes: u64 = 0;
        let kept = list
            .iter()
            .rev()
            .take(self.settings.keep_files)
            .take_while(|rotated| {
                bytes = bytes.saturating_add(rotated.len);
                let age = Duration::try_from(now.duration_since(rotated.at)).unwrap_or_default();
                bytes <= keep_bytes && age <= self.settings.keep_age
            })
            .count();
        let mut result = Ok(());
        let doomed = &list[..list.len() - kept];
        for rotated in doomed {
            tracing::info!(path = %rotated.path.display(), "removing a rotated file: past the limits to keep");
            result = result.and(self.remove(rotated));
        }
        if doomed.is_empty() { result } else { result.and(self.sync_directory()) }
    }

    fn remove(&self, rotated: &Rotated) -> Result<(), FileError> {
        disk::remove(&rotated.path).map_err(|error| FileError::new("remove", &rotated.path, error))
    }

    fn sync_directory(&self) -> Result<(), FileError> {
        let directory = self.names.directory();
        disk::sync_directory(directory)
            .map_err(|error| FileError::new("sync the directory", directory, error))
    }
}
