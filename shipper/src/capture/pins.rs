//! Sets of programs and maps that are pinned, and so go on without a process.
//!
//! Each set has a directory of its own: `ring`, `counters`, `left-out`, `limits`, `state`, where there
//! are deny rules `enforcement` and `except-cgroups`, and for each program `prog-NAME` and `link-NAME`.
//! Its name is `gNUMBER-live-pPIN-wWIRE-MODE-FINGERPRINT`: sets are numbered in the
//! order in which they were made; `live` becomes `old` when the links are taken away; PIN is the
//! version of this layout, WIRE that of the records. A set that is being made is called `new-...`.
//! Whatever else a later version changes, it keeps `gNUMBER-`, `ring` and `link-`.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::loaded_links;
use common::wire::WIRE_VERSION;
use sha2::{Digest, Sha256};

use super::bpffs::PinError;
use super::filters::Rules;
use super::{Mode, Options};

/// Where pins are, unless a test says otherwise.
pub const PIN_DIR: &str = "/sys/fs/bpf/shipper";

/// Version of the layout described above, and of the words in `state`.
const PIN_VERSION: u16 = 1;

/// How long the kernel may take to let go of a link whose pin was removed. It takes milliseconds.
const DETACH_LIMIT: Duration = Duration::from_secs(5);

/// How often to look whether it has.
const DETACH_NAP: Duration = Duration::from_millis(2);

/// A set of pins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinSet {
    number: u32,
    live: bool,
    /// What follows in the name: versions, mode, fingerprint.
    made_by: String,
    dir: PathBuf,
}

impl PinSet {
    /// All sets in a directory, in the order in which they were made. What was left half made is
    /// removed: it had not begun.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all(pin_dir: &Path) -> Result<Vec<PinSet>, PinError> {
        let mut sets = Vec::new();
        for name in names(pin_dir)? {
            if name.starts_with("new-") {
                remove(&pin_dir.join(name))?;
            } else {
                sets.extend(PinSet::parse(pin_dir, &name));
            }
        }
        sets.sort();
        Ok(sets)
    }

    /// As [`PinSet::all`], for one who only looks. Empty when the directory is not there.
    #[must_use]
    pub fn present(pin_dir: &Path) -> Vec<PinSet> {
        let names = names(pin_dir).unwrap_or_default();
        names.iter().filter_map(|name| PinSet::parse(pin_dir, name)).collect()
    }

    fn parse(pin_dir: &Path, name: &str) -> Option<PinSet> {
        let (number, rest) = name.strip_prefix('g')?.split_once('-')?;
        let (state, made_by) = rest.split_once('-')?;
        Some(PinSet {
            number: number.parse().ok()?,
            live: state == "live",
            made_by: made_by.to_owned(),
            dir: pin_dir.join(name),
        })
    }

    /// Where its pins are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether its programs are attached.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether this program can read more of it than how many records are in the ring.
    #[must_use]
    pub fn is_of_this_version(&self) -> bool {
        self.made_by.starts_with(&version())
    }

    /// The mode in which it captures, where this version made it for exactly these options.
    #[must_use]
    pub fn mode_if_made_for(&self, fingerprint: &str) -> Option<Mode> {
        if !self.live {
            return None;
        }
        Mode::ALL.into_iter().find(|&mode| self.made_by == made_by(mode, fingerprint))
    }

    /// Detaches its programs, if they are attached, and waits until the kernel has let go of them.
    /// The ring and what is in it stay.
    ///
    /// # Errors
    /// The pins cannot be removed.
    pub fn detach(&mut self) -> Result<(), PinError> {
        if self.live {
            // First the name: a set without all of its links is never taken for a live one.
            let name = format!("g{}-old-{}", self.number, self.made_by);
            let dir = self.dir.with_file_name(name);
            std::fs::rename(&self.dir, &dir).map_err(PinError::on("renaming", &self.dir))?;
            (self.live, self.dir) = (false, dir);
        }
        let mut ids = BTreeSet::new();
        for name in names(&self.dir)?.into_iter().filter(|name| name.starts_with("link-")) {
            let path = self.dir.join(name);
            let pinned = PinnedLink::from_pin(&path);
            if let Some(info) = pinned.ok().and_then(|link| FdLink::from(link).info().ok()) {
                ids.insert(info.id());
            }
            std::fs::remove_file(&path).map_err(PinError::on("removing", &path))?;
        }
        // The kernel lets go a moment after the pin is gone, and does not say when.
        let deadline = Instant::now() + DETACH_LIMIT;
        while loaded_links().flatten().any(|link| ids.contains(&link.id())) {
            if Instant::now() >= deadline {
                tracing::warn!("the kernel does not let go of programs that were detached");
                break;
            }
            std::thread::sleep(DETACH_NAP);
        }
        Ok(())
    }

    /// Removes every pin of it.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn remove(&self) -> Result<(), PinError> {
        remove(&self.dir)
    }
}

/// A set that is being made. Taken back when it is dropped unfinished.
pub struct NewSet {
    dir: PathBuf,
    finished: bool,
}

impl NewSet {
    /// Begins one.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn begin(pin_dir: &Path) -> Result<NewSet, PinError> {
        let dir = pin_dir.join("new-set");
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(PinError::on("making", &dir))?;
        Ok(NewSet { dir, finished: false })
    }

    /// Where to put its pins.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything is pinned: it counts from now on, as the newest.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn finish(
        mut self,
        mode: Mode,
        fingerprint: &str,
        older: &[PinSet],
    ) -> Result<(), PinError> {
        let number = older.iter().map(|set| set.number).max().unwrap_or(0) + 1;
        let name = format!("g{number}-live-{}", made_by(mode, fingerprint));
        std::fs::rename(&self.dir, self.dir.with_file_name(name))
            .map_err(PinError::on("renaming", &self.dir))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for NewSet {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = remove(&self.dir)
        {
            tracing::warn!("{error}");
        }
    }
}

