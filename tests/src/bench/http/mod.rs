//! HTTP: the line of the daemon beside a bare loop of the same client library that posts the same
//! bodies to the same server, in turn; and what it costs that one of several sinks is dead.

mod fan_out;
mod four;
mod opensearch;
mod server;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use shipper::config;
use shipper::config::settings::{SinkKind, SinkSettings};
use shipper::event::codec::Decoder;
use shipper::format::ecs;
use shipper::sink::http::HttpSink;
use tokio::task::JoinSet;

use super::append::SINK;
use super::report::{Aim, Figure};
use super::run::{self, Run};
use super::synthetic::Pool;
use server::Server;

/// Events of a round.
const EVENTS: u64 = 200_000;

/// Rounds of each.
const ROUNDS: usize = 5;

/// Requests under way at once, of both.
const CONCURRENCY: usize = 4;

/// Bytes of a batch, as the daemon has it unless told otherwise.
const BATCH_BYTES: usize = 1 << 20;

const SHARE_PERCENT: Aim = Aim::AtLeast(85.0);

/// Measures all of it.
///
/// # Errors
/// When an event got lost.
pub fn run(dir: &Path, pool: &Pool) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, mut details) = (Vec::new(), serde_json::Map::new());
    let bodies = bodies(pool)?;
    for (names, is_tls, compression) in [
        (["over HTTP, beside a bare loop", "CPU over HTTP"], false, "none"),
        (["over HTTPS with gzip, beside a bare loop", "CPU over HTTPS with gzip"], true, "gzip"),
        (["over HTTPS with zstd, beside a bare loop", "CPU over HTTPS with zstd"], true, "zstd"),
    ] {
        eprintln!(
            "{ROUNDS} times {EVENTS} events, {compression}, TLS {is_tls}, and a bare loop ..."
        );
        let server = Server::start(is_tls)?;
        let ca_file = dir.join("ca.pem");
        std::fs::write(&ca_file, &server.ca)?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let settings = settings(&server, &ca_file, compression)?;
            let SinkKind::Http(http) = &settings.kind else { anyhow::bail!("an HTTP sink") };
            let sink = Box::new(HttpSink::new(http)?);
            ours.push(Run::deliver(dir, pool, EVENTS, sink, settings.delivery)?);
            bare.push(post(&server, &bodies, compression)?);
        }
        let (ours_rate, bare_rate) = (run::rate(&ours, EVENTS), run::rate(&bare, EVENTS));
        figures.push(Figure {
            name: names[0],
            value: 100.0 * ours_rate / bare_rate,
            unit: "%",
            // The server does nothing with what it gets, so this is the price of reading, decoding
            // and encoding; a real server is below.
            aim: None,
            how: format!(
                "{ours_rate:.0} against {bare_rate:.0} events/s of {} bytes: read from a full spool, \
                 decode, encode, compress, post, until the last is answered, against a loop that \
                 {} bodies built before; {CONCURRENCY} requests at once, a server on the same machine \
                 that looks at nothing; medians of {ROUNDS} runs in turn",
                pool.line_bytes,
                if compression == "none" { "posts" } else { "compresses and posts" },
            ),
        });
        figures.push(Figure {
            name: names[1],
            value: run::cpu_us(&ours, EVENTS) / 10.0,
            unit: "s of a core for 100,000 events",
            aim: None,
            how: format!(
                "all threads, those of the server too; the bare loop {:.2}",
                run::cpu_us(&bare, EVENTS) / 10.0
            ),
        });
        let runs = |runs: &[Run]| runs.iter().map(Run::json).collect::<Vec<_>>();
        details.insert(
            format!("{compression}{}", if is_tls { ", TLS" } else { "" }),
            json!({ "shipper": runs(&ours), "bare": runs(&bare) }),
        );
    }
    for (name, (more, detail)) in [
        ("four", four::run()?),
        ("opensearch", opensearch::run(dir)?),
        ("fan_out", fan_out::run(dir, pool)?),
    ] {
        figures.extend(more);
        details.insert(name.to_owned(), detail);
    }
    Ok((figures, details.into()))
}

fn settings(server: &Server, ca_file: &Path, compression: &str) -> anyhow::Result<SinkSettings> {
    let tls = if server.url.starts_with("https") {
        format!("    tls: {{ ca_file: {} }}\n", ca_file.display())
    } else {
        String::new()
    };
    let yaml = format!(
        "sinks:\n  - name: {SINK}\n    type: http\n    url: {}\n    compression: {compression}\n    \
         concurrency: {CONCURRENCY}\n{tls}",
        server.url
    );
    config::parse("bench", &yaml)?.sinks.into_iter().next().context("the sink")
}

/// Lines as the sink sends them, in bodies as large, with the number of events in each.
fn bodies(pool: &Pool) -> anyhow::Result<Vec<(u64, Bytes)>> {
    let mut decoder = Decoder::new();
    let mut bodies = vec![(0, Vec::new())];
    for number in 0..Pool::DIFFERENT {
        let mut line = Vec::new();
        ecs::encode(&decoder.decode(pool.record(number))?, &mut line);
        let (count, body) = bodies.last_mut().context("one")?;
        if body.len() + line.len() > BATCH_BYTES {
            bodies.push((1, line));
        } else {
            *count += 1;
            body.extend_from_slice(&line);
        }
    }
    Ok(bodies.into_iter().map(|(count, body)| (count, body.into())).collect())
}

/// Posts them in turn until there were as many events.
fn post(
    server: &Server,
    bodies: &[(u64, Bytes)],
    compression: &'static str,
) -> anyhow::Result<Run> {
    let runtime = run::runtime()?;
    let client = client(server)?;
    let posted = Arc::new(AtomicU64::new(0));
    Run::measure(|| {
        runtime.block_on(async {
            let mut workers = JoinSet::new();
            for _ in 0..CONCURRENCY {
                let (client, url) = (client.clone(), server.url.clone());
                let (bodies, posted) = (bodies.to_vec(), posted.clone());
                workers.spawn(async move {
                    for (count, body) in bodies.iter().cycle() {
                        if posted.fetch_add(*count, Ordering::Relaxed) >= EVENTS {
                            return anyhow::Ok(());
                        }
                        let request =
                            client.post(&url).header(CONTENT_TYPE, "application/x-ndjson");
                        let request = match compression {
                            "gzip" => request.header(CONTENT_ENCODING, "gzip").body(gzip(body)?),
                            "zstd" => request
                                .header(CONTENT_ENCODING, "zstd")
                                .body(zstd::bulk::compress(body, 1)?),
                            _ => request.body(body.clone()),
                        };
                        request.send().await?.error_for_status()?;
                    }
                    anyhow::bail!("no bodies")
                });
            }
            while let Some(done) = workers.join_next().await {
                done??;
            }
            anyhow::Ok(())
        })
    })
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn client(server: &Server) -> anyhow::Result<reqwest::Client> {
    let tls = trusting(Some(&server.ca))?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}

/// Trusts this authority alone, in PEM, or nobody.
fn trusting(ca: Option<&str>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
