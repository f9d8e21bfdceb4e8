//! The boots, made once for all tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use shipper_tests::guest::{self, Guest};
use shipper_tests::{skip, tiny};

/// Far above what the slowest takes under software emulation, for a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);

const SERIES_ALWAYS: &str = "6.1 5.10";

/// Kernel, more of its command line, and whether the LSM hook fires there.
const BOOTS: [(&str, &str, bool); 5] = [
    ("newest", "", true),
    ("5.10", "lsm=lockdown,yama,apparmor,bpf", true),
    ("6.1", "", true),
    ("6.12", "", true),
    // `bpf` is not in its default.
    ("5.10", "", false),
];

/// What came out of one boot.
pub struct Booted {
    name: String,
    has_lsm: bool,
    files: BTreeMap<String, Vec<u8>>,
    /// Events by the daemon that wrote them.
    pub events: BTreeMap<String, Vec<Value>>,
    /// What the script printed.
    pub output: String,
}

impl Booted {
    /// A file that the guest handed out.
    pub fn text(&self, name: &str) -> Result<String> {
        let bytes = self.files.get(name).with_context(|| format!("no {name}: {}", self.output))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Looks at every boot in which rules can work.
pub fn each_boot(look: impl Fn(&Booted) -> Result<()>) -> Result<()> {
    for booted in boots().iter().filter(|booted| booted.has_lsm) {
        look(booted).with_context(|| booted.name.clone())?;
    }
    Ok(())
}

/// The boot in which they cannot, if there is one.
pub fn without_lsm() -> Option<&'static Booted> {
    boots().iter().find(|booted| !booted.has_lsm)
}

fn boots() -> &'static [Booted] {
    static BOOTED: OnceLock<Result<Vec<Booted>, String>> = OnceLock::new();
    let booted = BOOTED.get_or_init(|| run_all().map_err(|error| format!("{error:#}")));
    match booted {
        Ok(booted) => booted,
        Err(error) => panic!("{error}"),
    }
}

fn run_all() -> Result<Vec<Booted>> {
    let named = std::env::var("SHIPPER_GUEST_KERNEL_SERIES").ok();
    let wanted = named.as_deref().unwrap_or(SERIES_ALWAYS);
    let mut chosen = Vec::new();
    for (series, append, has_lsm) in BOOTS {
        // The slowest of them.
        if series == "newest" && guest::are_few_wanted() {
            continue;
        }
        if wanted.split_whitespace().any(|one| one == series) {
            match guest::kernel(series) {
                Ok(kernel) => chosen.push((series, append, has_lsm, kernel)),
                Err(reason) => skip(&reason),
            }
        }
    }
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let shipper = guest::static_binary("shipper", "shipper").map_err(anyhow::Error::msg)?;
    let helper =
        guest::static_binary("shipper-tests", "exec_helper").map_err(anyhow::Error::msg)?;
    let work = tempfile::tempdir()?;
    let program = work.path().join("tiny");
    std::fs::write(&program, tiny::ends_at_once())?;
    // One guest a processor at a time.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(chosen.into_iter());
    // Not in the head of the loop, where the queue would stay locked as long as a guest runs.
    let next = || queue.lock().map(|mut queue| queue.next());
    let run = || -> Result<Vec<Booted>> {
        let mut booted = Vec::new();
        while let Some((series, append, has_lsm, kernel)) =
            next().map_err(|_| anyhow!("a guest's thread panicked"))?
        {
            let begun = Instant::now();
            let lsm = if has_lsm { "yes" } else { "no" };
            let run = Guest::new(&kernel)
                .file(&shipper, "/usr/bin/shipper", 0o755)
                .file(&helper, "/usr/lib/rows/exec_helper", 0o755)
                .file(&program, "/usr/lib/rows/tiny", 0o755)
                .append(append)
                .script(format!("LSM={lsm}\n{}", include_str!("guest.sh")))
                .run(LIMIT)
                .with_context(|| format!("{series} {append}"))?;
            println!("guest {series} {append}: {:.0?}", begun.elapsed());
            ensure!(run.exit_code == 0, "{series}: the script failed:\n{}", run.output);
            let mut events = BTreeMap::new();
            for (name, bytes) in &run.files {
                if let Some(daemon) = name.strip_suffix(".ndjson") {
                    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
                    let parsed = lines.map(serde_json::from_slice).collect::<Result<_, _>>();
                    events.insert(daemon.to_owned(), parsed.with_context(|| name.clone())?);
                }
            }
            booted.push(Booted {
                name: format!("{series} {append}"),
                has_lsm,
                files: run.files,
                events,
                output: run.output,
            });
        }
        Ok(booted)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow!("a guest's thread panicked"))??);
        }
        Ok(all)
    })
}
