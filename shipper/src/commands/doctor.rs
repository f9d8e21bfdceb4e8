//! `shipper doctor`: what this machine allows. Every mode is really tried, with a test exec.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::capture::layout::{KERNEL_BTF, KernelLayout};
use crate::capture::{self, Capture, EnforcementSeen, Options, PIN_DIR, privileges};

/// Show what this machine allows.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    kernel: String,
    architecture: String,
    /// Why capture lacks privileges, or nothing.
    missing_privileges: Option<String>,
    initial_pid_namespace: bool,
    btf: Btf,
    /// Active security modules; `None` when securityfs is not mounted.
    security_modules: Option<Vec<String>>,
    /// `none`, `integrity` or `confidentiality`; `None` when the kernel does not tell.
    lockdown: Option<String>,
    bpf_jit: Option<bool>,
    modes: Vec<ModeReport>,
    /// What `auto` would use.
    mode: Option<&'static str>,
    /// What `capture.pin: true` left in the kernel.
    pinned: Option<PinnedReport>,
    /// Deny rules in the kernel: of the daemon that runs, or pinned.
    enforcement: Vec<EnforcementReport>,
}

#[derive(Serialize)]
struct EnforcementReport {
    rules: u64,
    /// `on`, `dry_run` or `stale`: the daemon is gone or hangs, and nothing is refused.
    state: &'static str,
    denied: u64,
    would_deny: u64,
    not_judged: u64,
}

#[derive(Serialize)]
struct PinnedReport {
    /// Sets of programs with their ring.
    sets: usize,
    /// Sets whose programs are attached.
    live: usize,
    /// The daemon that reads them.
    process: Option<u32>,
}

#[derive(Serialize)]
struct Btf {
    usable: bool,
    error: Option<String>,
    missing_fields: Vec<String>,
    sched_prepare_exec: bool,
}

#[derive(Serialize)]
struct ModeReport {
    mode: &'static str,
    works: bool,
    reason: Option<String>,
}

/// Looks, tries, prints. Exit code 1 when no mode works.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = examine();
    let works = report.mode.is_some();
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        let mut stdout = anstream::stdout();
        // A reader that has gone away wants nothing more.
        let _ = std::io::Write::write_all(&mut stdout, text(&report).as_bytes());
    }
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine() -> Report {
    let uname = rustix::system::uname();
    let btf = match KernelLayout::resolve(Path::new(KERNEL_BTF), &[]) {
        Ok(layout) => Btf {
            usable: true,
            error: None,
            missing_fields: layout.missing,
            sched_prepare_exec: layout.has_prepare_exec,
        },
        Err(error) => Btf {
            usable: false,
            error: Some(error.to_string()),
            missing_fields: Vec::new(),
            sched_prepare_exec: false,
        },
    };
    let modes: Vec<ModeReport> = Capture::survey(&Options::default())
        .into_iter()
        .map(|(mode, outcome)| ModeReport {
            mode: mode.as_str(),
            works: outcome.is_ok(),
            reason: outcome.err(),
        })
        .collect();
    Report {
        kernel: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        missing_privileges: privileges::missing(),
        initial_pid_namespace: privileges::in_initial_pid_namespace(),
        btf,
        security_modules: read("/sys/kernel/security/lsm")
            .map(|list| list.split(',').map(str::to_owned).collect()),
        // `none [integrity] confidentiality`
        lockdown: read("/sys/kernel/security/lockdown")
            .and_then(|text| Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())),
        bpf_jit: read("/proc/sys/net/core/bpf_jit_enable").map(|value| value != "0"),
        mode: modes.iter().find(|mode| mode.works).map(|mode| mode.mode),
        modes,
        pinned: capture::pinned(Path::new(PIN_DIR)).map(|pinned| PinnedReport {
            sets: pinned.sets,
            live: pinned.live,
            process: pinned.process,
        }),
        enforcement: capture::enforcement().iter().map(EnforcementReport::new).collect(),
    }
}

