//! The sink of these tests: its settings, and what it is given.

use anyhow::ensure;
use shipper::config;
use shipper::config::settings::{DeliverySettings, ElasticsearchSettings, SinkKind};
use shipper::deliver::{Control, Delivered};
use shipper::event::Event;
use shipper::event::codec::Decoder;
use shipper::sink::elasticsearch::ElasticsearchSink;
use shipper::sink::{Batch, Item, Outcome, Sink as _};
use shipper_tests::bench::synthetic::Pool;
use shipper_tests::spooled::Spooled;
use tokio::sync::watch;

/// So many events of a pool.
pub fn events(count: u64) -> anyhow::Result<Vec<Event>> {
    let pool = Pool::new(0);
    let mut decoder = Decoder::new();
    let decoded = (0..count).map(|number| Ok(decoder.decode(pool.record(number))?));
    decoded.collect()
}

/// The YAML of a sink `siem` that is quick to try again, with these further lines.
pub fn yaml(url: &str, data_stream: &str, more: &str) -> String {
    format!(
        "  - name: siem\n    type: elasticsearch\n    urls: [\"{url}\"]\n    \
         data_stream: {data_stream}\n    retry: {{ initial: 50ms, max: 500ms }}\n{more}"
    )
}

/// The settings of such a sink.
pub fn settings(
    url: &str,
    data_stream: &str,
    more: &str,
) -> anyhow::Result<(ElasticsearchSettings, DeliverySettings)> {
    let yaml = format!("sinks:\n{}", yaml(url, data_stream, more));
    let sink = config::parse("test", &yaml)?.sinks.into_iter().next().expect("a sink");
    let SinkKind::Elasticsearch(settings) = sink.kind else { anyhow::bail!("another sink") };
    Ok((*settings, sink.delivery))
}

/// Delivers all that is in a spool.
pub fn deliver(
    spooled: &Spooled,
    settings: &ElasticsearchSettings,
    delivery: &DeliverySettings,
) -> anyhow::Result<Delivered> {
    let sink = Box::new(ElasticsearchSink::new(settings)?);
    let line = spooled.line(sink, delivery.clone())?;
    let (_control, watched) = watch::channel(Control::default());
    let runtime = tokio::runtime::Runtime::new()?;
    let delivered = runtime.block_on(async { runtime.spawn(line.run(watched)).await })?;
    ensure!(delivered.complete, "not all went through: {delivered:?}");
    let count = spooled.ids.len() as u64;
    ensure!(delivered.sent + delivered.quarantined == count, "{delivered:?}");
    Ok(delivered)
}

/// One batch of these events.
pub fn send(settings: &ElasticsearchSettings, events: &[Event]) -> anyhow::Result<Outcome> {
    let sink = ElasticsearchSink::new(settings)?;
    let (mut buffer, mut items) = (Vec::new(), Vec::new());
    for (number, event) in (1..).zip(events) {
        let start = buffer.len();
        sink.encode(event, &mut buffer);
        items.push(Item { id: event.id(), number, start, end: buffer.len() });
    }
    let runtime = tokio::runtime::Runtime::new()?;
    Ok(runtime.block_on(sink.send(Batch::new(&buffer, &items))))
}
