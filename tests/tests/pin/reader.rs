//! A reader of pinned capture, what it stores, and a bpf file system of its own for each test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail};
use common::decode::{Record, decode};
use common::wire::RecordKind;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use shipper::capture::{Capture, CaptureError, Lost, Mode, Options, Reading};
use shipper_tests::{daemon, skip, tiny};

/// Execs of which capture makes records that are no events: one canary for the one mode tried.
pub const CANARIES: u64 = 1;

/// A bpf file system. What is pinned there is gone when it is dropped.
pub struct Bpffs {
    /// Where it is mounted; removed after it is unmounted, when fields are dropped.
    place: tempfile::TempDir,
    program: PathBuf,
    /// Where the program is.
    files: tempfile::TempDir,
}

impl Bpffs {
    /// `None`, and the test is skipped, where capture or mounting is not allowed.
    pub fn mount() -> Result<Option<Bpffs>> {
        if !rustix::process::geteuid().is_root() {
            skip("capture needs root");
            return Ok(None);
        }
        if let Err(error @ (CaptureError::Load { .. } | CaptureError::Attach { .. })) =
            Capture::start(&Bpffs::options_anywhere_unpinned())
        {
            skip(&error.to_string());
            return Ok(None);
        }
        let (place, files) = (daemon::directory()?, daemon::directory()?);
        let program = files.path().join("no-op");
        tiny::write(&program, &tiny::ends_at_once(), 0o755)?;
        if let Err(error) = mount("bpf", place.path(), "bpf", MountFlags::empty(), None) {
            skip(&format!("no file system may be mounted here: {error}"));
            return Ok(None);
        }
        Ok(Some(Bpffs { place, program, files }))
    }

    fn options_anywhere_unpinned() -> Options {
        Options { pin: false, ..Bpffs::options_anywhere() }
    }

    /// Pinned, in the mode that works everywhere.
    pub fn options_anywhere() -> Options {
        Options {
            mode: Some(Mode::Tracepoint),
            pin: true,
            canary: "/bin/true".into(),
            ..Options::default()
        }
    }

    /// Pinned here.
    pub fn options(&self) -> Options {
        Options { pin_dir: self.place.path().join("shipper"), ..Bpffs::options_anywhere() }
    }

    /// Executes a program that does nothing with this mark and each of these numbers.
    pub fn storm(&self, mark: &str, first: u32, count: u32) -> Result<()> {
        assert!(self.begin_storm(mark, first, count)?.wait()?.success());
        Ok(())
    }

    /// Begins the same.
    pub fn begin_storm(&self, mark: &str, first: u32, count: u32) -> Result<Child> {
        Ok(Command::new(env!("CARGO_BIN_EXE_exec_helper"))
            .arg("storm")
            .args([self.program.as_os_str(), mark.as_ref()])
            .args([first.to_string(), count.to_string()])
            .spawn()?)
    }

    /// Executes it with this number once on every CPU.
    pub fn execute_on_each_cpu(&self, mark: &str, number: u32) -> Result<()> {
        for cpu in 0..cpus()? {
            let status = Command::new(env!("CARGO_BIN_EXE_exec_helper"))
                .args(["on-cpu", &cpu.to_string()])
                .arg(&self.program)
                .args([mark, &number.to_string()])
                .status()?;
            assert!(status.success());
        }
        Ok(())
    }

    /// Executes it as this user so often, by a shell: no filter holds for children of whoever
    /// captures, which is this process.
    pub fn execute_as(&self, user: u32, count: u32) -> Result<()> {
        for _ in 0..count {
            let status = Command::new("sh")
                .args(["-c", r#""$@"; :"#, "sh", env!("CARGO_BIN_EXE_exec_helper")])
                .args(["as", &user.to_string()])
                .arg(&self.program)
                .status()?;
            assert!(status.success());
        }
        Ok(())
    }

    /// A directory for what a test writes.
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    /// Names of the sets of pins.
    pub fn sets(&self) -> Result<Vec<String>> {
        names(&self.options().pin_dir)
    }

    /// Ids of the pinned programs.
    pub fn programs(&self) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for set in self.sets()? {
            let dir = self.options().pin_dir.join(set);
            for name in names(&dir)?.iter().filter(|name| name.starts_with("prog-")) {
                ids.push(aya::programs::ProgramInfo::from_pin(dir.join(name))?.id());
            }
        }
        assert!(ids.len() >= 3, "{ids:?}");
        Ok(ids)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.place.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.place.path().display());
        }
    }
}

/// CPUs, numbered from zero.
fn cpus() -> Result<u32> {
    Ok(u32::try_from(std::thread::available_parallelism()?.get())?)
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Whether the kernel has a program of this id.
pub fn is_loaded(id: u32) -> bool {
    aya::programs::loaded_programs().flatten().any(|program| program.id() == id)
}

/// Waits until the kernel has none of these any more: it lets go a moment after the last pin.
pub fn await_unloaded(ids: &[u32]) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ids.iter().any(|&id| is_loaded(id)) {
        assert!(std::time::Instant::now() < deadline, "programs {ids:?} stay loaded");
        std::thread::yield_now();
    }
}

