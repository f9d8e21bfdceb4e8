//! The file being written, through its rotations and whatever others do to it.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use super::FileSettings;
use super::disk::{self, FileId};
use super::error::FileError;
use super::housekeeper::Bell;
use super::lines::{AppendError, Lines};
use super::names::{self, Names};
use super::open;
use super::position::{self, Place, Tail};
use crate::fault;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// Its lines are in the files, durably, and only once.
    Whole,
    /// Nothing was done: the position must be saved first.
    AfterCheckpoint,
}

/// Appends batches of whole lines to the file at a path.
#[derive(Debug)]
pub(super) struct Writer {
    settings: FileSettings,
    names: Names,
    current: Option<Current>,
    /// Lines of a run before that come again, oldest first.
    already: VecDeque<Tail>,
    /// The position that is known to be saved.
    saved: Vec<Place>,
    /// The time the last rotated file is named for. The next one is named later, also when the
    /// clock was set back: it could else take a name that compression is just giving up.
    last_rotation: Option<Timestamp>,
    bell: Bell,
}

#[derive(Debug)]
struct Current {
    lines: Lines<File>,
    id: FileId,
    /// The file, as positions name it.
    place: Place,
    begun: SystemTime,
}

impl Writer {
    pub(super) fn new(settings: FileSettings, bell: Bell) -> Writer {
        let names = Names::of(&settings.path);
        Writer {
            settings,
            names,
            current: None,
            already: VecDeque::new(),
            saved: Vec::new(),
            last_rotation: None,
            bell,
        }
    }

    /// Goes on from a saved position: what the files hold beyond it is not written again.
    pub(super) fn resume(&mut self, bytes: &[u8]) {
        let path = &self.settings.path;
        let Some(places) = position::from_bytes(bytes) else {
            if !bytes.is_empty() {
                tracing::warn!(path = %path.display(),
                    "the saved position cannot be understood: the last lines may come twice");
            }
            return;
        };
        self.already.clear();
        for place in &places {
            match Tail::find(path, *place) {
                Ok(tail) => self.already.extend(tail),
                Err(error) => tracing::warn!(path = %path.display(), %error,
                    "what was written last cannot be read: the last lines may come twice"),
            }
        }
        self.saved = places;
    }