impl EnforcementReport {
    fn new(seen: &EnforcementSeen) -> Self {
        EnforcementReport {
            rules: seen.rules,
            state: seen.state.as_str(),
            denied: seen.counts.denied,
            would_deny: seen.counts.would_deny,
            not_judged: seen.counts.not_judged,
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// How a line begins.
#[derive(Clone, Copy)]
enum Mark {
    Good,
    Note,
    Bad,
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |mark: Mark, what: &str, says: &str| {
        let (style, sign): (Style, _) = match mark {
            Mark::Good => (AnsiColor::Green.on_default(), "ok  "),
            Mark::Note => (AnsiColor::Yellow.on_default(), "note"),
            Mark::Bad => (AnsiColor::Red.on_default().bold(), "bad "),
        };
        // Writing to a String does not fail.
        let _ = writeln!(out, "{style}{sign}{style:#}  {what:<18} {says}");
    };
    line(Mark::Good, "kernel", &format!("{} {}", report.kernel, report.architecture));
    match &report.missing_privileges {
        None => line(Mark::Good, "privileges", "enough to load kernel programs"),
        Some(missing) => line(Mark::Bad, "privileges", missing),
    }
    if !report.initial_pid_namespace {
        line(Mark::Bad, "pid namespace", privileges::OTHER_PID_NAMESPACE);
    }
    match &report.btf.error {
        Some(error) => line(Mark::Bad, "BTF", error),
        None if report.btf.missing_fields.is_empty() => {
            line(Mark::Good, "BTF", "every field that capture reads is there");
        }
        None => {
            let missing = report.btf.missing_fields.join(", ");
            line(Mark::Note, "BTF", &format!("absent from events on this kernel: {missing}"));
        }
    }
    match report.security_modules.as_deref() {
        Some(list) if list.iter().any(|name| name == "bpf") => {
            line(Mark::Good, "security modules", &list.join(","));
        }
        Some(list) => {
            let says =
                format!("{}; `bpf` is not among them, so mode lsm cannot fire", list.join(","));
            line(Mark::Note, "security modules", &says);
        }
        None => line(Mark::Note, "security modules", "not known: securityfs is not mounted"),
    }
    match report.lockdown.as_deref() {
        Some("confidentiality") => {
            line(Mark::Bad, "lockdown", "confidentiality: forbids reading kernel memory");
        }
        Some(lockdown) => line(Mark::Good, "lockdown", lockdown),
        None => line(Mark::Good, "lockdown", "none, or not told"),
    }
    if report.bpf_jit == Some(false) {
        line(
            Mark::Note,
            "BPF JIT",
            "off: kernel programs are interpreted and cost several times more",
        );
    }
    for mode in &report.modes {
        let what = format!("mode {}", mode.mode);
        match &mode.reason {
            None => line(Mark::Good, &what, "works: a test exec was reported"),
            Some(reason) => line(Mark::Note, &what, reason),
        }
    }
    match &report.pinned {
        Some(PinnedReport { process: Some(process), .. }) => {
            line(Mark::Good, "pins", &format!("programs are pinned, process {process} reads them"));
        }
        Some(_) => line(
            Mark::Note,
            "pins",
            "programs are pinned and nobody reads what they record: the next run with \
             capture.pin: true does, `shipper unpin` removes them",
        ),
        None => {}
    }
    for EnforcementReport { rules, state, denied, would_deny, not_judged } in &report.enforcement {
        let (mark, does) = match *state {
            "on" => (Mark::Good, "they refuse"),
            "dry_run" => (Mark::Note, "dry run, they refuse nothing"),
            _ => (Mark::Note, "the daemon is gone or hangs, so they refuse nothing"),
        };
        let says = format!(
            "{rules} in the kernel: {does}. {denied} executions denied, {would_deny} would have \
             been, {not_judged} not judged"
        );
        line(mark, "deny rules", &says);
    }
    match report.mode {
        Some(mode) => line(Mark::Good, "capture.mode: auto", &format!("would use {mode}")),
        None => line(Mark::Bad, "capture.mode: auto", "no mode works here"),
    }
    out
}