/// What a set of programs was made from and for: another set with the same does the same.
#[must_use]
pub fn fingerprint(
    object: &[u8],
    options: &Options,
    layout_words: &[u32],
    rules: &Rules,
    cpus: u32,
) -> String {
    let mut hash = Sha256::new();
    hash.update(object);
    let numbers = [
        options.ring_buffer_bytes,
        options.argv_bytes_max,
        options.env_bytes_max,
        options.failures.word(),
        u32::from(options.syscall_tracepoints),
        cpus,
    ];
    for number in numbers.iter().chain(layout_words) {
        hash.update(number.to_le_bytes());
    }
    for word in rules.identity() {
        hash.update(word.to_le_bytes());
    }
    hash.update(options.mode.map_or("auto", Mode::as_str));
    if let Some(enforce) = &options.enforce {
        enforce.fingerprint(&mut hash);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn version() -> String {
    format!("p{PIN_VERSION}-w{WIRE_VERSION}-")
}

fn made_by(mode: Mode, fingerprint: &str) -> String {
    format!("{}{}-{fingerprint}", version(), mode.as_str())
}

fn names(dir: &Path) -> Result<Vec<String>, PinError> {
    let entries = std::fs::read_dir(dir).map_err(PinError::on("reading", dir))?;
    entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(PinError::on("reading", dir))
}

fn remove(dir: &Path) -> Result<(), PinError> {
    for name in names(dir)? {
        let path = dir.join(name);
        std::fs::remove_file(&path).map_err(PinError::on("removing", &path))?;
    }
    std::fs::remove_dir(dir).map_err(PinError::on("removing", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Deny, DenyRule, Enforce, Failures, Filters};

    fn set(name: &str) -> Option<PinSet> {
        PinSet::parse(Path::new("/pins"), name)
    }

    #[test]
    fn a_set_is_taken_over_only_when_made_for_the_same() {
        let name = format!("g7-live-{}", made_by(Mode::Tracepoint, "0123"));
        let live = set(&name).expect("a set");
        assert_eq!(live.mode_if_made_for("0123"), Some(Mode::Tracepoint));
        assert_eq!(live.mode_if_made_for("0124"), None);
        let old = set(&name.replace("live", "old")).expect("a set");
        assert_eq!(old.mode_if_made_for("0123"), None);
        assert!(old.is_of_this_version());
        let this = format!("-w{}-", common::wire::WIRE_VERSION);
        let other = set(&name.replace(&this, "-w0-")).expect("a set");
        assert_eq!(other.mode_if_made_for("0123"), None);
        assert!(!other.is_of_this_version());
    }

    #[test]
    fn sets_are_in_the_order_in_which_they_were_made() {
        let mut sets: Vec<_> =
            ["g10-live-x", "g9-live-y", "g2-old-z"].into_iter().filter_map(set).collect();
        sets.sort();
        let numbers: Vec<_> = sets.iter().map(|set| set.number).collect();
        assert_eq!(numbers, [2, 9, 10]);
        assert_eq!(set("new-set"), None);
        assert_eq!(set("gx-live-y"), None);
        assert_eq!(set("somebody-else"), None);
    }

    #[test]
    fn other_options_make_another_fingerprint() {
        let options = Options::default();
        let rules = |options: &Options| Rules::prepare(&options.filters).expect("they fit");
        let fingerprint = |object: &[u8], options: &Options, words: &[u32], cpus| {
            super::fingerprint(object, options, words, &rules(options), cpus)
        };
        let base = fingerprint(b"object", &options, &[1], 2);
        let small = Options { ring_buffer_bytes: 4096, ..options.clone() };
        let mode = Options { mode: Some(Mode::Lsm), ..options.clone() };
        let failures = Options { failures: Failures::All, ..options.clone() };
        let enforce = |keep, uid| {
            let rule = DenyRule {
                id: "r".to_owned(),
                deny: Deny::Memfd,
                path_prefix: None,
                except_uids: vec![uid],
                except_cgroups: Vec::new(),
            };
            let enforce = Enforce { rules: vec![rule], dry_run: true, keep };
            fingerprint(b"object", &Options { enforce: Some(enforce), ..options.clone() }, &[1], 2)
        };
        assert_eq!(enforce(true, 1), enforce(true, 1));
        assert_ne!(enforce(true, 1), enforce(false, 1));
        assert_ne!(enforce(true, 1), enforce(true, 2));
        let env = Options { env_bytes_max: 4096, ..options.clone() };
        let tracepoints = Options { syscall_tracepoints: true, ..options.clone() };
        let filters = Filters { uids: vec![7..=7], ..Filters::default() };
        let filtered = Options { filters, ..options.clone() };
        for other in [
            enforce(true, 1),
            fingerprint(b"other", &options, &[1], 2),
            fingerprint(b"object", &small, &[1], 2),
            fingerprint(b"object", &mode, &[1], 2),
            fingerprint(b"object", &failures, &[1], 2),
            fingerprint(b"object", &env, &[1], 2),
            fingerprint(b"object", &tracepoints, &[1], 2),
            fingerprint(b"object", &filtered, &[1], 2),
            fingerprint(b"object", &options, &[2], 2),
            fingerprint(b"object", &options, &[1], 3),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(base, fingerprint(b"object", &options, &[1], 2));
    }
}