    /// Where the sink stands: all before is acknowledged once the batch that was appended last is.
    pub(super) fn position(&self) -> Vec<u8> {
        position::to_bytes(&self.places())
    }

    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.already.iter().map(|tail| tail.place).collect();
        if let Some(current) = &self.current
            && places.last().is_none_or(|last| !last.is_in_file_of(&current.place))
        {
            places.push(current.place.at(current.lines.len()));
        }
        places
    }

    /// Whether the position as it is now was saved. If not, it will be before the next call.
    fn is_saved(&mut self, how: impl FnOnce(&[Place], &[Place]) -> bool) -> bool {
        let places = self.places();
        if how(&self.saved, &places) {
            return true;
        }
        self.saved = places;
        false
    }

    /// Appends whole lines and syncs them; on an error the file is as it was before.
    ///
    /// A batch goes into one file: that may grow past its limit by one batch, if it was empty.
    pub(super) fn append(&mut self, lines: &[u8], now: SystemTime) -> Result<Appended, FileError> {
        let result = self.try_append(lines, now);
        if result.as_ref().is_err_and(FileError::is_no_space) {
            self.bell.ring();
        }
        result
    }

    fn try_append(&mut self, lines: &[u8], now: SystemTime) -> Result<Appended, FileError> {
        self.follow(now)?;
        let matches = self.matches(lines)?;
        let rest = &lines[matches.iter().sum()..];
        if !rest.is_empty() {
            if self.is_rotation_due(rest.len() as u64, now) {
                // Moved away, a file may soon be compressed, and is then another one.
                if !self.is_saved(|saved, now| saved == now) {
                    return Ok(Appended::AfterCheckpoint);
                }
                self.rotate(now)?;
                self.follow(now)?;
            }
            // A crash must not leave lines in a file that no position leads to.
            if !self.is_saved(|saved, now| match (saved.last(), now.last()) {
                (Some(saved), Some(now)) => saved.is_in_file_of(now),
                _ => false,
            }) {
                return Ok(Appended::AfterCheckpoint);
            }
            let current = self.current.as_mut().expect("`follow` has opened it");
            current.lines.append(rest).map_err(|AppendError { action, source }| {
                FileError::new(action, &self.settings.path, source)
            })?;
        }
        self.take(&matches, rest.is_empty());
        Ok(Appended::Whole)
    }

    /// How many bytes of the lines each of the tails holds, in their order.
    fn matches(&self, lines: &[u8]) -> Result<Vec<usize>, FileError> {
        let mut matches = Vec::new();
        let mut from = 0;
        for tail in &self.already {
            let count = tail
                .matching(&lines[from..])
                .map_err(|error| FileError::new("read", &self.settings.path, error))?;
            matches.push(count);
            from += count;
        }
        Ok(matches)
    }

    /// The batch is in the files. Where it went beyond the tails they are done with, also when they
    /// hold other lines than ours.
    fn take(&mut self, matches: &[usize], within: bool) {
        if !within {
            self.already.clear();
            return;
        }
        for (tail, count) in self.already.iter_mut().zip(matches) {
            tail.advance(*count);
        }
        while self.already.front().is_some_and(Tail::is_done) {
            self.already.pop_front();
        }
    }

    /// Makes sure that what is open is the file at the path, with whole lines, and opens that where
    /// it is not.
    pub(super) fn follow(&mut self, now: SystemTime) -> Result<(), FileError> {
        let path = &self.settings.path;
        if let Some(current) = &mut self.current {
            let repaired = current.lines.repair();
            let named = disk::look(path).map_err(|error| FileError::new("examine", path, error))?;
            match named {
                Some(named) if FileId::of(&named) == current.id => {
                    repaired.map_err(|AppendError { action, source }| {
                        FileError::new(action, path, source)
                    })?;
                    if named.len() != current.lines.len() {
                        current.settle(path, named.len(), now)?;
                    }
                    return Ok(());
                }
                _ => {
                    if let Err(AppendError { source, .. }) = repaired {
                        tracing::warn!(path = %path.display(), error = %source,
                            "the file moved away may end with a torn line");
                    }
                    tracing::info!(path = %path.display(), "moved away: going on in a new file");
                    self.current = None;
                }
            }
        }
        self.current = Some(open_at(path, now, &self.bell)?);
        Ok(())
    }

    /// Lets go of the file; the next batch opens what stands at the path by then.
    pub(super) fn close(&mut self) -> Result<(), FileError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        current.lines.repair().map_err(|AppendError { action, source }| {
            FileError::new(action, &self.settings.path, source)
        })
    }

    fn is_rotation_due(&self, adding: u64, now: SystemTime) -> bool {
        let Some(Current { lines, begun, .. }) = &self.current else {
            return false;
        };
        // A clock that was set back makes a file no older.
        let age = now.duration_since(*begun).unwrap_or_default();
        lines.is_suspect()
            || lines.len() > 0
                && (lines.len().saturating_add(adding) > self.settings.rotate_bytes
                    || age >= self.settings.rotate_interval)
    }

    fn rotate(&mut self, now: SystemTime) -> Result<(), FileError> {
        // An empty file only gets here when a sync failed: a new descriptor is all it needs.
        if self.current.as_ref().is_some_and(|current| current.lines.len() > 0) {
            let at = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
            let at = self.last_rotation.map_or(at, |last| at.max(names::next(last)));
            let path = &self.settings.path;
            let failed = |error| FileError::new("rotate", path, error);
            fault::point("file.rotate").map_err(failed)?;
            self.last_rotation = Some(self.names.set_aside(path, at)?);
            fault::point("file.rotate.after").map_err(failed)?;
        }
        self.current = None;
        Ok(())
    }
}

impl Current {
    /// Somebody else cut the file or wrote to it.
    fn settle(&mut self, path: &Path, len: u64, now: SystemTime) -> Result<(), FileError> {
        tracing::warn!(path = %path.display(), expected = self.lines.len(), found = len,
            "the length of the file was changed by another process");
        let len = open::settle_tail(self.lines.file(), path, len)?;
        self.lines.resume_at(len);
        if len == 0 {
            self.begun = now;
        }
        Ok(())
    }
}

fn open_at(path: &Path, now: SystemTime, bell: &Bell) -> Result<Current, FileError> {
    let opened = open::open(path, now);
    bell.set_refused(matches!(opened, Err(FileError::Locked { .. })));
    let open::Opened { file, id, place, len, begun } = opened?;
    // An opened file means a start or a rotation: there may be something to compress or remove.
    bell.ring();
    Ok(Current { lines: Lines::new(file, len), id, place, begun })
}

#[cfg(test)]
mod tests {
    use super::super::housekeeper::Housekeeper;
    use super::super::tests::{append_at, lines, numbers, settings};
    use super::*;

    #[test]
    fn a_file_whose_sync_failed_is_rotated_away_before_the_next_batch() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let (bell, _housekeeper) = Housekeeper::new(settings.clone());
        let mut writer = Writer::new(settings.clone(), bell);
        append_at(&mut writer, &lines(0..10), SystemTime::now()).expect("appended");
        writer.current.as_mut().expect("open").lines.distrust();
        append_at(&mut writer, &lines(10..20), SystemTime::now()).expect("appended");
        assert_eq!(writer.names.list().expect("listed").len(), 1);
        assert_eq!(numbers(&settings), (0..20).collect::<Vec<_>>());
    }
}
