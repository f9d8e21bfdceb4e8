//! A real server behind it: the line of the daemon to OpenSearch beside a bare loop that posts the
//! same requests, built before, to the same server, in turn.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use shipper::config;
use shipper::config::settings::{SinkKind, SinkSettings};
use shipper::event::codec::Decoder;
use shipper::sink::Sink;
use shipper::sink::elasticsearch::{ElasticsearchSink, Setup};
use tokio::task::JoinSet;

use super::super::append::SINK;
use super::super::report::Figure;
use super::super::run::{self, Run};
use super::super::synthetic::Pool;
use super::{BATCH_BYTES, CONCURRENCY, SHARE_PERCENT};
use crate::opensearch::OpenSearch;

/// Events of a round, each with an id of its own: one that is there already costs the server less.
const EVENTS: u64 = 40_000;

/// Rounds of each, after one that is not counted: the server compiles itself as it goes.
const ROUNDS: u32 = 5;

/// Measures it.
///
/// # Errors
/// When there is no server, or an event got lost.
pub fn run(dir: &Path) -> anyhow::Result<(Vec<Figure>, Value)> {
    let server = OpenSearch::start()?.context("there is no OpenSearch")?;
    let pool = Pool::of(EVENTS, super::super::ANCESTORS);
    eprintln!("{ROUNDS} times {EVENTS} events to OpenSearch, by shipper and by a bare loop ...");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (name, settings) = fresh(&server, &format!("ours-{round}"))?;
        let SinkKind::Elasticsearch(elasticsearch) = &settings.kind else {
            anyhow::bail!("a sink for Elasticsearch")
        };
        let sink = ElasticsearchSink::new(elasticsearch)?;
        let bodies = bodies(&pool, &sink)?;
        let run = Run::deliver(dir, &pool, EVENTS, Box::new(sink), settings.delivery)?;
        check(&server, &name)?;
        let (bare_name, _) = fresh(&server, &format!("bare-{round}"))?;
        let bare_run = post(&server, &bare_name, &bodies)?;
        check(&server, &bare_name)?;
        if round > 0 {
            ours.push(run);
            bare.push(bare_run);
        }
    }
    let (ours_rate, bare_rate) = (run::rate(&ours, EVENTS), run::rate(&bare, EVENTS));
    let figure = Figure {
        name: "to OpenSearch, beside a bare loop",
        value: 100.0 * ours_rate / bare_rate,
        unit: "%",
        aim: Some(SHARE_PERCENT),
        how: format!(
            "{ours_rate:.0} against {bare_rate:.0} events/s of {} bytes: from a full spool until the last \
             is answered, against a loop that posts requests built before; {CONCURRENCY} at once, not \
             compressed, our templates, server on the same machine, another data stream each \
             time; medians of {ROUNDS} runs in turn",
            pool.line_bytes
        ),
    };
    let runs = |runs: &[Run]| runs.iter().map(Run::json).collect::<Vec<_>>();
    Ok((vec![figure], json!({ "shipper": runs(&ours), "bare": runs(&bare) })))
}

/// A data stream that is set up and has nothing in it, and the sink to it.
fn fresh(server: &OpenSearch, name: &str) -> anyhow::Result<(String, SinkSettings)> {
    let name = format!("logs-shipper.process-{name}");
    let yaml = format!(
        "sinks:\n  - name: {SINK}\n    type: elasticsearch\n    url: {}\n    data_stream: {name}\n    \
         compression: none\n    concurrency: {CONCURRENCY}\n",
        server.url()
    );
    let settings = config::parse("bench", &yaml)?.sinks.into_iter().next().context("the sink")?;
    let SinkKind::Elasticsearch(elasticsearch) = &settings.kind else {
        anyhow::bail!("a sink for Elasticsearch")
    };
    let setup = Setup::new(elasticsearch)?;
    run::runtime()?.block_on(setup.run(|_| {}));
    server.request("PUT", &format!("/_data_stream/{name}"), b"")?;
    Ok((name, settings))
}

/// Requests as the sink sends them, with the number of events in each.
fn bodies(pool: &Pool, sink: &ElasticsearchSink) -> anyhow::Result<Vec<(u64, Bytes)>> {
    let mut decoder = Decoder::new();
    let mut bodies: Vec<(u64, Vec<u8>)> = Vec::new();
    for number in 0..EVENTS {
        let mut lines = Vec::new();
        sink.encode(&decoder.decode(pool.record(number))?, &mut lines);
        match bodies.last_mut() {
            Some((count, body)) if body.len() + lines.len() <= BATCH_BYTES => {
                *count += 1;
                body.extend_from_slice(&lines);
            }
            _ => bodies.push((1, lines)),
        }
    }
    Ok(bodies.into_iter().map(|(count, body)| (count, body.into())).collect())
}

/// Posts each once.
fn post(server: &OpenSearch, name: &str, bodies: &[(u64, Bytes)]) -> anyhow::Result<Run> {
    let runtime = run::runtime()?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(super::trusting(None)?)
        .no_proxy()
        .build()?;
    let url = format!("{}/{name}/_bulk?filter_path=errors,items.*.status", server.url());
    let queue = std::sync::Arc::new(std::sync::Mutex::new(bodies.to_vec()));
    Run::measure(|| {
        runtime.block_on(async {
            let mut workers = JoinSet::new();
            for _ in 0..CONCURRENCY {
                let (client, url, queue) = (client.clone(), url.clone(), queue.clone());
                workers.spawn(async move {
                    loop {
                        let next = queue.lock().map_or(None, |mut queue| queue.pop());
                        let Some((_, body)) = next else { return anyhow::Ok(()) };
                        let request = client
                            .post(&url)
                            .header(CONTENT_TYPE, "application/x-ndjson")
                            .body(body);
                        let answer = request.send().await?.error_for_status()?.bytes().await?;
                        let answer: Value = serde_json::from_slice(&answer)?;
                        anyhow::ensure!(answer["errors"] == false, "something was refused");
                    }
                });
            }
            while let Some(done) = workers.join_next().await {
                done??;
            }
            anyhow::Ok(())
        })
    })
}

/// All came, once.
fn check(server: &OpenSearch, name: &str) -> anyhow::Result<()> {
    server.request("POST", &format!("/{name}/_refresh"), b"")?;
    let count = server.request("GET", &format!("/{name}/_count"), b"")?;
    anyhow::ensure!(count["count"] == EVENTS, "{} of {EVENTS} came", count["count"]);
    server.request("DELETE", &format!("/_data_stream/{name}"), b"")?;
    Ok(())
}
