//! The boots: one guest a kernel, everything it handed out, and how the tests look at it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use shipper_tests::behaviours::{self, Cell, Cgroups, Place, Plan, Results, Row, version};
use shipper_tests::guest::{self, Guest, GuestRun};
use shipper_tests::{skip, tiny};

/// Far above the minutes that the slowest takes under software emulation, for a busy machine.
const LIMIT: Duration = Duration::from_secs(1500);

const SERIES_ALWAYS: &str = "6.1 5.10";
const SERIES_IF_FETCHED: [&str; 2] = ["6.12", "newest"];

/// A kernel and how it is booted.
#[derive(Clone, Copy)]
pub struct Boot {
    pub series: &'static str,
    /// More of the kernel's command line.
    pub append: &'static str,
    /// What the head of the table says beside the version.
    pub note: &'static str,
    /// How cgroups are mounted (`init.sh`).
    pub cgroups: Cgroups,
    /// What `auto` must take.
    pub auto: &'static str,
    /// The modes to go through, all of which must work but `lsm` where `auto` is something else.
    pub modes: &'static str,
}

const ALL_MODES: &str = "lsm fentry tracepoint";

const PLAIN: Boot =
    Boot { series: "", append: "", note: "", cgroups: Cgroups::V2, auto: "lsm", modes: ALL_MODES };

const BOOTS: [Boot; 6] = [
    // The longest first, so that two at a time come to an end together.
    Boot { series: "newest", ..PLAIN },
    // `bpf` is not in the default `lsm=` of this one.
    Boot { series: "5.10", auto: "fentry", ..PLAIN },
    Boot { series: "6.1", ..PLAIN },
    Boot { series: "6.12", ..PLAIN },
    Boot {
        series: "6.1",
        append: "cgroups=v1",
        note: " (cgroup v1)",
        cgroups: Cgroups::V1,
        ..PLAIN
    },
    Boot {
        series: "5.10",
        append: "lsm=lockdown,yama,apparmor,bpf",
        note: " (lsm=...,bpf)",
        modes: "lsm",
        ..PLAIN
    },
];

/// What came out of one boot.
pub struct Booted {
    pub boot: Boot,
    pub doctor: Value,
    pub doctor_text: String,
    /// Daemons by the mode they were asked for, `auto` too.
    pub daemons: BTreeMap<String, Daemon>,
    /// What `shipper unpin` said, and what was left in the bpf file system, by mode.
    pub unpinned: BTreeMap<String, String>,
    /// Version of the kernel: major, minor.
    pub kernel: (u32, u32),
}

/// What one daemon left behind.
pub struct Daemon {
    pub exit_code: i32,
    pub log: String,
    pub events: Vec<Value>,
    /// What the rows of `tests/behaviours/` told, in the modes that are gone through.
    pub rows: Results,
}

/// One daemon that captured, as the tests go through them.
pub struct Capture<'a> {
    pub booted: &'static Booted,
    pub mode: &'a str,
    pub daemon: &'static Daemon,
}

impl Booted {
    pub fn name(&self) -> String {
        format!("{} {}", self.boot.series, self.boot.append)
    }

    pub fn lsm_works(&self) -> bool {
        self.boot.auto == "lsm"
    }

