//! Random faults of a collector, over the real line of delivery and the real sinks: whatever goes
//! wrong, in the end each event was taken, and nothing counts as delivered that was not.
//!
//! `SHIPPER_TORTURE=1` tries fifty times as many. `SHIPPER_SEED=N` tries one again.

mod life;
mod script;

use anyhow::Context as _;
use life::Life;
use script::{Kind, Script};

/// Scripts of a kind of sink.
fn seeds(kind: Kind) -> std::ops::Range<u64> {
    if let Some(seed) = std::env::var("SHIPPER_SEED").ok().and_then(|text| text.parse().ok()) {
        return seed..seed + 1;
    }
    let times = if std::env::var_os("SHIPPER_TORTURE").is_some() { 50 } else { 1 };
    // Each question for an acknowledgement takes its time.
    0..times * if kind == (Kind::Splunk { acknowledgement: true }) { 8 } else { 40 }
}

/// Runs each script; the first that fails is told with its seed.
fn try_all(kind: Kind) -> anyhow::Result<()> {
    for seed in seeds(kind) {
        let script = Script::new(kind, seed);
        let shown = format!("SHIPPER_SEED={seed}: {script:?}");
        Life::new(script).and_then(Life::run).context(shown)?;
    }
    Ok(())
}

#[test]
fn a_collector_gets_every_event_over_http_whatever_goes_wrong() -> anyhow::Result<()> {
    try_all(Kind::Http { tls: false, array: false })
}

#[test]
fn a_collector_gets_every_event_over_https_whatever_goes_wrong() -> anyhow::Result<()> {
    try_all(Kind::Http { tls: true, array: true })
}

#[test]
fn elasticsearch_gets_every_event_once_whatever_goes_wrong() -> anyhow::Result<()> {
    try_all(Kind::Elasticsearch)
}

#[test]
fn splunk_gets_every_event_whatever_goes_wrong() -> anyhow::Result<()> {
    try_all(Kind::Splunk { acknowledgement: false })
}

#[test]
fn splunk_has_acknowledged_what_counts_as_delivered_whatever_goes_wrong() -> anyhow::Result<()> {
    try_all(Kind::Splunk { acknowledgement: true })
}
