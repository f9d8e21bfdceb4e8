//! The daemon with four sinks under a steady load: a file, and one of each over HTTP.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::super::report::Figure;
use super::super::{load, noop, process, steady};
use crate::collector::{Account, Collector, Dialect, HecPlan, Plan};
use crate::daemon::{Daemon, directory};

/// Executions a second.
const RATE: u32 = 1000;

/// Length of the load.
const LOAD_SECONDS: u32 = 20;

/// Measures it.
///
/// # Errors
/// When an event got lost.
pub fn run() -> anyhow::Result<(Vec<Figure>, Value)> {
    let generic = Collector::start(Dialect::generic(), Plan::default())?;
    let elasticsearch = Collector::start(Dialect::elasticsearch(), Plan::default())?;
    let ack = HecPlan { ack: true, false_polls: 1, ..HecPlan::default() };
    let splunk = Collector::start(Dialect::Hec(ack), Plan::default())?;
    let dir = directory()?;
    let program = dir.path().join("noop");
    noop::write(&program)?;
    let token = dir.path().join("token");
    std::fs::write(&token, "bench")?;
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;
    let yaml = format!(
        "spool: {{ dir: {spool}, disk_free_min: 1MiB }}\nshutdown_timeout: 1m\nsinks:\n  \
         - {{ name: local, type: file, path: {file} }}\n  \
         - {{ name: generic, type: http, url: \"{generic}\" }}\n  \
         - {{ name: elastic, type: elasticsearch, url: \"{elastic}\" }}\n  \
         - {{ name: splunk, type: splunk_hec, url: \"{splunk}\", acknowledgement: true, token: {{ file: {token} }} }}\n",
        spool = dir.path().join("spool").display(),
        file = dir.path().join("events.ndjson").display(),
        generic = generic.url(),
        elastic = elasticsearch.url(),
        splunk = splunk.url(),
        token = token.display(),
    );
    let daemon = Daemon::start_with(dir, &yaml)?;
    let pid = daemon.pid();
    eprintln!("{RATE} executions a second for {LOAD_SECONDS} s to four sinks ...");
    let count = u64::from(RATE) * u64::from(LOAD_SECONDS);
    let before = process::cpu(pid)?;
    let took = load::execute_paced(&program, "four", count, RATE)?;
    let after = process::cpu(pid)?;
    let memory = process::memory(pid)?;
    let stopped = daemon.stop()?;
    anyhow::ensure!(stopped.status.success(), "the daemon failed:\n{}", stopped.log);
    let written = stopped.events()?.len();
    for collector in [&generic, &elasticsearch, &splunk] {
        let came = |account: &Account| account.events.len() >= written;
        collector.wait("every event of the file", came)?;
    }
    let cpu = (after.user + after.system - before.user - before.system).as_secs_f64();
    let figures = vec![
        Figure {
            name: "memory with four sinks",
            value: memory.proportional as f64 / 1e6,
            unit: "MB",
            aim: None,
            how: "Pss of /proc/PID/smaps_rollup after the load; a file, HTTP, Elasticsearch and Splunk \
                  with acknowledgement, the collectors those of the tests"
                .to_owned(),
        },
        Figure {
            name: "CPU with four sinks at 1,000 exec/s",
            value: 100.0 * cpu / took.as_secs_f64(),
            unit: "% of a core",
            aim: None,
            how: "utime + stime of /proc/PID/stat; gzip over each".to_owned(),
        },
    ];
    Ok((figures, json!({ "memory": steady::memory_json(&memory), "events": written })))
}