    fn from(boot: Boot, mut run: GuestRun) -> Result<Booted> {
        ensure!(run.exit_code == 0, "the script failed:\n{}", run.output);
        let mut text = |name: &str| -> Result<String> {
            let bytes = run.files.remove(name).with_context(|| format!("no {name}"))?;
            // A row may say what is not UTF-8.
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let doctor = serde_json::from_str(&text("doctor.json")?)?;
        let doctor_text = text("doctor.txt")?;
        let kernel = version(text("release")?.trim()).context("a version")?;
        let mut daemons = BTreeMap::new();
        for mode in boot.modes.split(' ').chain(["auto"]) {
            let (exit_code, log) =
                (text(&format!("{mode}.code"))?.trim().parse()?, text(&format!("{mode}.log"))?);
            let rows = Results::read(&text(&format!("{mode}.rows")).unwrap_or_default())?;
            daemons.insert(mode.to_owned(), Daemon { exit_code, log, events: Vec::new(), rows });
        }
        for mode in boot.modes.split(' ') {
            let name = format!("{mode}-filters");
            let (exit_code, log) =
                (text(&format!("{name}.code"))?.trim().parse()?, text(&format!("{name}.log"))?);
            let rows = Results::default();
            daemons.insert(name, Daemon { exit_code, log, events: Vec::new(), rows });
        }
        let mut unpinned = BTreeMap::new();
        for mode in boot.modes.split(' ') {
            // Not there where the mode does not work.
            if let Ok(said) = text(&format!("{mode}-pinned.unpin")) {
                let name = format!("{mode}-pinned");
                let exit_code = text(&format!("{name}.code"))?.trim().parse()?;
                let log = text(&format!("{name}.log"))?;
                let rows = Results::default();
                daemons.insert(name, Daemon { exit_code, log, events: Vec::new(), rows });
                unpinned.insert(mode.to_owned(), said);
            }
        }
        for (mode, daemon) in &mut daemons {
            if let Some(packed) = run.files.remove(&format!("{mode}.ndjson.gz")) {
                daemon.events = events(&packed).with_context(|| mode.clone())?;
            }
        }
        Ok(Booted { boot, doctor, doctor_text, daemons, unpinned, kernel })
    }
}

/// One JSON object a line, none torn.
fn events(packed: &[u8]) -> Result<Vec<Value>> {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text)?;
    ensure!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    text.lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            ensure!(value.is_object(), "not an object: {line}");
            Ok(value)
        })
        .collect()
}

/// Every boot, made once for all tests; none where guests cannot be run here.
pub fn boots() -> &'static [Booted] {
    static BOOTED: OnceLock<Result<Vec<Booted>, String>> = OnceLock::new();
    static MISSING: OnceLock<Vec<String>> = OnceLock::new();
    let booted = BOOTED.get_or_init(|| {
        let named = std::env::var("SHIPPER_GUEST_KERNEL_SERIES").ok();
        let wanted = named.as_deref().unwrap_or(SERIES_ALWAYS);
        let mut missing = Vec::new();
        let mut chosen = Vec::new();
        for boot in BOOTS {
            // 6.1 is between the other two, and is booted for deny rules.
            let can_wait = !boot.append.is_empty() || boot.series == "6.1";
            if can_wait && guest::are_few_wanted() {
                continue;
            }
            let is_wanted = wanted.split_whitespace().any(|series| series == boot.series);
            let is_extra = named.is_none() && SERIES_IF_FETCHED.contains(&boot.series);
            match guest::kernel(boot.series) {
                Ok(kernel) if is_wanted || is_extra => chosen.push((boot, kernel)),
                Err(reason) if is_wanted => missing.push(reason),
                _ => {}
            }
        }
        let _ = MISSING.set(missing);
        run_all(chosen).map_err(|error| format!("{error:#}"))
    });
    for reason in MISSING.get().into_iter().flatten() {
        skip(reason);
    }
    match booted {
        Ok(booted) => booted,
        Err(error) => panic!("{error}"),
    }
}

/// One guest a processor at a time.
fn run_all(chosen: Vec<(Boot, std::path::PathBuf)>) -> Result<Vec<Booted>> {
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let shipper = guest::static_binary("shipper", "shipper").map_err(anyhow::Error::msg)?;
    let helper =
        guest::static_binary("shipper-tests", "exec_helper").map_err(anyhow::Error::msg)?;
    let tiny = tempfile::tempdir()?;
    for (name, bytes) in [
        ("tiny", tiny::ends_at_once()),
        ("waits", tiny::waits_for_input()),
        ("tiny32", tiny::ends_at_once_32()),
    ] {
        std::fs::write(tiny.path().join(name), bytes)?;
    }
    let script = behaviours::script(rows());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(chosen.into_iter());
    let next = || queue.lock().ok()?.next();
    let work = || -> Result<Vec<Booted>> {
        let mut booted = Vec::new();
        while let Some((boot, kernel)) = next() {
            let begun = Instant::now();
            let (auto, modes) = (boot.auto, boot.modes);
            let plans = modes.split(' ').map(|mode| plan(&boot, mode)).collect::<String>();
            let mut guest = Guest::new(&kernel)
                .file(&shipper, "/usr/bin/shipper", 0o755)
                .file(&helper, "/usr/lib/rows/exec_helper", 0o755)
                .text(script.as_str(), "/usr/lib/rows/script", 0o644)
                .append(boot.append)
                .script(format!("MODES='{modes}'\n{plans}{}", include_str!("guest.sh")));
            for name in ["tiny", "waits", "tiny32"] {
                let there = format!("/usr/lib/rows/{name}");
                guest = guest.file(&tiny.path().join(name), there, 0o755);
            }
            let run =
                guest.run(LIMIT).with_context(|| format!("{} {}", boot.series, boot.append))?;
            println!(
                "guest {} {}(auto: {auto}): {:.0?}",
                boot.series,
                boot.append,
                begun.elapsed()
            );
            let output = run.output.clone();
            booted.push(Booted::from(boot, run).with_context(|| {
                format!("{} {}: the script said:\n{output}", boot.series, boot.append)
            })?);
        }
        Ok(booted)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|_| bail!("a guest's thread panicked"))?);
        }
        Ok(all)
    })
}