/// What was read.
#[derive(Clone)]
enum Entry {
    Exec { mark: String, number: Option<u32>, cpu: u32, sequence: u64 },
    Lost(RecordKind, u64),
}

impl Entry {
    /// As it stands in a file: `e,MARK,NUMBER,CPU,SEQUENCE` or `l,KIND,COUNT`.
    fn to_text(&self) -> String {
        match self {
            Entry::Exec { mark, number, cpu, sequence } => {
                let mark: String = mark.chars().filter(char::is_ascii_alphanumeric).collect();
                format!("e,{mark},{},{cpu},{sequence};", number.map_or(-1, i64::from))
            }
            Entry::Lost(kind, count) => format!("l,{},{count};", *kind as u16),
        }
    }

    fn from_text(text: &str) -> Option<Entry> {
        let words: Vec<&str> = text.split(',').collect();
        match words[..] {
            ["e", mark, number, cpu, sequence] => Some(Entry::Exec {
                mark: mark.to_owned(),
                number: number.parse().ok(),
                cpu: cpu.parse().ok()?,
                sequence: sequence.parse().ok()?,
            }),
            ["l", kind, count] => {
                Some(Entry::Lost(RecordKind::ALL[kind.parse::<usize>().ok()?], count.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// What is stored, with the mark beside it; the rest is forgotten by a crash.
#[derive(Default)]
pub struct Spool {
    stored: Vec<Entry>,
    mark: Vec<u8>,
    /// Read, with where their records begin.
    waiting: VecDeque<(u64, Entry)>,
    /// What goes into the next block, whatever waits.
    pending: Vec<Entry>,
    blocks: usize,
    /// Where what is stored is written as well: a line a block, `MARK;ENTRIES`.
    file: Option<std::fs::File>,
}

impl Spool {
    /// In a file, with what earlier processes stored there. A line that was cut short by a kill is
    /// taken away, as a torn block is.
    pub fn in_file(path: &Path) -> Result<Spool> {
        use std::io::Read as _;
        let mut file =
            std::fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?;
        let mut spool = Spool::default();
        for line in text[..whole].lines() {
            let (mark, entries) = line.split_once(';').context("a block")?;
            spool.mark = (0..mark.len() / 2)
                .map(|at| u8::from_str_radix(&mark[2 * at..2 * at + 2], 16))
                .collect::<Result<_, _>>()?;
            spool.blocks += 1;
            let entries = entries.split_terminator(';');
            spool.stored.extend(entries.map(|text| Entry::from_text(text).expect("an entry")));
        }
        spool.file = Some(file);
        Ok(spool)
    }

    /// Writes what was read, with the reader's mark.
    pub fn store(&mut self, reader: &Reader) {
        self.store_but(reader, 0);
    }

    /// Writes what was read but for the last so many, and all losses. Returns where those begin.
    fn store_but(&mut self, reader: &Reader, kept: usize) -> Option<u64> {
        let stored = self.waiting.len().saturating_sub(kept);
        self.pending.extend(self.waiting.drain(..stored).map(|(_, entry)| entry));
        let kept = self.waiting.front().map(|(position, _)| *position);
        self.mark = reader.capture.mark(kept).to_vec();
        if let Some(file) = &mut self.file {
            let mark: String = self.mark.iter().map(|byte| format!("{byte:02x}")).collect();
            let entries: String = self.pending.iter().map(Entry::to_text).collect();
            std::io::Write::write_all(file, format!("{mark};{entries}\n").as_bytes())
                .expect("written");
        }
        self.stored.append(&mut self.pending);
        kept
    }

    /// How often something was stored.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// What was not written is gone.
    pub fn crash(&mut self) {
        self.waiting.clear();
        self.pending.clear();
    }

    /// The numbers stored with this mark, each exactly once.
    pub fn numbers(&self, wanted: &str) -> BTreeSet<u32> {
        let mut numbers = BTreeSet::new();
        for entry in &self.stored {
            if let Entry::Exec { mark, number: Some(number), .. } = entry
                && mark == wanted
            {
                assert!(numbers.insert(*number), "number {number} of {wanted} twice");
            }
        }
        numbers
    }

    /// Where programs with this mark and number were executed.
    fn cpus(&self, wanted: &str, wanted_number: u32) -> BTreeSet<u32> {
        let cpus = self.stored.iter().filter_map(|entry| match entry {
            Entry::Exec { mark, number, cpu, .. } => {
                (mark == wanted && *number == Some(wanted_number)).then_some(*cpu)
            }
            Entry::Lost(..) => None,
        });
        cpus.collect()
    }

    /// Exactly these numbers are stored with this mark.
    pub fn assert_all(&self, mark: &str, wanted: std::ops::Range<u32>) {
        let (numbers, wanted) = (self.numbers(mark), wanted.collect::<BTreeSet<_>>());
        let missing: Vec<_> = wanted.difference(&numbers).collect();
        assert!(missing.is_empty(), "{} of {mark} are missing: {missing:?}", missing.len());
        assert_eq!(numbers.difference(&wanted).next(), None, "of {mark}");
    }

    /// Records of this kind stored as lost.
    pub fn lost(&self, wanted: RecordKind) -> u64 {
        let lost = self.stored.iter().filter_map(|entry| match entry {
            Entry::Lost(kind, count) if *kind == wanted => Some(*count),
            _ => None,
        });
        lost.sum()
    }

    pub fn assert_no_loss(&self) {
        for kind in RecordKind::ALL {
            assert_eq!(self.lost(kind), 0, "{kind:?}");
        }
    }

    /// Execs that took a number below the highest of their CPU and were not stored, of all programs
    /// of the machine.
    pub fn missing_execs(&self) -> u64 {
        let mut numbers: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        for entry in &self.stored {
            if let Entry::Exec { cpu, sequence, .. } = entry {
                let new = numbers.entry(*cpu).or_default().insert(*sequence);
                assert!(new, "number {sequence} of CPU {cpu} twice");
            }
        }
        numbers.values().map(|numbers| numbers.last().unwrap_or(&0) - numbers.len() as u64).sum()
    }
}

/// Capture as the daemon uses it.
pub struct Reader {
    capture: Capture,
}

impl Reader {
    /// Starts or takes over, and goes on after what is stored.
    pub fn start(options: &Options, spool: &mut Spool) -> Result<Reader, CaptureError> {
        spool.crash();
        let mut capture = Capture::start(options)?;
        capture.resume(&spool.mark)?;
        Ok(Reader { capture })
    }

    /// Reads at most so many records. False when there is none any more.
    pub fn read(&mut self, spool: &mut Spool, count: usize) -> bool {
        let waiting = &mut spool.waiting;
        (0..count).all(|_| {
            let capture = &mut self.capture;
            capture.next(|bytes, at| {
                waiting.extend(entry(bytes).map(|entry| (at.position, entry)));
            })
        })
    }

    /// Reads what there is.
    pub fn read_all(&mut self, spool: &mut Spool) {
        while self.read(spool, usize::MAX) {}
    }

    /// Accounts for losses.
    pub fn account(&mut self, spool: &mut Spool, reading: Reading) -> Result<()> {
        let losses = self.capture.losses(0, reading)?;
        spool
            .pending
            .extend(losses.iter().map(|Lost { gap, .. }| Entry::Lost(gap.kind, gap.count)));
        Ok(())
    }

    /// Reads the rings of programs that were replaced, and accounts for them.
    pub fn read_old(&mut self, spool: &mut Spool) -> Result<()> {
        self.read_all(spool);
        self.account(spool, Reading::Empty)
    }

    /// Reads, stores and releases, block by block, until killed. Of what was read, up to so many wait
    /// each time for a later block, as events do for a hash: from none on, and over again.
    pub fn read_until_killed(&mut self, spool: &mut Spool, kept_max: usize) -> Result<()> {
        for kept in (0..=kept_max).cycle() {
            let emptied = !self.read(spool, 50);
            self.account(spool, if emptied { Reading::Empty } else { Reading::Backlog })?;
            if emptied & !self.store(spool, kept) {
                self.capture.wait(std::time::Duration::from_secs(60))?;
            }
        }
        Ok(())
    }

    /// Stores what was read but for the last so many, which wait in the ring, and all losses. Whether
    /// something waits.
    pub fn store(&mut self, spool: &mut Spool, kept: usize) -> bool {
        let kept = spool.store_but(self, kept);
        self.capture.release(kept);
        kept.is_some()
    }

    /// Goes on until the last number of each CPU is known and every loss is below it. The machine's
    /// other programs fill the ring, too, and may push out what shows it.
    pub fn settle(&mut self, spool: &mut Spool, pins: &Bpffs) -> Result<()> {
        for round in 0..1000 {
            self.drain(spool)?;
            let before = RecordKind::ALL.map(|kind| spool.lost(kind));
            pins.execute_on_each_cpu("last", round)?;
            self.drain(spool)?;
            let shown = spool.cpus("last", round).len() == cpus()? as usize;
            if shown && before == RecordKind::ALL.map(|kind| spool.lost(kind)) {
                return Ok(());
            }
        }
        bail!("the machine does not come to rest")
    }

    /// Reads and stores everything, twice: once for an older ring, once for the newest.
    pub fn drain(&mut self, spool: &mut Spool) -> Result<()> {
        for _ in 0..2 {
            self.read_all(spool);
            self.account(spool, Reading::Empty)?;
            self.store(spool, 0);
        }
        Ok(())
    }
}

fn entry(record: &[u8]) -> Option<Entry> {
    let Record::Exec(exec) = decode(record).expect("a record that makes sense") else {
        return None;
    };
    let mut args = exec.bytes(exec.exec.argv).split(|&byte| byte == 0).skip(1);
    let mut text = || String::from_utf8_lossy(args.next().unwrap_or_default()).into_owned();
    Some(Entry::Exec {
        mark: text(),
        number: text().parse().ok(),
        cpu: exec.header.cpu,
        sequence: exec.header.sequence,
    })
}