/// All rows, read once.
pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| behaviours::load().unwrap_or_else(|error| panic!("{error:#}")))
}

/// The variables that say which rows are run in a mode. Kernel versions play no part in that.
fn plan(boot: &Boot, mode: &str) -> String {
    let place = Place { mode: mode.into(), kernel: (0, 0), cgroups: boot.cgroups, guest: true };
    let plan = Plan::new(rows(), &place);
    format!("rows_{mode}='{}'\nsilent_{mode}='{}'\n", plan.rows, plan.silent)
}

/// Looks at every daemon that captured, in every boot and mode.
pub fn in_every_mode(look: impl Fn(&Capture<'_>) -> Result<()>) -> Result<()> {
    for booted in boots() {
        for mode in booted.boot.modes.split(' ') {
            if mode == "lsm" && !booted.lsm_works() {
                continue; // `lsm_is_refused_where_its_hook_never_fires` looks at it.
            }
            let capture = Capture { booted, mode, daemon: &booted.daemons[mode] };
            look(&capture).with_context(|| format!("in {}, mode {mode}", booted.name()))?;
        }
    }
    Ok(())
}

impl Capture<'_> {
    /// How many execs the daemon reported as lost, where the kernel makes that possible: it does not
    /// run a program for a second process while that program is under way on the CPU. 7.3 was seen
    /// to skip some, as it does when the first process is preempted at the tracepoint; 6.12 never
    /// did, not even with preempt=full. There, and before, a loss is an error.
    pub fn allowed_to_lose(&self) -> Result<u64> {
        let mut lost = 0;
        for event in &self.daemon.events {
            let loss = &event["shipper"]["loss"];
            if loss.is_null() {
                continue;
            }
            ensure!(self.booted.boot.series == "newest", "{event:#}");
            expect(loss, "/stage", "kernel_recursion")?;
            if loss["kind"] == "exec" {
                lost += loss["count"].as_u64().context("a count")?;
            }
        }
        Ok(lost)
    }

    /// Where that is, for the rows.
    pub fn place(&self) -> Place {
        let Boot { cgroups, .. } = self.booted.boot;
        Place { mode: self.mode.into(), kernel: self.booted.kernel, cgroups, guest: true }
    }

    /// What became of each row.
    pub fn judge(&self) -> Result<Vec<Cell>> {
        let Daemon { events, rows: results, .. } = self.daemon;
        behaviours::judge(rows(), &self.place(), results, events, self.allowed_to_lose()?)
    }

    /// The one event of the exec with this last argument.
    pub fn event(&self, mark: &str) -> Result<&'static Value> {
        let mut found = self.daemon.events.iter().filter(|event| is_marked(event, mark));
        let event = found.next().with_context(|| format!("no event of {mark}"))?;
        let second = found.next();
        ensure!(second.is_none(), "more than one event of {mark}: {event:#} {second:#?}");
        Ok(event)
    }
}

pub fn is_marked(event: &Value, mark: &str) -> bool {
    let args = event["process"]["args"].as_array();
    args.and_then(|args| args.last()).is_some_and(|last| last == mark)
}

pub fn expect(event: &Value, pointer: &str, wanted: impl Into<Value>) -> Result<()> {
    let wanted = wanted.into();
    // A null stands for a field that is absent.
    let found = event.pointer(pointer).unwrap_or(&Value::Null);
    ensure!(*found == wanted, "{pointer} is {found} and should be {wanted} in {event:#}");
    Ok(())
}
